"""Folders in, figures out."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from ssrvae_tf.data import PhotoSet
from ssrvae_tf.errors import UserError
from ssrvae_tf.metrics import folders
from ssrvae_tf.metrics.folders import evaluate, evaluate_grid, read_hr, read_small, read_whole
from ssrvae_tf.metrics.image_quality import Convention
from ssrvae_tf.photos.files import read_photo


class Model:
    scale, lr_size, name = 4, 16, "model"

    def predict(self, batch, verbose="auto"):
        return batch.repeat(4, 1).repeat(4, 2)


class Style(Model):
    scale = 2

    def degrade(self, hr, style=None, seed=None):
        return np.asarray(hr)[:, ::2, ::2]


def test_whole_photos_are_cut_to_a_multiple_of_the_scale(photo_folder):
    photos = list(read_hr(photo_folder, None, 8))
    assert len(photos) == 12
    assert all(side % 8 == 0 and side >= 160 for photo in photos for side in photo.shape[:2])


def test_a_centre_is_at_full_size(tmp_path):
    photo = np.random.default_rng(0).integers(0, 256, (30, 21, 3), np.uint8)
    Image.fromarray(photo).save(tmp_path / "a.png")
    (crop,) = read_hr(tmp_path, 16, 4, framing="centre")
    np.testing.assert_array_equal(crop, photo[7:23, 2:18])


def test_a_large_face_stays_whole_as_in_training(tmp_path):
    photo = np.zeros((120, 96, 3), np.uint8)
    photo[12:108] = 200  # the middle of 96 x 96, with an eye in each corner and a nose
    photo[60, 48] = 201
    for top, left in ((12, 0), (12, 88), (100, 0), (100, 88)):
        photo[top : top + 8, left : left + 8] = 50
    Image.fromarray(photo).save(tmp_path / "a.png")
    (whole,) = read_hr(tmp_path, 24, 4)
    assert whole.shape == (24, 24, 3)
    assert max(int(whole[y, x].max()) for y in (0, 23) for x in (0, 23)) < 90 and whole.min(axis=(0, 1)).max() < 90
    (centre,) = read_hr(tmp_path, 24, 4, framing="centre")
    assert centre.min() == 200
    training = PhotoSet.load(tmp_path, 24, "fit").photo(0)
    np.testing.assert_allclose(whole, training[3:27], atol=2)


@pytest.mark.parametrize(
    "given, title",
    [
        ({}, "degraded by bicubic, PSNR and SSIM of RGB, no border cut, float"),
        ({"crop": 64}, "shrunk to 64"),
        ({"crop": 64, "framing": "centre"}, "at full size"),
    ],
)
def test_the_title_says_how_photos_were_framed(photo_folder, given, title):
    assert evaluate(Model(), photo_folder, limit=1, **given).title.endswith(title)


def test_a_border_is_measured_against_the_photos_where_these_are_whole(photo_folder):
    wide = Convention(border=60)
    assert len(evaluate(Model(), photo_folder, limit=1, convention=wide).rows) == 2
    with pytest.raises(UserError, match="--crop 128: leaves 128 pixels at scale 4, 131 are needed"):
        evaluate(Model(), photo_folder, crop=128, convention=wide)


def test_photos_of_one_colour_tell_nothing(photo_folder, tmp_path, capsys):
    Image.new("RGB", (40, 40), "white").save(tmp_path / "blank.png")
    Image.open(photo_folder / "01.png").crop((0, 0, 40, 40)).save(tmp_path / "face.png")
    for read in (read_hr(tmp_path, None, 4), read_hr(tmp_path, 24, 4), read_whole(tmp_path, 32, 4)):
        assert len(list(read)) == 1 and read.names == ["face.png"]
        assert "blank.png: " in (said := capsys.readouterr().err) and "of one colour: nothing can be told" in said


def test_whole_photos_are_shrunk_to_a_longest_side_and_keep_their_names(photo_folder):
    photos = dict(read_whole(photo_folder, 100, 8).items())
    assert len(photos) == 12 and "more/10.png" in photos
    assert {max(photo.shape) for photo in photos.values()} == {96}
    assert all(side % 8 == 0 for photo in photos.values() for side in photo.shape[:2])


def test_a_grid_holds_one_photo_at_a_time_and_tells_what_is_of_no_use_at_once(photo_folder, tmp_path, monkeypatch):
    done = []
    monkeypatch.setattr(folders, "read_photo", lambda path: done.append("read") or read_photo(path))

    def enlarge(lr):
        done.append("enlarged")
        return lr.repeat(4, 0).repeat(4, 1)

    evaluate_grid(enlarge, 4, {"own": photo_folder}, side=48, limit=3)
    each = ["read", *["enlarged"] * 9]
    assert done == ["read", *each * 3, "enlarged"]  # a look at the first one, the photos, an even gray
    Image.new("RGB", (8, 8)).save(tmp_path / "tiny.png")
    done.clear()
    with pytest.raises(UserError, match="0 usable photos"):
        evaluate_grid(enlarge, 4, {"own": photo_folder, "tiny": tmp_path}, side=48, limit=3)
    assert "enlarged" not in done


def test_small_photos_become_squares_of_one_size(small_folder):
    assert {photo.shape for photo in read_small(small_folder, 32, "--lr")} == {(32, 32, 3)}


def test_a_limit_draws_by_the_seed(photo_folder):
    first, again, other = (list(read_hr(photo_folder, 128, 4, limit=3, seed=seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert len(first) == 3 and not np.array_equal(first, other)


def test_unusable_photos_are_named_and_do_not_count(small_folder, capsys):
    (small_folder / "broken.png").write_bytes(b"no picture")
    photos = list(read_hr(small_folder, 28, 4, limit=7))
    assert len(photos) == 2  # the two of 28x36 and 30x40
    said = capsys.readouterr().err
    assert "--hr" in said and "skipped 5 files" in said and str(small_folder) in said


def test_too_few_usable_photos_are_an_error(small_folder):
    with pytest.raises(UserError, match="0 usable photos"):
        list(read_hr(small_folder, 128, 4))


def test_scales_that_differ_are_refused(photo_folder):
    with pytest.raises(UserError, match="give equal scales"):
        evaluate(Model(), photo_folder, degrade=Style())
