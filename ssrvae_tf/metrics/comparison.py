"""The comparisons that `ssrvae_tf.evaluate` prints: a model beside Pillow's bicubic. Photos are uint8 inside here."""

from __future__ import annotations

from typing import Any, Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from ssrvae_tf.data.degradations import bicubic, classical
from ssrvae_tf.metrics.distances import Features, frechet_distance, kernel_distance
from ssrvae_tf.metrics.image_quality import psnr, ssim
from ssrvae_tf.metrics.report import Report
from ssrvae_tf.photos.resizing import resized
from ssrvae_tf.terminal import Bar

Degrade = Callable[[np.ndarray, int], np.ndarray]
"""(hr uint8 (B, H, W, 3), number of the first of them) -> lr uint8 (B, H / scale, W / scale, 3)."""

_PLAIN = "plain bicubic"  # not "bicubic": a run may be called so


def compare_pairs(
    model: Any, photos: list[np.ndarray], degrade: Degrade, name: str = "model", how: str = "degraded"
) -> Report:
    """PSNR and SSIM of super-resolved degraded photos, and how far red, green and blue shift from the true ones, in
    gray levels of 255: means over the photos.

    Args:
        photos: uint8 (H, W, 3), sides multiples of model.scale.
        degrade: makes the LR photos; see `degradation`.
        how: what the title says about it.
    """
    figures: dict[str, list[tuple[float, ...]]] = {_PLAIN: [], name: []}
    for start, batch in _batches(photos, "pairs"):
        lr = degrade(batch, start)
        for sr, enlarged, truth in zip(_super_resolve(model, lr), lr, batch / 255.0):
            enlarged = _enlarge(enlarged, model.scale) / 255.0
            for row, image in ((_PLAIN, enlarged), (name, sr)):
                shift = 255.0 * (image - truth).mean((0, 1))
                figures[row].append((psnr(image, truth), ssim(image, truth), *shift))
    columns = ("PSNR dB", "SSIM", "red shift", "green shift", "blue shift")
    rows = {row: dict(zip(columns, map(float, np.mean(each, 0)))) for row, each in figures.items()}
    for column in ("PSNR dB", "SSIM"):
        rows[name][f"{column} gain"] = rows[name][column] - rows[_PLAIN][column]
    digits = {"PSNR dB": 2, "PSNR dB gain": 2, "SSIM": 4, "SSIM gain": 4, **dict.fromkeys(columns[2:], 2)}
    return Report(f"{len(photos)} HR photos, x{model.scale}, {how}", digits, rows)


def compare_real(
    model: Any, lr_photos: list[np.ndarray], hr_photos: list[np.ndarray], features: Features, name: str = "model"
) -> Report:
    """Distances of super-resolved real small photos to real sharp ones.

    Args:
        lr_photos: uint8 (h, w, 3), all of one size.
        hr_photos: uint8, all of that size times model.scale.
    """
    results = {_PLAIN: [_enlarge(photo, model.scale) for photo in lr_photos], name: []}
    for _, batch in _batches(lr_photos, name):
        results[name] += list(_to_uint8(_super_resolve(model, batch)))
    title = f"{len(lr_photos)} real LR photos, x{model.scale}, to {len(hr_photos)} HR photos"
    return _distances(title, results, hr_photos, features)


def compare_degradations(
    model: Any,
    hr_photos: list[np.ndarray],
    lr_photos: list[np.ndarray],
    features: Features,
    styles: Sequence[np.ndarray] | None = None,
    seed: int = 0,
    name: str = "model",
) -> Report:
    """Distances of degraded HR photos to real small ones.

    Args:
        hr_photos: uint8 (H, W, 3), all of one size.
        lr_photos: uint8, all of that size divided by model.scale.
        styles: uint8 (N, h, w, 3) real small photos, whose styles are measured beside the model's own sampler.
    """
    ways: dict[str, tuple[Any, Any]] = {"bicubic": ("bicubic", None), "classical": ("classical", None)}
    if styles is not None:
        ways[f"{name}, real styles"] = (model, styles)
    ways[f"{name}, its own styles"] = (model, None)
    results = {}
    for row, (kind, given) in ways.items():
        degrade = degradation(kind, model.scale, given, seed)
        results[row] = [photo for start, batch in _batches(hr_photos, row) for photo in degrade(batch, start)]
    title = f"{len(hr_photos)} degraded HR photos, x{model.scale}, to {len(lr_photos)} real LR photos"
    return _distances(title, results, lr_photos, features)


