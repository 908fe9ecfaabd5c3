from __future__ import annotations

import csv
import dataclasses
import json
import os
import re
import shutil
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny_runs import PLAIN, run, tiny, weights

from ssrvae_tf import load
from ssrvae_tf.errors import UserError
from ssrvae_tf.loading.models import save_weights
from ssrvae_tf.models import EDSR, SRNetwork
from ssrvae_tf.training import callbacks, devices
from ssrvae_tf.training.run import fit


def last_row(folder):
    with open(folder / "metrics.csv", newline="") as file:
        return {name: float(value) for name, value in list(csv.DictReader(file))[-1].items()}


@pytest.mark.slow
def test_both_stages_follow_one_another_and_leave_the_callers_precision_alone(photo_folder, tmp_path):
    model = fit(tiny("style", photo_folder, tmp_path / "style", epochs=1, precision="mixed_bfloat16"))
    row = last_row(tmp_path / "style")
    assert all(np.isfinite(value) for value in row.values())
    wanted = {"kl", "mi", "style_effect", "sheet_style_effect", "style_sharpness_correlation"}
    wanted |= {"sharpness_real", "sharpness_generated", "sharpness_prior", "sharpness_sampler"}
    assert wanted <= row.keys()
    assert keras.mixed_precision.global_policy().name == "float32"
    faces = np.random.default_rng(0).random((2, 32, 32, 3), "float32")
    again = load(tmp_path / "style")
    np.testing.assert_array_equal(model.degrade(faces, seed=1), again.degrade(faces, seed=1))
    assert np.abs(again.sampler.means.numpy()).max() > 0, "the sampler is not fitted"

    styled = tiny("sr", photo_folder, tmp_path / "sr", style=str(tmp_path / "style"), sr_network=PLAIN, epochs=1)
    result = fit(styled)
    np.testing.assert_array_equal(result.predict(faces, verbose=0), load(tmp_path / "sr").predict(faces, verbose=0))
    assert last_row(tmp_path / "sr")["loss"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("stage", ["sr", "style"])
def test_mixed_precision_trains(stage, precision, photo_folder, tmp_path):
    fit(tiny(stage, photo_folder, tmp_path, precision=precision, epochs=1, steps_per_epoch=4))
    assert all(np.isfinite(value) for value in last_row(tmp_path).values())
    assert all(np.isfinite(value).all() for value in weights(tmp_path).values())
    assert keras.mixed_precision.global_policy().name == "float32"


@pytest.mark.parametrize(
    "network", ["srcnn", *(pytest.param(name, marks=pytest.mark.slow) for name in ("edsr", "rdn", "srgan"))]
)
def test_the_networks_to_compare_with_train_on_the_same_pairs(network, photo_folder, tmp_path):
    small = {"baseline": {"filters": 8, "blocks": 1, "layers_per_block": 2}, "epochs": 1, "network": network}
    model = fit(tiny("sr", photo_folder, tmp_path / "run", **small))
    assert type(model).__name__ == network.upper() and np.isfinite(last_row(tmp_path / "run")["loss"])
    lr = np.random.default_rng(0).random((1, 6, 5, 3), "float32")
    np.testing.assert_array_equal(load(tmp_path / "run").predict(lr, verbose=0), model.predict(lr, verbose=0))
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(load(tmp_path / "model.keras").predict(lr, verbose=0), model.predict(lr, verbose=0))
    assert load(tmp_path / "run").scale == 4 and "sr_network" not in (tmp_path / "run" / "config.yaml").read_text()


@pytest.mark.slow
def test_srgan_goes_on_from_srresnet_against_its_own_discriminator(photo_folder, tmp_path):
    small = {"baseline": {"filters": 8, "blocks": 1}, "epochs": 1, "network": "srgan"}
    fit(tiny("sr", photo_folder, tmp_path / "srresnet", **small))
    fit(tiny("sr", photo_folder, tmp_path / "srgan", init=str(tmp_path / "srresnet"), adversarial=1e-3, **small))
    row = last_row(tmp_path / "srgan")
    assert np.isfinite(row["critic"]) and row["critic"] > 0 and "matching" not in row


def test_the_paper_form_trains(photo_folder, tmp_path):
    style_vae = {"form": "paper", "latent_dim": 8, "filters": 8, "encoder_strides": [2, 1]}
    fit(tiny("style", photo_folder, tmp_path, style_vae=style_vae, epochs=1))
    row = last_row(tmp_path)
    assert {"kl", "mi", "reconstruction"} <= row.keys() and np.isfinite(list(row.values())).all()


def test_figures_that_are_no_numbers_end_a_training_and_leave_no_result(photo_folder, tmp_path):
    settings = tiny("sr", photo_folder, tmp_path, learning_rate=1e30, schedule="constant", sr_network=PLAIN)
    with pytest.raises(UserError, match="lower --learning-rate or take --precision float32, and another --out"):
        fit(settings)
    assert not (tmp_path / "model.weights.h5").exists() and not list(tmp_path.glob("checkpoints/*"))
    assert keras.mixed_precision.global_policy().name == "float32"


def test_a_time_limit_ends_between_two_steps_and_the_run_goes_on_later(photo_folder, tmp_path, capsys):
    settings = tiny("sr", photo_folder, tmp_path, sr_network=PLAIN, max_minutes=1e-4, val=0.25)
    fit(settings)
    said = capsys.readouterr()
    assert "on photos held back: " in said.out  # in the middle of an epoch, which leaves no row
    assert "0.0001 minutes are over: saved after step 1 of 6; the same command goes on" in said.err
    assert (tmp_path / "model.weights.h5").is_file() and not (tmp_path / "metrics.csv").exists()
    fit(tiny("sr", photo_folder, tmp_path, sr_network=PLAIN, val=0.25))
    assert "going on after step 1 of 6" in capsys.readouterr().out
    assert last_row(tmp_path)["epoch"] == 2


@pytest.mark.slow
def test_two_processes_do_not_train_in_one_folder(photo_folder, tmp_path):
    fcntl = pytest.importorskip("fcntl", reason="Windows has no such locks")
    out = tmp_path / "run"
    out.mkdir()
    other = os.open(out, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    settings = tiny("sr", photo_folder, out, style="bicubic", epochs=1)
    with pytest.raises(UserError, match="run: another process is training there: wait for its end"):
        fit(settings)
    assert not list(out.iterdir())
    os.close(other)
    fit(settings)


def test_the_best_weights_are_the_result_and_its_gain_is_said(photo_folder, tmp_path, capsys):
    settings = tiny("sr", photo_folder, tmp_path / "run", sr_network=PLAIN, val=0.25, epochs=3, ema=0.0)
    model = fit(settings)
    said = capsys.readouterr().out
    assert f"--hr {photo_folder}: 3 of 12 photos are held back for validation" in said
    held = json.loads((tmp_path / "run" / "photos.json").read_text())["hr"]["held_back"]
    assert len(held) == 3
    with open(tmp_path / "run" / "metrics.csv", newline="") as file:
        scores = [float(row["val_psnr"]) for row in csv.DictReader(file)]
    row = last_row(tmp_path / "run")
    assert {"val_psnr", "val_ssim", "val_psnr_bicubic", "val_ssim_bicubic"} <= row.keys()
    gain = max(scores) - row["val_psnr_bicubic"]
    assert f"on photos held back: {max(scores):.2f} dB, bicubic {row['val_psnr_bicubic']:.2f}, {gain:+.2f}" in said
    best = weights(tmp_path / "run", "best.weights.h5")
    assert sorted(value.sum() for value in best.values()) == sorted(value.sum() for value in model.get_weights())
    other = SRNetwork(4, **PLAIN)
    save_weights(other, tmp_path / "run" / "best.weights.h5")
    for got, wanted in zip(load(tmp_path / "run").get_weights(), other.get_weights()):
        np.testing.assert_array_equal(got, wanted)
    save_weights(model, tmp_path / "run" / "best.weights.h5")

    # From there with steps that change nothing: as good as its start, no better, and patience ends it.
    still = {"learning_rate": 1e-30, "schedule": "constant", "epochs": 9, "patience": 2, "init": str(tmp_path / "run")}
    settings = tiny("sr", photo_folder, tmp_path / "more", sr_network=PLAIN, val=0.25, ema=0.0, **still)
    fit(settings)
    said = capsys.readouterr().out
    assert "no better validation in --patience 2 epochs: epoch 1 is the result" in said
    assert f"the weights it started from {max(scores):.2f}, " in said and "(not better than those)" in said
    assert last_row(tmp_path / "more")["epoch"] == 3
    fit(settings)
    assert "no better validation in --patience 2 epochs" in capsys.readouterr().out
    assert last_row(tmp_path / "more")["epoch"] == 3

    other = Path(shutil.copytree(photo_folder, tmp_path / "photos"))
    shutil.copy(other / "00.jpg", other / "one_more.jpg")
    fit(dataclasses.replace(settings, hr=str(other), lr=str(other)))
    assert last_row(tmp_path / "more")["epoch"] == 4, "with other photos it may get better again"


def test_checkpoints_by_the_clock_and_pictures_by_steps_come_between_epochs(photo_folder, tmp_path, monkeypatch):
    saved, drawn = [], []
    own = callbacks.Results.save, callbacks.write_picture

    def save(self):
        saved.append(self.model.stepper.done)
        own[0](self)

    def write(writer, step, image, prefix=""):
        drawn.append(f"{prefix}{step}")
        own[1](writer, step, image, prefix)

    monkeypatch.setattr(callbacks.Results, "save", save)
    monkeypatch.setattr(callbacks, "write_picture", write)
    fit(tiny("sr", photo_folder, tmp_path, sr_network=PLAIN, checkpoint_minutes=1e-9, picture_steps=2))
    assert saved == [1, 2, 4, 5] and drawn == ["steps/2", "1", "steps/4", "2"]


def test_photos_of_the_validation_are_not_trained_on_and_too_few_others_are_an_error(photo_folder, tmp_path):
    settings = tiny("sr", photo_folder, tmp_path / "run", val=str(photo_folder / "more"), batch_size=11)
    message = f"--val {photo_folder / 'more'}: without its photos --hr holds 10, batch size is 11"
    with pytest.raises(UserError, match=message):
        fit(settings)


def test_weights_to_start_from_are_taken(photo_folder, tmp_path):
    first = fit(tiny("sr", photo_folder, tmp_path / "first", sr_network=PLAIN, epochs=1))
    first.save(tmp_path / "first.keras")
    for number, init in enumerate((tmp_path / "first", tmp_path / "first.keras")):
        more = {"init": str(init), "learning_rate": 1e-12, "schedule": "constant"}
        settings = tiny("sr", photo_folder, tmp_path / f"from_{number}", sr_network=PLAIN, epochs=1, **more)
        second = fit(settings)
        for got, wanted in zip(second.get_weights(), first.get_weights()):
            np.testing.assert_allclose(got, wanted, atol=1e-6)
    init.unlink()  # a run that goes on needs it no more
    fit(dataclasses.replace(settings, epochs=2))
    assert last_row(tmp_path / "from_1")["epoch"] == 2


@pytest.mark.parametrize("make", [lambda: EDSR(2, 8, 1), lambda: SRNetwork(2, 16, 0, 0)])
def test_a_keras_file_of_another_model_is_no_start(make, photo_folder, tmp_path):
    other = make()
    other.save(tmp_path / "other.keras")
    with pytest.raises(UserError, match=f"other.keras: its {type(other).__name__} does not fit the SRNetwork"):
        fit(tiny("sr", photo_folder, tmp_path / "run", sr_network=PLAIN, init=str(tmp_path / "other.keras")))


_TWO_DEVICES = """
import csv, sys
import numpy as np
import tensorflow as tf
from ssrvae_tf.training import devices as used, run
from tiny_runs import PLAIN, tiny, weights

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
photos, out = sys.argv[1:]
strategies = [tf.distribute.MirroredStrategy(devices) for devices in (["CPU:0"], ["CPU:0", "CPU:1"])]


def figures(stage, devices, **changes):
    used._strategy = lambda several_workers: strategies[devices - 1]
    folder = f"{out}/{stage}_{devices}"
    run.fit(tiny(stage, photos, folder, epochs=1, steps_per_epoch=3, val=0.25, **changes))
    assert all(np.isfinite(value).all() for value in weights(folder).values())
    with open(folder + "/metrics.csv", newline="") as file:
        [row] = csv.DictReader(file)
    return {name: float(value) for name, value in row.items()}


one, two = (figures("sr", devices, sr_network=PLAIN) for devices in (1, 2))
assert {"loss", "gradient_norm", "val_psnr"} <= one.keys() == two.keys()
for name, value in one.items():
    np.testing.assert_allclose(two[name], value, rtol=1e-4, err_msg=name)
style = figures("style", 2)
assert style["gradient_norm"] > 0 and 1.5 < style["critic"] < 2.5 and np.isfinite(list(style.values())).all(), style
print("done")
"""


@pytest.mark.parametrize(
    "given",
    ['{"cluster": ', "[]", '{"cluster": {"worker": ["a:1"]}}', '{"cluster": 3, "task": {"index": 0}}']
    + ['{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}'],
)
def test_a_cluster_that_cannot_be_read_is_told(given, photo_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", given)
    told = f"TF_CONFIG {given}: no cluster and task can be read from it ("
    with pytest.raises(UserError, match=re.escape(told)):
        devices.strategy_for(tiny("sr", photo_folder, tmp_path))


@pytest.mark.parametrize("given", ["", "{}", '{"cluster": {}}'])
def test_without_a_cluster_this_machine_trains_alone(given, photo_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", given)
    strategy = devices.strategy_for(tiny("sr", photo_folder, tmp_path, max_minutes=1.0))
    assert not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


@pytest.mark.slow
def test_two_devices_train_as_one_does(photo_folder, tmp_path):
    code = [sys.executable, "-c", _TWO_DEVICES, str(photo_folder), str(tmp_path)]
    done = run(code, PYTHONPATH=os.pathsep.join(["tests", str(Path(__file__).parents[2])]))
    assert done.returncode == 0 and "done" in done.stdout, done.stderr[-3000:]
