"""Command line in, figures out. `load` is replaced: what it does is tested elsewhere."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import types

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from ssrvae_tf.config import FitConfig
from ssrvae_tf.errors import UserError
from ssrvae_tf.evaluate import main
from ssrvae_tf.loading import places


class Network:
    scale, name = 4, "network"

    def predict(self, batch, verbose="auto"):
        return batch.repeat(4, 1).repeat(4, 2)


class Style:
    scale, lr_size, name = 4, 16, "style"

    def __init__(self):
        self.styles = []

    def degrade(self, hr, style=None, seed=None):
        self.styles.append(style)
        return np.asarray(hr)[:, ::4, ::4]


class Colour(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.float32, name="images")])
    def features(self, images):
        return {"features": tf.reduce_mean(images, (1, 2))}


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    module, path = Colour(), tmp_path_factory.mktemp("features") / "colour"
    tf.saved_model.save(module, str(path), {"serving_default": module.features})
    return str(path)


@pytest.fixture
def models(monkeypatch):
    known = {"faces-x4": Network(), "runs/sr": Network(), "runs/style": Style()}

    def load(model):
        name = os.fspath(model)
        if name not in known:
            raise UserError(f"no model {name}")
        return known[name]

    monkeypatch.setitem(sys.modules, "ssrvae_tf.loading.models", types.SimpleNamespace(load=load))
    return known


def test_the_command_prints_an_aligned_table_and_writes_json(models, photo_folder, tmp_path, capsys):
    out = tmp_path / "figures.json"
    main(["--model", "runs/sr", "--hr", str(photo_folder), "--limit", "3", "--crop", "64", "--out", str(out)])
    title, *rows, wrote = capsys.readouterr().out.strip("\n").split("\n")
    assert "3 HR photos, x4, degraded by bicubic" in title
    assert wrote == f"wrote {out} and {out.with_suffix('.png')}" and Image.open(out.with_suffix(".png")).height > 700
    assert len(rows) == 3 and len({len(row) for row in rows}) == 1
    written = json.loads(out.read_text())
    assert written["rows"]["sr"]["PSNR dB gain"] < 0
    assert written["settings"]["limit"] == 3


@pytest.mark.parametrize("mode", [["--crop", "64"], ["--grid", "--side", "48"]])
def test_the_figures_of_a_blend_say_its_detail(models, photo_folder, tmp_path, mode):
    options = ["--detail", "0.25", "--detailed", "runs/crisp", "--out", str(tmp_path / "out")]
    main(["--model", "faces-x4", *options, "--hr", str(photo_folder), "--limit", "1", *mode])
    written = tmp_path / "out" / "grid.json" if "--grid" in mode else tmp_path / "out"
    assert json.loads(written.read_text())["settings"]["model"] == "faces-x4 at detail 0.25"
    with pytest.raises(UserError, match="--detail 1.0: faces-x4-clean has one set of weights only"):
        main(["--model", "faces-x4-clean", "--detail", "1", "--hr", str(photo_folder)])


def test_pairs_may_be_made_by_a_style_vae_with_real_styles(models, photo_folder, small_folder, capsys):
    command = ["--model", "faces-x4", "--hr", str(photo_folder), "--crop", "64", "--degrade", "runs/style"]
    main([*command, "--style", str(small_folder)])
    assert "degraded by style, given styles" in capsys.readouterr().out
    assert models["runs/style"].styles[0].shape == (12, 16, 16, 3)
    main(command)
    assert models["runs/style"].styles[-1] is None


def test_without_a_crop_styles_have_the_size_that_the_style_vae_knows(models, photo_folder, small_folder):
    places = ["--hr", str(photo_folder), "--style", str(small_folder), "--limit", "1"]
    main(["--model", "faces-x4", "--degrade", "runs/style", *places])
    assert models["runs/style"].styles[0].shape == (1, 16, 16, 3)


def test_the_help_needs_no_tensorflow():
    code = """
import sys
from ssrvae_tf.evaluate import main
try:
    main(["--help"])
finally:
    assert "tensorflow" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--features PATH" in done.stdout


def test_real_photos_are_measured_under_the_feature_models_name(models, photo_folder, small_folder, features, capsys):
    main(["--model", "faces-x4", "--hr", str(photo_folder), "--lr", str(small_folder), "--features", features])
    said = capsys.readouterr().out
    assert "FD(colour)" in said and "KD(colour)" in said and "FID" not in said
    assert "6 real LR photos" in said and "12 HR photos" in said


