"""How near a picture comes to the true one."""

from __future__ import annotations

import numpy as np
from skimage.metrics import peak_signal_noise_ratio, structural_similarity


def psnr(image: np.ndarray, truth: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB over all pixels and channels, no border cut.

    Args:
        image, truth: (H, W, 3) in [0, 1]. Equal images give `inf`.

    Raises:
        ValueError: if the shapes differ or the values are integers.
    """
    image, truth = _checked(image, truth)
    with np.errstate(divide="ignore"):
        return float(peak_signal_noise_ratio(truth, image, data_range=1.0))


def ssim(image: np.ndarray, truth: np.ndarray) -> float:
    """Structural similarity as Wang et al. 2004 define it: a Gaussian window of sigma 1.5 (11x11), mean over RGB.

    scikit-image leaves the 5 border pixels, where the window is not whole, out of the mean.

    Args:
        image, truth: (H, W, 3) in [0, 1], at least 11x11.

    Raises:
        ValueError: if the shapes differ, the values are integers or the images are smaller than the window.
    """
    image, truth = _checked(image, truth)
    value = structural_similarity(
        image, truth, channel_axis=-1, data_range=1.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    return float(value)


def _checked(image: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    image, truth = np.asarray(image), np.asarray(truth)
    if image.shape != truth.shape or image.ndim != 3:
        raise ValueError(f"images {image.shape} and {truth.shape} are given, two of one shape (H, W, 3) are wanted")
    if not (np.issubdtype(image.dtype, np.floating) and np.issubdtype(truth.dtype, np.floating)):
        raise ValueError(f"{image.dtype} and {truth.dtype} are given, floats in [0, 1] are wanted: divide by 255")
    return image.astype(np.float64), truth.astype(np.float64)
