"""`make` must find a Python on machines where the first one on PATH is a pyenv shim that fails, or is too new."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "scripts" / "find_python"
FAILS = "exit 127"
TOO_NEW = "exit 1"  # what the check's own exit code would be
# Says that it is Python 3.X, and is this one else.
WORKS = f"""[ "$1" = -c ] && shift && code="import sys; sys.version_info = (3, VERSION, 0, 'final', 0); $1" && shift &&
exec "{sys.executable}" -c "$code" "$@"
exec "{sys.executable}" "$@"
"""

pytestmark = pytest.mark.skipif(os.name == "nt", reason="a POSIX shell script")


def works(version: int) -> str:
    return WORKS.replace("VERSION", str(version))


def find(tmp_path, folders: dict, *arguments, **variables):
    """Run it with a PATH of these folders: {folder: {name: what the program does}}."""
    for folder, programs in folders.items():
        (tmp_path / folder).mkdir(parents=True)
        for name, does in programs.items():
            (tmp_path / folder / name).write_text(f"#!/bin/sh\n{does}\n")
            (tmp_path / folder / name).chmod(0o755)
    path = os.pathsep.join(str(tmp_path / folder) for folder in folders if not folder.startswith("pyenv"))
    environment = {"PATH": path, "HOME": str(tmp_path), "PYENV_ROOT": str(tmp_path / "pyenv"), **variables}
    command = ["/bin/sh", str(SCRIPT), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


def test_a_failing_shim_is_passed_over(tmp_path):
    result = find(tmp_path, {"shims": {"python3.11": FAILS, "python3": TOO_NEW}, "my bin": {"python3.11": works(11)}})
    assert (result.returncode, result.stdout.strip()) == (0, str(tmp_path / "my bin" / "python3.11"))


def test_pyenvs_own_versions_are_the_last_resort(tmp_path):
    result = find(tmp_path, {"shims": {"python3.10": FAILS}, "pyenv/versions/3.10.4/bin": {"python": works(10)}})
    assert (result.returncode, result.stdout.strip()) == (0, str(tmp_path / "pyenv/versions/3.10.4/bin/python"))


def test_none_is_one_line_that_says_what_to_do(tmp_path):
    result = find(tmp_path, {"bin": {"python3": TOO_NEW}})
    assert result.returncode == 1 and result.stdout == ""
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1 and "make PYTHON=" in result.stderr


def test_a_chosen_python_is_not_replaced_by_another(tmp_path):
    result = find(tmp_path, {"bin": {"python3": works(11), "python9": FAILS}}, PYTHON="python9")
    assert result.returncode == 1 and "PYTHON=python9" in result.stderr


@pytest.mark.parametrize(
    "there, arguments, wanted",
    [
        ({"bin": {"python3.12": works(12)}, "pyenv/versions/3.9.1/bin": {"python": works(9)}}, (), "3.9.1"),
        ({"bin": {"python3": works(13)}}, (), "bin/python3"),
        ({"bin": {"python3.11": works(11), "python3.12": works(12)}}, ("3.13", "3.12"), "bin/python3.12"),
        ({"bin": {"python3.12": works(12)}, "pyenv/versions/3.13.0/bin": {"python": works(13)}}, ("3.13",), "3.13.0"),
    ],
)
def test_the_older_stack_comes_first_unless_versions_are_asked_for(tmp_path, there, arguments, wanted):
    result = find(tmp_path, there, *arguments)
    assert result.returncode == 0 and wanted in result.stdout


def test_a_python_of_no_stack_is_not_taken(tmp_path):
    result = find(tmp_path, {"bin": {"python3": works(14), "python": works(8)}})
    assert result.returncode == 1 and "no Python of 3.11 3.10 3.9 3.12 3.13" in result.stderr
