from __future__ import annotations

import h5py
import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras
from tiny_runs import tiny, weights

from ssrvae_tf import config, load, loading, pack
from ssrvae_tf.errors import UserError


@pytest.fixture(params=["sr", "style"])
def run(request, tmp_path):
    """A run's folder with random weights, and its model."""
    settings = tiny(request.param, tmp_path / "photos", tmp_path / "run", style=str(tmp_path / "styles"))
    (tmp_path / "run").mkdir()
    config.write(settings, tmp_path / "run" / "config.yaml")
    model = loading.build(settings)
    if settings.stage == "style":
        model.build_networks()
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(0, 0.1, value.shape) for value in model.get_weights()])
    loading.save_weights(model, tmp_path / "run" / "model.weights.h5")
    return tmp_path / "run", model


def outcome(model):
    faces = np.random.default_rng(1).random((2, 32, 32, 3), "float32")
    if hasattr(model, "degrade"):
        return model.degrade(faces, faces[:, :8, :8], seed=3).numpy()
    return model.predict(faces[:, :8, :12], verbose=0)


def test_a_run_is_loaded_as_it_was(run):
    folder, model = run
    np.testing.assert_array_equal(outcome(load(folder)), outcome(model))
    np.testing.assert_array_equal(outcome(load(str(folder))), outcome(model))


def test_a_packed_run_is_loaded_by_name_in_float32_and_holds_no_local_paths(run, tmp_path, monkeypatch):
    folder, model = run
    monkeypatch.setattr(loading, "SHIPPED", tmp_path / "shipped")
    packed = pack.pack(folder, "faces-new")
    assert loading.shipped() == ["faces-new"]
    assert {value.dtype for value in weights(packed).values()} == {np.dtype("float16")}
    loaded = load("faces-new")
    assert {variable.dtype for variable in loaded.weights} == {tf.float32}
    for got, wanted in zip(loaded.get_weights(), model.get_weights()):
        np.testing.assert_allclose(got, wanted, rtol=1e-3, atol=1e-6)
    settings = config.read(packed / "config.yaml")
    assert (settings.hr, settings.lr, settings.out, settings.init, settings.style) == (None,) * 4 + ("styles",)
    assert str(tmp_path) not in (packed / "config.yaml").read_text()
    assert {path.name for path in packed.iterdir()} == {"config.yaml", "model.weights.h5"}


def test_weights_of_a_model_in_training_are_saved_without_its_optimizer(tmp_path):
    model = loading.build(tiny("sr", "hr", "out"))
    model.compile(keras.optimizers.Adam())
    model.optimizer.build(model.trainable_variables)
    loading.save_weights(model, tmp_path / "model.weights.h5")
    assert sum(value.size for value in weights(tmp_path).values()) == model.count_params()


def test_weights_beyond_float16_are_refused_and_the_old_file_stays(tmp_path):
    model = loading.build(tiny("sr", "hr", "out"))
    loading.save_weights(model, tmp_path / "model.weights.h5")
    before = weights(tmp_path)
    model.set_weights([value + 1e6 for value in model.get_weights()])
    with pytest.raises(ValueError, match="not finite in float16"):
        loading.save_weights(model, tmp_path / "model.weights.h5", "float16")
    assert all(np.array_equal(value, before[name]) for name, value in weights(tmp_path).items())
    assert [path.name for path in tmp_path.iterdir()] == ["model.weights.h5"]


def test_what_is_no_model_is_told(run):
    folder, _ = run
    with pytest.raises(UserError, match="nowhere: no such model: give the --out folder of a run, or one of"):
        load("nowhere")
    file = folder / "model.weights.h5"
    file.write_bytes(file.read_bytes()[:3000])
    with pytest.raises(UserError, match="do not fit this model"):
        load(folder)
    file.unlink()
    with pytest.raises(UserError, match="let its first epoch end"):
        load(folder)


def test_weights_of_another_size_are_told(run):
    folder, _ = run
    text = (folder / "config.yaml").read_text()
    (folder / "config.yaml").write_text(text.replace("filters: 8", "filters: 16"))
    with pytest.raises(UserError, match="do not fit this model"):
        load(folder)


def test_weights_that_lack_a_layer_are_told(run):
    folder, _ = run
    with h5py.File(folder / "model.weights.h5", "a") as file:
        names = []
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        del file[names[0]]
    with pytest.raises(UserError, match="do not fit this model"):
        load(folder)
