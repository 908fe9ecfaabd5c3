"""Figures of several methods, side by side."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from ssrvae_tf.photos.writing import replacing

_SIGNED = ("gain", "shift")  # columns whose names end so show a sign


@dataclass
class Report:
    """A table: one row per method, one column per figure.

    Args:
        title: what was measured, on what and on how many photos.
        digits: column -> digits after the point, in the order of the columns.
        rows: method -> {column: figure}; a missing figure is shown as "-".
        settings: what is needed to repeat the measurement; goes to JSON only.

    Example:
        Report("3 photos", {"PSNR": 2}, {"bicubic": {"PSNR": 29.2}, "ours": {"PSNR": 32.1}}).table()
    """

    title: str
    digits: dict
    rows: dict
    settings: dict = field(default_factory=dict)

    def table(self) -> str:
        """The title and the rows as aligned text."""
        lines = [["", *self.digits]]
        for name, figures in self.rows.items():
            lines.append([name] + [self._text(column, figures) for column in self.digits])
        widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
        aligned = [
            "  ".join(
                text.rjust(width) if i else text.ljust(width) for i, (text, width) in enumerate(zip(line, widths))
            )
            for line in lines
        ]
        return "\n".join([self.title, *aligned])

    def write(self, path: str | Path) -> None:
        """Title, settings and rows as JSON, figures unrounded; parent folders are made."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {"title": self.title, "settings": self.settings, "rows": self.rows}
        with replacing(path) as part:
            part.write_text(json.dumps(content, indent=2, default=str) + "\n")

    def _text(self, column: str, figures: dict) -> str:
        sign = "+" if column.endswith(_SIGNED) else ""
        return f"{figures[column]:{sign}.{self.digits[column]}f}" if column in figures else "-"
