"""SR networks as ONNX files, by tf2onnx."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import keras
import tensorflow as tf

from ssrvae_tf.errors import UserError
from ssrvae_tf.exporting.networks import check_agreement, network_file, with_chunk
from ssrvae_tf.terminal import saying

_OPSET = 17


def export_onnx(model: keras.Model, path: str | os.PathLike, detail: float | None = None) -> Path:
    """Write a network as ONNX, beside `path` and renamed, once onnxruntime agrees with Keras to 1e-4.

    `lr` float32 (B, H, W, 3) in [0, 1] -> `sr` (B, scale H, scale W, 3), any B, H and W.

    Args:
        model: an SR network or a baseline.
        detail: that the model's weights were blended at, by `ssrvae_tf.load`: put down in the file's metadata.

    Raises:
        UserError: if tf2onnx or onnxruntime is not installed, the model is a StyleVAE, the file cannot be written, or
            the two disagree.
    """
    path = Path(path)
    if path.suffix != ".onnx":  # such as the .keras file that the model is from
        raise UserError(f"--onnx {path}: a name that ends in .onnx is wanted")
    with network_file(model, path, "--onnx", "ONNX") as part:
        try:
            import onnx
            import onnxruntime
            import tf2onnx
        except ImportError as error:
            raise UserError(f'--onnx: {error.name} is not installed: pip install "ssrvae_tf[onnx]"') from error
        whole = with_chunk(model, None)  # chunks are of no use to onnxruntime below the size of one
        spec = [tf.TensorSpec([None, None, None, 3], tf.float32, name="lr")]
        function = tf.function(lambda lr: {"sr": whole(lr, training=False)}, input_signature=spec)
        logging.getLogger("tf2onnx").setLevel(logging.ERROR)
        with saying(f"making {path}"):
            made, _ = tf2onnx.convert.from_function(function, spec, opset=_OPSET)
            onnx.helper.set_model_props(made, {} if detail is None else {"detail": f"{detail:g}"})
            onnx.save(made, os.fspath(part))
            session = onnxruntime.InferenceSession(os.fspath(part), providers=["CPUExecutionProvider"])
            (name,) = (each.name for each in session.get_inputs())
            apart = check_agreement(model, lambda lr: session.run(None, {name: lr})[0], f"--onnx {path}: onnxruntime")
    print(f"largest difference to Keras {apart:.1e}")
    return path
