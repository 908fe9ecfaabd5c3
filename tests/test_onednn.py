"""What oneDNN makes a difference to, with it and without: TensorFlow switches it on by itself on newer processors."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PLACES = ("tests/exporting", "tests/inference", "tests/models")


def test_marked_tests_pass_with_onednn_and_without():
    # The variable is read when TensorFlow is loaded. Both at once: half of the time of each is spent on that.
    command = [sys.executable, "-m", "pytest", "-q", "-m", "onednn", "-p", "no:cacheprovider", *PLACES]
    running = {
        setting: subprocess.Popen(
            command,
            cwd=Path(__file__).parents[1],
            env={**os.environ, "TF_ENABLE_ONEDNN_OPTS": setting},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for setting in "01"
    }
    for setting, process in running.items():
        said, _ = process.communicate()
        assert process.returncode == 0, f"TF_ENABLE_ONEDNN_OPTS={setting}: {said[-5000:]}"
