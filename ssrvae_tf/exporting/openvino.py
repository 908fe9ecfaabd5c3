"""SR networks as OpenVINO files."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from ssrvae_tf.errors import UserError, one_line
from ssrvae_tf.exporting.inference_form import inference_form
from ssrvae_tf.exporting.networks import check_agreement, network_file
from ssrvae_tf.inference.openvino_engine import OpenVINOEngine
from ssrvae_tf.loading.openvino_files import openvino
from ssrvae_tf.photos.writing import replacing
from ssrvae_tf.terminal import saying


def export_openvino(model: keras.Model, path: str | os.PathLike) -> Path:
    """Write a network for OpenVINO, `path` and the same name with .bin, beside and renamed, once it agrees with Keras.

    `lr` float32 (B, H, W, 3) in [0, 1] -> `sr` (B, scale H, scale W, 3), any B, H and W from 1 on.

    Raises:
        UserError: if OpenVINO is not installed, the model is a StyleVAE, the files cannot be written, or the two
            disagree.
    """
    path = Path(path)
    if path.suffix != ".xml":
        raise UserError(f"--openvino {path}: a name that ends in .xml is wanted")
    with network_file(model, path, "--openvino", "OpenVINO") as part:
        try:
            runtime = openvino()
        except (ImportError, OSError) as error:
            raise UserError(f"--openvino: it does not load here ({one_line(error)}): pip install openvino") from error
        form = inference_form(model)
        spec = [tf.TensorSpec([None, None, None, 3], tf.float32, name="lr")]
        with saying(f"making {path}"):
            function = tf.function(lambda lr: {"sr": form(lr)}, input_signature=spec).get_concrete_function()
            converted = _converted(runtime, function)
            with replacing(path.with_suffix(".bin")) as numbers:
                try:
                    runtime.serialize(converted, os.fspath(part), os.fspath(numbers))
                except RuntimeError as error:  # which does not tell what the system says
                    raise OSError(errno.EIO, one_line(error)) from error
                engine = OpenVINOEngine(part, model.scale, numbers=numbers)
                apart = check_agreement(model, engine, f"--openvino {path}: it")
    print(f"largest difference to Keras {apart:.1e}")
    return path


def _converted(runtime: Any, function: Any) -> Any:
    """By way of a SavedModel: OpenVINO 2026.4 reads no function on Python 3.13, where what one `exec` imports is not
    there for the next."""
    keeper = tf.Module()
    keeper.kept = list(function.variables)
    with tempfile.TemporaryDirectory() as folder:
        # Gradients would be traced and saved as well.
        tf.saved_model.save(keeper, folder, function, tf.saved_model.SaveOptions(experimental_custom_gradients=False))
        return runtime.convert_model(folder)
