from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path

import keras
import pytest
from PIL import Image
from tiny_runs import PLAIN, options, run, tiny

from ssrvae_tf import config, fit
from ssrvae_tf.errors import UserError
from ssrvae_tf.loading import models as loading
from ssrvae_tf.loading import places
from ssrvae_tf.training import run as run_module


def save_model(settings, folder):
    """A folder that looks like a finished run."""
    folder.mkdir()
    config.write(settings, folder / "config.yaml")
    model = loading.build(settings)
    if settings.stage == "style":
        model.build_networks()
    loading.save_weights(model, folder / "model.weights.h5")
    return str(folder)


def error_of(settings, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["fit", *options(settings)])
    with pytest.raises(UserError) as error:
        fit.main()
    assert "\n" not in str(error.value)
    return str(error.value)


def test_stage_sr_trains_without_any_photos_and_says_so(tmp_path, monkeypatch, capsys):
    settings = tiny("sr", "", tmp_path / "run", epochs=1, steps_per_epoch=2, sr_network=PLAIN)
    settings = dataclasses.replace(settings, hr=None, lr=None)
    monkeypatch.setattr(sys, "argv", ["fit", *options(settings)])
    fit.main()
    said = capsys.readouterr()
    assert "training on patches of the package's two photos; give --hr FOLDER" in said.out
    assert f"the result is in {tmp_path / 'run'}" in said.out
    assert "epoch 1/1  loss " in said.err + said.out
    names = ["best.weights.h5", "checkpoints", "config.yaml", "images", "metrics.csv", "model.weights.h5"]
    names += ["photos.json", "tensorboard", "versions.json"]  # and no steps.csv: there were fewer than --log-steps
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == names
    header, row = (tmp_path / "run" / "metrics.csv").read_text().splitlines()
    columns = "epoch,loss,colour,gradient_norm,sheet_psnr,sheet_psnr_bicubic"
    assert header == f"{columns},val_psnr,val_ssim,val_psnr_bicubic,val_ssim_bicubic" and row.startswith("1,")
    assert (tmp_path / "run" / "images" / "epoch_0001.png").is_file()


