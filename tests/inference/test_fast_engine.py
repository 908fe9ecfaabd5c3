from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import subprocess

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


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a tiny network's `run`. Do not write."""
    settings = config.parse("--sr-network.filters 8 --sr-network.global-blocks 1 --sr-network.local-blocks 1".split())
    model = loading.build(settings)
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(0, 0.1, value.shape) for value in model.get_weights()])
    folder = tmp_path_factory.mktemp("place") / "run"
    folder.mkdir()
    config.write(settings, folder / places.CONFIG)
    loading.save_weights(model, folder / places.WEIGHTS)
    return folder.parent


@pytest.fixture(scope="module")
def place_of_a_large_job(place, tmp_path_factory):
    """The same after a large job, with its `cache`. Do not write."""
    pytest.importorskip("ai_edge_litert")
    copy = shutil.copytree(place, tmp_path_factory.mktemp("place"), dirs_exist_ok=True)
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(said):
        patch.setenv("XDG_CACHE_HOME", str(copy / "cache"))
        assert isinstance(fastest(engine(copy / "run"), copy / "run", LARGE_JOB), FastEngine)
    assert "making a faster form" in said.getvalue()
    return copy


def copied(place, to, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(to / "cache"))
    return shutil.copytree(place, to, dirs_exist_ok=True) / "run"


@pytest.fixture
def run(place, tmp_path, monkeypatch):
    """Folder of a tiny network's run; nothing is kept yet."""
    return copied(place, tmp_path, monkeypatch)


@pytest.fixture
def made(place_of_a_large_job, tmp_path, monkeypatch):
    """The folder, after a large job."""
    return copied(place_of_a_large_job, tmp_path, monkeypatch)


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


def test_each_detail_gets_its_own_file(run, monkeypatch):
    pytest.importorskip("ai_edge_litert")
    commands = []

    def export(command, **_):
        commands.append(" ".join(command))
        return subprocess.CompletedProcess(command, 1, stderr="error: not made")

    monkeypatch.setattr(subprocess, "run", export)
    run = os.fspath(run)
    for detail in (0.25, 0.75):
        model = places.chosen(run, detail, run)
        assert isinstance(fastest(engine(model), model, LARGE_JOB), KerasEngine)
        assert f" {run} " in commands[-1] and f"--detail {detail} --detailed {run}" in commands[-1]
    fastest(engine(run), run, LARGE_JOB)
    files = [re.search(r"\S+\.tflite", command)[0] for command in commands]
    assert len(set(files)) == 3 and "--detail" not in commands[-1]


def test_only_the_files_last_used_are_kept(run, place_of_a_large_job, monkeypatch):
    (ready,) = kept(place_of_a_large_job / "run")

    def export(command, **_):
        shutil.copy(ready, command[command.index("--tflite") + 1])
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", export)
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
