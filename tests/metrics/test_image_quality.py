"""PSNR and SSIM against their definitions, written out in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.color import rgb2ycbcr
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from ssrvae_tf.layers import luma
from ssrvae_tf.metrics import psnr, ssim
from ssrvae_tf.metrics.image_quality import Convention


def photo_pair(height=20, width=17):
    rng = np.random.default_rng(0)
    truth = rng.random((height, width, 3))
    return np.clip(truth + rng.normal(0, 0.1, truth.shape), 0, 1), truth


def slow_ssim(image, truth):
    """Wang et al. 2004, eq. 13, in every whole 11x11 window of every channel."""
    offsets = np.arange(11) - 5
    line = np.exp(-(offsets**2) / (2 * 1.5**2))
    window = np.outer(line, line) / line.sum() ** 2
    c1, c2 = 0.01**2, 0.03**2
    values = []
    for channel in range(image.shape[-1]):
        for top in range(image.shape[0] - 10):
            for left in range(image.shape[1] - 10):
                x = image[top : top + 11, left : left + 11, channel]
                y = truth[top : top + 11, left : left + 11, channel]
                mx, my = (window * x).sum(), (window * y).sum()
                vx, vy = (window * (x - mx) ** 2).sum(), (window * (y - my) ** 2).sum()
                vxy = (window * (x - mx) * (y - my)).sum()
                values.append((2 * mx * my + c1) * (2 * vxy + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2)))
    return np.mean(values)


def test_psnr_of_a_constant_error_of_a_tenth_is_20_db():
    truth = np.full((5, 7, 3), 0.5, np.float32)
    assert psnr(truth + np.float32(0.1), truth) == pytest.approx(20, abs=1e-4)


def test_psnr_counts_the_border():
    truth = np.full((16, 16, 3), 0.5)
    image = truth.copy()
    image[0, 0, 0] += 0.1
    assert psnr(image, truth) == pytest.approx(-10 * np.log10(0.01 / truth.size))


def test_psnr_of_equal_images_is_infinite():
    _, truth = photo_pair()
    assert psnr(truth, truth) == float("inf")


def test_ssim_equals_its_definition():
    image, truth = photo_pair()
    assert ssim(image, truth) == pytest.approx(slow_ssim(image, truth), abs=1e-7)


def test_ssim_of_equal_images_is_one():
    _, truth = photo_pair()
    assert ssim(truth, truth) == pytest.approx(1)


@pytest.mark.parametrize("measure", [psnr, ssim])
def test_images_of_other_shape_or_integers_are_refused(measure):
    image, truth = photo_pair()
    with pytest.raises(ValueError, match="one shape"):
        measure(image[1:], truth)
    with pytest.raises(ValueError, match="divide by 255"):
        measure((image * 255).astype(np.uint8), truth)


def as_basicsr(image, truth, border, luma):
    """The two pictures that BasicSR's calculate_psnr and calculate_ssim compare, on a scale of 255: saved results are
    of 8 bit; Y is 65.481 R + 128.553 G + 24.966 B + 16 of R, G and B in [0, 1], not rounded."""
    pictures = [np.round(np.clip(each, 0, 1) * 255) for each in (image, truth)]
    if border:
        pictures = [each[border:-border, border:-border] for each in pictures]
    if luma:
        pictures = [(each / 255 @ [65.481, 128.553, 24.966] + 16)[..., None] for each in pictures]
    return pictures


@pytest.mark.parametrize("border, channels", [(0, "rgb"), (4, "rgb"), (0, "luma"), (4, "luma")])
def test_conventions_are_those_of_basicsr(border, channels):
    image, truth = photo_pair(24, 22)
    a, b = as_basicsr(image, truth, border, channels == "luma")
    wanted = 20 * np.log10(255 / np.sqrt(np.mean((a - b) ** 2)))
    assert psnr(image, truth, channels, border, rounded=True) == pytest.approx(wanted, abs=1e-9)
    assert ssim(image, truth, channels, border, rounded=True) == pytest.approx(slow_ssim(a / 255, b / 255), abs=1e-9)


def test_conventions_are_those_of_scikit_image():
    image, truth = photo_pair(30, 26)
    a, b = (rgb2ycbcr(each)[3:-3, 3:-3, 0] for each in (image, truth))  # from 16 to 235
    wanted = peak_signal_noise_ratio(b, a, data_range=255)
    assert psnr(image, truth, "luma", 3) == pytest.approx(wanted, abs=1e-6)
    how = {"data_range": 255, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    assert ssim(image, truth, "luma", 3) == pytest.approx(structural_similarity(b, a, **how), abs=1e-7)
    np.testing.assert_allclose(np.array(luma(truth[None]))[0, 3:-3, 3:-3, 0] * 255, b, atol=1e-4)


def test_an_error_of_gray_is_smaller_in_luma_than_in_rgb():
    """Gray from 0 to 255 is luma from 16 to 235; the peak of both is 255."""
    truth = np.full((12, 12, 3), 0.5)
    difference = psnr(truth + 0.1, truth, "luma") - psnr(truth + 0.1, truth)
    assert difference == pytest.approx(20 * np.log10(255 / 219), abs=1e-9)


def test_a_cut_border_does_not_count():
    truth = np.full((20, 20, 3), 0.5)
    image = truth.copy()
    image[:2] = image[-2:] = image[:, :2] = image[:, -2:] = 0
    assert psnr(image, truth, border=2) == float("inf") > psnr(image, truth, border=1)
    assert ssim(image, truth, border=2) == pytest.approx(1) != ssim(image, truth)


def test_rounding_leaves_what_a_file_would_hold():
    truth = np.full((12, 12, 3), 100 / 255)
    assert psnr(truth + 0.4 / 255, truth, rounded=True) == float("inf") > psnr(truth + 0.4 / 255, truth)
    assert psnr(np.full_like(truth, 1.7), np.ones_like(truth), rounded=True) == float("inf")


@pytest.mark.parametrize(
    "how, complaint", [(("hue",), "'rgb' or 'luma'"), (("rgb", 10), "nothing"), (("rgb", -1), "-1")]
)
def test_conventions_that_make_no_sense_are_refused(how, complaint):
    with pytest.raises(ValueError, match=complaint):
        psnr(*photo_pair(), *how)


def test_a_convention_is_said_in_words():
    assert str(Convention()) == "RGB, no border cut, float"
    assert str(Convention("luma", 4, True)) == "luma, border 4 cut, 8 bit"
