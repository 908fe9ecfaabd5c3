"""An SR network as runtimes compute it fastest: the same numbers from fewer and larger steps."""

from __future__ import annotations

from typing import Callable

import keras
import numpy as np
import tensorflow as tf

from ssrvae_tf.exporting.networks import copied
from ssrvae_tf.layers import LARB
from ssrvae_tf.models import EDSR, SRNetwork


def inference_form(model: keras.Model) -> Callable[[tf.Tensor], tf.Tensor]:
    """lr (B, H, W, 3) -> sr (B, scale H, scale W, 3), as `model` gives it in inference, B from 1 on.

    Global attention is in one piece, local attention in blocks, and upsampling and reconstruction are one convolution.
    """
    if not isinstance(model, (SRNetwork, EDSR)) or model.scale == 1:
        return lambda lr: model(lr, training=False)
    if isinstance(model, SRNetwork):
        model = copied(model, None)
        for layer in model.layers:
            if isinstance(layer, LARB):
                layer.attention.in_blocks = True
    upsampling, reconstruction = model.get_layer("upsampling"), model.get_layer("reconstruction")
    body = keras.Model(model.input, upsampling.input)
    tail = FusedTail(lambda x: reconstruction(upsampling(x)), upsampling.input.shape[-1], model.scale)
    after = [layer for layer in model.layers if layer.name == "keep_colours"]

    def run(lr):
        sr = tail(body(lr, training=False))
        for layer in after:
            sr = layer([lr, sr])
        return model.get_layer("sr")(sr, training=False)

    return run


class FusedTail:
    """What has no nonlinearity, as one 5x5 convolution and a depth-to-space.

    Where the photo ends each of the original's steps sees zeros, so that a pixel at an edge has a kernel of its own.
    What it lacks against the others' is added there: for each edge from two rows or columns of x, and for each corner.

    Args:
        tail: (B, H, W, C) -> (B, scale H, scale W, 3), affine, of 3x3 convolutions with zero borders and doublings by
            sub-pixels, so that a pixel of x reaches two pixels far and an edge one.
        channels: C.
        scale: a power of two.
    """

    def __init__(self, tail: Callable[[tf.Tensor], tf.Tensor], channels: int, scale: int):
        self._scale = scale
        kernels, biases = _kernels(tail, channels, scale)
        inside = {spot: _inside(*spot) for spot in kernels}
        self._kernel, self._bias = kernels.pop((0, 0)), biases.pop((0, 0))
        self._edges = {}
        for row, column in sorted(kernels, key=lambda spot: abs(spot[0]) + abs(spot[1])):  # corners last
            kernel = (kernels[row, column] - self._kernel) * inside[row, column]
            bias = biases[row, column] - self._bias
            for edge in ((row, 0), (0, column)) if row and column else ():
                kernel, bias = kernel - self._edges[edge][0] * inside[row, column], bias - self._edges[edge][1]
            self._edges[row, column] = kernel, bias

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        sides = tf.shape(x)[1], tf.shape(x)[2]
        y = tf.nn.conv2d(x, self._kernel, 1, "SAME") + self._bias
        framed = tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]])
        for spot, (kernel, bias) in self._edges.items():
            # Along an edge all five taps, across it the two inside.
            seen = [_NEAR[side] for side in spot]
            taps = [_TAPS[side] for side in spot]
            border = [[0, 0] if side else [1, 1] for side in spot]
            strip = tf.nn.conv2d(framed[:, seen[0], seen[1]], kernel[taps[0], taps[1]], 1, [[0, 0], *border, [0, 0]])
            place = [_beside(side, length) for side, length in zip(spot, sides)]
            y += tf.pad(strip + bias, [[0, 0], *place, [0, 0]])
        return tf.nn.depth_to_space(y, self._scale)


# By side: -1 where a photo begins, 0 anywhere, 1 where it ends.
_NEAR = {-1: slice(1, 3), 0: slice(None), 1: slice(-3, -1)}  # of a photo with a frame of one pixel
_TAPS = {-1: slice(2, 4), 0: slice(None), 1: slice(1, 3)}
_REACH, _SIDE = 2, 7


def _beside(side: int, length: tf.Tensor) -> list:
    """The zeros before and after a strip at that side."""
    return {-1: [0, length - 1], 0: [0, 0], 1: [length - 1, 0]}[side]


def _inside(row: int, column: int) -> np.ndarray:
    """(5, 5, 1, 1): 1 where the window of a pixel at those sides lies in the photo."""
    along = {-1: [0, 0, 1, 1, 1], 0: [1] * 5, 1: [1, 1, 1, 0, 0]}
    return np.multiply.outer(along[row], along[column]).astype(np.float32)[..., None, None]


def _kernels(tail, channels: int, scale: int) -> tuple[dict, dict]:
    """For each pair of sides what a pixel there is made by: the kernel (5, 5, C, 3 scale^2), from the gradient of each
    of its numbers, and the bias (3 scale^2,)."""
    spots = [(row, column) for row in (-1, 0, 1) for column in (-1, 0, 1)]
    at = {-1: 0, 0: _SIDE // 2, 1: _SIDE - 1}
    numbers = 3 * scale**2
    x = tf.zeros([numbers, _SIDE, _SIDE, channels])
    kernels, biases = {}, {}
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = tf.nn.space_to_depth(tail(x), scale)  # (numbers, 7, 7, numbers), the same for each of the batch
        picked = {spot: tf.linalg.diag_part(y[:, at[spot[0]], at[spot[1]]]) for spot in spots}
    for spot in spots:
        row, column = (at[side] for side in spot)
        gradient = np.pad(tape.gradient(picked[spot], x).numpy(), [(0, 0), (_REACH, _REACH), (_REACH, _REACH), (0, 0)])
        window = gradient[:, row : row + 2 * _REACH + 1, column : column + 2 * _REACH + 1]
        kernels[spot], biases[spot] = window.transpose(1, 2, 3, 0), picked[spot].numpy()
    return kernels, biases
