from __future__ import annotations

import sys

import numpy as np
import pytest
from PIL import Image
from stub_models import BicubicNetwork, BoxStyle

from ssrvae_tf.errors import UserError
from ssrvae_tf.photos import sample_photos
from ssrvae_tf.upscaling import upscale


@pytest.fixture
def photo():
    """(31, 22, 3) uint8 in 64..191: Pillow clips uint8 after each of a resize's two passes, which floats do not see."""
    return np.asarray(Image.open(sample_photos()[0]).crop((170, 60, 302, 246)).resize((22, 31))) // 2 + 64


def bicubic(pixels, scale=4):
    return np.asarray(Image.fromarray(pixels).resize((pixels.shape[1] * scale, pixels.shape[0] * scale), Image.BICUBIC))


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


def test_alpha_is_enlarged_and_colour_is_not_touched_by_it(photo):
    alpha = np.tile(np.linspace(0, 255, 22).astype(np.uint8), (31, 1))
    result = upscale(np.dstack([photo, alpha]), BicubicNetwork())
    np.testing.assert_array_equal(result[..., :3], upscale(photo, BicubicNetwork()))
    np.testing.assert_allclose(result[..., 3].astype(int), bicubic(alpha), atol=1)


@pytest.mark.parametrize(
    "mode, wanted",
    [("RGB", "RGB"), ("L", "L"), ("RGBA", "RGBA"), ("1", "L"), ("P", "RGB"), ("LA", "RGBA"), ("CMYK", "RGB")],
)
def test_pillow_in_pillow_out(photo, mode, wanted):
    result = upscale(Image.fromarray(photo).convert(mode), BicubicNetwork(scale=2))
    assert (result.mode, result.size) == (wanted, (44, 62))


@pytest.mark.parametrize("shift, end", [(-2.0, 0), (2.0, 255)])
def test_what_the_network_overshoots_is_clipped(photo, shift, end):
    assert (upscale(photo, BicubicNetwork(shift=shift)) == end).all()


def test_the_whole_photo_goes_in_at_once(photo):
    network = BicubicNetwork()
    upscale(photo, network)
    (batch,) = network.batches
    np.testing.assert_array_equal(batch[0], photo.astype(np.float32) / 255)


@pytest.mark.parametrize(
    "image, error, words",
    [
        (np.zeros((4, 4, 3), np.int64), TypeError, "int64"),
        (np.zeros((4, 4, 3), bool), TypeError, "bool"),
        (np.zeros((4, 4, 2), np.uint8), ValueError, r"\(4, 4, 2\)"),
        (np.zeros((1, 4, 4, 3), np.uint8), ValueError, r"\(1, 4, 4, 3\)"),
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
    loading = type(sys)("ssrvae_tf.loading")
    loading.load = {"faces-x4": BicubicNetwork(), "other": BicubicNetwork(scale=2)}.get
    monkeypatch.setitem(sys.modules, "ssrvae_tf.loading", loading)
    assert upscale(photo).shape == (124, 88, 3)
    assert upscale(photo, "other").shape == (62, 44, 3)
