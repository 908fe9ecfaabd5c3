"""Requests that TensorFlow Serving answers to itself before the first real one, which is then fast."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

_FILE = "assets.extra/tf_serving_warmup_requests"


def example_photos() -> list[bytes]:
    """A PNG and a JPEG, small and of different sizes."""
    rows, columns = np.mgrid[0:32, 0:32].astype(np.uint8) * 8
    photo = np.stack([rows, columns, 255 - rows], -1)
    return [tf.io.encode_png(photo).numpy(), tf.io.encode_jpeg(photo[:24], quality=90).numpy()]


def write_warmup(folder: Path, name: str, requests: dict[str, dict[str, np.ndarray | list[bytes]]]) -> bool:
    """Write requests where TensorFlow Serving looks for them, or say that a package is missing.

    Args:
        folder: of the version, with a SavedModel.
        name: of the model.
        requests: inputs by their names, by the name of the signature.

    Returns:
        whether they were written.
    """
    try:
        from tensorflow_serving.apis import predict_pb2, prediction_log_pb2
    except ImportError:
        install = f"pip install --no-deps tensorflow-serving-api=={tf.__version__}"
        print(f"warm-up requests were left out: to have them, {install}", file=sys.stderr)
        return False
    path = folder / _FILE
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, inputs in requests.items():
            request = predict_pb2.PredictRequest()
            request.model_spec.name, request.model_spec.signature_name = name, signature
            for key, value in inputs.items():
                request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
            log = prediction_log_pb2.PredictLog(request=request)
            writer.write(prediction_log_pb2.PredictionLog(predict_log=log).SerializeToString())
    return True
