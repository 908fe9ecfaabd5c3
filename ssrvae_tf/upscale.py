"""Enlarge photos: python -m ssrvae_tf.upscale INPUT... [--out PATH] [--model NAME|RUN|SAVEDMODEL|TFLITE]"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import sys
import types
from pathlib import Path
from typing import Annotated, List, Literal, Optional, Union

from jsonargparse.typing import ClosedUnitInterval, NonNegativeInt, PositiveFloat, PositiveInt, restricted_number_type

from ssrvae_tf import command_line
from ssrvae_tf.errors import UserError, exit_cleanly
from ssrvae_tf.inference.engines import computed_by
from ssrvae_tf.inference.fast_engine import Engine, Precision, fastest
from ssrvae_tf.inference.identity import identity
from ssrvae_tf.loading import places
from ssrvae_tf.photos import folders, records
from ssrvae_tf.photos import jobs as photo_jobs
from ssrvae_tf.photos.formats import MAX_MEGAPIXELS, SUFFIXES
from ssrvae_tf.terminal import counted, saying

Kind = Literal["keep", "png", "jpeg", "jpg", "webp", "tiff", "tif"]
Tile = restricted_number_type("Tile", int, (">=", 16), docstring="a whole number, at least 16")
Quality = restricted_number_type("Quality", int, [(">=", 1), ("<=", 100)], docstring="a whole number from 1 to 100")
Scale = restricted_number_type("Scale", float, [(">", 0), ("<=", 64)], docstring="a number above 0, at most 64")


def upscale_files(
    inputs: Annotated[List[str], "INPUT"],
    out: Optional[Annotated[str, "PATH"]] = None,
    model: Optional[Annotated[str, "MODEL"]] = None,
    scale: Optional[Scale] = None,
    format: Kind = "keep",
    quality: Quality = 95,
    overwrite: bool = False,
    compare: bool = False,
    recursive: bool = False,
    jobs: PositiveInt = 2,
    max_megapixels: PositiveFloat = MAX_MEGAPIXELS,
    tile: Union[Literal["auto"], Tile] = "auto",
    overlap: NonNegativeInt = 8,
    batch: PositiveInt = 1,
    strength: ClosedUnitInterval = 1.0,
    detail: Optional[ClosedUnitInterval] = None,
    detailed: Optional[Annotated[str, "MODEL"]] = None,
    server: Optional[Annotated[str, "URL"]] = None,
    engine: Engine = "auto",
    precision: Precision = "float32",
    device: Optional[Annotated[str, "NAME"]] = None,
    faces: bool = False,
    background: Optional[Annotated[str, "bicubic|MODEL"]] = None,
    faces_out: Optional[Annotated[str, "FOLDER"]] = None,
) -> photo_jobs.Outcome:
    """Enlarge photos in files. Each result appears whole or not at all, and says what made it. Those that are there
    already are skipped, unless another network, other options or another photo made them.

    Args:
        inputs: photos, folders and globs; any format that Pillow reads.
        out: a file for one photo, else a folder, which keeps the folders' structure; without it results go beside the
            photos, as NAME_x4.png, .jpg, ...
        model: shipped weights (faces-x4, the default, for real photos, faces-x4-clean for cleanly shrunk ones), folder
            of a run, exported SavedModel, or .tflite file; with --server NAME or NAME:VERSION there (ssrvae).
        scale: of the results; the network's own unless told, from which others are resized.
        format: of the results; keep writes formats other than these as PNG.
        quality: of JPEG and WebP, 1 to 100.
        overwrite: make all results anew; else those that these options have made are skipped.
        compare: also write a folder of sheets, bicubic beside ours, with a page of before/after sliders.
        recursive: take what lies in folders of the named folders, too.
        jobs: threads that read, and as many that write.
        max_megapixels: larger photos are refused.
        tile: longest side of a tile in pixels of the photo, or auto.
        overlap: pixels of the photo that neighbouring tiles share.
        batch: tiles that go through the network together.
        strength: 1 is the network's result, 0 the bicubic one, between them a blend.
        detail: of a model with two sets of weights: 0 keeps to the photo, 1 draws most; as its maker chose unless told.
        detailed: a second model of the same architecture, of which the share --detail is taken, a half unless told.
        server: a TensorFlow Serving that has the model, http://HOST:8501 or grpc://HOST:8500.
        engine: auto takes a GPU where there is one, else what is fastest on this processor, which is measured once.
        precision: bfloat16 is faster on processors that have it, by OpenVINO, and off by 0.2 of 255 on average.
        device: cpu, gpu, gpu:1, ...; the first GPU, or the processor, unless told.
        faces: find the faces and rebuild them alone.
        background: what the rest is enlarged by with --faces: bicubic, the default, which adds nothing, or a model,
            such as faces-x4-clean.
        faces_out: also write each face into a file here, and where it was found, as JSON.

    Raises:
        UserError: if nothing can be done at all. What fails for single photos is in the outcome.
    """
    format = SUFFIXES.get(f".{format}", format)  # jpg is jpeg
    words = [os.fspath(word) for word in ([inputs] if isinstance(inputs, (str, os.PathLike)) else inputs)]
    if not faces and (background is not None or faces_out is not None):
        raise UserError(f"--{'background' if faces_out is None else 'faces-out'}: only with --faces: add it")
    apart_from = [Path(each) for each in (out, faces_out) if each is not None]
    sources, failed = folders.find_sources(words, recursive, apart_from)
    target, folder = _out(out, len(sources) > 1 or any(map(os.path.isdir, words)), format)
    # The scale is all that is needed to see what is there already, and TensorFlow takes seconds to load.
    model = _model(model, server, detail, detailed)
    known = places.settings(model) if isinstance(model, (str, os.PathLike)) and not server else None
    if server and (engine != "auto" or precision != "float32"):
        raise UserError("--server: it computes by itself: leave --engine and --precision out")
    network = None if known and known.stage == "sr" else _network(model, server, device, 0, engine, precision)
    factor = scale or (network or known).scale
    if target:
        items = [folders.Item(sources[0].path, target)]
    else:
        items = folders.plan(sources, folder, lambda source, apart: folders.result_name(source, apart, factor, format))
    outcome, digest = photo_jobs.Outcome(failed=failed), identity(network if server else model)
    settings = {"tile": tile, "overlap": overlap, "batch": batch, "strength": strength}
    taken = None if server else places.detail_of(model)
    background = chosen_background(background) if faces else None
    behind = named_background(background)

    def made(item):
        size = folders.size_of(item.source)
        more = {"detail": taken, "precision": precision, "background": behind, **settings}
        return records.of_result(item.target, size, digest, factor, quality, **more)

    def undone(items):
        for item in items:
            if _same(item.target, item.source):
                raise UserError(f"--out {item.target}: that is the photo itself: choose another name")
        return photo_jobs.undone(items, made, outcome, overwrite, jobs)

    todo = photo_jobs.measured(undone(items), outcome, max_megapixels, jobs)
    todo = undone([item for item in todo if _fits(item, format, factor, outcome)])  # some have other names now
    todo = _writable(todo, outcome)
    sheets = _comparisons(target, folder, items, factor) if compare else None
    face_files = _face_files(faces_out, target, folder, items, factor) if faces_out is not None else None
    without = [each.lacking(items, outcome.skipped) for each in (sheets, face_files) if each]
    lacking = [item for item in items if any(item in some for some in without)]
    lacking = photo_jobs.measured(lacking, outcome, max_megapixels, jobs)
    if not todo and not lacking:
        return outcome
    from ssrvae_tf.inference import enlarger
    from ssrvae_tf.inference.rebuilding import FINDING, faces_in
    from ssrvae_tf.photos import files

    for each in (sheets, face_files):
        if each:
            each.begin()
    pixels = sum(item.width * item.height for item in todo)
    if todo and not network:
        network = _network(model, server, device, pixels // enlarger.OF_FACES if faces else pixels, engine, precision)
        print(f"{model}: {computed_by(network)}", file=sys.stderr)
    around = None
    if todo and faces:
        with _on(device):
            around = enlarger.background_engine(background, pixels, network.scale, engine, precision, device)
    there = {item.target for item in lacking}
    found: dict[Path, list] = {}  # faces in photos

    def read(item):
        return files.read(item.source, max_megapixels)

    def work(item, photo, report):
        if faces:
            found[item.target] = faces_in(photo.pixels, lambda done, of: report(FINDING * done, of))
        if item.target in there:
            result = files.read(item.target, math.inf)
            pairs = zip(result.pixels.shape[:2], photo.pixels.shape[:2])
            if any(abs(large - max(1, small * factor)) > 1 for large, small in pairs):
                raise UserError(f"{item.target}: not this photo, enlarged: --overwrite makes it anew")
            return result
        begun = FINDING if faces else 0.0
        pixels = enlarger.upscale(
            photo.pixels,
            network,
            progress=lambda done, of: report(begun * of + (1 - begun) * done, of),
            faces=found.get(item.target, False),
            background=around,
            **settings,
        )
        return dataclasses.replace(photo, pixels=pixels, computed_by=computed_by(network))

    def write(item, photo, result):
        if item.target not in there:
            files.write(result, item.target, quality, factor / network.scale, made(item))
        if sheets:
            sheets.write(item.target, photo, result)
        if face_files:
            face_files.write(item, photo, result, found[item.target])

    with _on(device):
        photo_jobs.run(todo + lacking, read, work, write, outcome, "upscale", jobs)
    outcome.written = [path for path in outcome.written if path not in there]
    if faces:
        _tell_faces(found)
    if sheets:
        try:
            print(f"before and after: {sheets.write_page()}", file=sys.stderr)
        except OSError as error:
            outcome.fail(f"{sheets.page}: cannot be written ({error.strerror})")
    return outcome


def _comparisons(target: Path | None, folder: Path | None, items: list[folders.Item], factor: float):
    """Where sheets go: into a folder beside the results."""
    from ssrvae_tf.photos.before_after import Comparisons

    common = _common(target, folder, items)
    return Comparisons(common / (f"{target.stem}_compare" if target else f"compare_x{factor:g}"), common)


def _face_files(faces_out: str, target: Path | None, folder: Path | None, items: list[folders.Item], factor: float):
    """Where faces go.

    Raises:
        UserError: if there is something that is no folder.
    """
    from ssrvae_tf.inference.face_files import FaceFiles

    if not faces_out or os.path.exists(faces_out) and not os.path.isdir(faces_out):
        raise UserError(f"--faces-out {faces_out}: not the name of a folder: choose another name")
    return FaceFiles(Path(faces_out), _common(target, folder, items), factor)


def _common(target: Path | None, folder: Path | None, items: list[folders.Item]) -> Path:
    """The folder that all results lie in."""
    if target:
        return target.parent
    return folder or Path(os.path.commonpath([item.target.parent.resolve() for item in items]))


def chosen_background(background: str | None):
    """What --background means: "bicubic", or a model."""
    return "bicubic" if background in (None, "bicubic") else places.chosen(background)


def named_background(background) -> str | None:
    """What a result's record calls the background."""
    if background in (None, "bicubic"):
        return background
    taken = places.detail_of(background)
    return identity(background) + (f" at detail {taken:g}" if taken is not None else "")


