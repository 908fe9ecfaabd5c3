from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny_runs import tiny, weights
from tiny_saved_models import Bicubic, save

from ssrvae_tf import config, load, pack
from ssrvae_tf.errors import UserError
from ssrvae_tf.loading import models as loading
from ssrvae_tf.loading import places
from ssrvae_tf.models import EDSR


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


def test_channels_first_in_the_users_keras_are_told(run, monkeypatch):
    monkeypatch.setattr(keras.backend, "image_data_format", lambda: "channels_first")
    with pytest.raises(UserError, match="^Keras' image_data_format is channels_first, channels_last is wanted: set it"):
        load(run[0])


def outcome(model):
    faces = np.random.default_rng(1).random((2, 32, 32, 3), "float32")
    if hasattr(model, "degrade"):
        return model.degrade(faces, faces[:, :8, :8], seed=3).numpy()
    return model(faces[:, :8, :12]).numpy()


def test_a_run_is_loaded_as_it_was(run):
    folder, model = run
    np.testing.assert_array_equal(outcome(load(folder)), outcome(model))
    np.testing.assert_array_equal(outcome(load(str(folder))), outcome(model))


def test_a_packed_run_is_loaded_by_name_in_float32_and_holds_no_local_paths(run, tmp_path, monkeypatch):
    folder, model = run
    monkeypatch.setattr(places, "SHIPPED", tmp_path / "shipped")
    packed = pack.pack(folder, places.SHIPPED / "faces-new")
    assert places.shipped() == ["faces-new"]
    assert {value.dtype for value in weights(packed).values()} == {np.dtype("float16")}
    loaded = load("faces-new")
    assert {tf.as_dtype(variable.dtype) for variable in loaded.weights} == {tf.float32}
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


def test_a_full_disk_is_an_error_of_the_system_and_the_old_weights_stay(tmp_path, monkeypatch):
    model = loading.build(tiny("sr", "hr", "out"))
    loading.save_weights(model, tmp_path / "model.weights.h5")
    before = (tmp_path / "model.weights.h5").read_bytes()

    def full(self, data):
        raise OSError(28, "No space left on device", str(self))

    monkeypatch.setattr(Path, "write_bytes", full)  # not HDF5's own errors, after which Python may crash
    with pytest.raises(OSError, match="No space left on device"):
        loading.save_weights(model, tmp_path / "model.weights.h5")
    assert (tmp_path / "model.weights.h5").read_bytes() == before and len([*tmp_path.iterdir()]) == 1


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


def test_the_newest_exported_version_is_taken(run, tmp_path):
    folder, model = run
    for number in (2, 10):
        (tmp_path / "models" / str(number)).mkdir(parents=True)
        for file in folder.iterdir():
            (tmp_path / "models" / str(number) / file.name).write_bytes(file.read_bytes())
    assert places.find(tmp_path / "models") == tmp_path / "models" / "10"
    assert places.find(tmp_path / "models" / "2") == tmp_path / "models" / "2"
    np.testing.assert_array_equal(outcome(load(tmp_path / "models")), outcome(model))


@pytest.fixture
def edsr(tmp_path):
    """A network and its .keras file."""
    network = EDSR(filters=8, blocks=1)
    network.save(tmp_path / "edsr.keras")
    return network, tmp_path / "edsr.keras"


