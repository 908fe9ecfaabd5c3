"""How a user's mistake reaches the user: one line, no traceback."""

from __future__ import annotations

import atexit
import sys
import warnings
from typing import Callable


class UserError(Exception):
    """Bad input. The text says what came, what was wanted and what to do."""


def one_line(error: Exception) -> str:
    """What an error of other code says, in one short line."""
    return " ".join(str(error).split())[:200]


def exit_cleanly(main: Callable[[], int | None]) -> None:
    """Run an entry point and leave the process with its exit code.

    0 or what `main` returns; 2 after a `UserError`, whose text is printed as one line; 130 after Ctrl-C.
    """
    for stream in (sys.stdout, sys.stderr):  # names of files may be in no encoding
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    warnings.filterwarnings("ignore", module="PIL")  # of metadata, without the name of the photo
    # Some of TensorFlow's objects cannot be let go once Python ends, and say so by a traceback.
    atexit.register(setattr, sys, "unraisablehook", lambda told: None)
    try:
        code = main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        code = 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        code = 130
    sys.exit(code)