def _tell_faces(found: dict[Path, list]) -> None:
    none = [path for path, faces in found.items() if not faces]
    faces = counted(sum(map(len, found.values())), "face")
    empty = f", none in {len(none)} of them, such as that of {none[0]}" if none and len(found) > 1 else ""
    if found:
        print(f"{faces} in {counted(len(found), 'photo')}{empty}", file=sys.stderr)


def _writable(items: list[folders.Item], outcome: photo_jobs.Outcome) -> list[folders.Item]:
    """The items whose folders can be written in. The others go to `outcome`.

    Raises:
        UserError: if none can.
    """
    errors = {}
    for folder in dict.fromkeys(item.target.parent for item in items):
        try:
            folders.check_folder(folder, "--out")
        except UserError as error:
            errors[folder] = str(error)
    kept = [item for item in items if item.target.parent not in errors]
    if errors and not kept:
        raise UserError(next(iter(errors.values())))
    outcome.failed += errors.values()
    return kept


def _out(out, several: bool, kind: str) -> tuple[Path | None, Path | None]:
    """(file, None) for one result of that name, (None, folder), or (None, None) for beside the photos."""
    if out is None:
        return None, None
    text, path = os.fspath(out), Path(out)
    if not text:
        raise UserError("--out: an empty name: give a file or a folder, or leave it out")
    suffix = path.suffix.lower()
    if os.path.isdir(path) or text.endswith(("/", os.sep)) or not suffix or (several and suffix not in SUFFIXES):
        if os.path.exists(path) and not os.path.isdir(path):
            raise UserError(f"--out {out}: a file is there, a folder is wanted: choose another name")
        return None, path
    if suffix not in SUFFIXES:
        raise UserError(f"--out {out}: cannot write {suffix}: use .png, .jpg, .webp or .tif")
    if several:
        raise UserError(f"--out {out}: one file for several photos: give a folder")
    if kind != "keep" and SUFFIXES[suffix] != kind:
        raise UserError(f"--out {out}: its suffix says {SUFFIXES[suffix]}, --format says {kind}: leave one of them out")
    return path, None


