"""Figures of photos that a training never sees, always of the same pieces of them, degraded in the same way."""

from __future__ import annotations

from typing import Callable

import keras
import numpy as np
import tensorflow as tf

from ssrvae_tf.config import FitConfig
from ssrvae_tf.data import PhotoSet, sr_batches, style_batches
from ssrvae_tf.errors import UserError
from ssrvae_tf.layers import bicubic_shrink, local_mean
from ssrvae_tf.metrics import Features, frechet_distance, ssim
from ssrvae_tf.metrics.image_quality import WINDOW, finite_psnr
from ssrvae_tf.models.degradation_losses import band_energy_distance, log_energies, transfer_distance

# Whatever a run's own seed, and far from it: runs that hold back the same photos are measured on the same pieces.
_SEED = 2_000_003
_LEAST, _MOST = 64, 256  # pieces: few photos give several each, and thousands may not hold up a training
_BATCH = 16


def validation(
    model: keras.Model, settings: FitConfig, photos: dict[str, PhotoSet], degrade, features: Features | None = None
) -> Callable[[], dict[str, float]]:
    """A function that measures the model as it is then.

    Args:
        photos: "hr", held back; "lr", held back too in stage style, where stage sr takes its styles from.
        degrade: as for `sr_batches`.
        features: for a Frechet distance in stage style.

    Returns:
        () -> figures. Stage sr: val_psnr (dB), val_ssim, and the same of bicubic enlargement. Stage style: the losses
        that need no critic, and the distance of degraded photos to real small ones.

    Raises:
        UserError: for patches smaller than SSIM's window.
    """
    count = _BATCH * (min(_MOST, max(_LEAST, len(photos["hr"]))) // _BATCH)
    if settings.stage == "style":
        synthetic = settings.style_vae.form == "transfer"
        sizes = (settings.hr_size, settings.scale, _BATCH, _SEED)
        batches = style_batches(photos["hr"], photos["lr"], *sizes, synthetic=synthetic)
        return _of_style(model, list(batches.take(count // _BATCH)), features)
    if settings.patch_size < WINDOW:
        raise UserError(
            f"--patch-size {settings.patch_size}: SSIM, of the validation, looks at {WINDOW}x{WINDOW} pixels: take "
            "larger patches, or --val 0"
        )
    names = ("bicubic_share", "classical_share", "wide_share", "sharpen", "zoom")
    mixture = {name: getattr(settings, name) for name in names}
    sizes = (settings.patch_size, settings.scale, _BATCH, _SEED)
    batches = sr_batches(photos["hr"], *sizes, degrade, photos.get("lr"), **mixture)
    return _of_pairs(model, list(batches.take(count // _BATCH)))


def _of_pairs(model, pairs):
    def measure(enlarge: Callable, end: str = "") -> dict[str, float]:
        found = []
        for lr, hr in pairs:
            for made, truth in zip(np.asarray(enlarge(lr)), np.asarray(hr)):
                found.append((finite_psnr(made, truth), ssim(made, truth)))
        return dict(zip((f"val_psnr{end}", f"val_ssim{end}"), map(float, np.mean(found, 0))))

    def bicubic(lr):
        return tf.clip_by_value(tf.image.resize(lr, pairs[0][1].shape[1:3], "bicubic"), 0.0, 1.0)

    plain = measure(bicubic, "_bicubic")
    return lambda: {**measure(lambda lr: model(lr, training=False)), **plain}


def _of_style(model, batches, features):
    real = tf.concat([batch["lr"] for batch in batches], 0)
    shrunk = tf.concat([bicubic_shrink(batch["hr"], model.scale) for batch in batches], 0)

    def distances(made: tf.Tensor, end: str = "") -> dict[str, float]:
        figures = {f"val_band_distance{end}": band_distance(made, real)}
        if features:
            name = f"val_{features.frechet_name}{end}"
            figures[name] = frechet_distance(features(made.numpy()), features(real.numpy()))
        return figures

    plain = distances(shrunk, "_bicubic")

    def measure() -> dict[str, float]:
        made = [model.degrade(batch["hr"], batch["lr"], seed=_SEED + i) for i, batch in enumerate(batches)]
        posterior = model.posterior(real)
        drift = tf.concat(made, 0) - shrunk
        figures = {
            "val_kl": tf.reduce_mean(posterior.kl_divergence(model.prior())),
            "val_reconstruction": tf.reduce_mean(tf.square(local_mean(drift, 5 if model.form == "transfer" else 1))),
        }
        if "style" in batches[0]:
            known = [model.degrade(batch["hr"], batch["style"], seed=_SEED + i) for i, batch in enumerate(batches)]
            target = tf.concat([batch["target"] for batch in batches], 0)
            figures["val_transfer"] = transfer_distance(tf.concat(known, 0), target)
            figures["val_energy"] = band_energy_distance(tf.concat(known, 0), target)
        return {name: float(value) for name, value in figures.items()} | {**distances(tf.concat(made, 0)), **plain}

    return measure


def band_distance(images: tf.Tensor, others: tf.Tensor) -> float:
    """How far two equally large sets of photos (N, h, w, 3) are from each other in how strong their details are.

    The mean, over the log energies of two high-pass bands in luma and two colour differences, of the distance between
    the sets' distributions (Wasserstein's, in nats). It needs no network, and sees nothing but blur and noise.
    """
    first, second = (np.sort(log_energies(each).numpy(), 0) for each in (images, others))
    return float(np.mean(np.abs(first - second)))
