"""Whose turn it is, and what is kept for how long."""

from __future__ import annotations

import queue
import subprocess
import sys
import time

import pytest
from PIL import Image

from ssrvae_tf.errors import UserError
from ssrvae_tf.page import shelf, worker
from ssrvae_tf.page.shelf import Job, Shelf
from ssrvae_tf.page.worker import Result, Settings, Task, View, named

SETTINGS = Settings("faces-x4", None, 1.0)
RESULT = Result("photo_x4.png", "a_x4.png", View(1, 1, 1), View(4, 4, 1), (), "")


class ByHand:
    """Takes the place of the process that enlarges: ends each photo when it is told to."""

    begun: queue.Queue = queue.Queue()
    end: queue.Queue = queue.Queue()

    def __init__(self, *_):
        pass

    def work(self, task, wanted):
        self.begun.put(task.name)
        yield from self.end.get()

    def kill(self):
        self.end.put([])


@pytest.fixture
def kept(tmp_path, monkeypatch, request):
    """Keeps photos for a minute, or as long as a test says."""
    monkeypatch.setattr(ByHand, "begun", queue.Queue())
    monkeypatch.setattr(ByHand, "end", queue.Queue())
    monkeypatch.setattr(shelf, "_Process", ByHand)
    each = Shelf(tmp_path, keep=getattr(request, "param", 60.0), most=5, engine="auto", precision="float32")
    yield each
    each.close()


def brought(kept: Shelf, owner: str, name: str) -> Job:
    photo = kept.new_folder() / "photo.png"
    photo.touch()
    return kept.add(owner, Task(photo, name, SETTINGS, 1.0))


def test_sessions_take_turns_whatever_they_bring(kept):
    anna, ben, carl = (kept.open_session(None) for _ in range(3))
    jobs = {name: brought(kept, anna, name) for name in ("a1", "a2", "a3")}
    assert ByHand.begun.get(timeout=60) == "a1"
    jobs.update({name: brought(kept, ben, name) for name in ("b1", "b2")})
    jobs["c1"] = brought(kept, carl, "c1")
    order = ["b1", "c1", "a2", "b2", "a3"]
    assert [kept.ahead(jobs[name]) for name in order] == [1, 2, 3, 4, 5]
    kept.cancel(jobs["b2"])
    order.remove("b2")
    for name in order:
        ByHand.end.put([("done", RESULT)])
        assert ByHand.begun.get(timeout=60) == name
        assert kept.ahead(jobs[name]) == 0


def test_a_photo_that_is_given_up_while_it_is_at_work_stays_so(kept):
    owner = kept.open_session(None)
    job = brought(kept, owner, "a")
    ByHand.begun.get(timeout=60)
    kept.cancel(job)
    other = brought(kept, owner, "b")
    assert ByHand.begun.get(timeout=60) == "b" and (job.state, other.state) == ("cancelled", "running")
    ByHand.end.put([("failed", "b: no photo")])
    while other.state == "running":
        time.sleep(0.01)
    assert (other.state, other.error) == ("failed", "b: no photo")


def test_no_process_is_begun_for_a_photo_once_all_is_closed(tmp_path, monkeypatch):
    class Begins(ByHand):
        def work(self, task, wanted):
            self.wanted = wanted
            yield from super().work(task, wanted)

        def kill(self):
            seen.append(self.wanted())
            super().kill()

    seen = []
    monkeypatch.setattr(shelf, "_Process", Begins)
    kept = Shelf(tmp_path, keep=60.0, most=5, engine="auto", precision="float32")
    brought(kept, kept.open_session(None), "a")
    assert ByHand.begun.get(timeout=60) == "a"
    kept.close()
    assert seen == [False]


@pytest.mark.parametrize("kept", [0.3], indirect=True)
def test_what_is_not_asked_for_goes_but_not_what_waits(kept):
    owner, idle = kept.open_session(None), kept.open_session(None)
    job = brought(kept, owner, "a")
    ByHand.begun.get(timeout=60)
    left = brought(kept, idle, "b")
    time.sleep(0.5)
    assert kept.of(owner) and kept.of(idle), "they wait for what they have brought"
    ByHand.end.put([("done", RESULT)])
    ByHand.begun.get(timeout=60)
    ByHand.end.put([("done", RESULT)])
    end = time.monotonic() + 60
    while job.folder.exists() or left.folder.exists():
        kept.knows("somebody else")
        assert time.monotonic() < end
        time.sleep(0.02)
    assert not kept.knows(owner) and kept.open_session(owner) != owner


