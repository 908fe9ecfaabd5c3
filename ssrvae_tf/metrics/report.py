"""Figures of several methods, side by side."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Sequence

from ssrvae_tf.photos.sheets import sheet
from ssrvae_tf.photos.writing import replacing, write_picture

_SIGNED = ("gain", "shift", "difference")  # columns whose names end so show a sign
_WIDEST = 160  # of a table, in characters, before it is turned


@dataclass
class Report:
    """A table: one row per method, one column per figure.

    Args:
        title: what was measured, on what and on how many photos.
        digits: column -> digits after the point, in the order of the columns.
        rows: method -> {column: figure}; a missing figure is shown as "-".
        settings: what is needed to repeat the measurement; goes to JSON only.
        intervals: method -> {column: (low, high)}, of those figures that have one.
        pictures: (what it is, pictures (H, W, 3) uint8, one for each of `columns`, or None).
        columns: titles of the pictures.

    Examples:
        >>> rows = {"bicubic": {"PSNR": 29.2}, "ours": {"PSNR": 32.1}}
        >>> print(Report("3 photos", {"PSNR": 2}, rows).table())
        3 photos
                  PSNR
        bicubic  29.20
        ours     32.10
    """

    title: str
    digits: dict
    rows: dict
    settings: dict = field(default_factory=dict)
    intervals: dict = field(default_factory=dict)
    pictures: list = field(default_factory=list)
    columns: Sequence[str] = ()

    def beside(self, other: Report) -> Report:
        """This report, with the columns and pictures of another one of the same methods after its own."""
        return Report(
            f"{self.title}; {other.title}",
            {**self.digits, **other.digits},
            _merged(self.rows, other.rows),
            {**self.settings, **other.settings},
            _merged(self.intervals, other.intervals),
            self.pictures + other.pictures,
            self.columns,
        )

    def table(self) -> str:
        """The title and the rows as aligned text; a table that is too wide has a row per figure instead."""
        lines = [["", *self.digits]]
        for name in self.rows:
            lines.append([name] + [self._text(name, column) for column in self.digits])
        if sum(_widths(lines)) + 2 * len(self.digits) > _WIDEST:
            lines = [list(line) for line in zip(*lines)]
        widths = _widths(lines)
        aligned = [
            "  ".join(
                text.rjust(width) if i else text.ljust(width) for i, (text, width) in enumerate(zip(line, widths))
            )
            for line in lines
        ]
        return "\n".join([self.title, *aligned])

    def write(self, path: str | Path) -> list[Path]:
        """Title, settings, rows and intervals as JSON, figures unrounded, and beside it a sheet of the pictures.

        Parent folders are made. Returns what was written.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {"title": self.title, "settings": self.settings, "rows": self.rows, "intervals": self.intervals}
        with replacing(path) as part:
            part.write_text(json.dumps(content, indent=2, default=str) + "\n")
        if not self.pictures:
            return [path]
        notes = [[what, *[""] * (len(pictures) - 1)] for what, pictures in self.pictures]
        drawn = sheet([pictures for _, pictures in self.pictures], self.columns, notes)
        write_picture(drawn, path.with_suffix(".png"))
        return [path, path.with_suffix(".png")]

    def _text(self, row: str, column: str) -> str:
        if column not in self.rows[row]:
            return "-"
        form = f"{'+' if column.endswith(_SIGNED) else ''}.{self.digits[column]}f"
        low, high = self.intervals.get(row, {}).get(column, (None, None))
        return f"{self.rows[row][column]:{form}}" + ("" if low is None else f" [{low:{form}}, {high:{form}}]")


def _widths(lines: list[list[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(*lines)]


def _merged(first: dict, second: dict) -> dict:
    return {row: {**first.get(row, {}), **second.get(row, {})} for row in {**first, **second}}
