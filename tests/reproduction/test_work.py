from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_reproduction import make_folders

from ssrvae_tf import reproduce
from ssrvae_tf.reproduction import child, report, work
from ssrvae_tf.reproduction.photo_lists import Place
from ssrvae_tf.reproduction.plan import Plan

ABOUT = {"one_process": True, "budget": {}, "photos": {}, "versions": [], "name": "tiny"}


@pytest.fixture
def plan(tmp_path) -> Plan:
    """a, b <- a, c <- b, d."""
    made = Plan(tmp_path, {}, ABOUT)
    a = made.add("a", "degrade", {"x": 1}, 10.0)
    b = made.add("b", "degrade", {"x": a}, 20.0)
    made.add("c", "degrade", {"x": b}, 30.0)
    made.add("d", "quality", {}, 40.0)
    return made


@pytest.fixture
def did(monkeypatch) -> list[str]:
    """Names of the parts that were done, in 1 second for each 10 of their work; `b` cannot be done."""
    names: list[str] = []

    def do(part):
        names.append(part.name)
        if part.name == "b" and "b is broken" not in names:
            return "there is no b"
        part.finish({}, part.work / 10)
        return child.DONE

    monkeypatch.setattr(child, "do", do)
    monkeypatch.setattr(report, "write", lambda plan: None)
    return names


def test_what_fails_is_told_and_holds_up_nothing_but_what_needs_it(plan, did, capsys):
    failed = work.go_through(plan)
    assert did == ["a", "b", "d"]
    assert failed == {"b": "there is no b", "c": "needs b"}
    told = capsys.readouterr()
    assert "b: there is no b (see " in told.err and "[1 of 4] a: 1 s, about " in told.out


def test_what_is_finished_is_not_done_again(plan, did):
    work.go_through(plan)
    did[:] = ["b is broken"]
    assert work.go_through(plan) == {}
    assert did == ["b is broken", "b", "c"]


def test_a_part_that_another_process_is_at_is_left_to_it(plan, did):
    folder = Path(plan.parts["a"].folder)
    code = (
        "import sys; from pathlib import Path; from ssrvae_tf.reproduction import work\n"
        "with work._claimed(Path(sys.argv[1])): print('here', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen([sys.executable, "-c", code, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout.readline() == b"here\n"
    with work._claimed(folder) as lock:
        assert lock is None
    other.send_signal(signal.SIGKILL)
    other.wait()
    other.stdin.close()
    other.stdout.close()
    with work._claimed(folder) as lock:
        assert lock


def test_it_waits_for_what_others_are_at_and_goes_on_from_there(plan, did, monkeypatch):
    others, waits = [plan.parts[name] for name in "ad"], []

    def wait(seconds):
        waits.append(seconds)
        for part in others:
            part.finish({}, 1.0)

    monkeypatch.setattr(time, "sleep", wait)
    did.append("b is broken")
    with work._claimed(Path(others[0].folder)), work._claimed(Path(others[1].folder)):
        assert work.go_through(plan) == {}
    assert len(waits) == 1 and did == ["b is broken", "b", "c"]


def test_time_left_follows_from_what_parts_of_that_kind_took(plan):
    a, b, c, d = plan.parts.values()
    for part in (a, d):
        Path(part.folder).mkdir(parents=True)
    assert work.estimate(plan.parts.values(), None, 1) == (0, 0.0, 100.0)
    d.finish({}, 400.0)
    assert work.estimate(plan.parts.values(), None, 2) == (1, 400.0, 300.0)  # all are ten times as slow
    a.finish({}, 5.0)
    assert work.estimate(plan.parts.values(), None, 1) == (2, 405.0, 25.0)


def test_time_left_counts_the_steps_of_the_training_that_is_under_way(tmp_path):
    plan = Plan(tmp_path, {}, ABOUT)
    plan.add("a", "fit", {"fields": {"epochs": 2, "steps_per_epoch": 100}}, 80.0)
    part = plan.parts["a"]
    Path(part.folder, "run").mkdir(parents=True)
    Path(part.folder, "run", "steps.csv").write_text("step,loss\n50,1\n")
    assert work.estimate([part], part, 1) == (0, 20.0, 60.0)


def test_measurements_share_a_process_that_tells_what_went_wrong_and_ends_when_it_is_let_go(tmp_path):
    make_folders(tmp_path)
    known = {"photos.lfw": Place(str(tmp_path / "lfw"), "1"), "photos.none": Place(str(tmp_path / "none"), "1")}
    plan = Plan(tmp_path / "out", known, {**ABOUT, "one_process": False})
    for name in ("lfw", "none"):
        photos = {"hr": f"@photos.{name}", "size": 48, "scale": 4, "framing": "centre", "limit": None}
        plan.add(name, "degrade", {"photos": photos, "by": "bicubic", "styles": None}, 1.0)
    workshop, said = work._Children(plan, "cpu", 1), {}
    for name, part in plan.parts.items():
        with work._claimed(Path(part.folder)) as lock:
            said[name] = workshop.do(part, lock, lambda: None)
    process = workshop._process
    workshop.close()
    assert said == {"lfw": child.DONE, "none": f"--hr {tmp_path / 'none'}: no such folder: give a folder of photos"}
    assert plan.parts["lfw"].finished()["result"] == {"photos": 4} and process.returncode == 0


def test_a_second_process_takes_part_and_ends_with_the_first(tmp_path, monkeypatch):
    for name in ("CUDA_VISIBLE_DEVICES", "TF_NUM_INTRAOP_THREADS"):  # which are set for this process, too
        monkeypatch.setenv(name, "1")
    make_folders(tmp_path)
    plan = Plan(tmp_path / "out", {"photos.lfw": Place(str(tmp_path / "lfw"), "1")}, ABOUT)
    for limit in (2, 3):
        photos = {"hr": "@photos.lfw", "size": 48, "scale": 4, "framing": "centre", "limit": limit}
        plan.add(f"of-{limit}", "degrade", {"photos": photos, "by": "bicubic", "styles": None}, 1.0)
    assert reproduce._go(plan, 2, ["cpu"]) == 0
    assert {part.finished()["result"]["photos"] for part in plan.parts.values()} == {2, 3}
    assert (plan.out / "process-1.txt").read_text() == "" and "2 of 2 parts" in (plan.out / "REPORT.md").read_text()


def test_durations_are_told_as_people_say_them():
    assert [work.duration(seconds) for seconds in (5, 600, 5400, 12_030)] == [
        "5 s",
        "10 min",
        "1 h 30 min",
        "3 h 20 min",
    ]
