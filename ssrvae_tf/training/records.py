"""Figures of a training as a CSV file that a killed run leaves readable."""

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
        self._path, self.rows, self._names = path, [], ()
        if path.exists():
            try:
                with path.open(newline="") as file:
                    lines = list(file)
                whole = [line for line in lines if line.endswith("\n")]  # a killed run may leave half a line
                rows = csv.DictReader(whole)
                if rows.fieldnames and not rows.fieldnames[0].isidentifier():
                    raise ValueError(rows.fieldnames)
                self.rows = [row for row in rows if int(next(iter(row.values()))) <= last]
            except (ValueError, TypeError, csv.Error) as error:
                raise UserError(f"{path}: not the figures of a run: restore the file, or move it away") from error
            self._write()

    def add(self, row: dict) -> None:
        """Append a row of {column: figure}."""
        self.rows.append(row)
        if not row.keys() <= set(self._names) or not self._path.exists():
            self._write()
            return
        with self._path.open("a", newline="") as file:
            csv.DictWriter(file, self._names).writerow(row)

    def column(self, name: str) -> dict[int, float]:
        """{the row's number: its figure}, of the rows that have one."""
        return {int(next(iter(row.values()))): float(row[name]) for row in self.rows if row.get(name, "") != ""}

    def _write(self) -> None:
        self._names = list(dict.fromkeys(name for row in self.rows for name in row))
        with replacing(self._path) as part, part.open("w", newline="") as file:
            writer = csv.DictWriter(file, self._names)
            writer.writeheader()
            writer.writerows(self.rows)
