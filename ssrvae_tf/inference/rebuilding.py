"""Rebuild the faces of an enlarged photo, each at a size that the network knows, and blend them into what is around."""

from __future__ import annotations

import dataclasses
import functools
from typing import Callable, Sequence

import numpy as np
from scipy import ndimage

from ssrvae_tf.faces import Face, find_faces
from ssrvae_tf.photos import files
from ssrvae_tf.photos.pixels import to_uint8
from ssrvae_tf.photos.resizing import resized

# Longer sides of faces' boxes, in pixels of the photo. The shipped weights were trained on faces of some 27, and on
# those enlarged by up to 2.5.
_KNOWN = 64  # up to this a face is taken as it is
_SHRUNK_TO = (64, 96, 128, 192, 256)  # what a larger one may be taken at
_SHRUNK_FROM = 320  # no larger one is shrunk: what it is enlarged to again would take much memory
_LARGEST = 1000  # a larger one is none of the small faces that this is for
_LOST = 2.5 / 255  # a shrunk face may differ from itself by so much, root mean square: noise and roundings
_MARGIN = 1.0  # sides of the box from its middle to the edge of what is rebuilt
_WHOLE = 0.6  # share of that up to which the photo is the network's alone
_WINDOW = 9  # pixels of the photo over which colours are held, as by ssrvae_tf.layers.colour.KeepColours
_ROWS = 256  # of the result that are blended at once
FINDING = 0.3  # share of the progress that is to find the faces


