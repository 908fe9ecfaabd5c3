from __future__ import annotations

import re
import sys
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
import tensorflow as tf
from stub_models import BicubicNetwork
from tensorflow.lite.tools import flatbuffer_utils
from tiny_saved_models import Bicubic, Several, save

from ssrvae_tf.errors import UserError
from ssrvae_tf.exporting.saved_model import export_saved_model
from ssrvae_tf.inference.engines import KerasEngine, SavedModelEngine, ServerEngine, TFLiteEngine, engine
from ssrvae_tf.inference.enlarger import upscale
from ssrvae_tf.loading import tflite_files
from ssrvae_tf.models import EDSR


@pytest.fixture(params=["installed", "tensorflow"])
def runtime(request, monkeypatch):
    """The interpreter that is installed, and TensorFlow's, which runs Flex operators."""
    if request.param == "tensorflow":
        monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)


def converted(function, path, *operators):
    spec = tf.TensorSpec([1, None, None, 3], tf.float32)
    concrete = tf.function(function, input_signature=[spec]).get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, *operators]
    path.write_bytes(converter.convert())
    return path


def twice(lr):
    return tf.repeat(tf.repeat(lr, 2, 1), 2, 2)


@pytest.mark.usefixtures("runtime")
def test_a_tflite_file_with_file_operators_is_refused_and_not_run(tmp_path):
    def writes(lr):
        written = tf.raw_ops.WriteFile(filename=str(tmp_path / "written"), contents="a")
        with tf.control_dependencies([written]):
            return twice(lr)

    path = converted(writes, tmp_path / "a.tflite", tf.lite.OpsSet.SELECT_TF_OPS)
    with pytest.raises(UserError, match="its operators 'FlexWriteFile' are not TFLite's own"):
        engine(path)
    assert not (tmp_path / "written").exists()


@pytest.mark.parametrize("field", ["builtinCode", "deprecatedBuiltinCode"])
@pytest.mark.usefixtures("runtime")
def test_a_custom_operator_without_a_name_is_refused(tmp_path, field):
    path = converted(twice, tmp_path / "a.tflite")
    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(path.read_bytes()))
    setattr(model.operatorCodes[0], field, flatbuffer_utils.schema_fb.BuiltinOperator.CUSTOM)
    path.write_bytes(flatbuffer_utils.convert_object_to_bytearray(model))
    with pytest.raises(UserError, match="not TFLite's own"):
        engine(path)


@pytest.mark.parametrize("kept", [0, 3, 100, 0.5, 0.9])
@pytest.mark.usefixtures("runtime")
def test_tflite_files_that_are_cut_short_are_told(tmp_path, kept):
    path = converted(twice, tmp_path / "a.tflite")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole)) if kept < 1 else kept])
    with pytest.raises(UserError, match="not a TFLite network"):
        engine(path)


class _Limited:
    """An interpreter that fails from a size on, and then for good."""

    def __init__(self, interpreter, text):
        self._interpreter, self._text, self._broken = interpreter, text, False

    def __getattr__(self, name):
        return getattr(self._interpreter, name)

    def resize_tensor_input(self, index, shape):
        self._broken = self._broken or max(shape) > 30
        if self._broken:
            raise RuntimeError(self._text)
        self._interpreter.resize_tensor_input(index, shape)


@pytest.fixture
def limited(tmp_path, monkeypatch):
    """(text of the error) -> a TFLite file that fails with it on more than 30 pixels."""
    made = tflite_files.interpreter

    def limit(text):
        monkeypatch.setattr(tflite_files, "interpreter", lambda path: _Limited(made(path), text))
        return converted(twice, tmp_path / "a.tflite")

    return limit


@pytest.mark.parametrize(
    "text",
    ["XNNPack delegate failed to reshape runtimeNode number 111 failed to prepare.", "Failed to allocate tensors"],
)
@pytest.mark.usefixtures("runtime")
def test_tiles_too_large_for_tflite_are_halved(limited, text):
    photo = np.random.default_rng(0).random((60, 50, 3), np.float32)
    made = upscale(photo, limited(text), tile=60)
    np.testing.assert_allclose(made, upscale(photo, TFLiteEngine(limited("")), tile=30), atol=1e-6)