def test_without_photos_and_a_network_of_ones_own_the_packages_weights_go_on(monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr(run_module, "_train", lambda settings, _: seen.append(settings))
    monkeypatch.setattr(run_module.loading, "load", lambda out: None)
    for words in ("", "--hr faces", "--init runs/mine", "--sr-network.filters 8", "--scale 2", "--stage style"):
        run_module.fit(config.parse([*words.split(), "--out", str(tmp_path)]))
    shipped = config.read(places.SHIPPED / "faces-x4" / "config.yaml").sr_network
    assert seen[0].init == "faces-x4" and seen[0].sr_network == shipped
    assert [settings.init for settings in seen[1:]] == [None, "runs/mine", None, None, None]
    assert all(settings.sr_network != shipped for settings in seen[1:])


def test_a_run_without_a_name_goes_where_no_documented_command_does():
    assert config.with_place(config.parse([])).out == "runs/my_sr"
    documents = [Path(__file__).parents[1] / name for name in ("README.md", "docs/training.md", "docs/deployment.md")]
    assert all(f"runs/my_{stage}" not in path.read_text() for path in documents for stage in ("sr", "style"))


def test_exchanged_folders_are_noticed(photo_folder, tmp_path, monkeypatch):
    (tmp_path / "small").mkdir()
    Image.new("RGB", (20, 30)).save(tmp_path / "small" / "a.png")
    settings = dataclasses.replace(tiny("sr", tmp_path / "small", tmp_path / "run"), lr=str(photo_folder))
    assert "photos of --hr are smaller" in error_of(settings, monkeypatch)


def test_broken_files_are_named_and_too_few_are_an_error(photo_folder, tmp_path, monkeypatch, capsys):
    (tmp_path / "hr").mkdir()
    for path in sorted(photo_folder.glob("*.*"))[:3]:
        (tmp_path / "hr" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "hr" / "torn.jpg").write_bytes(b"\xff\xd8\xff no more")
    message = error_of(tiny("sr", tmp_path / "hr", tmp_path / "run"), monkeypatch)
    assert f"--hr {tmp_path / 'hr'}: 3 usable photos, batch size is 4: add photos or lower --batch-size" == message
    assert "torn.jpg: cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["hr", "lr"])
def test_stage_style_needs_both_folders(name, photo_folder, tmp_path, monkeypatch):
    settings = dataclasses.replace(tiny("style", photo_folder, tmp_path / "run"), **{name: None})
    assert f"--stage style needs --{name}: give a folder" in error_of(settings, monkeypatch)
    nowhere = str(tmp_path / "nowhere")
    settings = dataclasses.replace(settings, **{name: nowhere})
    assert error_of(settings, monkeypatch) == f"--{name} {nowhere}: no such folder: give a folder of photos"


def test_a_style_that_does_not_fit_is_told(photo_folder, tmp_path, monkeypatch):
    other_scale = save_model(tiny("style", "", "", scale=2), tmp_path / "x2")
    sr = save_model(tiny("sr", "", ""), tmp_path / "sr")
    for style, wanted in {
        other_scale: f"--style {other_scale}: a styleVAE of scale 2: give a styleVAE of scale 4",
        sr: f"--style {sr}: an SR network: give a styleVAE of scale 4",
        "nowhere": "--style nowhere: no such model",
    }.items():
        settings = tiny("sr", photo_folder, tmp_path / "run", style=style)
        assert error_of(settings, monkeypatch).startswith(wanted)
    assert not any((tmp_path / "run").iterdir())


def test_an_output_folder_that_cannot_be_used_is_told(photo_folder, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    for out in ("file", "file/run"):
        message = error_of(tiny("sr", photo_folder, tmp_path / out), monkeypatch)
        assert message.startswith(f"--out {tmp_path / out}: cannot be written (")
    message = error_of(tiny("sr", photo_folder, tmp_path / "run [2]"), monkeypatch)
    assert message.startswith(f"--out {tmp_path / 'run [2]'}: TensorFlow finds no checkpoints below such a name: ")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "diary.txt").write_text("")
    message = error_of(tiny("sr", photo_folder, tmp_path / "other"), monkeypatch)
    assert message == f"--out {tmp_path / 'other'}: not empty and not a run: give an empty or a new folder"


@pytest.mark.parametrize("error", [OSError(28, os.strerror(28), "a"), RuntimeError(f"HDF5: {os.strerror(28)}, b")])
def test_a_full_disk_is_told_and_that_the_run_goes_on(error, tmp_path, monkeypatch):
    def full(settings, until_done):
        raise error

    monkeypatch.setattr(run_module, "_train", full)
    told = f"--out {tmp_path}: cannot be written (No space left on device): make room, and the same command goes on"
    assert error_of(tiny("sr", "", tmp_path), monkeypatch).startswith(told)


@pytest.mark.parametrize("option", ["hr", "lr", "everyday", "val"])
def test_a_run_among_its_photos_is_refused(option, photo_folder, tmp_path, monkeypatch):
    out = tmp_path / "photos" / "runs" / "my_sr"
    (tmp_path / "photos").mkdir()
    (tmp_path / "way").symlink_to(tmp_path / "photos")
    settings = dataclasses.replace(tiny("sr", photo_folder, out), **{option: str(tmp_path / "way")})
    assert f"--out {out}: lies in --{option} {tmp_path / 'way'}, whose photos" in error_of(settings, monkeypatch)
    assert not out.exists()


def test_a_run_of_other_settings_is_left_alone(photo_folder, tmp_path, monkeypatch):
    settings = tiny("sr", photo_folder, tmp_path / "run")
    save_model(settings, tmp_path / "run")
    message = error_of(tiny("sr", photo_folder, tmp_path / "run", batch_size=2), monkeypatch)
    assert "holds a run with batch_size 4, this one has 2: take another --out, or the same settings" in message
    changed = tiny("sr", photo_folder, tmp_path / "run", sr_network={"filters": 16})
    assert "holds a run with sr_network.filters 8, this one has 16" in error_of(changed, monkeypatch)
    assert "holds a run with stage sr" in error_of(tiny("style", photo_folder, tmp_path / "run"), monkeypatch)
    assert config.resolved(config.read(tmp_path / "run" / "config.yaml")) == config.resolved(settings)


def test_sizes_that_no_network_can_have_are_told(photo_folder, tmp_path, monkeypatch):
    settings = tiny("sr", photo_folder, tmp_path / "run", sr_network={"filters": 12})
    assert "12" in error_of(settings, monkeypatch)
    assert keras.mixed_precision.global_policy().name == "float32"


def test_the_command_ends_with_2_and_one_line_after_a_mistake():
    done = run([sys.executable, "-m", "ssrvae_tf.fit", "--stage", "style", "--epochz", "3"])
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == "error: --epochz: no such option: did you mean epochs?\n"