@dataclasses.dataclass(frozen=True)
class Region:
    """Where a face is rebuilt.

    Attributes:
        face: as it was found.
        left, top, right, bottom: of the square around it as far as it lies in the photo, whole pixels.
    """

    face: Face
    left: int
    top: int
    right: int
    bottom: int

    def share(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """How much of the rebuilt face there is at each of some pixels, (rows, columns): 1 around the middle, then
        falling along a cosine to 0.

        Args:
            rows, columns: of the photo; an enlarged one has fractions of them.
        """
        left, top, right, bottom = self.face.box
        reach = _MARGIN * self.face.side
        away = np.hypot(rows[:, None] - (top + bottom) / 2, columns[None] - (left + right) / 2) / reach
        return (0.5 + 0.5 * np.cos(np.pi * np.clip((away - _WHOLE) / (1 - _WHOLE), 0, 1))).astype(np.float32)

    @property
    def rebuilt(self) -> bool:
        """Whether it is small enough for that."""
        return self.face.side <= _LARGEST

    def touches(self, other: Region) -> bool:
        across = max(self.left, other.left) < min(self.right, other.right)
        return across and max(self.top, other.top) < min(self.bottom, other.bottom)


def faces_in(pixels: np.ndarray, report: Callable[[int, int], None] | None = None) -> list[Face]:
    """The faces in a photo (H, W, C) uint8, uint16 or float in [0, 1], as `ssrvae_tf.faces.find_faces` has them."""
    if np.issubdtype(pixels.dtype, np.floating):
        pixels = to_uint8(pixels)
    return find_faces(files.colour(files.Photo(pixels)), report)


def regions(faces: Sequence[Face], height: int, width: int) -> list[Region]:
    """Where the faces of a photo are; those that lie outside of it are left out."""
    found = []
    for face in faces:
        left, top, right, bottom = face.box
        x, y, reach = (left + right) / 2, (top + bottom) / 2, _MARGIN * face.side
        sides = [max(0, int(np.floor(x - reach))), max(0, int(np.floor(y - reach)))]
        sides += [min(width, int(np.ceil(x + reach))), min(height, int(np.ceil(y + reach)))]
        if sides[0] < sides[2] and sides[1] < sides[3]:
            found.append(Region(face, *sides))
    return found


def pixels_of(places: Sequence[Region]) -> int:
    """How many of a photo's pixels go through the network."""
    return sum((each.right - each.left) * (each.bottom - each.top) for each in places if each.rebuilt)


def rebuild(
    out: np.ndarray,
    photo: np.ndarray,
    places: Sequence[Region],
    colours: int,
    enlarged: Callable[..., np.ndarray],
    report: Callable[[int, int], None],
) -> None:
    """Blend rebuilt faces into an enlarged photo, one after the other. What is outside of their regions stays as it is.

    Where faces meet, each has the pixels that it is nearest to, and they are blended between.

    Args:
        out: (scale H, scale W, C), the enlarged photo.
        photo: (H, W, C) of the same dtype.
        places: by `regions`.
        colours: channels that are no alpha; alpha stays as it is.
        enlarged: (h, w, C) of the photo's dtype or float32 -> (scale h, scale w, C) by the network, of the same dtype;
            its argument `report` is called with (rows done, in all).
        report: is called with (pixels of the photo done, in all).
    """
    scale = len(out) // len(photo)
    places = [place for place in places if place.rebuilt]
    ends = [pixels_of(places[:number]) for number in range(len(places) + 1)]
    for index, place in enumerate(places):
        crop = photo[place.top : place.bottom, place.left : place.right]
        told = part_of(report, ends[index], ends[index + 1], ends[-1])
        made = _at_a_known_size(crop, place, scale, functools.partial(enlarged, report=told))
        shift = _shift(crop, made, scale, colours)
        below, above = (
            [each for each in some if each.touches(place)] for some in (places[:index], places[index + 1 :])
        )
        columns = (np.arange(made.shape[1]) + 0.5) / scale + place.left
        for first in range(0, len(made), _ROWS):
            band = to_float(made[first : first + _ROWS])[..., :colours]
            band = band + _rows_of(shift, first, band.shape[:2], scale)
            rows = (np.arange(first, first + len(band)) + 0.5) / scale + place.top
            share = _share(place, below, above, rows, columns)[..., None]
            top, left = place.top * scale + first, place.left * scale
            part = out[top : top + len(band), left : left + band.shape[1], :colours]
            part[...] = _like(part, to_float(part) * (1 - share) + band * share)
        report(ends[index + 1], ends[-1])


def part_of(report: Callable[[int, int], None], start: int, end: int, total: int) -> Callable[[int, int], None]:
    """What takes (done, in all) of a part of the work, and reports it of the whole, as from `start` to `end`."""
    return lambda done, of: report(start + (end - start) * done // of, total)


def _share(
    place: Region, below: list[Region], above: list[Region], rows: np.ndarray, columns: np.ndarray
) -> np.ndarray:
    """How much of a face is laid over what is there, (rows, columns), so that in the end each has its part.

    Args:
        below: faces that meet it, and are there already.
        above: those that will be laid over it.
    """
    own = place.share(rows, columns)
    if not below and not above:
        return own
    later = [each.share(rows, columns) for each in above]
    every = [own, *later, *(each.share(rows, columns) for each in below)]
    nearness = np.maximum(sum(each**2 for each in every), 1e-12)  # squared, in favour of the nearest
    parts = [np.max(every, 0) * each**2 / nearness for each in (own, *later)]
    return np.clip(parts[0] / np.maximum(1 - sum(parts[1:], np.zeros_like(own)), 1e-6), 0, 1)


def _at_a_known_size(crop: np.ndarray, place: Region, scale: int, enlarged: Callable) -> np.ndarray:
    """What the network makes of a face: of its own pixels or, if it is large and nothing is lost, of fewer."""
    side, (height, width) = place.face.side, crop.shape[:2]
    if not _KNOWN < side <= _SHRUNK_FROM:
        return enlarged(crop)
    pixels = to_float(crop)
    left, top, right, bottom = (max(0, int(each)) for each in place.face.box)
    inside = np.s_[max(0, top - place.top) : bottom - place.top, max(0, left - place.left) : right - place.left]
    for size in (each for each in _SHRUNK_TO if each < side):
        small = np.clip(resized(pixels, *(max(1, round(length * size / side)) for length in (width, height))), 0, 1)
        lost = (resized(small, width, height) - pixels)[inside]
        if np.sqrt(np.mean(lost**2)) <= _LOST:
            return np.clip(resized(enlarged(small), width * scale, height * scale), 0, 1)
    return enlarged(crop)


def _shift(crop: np.ndarray, made: np.ndarray, scale: int, colours: int) -> np.ndarray:
    """What a rebuilt face lacks of the photo's colours, at the photo's pixels (h, w, colours)."""
    width = crop.shape[1]
    rows = (made[first : first + scale, ..., :colours] for first in range(0, len(made), scale))
    shrunk = [to_float(each).reshape(scale, width, scale, colours).mean((0, 2)) for each in rows]
    lacking = to_float(crop[..., :colours]) - np.stack(shrunk)
    if crop.shape[-1] > colours:
        lacking *= crop[..., colours:] > 0  # colours that nobody sees are others in the result
    return ndimage.uniform_filter(lacking, (_WINDOW, _WINDOW, 0), mode="nearest")


def _rows_of(shift: np.ndarray, first: int, size: tuple[int, int], scale: int) -> np.ndarray:
    """`size` pixels of it from the result's row `first` on, bilinear."""
    rows, columns = ((np.arange(start, start + n) + 0.5) / scale - 0.5 for start, n in ((first, size[0]), (0, size[1])))
    places = np.meshgrid(rows, columns, indexing="ij")
    channels = np.moveaxis(shift, -1, 0)
    return np.stack([ndimage.map_coordinates(each, places, order=1, mode="nearest") for each in channels], -1)


def _like(part: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Floats as numbers of the dtype of `part`."""
    values = np.clip(values, 0, 1)
    return np.rint(values * np.iinfo(part.dtype).max) if np.issubdtype(part.dtype, np.integer) else values


def to_float(pixels: np.ndarray) -> np.ndarray:
    """float32 in [0, 1] of uint8, uint16 or float."""
    if np.issubdtype(pixels.dtype, np.integer):
        return pixels.astype(np.float32) / np.iinfo(pixels.dtype).max
    return np.clip(pixels.astype(np.float32), 0.0, 1.0)
