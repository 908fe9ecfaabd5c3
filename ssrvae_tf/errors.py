"""How a user's mistake reaches the user: one line, no traceback."""

from __future__ import annotations

import atexit
import contextlib
import errno
import os
import sys
import warnings
from typing import Callable

_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)


class UserError(Exception):
    """Bad input. The text says what came, what was wanted and what to do."""


def one_line(error: Exception) -> str:
    """What an error of other code says, in one short line."""
    return " ".join(str(error).split())[:200]


def of_the_disk(error: Exception) -> str:
    """What the system says of a disk, or a place, that takes nothing, such as "No space left on device", where that is
    what an error is about; "" else. HDF5 and TensorFlow have errors of their own for it, with that among their words,
    and Python where there is no place for temporary files, which TensorFlow needs.
    """
    texts = [*map(os.strerror, _UNWRITABLE), "No usable temporary directory"]
    return next((text for text in texts if text in str(error)), "")


def exit_cleanly(main: Callable[[], int | None]) -> None:
    """Run an entry point and leave the process with its exit code.

    0 or what `main` returns; 2 after a `UserError`, whose text is printed as one line, and where the system lets
    nothing be written; 130 after Ctrl-C; 141, silently, when whoever reads what is printed has gone, as `head` does.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed; a file of the work would get its number, and what libraries print
            setattr(sys, name, open(os.devnull, mode))
    for stream in (sys.stdout, sys.stderr):  # names of files may be in no encoding
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    warnings.filterwarnings("ignore", module="PIL")  # of metadata, without the name of the photo
    # Some of TensorFlow's objects cannot be let go once Python ends, and say so by a traceback.
    atexit.register(setattr, sys, "unraisablehook", lambda told: None)
    try:
        code = main()
        sys.stdout.flush()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        code = 2
    except BrokenPipeError:
        _print_nowhere()
        code = 141  # as of a program that SIGPIPE ends
    except Exception as error:
        said = of_the_disk(error)
        if not said:
            raise
        _print_nowhere()
        path = getattr(error, "filename", None)
        told = f"{path}: {said}" if path else one_line(error)
        print(f"error: {told}: make room, give permission, or choose another place", file=sys.stderr)
        code = 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        code = 130
    sys.exit(code)


def _print_nowhere() -> None:
    """What is left to be printed would fail again when Python ends."""
    with contextlib.suppress(OSError), open(os.devnull, "w") as nowhere:  # stdout may be no file
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
