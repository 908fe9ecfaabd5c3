"""How near a picture comes to the true one."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from ssrvae_tf.layers.colour import LUMA

WINDOW = 11  # of SSIM, in pixels
EQUAL = 100.0  # dB in means, of pictures that equal the true ones: their PSNR is infinite, and so would the mean be


class Convention(NamedTuple):
    """What is compared: figures of one convention say nothing beside those of another.

    Papers on super-resolution mostly cut a border of as many pixels as the scale. SRCNN, EDSR and RDN compare luma, and
    pictures of 8 bit: `Convention("luma", 4, True)` is the `calculate_psnr(crop_border=4, test_y_channel=True)` and
    `calculate_ssim` of BasicSR on saved results of x4.

    Attributes:
        channels: "rgb": red, green and blue alike. "luma": the Y of Matlab's rgb2ycbcr, which lies from 16 to 235 of
            255; the peak is 255 all the same. It is not rounded, as Matlab does it where the picture is uint8.
        border: pixels that are cut off on each side.
        rounded: the pictures are clipped and rounded to 8 bit first, as a file would hold them; else they are compared
            as floats, as they are.
    """

    channels: str = "rgb"
    border: int = 0
    rounded: bool = False

    def __str__(self) -> str:
        channels = {"rgb": "RGB", "luma": "luma"}[self.channels]
        border = f"border {self.border} cut" if self.border else "no border cut"
        return f"{channels}, {border}, {'8 bit' if self.rounded else 'float'}"


RGB = Convention()


def psnr(image: np.ndarray, truth: np.ndarray, channels: str = "rgb", border: int = 0, rounded: bool = False) -> float:
    """Peak signal-to-noise ratio in dB over all pixels and channels; the peak is 1, which is 255 of 8 bit.

    Args:
        image, truth: (H, W, 3) in [0, 1]. Equal images give `inf`.
        channels, border, rounded: see `Convention`.

    Raises:
        ValueError: if the shapes differ, the values are integers, there are no such channels or nothing is left.

    Examples:
        >>> black = np.zeros((16, 16, 3))
        >>> round(psnr(black + 0.1, black), 2)
        20.0
    """
    image, truth = _compared(image, truth, channels, border, rounded)
    with np.errstate(divide="ignore"):
        return float(peak_signal_noise_ratio(truth, image, data_range=1.0))


def finite_psnr(image: np.ndarray, truth: np.ndarray, *convention: Any) -> float:
    """`psnr`, or `EQUAL` where it is more: for means."""
    return min(psnr(image, truth, *convention), EQUAL)


def ssim(image: np.ndarray, truth: np.ndarray, channels: str = "rgb", border: int = 0, rounded: bool = False) -> float:
    """Structural similarity as Wang et al. 2004 define it: a Gaussian window of sigma 1.5 (11x11), mean over channels.

    Only whole windows count, as in the authors' ssim.m: the 5 border pixels, where the window is not whole, are left
    out of the mean.

    Args:
        image, truth: (H, W, 3) in [0, 1], at least 11x11 without `border`.
        channels, border, rounded: see `Convention`.

    Raises:
        ValueError: as `psnr`; or if what is left is smaller than the window.

    Examples:
        >>> noise = np.random.default_rng(0).random((16, 16, 3))
        >>> round(ssim(noise, noise), 2)
        1.0
    """
    image, truth = _compared(image, truth, channels, border, rounded)
    value = structural_similarity(
        image, truth, channel_axis=-1, data_range=1.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    return float(value)


def _compared(
    image: np.ndarray, truth: np.ndarray, channels: str, border: int, rounded: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The parts that are compared, (h, w, 3) or, of luma, (h, w, 1), float64."""
    image, truth = np.asarray(image), np.asarray(truth)
    if image.shape != truth.shape or image.ndim != 3:
        raise ValueError(f"images {image.shape} and {truth.shape} are given, two of one shape (H, W, 3) are wanted")
    if not (np.issubdtype(image.dtype, np.floating) and np.issubdtype(truth.dtype, np.floating)):
        raise ValueError(f"{image.dtype} and {truth.dtype} are given, floats in [0, 1] are wanted: divide by 255")
    if channels not in ("rgb", "luma"):
        raise ValueError(f"channels {channels!r} are given, 'rgb' or 'luma' is wanted")
    height, width = (side - 2 * border for side in image.shape[:2])
    if border < 0 or min(height, width) < 1:
        raise ValueError(f"a border of {border} is to be cut from {image.shape}: nothing would be left")
    parts = []
    for each in (image, truth):
        each = each[border : border + height, border : border + width].astype(np.float64)
        each = np.rint(np.clip(each, 0.0, 1.0) * 255.0) / 255.0 if rounded else each
        parts.append(each @ np.array(LUMA)[:, None] + 16.0 / 255.0 if channels == "luma" else each)
    return parts[0], parts[1]
