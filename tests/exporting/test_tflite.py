from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from tiny_runs import small_style_vae

from ssrvae_tf.engines import TFLiteEngine
from ssrvae_tf.errors import UserError
from ssrvae_tf.exporting.tflite import export_tflite
from ssrvae_tf.models import EDSR, SRNetwork
from ssrvae_tf.upscaling import upscale


def lively(model):
    """Attention's gates start at 0, which would hide it."""
    rng = np.random.default_rng(0)
    model.set_weights([value + rng.normal(0, 0.05, value.shape) for value in model.get_weights()])
    return model


def lr(height, width):
    return np.random.default_rng(1).random((1, height, width, 3), np.float32)


@pytest.fixture(scope="module")
def network():
    return lively(SRNetwork(2, 8, 1, 1, chunk=64, kernel_size=3))


@pytest.fixture(scope="module")
def path(network, tmp_path_factory):
    return export_tflite(network, tmp_path_factory.mktemp("tflite") / "a.tflite")


@pytest.mark.parametrize("size", [(16, 16), (9, 31), (1, 1)])
def test_any_size_gives_what_keras_gives(network, path, size):
    made = TFLiteEngine(path)(lr(*size))
    np.testing.assert_allclose(made, network.predict(lr(*size), verbose=0), atol=1e-4)


def test_only_builtin_operators_are_used(path):
    interpreter = tf.lite.Interpreter(str(path))
    interpreter.allocate_tensors()  # fails on operators of TensorFlow's own


def test_a_file_upscales_photos(network, path):
    photo = lr(70, 20)[0]
    wanted = upscale(photo, network, tile=32)
    np.testing.assert_allclose(upscale(photo, str(path), tile=32), wanted, atol=1e-4)


@pytest.mark.parametrize("quantize, most", [("float16", 2e-3), ("dynamic", 0.1)])
def test_quantised_files_are_near_and_say_how_near(quantize, most, tmp_path, capsys):
    network = lively(EDSR(2, 8, 1))
    path = export_tflite(network, tmp_path / "a.tflite", quantize, (12, 20))
    assert "largest difference to Keras" in capsys.readouterr().out
    engine = TFLiteEngine(path)
    assert engine.fixed_size == (12, 20) and engine.scale == 2
    np.testing.assert_allclose(engine(lr(12, 20)), network.predict(lr(12, 20), verbose=0), atol=most)
    assert [each.name for each in tmp_path.iterdir()] == ["a.tflite"]


@pytest.mark.parametrize(
    "make, name, words",
    [
        (small_style_vae, "a.tflite", "StyleVAE"),
        (lambda: EDSR(2, 8, 1), "a.lite", "ends in .tflite"),
        (lambda: EDSR(2, 8, 1), "gone/a.tflite", "no folder"),
    ],
)
def test_mistakes_are_told(tmp_path, make, name, words):
    with pytest.raises(UserError, match=words):
        export_tflite(make(), tmp_path / name)


def test_a_file_that_is_no_network_is_refused(tmp_path):
    (tmp_path / "a.tflite").write_bytes(b"no network at all")
    with pytest.raises(UserError, match="a.tflite: not a TFLite network"):
        TFLiteEngine(tmp_path / "a.tflite")
