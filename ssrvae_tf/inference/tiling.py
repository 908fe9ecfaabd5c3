"""Cut a photo into tiles of one shape, and blend what a network makes of them, a band of rows at a time.

Tiles overlap. Across an overlap the weight of one tile falls along a raised cosine while its neighbour's rises, so that
what differs between them (a network with global attention sees only its tile) changes gradually.
"""

from __future__ import annotations

import dataclasses
from typing import Callable, Iterator

import numpy as np


@dataclasses.dataclass(frozen=True)
class Axis:
    """The tiles along one side of a photo.

    Attributes:
        length: of the side, in pixels.
        tile: of each tile, in pixels, the same for all.
        starts: the first pixel of each.
    """

    length: int
    tile: int
    starts: tuple[int, ...]

    def weights(self, scale: int = 1) -> np.ndarray:
        """(tiles, scale * tile) float32: the weight of each tile at each of its enlarged pixels. At every pixel of the
        photo the weights of all tiles add up to 1."""
        size = self.tile * scale
        weights = np.ones((len(self.starts), size))
        for i in range(1, len(self.starts)):
            shared = size - (self.starts[i] - self.starts[i - 1]) * scale
            rise = 0.5 - 0.5 * np.cos(np.pi * (np.arange(shared) + 0.5) / shared)
            weights[i, :shared] *= rise
            weights[i - 1, size - shared :] *= rise[::-1]
        total = np.zeros(self.length * scale)
        for start, weight in zip(self.starts, weights):  # more than two may meet where tiles overlap by over a half
            total[start * scale : start * scale + size] += weight
        return np.stack(
            [weight / total[start * scale : start * scale + size] for start, weight in zip(self.starts, weights)]
        ).astype(np.float32)


def axis(length: int, tile: int, overlap: int, exact: bool = False) -> Axis:
    """As few tiles as cover `length`, each at most `tile` long, neighbours sharing `overlap` pixels or a little more.

    Where it can be, a tile's length is a multiple of 8: engines make ready for each size, and are quick at these.

    Args:
        length, tile, overlap: in pixels; overlap below tile.
        exact: every tile is just `tile` long, and shares more instead; `length` must be at least that.
    """
    if length <= tile:
        return Axis(length, length, (0,))
    count = -(-(length - overlap) // (tile - overlap))
    if not exact:
        least = -(-(length + (count - 1) * overlap) // count)
        tile = min(tile, -(-least // 8) * 8)
    return Axis(length, tile, tuple(round(i * (length - tile) / (count - 1)) for i in range(count)))


def blended_bands(
    rows: Axis, columns: Axis, scale: int, batch: int, tiles_at: Callable[[list[tuple[int, int]]], np.ndarray]
) -> Iterator[np.ndarray]:
    """Yield the result from top to bottom, in bands of finished rows (n, scale * columns.length, C) float32.

    Only one row of tiles is held at a time. A band is valid until the next is asked for, and may be written to.

    Args:
        rows, columns: the tiles, by `axis`.
        scale: side of the result / side of the photo.
        batch: tiles of a row that are asked for together; the last are filled up with copies to as many.
        tiles_at: [(top, left)] in pixels of the photo -> the results of the tiles there,
            (batch, scale * rows.tile, scale * columns.tile, C) float32.
    """
    across, down = columns.weights(scale), rows.weights(scale)
    batch = min(batch, len(columns.starts))
    pending = None  # weighted rows from the present row of tiles on
    for i, top in enumerate(rows.starts):
        for first in range(0, len(columns.starts), batch):
            chosen = range(len(columns.starts))[first : first + batch]
            corners = [(top, columns.starts[j]) for j in chosen]
            for j, tile in zip(chosen, tiles_at(corners + corners[-1:] * (batch - len(corners)))):
                if pending is None:
                    pending = np.zeros((rows.tile * scale, columns.length * scale, tile.shape[-1]), np.float32)
                start = columns.starts[j] * scale
                weight = down[i][:, None, None] * across[j][None, :, None]
                pending[:, start : start + columns.tile * scale] += tile * weight
        finished = ((rows.starts[i + 1] if i + 1 < len(rows.starts) else rows.length) - top) * scale
        yield pending[:finished]
        kept = len(pending) - finished
        pending[:kept] = pending[finished:].copy()
        pending[kept:] = 0.0
