"""Numbered folders as TensorFlow Serving wants them: BASE/1, BASE/2, ..."""

from __future__ import annotations

from pathlib import Path


def numbered(base: Path) -> list[Path]:
    """The folders in `base` that are named by a number, the greatest first; none if `base` is no folder."""
    if not base.is_dir():
        return []
    found = [each for each in base.iterdir() if each.name.isascii() and each.name.isdigit() and each.is_dir()]
    return sorted(found, key=lambda each: int(each.name), reverse=True)


def newest(base: Path, file: str) -> Path | None:
    """The greatest numbered folder in `base` that holds `file`."""
    return next((each for each in numbered(base) if (each / file).is_file()), None)
