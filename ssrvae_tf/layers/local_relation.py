"""The core of local relation attention: a softmax over each pixel's window, without copies of the windows.

In inference the window is unfolded by rows, then by columns: a small graph of operators that every exported format has,
and no shape that is known only at run time. Automatic differentiation is right there, but holds whole windows. Runtimes
that fuse a softmax between two matrix products get blocks of pixels instead, each with all pixels around it.

In training the shifts stand one by one. A row of pixels and its maps are one axis (W * G), so that a shift by one pixel
is a contiguous slice, and the channels that share a weight map lie on a leading axis (C / G, B, H, W * G), over which
the weights broadcast. The backward pass recomputes the weights from the nearest key's distance and the log-sum-exp;
nothing of the window's size is kept between the passes.
"""

from __future__ import annotations

import functools
from typing import Callable, Iterator

import numpy as np
import tensorflow as tf

# The key of a pixel outside the image: its distance is finite in float32 and its weight is exactly 0.
_FAR = 1e18
_NEVER = -1e30  # a logit whose weight is exactly 0
_BLOCK = 6  # side, in pixels; larger ones see more that is outside of a window


def local_relation(
    query: tf.Tensor,
    key: tf.Tensor,
    value: tf.Tensor,
    kernel_size: int = 7,
    prior: tf.Tensor | None = None,
    jit_compile: bool = False,
    training: bool = True,
    bounded: bool = False,
    in_blocks: bool = False,
) -> tf.Tensor:
    """Mix every pixel's window by how alike query and keys are (eqs. 10-11).

    out[p, c] = sum_s softmax_s(-(query[p, g] - key[p + s, g])^2 + prior[s, g]) value[p + s, c], with g = c mod G and s
    over the window's pixels that lie inside the image.

    Args:
        query: (B, H, W, G).
        key: (B, H, W, G).
        value: (B, H, W, C), C a multiple of G.
        kernel_size: side of the window in pixels, odd.
        prior: (kernel_size, kernel_size, G) added to the logits, as in LR-Net; the paper has none.
        jit_compile: compile with XLA: 3 times faster in training on a CPU, once a few seconds for each new shape.
            Implies `training`.
        training: be ready for a backward pass, without keeping anything of the window's size for it. False is for
            inference alone: operators that every exported format has, and a backward pass that holds whole windows.
        bounded: in inference, let no intermediate result be much larger than query and key, for arithmetic of 16 bits.
            Slower.
        in_blocks: in inference, of blocks of 6x6 pixels by products of matrices. Three times as many weights, of
            which most are 0, in a small part of the operators.

    Returns:
        (B, H, W, C) in value's dtype; the arithmetic is float32.

    Raises:
        ValueError: if C is not a multiple of G or kernel_size is even.

    Examples:
        >>> query = key = tf.zeros([1, 6, 5, 2])
        >>> print(local_relation(query, key, tf.ones([1, 6, 5, 8])).shape)
        (1, 6, 5, 8)
    """
    maps, channels = query.shape[-1], value.shape[-1]
    if channels % maps:
        raise ValueError(f"value has {channels} channels, query {maps}: the first must be a multiple of the second")
    if kernel_size % 2 == 0 or kernel_size < 1:
        raise ValueError(f"kernel_size is {kernel_size}: it must be odd")
    share = channels // maps
    if not (training or jit_compile):
        operands = [tf.cast(each, tf.float32) for each in (query, key, value, *([] if prior is None else [prior]))]
        mixed = _in_blocks(kernel_size, *operands) if in_blocks else _unfolded(kernel_size, share, bounded, *operands)
        return tf.cast(mixed, value.dtype)
    batch, height, width = tf.unstack(tf.shape(value)[:3])

    def rows(tensor: tf.Tensor) -> tf.Tensor:
        return tf.reshape(tf.cast(tensor, tf.float32), [batch, height, width * maps])

    shared = tf.reshape(tf.cast(value, tf.float32), [batch, height, width, share, maps])
    shared = tf.reshape(tf.transpose(shared, [3, 0, 1, 2, 4]), [share, batch, height, width * maps])
    operands = [rows(query), rows(key), shared]
    if prior is not None:
        operands.append(tf.reshape(tf.cast(prior, tf.float32), [kernel_size**2, maps]))
    mixed = _relation(kernel_size, maps, jit_compile)(*operands)  # (C / G, B, H, W * G)
    mixed = tf.transpose(tf.reshape(mixed, [share, batch, height, width, maps]), [1, 2, 3, 0, 4])
    return tf.ensure_shape(tf.cast(tf.reshape(mixed, tf.shape(value)), value.dtype), value.shape)


