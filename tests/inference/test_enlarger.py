from __future__ import annotations

import os
import sys

import numpy as np
import pytest
from PIL import Image
from stub_models import BicubicNetwork, BoxStyle

from ssrvae_tf import load
from ssrvae_tf.errors import UserError
from ssrvae_tf.inference.enlarger import bicubic as enlarged
from ssrvae_tf.inference.enlarger import upscale
from ssrvae_tf.loading.places import Blend
from ssrvae_tf.photos.samples import sample_photos


@pytest.fixture
def photo():
    """(31, 22, 3) uint8 in 64..191: Pillow clips uint8 after each of a resize's two passes, which floats do not see."""
    return np.asarray(Image.open(sample_photos()[0]).crop((170, 60, 302, 246)).resize((22, 31))) // 2 + 64


def bicubic(pixels):
    """Enlarged with 4 pixels of mirror image around, as all photos are."""
    pixels = np.pad(pixels, [(4, 4), (4, 4), (0, 0)][: pixels.ndim], "symmetric")
    large = Image.fromarray(pixels).resize((pixels.shape[1] * 4, pixels.shape[0] * 4), Image.BICUBIC)
    return np.asarray(large)[16:-16, 16:-16]


def bordered(photo):
    """As `bicubic`, of floats."""
    padded = np.pad(photo, [(4, 4), (4, 4), (0, 0)], "symmetric")
    return np.clip(enlarged(padded[None], 4)[0], 0, 1)[16:-16, 16:-16]


def test_uint8_in_uint8_out(photo):
    result = upscale(photo, BicubicNetwork())
    assert result.dtype == np.uint8
    np.testing.assert_allclose(result.astype(int), bicubic(photo), atol=1)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_floats_in_the_same_floats_out(photo, dtype):
    result = upscale((photo / 255).astype(dtype), BicubicNetwork())
    assert result.dtype == dtype
    np.testing.assert_allclose(result, bicubic(photo) / 255, atol=1.5 / 255)


@pytest.mark.parametrize("shape", [(9, 7), (9, 7, 1)])
def test_gray_in_gray_out(shape):
    gray = np.random.default_rng(0).integers(64, 192, shape, np.uint8)
    result = upscale(gray, BicubicNetwork())
    assert result.shape == (36, 28) + shape[2:]
    np.testing.assert_allclose(result.reshape(36, 28).astype(int), bicubic(gray.reshape(9, 7)), atol=1)


def test_sixteen_bits_stay_sixteen_bits(photo):
    fine = photo.astype(np.uint16) * 257 + 100
    result = upscale(fine, BicubicNetwork())
    assert result.dtype == np.uint16
    exact = 65535 * bordered((fine / 65535).astype(np.float32))
    np.testing.assert_allclose(result, exact, atol=1)


def test_alpha_is_enlarged_and_colour_is_not_touched_by_it(photo):
    alpha = np.tile(np.linspace(1, 255, 22).astype(np.uint8), (31, 1))
    result = upscale(np.dstack([photo, alpha]), BicubicNetwork())
    np.testing.assert_array_equal(result[..., :3], upscale(photo, BicubicNetwork()))
    np.testing.assert_allclose(result[..., 3].astype(int), bicubic(alpha), atol=1)


def test_colours_under_what_is_fully_transparent_do_not_bleed(photo):
    alpha = np.full((31, 22), 255, np.uint8)
    alpha[:, 11:] = 0
    hidden = photo.copy()
    hidden[:, 11:] = [255, 0, 255]
    result = upscale(np.dstack([hidden, alpha]), BicubicNetwork())
    extended = photo.copy()
    extended[:, 11:] = photo[:, 10:11]
    np.testing.assert_array_equal(result[..., :3], upscale(extended, BicubicNetwork()))


def test_gray_with_alpha_in_the_same_out(photo):
    pair = photo[..., :2].copy()
    result = upscale(pair, BicubicNetwork())
    assert result.shape == (124, 88, 2)
    np.testing.assert_array_equal(result[..., 0], upscale(pair[..., 0], BicubicNetwork()))


def test_a_batch_is_its_photos(photo):
    batch = np.stack([photo, photo[::-1]])
    result = upscale(batch, BicubicNetwork())
    np.testing.assert_array_equal(result[1], upscale(photo[::-1], BicubicNetwork()))