def _fits(item: folders.Item, kind: str, factor: float, outcome: photo_jobs.Outcome) -> bool:
    """Whether the item's format can hold its result. A kept format that cannot gives way to PNG."""
    from ssrvae_tf.photos import files

    reason = files.limit(SUFFIXES[item.target.suffix.lower()], item.width * factor, item.height * factor)
    if not reason:
        return True
    if kind != "keep":
        outcome.failed.append(f"{item.source}: {reason}: take --format png or tiff")
        return False
    item.target = item.target.with_suffix(item.target.suffix + ".png")
    print(f"{item.source}: {reason}: written as {item.target.name}", file=sys.stderr)
    return True


def _same(first: Path, second: Path) -> bool:
    return os.path.exists(first) and os.path.exists(second) and first.samefile(second)


def _model(model, server: str | None, detail: float | None, detailed: str | None):
    """The model that is meant, the default if none is named."""
    if not server:
        return places.chosen(places.DEFAULT if model is None else model, detail, detailed)
    if detail is not None or detailed is not None:
        raise UserError("--detail and --detailed: a server's model has the detail of its export: leave them out")
    return model


def _network(model, server: str | None, device: str | None, pixels: int, engine: str, precision: str):
    """The engine of a model here, or on a server."""
    if server:
        from ssrvae_tf.inference.engines import ServerEngine

        return ServerEngine(_client(server, model))
    with _on(device):
        return fastest(model, pixels, engine, precision, device)


