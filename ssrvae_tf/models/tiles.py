"""A network on large photos, in the graph: in overlapping tiles, which are blended.

Attention's time grows with the square of what it sees, so that a whole photo of 250x250 takes several times as long as
its tiles. `ssrvae_tf.inference.tiling` does the same for files of any size, a band of rows at a time.
"""

from __future__ import annotations

import math
from typing import Callable

import tensorflow as tf

# As in `ssrvae_tf.upscale`: see ssrvae_tf/inference/enlarger.py.
WHOLE = 96**2  # pixels
_TILE, _OVERLAP = 48, 8  # pixels


def in_tiles(network: Callable[[tf.Tensor], tf.Tensor], lr: tf.Tensor, scale: int) -> tf.Tensor:
    """`network(lr)`, where photos of more than 96x96 pixels go through in tiles of up to 48x48 that share 8 pixels.

    Args:
        network: (B, h, w, 3) -> (B, scale h, scale w, 3), any h and w.
        lr: (B, H, W, 3).

    Returns:
        (B, scale H, scale W, 3).
    """
    batch, height, width = tf.unstack(tf.shape(lr)[:3])
    whole = (height * width <= WHOLE) | (batch == 0)
    longest = tf.where(whole, tf.maximum(height, width), _TILE)
    rows, columns = _Axis(height, longest, scale), _Axis(width, longest, scale)
    # The network is in the graph once: small photos are one piece, together; the tiles of others are a piece each, one
    # after the other, so that memory is that of one tile.
    pieces, together = tf.where(whole, 1, batch), tf.where(whole, batch, 1)
    tiles = rows.count * columns.count

    def piece(number: tf.Tensor) -> tf.Tensor:
        photo, top, left = number // tiles, number % tiles // columns.count, number % columns.count
        photos, top, left = lr[photo : photo + together], rows.starts[top], columns.starts[left]
        return network(photos[:, top : top + rows.tile, left : left + columns.tile])

    spec = tf.TensorSpec([None, None, None, 3])
    made = tf.map_fn(piece, tf.range(pieces * tiles), parallel_iterations=1, fn_output_signature=spec)
    made = tf.reshape(made, [batch, rows.count, columns.count, scale * rows.tile, scale * columns.tile, 3])
    made = rows.joined(tf.transpose(made, [1, 3, 0, 2, 4, 5]))  # (scale H, B, columns, scale w, 3)
    made = columns.joined(tf.transpose(made, [2, 3, 0, 1, 4]))  # (scale W, scale H, B, 3)
    return tf.transpose(made, [2, 1, 0, 3])


class _Axis:
    """The tiles along one side of a photo, those of `ssrvae_tf.inference.tiling.axis`, and their weights.

    Attributes:
        count: of tiles.
        tile: length of each, in pixels of the photo.
        starts: (count,), the first pixel of each.
    """

    def __init__(self, length: tf.Tensor, longest: tf.Tensor, scale: int):
        several = -((_OVERLAP - length) // tf.maximum(longest - _OVERLAP, 1))
        self.count = tf.where(length <= longest, 1, several)
        least = -(-(length + (self.count - 1) * _OVERLAP) // self.count)
        self.tile = tf.where(self.count > 1, tf.minimum(longest, -(-least // 8) * 8), length)
        starts = tf.range(self.count) * (length - self.tile) / tf.maximum(self.count - 1, 1)
        self.starts = tf.cast(tf.round(starts), tf.int32)
        self._length, places = scale * length, tf.range(scale * self.tile)
        self._places = places + scale * self.starts[:, None]  # (count, scale tile), of each pixel in the result
        # Across what two tiles share, the weight of one falls along a raised cosine where that of the other rises.
        shared = scale * (self.tile - self.starts[1:] + self.starts[:-1])
        rises, falls = (_rise(places, tf.pad(shared, [ends])) for ends in ((1, 0), (0, 1)))
        weights = rises * falls[:, ::-1]
        self._weights = weights / tf.gather(self._sums(weights), self._places)

    def joined(self, tiles: tf.Tensor) -> tf.Tensor:
        """(count, scale tile, ...) -> (scale length, ...)."""
        weights = tf.reshape(self._weights, tf.concat([tf.shape(tiles)[:2], tf.ones_like(tf.shape(tiles)[2:])], 0))
        return self._sums(tiles * weights)

    def _sums(self, values: tf.Tensor) -> tf.Tensor:
        """Of what the tiles have at each pixel of the result."""
        values = tf.reshape(values, tf.concat([[-1], tf.shape(values)[2:]], 0))
        return tf.math.unsorted_segment_sum(values, tf.reshape(self._places, [-1]), self._length)


def _rise(places: tf.Tensor, shared: tf.Tensor) -> tf.Tensor:
    """(count, tile): from 0 to 1 over the first `shared` pixels, none of which may be shared."""
    part = (tf.cast(places, tf.float32) + 0.5) / tf.cast(shared[:, None], tf.float32)
    return tf.sin(math.pi / 2 * tf.minimum(part, 1.0)) ** 2