def test_strength_blends_with_bicubic(photo):
    values = photo / 255
    ours, plain, half = (upscale(values, BicubicNetwork(shift=0.1), strength=s) for s in (1, 0, 0.5))
    np.testing.assert_allclose(ours - plain, 0.1, atol=1e-5)
    np.testing.assert_allclose(half, (ours + plain) / 2, atol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (97, 130), (260, 41)])
@pytest.mark.parametrize("settings", [{}, {"tile": 32, "overlap": 8}, {"tile": 16, "overlap": 40, "batch": 3}])
def test_tiles_make_no_difference_to_a_network_that_sees_little(size, settings):
    photo = np.random.default_rng(0).random((*size, 3), np.float32)
    wanted = bordered(photo)
    result = upscale(photo, BicubicNetwork(), **settings)
    # Pillow's bicubic sees two pixels; at the edge of a tile the weight of what differs is small.
    assert np.abs(result - wanted).max() < 0.02


def test_all_tiles_of_a_photo_have_one_shape_and_none_is_larger_than_asked_for():
    network = BicubicNetwork()
    upscale(np.zeros((150, 333, 3), np.uint8), network, tile=64, overlap=16, batch=2)
    (shape,) = {batch.shape for batch in network.batches}
    assert shape[0] == 2 and max(shape[1:3]) <= 64


def test_progress_counts_rows_to_the_end():
    calls = []
    upscale(np.zeros((2, 100, 120, 3), np.uint8), BicubicNetwork(), tile=48, progress=lambda *call: calls.append(call))
    assert calls[-1] == (800, 800) and calls == sorted(calls) and len(calls) > 4


class LimitedNetwork(BicubicNetwork):
    """Runs out of memory on tiles above a size."""

    def __init__(self, most: int):
        super().__init__()
        self.most = most

    def predict(self, batch, verbose="auto"):
        if max(batch.shape[1:3]) > self.most:
            raise MemoryError
        return super().predict(batch)


def test_tiles_are_halved_where_memory_runs_out():
    photo = np.random.default_rng(0).random((90, 90, 3), np.float32)
    result = upscale(photo, LimitedNetwork(30), tile=90)
    np.testing.assert_allclose(result, upscale(photo, BicubicNetwork(), tile=22), atol=1e-6)


def test_at_the_smallest_tile_memory_errors_are_told():
    with pytest.raises(MemoryError):
        upscale(np.zeros((90, 90, 3)), LimitedNetwork(8))


class FixedEngine:
    scale, fixed_size = 4, (24, 32)

    def __call__(self, lr):
        assert lr.shape[1:3] == self.fixed_size
        return enlarged(lr, 4)


@pytest.mark.parametrize("size", [(5, 7), (24, 32), (70, 50)])
def test_an_engine_of_one_size_takes_photos_of_any(size):
    photo = np.random.default_rng(0).random((*size, 3), np.float32)
    result = upscale(photo, FixedEngine())
    wanted = bordered(photo)
    assert result.shape == wanted.shape
    np.testing.assert_allclose(result[:-8, :-8], wanted[:-8, :-8], atol=0.02)


@pytest.mark.parametrize(
    "settings", [{"tile": 8}, {"tile": 20.5}, {"tile": "big"}, {"overlap": -1}, {"batch": 0}, {"strength": 1.5}]
)
def test_settings_of_no_use_are_refused(photo, settings):
    with pytest.raises(ValueError, match="must be"):
        upscale(photo, BicubicNetwork(), **settings)


@pytest.mark.parametrize(
    "mode, wanted",
    [("RGB", "RGB"), ("L", "L"), ("RGBA", "RGBA"), ("1", "L"), ("P", "RGB"), ("LA", "LA"), ("CMYK", "RGB")],
)
def test_pillow_in_pillow_out(photo, mode, wanted):
    result = upscale(Image.fromarray(photo).convert(mode), BicubicNetwork(scale=2))
    assert (result.mode, result.size) == (wanted, (44, 62))


