"""Many photos: what happens when something goes wrong."""

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

from ssrvae_tf.photos import files as photo_files
from ssrvae_tf.photos.files import Photo
from ssrvae_tf.photos.folders import Item
from ssrvae_tf.photos.jobs import Outcome, run

ROOT = Path(__file__).parents[2]


def make(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (6, 5), (90, 60, 30)).save(path)


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
from ssrvae_tf import errors
from ssrvae_tf.photos import files as photo_files
from ssrvae_tf.photos import folders, writing
from ssrvae_tf.photos import jobs as photo_jobs

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job would ignore it
folder = Path(sys.argv[1])
items = [folders.Item(folder / f"{i}.png", folder / f"{i}_x.png", 6, 5) for i in range(7)]

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


@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_leaves_whole_files_only(items, number, code):
    folder = items[0].source.parent
    process = subprocess.Popen([sys.executable, "-c", _JOB, str(folder)], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    while not (folder / "begun").exists() and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code and "Traceback" not in errors, errors
    assert not list(folder.glob(".*part*"))
    done = list(folder.glob("*_x.png"))
    assert 1 <= len(done) < 7
    for path in done:
        Image.open(path).load()
