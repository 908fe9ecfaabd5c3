"""The process that enlarges the page's photos, one at a time, as `python -m ssrvae_tf.upscale` does.

It is apart from the server, so that the server starts at once, and a photo is given up by ending the process, whose
memory goes with it.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import tempfile
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Iterable

from ssrvae_tf import terminal
from ssrvae_tf.errors import UserError

if TYPE_CHECKING:
    from ssrvae_tf.faces import Face
    from ssrvae_tf.photos.files import Photo

PHOTO = "photo"  # stem of a photo's file in its folder
QUALITY = 95  # of JPEG and WebP, as unless told of `upscale_files`
_TILE, _OVERLAP = "auto", 8  # likewise
_FACES = 100  # that are shown by themselves, at most
_SURE = 0.5  # their lowest score: those of faces are above 0.7 as a rule, those of leaves and stones below this
_MAKING = "Making the network faster on this processor, once for these weights: about a minute"
_MARGIN = 1.7  # side of what is shown of a face / side of its box


@dataclasses.dataclass(frozen=True)
class Settings:
    """How a photo is to be enlarged: see `ssrvae_tf.upscale.upscale_files`.

    Attributes:
        model: name or place of one.
        detail: None for models with one set of weights.
        faces: only these go through the network.
    """

    model: str
    detail: float | None
    strength: float
    faces: bool = False


@dataclasses.dataclass(frozen=True)
class Task:
    """A photo to enlarge.

    Attributes:
        photo: its file. What is made goes beside it.
        name: that its owner knows it by.
    """

    photo: Path
    name: str
    settings: Settings
    max_megapixels: float


@dataclasses.dataclass(frozen=True)
class View:
    """A picture to look at, as `ssrvae_tf.photos.files.write_pyramid` wrote it."""

    width: int
    height: int
    levels: int


@dataclasses.dataclass(frozen=True)
class Result:
    """What became of a photo.

    Attributes:
        file: of the enlarged photo, beside the photo.
        name: for its owner.
        before, after: the folders `before` and `after` beside it.
        faces: (left, top, right, bottom) of a square around each that was found, in shares of the photo's sides; the
            folders `before-0`, `after-0`, ... show them.
        notes: what its owner should know, "" for nothing.
    """

    file: str
    name: str
    before: View
    after: View
    faces: tuple[tuple[float, ...], ...]
    notes: str


def serve(connection: Connection, scratch: Path, engine: str, precision: str) -> None:
    """Take tasks from a connection, until it closes. Temporary files go to the folder `scratch`.

    For each there come ("stage", text) and ("rows", done, of all) while it goes on, and at the end ("done", `Result`)
    or ("failed", one line).
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is for the server, which ends this one
    os.environ["TMPDIR"] = tempfile.tempdir = os.fspath(scratch)  # libvips and what makes an engine's file look there
    terminal.quiet_start()
    terminal.Bar.set_lock(threading.RLock())  # tqdm's own lasts beyond a process that is killed, which Python tells
    networks = _Networks(engine, precision)
    try:
        while True:
            task = connection.recv()
            try:
                connection.send(("done", _enlarged(task, networks, lambda *told: connection.send(told))))
            except UserError as error:
                connection.send(("failed", named(str(error), task.photo, task.name)))
    except (EOFError, BrokenPipeError, ConnectionResetError):  # the server has gone
        pass


def named(line: str, photo: Path, name: str) -> str:
    """A line about a photo for its owner, who does not know where the server keeps it."""
    return line.replace(os.fspath(photo), name).replace(f"{photo.parent}{os.sep}", "")


class _Networks:
    """Keeps the network of the last photo, since the next one probably goes through it, too."""

    def __init__(self, engine: str, precision: str):
        self._how, self._key, self._network = (engine, precision), None, None

    def of(self, model: Any, pixels: int, making: Callable[[], None]):
        """Calls `making` before what takes a minute, once for these weights on this machine."""
        from ssrvae_tf.inference.fast_engine import fastest

        if self._key == (model, pixels >= 1_000_000):  # from there on another engine may be worth the while
            return self._network
        self._key = self._network = None  # its memory, before the next is there
        self._network = fastest(model, pixels, *self._how, making=making)
        self._key = model, pixels >= 1_000_000
        return self._network


