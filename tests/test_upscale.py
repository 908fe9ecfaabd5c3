"""The command line. `load` is replaced: what it does is tested elsewhere."""

from __future__ import annotations

import os
import sys
import types

import numpy as np
import pytest
from PIL import Image, ImageCms
from stub_models import BicubicNetwork

from ssrvae_tf.errors import UserError, exit_cleanly
from ssrvae_tf.photos import sample_photos
from ssrvae_tf.upscale import main, upscale_file


@pytest.fixture(autouse=True)
def models(monkeypatch):
    known = {"faces-x4": BicubicNetwork(), "runs/x2": BicubicNetwork(scale=2)}

    def load(name):
        if name not in known:
            raise UserError(f"no model {name}")
        return known[name]

    monkeypatch.setitem(sys.modules, "ssrvae_tf.loading", types.SimpleNamespace(load=load))


@pytest.fixture
def photo(tmp_path):
    """face.png, 20 wide, 30 high."""
    path = tmp_path / "face.png"
    Image.open(sample_photos()[0]).crop((170, 60, 290, 240)).resize((20, 30)).save(path, icc_profile=None)
    return path


def run(*arguments) -> int:
    with pytest.raises(SystemExit) as exit:
        exit_cleanly(lambda: main([str(argument) for argument in arguments]))
    return exit.value.code or 0


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_result_lies_beside_the_photo_and_nothing_else_does(photo, capsys):
    assert run(photo) == 0
    assert names(photo.parent) == ["face.png", "face_x4.png"]
    assert Image.open(photo.parent / "face_x4.png").size == (80, 120)
    assert capsys.readouterr().out.strip() == str(photo.parent / "face_x4.png")


def test_the_default_name_says_the_models_scale(photo):
    assert upscale_file(photo, "runs/x2").name == "face_x2.png"


def test_out_chooses_place_and_format(photo, tmp_path):
    out = tmp_path / "results" / "big.jpg"
    out.parent.mkdir()
    assert run(photo, "--model", "runs/x2", "--out", out) == 0
    picture = Image.open(out)
    assert (picture.format, picture.size) == ("JPEG", (40, 60))


@pytest.mark.parametrize(
    "mode, name, wanted",
    [
        ("L", "a.png", "L"),
        ("I;16", "a.png", "L"),
        ("RGBA", "a.png", "RGBA"),
        ("LA", "a.png", "RGBA"),
        ("CMYK", "a.jpg", "RGB"),
        ("RGB", "a.WEBP", "RGB"),
        ("P", "a.gif", "RGB"),
        ("RGB", "a.ppm", "RGB"),
    ],
)
def test_kinds_of_photos(tmp_path, mode, name, wanted):
    if mode == "I;16":
        Image.fromarray(np.full((5, 6), 30000, np.uint16)).save(tmp_path / name)
    else:
        Image.new("RGB", (6, 5), (200, 60, 10)).convert(mode).save(tmp_path / name)
    result = upscale_file(tmp_path / name)
    assert result.suffix == (".png" if name in ("a.gif", "a.ppm") else os.path.splitext(name)[1])
    picture = Image.open(result)
    assert (picture.mode, picture.size) == (wanted, (24, 20))
    if mode == "I;16":
        assert abs(int(np.asarray(picture).mean()) - 117) <= 1


def test_a_transparent_photo_becomes_white_in_a_jpeg(tmp_path):
    Image.new("RGBA", (5, 5), (200, 0, 0, 0)).save(tmp_path / "a.png")
    result = upscale_file(tmp_path / "a.png", out=tmp_path / "b.jpg")
    assert np.asarray(Image.open(result)).min() > 250


def test_a_photo_is_turned_upright(photo):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(photo).save(photo.with_name("turned.jpg"), exif=exif)
    result = Image.open(upscale_file(photo.with_name("turned.jpg")))
    assert result.size == (120, 80)
    assert result.getexif().get(0x0112, 1) == 1


def test_the_colour_profile_is_kept(photo):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.open(photo).save(photo.with_name("p.png"), icc_profile=profile)
    assert Image.open(upscale_file(photo.with_name("p.png"))).info["icc_profile"] == profile


def test_a_large_photo_is_announced(tmp_path, capsys):
    Image.new("RGB", (600, 450)).save(tmp_path / "large.png")
    upscale_file(tmp_path / "large.png")
    assert "600x450" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["missing.png"], "missing.png: no such file"),
        (["."], "a folder"),
        (["text.png"], "text.png: cannot be read"),
        (["face.png", "--model", "faces-x5"], "faces-x5"),
        (["face.png", "--out", "nowhere/a.png"], "no folder nowhere"),
        (["face.png", "--out", "."], "a file is wanted"),
        (["face.png", "--out", "a.xyz"], "cannot write .xyz"),
        (["face.png", "--out", "a"], "without a suffix"),
        (["face.png", "--out", "face.png"], "the photo itself"),
    ],
)
def test_a_users_mistake_is_one_line(photo, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(photo.parent)
    (photo.parent / "text.png").write_text("hello")
    before = names(photo.parent)
    assert run(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ") and captured.err.count("\n") == 1
    assert words in captured.err
    assert names(photo.parent) == before


@pytest.mark.parametrize("out", [[], ["--out", "other.png"]])
def test_a_folder_without_permission(photo, monkeypatch, capsys, out):
    monkeypatch.chdir(photo.parent)
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # as root no folder is without
    assert run(photo, *out) == 2
    assert "no permission" in capsys.readouterr().err
    assert names(photo.parent) == ["face.png"]


def test_a_failed_write_leaves_the_old_file(photo, monkeypatch):
    old = photo.with_name("face_x4.png")
    old.write_text("old")

    def full(self, file, *rest, **options):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(UserError, match="No space left"):
        upscale_file(photo)
    assert old.read_text() == "old"
    assert names(photo.parent) == ["face.png", "face_x4.png"]