def test_there_is_room_for_so_many(kept):
    owner = kept.open_session(None)
    for number in range(5):
        kept.check_room(owner)
        brought(kept, owner, str(number))
    with pytest.raises(UserError, match="there are 5 photos already: remove some first"):
        kept.check_room(owner)
    kept.check_room(kept.open_session(None))


def test_the_time_that_is_left_goes_by_the_pace_of_the_network(monkeypatch, tmp_path):
    now = [100.0]
    monkeypatch.setattr(shelf.time, "monotonic", lambda: now[0])
    job = Job("key", "owner", 1, Task(tmp_path / "photo.png", "a.png", SETTINGS, 1.0), state="running")
    job.hear("stage", "Loading the network")
    assert job.seconds_left() is None
    now[0] = 130.0
    job.hear("rows", 0, 400)
    assert job.seconds_left() is None, "nothing is known of its pace"
    now[0] = 140.0
    job.hear("rows", 100, 400)
    assert job.share == 0.25 and job.seconds_left() == 30
    now[0] = 145.0
    assert job.seconds_left() == 25
    now[0] = 500.0
    assert job.seconds_left() == 0


def test_temporary_files_lie_in_a_private_folder_that_goes_with_the_process(tmp_path):
    scratch, photo = tmp_path / "scratch", tmp_path / "photo.png"
    photo.write_bytes(b"no photo")
    process = shelf._Process(scratch, "auto", "float32")
    told = list(process.work(Task(photo, "a.png", SETTINGS, 1.0), lambda: True))
    assert told[-1][0] == "failed" and scratch.stat().st_mode & 0o077 == 0
    (scratch / "left").touch()  # as by one that is ended in the midst of its work
    process.kill()
    assert not scratch.exists()
    there = """
import os, tempfile
from multiprocessing import Pipe
from ssrvae_tf.page import worker
ours, theirs = Pipe()
ours.close()
worker.serve(theirs, "scratch", "auto", "float32")
print(tempfile.gettempdir(), os.environ["TMPDIR"])
"""
    said = subprocess.run([sys.executable, "-c", there], check=True, capture_output=True, text=True)
    assert said.stdout.split() == ["scratch", "scratch"]


def test_a_process_that_cannot_be_begun_is_told_and_the_next_photo_has_its_turn(tmp_path):
    scratch, photo = tmp_path / "scratch", tmp_path / "photo.png"
    scratch.write_text("in the way")
    process, task = shelf._Process(scratch, "auto", "float32"), Task(photo, "a.png", SETTINGS, 1.0)
    told = "a.png: cannot be begun here (File exists): tell whoever runs this page"
    assert list(process.work(task, lambda: True)) == list(process.work(task, lambda: True)) == [("failed", told)]


def test_a_network_that_is_made_faster_says_so_meanwhile(tmp_path, monkeypatch):
    photo, stages = tmp_path / "photo.png", []
    Image.new("RGB", (8, 8)).save(photo)

    def fastest(*given, making):
        making()
        raise UserError("enough")

    monkeypatch.setattr("ssrvae_tf.inference.fast_engine.fastest", fastest)
    with pytest.raises(UserError, match="enough"):
        task = Task(photo, "a.png", SETTINGS, 1.0)
        worker._enlarged(task, worker._Networks("auto", "float32"), lambda *told: stages.append(told))
    assert stages[-1][0] == "stage" and "faster" in stages[-1][1] and "about a minute" in stages[-1][1]


def test_lines_name_a_photo_as_its_owner_does(tmp_path):
    photo = tmp_path / "photo.jpg"
    assert named(f"{photo}: cannot be read", photo, "a.jpg") == "a.jpg: cannot be read"
    assert named(f"{tmp_path / 'photo_x4.jpg'}: no room", photo, "a.jpg") == "photo_x4.jpg: no room"
