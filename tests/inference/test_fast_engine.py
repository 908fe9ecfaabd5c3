from __future__ import annotations

import os
import shutil

import numpy as np
import pytest
import tensorflow as tf

from ssrvae_tf import config
from ssrvae_tf.inference import fast_engine
from ssrvae_tf.inference.engines import KerasEngine, engine
from ssrvae_tf.inference.fast_engine import FastEngine, fastest
from ssrvae_tf.loading import models as loading
from ssrvae_tf.loading import places

LARGE_JOB = 10_000_000  # pixels


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Folder of a tiny network's run; nothing is kept yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    settings = config.parse("--sr-network.filters 8 --sr-network.global-blocks 1 --sr-network.local-blocks 1".split())
    model = loading.build(settings)
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(0, 0.1, value.shape) for value in model.get_weights()])
    folder = tmp_path / "run"
    folder.mkdir()
    config.write(settings, folder / places.CONFIG)
    loading.save_weights(model, folder / places.WEIGHTS)
    return folder


@pytest.fixture
def made(run, capsys):
    """The folder, after a large job."""
    pytest.importorskip("ai_edge_litert")
    assert isinstance(fastest(engine(run), run, LARGE_JOB), FastEngine)
    assert "making a faster form" in capsys.readouterr().err
    return run


def kept(run):
    return list((run.parent / "cache" / "ssrvae_tf").glob("*"))


def test_a_small_job_makes_no_file(run):
    assert isinstance(fastest(engine(run), run, 500_000), KerasEngine)
    assert not kept(run)


def test_a_file_is_made_once_and_gives_what_keras_gives(made, monkeypatch):
    monkeypatch.setattr(fast_engine, "_make", None)
    keras, fast = engine(made), fastest(engine(made), made, 1)
    assert isinstance(fast, FastEngine) and fast.scale == 4
    for shape in ((2, 20, 30, 3), (1, 70, 80, 3)):  # by LiteRT, and by Keras
        lr = np.random.default_rng(0).random(shape, np.float32)
        np.testing.assert_allclose(fast(lr), keras(lr), atol=2e-3)
        assert np.array_equal(fast(lr), keras(lr)) == (shape[1] > 64)


def test_other_weights_get_another_file(made):
    other = made.parent / "other"
    shutil.copytree(made, other)
    model = loading.load(other)
    model.set_weights([value + 0.01 for value in model.get_weights()])
    loading.save_weights(model, other / places.WEIGHTS)
    assert isinstance(fastest(engine(other), other, 1), KerasEngine)


def test_only_the_files_last_used_are_kept(run):
    pytest.importorskip("ai_edge_litert")
    folder = run.parent / "cache" / "ssrvae_tf"
    folder.mkdir(parents=True)
    for age in range(10):
        file = folder / f"{age}.tflite"
        file.touch()
        os.utime(file, (1_000_000_000 - age,) * 2)
    fastest(engine(run), run, LARGE_JOB)
    left = {file.stem for file in kept(run)}
    assert len(left) == 8 and left >= set("0123456") and not left & set("789")


def test_a_damaged_file_is_removed_and_said(made, capsys):
    (file,) = kept(made)
    file.write_bytes(b"no network")
    assert isinstance(fastest(engine(made), made, 1), KerasEngine)
    assert "stays on the slower engine" in capsys.readouterr().err
    assert not kept(made)


def test_where_nothing_can_be_kept_keras_goes_on(run, monkeypatch, capsys):
    pytest.importorskip("ai_edge_litert")
    (run.parent / "cache").write_text("a file where a folder is wanted")
    assert isinstance(fastest(engine(run), run, LARGE_JOB), KerasEngine)
    assert "stays on the slower engine" in capsys.readouterr().err


def test_without_litert_or_with_a_gpu_or_a_model_of_ones_own_keras_stays(made, monkeypatch):
    model = loading.load(made)
    assert isinstance(fastest(engine(model), model, LARGE_JOB), KerasEngine)
    with monkeypatch.context() as patch:
        patch.setattr(fast_engine, "find_spec", lambda name: None)
        assert isinstance(fastest(engine(made), made, LARGE_JOB), KerasEngine)
    with monkeypatch.context() as patch:
        patch.setattr(tf.config, "list_logical_devices", lambda kind: [kind])
        assert isinstance(fastest(engine(made), made, LARGE_JOB), KerasEngine)
