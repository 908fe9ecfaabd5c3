"""Figures of a training as a CSV file that is whole at any moment."""

from __future__ import annotations

import csv
from pathlib import Path

from ssrvae_tf.errors import UserError
from ssrvae_tf.photos.writing import replacing


class Table:
    """Rows of figures whose first column, a whole number, counts up. Later rows may have columns of their own.

    Args:
        path: of the file, which need not be there yet.
        last: rows beyond this number are dropped: a run that goes on from an earlier checkpoint makes them again.

    Raises:
        UserError: if the file is damaged.
    """

    def __init__(self, path: Path, last: int):
        self._path, self.rows = path, []
        if path.exists():
            try:
                with path.open(newline="") as file:
                    rows = list(csv.DictReader(file))
                self.rows = [row for row in rows if int(next(iter(row.values()))) <= last]
            except (ValueError, TypeError, csv.Error) as error:
                raise UserError(f"{path}: not the figures of a run: restore the file, or move it away") from error
            if len(self.rows) < len(rows):
                self._write()

    def add(self, row: dict) -> None:
        """Append a row of {column: figure}."""
        self.rows.append(row)
        self._write()

    def column(self, name: str) -> dict[int, float]:
        """{the row's number: its figure}, of the rows that have one."""
        return {int(next(iter(row.values()))): float(row[name]) for row in self.rows if row.get(name, "") != ""}

    def _write(self) -> None:
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        with replacing(self._path) as part, part.open("w", newline="") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(self.rows)
