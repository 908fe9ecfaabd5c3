"""Imports within the package go one way, which .importlinter draws, and what takes long is imported late."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_imports_go_one_way_and_files_know_no_tensorflow():
    command = [Path(sysconfig.get_path("scripts"), "lint-imports"), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 kept, 0 broken" in done.stdout


def test_what_a_style_vae_alone_needs_is_imported_with_the_first():
    code = """
import sys
import ssrvae_tf
ssrvae_tf.load("faces-x4")
assert "tensorflow_probability" not in sys.modules
ssrvae_tf.load("faces-style")
assert "tensorflow_probability" in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
