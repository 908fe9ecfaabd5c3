"""Write a model for other programs: python -m ssrvae_tf.export MODEL --savedmodel DIR | --tflite FILE | --onnx FILE |
--openvino FILE"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, List, Literal, Optional

from jsonargparse.typing import ClosedUnitInterval, PositiveInt, restricted_string_type

from ssrvae_tf import command_line
from ssrvae_tf.command_line import File, Folder
from ssrvae_tf.errors import UserError, exit_cleanly
from ssrvae_tf.loading import places
from ssrvae_tf.terminal import saying
from ssrvae_tf.versions import KEPT

Size = restricted_string_type("Size", r"^[1-9]\d*x[1-9]\d*$", docstring="HEIGHTxWIDTH in pixels, such as 64x64")


def export(
    model: Annotated[str, "MODEL"],
    savedmodel: Optional[Folder] = None,
    version: Optional[PositiveInt] = None,
    keep: PositiveInt = KEPT,
    max_pixels: Optional[PositiveInt] = None,
    tflite: Optional[File] = None,
    quantize: Literal["none", "float16", "dynamic", "int16x8"] = "none",
    fixed_size: Optional[Annotated[Size, "HxW"]] = None,
    calibrate: Optional[Folder] = None,
    onnx: Optional[File] = None,
    detail: Optional[ClosedUnitInterval] = None,
    detailed: Optional[Annotated[str, "MODEL"]] = None,
    openvino: Optional[File] = None,
) -> List[Path]:
    """Write a model for other programs, in one format or several, and print what was written.

    Args:
        model: shipped weights, folder of a run or of an exported version, or .keras file.
        savedmodel: for TensorFlow Serving: the next version in this folder, DIR/1, DIR/2, ...
        version: number of the SavedModel; the newest there and 1 unless told.
        keep: versions that stay, the newest ones.
        max_pixels: photos of more are refused when sent as bytes; 65536 unless told.
        tflite: for phones: a TFLite file.
        quantize: the TFLite file's numbers.
        fixed_size: only input size of the TFLite file; any unless told.
        calibrate: sharp faces that set int16x8's ranges and that the TFLite file is measured on.
        onnx: for other runtimes: an ONNX file.
        detail: of a model with two sets of weights: 0 keeps to the photo, 1 draws most; as its maker chose unless told.
            What is written has this one.
        detailed: a second model of the same architecture, of which the share --detail is taken, a half unless told.
        openvino: for OpenVINO: a .xml file, with a .bin file beside it.

    Returns:
        the version's folder and the files.

    Raises:
        UserError: if nothing is asked for, or settings of what is not, there is no such model, or something cannot be
            written.
    """
    if not (savedmodel or tflite or onnx or openvino):
        raise UserError("nothing to write: give --savedmodel DIR, --tflite FILE, --onnx FILE or --openvino FILE")
    of_folder = {"--version": version, "--keep": keep != KEPT, "--max-pixels": max_pixels}
    of_tflite = {"--quantize": quantize != "none", "--fixed-size": fixed_size, "--calibrate": calibrate}
    for there, what, options in (
        (savedmodel, "a SavedModel only: add --savedmodel DIR", of_folder),
        (tflite, "a TFLite file only: add --tflite FILE", of_tflite),
    ):
        given = ", ".join(option for option, value in options.items() if value)
        if given and not there:
            raise UserError(f"{given}: for {what}, or leave it out")
    model = places.chosen(model, detail, detailed)
    taken = places.detail_of(model)
    with saying(f"loading {model}"):
        from ssrvae_tf.loading.models import load

        network = load(model)
    written = []

    def write(function, *arguments, **settings):
        start = time.monotonic()
        path = Path(function(network, *arguments, **settings))
        print(f"{path}: {_size(path) / 1e6:.1f} MB in {time.monotonic() - start:.0f} s", flush=True)
        written.append(path)

    if savedmodel:
        from ssrvae_tf.exporting.saved_model import MAX_PIXELS, export_saved_model

        run = None if places.keras_file(model) else model
        write(export_saved_model, savedmodel, version, keep, max_pixels or MAX_PIXELS, run, taken)
    if tflite:
        from ssrvae_tf.exporting.tflite import export_tflite

        size = tuple(map(int, fixed_size.split("x"))) if fixed_size else None
        write(export_tflite, tflite, quantize=quantize, fixed_size=size, calibrate=calibrate, detail=taken)
    if onnx:
        from ssrvae_tf.exporting.onnx import export_onnx

        write(export_onnx, onnx, detail=taken)
    if openvino:
        from ssrvae_tf.exporting.openvino import export_openvino

        write(export_openvino, openvino)
    return written


def _size(path: Path) -> int:
    return sum(each.stat().st_size for each in [path, *path.rglob("*")] if each.is_file())


def main(arguments=None) -> None:
    export(**command_line.read(export, "ssrvae_tf.export", arguments, positional=("model",)))


if __name__ == "__main__":
    exit_cleanly(main)
