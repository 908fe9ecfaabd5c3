from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from ssrvae_tf import config
from ssrvae_tf.errors import UserError
from ssrvae_tf.inference import fast_engine, openvino_engine
from ssrvae_tf.inference.engines import KerasEngine, engine
from ssrvae_tf.inference.fast_engine import FastEngine, fastest
from ssrvae_tf.inference.openvino_engine import OpenVINOEngine
from ssrvae_tf.loading import models as loading
from ssrvae_tf.loading import places

LARGE_JOB = 10_000_000  # pixels
KINDS = {"openvino": OpenVINOEngine, "litert": FastEngine, "keras": KerasEngine}
NAMES = ["openvino", "litert"]

if not all(map(fast_engine.find_spec, ("openvino", "ai_edge_litert"))):
    pytest.skip("needs OpenVINO and LiteRT", allow_module_level=True)


@pytest.fixture(autouse=True)
def seconds(monkeypatch):
    """(names) -> lets these be measured as the fastest, in this order; OpenVINO, LiteRT, Keras unless told."""

    def order(*names):
        kinds = [KINDS[name] for name in names]
        monkeypatch.setattr(fast_engine, "_seconds", lambda engine: float(kinds.index(type(engine))))

    order(*KINDS)
    return order


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
    copy = shutil.copytree(place, tmp_path_factory.mktemp("place"), dirs_exist_ok=True)
    said, making = io.StringIO(), []
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(said):
        patch.setenv("XDG_CACHE_HOME", str(copy / "cache"))
        patch.setattr(fast_engine, "_seconds", lambda engine: float([*KINDS.values()].index(type(engine))))
        assert isinstance(fastest(copy / "run", LARGE_JOB, making=lambda: making.append(1)), OpenVINOEngine)
        assert isinstance(fastest(copy / "run", LARGE_JOB, making=lambda: making.append(1)), OpenVINOEngine)
    assert said.getvalue().count("making a faster form") == 2 == len(making)
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
    """The folder, after a large job; no more files can be made."""
    monkeypatch.setattr(subprocess, "run", None)
    return copied(place_of_a_large_job, tmp_path, monkeypatch)


def kept(run, suffix=""):
    return list((run.parent / "cache" / "ssrvae_tf").glob(f"*{suffix}"))


def choose(run, name):
    """Let it be known which engine is the fastest."""
    (choice,) = kept(run, ".json")
    choice.write_text(json.dumps({"engine": name}))


def without(monkeypatch, *modules):
    there = fast_engine.find_spec
    monkeypatch.setattr(fast_engine, "find_spec", lambda name: None if name in modules else there(name))


def test_a_small_job_makes_no_file(run):
    assert isinstance(fastest(run, 500_000), KerasEngine)
    assert not kept(run)


@pytest.mark.parametrize("name", NAMES)
def test_files_are_made_once_and_give_what_keras_gives(made, name):
    choose(made, name)
    keras, fast = engine(made), fastest(made, 1)
    assert type(fast) is KINDS[name] and fast.scale == 4
    for shape in ((2, 20, 30, 3), (1, 70, 80, 3), (1, 1, 1, 3), (0, 9, 9, 3)):
        lr = np.random.default_rng(0).random(shape, np.float32)
        np.testing.assert_allclose(fast(lr), keras(lr), atol=2e-3)


def test_large_tiles_go_past_litert_to_keras(made):
    choose(made, "litert")
    lr = np.random.default_rng(0).random((1, 70, 80, 3), np.float32)
    np.testing.assert_array_equal(fastest(made, 1)(lr), engine(made)(lr))


def test_the_fastest_of_all_is_taken_and_kept(made, seconds):
    (choice,) = kept(made, ".json")
    assert json.loads(choice.read_text()) == {
        "engine": "openvino",
        "milliseconds": {"keras": 2000.0, "openvino": 0.0, "litert": 1000.0},
    }
    choice.unlink()
    seconds("litert", "keras", "openvino")
    for pixels in (LARGE_JOB, 1):
        assert isinstance(fastest(made, pixels), FastEngine)
    choose(made, "keras")
    assert isinstance(fastest(made, LARGE_JOB), KerasEngine)