@pytest.mark.usefixtures("runtime")
def test_other_errors_of_tflite_are_told(limited):
    with pytest.raises(UserError, match="a.tflite: it cannot enlarge 60x50 pixels .shapes differ"):
        upscale(np.zeros((52, 42, 3)), limited("shapes differ"), tile=60)  # with a border of 4 pixels


def _without_variables(folder):
    for path in (folder / "variables").iterdir():
        path.unlink()


def _short_variables(folder):
    for path in (folder / "variables").glob("*"):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _empty_graph(folder):
    (folder / "saved_model.pb").write_bytes(b"")


@pytest.mark.parametrize("damage", [_without_variables, _short_variables, _empty_graph])
def test_damaged_saved_models_are_told_in_one_line(tmp_path, damage):
    folder = save(Bicubic(), tmp_path / "1")
    assert engine(folder).scale == 4
    damage(folder)
    with pytest.raises(UserError, match="damaged SavedModel|not a SavedModel|SavedModel of TensorFlow 1") as caught:
        engine(tmp_path)
    assert "\n" not in str(caught.value)


def test_lack_of_memory_while_a_model_is_opened_is_told(tmp_path, monkeypatch):
    def run(self, lr):
        raise MemoryError("too much")

    monkeypatch.setattr(SavedModelEngine, "__call__", run)
    with pytest.raises(UserError, match="it takes more memory than there is .too much"):
        engine(save(Bicubic(), tmp_path / "1"))


@pytest.mark.parametrize("name", ["a" * 5000, "a" * 5000 + ".tflite"])
def test_names_that_are_too_long_are_told(name):
    with pytest.raises(UserError, match="File name too long") as caught:
        engine(name)
    assert len(str(caught.value)) < 300


class _Refusing(tf.Module):
    """Takes no dark photo, no more than 50x50 pixels, and none when it should break off."""

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32, name="lr")])
    def serving_default(self, lr):
        small = tf.debugging.Assert(tf.size(lr) <= 3 * 50 * 50, ["photo of", 99, "pixels refused: at most 2500"])
        bright = tf.debugging.Assert(tf.reduce_mean(lr) < 0.9, ["too bright: take another"])
        with tf.control_dependencies([small, bright]):
            return {"sr": twice(lr)}


def test_only_a_photo_above_its_limit_is_too_much_for_a_saved_model(tmp_path):
    opened = engine(save(_Refusing(), tmp_path / "1"))
    assert upscale(np.zeros((60, 60, 3), np.uint8), opened, tile=68).shape == (120, 120, 3), "in smaller tiles"
    with pytest.raises(MemoryError, match=r"^assertion failed: \[photo of\] \[99\] \[pixels refused"):
        opened(np.zeros((1, 60, 60, 3), np.float32))
    with pytest.raises(UserError, match=rf"^{tmp_path}/1: it cannot enlarge 9x8 pixels .assertion failed: .too bright"):
        opened(np.ones((1, 9, 8, 3), np.float32))


class _Exhausted:
    """A signature that finds no memory."""

    def __call__(self, lr):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating")


def test_lack_of_memory_is_a_memory_error(tmp_path):
    opened = engine(save(Bicubic(), tmp_path / "1"))
    opened._signature = _Exhausted()
    with pytest.raises(MemoryError, match="OOM"):
        opened(np.zeros((1, 9, 8, 3), np.float32))


class _Client:
    """A server's, which enlarges by repetition."""

    address, model, version = "localhost:8501", "ssrvae", None

    def upscale(self, image):
        return np.repeat(np.repeat(image, 2, 0), 2, 1)


def own_model(height=None, width=None):
    """A Keras model as users have them: it doubles, and does not say so."""
    lr = keras.Input((height, width, 3), name="small")
    return keras.Model(lr, keras.layers.UpSampling2D(2)(lr))


def exported(model, folder):
    model.export(str(folder))
    return folder


