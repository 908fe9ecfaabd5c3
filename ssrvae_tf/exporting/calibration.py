"""Faces that a quantised network is calibrated and measured on."""

from __future__ import annotations

import os

import numpy as np
from PIL import Image, ImageOps

from ssrvae_tf.errors import UserError
from ssrvae_tf.photos.files import read_photo
from ssrvae_tf.photos.folders import find_photos
from ssrvae_tf.photos.resizing import resized
from ssrvae_tf.photos.samples import sample_photos
from ssrvae_tf.resources import free_memory

_MOST = 16  # faces, spread over the folder
_BYTES = 12  # of a pixel, float32
# left, upper, right, lower
_FACES = ((96, 0, 352, 256), (150, 90, 390, 330))
_CORNERS = ((0, 0, 256, 256), (256, 0, 512, 256), (0, 256, 256, 512), (256, 256, 512, 512))


def faces(folder: str | os.PathLike | None, scale: int, size: tuple[int, int]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pairs (lr, hr), float32 RGB in [0, 1], (H, W, 3) and (scale H, scale W, 3), lr shrunk bicubically.

    Args:
        folder: sharp photos of faces, of which up to 16 are taken; None: the faces and other pieces of the two that are
            shipped.
        size: (H, W).

    Raises:
        UserError: if there is no readable photo.
        MemoryError: if they take more than there is.
    """
    height, width = size
    if _MOST * _BYTES * height * width * scale**2 > free_memory():
        raise MemoryError(f"{_MOST} photos of {height * scale}x{width * scale}")
    pairs = []
    for photo in _shipped() if folder is None else _read(folder):
        hr = np.asarray(ImageOps.fit(photo, (width * scale, height * scale), Image.LANCZOS))
        pairs.append(tuple(each.astype(np.float32) / 255.0 for each in (resized(hr, width, height), hr)))
    return pairs


def _shipped() -> list[Image.Image]:
    photos = [Image.open(path).convert("RGB") for path in sample_photos()]
    return [photo.crop(box) for photo, face in zip(photos, _FACES) for box in (face, *_CORNERS)]


def _read(folder) -> list[Image.Image]:
    paths, photos = find_photos(folder, "--calibrate"), []
    for path in paths[:: max(1, len(paths) // _MOST)]:
        try:
            photos.append(Image.fromarray(read_photo(path)))
        except UserError:
            continue
        if len(photos) == _MOST:
            break
    if not photos:
        raise UserError(f"--calibrate {folder}: no readable photo among those tried: give sharp photos of faces")
    return photos
