"""Sharp photos of any size made small and bad by a StyleVAE, each in one style: what `ssrvae_tf.degrade` calls."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import numpy as np
import tensorflow as tf

from ssrvae_tf.data import recoloured
from ssrvae_tf.errors import UserError
from ssrvae_tf.inference.tiling import axis, blended_bands
from ssrvae_tf.photos import files
from ssrvae_tf.photos.files import Photo, read_photo
from ssrvae_tf.photos.formats import MAX_MEGAPIXELS
from ssrvae_tf.photos.pixels import to_uint8
from ssrvae_tf.photos.resizing import resized


class Degrader:
    """Degrades photos one at a time. A photo larger than two faces a side goes through in overlapping tiles of one
    style, which see the same noise where they overlap. The mean colour stays that of the shrunk photo.

    Args:
        style_vae: a StyleVAE.
    """

    def __init__(self, style_vae):
        self.scale = style_vae.scale
        self._model = style_vae
        # Traced once, for photos of all sizes.
        takes = ([1, None, None, 3], [1, None], [1, None, None, style_vae.noise_channels])
        self._run = tf.function(
            lambda hr, code, noise: style_vae.degrade(hr, code, seed=0, noise=noise),
            input_signature=[tf.TensorSpec(shape, tf.float32) for shape in takes],
        )

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

        lr = np.concatenate([band.copy() for band in blended_bands(rows, columns, 1, 1, tiles_at)])
        shrunk = resized(hr, width, height).astype(np.float32) / 255.0
        return to_uint8(recoloured(np.clip(lr, 0.0, 1.0), shrunk).numpy())


def load_degrader(style):
    """The Degrader of a StyleVAE, or of what is known by that name or lies in that run's folder.

    Raises:
        UserError: if there is no such StyleVAE.
    """
    if isinstance(style, (str, os.PathLike)):
        from ssrvae_tf.loading.models import load

        name, style = style, load(style)
        if not hasattr(style, "degrade"):
            raise UserError(f"--style {name}: an SR network: give a StyleVAE, such as faces-style")
    return Degrader(style)


def chance(inside: str, number: int, seed: int) -> list[int]:
    """The seed of one pair.

    Args:
        inside: where the sharp photo lies in its folder; not its whole path, which differs from machine to machine.
        number: of the variant, from 1.
        seed: of the job.
    """
    return [zlib.crc32(os.fsencode(inside)), number, seed]


def read_sharp(path: Path, scale: int, max_megapixels: float = MAX_MEGAPIXELS) -> Photo:
    """A sharp photo (H, W, 3) uint8, cut at the right and below to multiples of `scale`.

    Raises:
        UserError: if it cannot be read, or nothing of it would be left.
    """
    photo = files.read(path, max_megapixels)
    pixels = files.colour(photo)
    height, width = pixels.shape[:2]
    if min(height, width) < scale:
        raise UserError(f"{path}: {width}x{height}, at least {scale}x{scale} is wanted: remove it")
    return Photo(pixels[: height // scale * scale, : width // scale * scale], note=photo.note)


def degraded(hr: np.ndarray, degrader, seed: list[int], styles=None, read=read_photo) -> np.ndarray:
    """A sharp photo (H, W, 3) uint8 -> (H / scale, W / scale, 3) uint8.

    Args:
        degrader: a `Degrader`.
        seed: by `chance`.
        styles: paths of real small photos, one of which gives the style; None: the StyleVAE draws it.
        read: path -> (h, w, 3) uint8.

    Raises:
        UserError: if none of `styles` can be read.
    """
    rng = np.random.default_rng(seed)
    code = _any_style(styles, degrader, rng, read) if styles else degrader.draw_code(int(rng.integers(2**31)))
    return degrader(hr, code, int(rng.integers(2**31)))


def _any_style(styles: list, degrader, rng, read) -> np.ndarray:
    """The code of a random one of the photos that can be read."""
    for number in rng.permutation(len(styles)):
        try:
            return degrader.code(read(styles[number]))
        except UserError:
            continue
    raise UserError("--from: none of the photos there can be read: give a folder of real small photos")
