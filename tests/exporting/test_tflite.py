from __future__ import annotations

import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow.lite.tools import flatbuffer_utils
from tiny_runs import small_style_vae

from ssrvae_tf import terminal
from ssrvae_tf.errors import UserError
from ssrvae_tf.exporting.tflite import export_tflite
from ssrvae_tf.inference.engines import TFLiteEngine
from ssrvae_tf.inference.enlarger import upscale
from ssrvae_tf.metrics import psnr
from ssrvae_tf.models import EDSR, SRNetwork
from ssrvae_tf.photos.samples import sample_photos


def lively(model):
    """A fresh attention is the identity, which would hide it."""
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


def test_a_fixed_size_gives_what_keras_gives(tmp_path):
    network = lively(SRNetwork(2, 16, 1, 1, kernel_size=3))
    made = TFLiteEngine(export_tflite(network, tmp_path / "a.tflite", fixed_size=(12, 20)))(lr(12, 20))
    np.testing.assert_allclose(made, network.predict(lr(12, 20), verbose=0), atol=1e-5)


def test_only_builtin_operators_are_used(path):
    interpreter = tf.lite.Interpreter(str(path))
    interpreter.allocate_tensors()  # fails on operators of TensorFlow's own


def test_a_file_upscales_photos(network, path):
    photo = lr(70, 20)[0]
    wanted = upscale(photo, network, tile=32)
    np.testing.assert_allclose(upscale(photo, str(path), tile=32), wanted, atol=1e-4)


@pytest.mark.parametrize("quantize, most", [("float16", 2e-3), ("dynamic", 0.1)])
def test_quantised_files_are_near_and_say_how_near(quantize, most, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(terminal, "width", lambda: 250)
    keras.utils.set_random_seed(0)  # what 16 bits lose depends on the weights
    network = lively(EDSR(2, 8, 1))
    path = export_tflite(network, tmp_path / "a.tflite", quantize, (12, 20))
    printed = capsys.readouterr()
    assert "largest difference to Keras" in printed.out
    assert printed.err.startswith(f"making {path} ..."), "a terminal says what takes so long"
    engine = TFLiteEngine(path)
    assert engine.fixed_size == (12, 20) and engine.scale == 2
    np.testing.assert_allclose(engine(lr(12, 20)), network.predict(lr(12, 20), verbose=0), atol=most)
    assert [each.name for each in tmp_path.iterdir()] == ["a.tflite"]


def test_sixteen_bits_keep_attention(tmp_path, capsys):
    keras.utils.set_random_seed(0)
    network = lively(SRNetwork(2, 8, 1, 1, kernel_size=3))
    path = export_tflite(network, tmp_path / "a.tflite", "int16x8", calibrate=_faces(tmp_path))
    assert re.search(r"PSNR lost -?[0-9.]+ dB, on 3 photos", capsys.readouterr().out)
    with Image.open(sample_photos()[1]) as photo:
        face = np.asarray(photo.convert("RGB").resize((31, 40)), np.float32)[None] / 255.0
    wanted = network.predict(face, verbose=0)[0]
    assert wanted.std() > 0.1
    assert psnr(TFLiteEngine(path)(face)[0], wanted) > 28  # trained networks come to some 50


def _faces(tmp_path):
    """A folder of three photos, a broken one between them."""
    folder = tmp_path / "faces"
    folder.mkdir()
    with Image.open(sample_photos()[0]) as photo:
        for name, box in (("a", (96, 0, 352, 256)), ("c", (0, 256, 200, 400)), ("d", (300, 300, 500, 500))):
            photo.convert("RGB").crop(box).save(folder / f"{name}.png")
    (folder / "b.png").write_bytes(b"no photo")
    return folder


def test_a_file_says_what_it_takes(path):
    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(path.read_bytes()))
    (entry,) = [entry for entry in model.metadata if entry.name == b"TFLITE_METADATA"]
    written = bytes(model.buffers[entry.buffer].data)
    assert written[4:8] == b"M001"  # TensorFlow Lite's metadata schema
    for text in (b"sr_network", b"small photo, RGB in [0, 1]", b"research only"):
        assert text in written
    assert b"Enlarges photos 2 times" in model.description


def test_photos_to_calibrate_with_must_be_readable(tmp_path):
    (tmp_path / "faces").mkdir()
    (tmp_path / "faces" / "a.png").write_bytes(b"no photo")
    with pytest.raises(UserError, match="--calibrate .*faces: no readable photo"):
        export_tflite(EDSR(2, 8, 1), tmp_path / "a.tflite", calibrate=tmp_path / "faces")
    assert [each.name for each in tmp_path.iterdir()] == ["faces"]


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


@pytest.mark.parametrize("size", [(600, 600), (99_999, 99_999)])  # of the network, and of photos to compare it on
def test_a_fixed_size_beyond_memory_is_told_and_leaves_nothing(tmp_path, size):
    network = SRNetwork(2, 8, 1, 1, kernel_size=3)
    wanted = "--fixed-size {}x{}: it takes more memory than there is".format(*size)
    with pytest.raises(UserError, match=wanted) as caught:
        export_tflite(network, tmp_path / "a.tflite", fixed_size=size)
    assert "\n" not in str(caught.value) and not list(tmp_path.iterdir())