def _enlarged(task: Task, networks: _Networks, tell: Callable) -> Result:
    """Raises UserError where the photo cannot be enlarged."""
    from ssrvae_tf.inference.engines import computed_by
    from ssrvae_tf.inference.enlarger import BICUBIC, OF_FACES, upscale
    from ssrvae_tf.inference.identity import identity
    from ssrvae_tf.loading import places
    from ssrvae_tf.photos import files, folders, jobs, records
    from ssrvae_tf.photos.formats import SUFFIXES

    settings, folder = task.settings, task.photo.parent
    model = places.chosen(settings.model, settings.detail)
    tell("stage", "Reading the photo")
    width, height = files.measure(task.photo, task.max_megapixels)
    tell("stage", "Loading the network")
    pixels = width * height // (OF_FACES if settings.faces else 1)
    network = networks.of(model, pixels, lambda: tell("stage", _MAKING))
    source = folders.Source(task.photo, Path(task.photo.name))
    target = folder / folders.result_name(source, False, network.scale, "keep")
    if files.limit(SUFFIXES[target.suffix.lower()], width * network.scale, height * network.scale):
        target = target.with_suffix(f"{target.suffix}.png")
    made = records.of_result(
        target,
        folders.size_of(task.photo),
        identity(model),
        network.scale,
        QUALITY,
        _TILE,
        _OVERLAP,
        settings.strength,
        detail=places.detail_of(model),
        precision=getattr(network, "precision", "float32"),
        background=BICUBIC if settings.faces else None,
    )
    views: dict[str, View] = {}
    notes: list[str] = []
    squares: list[tuple[int, int, int]] = []

    def work(item, photo, report):
        def told(done, rows):
            report(done, rows)
            tell("rows", done, rows)

        notes.append(photo.note.removeprefix(f"{task.photo}: "))
        faces = _faces(photo, tell)
        sides = photo.pixels.shape[1::-1]  # upright, which the file's head need not be
        squares.extend(_square(face, *sides) for face in faces[:_FACES] if face.score >= _SURE)
        views["before"] = _views(photo, folder / "before", squares)
        jobs.trim_heap()  # of what finding faces in a large photo took
        tell("rows", 0, 1)
        pixels = upscale(
            photo.pixels,
            network,
            _TILE,
            progress=told,
            overlap=_OVERLAP,
            strength=settings.strength,
            faces=faces if settings.faces else False,
            background=BICUBIC,
        )
        return dataclasses.replace(photo, pixels=pixels, computed_by=computed_by(network))

    def write(item, photo, result):
        tell("stage", "Writing the result")
        files.write(result, target, QUALITY, made=made)
        larger = [tuple(network.scale * each for each in square) for square in squares]
        views["after"] = _views(result, folder / "after", larger)

    outcome = jobs.Outcome()
    item = folders.Item(task.photo, target, width, height)
    jobs.run([item], lambda item: files.read(item.source, task.max_megapixels), work, write, outcome, task.name, 1)
    if outcome.failed:
        raise UserError(outcome.failed[0])
    name = Path(task.name).stem + target.name.removeprefix(PHOTO)
    before = views["before"]
    sides = before.width, before.height, before.width, before.height
    faces = tuple(
        tuple(pixels / side for pixels, side in zip((left, top, left + length, top + length), sides))
        for left, top, length in squares
    )
    return Result(target.name, name, before, views["after"], faces, "; ".join(filter(None, notes)))


def _faces(photo: Photo, tell: Callable) -> list[Face]:
    """Those in a photo, the surest first. How far the search is is told in whole per cent."""
    from ssrvae_tf.inference.rebuilding import faces_in

    said = None

    def report(done, tiles):
        nonlocal said
        words = f"Looking for faces: {100 * done // tiles} %"
        if words != said:
            tell("stage", words)
        said = words

    return faces_in(photo.pixels, report)


def _square(face: Face, width: int, height: int) -> tuple[int, int, int]:
    """(left, top, side) of a square in pixels around a face, with hair and neck, as far as the photo goes."""
    left, top, right, bottom = face.box
    side = min(max(1, round(_MARGIN * face.side)), height, width)
    middle = (left + right) / 2, (top + bottom) / 2
    corner = (min(max(0, round(at - side / 2)), length - side) for at, length in zip(middle, (width, height)))
    return (*corner, side)


def _views(photo: Photo, folder: Path, squares: Iterable[tuple[int, ...]]) -> View:
    """Write what is looked at: the whole to `folder`, and squares of it to `folder-0`, ..."""
    from ssrvae_tf.photos import files

    for number, (left, top, side) in enumerate(squares):
        part = dataclasses.replace(photo, pixels=photo.pixels[top : top + side, left : left + side])
        files.write_pyramid(part, folder.with_name(f"{folder.name}-{number}"))
    height, width = photo.pixels.shape[:2]
    return View(width, height, files.write_pyramid(photo, folder))
