"""The ways of harming a photo against slow definitions, and the figures on enlargers whose answer is known."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
from PIL import Image

from ssrvae_tf.metrics.grid import UNUSUAL, USUAL, grid, harmed
from ssrvae_tf.metrics.image_quality import EQUAL, Convention


def a_photo(height=64, width=96, seed=0):
    rng = np.random.default_rng(seed)
    small = rng.integers(40, 216, (height // 8, width // 8, 3), np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.BICUBIC))


def enlarge(lr):
    return np.asarray(Image.fromarray(lr).resize((4 * lr.shape[1], 4 * lr.shape[0]), Image.BICUBIC))


def shrink(hr):
    return np.asarray(Image.fromarray(hr).resize((hr.shape[1] // 4, hr.shape[0] // 4), Image.BICUBIC))


@pytest.mark.parametrize("way", [*USUAL, *UNUSUAL])
def test_each_way_gives_a_small_photo_of_its_own_and_the_same_again(way):
    lr = harmed(a_photo(), way, 4)
    assert lr.shape == (16, 24, 3) and lr.dtype == np.uint8
    np.testing.assert_array_equal(lr, harmed(a_photo(), way, 4))
    assert (way == "clean") == np.array_equal(lr, shrink(a_photo()))


def test_blur_is_gaussian_in_pixels_of_the_small_photo():
    hr = np.zeros((65, 129, 3), np.uint8)
    hr[:, 64:] = 200
    edge = harmed(np.pad(hr, ((0, 3), (0, 3), (0, 0)), "edge"), "blur 2", 4)[8, :, 0] / 200.0
    spread = np.sqrt(
        np.sum(np.diff(edge) * (np.arange(len(edge) - 1) - np.sum(np.diff(edge) * np.arange(len(edge) - 1))) ** 2)
    )
    assert spread == pytest.approx(2, abs=0.12)


def test_noise_has_its_strength_and_follows_the_seed():
    gray = np.full((256, 256, 3), 128, np.uint8)
    first, other = (harmed(gray, "noise 10", 4, seed) for seed in (0, 1))
    assert first.std() == pytest.approx(10, rel=0.05) and first.mean() == pytest.approx(128, abs=0.5)
    assert (first != other).mean() > 0.9
    assert harmed(gray, "coarse noise 6", 4).std() == pytest.approx(6, rel=0.05)


def test_jpeg_is_pillows_and_follows_the_rest():
    hr = a_photo()
    file = io.BytesIO()
    Image.fromarray(shrink(hr)).save(file, "JPEG", quality=35)
    np.testing.assert_array_equal(harmed(hr, "JPEG 35", 4), np.asarray(Image.open(file)))
    all_three = harmed(hr, "blur 1, noise 3, JPEG 50", 4).astype(int)
    assert np.abs(all_three - harmed(hr, "blur 1", 4)).mean() > 1


def photos():
    return {"one": {"a.png": a_photo(), "b.png": a_photo(seed=1)}, "other": {"c.png": a_photo(48, 48, seed=2)}}


def test_bicubic_gains_nothing_over_itself_and_shifts_nothing():
    found = grid(enlarge, photos(), 4)
    assert len(found.cells) == 18 and list(found.cells)[:2] == [("one", "clean"), ("one", "blur 0.5")]
    for each in found.cells.values():
        assert each["gain"] == 0 and each["worst"] == 0 and each["shift"] == (0, 0, 0)
    assert found.gray == (128, 128, 128) and found.below == [] and found.means == {"one": 0, "other": 0}


def test_a_photo_that_bicubic_meets_exactly_leaves_the_gains_finite():
    framed = np.full((64, 64, 3), 200, np.uint8)
    framed[:2] = 0
    convention = Convention(border=12)
    found = grid(lambda lr: enlarge(lr) + np.uint8(1), {"one": {"a.png": framed}}, 4, ("clean",), 0, convention)
    assert found.cells["one", "clean"]["gain"] == pytest.approx(20 * np.log10(255) - EQUAL)


def test_an_enlarger_that_reddens_is_found_out():
    found = grid(lambda lr: np.minimum(enlarge(lr).astype(int) + (3, 0, 0), 255).astype(np.uint8), photos(), 4)
    assert found.gray == (131, 128, 128) and len(found.below) >= 16
    np.testing.assert_allclose([each["shift"] for each in found.cells.values()], [(3, 0, 0)] * 18, atol=0.2)


def test_the_worst_photo_is_named_first_and_shown():
    calls = []

    def failing_once(lr):
        calls.append(1)
        return enlarge(lr) if len(calls) != 6 else 255 - enlarge(lr)  # set one, blur 1, b.png

    found = grid(failing_once, photos(), 4, ("clean", "blur 0.5", "blur 1"))
    what, (lr, plain, result, truth) = found.worst[0]
    assert "one, blur 1, b.png" in what and what.startswith("-")
    np.testing.assert_array_equal(result, 255 - plain)
    np.testing.assert_array_equal(truth, a_photo(seed=1))
    assert found.cells["one", "blur 1"]["photo"] == "b.png" and found.below == [("one", "blur 1")]
    assert found.cells["one", "blur 1"]["gain"] == pytest.approx(found.cells["one", "blur 1"]["worst"] / 2)


def test_means_are_of_the_usual_ways_alone():
    found = grid(lambda lr: np.roll(enlarge(lr), 1, 0), photos(), 4, ("clean", "aliased"))
    assert found.means["one"] == found.cells["one", "clean"]["gain"]


def test_names_in_no_encoding_are_written(tmp_path):
    (photo, *_) = photos()["one"].values()
    grid(enlarge, {"one": {"\udcff.png": photo}}, 4, ("clean",)).write(tmp_path)
    assert all("\\udcff.png" in (tmp_path / f"grid.{kind}").read_text() for kind in ("md", "csv", "json"))


def test_names_with_a_pipe_stay_in_their_cells():
    (photo, *_) = photos()["one"].values()
    found = grid(enlarge, {"a|b": {"left|right.png": photo}}, 4, ("clean",))
    row = found.table().splitlines()[2]
    assert row.startswith(r"| a\|b | clean |") and r", left\|right.png | " in row and row.count(" | ") == 4


def test_it_is_written_as_tables_and_pictures(tmp_path):
    found = grid(lambda lr: np.roll(enlarge(lr), 1, 0), photos(), 4, ("clean", "noise 10"))
    found.settings = {"model": "rolled"}
    found.write(tmp_path / "new" / "grid")
    assert sorted(path.name for path in (tmp_path / "new" / "grid").iterdir()) == [
        "grid.csv",
        "grid.json",
        "grid.md",
        "grid.png",
        "worst.png",
    ]
    rows = list(csv.DictReader((tmp_path / "new" / "grid" / "grid.csv").open()))
    content = json.loads((tmp_path / "new" / "grid" / "grid.json").read_text())
    assert len(rows) == len(content["rows"]) == 4 and content["settings"] == {"model": "rolled"}
    assert (
        float(rows[0]["gain_db"])
        == found.cells["one", "clean"]["gain"]
        == content["means"]["one"] * 2 - float(rows[1]["gain_db"])
    )
    lines = (tmp_path / "new" / "grid" / "grid.md").read_text().splitlines()
    assert len({line.count("|") for line in lines[:6]}) == 1 and lines[-1].startswith("4 of 4 rows below bicubic")
    heat = Image.open(tmp_path / "new" / "grid" / "grid.png")
    assert heat.width > 200 and len(heat.convert("RGB").getcolors(1 << 20)) > 20
