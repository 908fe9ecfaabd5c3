"""Enlarge photos: python -m ssrvae_tf.upscale INPUT... [--out PATH] [--model NAME|RUN|SAVEDMODEL|TFLITE]"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import sys
import types
from pathlib import Path

from jsonargparse.typing import ClosedUnitInterval, NonNegativeInt, PositiveInt, restricted_number_type

from ssrvae_tf.command_line import Parser
from ssrvae_tf.errors import UserError, exit_cleanly
from ssrvae_tf.inference.engines import ServerEngine, engine
from ssrvae_tf.inference.enlarger import OVERLAP, upscale
from ssrvae_tf.photos import files as photo_files
from ssrvae_tf.photos import folders
from ssrvae_tf.photos import jobs as photo_jobs
from ssrvae_tf.photos.files import FORMATS, MAX_MEGAPIXELS, SUFFIXES

_COMPARED = "_compare.png"
_Quality = restricted_number_type("Quality", int, [(">=", 1), ("<=", 100)])
_Scale = restricted_number_type("Scale", float, [(">", 0), ("<=", 64)])


def upscale_files(
    inputs,
    out=None,
    model="faces-x4",
    scale: float | None = None,
    kind: str = "keep",
    quality: int = 95,
    overwrite: bool = False,
    compare: bool = False,
    recursive: bool = False,
    jobs: int = 2,
    max_megapixels: float = MAX_MEGAPIXELS,
    fast: bool = True,
    **settings,
) -> photo_jobs.Outcome:
    """Enlarge photos in files. Each result appears whole or not at all; those that are there already are skipped.

    Args:
        inputs: files, folders and globs.
        out: a file for one photo, else a folder, which keeps the folders' structure; None: beside the photos, as
            NAME_x4.png, .jpg, ...
        model: as for `ssrvae_tf.upscale`.
        scale: of the results; the network's own, from which others are resized.
        kind: "keep" (formats other than these give PNG), "png", "jpeg", "webp" or "tiff".
        quality: 1 to 100, of JPEG and WebP.
        overwrite: make results anew that are there.
        compare: write a sheet for each photo and a page with before/after sliders, too.
        recursive: take what lies in folders of named folders.
        jobs: threads that read, and as many that write.
        max_megapixels: larger photos are refused.
        fast: let `ssrvae_tf.inference.fast_engine.fastest` choose the engine of a named model; False is Keras.
        settings: further arguments of `ssrvae_tf.upscale`: tile, overlap, batch, strength.

    Raises:
        UserError: if nothing can be done at all. What fails for single photos is in the outcome.
    """
    words = [os.fspath(word) for word in ([inputs] if isinstance(inputs, (str, os.PathLike)) else inputs)]
    apart_from = Path(out) if out is not None else None
    sources, failed = folders.find_sources(words, recursive, apart_from, passed_over=_COMPARED)
    target, folder = _out(out, len(sources) > 1 or any(map(os.path.isdir, words)), kind)
    network = engine(model)
    factor = scale or network.scale
    if target:
        items = [folders.Item(sources[0].path, target)]
    else:
        items = folders.plan(sources, folder, lambda source, apart: result_name(source, apart, factor, kind))
    outcome = photo_jobs.Outcome(failed=failed)

    def left(items):
        for item in items:
            if _same(item.target, item.source):
                raise UserError(f"--out {item.target}: that is the photo itself: choose another name")
            if os.path.exists(item.target) and not overwrite:
                outcome.skipped.append(item.target)
            else:
                yield item

    todo = photo_jobs.measured(list(left(items)), outcome, max_megapixels, jobs)
    todo = list(left(item for item in todo if _fits(item, kind, factor, outcome)))
    todo = _writable(todo, outcome)
    if not todo:
        return outcome
    from ssrvae_tf.photos.before_after import Page, views, write_sheet

    if fast:
        from ssrvae_tf.inference.fast_engine import fastest

        network = fastest(network, model, sum(item.width * item.height for item in todo))
    page = Page()

    def read(item):
        return photo_files.read(item.source, max_megapixels)

    def work(item, photo, report):
        pixels = upscale(photo.pixels, network, progress=report, **settings)
        return dataclasses.replace(photo, pixels=pixels)

    def write(item, photo, result):
        photo_files.write(result, item.target, quality, factor / network.scale)
        if compare:
            pairs = views(photo, result)
            write_sheet(pairs, item.target.with_name(item.target.name + _COMPARED))
            page.add(item.source.name, pairs)

    photo_jobs.run(todo, read, work, write, outcome, "upscale", jobs)
    if compare:
        at = target.with_name(f"{target.stem}_compare.html") if target else (folder or _common(items)) / "compare.html"
        try:
            written = page.write(at)
        except OSError as error:
            outcome.failed.append(f"{at}: cannot be written ({error.strerror})")
        else:
            if written:
                print(f"before and after: {written}", file=sys.stderr)
    return outcome


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


def result_name(source: folders.Source, apart: bool, factor: float, kind: str) -> str:
    """What a result is called; `apart` tells those of `a.jpg` and `a.png` apart."""
    path = source.path
    suffix = path.suffix if path.suffix.lower() in SUFFIXES else ".png"
    if kind != "keep" and SUFFIXES[suffix.lower()] != kind:
        suffix = FORMATS[kind]
    return f"{path.name if apart else path.stem}_x{factor:g}{suffix}"


def _fits(item: folders.Item, kind: str, factor: float, outcome: photo_jobs.Outcome) -> bool:
    """Whether the item's format can hold its result. A kept format that cannot gives way to PNG."""
    reason = photo_files.limit(SUFFIXES[item.target.suffix.lower()], item.width * factor, item.height * factor)
    if not reason:
        return True
    if kind != "keep":
        outcome.failed.append(f"{item.source}: {reason}: take --format png or tiff")
        return False
    item.target = item.target.with_suffix(item.target.suffix + ".png")
    print(f"{item.source}: {reason}: written as {item.target.name}", file=sys.stderr)
    return True


