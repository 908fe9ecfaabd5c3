"""Comparison sheets: pictures under common titles, as one picture."""

from __future__ import annotations

from typing import Any, Iterable, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ssrvae_tf.photos.pixels import to_uint8

_GAP = 8
_TITLE = 20
BAND = _TITLE + 2 * _GAP  # of the titles, in pixels
_NOTE = 14
_INK = (20, 20, 20)
_PAPER = (255, 255, 255)


def sheet(
    rows: Iterable[Sequence],
    titles: Iterable[str],
    notes: Iterable[Sequence[str]] | None = None,
    cell: int = 256,
    enlarge: str = "nearest",
) -> Image.Image:
    """Draw pictures in rows, one column per title.

    Each picture is fitted into a square of `cell` pixels, its aspect kept. Larger ones are shrunk with antialiasing.

    Args:
        rows: lists of arrays (H, W), (H, W, 1) or (H, W, 3), uint8 or float, clipped to [0, 1]; None leaves a hole.
        titles: what stands above the columns.
        notes: for each row a list of texts that stand below its pictures, "" for none.
        cell: side of a picture's square.
        enlarge: how smaller pictures fill it, "nearest" (pixels stay visible) or "bicubic".

    Raises:
        ValueError: if a row has more pictures than there are titles, or `notes` is of another shape than `rows`.

    Example:
        sheet([[lr, sr, hr]], ["LR", "ours", "HR"], [["", "28.1 dB", ""]]).save("sheet.png")
    """
    rows, titles = [list(row) for row in rows], list(titles)
    notes = [list(row) for row in notes] if notes is not None else None
    counts = [len(row) for row in rows]
    if not rows or max(counts) > len(titles):
        raise ValueError(f"rows of {counts} pictures are given with {len(titles)} titles")
    if notes is not None and [len(row) for row in notes] != counts:
        raise ValueError(f"notes for rows of {[len(row) for row in notes]} pictures are given, {counts} are wanted")
    resample = {"nearest": Image.Resampling.NEAREST, "bicubic": Image.Resampling.BICUBIC}[enlarge]

    step = cell + _GAP + (_NOTE + _GAP if notes else 0)
    paper = Image.new("RGB", (_GAP + len(titles) * (cell + _GAP), BAND + len(rows) * step), _PAPER)
    draw = ImageDraw.Draw(paper)
    for column, title in enumerate(titles):
        _write(draw, title, _GAP + column * (cell + _GAP), _GAP, cell, _TITLE)
    for index, row in enumerate(rows):
        top = BAND + index * step
        for column, picture in enumerate(row):
            left = _GAP + column * (cell + _GAP)
            if picture is not None:
                fitted = _fit(_picture(picture), cell, resample)
                paper.paste(fitted, (left + (cell - fitted.width) // 2, top + (cell - fitted.height) // 2))
            if notes:
                _write(draw, notes[index][column], left, top + cell + _GAP // 2, cell, _NOTE)
    return paper


def side_by_side(left: np.ndarray, right: np.ndarray, titles: tuple[str, str]) -> np.ndarray:
    """Two pictures (h, w, 3) uint8 with nothing between, to be cut out again: (BAND + h, 2 w, 3) uint8."""
    height, width = left.shape[:2]
    paper = Image.new("RGB", (2 * width, BAND + height), _PAPER)
    draw = ImageDraw.Draw(paper)
    for column, (picture, title) in enumerate(zip((left, right), titles)):
        _write(draw, title, column * width, _GAP, width, _TITLE)
        paper.paste(Image.fromarray(picture), (column * width, BAND))
    return np.asarray(paper)


def _picture(values: Any) -> Image.Image:
    values = np.asarray(values)
    if values.dtype != np.uint8:
        values = to_uint8(np.nan_to_num(values.astype(np.float32)))
    if values.ndim == 3 and values.shape[-1] == 1:
        values = values[..., 0]
    return Image.fromarray(values).convert("RGB")


def _fit(picture: Image.Image, cell: int, resample: Image.Resampling) -> Image.Image:
    longer = max(picture.size)
    width, height = (max(1, round(side * cell / longer)) for side in picture.size)
    if (width, height) == picture.size:
        return picture
    return picture.resize((width, height), resample if longer < cell else Image.Resampling.LANCZOS)


def _write(draw: ImageDraw.ImageDraw, text: str, left: int, top: int, width: int, size: int) -> None:
    """Centred in `width`, smaller where it would not fit."""
    font = ImageFont.load_default(size)
    while size > 6 and draw.textlength(text, font) > width:
        size -= 1
        font = ImageFont.load_default(size)
    draw.text((left + (width - draw.textlength(text, font)) / 2, top), text, _INK, font)
