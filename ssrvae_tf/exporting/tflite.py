"""SR networks as TFLite files, of builtin operators only."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Iterator

import keras
import numpy as np
import tensorflow as tf

from ssrvae_tf import __version__
from ssrvae_tf.compat import plain
from ssrvae_tf.errors import UserError
from ssrvae_tf.exporting.calibration import faces
from ssrvae_tf.exporting.networks import copied, network_file, with_chunk
from ssrvae_tf.exporting.tflite_metadata import with_metadata
from ssrvae_tf.inference.engines import KerasEngine, TFLiteEngine
from ssrvae_tf.layers import LARB
from ssrvae_tf.metrics import psnr
from ssrvae_tf.models import SRNetwork
from ssrvae_tf.terminal import saying

_SIDE = 32  # of the faces that a file is calibrated and compared with Keras on


def export_tflite(
    model: keras.Model,
    path: str | os.PathLike,
    quantize: str = "none",
    fixed_size: tuple[int, int] | None = None,
    calibrate: str | os.PathLike | None = None,
    detail: float | None = None,
) -> Path:
    """Write a network as TFLite, beside `path` and renamed, and print how near it comes to Keras on faces.

    `lr` float32 (1, H, W, 3) in [0, 1] -> `sr` (1, scale H, scale W, 3), any H and W by `resize_tensor_input`. Global
    attention takes (H W)^2 numbers: 67 MB for 64x64. `ssrvae_tf.upscale` cuts larger photos into tiles.

    Args:
        model: an SR network or a baseline.
        quantize: "none", "float16" (weights, half the size), "dynamic" (8-bit weights and arithmetic, a quarter) or
            "int16x8" (8-bit weights, 16-bit arithmetic, for processors without floating point; slow on others).
        fixed_size: (H, W) of the only input that it takes.
        calibrate: folder of sharp photos of faces, which set the ranges of int16x8 and are what any file is compared
            on; None: the shipped photos.
        detail: that the model's weights were blended at, by `ssrvae_tf.load`: put down in the file's description.

    Raises:
        UserError: if the model is a StyleVAE, whose random numbers TFLite has no operators for, there are no photos to
            calibrate with, `fixed_size` takes more memory than there is, or the file cannot be written.
    """
    path = Path(path)
    if path.suffix != ".tflite":
        raise UserError(f"--tflite {path}: a name that ends in .tflite is wanted")
    with network_file(model, path, "--tflite", "TFLite") as part:
        taken = "" if detail is None else f", detail: {detail:g}"
        what = f"Enlarges photos {model.scale} times (quantization: {quantize}{taken}). For research only."
        try:
            pairs = faces(calibrate, model.scale, fixed_size or (_SIDE, _SIDE))
            with saying(f"making {path}"):
                file = _converted(model, quantize, fixed_size, pairs)
                file = with_metadata(file, model.name, what, __version__, "Apache-2.0; weights: research only")
                part.write_bytes(file)
                compared = _compared(model, part, pairs)
        except MemoryError as error:
            size = "--fixed-size {}x{}".format(*fixed_size) if fixed_size else f"--tflite {path}"
            raise UserError(f"{size}: it takes more memory than there is ({error}): take a smaller one") from error
    print(compared)
    return path


def _converted(model, quantize: str, fixed_size, pairs) -> bytes:
    spec = tf.TensorSpec([1, *(fixed_size or (None, None)), 3], tf.float32, name="lr")
    # TFLite has no lists of tensors whose size is known only at run time, as chunks need.
    whole = _bounded(model) if quantize == "int16x8" else with_chunk(model, None)
    function = tf.function(lambda lr: {"sr": whole(lr, training=False)}, input_signature=[spec])
    kept = tf.Module()  # the converter saves what it is given: of a Keras model the training pass too, for minutes
    kept.variables_of_model = [plain(variable) for variable in whole.variables]
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()], kept)
    sets = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if quantize != "none":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantize == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if quantize == "int16x8":
        sets.insert(0, tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8)
        converter.representative_dataset = lambda: ([lr[None]] for lr, _ in pairs)
    converter.target_spec.supported_ops = sets
    with _no_chatter():
        return converter.convert()


def _bounded(model):
    """The network with numbers that all keep to ranges that 16 bits can hold."""
    if not isinstance(model, SRNetwork):
        return model
    copy = copied(model, None)
    for layer in copy.layers:
        if isinstance(layer, LARB):
            layer.attention.bounded = True
    return copy


def _compared(model, path: Path, pairs) -> str:
    network, engine = KerasEngine(model), TFLiteEngine(path)
    largest, lost = 0.0, []
    for lr, hr in pairs:
        wanted, made = network(lr[None])[0], engine(lr[None])[0]
        largest = max(largest, float(np.abs(made - wanted).max()))
        lost.append(psnr(wanted, hr) - psnr(made, hr))
    return f"largest difference to Keras {largest:.1e}, PSNR lost {np.mean(lost):.3f} dB, on {len(pairs)} photos"


@contextlib.contextmanager
def _no_chatter() -> Iterator[None]:
    """The converter writes a summary of operators to stderr, past Python."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
