"""The load test itself, on a server that answers at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks import serving_load


def test_a_step_ends_after_so_many_requests_and_counts_each(stand_in):
    made = serving_load.load(f"{stand_in.rest}/v1/models/ssrvae", serving_load.photo(8), 3, 60, 7)
    assert len(made.seconds) == 7 and not made.refused and 0 < max(made.seconds) <= made.wall < 60
    assert made.row().split()[:3] == ["3", "7", "0"]


def test_a_step_ends_after_its_time(stand_in):
    made = serving_load.load(f"{stand_in.rest}/v1/models/ssrvae", serving_load.photo(8), 1, 0.0, 1000)
    assert len(made.seconds) <= 1


def test_what_is_refused_is_no_answer(stand_in):
    made = serving_load.load(f"{stand_in.rest}/v1/models/nobody", serving_load.photo(8), 1, 60, 2)
    assert made.seconds == [] and made.refused == {"404": 2}


def test_other_machines_are_not_asked():
    command = [sys.executable, "-m", "benchmarks.serving_load", "--server", "http://example.com:8501"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "only a server of this machine" in done.stderr
