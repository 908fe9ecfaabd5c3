"""Write a model for other programs: python -m ssrvae_tf.export MODEL --savedmodel DIR | --tflite FILE | --onnx FILE"""

from __future__ import annotations

import argparse
import re
import time
from pathlib import Path

from jsonargparse.typing import PositiveInt

from ssrvae_tf.command_line import Parser
from ssrvae_tf.errors import UserError, exit_cleanly
from ssrvae_tf.versions import KEPT


def export(
    model: str,
    savedmodel: str | None = None,
    version: int | None = None,
    keep: int = KEPT,
    max_pixels: int | None = None,
    tflite: str | None = None,
    quantize: str = "none",
    fixed_size: tuple[int, int] | None = None,
    calibrate: str | None = None,
    onnx: str | None = None,
) -> list[Path]:
    """Write a model in one format or several, and print what was written.

    Args:
        model: as for `ssrvae_tf.load`.
        savedmodel: folder of the versions; `version`, `keep`, `max_pixels`: see
            `ssrvae_tf.exporting.saved_model.export_saved_model`.
        tflite: file; `quantize`, `fixed_size`, `calibrate`: see `ssrvae_tf.exporting.tflite.export_tflite`.
        onnx: file.

    Returns:
        the version's folder and the files.

    Raises:
        UserError: if nothing is asked for, or settings of what is not, there is no such model, or something cannot be
            written.
    """
    if not (savedmodel or tflite or onnx):
        raise UserError("nothing to write: give --savedmodel DIR, --tflite FILE or --onnx FILE")
    of_folder = {"--version": version, "--keep": keep != KEPT, "--max-pixels": max_pixels}
    of_tflite = {"--quantize": quantize != "none", "--fixed-size": fixed_size, "--calibrate": calibrate}
    for there, what, options in (
        (savedmodel, "a SavedModel only: add --savedmodel DIR", of_folder),
        (tflite, "a TFLite file only: add --tflite FILE", of_tflite),
    ):
        given = ", ".join(option for option, value in options.items() if value)
        if given and not there:
            raise UserError(f"{given}: for {what}, or leave it out")
    from ssrvae_tf.loading import models as loading

    network = loading.load(model)
    written = []

    def write(function, *arguments, **settings):
        start = time.monotonic()
        path = Path(function(network, *arguments, **settings))
        print(f"{path}: {_size(path) / 1e6:.1f} MB in {time.monotonic() - start:.0f} s", flush=True)
        written.append(path)

    if savedmodel:
        from ssrvae_tf.exporting.saved_model import MAX_PIXELS, export_saved_model

        run = None if loading.keras_file(model) else model
        write(export_saved_model, savedmodel, version, keep, max_pixels or MAX_PIXELS, run)
    if tflite:
        from ssrvae_tf.exporting.tflite import export_tflite

        write(export_tflite, tflite, quantize=quantize, fixed_size=fixed_size, calibrate=calibrate)
    if onnx:
        from ssrvae_tf.exporting.onnx import export_onnx

        write(export_onnx, onnx)
    return written


def _size(path: Path) -> int:
    return sum(each.stat().st_size for each in [path, *path.rglob("*")] if each.is_file())


def _sides(text: str) -> tuple[int, int]:
    if not re.fullmatch(r"[1-9]\d*x[1-9]\d*", text):
        raise argparse.ArgumentTypeError(f"{text!r}: HEIGHTxWIDTH in pixels is wanted, such as 64x64")
    height, width = text.split("x")
    return int(height), int(width)


def _parser() -> Parser:
    parser = Parser("ssrvae_tf.export", "Write a model for other programs.")
    add = parser.add
    parser.add_argument(
        "model", metavar="MODEL", help="shipped weights, folder of a run or an exported version, or .keras file"
    )
    add("--savedmodel", "DIR", "for TensorFlow Serving: the next version in this folder, DIR/1, DIR/2, ...")
    add("--version", "N", "of the SavedModel (default: the newest there and 1)", type=PositiveInt)
    add("--keep", "K", f"versions that stay, the newest ones (default: {KEPT})", type=PositiveInt, default=KEPT)
    add("--max-pixels", "N", "photos of more are refused when sent as bytes (default: 65536)", type=PositiveInt)
    add("--tflite", "FILE", "for phones: a TFLite file")
    parser.add_argument(
        "--quantize",
        choices=["none", "float16", "dynamic", "int16x8"],
        default="none",
        help="of the TFLite file (default: none)",
    )
    add("--fixed-size", "HxW", "only input size of the TFLite file (default: any)", type=_sides)
    add("--calibrate", "DIR", "sharp faces that set int16x8's ranges and that the TFLite file is measured on")
    add("--onnx", "FILE", "for other runtimes: an ONNX file")
    return parser


def main(arguments=None) -> None:
    options = vars(_parser().parse_args(arguments))
    export(**options)


if __name__ == "__main__":
    exit_cleanly(main)