def _common(items: list[folders.Item]) -> Path:
    """The folder that holds all results."""
    return Path(os.path.commonpath([item.target.parent.resolve() for item in items]))


def _same(first: Path, second: Path) -> bool:
    return os.path.exists(first) and os.path.exists(second) and first.samefile(second)


@contextlib.contextmanager
def _device(name: str | None):
    """On which device TensorFlow computes.

    Raises:
        UserError: if there is no such device.
    """
    if name is None:
        yield
        return
    import tensorflow as tf

    kind, _, number = name.upper().partition(":")
    there = tf.config.list_physical_devices(kind)
    if not number.isdigit() and number or int(number or 0) >= len(there):
        known = ", ".join(each.name.removeprefix("/physical_device:") for each in tf.config.list_physical_devices())
        raise UserError(f"--device {name}: no such device: there are {known}")
    with tf.device(f"{kind}:{number or 0}"):
        yield


def add_options(parser: Parser) -> None:
    """What enlarging can be told, here or on many machines."""
    add = parser.add
    add("--scale", "X", "of the results (default: the model's); others are resized from it", type=_Scale)
    add("--tile", "auto|N", "longest side of a tile in photo pixels (default: auto)", type=_tile_size, default="auto")
    add("--overlap", "N", f"pixels that tiles share (default: {OVERLAP})", type=NonNegativeInt, default=OVERLAP)
    add("--batch", "N", "tiles that go through the network together (default: 1)", type=PositiveInt, default=1)
    kinds = ["keep", *FORMATS]
    parser.add_argument("--format", choices=kinds, default="keep", help="of the results (default: keep; else PNG)")
    add("--quality", "Q", "of JPEG and WebP, 1 to 100 (default: 95)", type=_Quality, default=95)
    text = "1 the network's result, 0 the bicubic one (default: 1)"
    add("--strength", "S", text, type=ClosedUnitInterval, default=1.0)


def _parser() -> Parser:
    parser = Parser("ssrvae_tf.upscale", "Enlarge photos.")
    text = "photos, folders or globs; any format that Pillow reads"
    parser.add_argument("inputs", metavar="INPUT", nargs="+", help=text)
    text = "a file for one photo, else a folder (default: beside the photos, as NAME_x4.png, .jpg, ...)"
    parser.add("--out", "PATH", text)
    parser.add(
        "--model",
        "MODEL",
        "shipped weights (faces-x4 for real photos, faces-x4-clean for cleanly shrunk ones), folder of a run, exported "
        "SavedModel, or .tflite file (default: faces-x4); with --server NAME or NAME:VERSION there (default: ssrvae)",
    )
    parser.add("--server", "URL", "a TensorFlow Serving that has the model, http://HOST:8501 or grpc://HOST:8500")
    add_options(parser)
    parser.flag("--compare", "also write sheets, bicubic beside ours, and a page with before/after sliders")
    photo_jobs.add_local_options(parser)
    parser.add(
        "--engine",
        "auto|keras",
        "auto: LiteRT on a processor, where it is faster, from a file that is made once (default: auto)",
        choices=["auto", "keras"],
        default="auto",
    )
    parser.add("--device", "NAME", "cpu, gpu, gpu:1, ... (default: the first GPU, or the processor)")
    return parser


def _tile_size(text: str):
    if text == "auto":
        return text
    if not text.isdigit() or int(text) < 16:
        raise argparse.ArgumentTypeError(f"{text!r}: auto or a whole number, at least 16, is wanted")
    return int(text)


def _served(url: str, model: str | None) -> ServerEngine:
    """The engine for NAME or NAME:VERSION on a server."""
    from ssrvae_tf.serving import client

    if model is None:
        return ServerEngine(client(url))
    name, colon, version = model.partition(":")
    fits = name and (not colon or version.isascii() and version.isdigit() and len(version) < 19)
    if not fits:
        raise UserError(f"--model {model}: with --server, NAME or NAME:VERSION of a model there is wanted, as ssrvae:1")
    return ServerEngine(client(url, model=name, version=int(version) if colon else None))


def main(arguments=None) -> int:
    options = vars(_parser().parse_args(arguments))
    server, device, fast = options.pop("server"), options.pop("device"), options.pop("engine") == "auto"
    model = options.pop("model")
    if server:
        options["model"] = _served(server, model)
    elif model is not None:
        options["model"] = model
    with _device(device):
        outcome = upscale_files(options.pop("inputs"), kind=options.pop("format"), fast=fast, **options)
    outcome.report(options["out"] or "beside the photos")
    return outcome.code


class _CallableModule(types.ModuleType):
    """Once this module is imported, `ssrvae_tf.upscale` is the module: calling it calls the function of that name."""

    def __call__(self, *arguments, **settings):
        return upscale(*arguments, **settings)

    __call__.__doc__ = upscale.__doc__


sys.modules[__name__].__class__ = _CallableModule

if __name__ == "__main__":
    exit_cleanly(main)
