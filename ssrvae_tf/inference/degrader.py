"""Sharp photos of any size made small and bad by a StyleVAE, each in one style: what `ssrvae_tf.degrade` calls."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from ssrvae_tf.inference.tiling import axis, blended_bands


class Degrader:
    """Degrades photos one at a time. A photo larger than two faces a side goes through in overlapping tiles of one
    style, which see the same noise where they overlap.

    Args:
        style_vae: a StyleVAE.
    """

    def __init__(self, style_vae):
        self.scale = style_vae.scale
        self._model = style_vae
        self._run = tf.function(lambda hr, code, noise: style_vae.degrade(hr, code, seed=0, noise=noise))

    def code(self, lr: np.ndarray) -> np.ndarray:
        """(1, D): the style of a real small photo (h, w, 3) uint8."""
        return self._model.codes(tf.constant(lr[None] / 255.0, tf.float32)).numpy()

    def draw_code(self, seed: int) -> np.ndarray:
        """(1, D): a style from the StyleVAE's own sampler."""
        return self._model.draw_codes(1, seed).numpy()

    def __call__(self, hr: np.ndarray, code: np.ndarray, seed: int) -> np.ndarray:
        """Degrade a photo.

        Args:
            hr: (H, W, 3) uint8, sides multiples of the scale.
            code: (1, D).
            seed: of the noise.

        Returns:
            (H / scale, W / scale, 3) uint8.
        """
        scale, face = self.scale, self._model.lr_size
        height, width = (side // scale for side in hr.shape[:2])
        rows, columns = (axis(side, 2 * face, face // 2) for side in (height, width))
        field = np.random.default_rng(seed).standard_normal((height, width, self._model.noise_channels), np.float32)

        def tiles_at(corners):
            ((top, left),) = corners
            lower, right = top + rows.tile, left + columns.tile
            tile = hr[top * scale : lower * scale, left * scale : right * scale].astype(np.float32) / 255.0
            return self._run(tile[None], np.float32(code), field[None, top:lower, left:right]).numpy()

        bands = blended_bands(rows, columns, 1, 1, tiles_at)
        return np.concatenate([np.rint(np.clip(band, 0.0, 1.0) * 255.0).astype(np.uint8) for band in bands])
