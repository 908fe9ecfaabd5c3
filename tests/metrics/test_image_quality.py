"""PSNR and SSIM against their definitions, written out in NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from ssrvae_tf.metrics import psnr, ssim


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
    for channel in range(3):
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
