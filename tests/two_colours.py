"""A photo of two halves, for tests of how photos are read."""

import numpy as np
from PIL import Image

RED, BLUE = (200, 20, 10), (10, 20, 200)


def two_colours(width=40, height=32):
    """Left half red, right half blue."""
    pixels = np.empty((height, width, 3), np.uint8)
    pixels[:, : width // 2], pixels[:, width // 2 :] = RED, BLUE
    return Image.fromarray(pixels)


def save(path, width=40, height=32, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    two_colours(width, height).save(path, **options)
    return path
