"""SR networks as TFLite files, of builtin operators only."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Iterator

import numpy as np
import tensorflow as tf
from PIL import Image
from tensorflow import keras

from ssrvae_tf.engines import TFLiteEngine
from ssrvae_tf.errors import UserError
from ssrvae_tf.exporting.networks import network_file, with_chunk
from ssrvae_tf.metrics import psnr
from ssrvae_tf.photos import sample_photos

_SIDE = 32  # of the faces that a file is compared with Keras on
_FACE = (96, 0, 352, 256)  # left, upper, right, lower in astronaut.png


def export_tflite(
    model: keras.Model,
    path: str | os.PathLike,
    quantize: str = "none",
    fixed_size: tuple[int, int] | None = None,
) -> Path:
    """Write a network as TFLite, beside `path` and renamed, and print how near it comes to Keras on a face.

    `lr` float32 (1, H, W, 3) in [0, 1] -> `sr` (1, scale H, scale W, 3), any H and W by `resize_tensor_input`. Global
    attention takes (H W)^2 numbers: 67 MB for 64x64. `ssrvae_tf.upscale` cuts larger photos into tiles.

    Args:
        model: an SR network or a baseline.
        quantize: "none", "float16" (weights, half the size) or "dynamic" (8-bit weights and arithmetic, a quarter).
        fixed_size: (H, W) of the only input that it takes.

    Raises:
        UserError: if the model is a StyleVAE, whose random numbers TFLite has no operators for, or cannot be written.
    """
    path = Path(path)
    if path.suffix != ".tflite":
        raise UserError(f"--tflite {path}: a name that ends in .tflite is wanted")
    with network_file(model, path, "--tflite", "TFLite") as part:
        part.write_bytes(_converted(model, quantize, fixed_size))
        print(_compared(model, part, fixed_size or (_SIDE, _SIDE)))
    return path


def _converted(model, quantize: str, fixed_size) -> bytes:
    spec = tf.TensorSpec([1, *(fixed_size or (None, None)), 3], tf.float32, name="lr")
    # TFLite has no lists of tensors whose size is known only at run time, as chunks need.
    whole = with_chunk(model, None)
    function = tf.function(lambda lr: {"sr": whole(lr, training=False)}, input_signature=[spec])
    kept = tf.Module()  # the converter saves what it is given: of a Keras model the training pass too, for minutes
    kept.variables_of_model = whole.variables
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()], kept)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if quantize != "none":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantize == "float16":
        converter.target_spec.supported_types = [tf.float16]
    with _no_chatter():
        return converter.convert()


def _compared(model, path: Path, size: tuple[int, int]) -> str:
    scale, (height, width) = model.scale, size
    face = Image.open(sample_photos()[0]).convert("RGB").crop(_FACE)
    hr = np.asarray(face.resize((width * scale, height * scale), Image.LANCZOS)) / 255.0
    lr = np.asarray(face.resize((width, height), Image.BICUBIC), np.float32)[None] / 255.0
    wanted, made = model.predict(lr, verbose=0)[0], TFLiteEngine(path)(lr)[0]
    lost = psnr(wanted, hr) - psnr(made, hr)
    return f"largest difference to Keras {np.abs(made - wanted).max():.1e}, PSNR lost on a face {lost:.3f} dB"


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
