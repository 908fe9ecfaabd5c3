"""Many photos: what is found, where results go, and what happens when something goes wrong."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssrvae_tf import photo_files
from ssrvae_tf.errors import UserError
from ssrvae_tf.photo_files import Photo
from ssrvae_tf.photo_jobs import Item, Outcome, Source, check_folder, find_sources, plan, run

ROOT = Path(__file__).parent.parent


def make(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (6, 5), (90, 60, 30)).save(path)


def found(*words, recursive=False, apart=None) -> dict[str, str]:
    sources, failed = find_sources([str(word) for word in words], recursive, apart, "_compare.png")
    assert not failed
    return {str(source.path): source.inside.as_posix() for source in sources}


def test_files_folders_and_globs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make(tmp_path, "a.png", "d/b.jpg", "d/e/c.webp", "d/[x].png")
    Path("d/notes.txt").write_text("no photo")
    assert found("a.png") == {"a.png": "a.png"}
    assert found("d") == {"d/[x].png": "[x].png", "d/b.jpg": "b.jpg"}
    assert set(found("d", recursive=True).values()) == {"[x].png", "b.jpg", "e/c.webp"}
    assert found("d/*.jpg", "d/b.jpg") == {"d/b.jpg": "b.jpg"}
    assert set(found("**/*.webp", "d/b*").values()) == {"c.webp", "b.jpg"}
    assert found("d/[x].png") == {"d/[x].png": "[x].png"}, "a name may look like a glob"
    assert found("gone.png") == {"gone.png": "gone.png"}, "it fails in its turn"


def test_several_folders_keep_their_names_apart(tmp_path):
    make(tmp_path, "one/a.png", "two/a.png")
    assert set(found(tmp_path / "one", tmp_path / "two").values()) == {"one/a.png", "two/a.png"}


def test_results_inside_a_named_folder_are_no_photos(tmp_path):
    make(tmp_path, "a.png", "out/a_x4.png")
    assert set(found(tmp_path, recursive=True, apart=tmp_path / "out").values()) == {"a.png"}
    assert set(found(tmp_path, recursive=True, apart=tmp_path).values()) == {"a.png", "out/a_x4.png"}


@pytest.mark.parametrize("word, message", [("empty", "no photos found"), ("*.png", "no file matches")])
def test_nothing_found_is_an_error(tmp_path, monkeypatch, word, message):
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    with pytest.raises(UserError, match=message):
        found(word)


def test_what_holds_no_photo_does_not_stop_the_others(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make(tmp_path, "a.png", "d/e/b.png")
    Path("empty").mkdir()
    sources, failed = find_sources(["a.png", "empty", "*.tif", "d", "x" * 300])
    assert [source.path.name for source in sources] == ["a.png", "x" * 300]
    assert [line.split(":")[0] for line in failed] == ["empty", "*.tif", "d"] and "--recursive" in failed[2]


def test_sheets_are_passed_over_unless_they_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make(tmp_path, "a.png", "a_compare.png")
    assert list(found(".")) == list(found("*.png")) == ["a.png"]
    assert list(found("a_compare.png")) == ["a_compare.png"]


def targets(names, out=Path("out")) -> list[str]:
    sources = [Source(Path(name), Path(name)) for name in names]
    items = plan(sources, out, lambda s, apart: f"{s.path.name if apart else s.path.stem}_x4.png")
    return [item.target.as_posix() for item in items]


def test_no_two_photos_share_a_target_whatever_their_order():
    names = ["a.png", "a.jpg", "b.png", "d/a.png"]
    wanted = {"out/a.png_x4.png", "out/a.jpg_x4.png", "out/b_x4.png", "out/d/a_x4.png"}
    assert set(targets(names)) == set(targets(names[::-1])) == wanted


def test_names_that_some_disks_take_for_one_are_told_apart():
    assert len({name.casefold() for name in targets(["a.png", "A.png", "a.PNG"])}) == 3


def test_earlier_results_beside_the_photos_are_left_out():
    assert targets(["a.png", "a_x4.png", "b_x4.png"], None) == ["a_x4.png", "b_x4_x4.png"]


def test_earlier_results_in_the_folder_of_the_photos_are_left_out():
    assert targets(["p/a.png", "p/a_x4.png"], Path()) == ["p/a_x4.png"]


def test_earlier_results_that_tell_kinds_apart_are_left_out():
    earlier = targets(["a.png", "a.jpg"], None)
    assert earlier == ["a.png_x4.png", "a.jpg_x4.png"]
    assert targets(["a.png", "a.jpg", *earlier], None) == earlier


def test_a_mark_tells_photos_of_one_name_apart_whichever_are_there():
    def all_in(names):
        sources = [Source(Path(name), Path(Path(name).name)) for name in names]
        items = plan(sources, Path("out"), lambda s, apart: f"{s.path.name if apart else s.path.stem}_x4.png")
        return {item.source.as_posix(): item.target.name for item in items}

    three = all_in(["x/a.png", "y/a.png", "z/a.png"])
    assert len(set(three.values())) == 3
    assert all_in(["z/a.png", "y/a.png"]).items() <= three.items()


def test_a_folder_that_cannot_be_written_is_found_before_the_work(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="--out .*file/out: cannot be written"):
        check_folder(tmp_path / "file" / "out", "--out")


def test_what_a_killed_process_left_is_removed(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / f".a.{dead.pid}.part.png").write_text("half")
    (tmp_path / f".b.{os.getpid()}.part.png").write_text("being written")
    (tmp_path / ".hidden.png").write_text("not ours")
    check_folder(tmp_path, "--out")
    assert sorted(path.name for path in tmp_path.iterdir()) == [f".b.{os.getpid()}.part.png", ".hidden.png"]


def job(items, work=None, write=None, jobs=2) -> Outcome:
    outcome = Outcome()
    run(
        items,
        lambda item: photo_files.read(item.source),
        work or (lambda item, photo, report: photo),
        write or (lambda item, photo, result: photo_files.write(result, item.target)),
        outcome,
        "test",
        jobs,
    )
    return outcome


@pytest.fixture
def items(tmp_path):
    make(tmp_path, *(f"{i}.png" for i in range(7)))
    return [Item(tmp_path / f"{i}.png", tmp_path / f"{i}_x.png", 6, 5) for i in range(7)]


def test_every_photo_is_done_and_a_bad_one_is_passed_over(items):
    items[2].source.write_text("no photo")
    outcome = job(items)
    assert outcome.written == [item.target for item in items if item is not items[2]]
    assert len(outcome.failed) == 1 and "2.png: cannot be read" in outcome.failed[0]
    assert outcome.code == 1 and not outcome.stopped


def test_a_photo_too_large_for_the_memory_is_passed_over(items):
    def work(item, photo, report):
        if item is items[1]:
            raise MemoryError
        return photo

    outcome = job(items, work)
    assert len(outcome.written) == 6 and outcome.failed == [f"{items[1].source}: 6x5 needs more memory than there is"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_takes_no_more_ends_the_job(items, number):
    def write(item, photo, result):
        if item is items[1]:
            raise OSError(number, os.strerror(number))
        photo_files.write(result, item.target)

    outcome = job(items, write=write, jobs=1)
    assert os.strerror(number) in outcome.stopped and outcome.code == 1
    assert not items[-1].target.exists() and items[0].target in outcome.written


def test_a_fault_of_the_program_is_not_hidden(items):
    def work(item, photo, report):
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        job(items, work)


def test_reading_and_writing_go_on_while_the_work_does(items):
    def slowly(function):
        def called(*arguments):
            time.sleep(0.1)
            return function(*arguments)

        return called

    outcome, start = Outcome(), time.monotonic()
    run(
        items,
        slowly(lambda item: Photo(np.zeros((2, 2, 3), np.uint8))),
        slowly(lambda item, photo, report: photo),
        slowly(lambda item, photo, result: None),
        outcome,
        "test",
    )
    assert time.monotonic() - start < 0.1 * 3 * len(items) * 0.75


_JOB = """
import signal, sys, time
from pathlib import Path
from ssrvae_tf import errors, photo_files, photo_jobs, writing

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job would ignore it
folder = Path(sys.argv[1])
items = [photo_jobs.Item(folder / f"{i}.png", folder / f"{i}_x.png", 6, 5) for i in range(7)]

def write(item, photo, result):
    part = writing.part_of(item.target)
    try:
        part.write_text("half")
        (folder / "begun").touch()
        time.sleep(1)
        photo_files.write(result, item.target)
    finally:
        part.unlink(missing_ok=True)

def main():
    read = lambda item: photo_files.read(item.source)
    photo_jobs.run(items, read, lambda item, photo, report: photo, write, photo_jobs.Outcome(), "test", 1)

errors.exit_cleanly(main)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_whole_files_only(items, number):
    folder = items[0].source.parent
    process = subprocess.Popen([sys.executable, "-c", _JOB, str(folder)], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    while not (folder / "begun").exists() and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in errors, errors
    assert not list(folder.glob(".*part*"))
    done = list(folder.glob("*_x.png"))
    assert 1 <= len(done) < 7
    for path in done:
        Image.open(path).load()
