"""Numbered folders as TensorFlow Serving wants them: BASE/1, BASE/2, ..."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Iterator

from ssrvae_tf.errors import UserError

KEPT = 2  # versions, unless told
LAST = 2**63 - 1  # servers read numbers as int64


def is_number(name: str) -> bool:
    return name.isascii() and name.isdigit()


def numbered(base: Path) -> list[Path]:
    """The folders in `base` that are named by a number, the greatest first; none if `base` is no folder."""
    if not base.is_dir():
        return []
    found = [each for each in base.iterdir() if is_number(each.name) and each.is_dir()]
    return sorted(found, key=lambda each: int(each.name), reverse=True)


def taken(base: Path) -> set[int]:
    """The numbers that anything in `base` has for its name, whatever it is."""
    return {int(each.name) for each in base.iterdir() if is_number(each.name)} if base.is_dir() else set()


def newest(base: Path, file: str) -> Path | None:
    """The greatest numbered folder in `base` that holds `file`."""
    return next((each for each in numbered(base) if (each / file).is_file()), None)


@contextlib.contextmanager
def looking_for(path: Path) -> Iterator[None]:
    """While a model is looked for at `path`, which may be no path at all, such as a name that is too long.

    Raises:
        UserError: in place of the system's own errors.
    """
    try:
        yield
    except OSError as error:
        raise UserError(f"{str(path)[:80]}: no such model ({error.strerror})") from error