def test_distances_on_several_networks_stand_beside_known_truth(
    models, photo_folder, small_folder, features, tmp_path, capsys
):
    other, out = str(shutil.copytree(features, tmp_path / "hue")), tmp_path / "figures.json"
    places = ["--hr", str(photo_folder), "--lr", str(small_folder), "--features", features, other, "--out", str(out)]
    main(["--model", "runs/sr", *places, "--channels", "luma", "--border", "4", "--rounded"])
    title, head, *rows, _ = capsys.readouterr().out.strip("\n").split("\n")
    assert "95 % intervals of 200 resamples" in title and "luma, border 4 cut, 8 bit" in title
    assert head.split() == ["plain", "bicubic", "sr"]  # too wide otherwise
    assert [row.split()[0] for row in rows[:8]] == ["FD(colour)"] * 3 + ["KD(colour)"] + ["FD(hue)"] * 3 + ["KD(hue)"]
    written = json.loads(out.read_text())
    figures, (low, high) = written["rows"]["sr"], written["intervals"]["sr"]["FD(hue)"]
    assert low <= figures["FD(hue)"] <= high and figures["FD(hue)"] == figures["FD(colour)"]
    assert figures["PSNR dB gain"] < 0 and written["settings"]["channels"] == "luma"
    assert written["intervals"]["sr"]["FD(hue) difference"][0] < figures["FD(hue) difference"]
    assert Image.open(tmp_path / "figures.png").height > 14 * 256  # 6 small photos, 8 pairs
    with pytest.raises(UserError, match="a second network of that name"):
        main(["--model", "faces-x4", *places[:4], "--features", features, "--features", features])


def test_identity_and_faces_stand_beside_psnr(models, photo_folder, small_folder, features, monkeypatch, capsys):
    found = types.SimpleNamespace(find_faces=lambda photo: [types.SimpleNamespace(box=(10, 10, 90, 90))])
    monkeypatch.setitem(sys.modules, "ssrvae_tf.faces", found)
    command = ["--model", "runs/sr", "--hr", str(photo_folder), "--limit", "2", "--find-faces"]
    main([*command, "--crop", "64", "--identity", features])
    said = capsys.readouterr().out
    assert " identity  identity gain  faces found  faces found gain " in said and "2 faces in them" in said
    main([*command, "--lr", str(small_folder), "--features", features, "--resamples", "0"])
    assert "with a face" in capsys.readouterr().out


def test_intervals_can_be_left_out(models, photo_folder, small_folder, features, capsys):
    places = ["--hr", str(photo_folder), "--lr", str(small_folder), "--features", features]
    main(["--model", "faces-x4", *places, "--resamples", "0"])
    assert "[" not in capsys.readouterr().out


@pytest.mark.parametrize("taught", [{"colour", "hue"}, {"another"}])
def test_the_networks_that_taught_a_model_are_named(
    models, photo_folder, small_folder, features, tmp_path, monkeypatch, capsys, taught
):
    other = str(shutil.copytree(features, tmp_path / "hue"))
    monkeypatch.setattr(places, "taught_by", lambda model: taught)
    folders = ["--hr", str(photo_folder), "--lr", str(small_folder), "--limit", "2", "--features", features, other]
    main(["--model", "faces-x4", *folders, "--resamples", "0"])
    said = capsys.readouterr().out
    wanted = " and ".join(sorted(taught))
    assert (f"trained on {wanted}, whose distances decide nothing" in said) == (taught != {"another"})


def test_what_cannot_be_read_is_told_once(models, photo_folder, small_folder, features, tmp_path, capsys):
    hr = shutil.copytree(photo_folder, tmp_path / "hr")
    (hr / "a.cr2").touch()
    main(["--model", "faces-x4", "--hr", str(hr), "--lr", str(small_folder), "--features", features, "--limit", "2"])
    assert capsys.readouterr().err.count("a.cr2") == 1


def test_a_style_vae_is_measured_against_real_small_photos(models, photo_folder, small_folder, features, capsys):
    places = ["--hr", str(photo_folder), "--lr", str(small_folder), "--style", str(small_folder)]
    main(["--model", "runs/style", *places, "--features", features])
    said = capsys.readouterr().out
    rows = [line.split("  ")[0] for line in said.strip("\n").split("\n")[2:]]
    assert rows == ["bicubic", "classical", "style, real styles", "style, its own styles"]


