"""The formats that photos are read and written in, and how large photos may be."""

from __future__ import annotations

import contextlib
import functools

FORMATS = {"png": ".png", "jpeg": ".jpg", "webp": ".webp", "tiff": ".tif"}
SUFFIXES = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp", ".tif": "tiff", ".tiff": "tiff"}
MAX_MEGAPIXELS = 100.0
_HEIF = (".heic", ".heics", ".heif", ".heifs", ".hif", ".avif")
_RAW = (".arw", ".cr2", ".cr3", ".dng", ".nef", ".nrw", ".orf", ".pef", ".raf", ".rw2", ".srw")


@functools.cache
def add_heif() -> None:
    """Let Pillow read what phones write, where pillow-heif is installed."""
    with contextlib.suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()


def advice(kind: str) -> str:
    """What to do about photos of a kind that cannot be read here; "" if it is no kind of photo.

    Args:
        kind: the suffix, with the dot.
    """
    if kind.lower() in _HEIF:
        return "pip install 'ssrvae_tf[heif]' reads them"
    return "make TIFF or JPEG of them by a raw converter" if kind.lower() in _RAW else ""
