from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import wasserstein_distance
from tiny_runs import small_style_vae, tiny

from ssrvae_tf.data import PhotoSet
from ssrvae_tf.errors import UserError
from ssrvae_tf.layers import local_mean
from ssrvae_tf.models.degradation_losses import log_energies
from ssrvae_tf.training.validation import band_distance, validation


class Enlargement:
    """Repeats pixels; `better` takes a share of the way to bicubic."""

    def __init__(self, better=0.0):
        self.better = better

    def __call__(self, lr, training):
        plain, smooth = (tf.image.resize(lr, [32, 32], how) for how in ("nearest", "bicubic"))
        return tf.clip_by_value(plain + self.better * (smooth - plain), 0.0, 1.0)


def test_pairs_are_the_same_for_every_run_and_every_time(photo_folder):
    photos = {"hr": PhotoSet.load(photo_folder, 32)}
    model = Enlargement()
    figures = validation(model, tiny("sr", photo_folder, "", style="bicubic"), photos, "bicubic")
    first = figures()
    assert first == figures() and first["val_psnr"] < first["val_psnr_bicubic"] - 0.5
    other = validation(model, tiny("sr", photo_folder, "", style="bicubic", seed=7), photos, "bicubic")
    assert other() == first
    model.better = 1.0
    best = figures()
    assert best["val_psnr"] == pytest.approx(best["val_psnr_bicubic"]) and best["val_ssim"] > first["val_ssim"]


def test_pieces_of_one_colour_do_not_make_a_mean_infinite():
    photos = {"hr": PhotoSet([np.full((40, 40, 3), 128, np.uint8)], 32)}
    figures = validation(Enlargement(), tiny("sr", "", "", style="bicubic"), photos, "bicubic")()
    assert 60 < figures["val_psnr"] <= 100


def test_patches_smaller_than_the_window_of_ssim_are_refused(photo_folder):
    photos = {"hr": PhotoSet.load(photo_folder, 32)}
    with pytest.raises(UserError, match="--patch-size 8: SSIM, .* 11x11 pixels: take larger patches, or --val 0"):
        validation(Enlargement(), tiny("sr", photo_folder, "", style="bicubic", patch_size=8), photos, "bicubic")


def test_a_style_vae_is_measured_by_its_losses_and_the_spread_of_its_bands(photo_folder):
    model = small_style_vae()
    photos = {"hr": PhotoSet.load(photo_folder, 32), "lr": PhotoSet.load(photo_folder, 8)}

    class Colour:
        frechet_name = "FD(colour)"

        def __call__(self, images):
            return np.asarray(images).mean((1, 2))

    figures = validation(model, tiny("style", photo_folder, ""), photos, "classical", Colour())
    first = figures()
    names = {"val_kl", "val_reconstruction", "val_transfer", "val_energy", "val_band_distance", "val_FD(colour)"}
    assert first.keys() == names | {"val_band_distance_bicubic", "val_FD(colour)_bicubic"}
    assert first == figures() and all(value >= 0 and np.isfinite(value) for value in first.values())


def test_the_distance_of_bands_is_wassersteins_and_grows_with_blur():
    images = tf.constant(np.random.default_rng(0).random((20, 8, 8, 3), "float32"))
    blurred = local_mean(images, 3)
    columns = zip(log_energies(images).numpy().T, log_energies(blurred).numpy().T)
    wanted = np.mean([wasserstein_distance(*pair) for pair in columns])
    assert band_distance(images, blurred) == pytest.approx(wanted, rel=1e-5)
    assert band_distance(images, images[::-1]) == pytest.approx(0.0, abs=1e-5)
    assert band_distance(images, local_mean(blurred, 3)) > band_distance(images, blurred)
