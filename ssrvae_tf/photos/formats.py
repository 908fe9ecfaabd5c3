"""The formats that photos are read and written in, and how large photos may be."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import stat
import threading

from PIL import Image

FORMATS = {"png": ".png", "jpeg": ".jpg", "webp": ".webp", "tiff": ".tif"}
SUFFIXES = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".jfif": "jpeg", ".jpe": "jpeg", ".webp": "webp"}
SUFFIXES.update({".tif": "tiff", ".tiff": "tiff"})
MAX_MEGAPIXELS = 100.0
_HEIF = (".heic", ".heics", ".heif", ".heifs", ".hif", ".avif")
RAW = (".arw", ".cr2", ".cr3", ".dng", ".nef", ".nrw", ".orf", ".pef", ".raf", ".rw2", ".srw")
_LIMIT = threading.Lock()


def open_image(path: str | os.PathLike | io.BytesIO) -> Image.Image:
    """`Image.open` without Pillow's own limit of pixels, which cannot be lifted for one file."""
    add_heif()
    if not isinstance(path, io.BytesIO):
        check_file(path)
    with _LIMIT:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(path)
        finally:
            Image.MAX_IMAGE_PIXELS = before


def check_file(path: str | os.PathLike) -> None:
    """Look whether reading could wait for ever, as it does at a pipe into which nothing is written.

    Raises:
        OSError: if it could, or there is nothing.
    """
    mode = os.stat(path).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OSError("a device or a pipe, not a file")


def packet_of(image: Image.Image) -> bytes | None:
    """The XMP packet in a file, None if there is none."""
    packet = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")  # of PNG
    return packet.encode() if isinstance(packet, str) else packet


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
    return "make TIFF or JPEG of them by a raw converter" if kind.lower() in RAW else ""