def test_a_pillow_image_is_turned_as_it_says_and_keeps_what_it_says_else(photo, tmp_path):
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Maker"
    Image.fromarray(photo).save(tmp_path / "a.png", exif=exif, icc_profile=b"profile")
    result = upscale(Image.open(tmp_path / "a.png"), BicubicNetwork(scale=2))
    assert result.size == (62, 44), "a quarter turn"
    kept = Image.Exif()
    kept.load(result.info["exif"])
    assert kept[0x010F] == "Maker" and 0x0112 not in kept and result.info["icc_profile"] == b"profile"


def test_numbers_of_either_byte_order(photo):
    wide = photo.astype(np.uint16) * 257
    np.testing.assert_array_equal(upscale(wide.astype(">u2"), BicubicNetwork()), upscale(wide, BicubicNetwork()))


@pytest.mark.parametrize("shift, end", [(-2.0, 0), (2.0, 255)])
def test_what_the_network_overshoots_is_clipped(photo, shift, end):
    assert (upscale(photo, BicubicNetwork(shift=shift)) == end).all()


def test_a_face_goes_in_as_a_whole():
    face = np.random.default_rng(0).integers(0, 255, (96, 96, 3), np.uint8)
    network = BicubicNetwork()
    upscale(face, network)
    (batch,) = network.batches
    np.testing.assert_array_equal(batch[0, 4:-4, 4:-4], face.astype(np.float32) / 255)


def test_tiles_are_as_small_as_the_memory_of_a_container_asks_for(monkeypatch):
    monkeypatch.setattr("ssrvae_tf.inference.enlarger.free_memory", lambda: 100_000_000)
    network = BicubicNetwork()
    upscale(np.zeros((90, 80, 3), np.uint8), network)
    assert all(max(batch.shape[1:3]) <= 28 for batch in network.batches)


def test_even_areas_stay_even_up_to_the_corners():
    network = load("faces-x4")
    for colour in ((255, 255, 255), (128, 128, 128), (230, 190, 165)):
        photo = np.full((30, 40, 3), colour, np.uint8)
        assert np.abs(upscale(photo, network).astype(int) - colour).max() <= 12, "35 without a border"


@pytest.mark.parametrize(
    "image, error, words",
    [
        (np.zeros((4, 4, 3), np.int64), TypeError, "int64"),
        (np.zeros((4, 4, 3), bool), TypeError, "bool"),
        (np.zeros((4, 4, 5), np.uint8), ValueError, r"\(4, 4, 5\)"),
        (np.zeros((1, 1, 4, 4, 3), np.uint8), ValueError, r"\(1, 1, 4, 4, 3\)"),
        (np.zeros((0, 4, 3), np.uint8), ValueError, r"\(0, 4, 3\)"),
        (np.full((4, 4, 3), 255.0), ValueError, "divide by 255"),
        (np.full((4, 4, 3), np.nan), ValueError, "nan"),
        (Image.new("F", (4, 4)), ValueError, "mode F"),
    ],
)
def test_what_is_no_image_is_refused(image, error, words):
    with pytest.raises(error, match=words):
        upscale(image, BicubicNetwork())


def test_a_style_model_is_refused(photo):
    with pytest.raises(UserError, match="degrades photos"):
        upscale(photo, BoxStyle())


def test_a_name_is_loaded(photo, monkeypatch):
    loading = type(sys)("ssrvae_tf.loading.models")
    known = {"faces-x4": BicubicNetwork(), "faces-x4-clean": BicubicNetwork(scale=2)}
    loading.load = lambda model: known[os.fspath(model)]
    monkeypatch.setitem(sys.modules, "ssrvae_tf.loading.models", loading)
    assert upscale(photo).shape == (124, 88, 3)
    assert upscale(photo, "faces-x4-clean").shape == (62, 44, 3)


def test_the_detail_reaches_the_model_by_name_and_no_other(photo, monkeypatch):
    loading, loaded = type(sys)("ssrvae_tf.loading.models"), []
    loading.load = lambda model: loaded.append(model) or BicubicNetwork()
    monkeypatch.setitem(sys.modules, "ssrvae_tf.loading.models", loading)
    for image in (photo, Image.fromarray(photo)):
        upscale(image, "faces-x4", detail=0.25, detailed="runs/mine")
    assert loaded == [Blend("faces-x4", 0.25, "runs/mine")] * 2
    with pytest.raises(UserError, match="--detail 0.25: for models by name or folder: give it to ssrvae_tf.load"):
        upscale(photo, BicubicNetwork(), detail=0.25)
