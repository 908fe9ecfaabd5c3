"""Where a training of the SR network begins, if from no weights: at an enlargement of the photo."""

from __future__ import annotations

import numpy as np

from ssrvae_tf.layers import ResidualBlock
from ssrvae_tf.models import SRNetwork

# The first of two sub-pixels lies a quarter of a pixel before its pixel's middle: bicubic weights (Keys, a = -1/2) of
# the pixel before, the pixel and the next. The fourth, of the one before those, is added to its neighbour's.
_TAPS = np.array([0.2265625 - 0.0234375, 0.8671875, -0.0703125])
_MIDDLE = np.outer([0.0, 1.0, 0.0], [0.0, 1.0, 0.0])


def start_as_enlargement(model: SRNetwork) -> None:
    """Make a fresh network give nearly what bicubic enlargement gives, so that training improves on it from the start.

    The first three features carry red, green and blue to the end, less a half, so that the zeros around a photo are
    gray to them, not black. The others stay as they are, but the last convolution does not listen to them yet.
    Attention starts as the identity anyway.
    """
    _carry(model.get_layer("head"), _MIDDLE, bias=-0.5)
    for layer in model.layers:
        block = getattr(layer, "residual", layer)
        if isinstance(block, ResidualBlock):
            _carry(block.second, 0.0 * _MIDDLE)  # it is added to what came in
    for convolution in model.get_layer("upsampling").convolutions:
        for sub_pixel in range(4):  # in the order of depth_to_space
            taps = np.outer(*(_TAPS[::-1] if place else _TAPS for place in divmod(sub_pixel, 2)))
            _carry(convolution, taps, sub_pixel * convolution.filters // 4)
    _carry(model.get_layer("reconstruction"), _MIDDLE, bias=0.5)


def _carry(layer, taps: np.ndarray, first: int = 0, bias: float = 0.0) -> None:
    """Make three outputs, from `first` on, hear nothing but one of the first three inputs each, with `taps` (3, 3)."""
    kernel, biases = layer.get_weights()
    biases[first : first + 3] = bias
    kernel[..., first : first + 3] = 0.0
    for colour in range(3):
        kernel[:, :, colour, first + colour] = taps
    layer.set_weights([kernel, biases])
