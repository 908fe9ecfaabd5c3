"""Commands answer at once where there is nothing to compute: they load none of what takes seconds to load."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssrvae_tf.inference.identity import identity
from ssrvae_tf.loading import places
from ssrvae_tf.photos import files, records

ROOT = Path(__file__).parents[1]
DOORS = sorted(
    path.stem
    for path in (ROOT / "ssrvae_tf").glob("*.py")
    if '__name__ == "__main__"' in path.read_text(encoding="utf-8")
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


def test_these_are_the_commands():
    assert {"fit", "upscale", "degrade", "evaluate", "export", "pack", "demo", "upscale_beam", "degrade_beam"} <= {
        *DOORS
    }


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
