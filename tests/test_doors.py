"""Commands answer at once where there is nothing to compute: they load none of what takes seconds to load."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import ssrvae_tf
from ssrvae_tf.__main__ import COMMANDS
from ssrvae_tf.inference.identity import identity
from ssrvae_tf.loading import places
from ssrvae_tf.photos import files, records

ROOT = Path(__file__).parents[1]
DOORS = sorted(
    path.stem
    for path in (ROOT / "ssrvae_tf").glob("*.py")
    if '__name__ == "__main__"' in path.read_text(encoding="utf-8") and path.stem != "__main__"
)
_CODE = """
import runpy, sys

def run(name, *arguments):
    sys.argv[:] = [name, *arguments]
    try:
        runpy.run_module(name, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        print("code", end.code, flush=True)

{calls}
slow = {{"tensorflow", "keras", "tf_keras", "skimage", "scipy", "h5py", "pyvips", "requests"}}
assert not slow & set(sys.modules), slow & set(sys.modules)
"""


def answers(*calls: list[str]) -> subprocess.CompletedProcess:
    """What commands say, in one process that ends with an assertion about the modules that it loaded."""
    code = _CODE.format(calls="\n".join(f"run(*{call!r})" for call in calls))
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done


def test_these_are_the_commands_of_ssrvae():
    assert {*COMMANDS} == {*DOORS}


def ssrvae(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "ssrvae_tf", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120
    )


def test_ssrvae_names_its_commands_and_its_version():
    said = ssrvae("--help").stdout
    assert all(f"\n  {name} " in said for name in COMMANDS)
    assert ssrvae().stdout == said
    assert ssrvae("--version").stdout == f"ssrvae {ssrvae_tf.__version__}\n"
    assert ssrvae("upscale", "--help").stdout.startswith("usage: ssrvae upscale ")


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["upscal"], "error: upscal: no such command: did you mean upscale?\n"),
        (["upscale", "--modle", "x"], "error: --modle: no such option: did you mean model?\n"),
    ],
)
def test_ssrvae_tells_a_mistake_in_one_line(arguments, message):
    done = ssrvae(*arguments)
    assert (done.returncode, done.stderr, done.stdout) == (2, message, "")


@pytest.mark.parametrize(
    "line, wanted",
    [
        ("ssrvae upsc", {"upscale", "upscale_beam"}),
        ("ssrvae --ver", {"--version"}),
        ("ssrvae upscale --mod", {"--model"}),
        ("ssrvae fit --sr-network.fil", {"--sr-network.filters"}),
    ],
)
def test_a_shell_completes_commands_and_options(line, wanted, tmp_path):
    found = tmp_path / "completions"
    asked = {"_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)), "_ARGCOMPLETE_IFS": "\n"}
    ssrvae(**asked, _ARGCOMPLETE_STDOUT_FILENAME=str(found))
    assert {each.strip() for each in found.read_text().split("\n")} == wanted


@pytest.mark.parametrize("door", DOORS)
def test_help_and_a_refused_option_load_nothing_slow(door):
    done = answers([f"ssrvae_tf.{door}", "--help"], [f"ssrvae_tf.{door}", "--modle", "x", "--scale", "five"])
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"usage: python -m ssrvae_tf.{door}")
    assert [line for line in lines if line.startswith("code ")] == ["code 0", "code 2"]
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1


@pytest.mark.parametrize("door", ["upscale", "degrade"])
def test_a_job_whose_results_are_all_there_loads_nothing_slow(door, tmp_path):
    Image.new("RGB", (6, 5)).save(tmp_path / "a.png")
    size = (tmp_path / "a.png").stat().st_size
    options = [str(tmp_path), "--out", str(tmp_path / "out")]
    there = tmp_path / "out" / "a_x4.png"
    if door == "degrade":
        options, there = ["--hr", *options], tmp_path / "out" / "LR" / "X4" / "a.png"
    there.parent.mkdir(parents=True)
    model = places.chosen("faces-x4")
    made = records.of_result(there, size, identity(model), 4, 95, "auto", 8, 1.0, places.detail_of(model))
    if door == "degrade":
        made = records.of_pair(size, identity("faces-style"), None, "a.png", 1, 0)
    files.write(files.Photo(np.zeros((20, 24, 3), np.uint8)), there, made=made)
    before = there.read_bytes()
    done = answers([f"ssrvae_tf.{door}", *options])
    assert done.stdout == f"{there} is there already; --overwrite makes it anew\ncode 0\n"
    assert there.read_bytes() == before and not done.stderr and os.listdir(tmp_path / "out")
