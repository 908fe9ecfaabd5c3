"""How an entry point ends: `exit_cleanly`."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys

import pytest


def ending(lines: str, redirected: str = "", **streams) -> subprocess.CompletedProcess:
    """What becomes of a program that has `lines` for its work."""
    work = "\n    ".join(["def work():", *lines.splitlines()])
    code = f"import os, sys\nfrom ssrvae_tf.errors import exit_cleanly\n{work}\nexit_cleanly(work)"
    command = f"{shlex.join([sys.executable, '-c', code])} {redirected}"
    return subprocess.run(command, shell=True, stderr=subprocess.PIPE, text=True, **streams)


@pytest.mark.parametrize("lines", ["print('a line')", "print('a line', flush=True)\nraise ValueError"])
def test_a_reader_that_has_gone_ends_it_without_a_word(lines):
    read, write = os.pipe()
    os.close(read)
    done = ending(lines, stdout=write)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize(
    "error, told",
    [
        ("OSError(28, os.strerror(28), 'run/a.csv')", "run/a.csv: No space left on device"),
        ("RuntimeError(f'HDF5: errno = 28,\\n{os.strerror(28)}')", "HDF5: errno = 28, No space left on device"),
        (
            "OSError(2, 'No usable temporary directory found in /tmp')",
            "[Errno 2] No usable temporary directory found in /tmp",
        ),
    ],
)
def test_a_full_disk_is_told_in_one_line(error, told):
    done = ending(f"raise {error}")
    wanted = f"error: {told}: make room, give permission, or choose another place\n"
    assert (done.returncode, done.stderr) == (2, wanted)


def test_a_fault_of_the_program_is_not_hidden():
    assert "Traceback" in ending("raise OSError(2, os.strerror(2))").stderr


@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-"])
def test_with_closed_streams_the_work_is_done_and_what_libraries_print_is_in_no_file_of_it(closed, tmp_path):
    path = tmp_path / "result"
    lines = f"sys.stderr.isatty()\nwith open({str(path)!r}, 'w') as file:\n    os.write(2, b'noise')"
    assert ending(f"{lines}\n    file.write('a')", closed).returncode == 0
    assert path.read_text() == "a"