def test_a_measurement_leaves_no_tensorflow_in_memory(place_of_a_large_job, tmp_path, monkeypatch):
    run = copied(place_of_a_large_job, tmp_path, monkeypatch)
    (choice,) = kept(run, ".json")
    choice.unlink()
    job = f"""
import sys
from ssrvae_tf.inference.fast_engine import fastest
engine = fastest({os.fspath(run)!r}, {LARGE_JOB})
assert type(engine).__name__ != "OpenVINOEngine" or "tensorflow" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", job], check=True)
    assert set(json.loads(choice.read_text())["milliseconds"]) == set(KINDS)


@pytest.mark.parametrize("model", ["run", places.Blend("run", 0.25, "other")])
def test_what_is_measured_elsewhere_is_the_same_model(model, monkeypatch):
    measured, choice = [], fast_engine._Choice
    monkeypatch.setattr(sys, "argv", ["-c", "openvino,litert", *choice(model)._words()])
    monkeypatch.setattr(choice, "keep_fastest", lambda self, names: measured.append((self.model, names)))
    fast_engine._keep_fastest()
    assert measured == [(model, NAMES)]


@pytest.mark.parametrize("other", ["a machine", "a version", "a network"])
def test_the_choice_is_for_a_machine_versions_and_a_kind_of_network(made, monkeypatch, other):
    if other == "a machine":
        monkeypatch.setattr(fast_engine, "_processor", lambda: "another")
    if other == "a version":
        monkeypatch.setattr(fast_engine, "version", lambda package: "9.9")
    if other == "a network":
        settings = config.read(made / places.CONFIG)
        settings.sr_network.kernel_size = 3
        config.write(settings, made / places.CONFIG)
    assert isinstance(fastest(made, 1), KerasEngine)


def test_the_clock_tells_a_slow_engine_from_a_quick_one(monkeypatch):
    monkeypatch.undo()

    def takes(seconds):
        return lambda lr: fast_engine.time.sleep(seconds)

    assert fast_engine._seconds(takes(0.0), 2) < 0.004 < fast_engine._seconds(takes(0.01), 2)


@pytest.mark.parametrize("name", KINDS)
def test_the_engine_that_is_asked_for_is_taken(made, name):
    assert type(fastest(made, 1, name)) is KINDS[name]


def test_the_engine_that_is_asked_for_is_made_for_small_jobs_too(run, monkeypatch, place_of_a_large_job):
    ready = {file.suffix: file for file in kept(place_of_a_large_job / "run")}

    def export(command, **_):
        path = command[command.index("--openvino") + 1]
        for suffix in (".xml", ".bin"):
            shutil.copy(ready[suffix], path.replace(".xml", suffix))
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", export)
    assert isinstance(fastest(run, 1, "openvino"), OpenVINOEngine)


@pytest.mark.parametrize(
    "asked, message",
    [
        ({"engine": "keras", "precision": "bfloat16"}, "--precision bfloat16: not with --engine keras"),
        ({"engine": "litert", "precision": "bfloat16"}, "--precision bfloat16: not with --engine litert"),
        ({"engine": "openvino", "device": "gpu:1"}, "--device gpu:1: only for Keras"),
        ({"precision": "bfloat16", "device": "gpu"}, "--device gpu: only for Keras"),
    ],
)
def test_what_does_not_go_together_is_refused(made, asked, message):
    with pytest.raises(UserError, match=message):
        fastest(made, 1, **asked)


@pytest.mark.parametrize("asked", [{"engine": "tensorrt"}, {"precision": "float16"}])
def test_what_there_is_not_is_no_silent_default(made, asked):
    with pytest.raises(ValueError, match="float16' is given, one of float32, bfloat16|tensorrt' is given, one of auto"):
        fastest(made, 1, **asked)


@pytest.mark.parametrize("asked", [{"engine": "litert"}, {"precision": "bfloat16"}])
def test_what_is_loaded_or_exported_runs_as_it_is(made, asked):
    (tflite,) = kept(made, ".tflite")
    for model in (loading.load(made), tflite):
        with pytest.raises(UserError, match=f"--{[*asked][0]} .*only for shipped weights and runs"):
            fastest(model, LARGE_JOB, **asked)
        assert not isinstance(fastest(model, LARGE_JOB), OpenVINOEngine)


@pytest.mark.parametrize("asked", [{"engine": "openvino"}, {"precision": "bfloat16"}])
def test_what_is_not_installed_is_told(made, monkeypatch, asked):
    without(monkeypatch, "openvino")
    with pytest.raises(UserError, match="--engine openvino: openvino is not installed: pip install openvino"):
        fastest(made, 1, **asked)


def test_without_openvino_litert_is_taken_and_without_both_keras(made, monkeypatch, capsys):
    without(monkeypatch, "openvino")
    assert isinstance(fastest(made, LARGE_JOB), FastEngine)
    without(monkeypatch, "ai_edge_litert")
    assert isinstance(fastest(made, LARGE_JOB), KerasEngine)
    assert not capsys.readouterr().err


def test_an_openvino_that_does_not_load_is_told_and_gives_way(made, monkeypatch, capsys):
    def fails():
        raise ImportError("no such library")

    monkeypatch.setattr(openvino_engine, "openvino", fails)
    with pytest.raises(UserError, match="--engine openvino: it does not run here .no such library"):
        fastest(made, 1, "openvino")
    assert isinstance(fastest(made, LARGE_JOB), FastEngine)
    said = capsys.readouterr().err
    assert "run stays on a slower engine: openvino: " in said and said.count("\n") == 1
    assert isinstance(fastest(made, LARGE_JOB), FastEngine)
    assert not capsys.readouterr().err, "said once"


def test_other_weights_get_other_files_and_the_same_choice(made, monkeypatch):
    other = made.parent / "other"
    shutil.copytree(made, other)
    model = loading.load(other)
    model.set_weights([value + 0.01 for value in model.get_weights()])
    loading.save_weights(model, other / places.WEIGHTS)
    assert isinstance(fastest(other, 1), KerasEngine)
    asked = []
    monkeypatch.setattr(subprocess, "run", lambda command, **_: asked.append(command) or subprocess.run)
    with contextlib.suppress(AttributeError):
        fastest(other, LARGE_JOB)
    assert "--openvino" in asked[0] and "--tflite" not in asked[0]


def test_each_detail_gets_its_own_file(run, monkeypatch):
    commands = []

    def export(command, **_):
        commands.append(" ".join(command))
        return subprocess.CompletedProcess(command, 1, stderr="error: not made")

    monkeypatch.setattr(subprocess, "run", export)
    run = os.fspath(run)
    for detail in (0.25, 0.75):
        model = places.chosen(run, detail, run)
        assert isinstance(fastest(model, LARGE_JOB), KerasEngine)
        assert f" {run} " in commands[-1] and f"--detail {detail} --detailed {run}" in commands[-1]
    fastest(run, LARGE_JOB)
    files = [re.search(r"\S+\.(tflite|xml)", command)[0] for command in commands]
    assert len(set(files)) == len(files) >= 3 and "--detail" not in commands[-1]


def test_only_the_files_last_used_are_kept(run, place_of_a_large_job, monkeypatch):
    ready = {file.suffix: file for file in kept(place_of_a_large_job / "run")}

    def export(command, **_):
        for option, suffixes in (("--tflite", [".tflite"]), ("--openvino", [".xml", ".bin"])):
            for suffix in suffixes if option in command else ():
                path = command[command.index(option) + 1]
                shutil.copy(ready[suffix], os.path.splitext(path)[0] + suffix)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", export)
    folder = run.parent / "cache" / "ssrvae_tf"
    folder.mkdir(parents=True)
    for age in range(10):
        for suffix in (".tflite", ".xml", ".bin"):  # a model's two engines are not used together
            file = folder / f"{9 - age if suffix == '.tflite' else age}{suffix}"
            file.touch()
            os.utime(file, (1_000_000_000 - age,) * 2)
    fastest(run, LARGE_JOB)
    for suffix, newest in ((".tflite", "9876543"), (".xml", "0123456"), (".bin", "0123456")):
        left = {file.stem for file in kept(run, suffix)}
        assert len(left) == 8 and left >= set(newest), suffix


@pytest.mark.parametrize("name, suffix", [("openvino", ".xml"), ("litert", ".tflite")])
def test_a_damaged_file_is_removed_and_said(made, capsys, name, suffix):
    choose(made, name)
    (file,) = kept(made, suffix)
    file.write_bytes(b"no network")
    assert isinstance(fastest(made, 1), KerasEngine)
    assert "stays on a slower engine" in capsys.readouterr().err
    assert not file.exists()


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_damaged_file_of_an_engine_that_is_asked_for_is_removed_and_said(made, monkeypatch, precision):
    class Core(openvino_engine.openvino().Core):
        def get_property(self, *_):
            return ["BF16"]

    monkeypatch.setattr(openvino_engine.openvino(), "Core", Core)
    (file,) = kept(made, ".xml")
    file.write_bytes(b"no network")
    with pytest.raises(UserError, match="removed, the next job makes it anew$"):
        fastest(made, 1, "openvino", precision)
    assert not file.exists()


def test_where_nothing_can_be_kept_keras_goes_on(run, capsys):
    (run.parent / "cache").write_text("a file where a folder is wanted")
    assert isinstance(fastest(run, LARGE_JOB), KerasEngine)
    assert "stays on the slower engine" in capsys.readouterr().err
    with pytest.raises(UserError, match=r"cache/ssrvae_tf: cannot be made \(Not a directory\): take --engine keras"):
        fastest(run, 1, "openvino")


def test_with_a_gpu_or_a_model_of_ones_own_keras_stays(made, monkeypatch):
    assert isinstance(fastest(loading.load(made), LARGE_JOB), KerasEngine)
    monkeypatch.setattr(fast_engine, "_has_gpu", lambda: True)
    assert isinstance(fastest(made, LARGE_JOB), KerasEngine)
    assert isinstance(fastest(made, LARGE_JOB, device="cpu"), OpenVINOEngine)
