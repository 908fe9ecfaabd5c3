"""Stand-ins for trained models, for tests of what is around them."""

from __future__ import annotations

import numpy as np
from PIL import Image


class BicubicNetwork:
    """What an SR network looks like from outside; remembers the batches it was given."""

    def __init__(self, scale: int = 4, shift: float = 0.0):
        self.scale = scale
        self.shift = shift
        self.batches = []

    def predict(self, batch, verbose="auto"):
        assert batch.dtype == np.float32 and batch.ndim == 4 and batch.shape[-1] == 3
        assert not batch.size or (batch.min() >= 0 and batch.max() <= 1)
        self.batches.append(batch)
        size = batch.shape[2] * self.scale, batch.shape[1] * self.scale
        enlarged = [
            np.stack([Image.fromarray(photo[..., c]).resize(size, Image.BICUBIC) for c in range(3)], -1)
            for photo in batch
        ]
        return np.reshape(enlarged, (len(batch), *size[::-1], 3)) + self.shift


class BoxStyle:
    """What a StyleVAE looks like from outside: degrades by taking means of blocks."""

    scale = 4

    def degrade(self, hr, style=None, seed=None):
        batch, height, width, _ = hr.shape
        return hr.reshape(batch, height // 4, 4, width // 4, 4, 3).mean((2, 4))