def _unfolded(
    size: int, share: int, bounded: bool, query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, *prior: tf.Tensor
) -> tf.Tensor:
    """`local_relation` in inference, of float32."""
    margin = size // 2
    edges = [[0, 0], [margin, margin], [margin, margin], [0, 0]]

    def along(tensor: tf.Tensor, axis: int) -> tf.Tensor:
        """(..., L + size - 1, ...) -> (size, ..., L, ...), with ends counted from behind: no shape is asked for."""
        before = (slice(None),) * axis
        ends = [index - 2 * margin or None for index in range(size)]
        return tf.stack([tensor[(*before, slice(index, end))] for index, end in enumerate(ends)])

    def windows(tensor: tf.Tensor, fill: float = 0.0) -> tf.Tensor:
        """(B, H, W, G) -> (rows, columns, B, H, W, G)."""
        return along(along(tf.pad(tensor, edges, constant_values=fill), 2), 2)

    inside = windows(tf.ones_like(key[..., :1])) if bounded else 1.0

    def least(distances: tf.Tensor) -> tf.Tensor:
        """Over the window's pixels inside the image."""
        if bounded:
            distances += (1.0 - inside) * (tf.reduce_max(distances) - tf.reduce_min(distances))
        return tf.stop_gradient(tf.reduce_min(distances, [0, 1]))

    apart = tf.abs(query - windows(key, 0.0 if bounded else _FAR))
    nearest = least(apart)
    # Beyond the nearest key's, and as a product: see _Window._distances.
    distances = (apart - nearest) * (apart + nearest)
    if prior:
        distances -= tf.reshape(prior[0], [size, size, 1, 1, 1, -1])
        distances -= least(distances)
    # Outside, a key of 0 may be nearer than the nearest one.
    weights = tf.exp(-tf.maximum(distances, 0.0)) * inside if bounded else tf.exp(-distances)
    padded = tf.pad(tf.stack(tf.split(value, share, -1)), [[0, 0], *edges])  # (C / G, B, H + size - 1, ..., G)
    # A sum in 16 bits may get the scale of what it adds up, and wrap; a mean stays within. Over a row's columns it is
    # the sum / size, over the window the sum / size^2.
    total = tf.reduce_mean if bounded else tf.reduce_sum
    mixed = 0.0
    before: list[tf.Tensor] = []
    for seen, weight in zip(tf.unstack(along(padded, 2)), tf.unstack(weights)):
        # Row by row: left alone, the executor would hold all shifted copies of the value at once.
        with tf.control_dependencies(before):
            columns = along(seen, 3)  # (columns, C / G, B, H, W, G)
        mixed += total(columns * tf.expand_dims(weight, 1), 0)
        before = [mixed]
    whole = total(weights, [0, 1])
    mixed /= size * whole if bounded else whole  # (C / G, B, H, W, G)
    # Of tf.unstack here, TFLite's converter makes a wrong reshape, once the shapes are known.
    return tf.concat([mixed[index] for index in range(share)], -1)