ENGINES = {
    "a Keras model of one's own": lambda folder: engine(own_model()),
    "its export": lambda folder: engine(exported(own_model(), folder / "own")),
    "a network": lambda folder: engine(EDSR(2, 8, 1)),
    "whatever predicts": lambda folder: engine(BicubicNetwork(2)),
    "a SavedModel": lambda folder: engine(export_saved_model(EDSR(2, 8, 1), folder)),
    "a TFLite file": lambda folder: engine(converted(twice, folder / "a.tflite")),
    "a server": lambda folder: ServerEngine(_Client()),
}


@pytest.mark.onednn
@pytest.mark.parametrize("kind", ENGINES)
def test_no_photos_give_no_photos(kind, tmp_path):
    opened = ENGINES[kind](tmp_path)
    made = opened(np.zeros((0, 9, 8, 3), np.float32))
    assert made.shape == (0, 18, 16, 3) and made.dtype == np.float32
    for dtype in (np.uint8, np.float64):
        made = upscale(np.zeros((0, 9, 8, 3), dtype), opened)
        assert made.shape == (0, 18, 16, 3) and made.dtype == dtype
    assert opened(np.zeros((2, 9, 8, 3), np.float32)).shape == (2, 18, 16, 3)


@pytest.mark.usefixtures("runtime")
def test_threads_may_share_a_tflite_file(tmp_path):
    opened = engine(converted(twice, tmp_path / "a.tflite"))
    photos = [np.random.default_rng(i).random((1, 100 + i, 90, 3), np.float32) for i in range(40)]
    with ThreadPoolExecutor(4) as threads:
        for photo, made in zip(photos, threads.map(opened, photos)):
            np.testing.assert_array_equal(made, twice(photo))


@pytest.mark.parametrize("kind", ["model", "export"])
def test_a_model_of_one_size_gets_tiles_of_it(kind, tmp_path):
    model = own_model(20, 24)
    opened = engine(model if kind == "model" else exported(model, tmp_path / "own"))
    assert (opened.fixed_size, opened.scale) == ((20, 24), 2)
    photo = np.random.default_rng(0).random((31, 50, 3), np.float32)
    np.testing.assert_allclose(upscale(photo, opened), twice(photo[None])[0], atol=1e-6)


@pytest.mark.parametrize("kind", ["model", "export"])
@pytest.mark.parametrize(
    "head, told", [(keras.layers.Flatten(), "(1, 768)"), (keras.layers.Conv2D(1, 1), "(1, 16, 16, 1)")]
)
def test_a_model_that_makes_no_larger_photos_is_told(kind, head, told, tmp_path):
    lr = keras.Input((16, 16, 3))
    model = keras.Model(lr, head(lr))
    with pytest.raises(UserError, match=rf": of a photo \(1, 16, 16, 3\) it makes {re.escape(told)}, "):
        engine(model if kind == "model" else exported(model, tmp_path / "own"))


class _Gray(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 1], tf.float32, name="gray")])
    def serving_default(self, gray):
        return {"larger": twice(gray)}


@pytest.mark.parametrize("made, told", [(_Gray, "gray float32"), (Several, "a float32.*b int32")])
def test_a_saved_model_of_something_else_is_told(made, told, tmp_path):
    with pytest.raises(UserError, match=rf"1: its serving_default takes \['{told}.* one batch of photos, "):
        engine(save(made(), tmp_path / "1"))


class _Own:
    scale, fixed_size = 3, None

    def __call__(self, lr):
        return np.repeat(np.repeat(lr, 3, 1), 3, 2)


def test_an_engine_is_taken_as_it_is():
    own = _Own()
    assert engine(own) is own
    photo = np.random.default_rng(0).random((5, 6, 3), np.float32)
    np.testing.assert_array_equal(upscale(photo, own), own(photo[None])[0])


def test_a_model_becomes_an_engine():
    model = BicubicNetwork()
    lr = np.random.default_rng(0).random((1, 5, 6, 3), np.float32)
    made = engine(model)
    assert isinstance(made, KerasEngine) and made.scale == 4
    np.testing.assert_array_equal(made(lr), model.predict(lr))
