"""What version 0.1.0 wrote: tests/old/0.1.0.tar.xz, made by its own code at its last commit, 686d1dc.

Both stages of scale 2 and 8 filters, trained for one step: the folders of their runs, sr and style, without pictures;
the same as .keras files; sr exported as a SavedModel and as a TFLite file; both packed. And an EDSR, which no run could
have, as a .keras file. Of the checkpoint of stage style, 8 MB, only the index is there. sr.npy, style.npy and edsr.npy
are what 0.1.0 gave for `enlarged` and `degraded`.
"""

from __future__ import annotations

import dataclasses
import tarfile
from pathlib import Path

import numpy as np
import pytest

from ssrvae_tf import config, load
from ssrvae_tf.errors import UserError
from ssrvae_tf.inference.engines import engine
from ssrvae_tf.loading import models as loading
from ssrvae_tf.loading import places
from ssrvae_tf.models import style_vae
from ssrvae_tf.training.run import fit

ARCHIVE = Path(__file__).parents[1] / "old" / "0.1.0.tar.xz"
PLACES = {"sr": ["sr", "sr.keras", "exported", "packed/sr"], "style": ["style", "style.keras", "packed/style"]}
RUNS = [(stage, place) for stage, places in PLACES.items() for place in places]


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """The folder of all that; do not write."""
    folder = tmp_path_factory.mktemp("old")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder)
    return folder


def enlarged(run):
    return run(np.random.default_rng(0).random((1, 8, 8, 3), "float32"))


def degraded(model):
    faces = np.random.default_rng(1).random((1, 16, 16, 3), "float32")
    return model.degrade(faces, faces[:, :8, :8], seed=3).numpy()


@pytest.mark.parametrize(["name", "place"], [*RUNS, ("edsr", "edsr.keras")])
def test_models_of_0_1_0_are_loaded_as_they_were(name, place, old, monkeypatch):
    monkeypatch.setattr(style_vae, "_BORDER", 0)  # photos were not mirrored yet
    model = load(old / place)
    made = degraded(model) if name == "style" else enlarged(lambda lr: model.predict(lr, verbose=0))
    wanted = np.load(old / f"{name}.npy")
    np.testing.assert_allclose(made, wanted, rtol=0, atol=1e-2 if place.startswith("packed") else 1e-5)


@pytest.mark.parametrize(["stage", "place"], RUNS)
def test_a_training_starts_from_the_weights_of_0_1_0(stage, place, old):
    model = loading.build(config.read(old / stage / places.CONFIG))
    loading.start_from(model, old / place)
    for got, wanted in zip(model.get_weights(), load(old / place).get_weights()):
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("name", ["exported", "sr.tflite"])
def test_exports_of_0_1_0_enlarge_as_they_did(name, old):
    np.testing.assert_allclose(enlarged(engine(old / name)), np.load(old / "sr.npy"), rtol=0, atol=1e-5)


@pytest.mark.parametrize("stage", PLACES)
def test_a_finished_run_of_0_1_0_is_done_and_says_how_it_cannot_go_on(stage, old, small_folder, tmp_path, capsys):
    run = tmp_path / "run"
    run.mkdir()
    for file in (old / stage).rglob("*"):
        target = run / file.relative_to(old / stage)
        target.mkdir() if file.is_dir() else target.write_bytes(file.read_bytes())
    settings = dataclasses.replace(config.read(run / places.CONFIG), out=str(run))
    settings = dataclasses.replace(settings, hr=str(small_folder), lr=str(small_folder))
    fit(settings)
    assert "all 1 epochs are done" in capsys.readouterr().out
    with pytest.raises(UserError) as error:
        fit(dataclasses.replace(settings, epochs=2))
    # Another Keras than that of then says so first.
    assert f"start from its weights, by --init {run} and another --out" in str(error.value)
    assert "\n" not in str(error.value)