def rewritten(path, change=lambda config: None, more=()):
    """`path`, after `change` had its configuration, with members added."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    settings = json.loads(members["config.json"])
    change(settings)
    members["config.json"] = json.dumps(settings)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {**members, **dict(more)}.items():
            archive.writestr(name, content)
    return path


def test_a_keras_file_is_loaded_compiled_or_not(edsr):
    network, path = edsr
    np.testing.assert_array_equal(outcome(load(path)), outcome(network))
    network.compile(keras.optimizers.Adam(), "mae")
    network.save(path)
    np.testing.assert_array_equal(outcome(load(path)), outcome(network))


def test_a_keras_file_is_no_run_to_pack(edsr, tmp_path):
    with pytest.raises(UserError, match="edsr.keras: a .keras file, which has no settings of a run: give the folder"):
        pack.pack(edsr[1], tmp_path / "packed")


def test_a_keras_file_compiled_with_any_optimizer_and_loss_is_loaded(edsr):
    network, path = edsr
    network.compile(keras.optimizers.AdamW(), keras.losses.Huber(), metrics=[keras.metrics.MeanAbsoluteError()])
    network.save(path)
    np.testing.assert_array_equal(outcome(load(path)), outcome(network))


EVIL = {
    "Lambda": {"class_name": "Lambda", "module": "keras.layers", "registered_name": None, "config": {}},
    "__lambda__": {"class_name": "__lambda__", "config": {"value": ["", None, None]}},
    "system": {"class_name": "function", "module": "os", "registered_name": "system", "config": "system"},
    "__typespec__": {
        "class_name": "__typespec__",
        "spec_name": "a",
        "registered_name": None,
        "module": "b",
        "config": {},
    },
    "Popen": {"class_name": "Popen", "module": "subprocess", "registered_name": None, "config": {}},
    # Registered for nobody: Keras would import the module.
    "ssrvae_tf>Popen": {
        "class_name": "Popen",
        "module": "subprocess",
        "registered_name": "ssrvae_tf>Popen",
        "config": {},
    },
}


@pytest.mark.parametrize("name", EVIL)
@pytest.mark.parametrize("place", ["config", "build_config"])
def test_a_keras_file_that_names_other_code_is_refused(edsr, name, place):
    path = rewritten(edsr[1], lambda config: config[place].update(extra=[{"deep": EVIL[name]}]))
    with pytest.raises(UserError, match=f"it names '{name}.*which may run code: not loaded"):
        load(path)


def test_a_keras_file_whose_model_is_not_ours_is_refused(edsr):
    path = rewritten(edsr[1], lambda config: config.update(registered_name=None, module="keras", class_name="Model"))
    with pytest.raises(UserError, match="not a network of this package"):
        load(path)


def test_a_keras_file_with_other_members_is_refused(edsr):
    with pytest.raises(UserError, match="it holds model.weights.npz, which may run code"):
        load(rewritten(edsr[1], more={"model.weights.npz": b""}.items()))


def test_damaged_keras_files_are_told(edsr):
    path = rewritten(edsr[1], more={"model.weights.h5": b""}.items())
    with pytest.raises(UserError, match="it is damaged, or of another version"):
        load(path)
    path.write_bytes(b"")
    with pytest.raises(UserError, match="not a .keras file"):
        load(path)


def test_only_the_compile_config_of_the_model_itself_is_let_through(edsr):
    path = rewritten(edsr[1], lambda config: config["config"].update(compile_config=EVIL["Popen"]))
    with pytest.raises(UserError, match="it names 'Popen'"):
        load(path)


def _patched(path, offset, value):
    """Set a byte of each entry of the zip file's directory."""
    content = bytearray(path.read_bytes())
    entry = content.find(b"PK\x01\x02")
    while entry >= 0:
        content[entry + offset] = value
        entry = content.find(b"PK\x01\x02", entry + 4)
    path.write_bytes(content)


@pytest.mark.parametrize("offset, value", [(8, 1), (10, 99)], ids=["encrypted", "unknown compression"])
def test_zip_files_of_another_kind_are_told(edsr, offset, value):
    _patched(edsr[1], offset, value)
    with pytest.raises(UserError, match="not a .keras file"):
        load(edsr[1])


@pytest.mark.parametrize("depth", [300, 900, 5000])
def test_deeply_nested_keras_files_are_told(edsr, depth):
    with zipfile.ZipFile(edsr[1]) as archive:
        settings = json.loads(archive.read("config.json"))
    text = json.dumps(settings)[:-1] + ', "deep": ' + "[" * depth + "]" * depth + "}"
    with zipfile.ZipFile(edsr[1], "w") as archive:
        archive.writestr("config.json", text)
    with pytest.raises(UserError):
        load(edsr[1])


@pytest.mark.parametrize("member, size", [("config.json", 20), ("metadata.json", 20), ("model.weights.h5", 40)])
def test_members_that_unpack_to_far_more_are_refused_unread(edsr, monkeypatch, member, size):
    with zipfile.ZipFile(edsr[1]) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(edsr[1], "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {**members, member: bytes(size << 20)}.items():
            archive.writestr(name, content)
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: pytest.fail("read"))
    with pytest.raises(UserError, match=f"its {member} unpacks to .* MB: not loaded"):
        load(edsr[1])


def test_networks_larger_than_memory_are_told(edsr):
    with pytest.raises(UserError, match="it is damaged"):
        load(rewritten(edsr[1], lambda config: config["config"].update(filters=10**6)))


def test_settings_that_no_network_can_have_are_told(run):
    folder, _ = run
    text = (folder / "config.yaml").read_text()
    for wrong in ("filters: 1000000", "filters: " + "[" * 1000 + "]" * 1000):
        (folder / "config.yaml").write_text(text.replace("filters: 8", wrong))
        with pytest.raises(UserError) as caught:
            load(folder)
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


@pytest.mark.parametrize("name", ["a" * 5000, "a" * 5000 + ".keras"])
def test_names_that_are_too_long_are_told(name):
    with pytest.raises(UserError, match="no such model .File name too long"):
        load(name)


@pytest.mark.parametrize("name", ["model.pkl", "model.h5", "model.py", "saved_model.pb"])
def test_files_that_may_run_code_are_refused(tmp_path, name):
    (tmp_path / name).write_bytes(pickle.dumps({}))
    with pytest.raises(UserError, match="may run code of its own when it is loaded: not loaded; give the folder"):
        load(tmp_path / name)


def test_a_saved_model_without_our_files_is_refused(tmp_path):
    save(Bicubic(), tmp_path / "models" / "1")
    for folder in (tmp_path / "models", tmp_path / "models" / "1"):
        with pytest.raises(UserError, match="a SavedModel without our settings and weights beside it"):
            load(folder)
