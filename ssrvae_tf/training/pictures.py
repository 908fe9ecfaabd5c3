"""The sheets and figures that a training makes after each epoch."""

from __future__ import annotations

from typing import Callable

import keras
import numpy as np
import tensorflow as tf

from ssrvae_tf.config import FitConfig
from ssrvae_tf.data import PhotoSet, bicubic, sr_batches, style_batches
from ssrvae_tf.layers import high_pass
from ssrvae_tf.metrics.image_quality import EQUAL
from ssrvae_tf.photos.sheets import sheet

_ROWS = 6
_FACES = 48  # the figures are of more faces than the sheet has rows
# Far from the training's own seeds: the faces of the sheets are cut and degraded in their own way.
_SEED = 1_000_003


def painter(model: keras.Model, settings: FitConfig, photos: dict[str, PhotoSet], degrade) -> Callable:
    """A function () -> (PIL image, figures) that shows how the model does on always the same few photos."""
    if settings.stage == "style":
        size, scale = settings.hr_size, settings.scale
        batches = style_batches(photos["hr"], photos["lr"], size, scale, _FACES, _SEED, synthetic=False)
        batch = next(iter(batches))
        return lambda: _style_sheet(model, batch["hr"], batch["lr"])
    pairs = sr_batches(photos["hr"], settings.patch_size, settings.scale, _ROWS, _SEED, degrade, photos.get("lr"))
    lr, hr = next(iter(pairs))
    return lambda: _sr_sheet(model, lr, hr)


def _sr_sheet(model, lr, hr):
    sr = model(lr, training=False)
    enlarged = tf.clip_by_value(tf.image.resize(lr, hr.shape[1:3], "bicubic"), 0.0, 1.0)
    figures = {
        name: float(tf.reduce_mean(tf.minimum(tf.image.psnr(made, hr, 1.0), EQUAL)))
        for name, made in (("sheet_psnr", sr), ("sheet_psnr_bicubic", enlarged))
    }
    return _sheet({"LR": lr, "bicubic": enlarged, "SR": sr, "HR": hr}), figures


def _style_sheet(model, hr, lr):
    made = {
        "generated": model.degrade(hr, lr, seed=_SEED),
        "prior": model.degrade(hr, seed=_SEED, sampler="normal"),
        "sampler": model.degrade(hr, seed=_SEED),
    }
    other = model.degrade(hr, tf.roll(lr, 1, 0), seed=_SEED)
    strengths = {name: sharpness(images) for name, images in {"real": lr, **made}.items()}
    figures = {
        "sheet_style_effect": float(tf.reduce_mean(tf.abs(made["generated"] - other))),
        "style_sharpness_correlation": correlation(np.log(strengths["real"]), np.log(strengths["generated"])),
        **{f"sharpness_{name}": float(values.mean()) for name, values in strengths.items()},
    }
    columns = {"HR": hr, "bicubic": bicubic(hr, model.scale), "real LR": lr, "in its style": made["generated"]}
    columns.update({"style from N(0, I)": made["prior"], "style from the sampler": made["sampler"]})
    return _sheet(columns), figures


def sharpness(images: tf.Tensor) -> np.ndarray:
    """High-pass strength of each image: (B, h, w, 3) -> (B,), root mean square in gray levels, at least 0.1."""
    return np.maximum(255.0 * np.sqrt(tf.reduce_mean(tf.square(high_pass(images)), [1, 2, 3])), 0.1)


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Pearson's, of two vectors; 0 where one of them does not vary."""
    first, second = first - first.mean(), second - second.mean()
    return float(np.sum(first * second) / max(np.sqrt(np.sum(first**2) * np.sum(second**2)), 1e-12))


def _sheet(columns: dict):
    rows = zip(*(np.asarray(images[:_ROWS]) for images in columns.values()))
    return sheet(rows, columns, cell=128)
