"""Bicubic resizing: Pillow's, which all results here stand beside, and Matlab's, which benchmarks are made with."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image


def resized(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    """(H, W) or (H, W, C) uint8 or float32 -> the same kind, height x width: bicubic, antialiased where it shrinks.

    Floats are not clipped: they may leave their range beside edges. Channels do not know of each other, whatever they
    mean.

    Example:
        resized(photo, 2 * photo.shape[1], 2 * photo.shape[0])
    """
    if pixels.ndim == 2 or pixels.dtype == np.uint8 and pixels.shape[2] == 3:
        return np.array(Image.fromarray(np.ascontiguousarray(pixels)).resize((width, height), Image.Resampling.BICUBIC))
    return np.stack([resized(pixels[..., channel], width, height) for channel in range(pixels.shape[2])], -1)


def matlab_resized(pixels: np.ndarray, scale: float | tuple[float, float]) -> np.ndarray:
    """What Matlab's `imresize(pixels, scale)` gives: bicubic (Keys' kernel, a = -0.5), antialiased where it shrinks.

    Unlike Pillow it mirrors the photo at its edges, keeps to `scale` where the sides are no multiples, and rounds uint8
    after each of the two directions. The LR photos of DIV2K, Set5 and their like, on which EDSR, RDN and most others
    are compared, are made so.

    Args:
        pixels: (H, W) or (H, W, C), uint8, or float, which is not clipped.
        scale: of both sides, or of height and of width, such as 1 / 4.

    Returns:
        (ceil(scale * H), ceil(scale * W)) or (..., C) of the same kind.

    Example:
        lr = matlab_resized(photo, 1 / 4)
    """
    scales = scale if isinstance(scale, tuple) else (scale, scale)
    result = pixels.astype(np.float64)
    for axis in sorted((0, 1), key=lambda axis: scales[axis]):  # the side first that shrinks most
        weights = _matlab_weights(pixels.shape[axis], scales[axis])
        result = np.moveaxis(np.tensordot(weights, result, (1, axis)), 0, axis)
        if pixels.dtype == np.uint8:
            result = np.floor(np.clip(result, 0, 255) + 0.5)
    return result.astype(pixels.dtype)


def _matlab_weights(length: int, scale: float) -> np.ndarray:
    """(ceil(scale * length), length): what each pixel of a line is in each of the resized one."""
    size, shrinking = math.ceil(scale * length), min(scale, 1.0)
    centres = (np.arange(size) + 0.5) / scale - 0.5
    pixels = np.floor(centres - 2 / shrinking)[:, None] + np.arange(math.ceil(4 / shrinking) + 2)
    x = np.abs(centres[:, None] - pixels) * shrinking
    near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    kernel = np.where(x <= 1, near, np.where(x < 2, far, 0))
    kernel /= kernel.sum(1, keepdims=True)
    mirrored = pixels.astype(int) % (2 * length)
    mirrored = np.minimum(mirrored, 2 * length - 1 - mirrored)
    weights = np.zeros((size, length))
    np.add.at(weights, (np.arange(size)[:, None], mirrored), kernel)
    return weights