def degradation(kind: Any, scale: int, styles: Sequence[np.ndarray] | None = None, seed: int = 0) -> Degrade:
    """A function that makes small 8-bit photos.

    Args:
        kind: "bicubic", "classical" or a StyleVAE.
        styles: uint8 (N, h, w, 3), which a StyleVAE applies in turn; None: it draws styles itself.
        seed: of everything random.
    """
    one = tf.function(
        lambda hr, kind_seed, noise_seed: classical(hr, scale, kind_seed, noise_seed),
        input_signature=[tf.TensorSpec((None, None, 3)), tf.TensorSpec((2,), tf.int64), tf.TensorSpec((2,), tf.int64)],
    )

    def shrink(hr: tf.Tensor, first: int) -> tf.Tensor:
        return bicubic(hr, scale)

    def degrade_classically(hr: tf.Tensor, first: int) -> tf.Tensor:
        numbers = range(2 * first, 2 * (first + len(hr)), 2)
        return tf.stack([one(photo, (seed, n), (seed, n + 1)) for photo, n in zip(hr, numbers)])

    def degrade_by_model(hr: tf.Tensor, first: int) -> tf.Tensor:
        given = None
        if styles is not None:
            given = _to_float(np.take(styles, range(first, first + len(hr)), 0, mode="wrap"))
        return kind.degrade(hr, style=given, seed=seed + first)

    if isinstance(kind, str):
        function = {"bicubic": shrink, "classical": degrade_classically}[kind]
    else:
        function = degrade_by_model
    return lambda hr, first: _to_uint8(function(_to_float(hr), first))


def _batches(photos: list[np.ndarray], what: str) -> Iterator[tuple[int, np.ndarray]]:
    """Yields (number of the first photo, photos (B, H, W, 3)): neighbours of equal size, few if they are large."""
    start = 0
    with Bar(total=len(photos), desc=what, unit="photo", disable=None, leave=False) as bar:
        while start < len(photos):
            shape = photos[start].shape
            stop, most = start + 1, max(1, 16 * 128**2 // (shape[0] * shape[1]))
            while stop < min(len(photos), start + most) and photos[stop].shape == shape:
                stop += 1
            yield start, np.stack(photos[start:stop])
            bar.update(stop - start)
            start = stop


def _super_resolve(model: Any, lr: np.ndarray) -> np.ndarray:
    """uint8 (B, h, w, 3) -> float32 in [0, 1]."""
    return np.clip(model.predict((lr / 255.0).astype(np.float32), verbose=0), 0, 1)


def _enlarge(photo: np.ndarray, scale: int) -> np.ndarray:
    height, width = photo.shape[:2]
    return resized(photo, width * scale, height * scale)


def _to_float(photos: np.ndarray) -> tf.Tensor:
    return tf.constant(photos / 255.0, tf.float32)


def _to_uint8(images: Any) -> np.ndarray:
    return np.round(np.clip(np.asarray(images, np.float32), 0, 1) * 255).astype(np.uint8)


def _distances(
    title: str, results: dict[str, list[np.ndarray]], reference: list[np.ndarray], features: Features
) -> Report:
    """Of each method's photos to the reference; the first method is the one that the others are compared with."""
    wanted = features(reference, what="reference")
    frechet, kernel, ratio = features.frechet_name, features.kernel_name, "of bicubic's"
    plain = next(iter(results))
    rows: dict[str, dict[str, float]] = {}
    for row, photos in results.items():
        found = features(photos, what=row)
        rows[row] = {frechet: frechet_distance(found, wanted), kernel: kernel_distance(found, wanted)}
        rows[row][ratio] = rows[row][frechet] / rows[plain][frechet]
    return Report(title, {frechet: 3, ratio: 2, kernel: 5}, rows)
