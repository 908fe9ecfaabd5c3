from __future__ import annotations

import sys

import numpy as np
import pytest
import tensorflow as tf
from tiny_runs import PLAIN
from tiny_saved_models import decoded

from ssrvae_tf.exporting.saved_model import export_saved_model
from ssrvae_tf.exporting.warmup import example_photos
from ssrvae_tf.models import SRNetwork

REQUESTS = "assets.extra/tf_serving_warmup_requests"


def test_each_signature_has_a_request_that_it_answers(tmp_path):
    prediction_log_pb2 = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    version = export_saved_model(SRNetwork(**PLAIN), tmp_path / "ssrvae")
    signatures = tf.saved_model.load(str(version)).signatures
    answered = []
    for record in tf.data.TFRecordDataset(str(version / REQUESTS)).as_numpy_iterator():
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        assert request.model_spec.name == "ssrvae"
        inputs = {name: tf.constant(tf.make_ndarray(value)) for name, value in request.inputs.items()}
        signatures[request.model_spec.signature_name](**inputs)
        answered.append(request.model_spec.signature_name)
    assert sorted(answered) == sorted(signatures)


def test_without_the_package_the_rest_is_written_and_a_line_says_what_to_install(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis", None)
    version = export_saved_model(SRNetwork(**PLAIN), tmp_path)
    assert (version / "saved_model.pb").is_file() and not (version / REQUESTS).exists()
    install = f"pip install --no-deps tensorflow-serving-api=={tf.__version__}"
    assert f"warm-up requests were left out: to have them, {install}\n" in capsys.readouterr().err


def test_the_photos_are_a_png_and_a_jpeg_of_different_sizes():
    png, jpeg = example_photos()
    assert png.startswith(b"\x89PNG") and jpeg.startswith(b"\xff\xd8")
    assert decoded(png).shape == (32, 32, 3) and decoded(jpeg).shape == (24, 32, 3)
    assert np.ptp(decoded(png)) > 200
