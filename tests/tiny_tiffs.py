"""Uncompressed TIFFs of any numbers, which Pillow cannot write."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

_KINDS = {"u": 1, "i": 2, "f": 3}
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, CMYK = 0, 1, 2, 5


def write_tiff(path: Path, pixels: np.ndarray, meaning: int | None = None) -> Path:
    """(H, W) or (H, W, C); a second or fourth channel is alpha unless `meaning` is CMYK."""
    height, width = pixels.shape[:2]
    bands = pixels.shape[2] if pixels.ndim == 3 else 1
    meaning = (RGB if bands > 2 else BLACK_IS_ZERO) if meaning is None else meaning
    data = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    bits, kind = pixels.dtype.itemsize * 8, _KINDS[pixels.dtype.kind]
    head = {256: width, 257: height, 259: 1, 262: meaning, 277: bands, 278: height, 279: len(data)}
    lists = {258: [bits] * bands, 339: [kind] * bands}
    if bands in (2, 4) and meaning != CMYK:
        lists[338] = [2]
    start = 8 + 2 + 12 * (len(head) + len(lists) + 1) + 4  # of the lists, which the pixels follow
    tails = {tag: struct.pack(f"<{len(values)}H", *values) for tag, values in lists.items() if len(values) > 2}
    head[273] = start + sum(map(len, tails.values()))
    entries = b""
    for tag in sorted([*head, *lists]):
        if tag in head:
            entries += struct.pack("<HHII", tag, 4, 1, head[tag])
            continue
        values = lists[tag]
        short = struct.pack(f"<{len(values)}H", *values).ljust(4, b"\0")
        entries += struct.pack("<HHI", tag, 3, len(values))
        entries += struct.pack("<I", start) if tag in tails else short
        start += len(tails.get(tag, b""))
    count = struct.pack("<H", len(head) + len(lists))
    path.write_bytes(b"II*\0" + struct.pack("<I", 8) + count + entries + bytes(4) + b"".join(tails.values()) + data)
    return path
