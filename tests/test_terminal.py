"""What is seen on a terminal: each test looks at one of its own, through a pseudo-terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent
_JOB = """
import os, time
from pathlib import Path
import numpy as np
from ssrvae_tf.photos import jobs
from ssrvae_tf.photos.files import Photo
from ssrvae_tf.photos.folders import Item

def work(item, photo, report):
    os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\\n")
    os.write(2, b"I0000 00:00:1795713774.610878   25624 device_compiler.h:186] Compiled cluster using XLA!\\n")
    os.write(2, b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\\n")
    os.write(2, b"terminate called\\n")
    time.sleep(0.15)
    report(1, 2)
    return photo

items = [Item(Path(f"{number}.png"), Path("x.png"), 1000, 1000) for number in range(3)][:COUNT]
photo = Photo(np.zeros((2, 2, 3), np.uint8), note="a note")
jobs.run(items, lambda item: photo, work, lambda *_: None, jobs.Outcome(), "upscale")
"""


def seen(code: str, columns: int = 80) -> str:
    """What a terminal of that width gets from a Python program on stderr."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    parts = []
    try:
        while part := os.read(ours, 65536):
            parts.append(part)
    except OSError:  # the end, on Linux
        pass
    os.close(ours)
    assert process.wait() == 0, b"".join(parts)
    return b"".join(parts).decode()


def bars(text: str) -> list[str]:
    return [line for line in re.split(r"[\r\n]+", text) if line.startswith("upscale:")]


@pytest.mark.parametrize("columns", [40, 60, 75, 200])
def test_a_bar_tells_photos_and_their_pace_and_has_room_or_is_left_out(columns):
    last = bars(seen(_JOB.replace("COUNT", "2"), columns))[-1]
    assert len(last) <= columns and "2/2" in last and "MP" not in last
    (bar,) = re.findall(r"\|(.*)\|", last) or [None]
    assert bar is None if columns < 72 else len(bar) > columns - 66
    assert columns < 72 or re.search(r"2/2 photos \[00:00<00:00, \d\.\d s/photo\]", last)


def test_no_line_of_a_library_goes_through_the_bar_and_no_other_is_lost():
    text = seen(_JOB.replace("COUNT", "1"))
    assert not re.search("absl|XLA|XNNPACK", text)
    assert "50%" in "".join(bars(text)), "the bar moves meanwhile"
    lines = [line.split("\r")[-1].removeprefix("\033[K") for line in text.split("\r\n")]
    assert "a note" in lines and "terminate called" in lines


def test_without_a_place_for_temporary_files_all_is_shown():
    code = "import tempfile\ntempfile.tempdir = '/nowhere'\n" + _JOB.replace("COUNT", "2")
    text = seen(code)
    assert "terminate called" in text and "2/2" in bars(text)[-1]


def test_other_bars_are_left_out_where_there_is_no_room():
    code = "from ssrvae_tf.terminal import Bar\nfor _ in Bar(range(3), 'pairs', disable=None): pass"
    assert re.search(r"pairs: 100% 3/3 \[00:00<00:00\]", seen(code, 44)) and "|" not in seen(code, 44)
    assert re.search(r"pairs: 100%\|.{20,}\| 3/3", seen(code, 80))


def test_what_takes_its_time_is_said_on_one_line_and_taken_back():
    code = "from ssrvae_tf.terminal import saying\nwith saying('loading ' + 90 * 'x'): pass"
    first, second = seen(code, 60).split("\r", 1)
    assert first.startswith("loading xxx") and len(first) == 59 and second == "\033[K"


_DOOR = """
import importlib.abc, runpy, sys

class Stop(importlib.abc.MetaPathFinder):
    def find_spec(self, name, *_):
        if name == "tensorflow":
            print("<here it takes seconds>", file=sys.stderr, flush=True)
            sys.exit(0)

sys.meta_path.insert(0, Stop())
sys.argv[:] = WORDS
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize(
    "words",
    [
        "upscale {photos}",
        "upscale {photos} --device cpu --model runs/none",
        "degrade --hr {photos} --out {photos}/pairs",
        "evaluate --model faces-x4 --hr {photos}",
        "export faces-x4 --tflite {photos}/a.tflite",
        "fit --stage sr --hr {photos} --out {photos}/run",
        "demo --out {photos}/demo.png",
    ],
)
def test_commands_say_what_they_load_before_they_do(tmp_path, words):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    words = f"ssrvae_tf.{words.format(photos=tmp_path)}".split()
    before, _, _ = seen(_DOOR.replace("WORDS", repr(words))).partition("<here it takes seconds>")
    assert re.search(r"(loading|starting) [^\r]+ \.\.\.$", before)


def test_a_log_gets_none_of_it():
    code = "from ssrvae_tf.terminal import saying\nwith saying('loading'): pass"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True).stderr == b""


def test_a_command_starts_tensorflow_without_a_word_of_its_own():
    code = (
        "import importlib.util, os\nfrom ssrvae_tf import terminal\nterminal.quiet_start()\n"
        "assert importlib.util.find_spec('tensorflow')\n"  # as some libraries do, to see whether it is there
        "import tensorflow as tf, keras\nassert os.environ['KERAS_BACKEND'] == keras.backend.backend() == 'tensorflow'"
        "\nprint(int(tf.constant(1)))"
    )
    others = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    others["KERAS_BACKEND"] = "torch"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, env=others)
    assert (done.stdout, done.stderr) == (b"1\n", b"")