def _in_blocks(size: int, query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, *prior: tf.Tensor) -> tf.Tensor:
    """`local_relation` in inference, of float32.

    softmax_s(-(q - k_s)^2) = softmax_s(2 q k_s - k_s^2), a product of pairs (2 q, 1) and (k_s, -k_s^2). The key of a
    block's first pixel is taken from all, which changes nothing but the rounding.
    """
    margin, maps, channels = size // 2, query.shape[-1], value.shape[-1]
    side = max(_BLOCK, 2 * margin)  # a block and its next one hold all that the block sees
    batch, height, width = tf.unstack(tf.shape(query)[:3])
    down, across = -(-height // side), -(-width // side)  # blocks
    count = batch * down * across

    def own(tensor: tf.Tensor) -> tf.Tensor:
        """(B, H, W, G) -> (blocks, G, side * side), filled up with zeros."""
        tensor = tf.pad(tensor, [[0, 0], [0, down * side - height], [0, across * side - width], [0, 0]])
        tensor = tf.reshape(tensor, [batch, down, side, across, side, maps])
        return tf.reshape(tf.transpose(tensor, [0, 1, 3, 5, 2, 4]), [count, maps, side * side])

    def around(tensor: tf.Tensor, fill: float = 0.0) -> tf.Tensor:
        """(B, H, W, C) -> (B, down, side + size - 1, across, side + size - 1, C)."""
        below, right = (down + 1) * side - height - margin, (across + 1) * side - width - margin
        tensor = tf.pad(tensor, [[0, 0], [margin, below], [margin, right], [0, 0]], constant_values=fill)
        tensor = tf.reshape(tensor, [batch, down + 1, side, (across + 1) * side, tensor.shape[-1]])
        tensor = tf.concat([tensor[:, :-1], tensor[:, 1:, : 2 * margin]], 2)
        tensor = tf.reshape(tensor, [batch, down, side + 2 * margin, across + 1, side, tensor.shape[-1]])
        return tf.concat([tensor[:, :, :, :-1], tensor[:, :, :, 1:, : 2 * margin]], 4)

    seen = (side + 2 * margin) ** 2
    queries = own(query)
    keys = tf.reshape(tf.transpose(around(key, _FAR), [0, 1, 3, 5, 2, 4]), [count, maps, seen])
    first = own(key)[..., :1]
    queries, keys = queries - first, keys - first
    logits = tf.matmul(
        tf.stack([2.0 * queries, tf.ones_like(queries)], -1), tf.stack([keys, -keys * keys], -2)
    )  # (blocks, G, side * side, seen)
    logits += _of_shifts(size, side, *prior)
    values = tf.reshape(around(value), [batch, down, side + 2 * margin, across, side + 2 * margin, -1, maps])
    values = tf.reshape(tf.transpose(values, [0, 1, 3, 6, 2, 4, 5]), [count, maps, seen, channels // maps])
    mixed = tf.matmul(tf.nn.softmax(logits), values)  # (blocks, G, side * side, C / G)
    mixed = tf.reshape(mixed, [batch, down, across, maps, side, side, channels // maps])
    mixed = tf.reshape(tf.transpose(mixed, [0, 1, 4, 2, 5, 6, 3]), [batch, down * side, across * side, channels])
    return mixed[:, :height, :width]


def _of_shifts(size: int, side: int, *prior: tf.Tensor) -> tf.Tensor:
    """What is added to the logits of a block: (side * side, (side + size - 1)^2), or (G, ...) with a prior: that in a
    pixel's window, and outside what makes weights 0."""
    shifts = np.arange(side + size - 1) - np.arange(side)[:, None]  # (pixel, seen) along one axis
    inside = (shifts >= 0) & (shifts < size)
    inside = (inside[:, None, :, None] & inside[None, :, None, :]).reshape(side * side, -1)
    if not prior:
        return tf.constant(np.where(inside, 0.0, _NEVER), tf.float32)
    number = (shifts[:, None, :, None] * size + shifts[None, :, None, :]).reshape(side * side, -1)
    rows = tf.pad(tf.reshape(prior[0], [size * size, -1]), [[0, 1], [0, 0]], constant_values=_NEVER)
    return tf.transpose(tf.gather(rows, np.where(inside, number, size * size)), [2, 0, 1])


@functools.lru_cache(maxsize=None)
def _relation(size: int, maps: int, jit_compile: bool) -> Callable:
    """The differentiable core for one window size. Each step is a function of its own, so that XLA fuses within a
    step but does not compute the weights again for each of the channels that share them."""
    window = _Window(size, maps)

    def step(function: Callable) -> Callable:
        return tf.function(function, jit_compile=True) if jit_compile else function

    log_sum, weights, mix = step(window.log_sum), step(window.weights), step(window.mix)
    logits_gradient, value_gradient = step(window.logits_gradient), step(window.value_gradient)
    query_key_gradient, prior_gradient = step(window.query_key_gradient), step(window.prior_gradient)

    @tf.custom_gradient
    def relation(query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, *prior: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        norms = log_sum(query, key, *prior)
        out = mix(weights(query, key, *norms, *prior), value)

        def gradient(upstream: tf.Tensor) -> list[tf.Tensor]:
            weight = weights(query, key, *norms, *prior)
            logits = logits_gradient(weight, value, upstream, out)
            gradients = [*query_key_gradient(query, key, logits), value_gradient(weight, upstream)]
            return gradients + [prior_gradient(logits)] * len(prior)

        return out, gradient

    return relation


class _Window:
    """The steps over a window's shifts. Rows are (..., H, W * maps); lists run over the size * size shifts."""

    def __init__(self, size: int, maps: int):
        self.size, self.maps, self.radius = size, maps, size // 2
        self.shifts = [(row, column) for row in range(size) for column in range(size)]

    def _padded(self, rows: tf.Tensor, fill: float = 0.0) -> tf.Tensor:
        margin, side = self.radius, self.radius * self.maps
        edges = [[0, 0]] * (len(rows.shape) - 2) + [[margin, margin], [side, side]]
        return tf.pad(rows, edges, constant_values=fill)

    def _shifted(self, rows: tf.Tensor, fill: float = 0.0) -> Iterator[tf.Tensor]:
        """For each shift, what a pixel sees there."""
        height, width = tf.shape(rows)[-2], tf.shape(rows)[-1]
        padded = self._padded(rows, fill)
        for row, column in self.shifts:
            start = column * self.maps
            yield padded[..., row : row + height, start : start + width]

    def _gathered(self, terms: list[tf.Tensor]) -> tf.Tensor:
        """The transpose of `_shifted`: add every shift's term to the pixel that was seen."""
        height, width = tf.shape(terms[0])[-2], tf.shape(terms[0])[-1]
        last = self.size - 1
        placed = []
        for (row, column), term in zip(self.shifts, terms):
            edges = [[row, last - row], [column * self.maps, (last - column) * self.maps]]
            placed.append(tf.pad(term, [[0, 0]] * (len(term.shape) - 2) + edges))
        side = self.radius * self.maps
        return tf.add_n(placed)[..., self.radius : self.radius + height, side : side + width]

    def _distances(
        self, query: tf.Tensor, key: tf.Tensor, nearest: tf.Tensor, prior: tuple[tf.Tensor, ...]
    ) -> Iterator[tf.Tensor]:
        """Squared distances beyond the nearest key's, less the prior. As a product, which stays exact where all keys
        are far and the squares would differ by less than their rounding."""
        for index, seen in enumerate(self._shifted(key, fill=_FAR)):
            apart = tf.abs(query - seen)
            distance = (apart - nearest) * (apart + nearest)
            if prior:
                distance -= tf.tile(prior[0][index], [tf.shape(query)[-1] // self.maps])
            yield distance

    def log_sum(self, query: tf.Tensor, key: tf.Tensor, *prior: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The nearest key's distance, and log sum_s exp(-distance_s) beyond it. Both (B, H, W * G)."""
        nearest = functools.reduce(tf.minimum, [tf.abs(query - seen) for seen in self._shifted(key, fill=_FAR)])
        distances = list(self._distances(query, key, nearest, prior))
        least = functools.reduce(tf.minimum, distances) if prior else tf.zeros_like(nearest)
        total = tf.add_n([tf.exp(least - distance) for distance in distances])
        return nearest, tf.math.log(total) - least

    def weights(
        self, query: tf.Tensor, key: tf.Tensor, nearest: tf.Tensor, log_sums: tf.Tensor, *prior: tf.Tensor
    ) -> list[tf.Tensor]:
        return [tf.exp(-distance - log_sums) for distance in self._distances(query, key, nearest, prior)]

    def mix(self, weights: list[tf.Tensor], value: tf.Tensor) -> tf.Tensor:
        height, width = tf.shape(value)[-2], tf.shape(value)[-1]
        padded, total = self._padded(value), tf.zeros_like(value)
        for (row, column), weight in zip(self.shifts, weights):
            # Row by row: left alone, the executor would hold all shifted copies of the value at once.
            with tf.control_dependencies([total] if column == 0 else []):
                start = column * self.maps
                total += weight * padded[..., row : row + height, start : start + width]
        return total

    def logits_gradient(
        self, weights: list[tf.Tensor], value: tf.Tensor, upstream: tf.Tensor, out: tf.Tensor
    ) -> list[tf.Tensor]:
        """Of the softmax: w_s (upstream . value_s - upstream . out), summed over the channels that share a map."""
        share = value.shape[0]
        mean = tf.add_n([upstream[c] * out[c] for c in range(share)])
        return [
            weight * (tf.add_n([upstream[c] * seen[c] for c in range(share)]) - mean)
            for weight, seen in zip(weights, self._shifted(value))
        ]

    def value_gradient(self, weights: list[tf.Tensor], upstream: tf.Tensor) -> tf.Tensor:
        return self._gathered([weight * upstream for weight in weights])

    def query_key_gradient(
        self, query: tf.Tensor, key: tf.Tensor, logits: list[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        terms = [2.0 * logit * (seen - query) for logit, seen in zip(logits, self._shifted(key))]
        return tf.add_n(terms), -self._gathered(terms)

    def prior_gradient(self, logits: list[tf.Tensor]) -> tf.Tensor:
        totals = [tf.reshape(tf.reduce_sum(logit, [0, 1]), [-1, self.maps]) for logit in logits]
        return tf.stack([tf.reduce_sum(total, 0) for total in totals])