def _client(url: str, model: str | None):
    """A client for NAME or NAME:VERSION on a server."""
    from ssrvae_tf import serving

    if model is None:
        return serving.client(url)
    name, colon, version = model.partition(":")
    fits = name and (not colon or version.isascii() and version.isdigit() and len(version) < 19)
    if not fits:
        raise UserError(f"--model {model}: with --server, NAME or NAME:VERSION of a model there is wanted, as ssrvae:1")
    return serving.client(url, model=name, version=int(version) if colon else None)


@contextlib.contextmanager
def _on(device: str | None):
    """On which device TensorFlow computes.

    Raises:
        UserError: if there is no such device.
    """
    if device is None:
        yield
        return
    with saying("starting TensorFlow"):
        import tensorflow as tf

    kind, _, number = device.upper().partition(":")
    there = tf.config.list_physical_devices(kind)
    if not number.isdigit() and number or int(number or 0) >= len(there):
        known = ", ".join(each.name.removeprefix("/physical_device:") for each in tf.config.list_physical_devices())
        raise UserError(f"--device {device}: no such device: there are {known}")
    with tf.device(f"{kind}:{number or 0}"):
        yield


def main(arguments=None) -> int:
    options = command_line.read(upscale_files, "ssrvae_tf.upscale", arguments, positional=("inputs",))
    outcome = upscale_files(**options)
    outcome.report(f"to {options['out']}" if options["out"] else "beside the photos")
    return outcome.code


class _CallableModule(types.ModuleType):
    """Once this module is imported, `ssrvae_tf.upscale` is the module: calling it calls the function of that name."""

    def __call__(self, *arguments, **settings):
        return __getattr__("upscale")(*arguments, **settings)


def __getattr__(name: str):
    if name == "upscale":  # brings much that --help need not wait for
        from ssrvae_tf.inference.enlarger import upscale

        return upscale
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


sys.modules[__name__].__class__ = _CallableModule

if __name__ == "__main__":
    exit_cleanly(main)