@pytest.mark.parametrize(
    "options, complaint",
    [
        (["--model", "runs/style"], "give real small photos by --lr"),
        (["--model", "faces-x4", "--style", "small"], "only a StyleVAE takes styles"),
        (["--model", "faces-x4", "--degrade", "faces-x4"], "not a StyleVAE"),
        (["--model", "runs/style", "--degrade", "classical", "--lr", "small"], "pairs are for SR networks"),
        (["--model", "runs/style", "--lr", "small", "--identity", "FEATURES"], "identity and faces are of SR networks"),
        (["--model", "faces-x4", "--identity", "nowhere"], "--identity nowhere: no SavedModel there"),
        (["--model", "faces-x4", "--identity-range", "unit"], "--identity-range unit: .* add --identity PATH"),
        (["--model", "faces-x4", "--grid", "--find-faces"], "--find-faces: not for --grid"),
        (["--model", "faces-x4", "--resamples", "1"], "--resamples 1: no interval"),
        (["--model", "faces-x4", "--crop", "16", "--border", "4"], "leaves 16 pixels at scale 4, 19 are needed"),
        (["--model", "faces-x4", "--crop", "8"], "leaves 8 pixels"),
        (["--model", "faces-x4", "--lr", "small", "--features", "nowhere"], "no SavedModel"),
        (["--model", "faces-x4", "--features", "nowhere"], "--features nowhere: .* add --lr DIR"),
        (["--model", "faces-x4", "--framing", "centre"], "--framing centre: .* add --crop N"),
        (["--model", "faces-x4", "--out", "."], "a file for figures is wanted"),
        (["--model", "faces-x4", "--out", "/dev/null"], "--out /dev/null: a device or a pipe"),
        (["--model", "faces-x4", "--out", "sheet.png"], "a file for figures is wanted"),
        (["--model", "faces-x4", "--out", "/proc/no/figures.json"], "cannot be written"),
        (["--model", "faces-x4", "--grid", "--crop", "64"], "--crop: not for --grid"),
        (["--model", "faces-x4", "--unusual"], "--unusual: only for --grid"),
        (["--model", "faces-x4", "--side", "99"], "--side: only for --grid"),
        (["--model", "faces-x4", "--hr", "other"], "several folders are for --grid"),
        (["--model", "runs/style", "--grid"], "is a StyleVAE"),
        (["--model", "faces-x4", "--grid", "--side", "3"], "--side 3: at least 11"),
    ],
)
def test_what_does_not_go_together_is_refused_in_one_line(models, photo_folder, features, options, complaint):
    options = [features if each == "FEATURES" else each for each in options]
    with pytest.raises(UserError, match=complaint) as caught:
        main([*options, "--hr", str(photo_folder)])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "options, complaint",
    [
        (["--limit", "0"], "--limit 0: it must be a whole number, at least 1"),
        (["--crop", "big"], "--crop big: it must be a whole number, at least 1"),
        (["--limi", "3"], "--limi: no such option: did you mean limit?"),
        (["--seed", "-1"], "--seed -1: it must be a whole number, at least 0"),
    ],
)
def test_ill_typed_and_unknown_options_are_refused(models, photo_folder, options, complaint):
    with pytest.raises(UserError, match=complaint) as caught:
        main(["--model", "faces-x4", "--hr", str(photo_folder), *options])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("grid", [[], ["--grid"]])
def test_an_out_among_the_photos_is_refused(models, photo_folder, grid):
    with pytest.raises(UserError, match=f"lies in --hr {photo_folder}, whose photos its pictures would be among"):
        main(["--model", "faces-x4", "--hr", str(photo_folder), "--out", f"{photo_folder}/more/figures", *grid])


def test_an_out_that_cannot_be_written_is_refused_before_anything_is_loaded(models, photo_folder, monkeypatch):
    def load(name):
        raise AssertionError("too late")

    monkeypatch.setitem(sys.modules, "ssrvae_tf.loading.models", types.SimpleNamespace(load=load))
    with pytest.raises(UserError, match="--out /proc/no/grid: cannot be written"):
        main(["--model", "faces-x4", "--grid", "--hr", str(photo_folder), "--out", "/proc/no/grid"])


def test_the_grid_takes_named_folders_and_leaves_tables_and_pictures(
    models, photo_folder, small_folder, tmp_path, capsys
):
    command = [
        "--model",
        "faces-x4",
        "--grid",
        "--limit",
        "2",
        "--side",
        "48",
        "--unusual",
        "--out",
        str(tmp_path / "g"),
    ]
    main([*command, "--hr", f"photos={photo_folder}", "--hr", str(small_folder)])
    said = capsys.readouterr().out
    assert "| photos | clean |" in said and "| small | JPEG 35 |" in said and "| small | dust |" in said
    assert "of 32 rows below bicubic" in said
    assert sorted(path.name for path in (tmp_path / "g").iterdir()) == [
        "grid.csv",
        "grid.json",
        "grid.md",
        "grid.png",
        "worst.png",
    ]
    with pytest.raises(UserError, match="two sets of one name"):
        main([*command, "--hr", str(photo_folder), "--hr", str(photo_folder)])


def test_photos_are_framed_as_the_model_was_trained(models, photo_folder, monkeypatch, capsys):
    command = ["--model", "faces-x4", "--hr", str(photo_folder), "--limit", "1", "--crop", "64"]
    main(command)
    main([*command, "--framing", "centre"])
    monkeypatch.setattr(places, "settings", lambda name: FitConfig(crop="random"))
    main(command)
    main([*command, "--framing", "fit"])
    titles = [line for line in capsys.readouterr().out.splitlines() if "HR photos" in line]
    ends = ["shrunk to 64", "centres of 64 at full size", "centres of 64 at full size", "shrunk to 64"]
    assert [title.endswith(end) for title, end in zip(titles, ends)] == [True] * 4


def test_swapped_folders_are_noticed(models, photo_folder, small_folder, features):
    with pytest.raises(UserError, match="photos of --hr are smaller .* than those of --lr .*: exchange the two"):
        main(["--model", "faces-x4", "--hr", str(small_folder), "--lr", str(photo_folder), "--features", features])
