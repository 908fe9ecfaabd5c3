"""Photos with known faces in them: the shipped astronaut's, shrunk, on backgrounds that are no photo of anything."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from ssrvae_tf.photos.samples import sample_photos

_FRAME = (125, 20, 325, 240)  # head and collar in astronaut.png
FACE = (172, 71, 278, 177)  # brows to chin there


def background(width: int, height: int, seed: int = 0) -> Image.Image:
    """Smooth colours with a grain."""
    rng = np.random.default_rng(seed)
    rough = Image.fromarray(rng.integers(40, 216, (max(2, height // 40), max(2, width // 40), 3), np.uint8))
    smooth = np.asarray(rough.resize((width, height), Image.Resampling.BICUBIC), np.float32)
    return Image.fromarray(np.clip(smooth + rng.normal(0, 2, smooth.shape), 0, 255).astype(np.uint8))


def montage(
    width: int, height: int, faces: list[tuple[float, float, float]], seed: int = 0
) -> tuple[np.ndarray, list[tuple[float, float, float, float]]]:
    """A photo (height, width, 3) uint8 with faces in it, and their boxes (left, top, right, bottom).

    Args:
        faces: (x, y, side): the middle of the box from brows to chin, and its side.
    """
    photo = background(width, height, seed)
    with Image.open(sample_photos()[0]) as image:
        head = image.convert("RGB").crop(_FRAME)
    boxes = []
    for x, y, side in faces:
        factor = side / (FACE[2] - FACE[0])
        size = (round(head.width * factor), round(head.height * factor))
        mask = Image.new("L", head.size)
        ImageDraw.Draw(mask).ellipse((8, 8, head.width - 8, head.height + 30), fill=255)
        mask = mask.filter(ImageFilter.GaussianBlur(6)).resize(size)
        left = round(x - ((FACE[0] + FACE[2]) / 2 - _FRAME[0]) * factor)
        top = round(y - ((FACE[1] + FACE[3]) / 2 - _FRAME[1]) * factor)
        photo.paste(head.resize(size, Image.Resampling.LANCZOS), (left, top), mask)
        boxes.append((x - side / 2, y - side / 2, x + side / 2, y + side / 2))
    return np.asarray(photo), boxes
