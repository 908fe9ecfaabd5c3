"""Pillow's bicubic resizing, which all results here stand beside."""

from __future__ import annotations

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
