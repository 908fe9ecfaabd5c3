"""Batches for both stages. Everything is a pure function of (seed, step), so a resumed run sees what an unbroken
one would have seen."""

from __future__ import annotations

from typing import Callable

import numpy as np
import tensorflow as tf

from ssrvae_tf.data.degradations import bicubic, classical, recoloured, unsharp_mask, wide
from ssrvae_tf.data.photo_set import PhotoSet
from ssrvae_tf.errors import UserError
from ssrvae_tf.photos.resizing import resized

# Independent streams of random numbers that share one seed.
_HR, _LR, _STYLE, _KIND, _NOISE, _SHARE, _DEGRADE, _ZOOM, _REAL, _SHARP = range(10)
_HAND_MADE = {"classical": classical, "wide": wide}
# Everyday photos are larger than faces: from whole scenes to details.
_EVERYDAY_ZOOM = (0.45, 1.3)


def style_batches(
    hr: PhotoSet,
    lr: PhotoSet,
    hr_size: int,
    scale: int,
    batch_size: int,
    seed: int,
    start_step: int = 0,
    synthetic: bool = True,
    share: tuple[int, int] = (0, 1),
) -> tf.data.Dataset:
    """Unpaired faces for styleVAE, without end: dicts of float32 images in [0, 1]. With S = hr_size, s = S // scale:

        hr      (B, S, S, 3)  high-resolution faces
        lr      (B, s, s, 3)  real low-resolution faces, in an order of their own
        style   (B, s, s, 3)  if `synthetic`: another HR face, degraded by `classical`
        target  (B, s, s, 3)  if `synthetic`: `hr` degraded in the same way, with noise of its own
        index   (B,) int64    the sample's number since step 0, to derive further random numbers from

    Args:
        hr: faces of at least hr_size. Each is seen once in an epoch.
        lr: faces of at least hr_size // scale.
        seed: the batch of a step depends on nothing but `seed` and that step.
        start_step: the first step to give; the run's position when it goes on.
        synthetic: whether to give `style` and `target`, for the `transfer` form.
        share: (number of this worker, number of workers). The photos of the others are not read: of each batch, whose
            part every worker gets in turn, only one's own is whole.

    Raises:
        UserError: if hr_size is no multiple of `scale`.

    Examples:
        >>> faces = PhotoSet([np.zeros((40, 40, 3), np.uint8)] * 2, size=32)
        >>> batch = next(iter(style_batches(faces, faces, hr_size=32, scale=4, batch_size=2, seed=0)))
        >>> {name: tuple(images.shape) for name, images in batch.items() if name in ("hr", "lr")}
        {'hr': (2, 32, 32, 3), 'lr': (2, 8, 8, 3)}
    """
    _check_multiple(hr_size, scale, "HR size")
    seed = int(seed) % 2**32
    lr_size = hr_size // scale
    sides = [hr_size, lr_size] + [hr_size] * synthetic
    is_own = _own_samples(batch_size, *share)

    def read(number: np.int64) -> list[np.ndarray]:
        index = int(number)
        if not is_own(index):
            return [np.zeros((side, side, 3), np.uint8) for side in sides]
        face = _pick(hr, hr_size, seed, _HR, index, batch_size)
        images = [face, _pick(lr, lr_size, seed, _LR, index, batch_size)]
        if synthetic:
            own = hr.number(index, seed, _HR, batch_size)
            images.append(_pick(hr, hr_size, seed, _STYLE, index, batch_size, other_than=own))
        return images

    def sample(index: tf.Tensor) -> dict[str, tf.Tensor]:
        images = tf.numpy_function(read, [index], [tf.uint8] * len(sides), stateful=False)
        images = [tf.ensure_shape(image, (side, side, 3)) for image, side in zip(images, sides)]
        element = {"hr": _to_float(images[0]), "lr": _to_float(images[1]), "index": index}
        if synthetic:
            pair = tf.stack([_to_float(images[2]), element["hr"]])
            pair = classical(pair, scale, _seed(seed, _KIND, index), _seed(seed, _NOISE, index))
            element["style"], element["target"] = pair[0], pair[1]
        return element

    return _samples(sample, batch_size, start_step).prefetch(tf.data.AUTOTUNE)


def sr_batches(
    hr: PhotoSet,
    patch_size: int,
    scale: int,
    batch_size: int,
    seed: int,
    degrade: str | Callable = "bicubic",
    styles: PhotoSet | None = None,
    bicubic_share: float = 0.0,
    classical_share: float = 0.0,
    wide_share: float = 0.0,
    sharpen: float = 0.0,
    zoom: float = 1.0,
    everyday: PhotoSet | None = None,
    everyday_share: float = 0.0,
    start_step: int = 0,
    unpaired: bool = False,
    share: tuple[int, int] = (0, 1),
) -> tf.data.Dataset:
    """Pairs for the SR network, without end: (lr, hr) float32 in [0, 1], hr (B, P, P, 3), lr (B, P/scale, P/scale, 3).

    Args:
        hr: photos of at least patch_size; a random patch of each, flipped half the time.
        patch_size: P, a multiple of `scale`.
        degrade: "bicubic"; "classical" or "wide", of a new kind for each sample; or a TensorFlow function
            (hr (B, P, P, 3), styles (B, s, s, 3) or None, seed (2,) int64) -> lr, which gets `hr`'s mean colour.
        styles: real LR photos, from which `degrade` gets a random batch, s = styles.size.
        bicubic_share: the share of samples that are shrunk bicubically instead, so that clean photos stay clean.
        classical_share: the share of samples that are degraded by "classical" instead.
        wide_share: the share of samples that are degraded by "wide" instead. The three are at most 1 together.
        sharpen: amount of the unsharp mask that the HR patches get once LR is made of them: of the targets alone.
        zoom: half of the patches of `hr` are enlarged by up to this, so that larger faces are no news. Their targets
            are soft, and a function that learnt from faces of one size does not know them: where `degrade` is one,
            they are degraded in the three other ways instead, in the proportion of their shares.
        everyday: photos of at least patch_size, without faces, shown at sizes of their own, degraded as enlarged ones.
        everyday_share: the share of samples that are patches of `everyday`.
        start_step: the first step to give.
        unpaired: give ({"lr": lr, "real": patches of `styles`, "sharp": of `hr`, never enlarged}, hr) instead, as many
            of each, cut alike; `styles` of at least P / scale are needed.
        share: as for `style_batches`.

    Raises:
        UserError: if patch_size is no multiple of `scale`.
        ValueError: for another `degrade`, or shares of 0 where `zoom` or `everyday` needs them.

    Examples:
        >>> faces = PhotoSet([np.zeros((40, 40, 3), np.uint8)] * 2, size=32)
        >>> lr, hr = next(iter(sr_batches(faces, patch_size=32, scale=4, batch_size=2, seed=0, degrade="bicubic")))
        >>> print(lr.shape, hr.shape)
        (2, 8, 8, 3) (2, 32, 32, 3)
    """
    _check_multiple(patch_size, scale, "patch size")
    seed = int(seed) % 2**32
    learnt = callable(degrade)
    if not learnt and degrade != "bicubic" and degrade not in _HAND_MADE:
        raise ValueError(f'degrade is {degrade!r}, must be "bicubic", "classical", "wide" or a function')
    shares = bicubic_share + wide_share + classical_share
    varied = zoom > 1 or everyday is not None
    if learnt and varied and not shares:
        raise ValueError("zoom and everyday need bicubic_share, wide_share or classical_share above 0")
    shares_of = {"classical": classical_share, "wide": wide_share}
    hand_made = [name for name, share in shares_of.items() if share or name == degrade]
    used, real = styles if learnt else None, styles if unpaired else None
    sides = [patch_size] if used is None else [patch_size, used.size]
    sides += [patch_size // scale, patch_size] if unpaired else []
    is_own = _own_samples(batch_size, *share)

    def read(number: np.int64) -> list:
        index = int(number)
        if not is_own(index):
            return [*(np.zeros((side, side, 3), np.uint8) for side in sides), True]
        patch, own_size = _varied(hr, patch_size, seed, index, batch_size, zoom, everyday, everyday_share)
        images = [patch, *([] if used is None else [_pick(used, used.size, seed, _LR, index, batch_size)])]
        if real is not None:
            images += [_pick(real, patch_size // scale, seed, _REAL, index, batch_size)]
            images += [_pick(hr, patch_size, seed, _SHARP, index, batch_size)]
        return [*images, own_size]

    def sample(index: tf.Tensor) -> dict[str, tf.Tensor]:
        *images, own_size = tf.numpy_function(read, [index], [tf.uint8] * len(sides) + [tf.bool], stateful=False)
        images = [tf.ensure_shape(image, (side, side, 3)) for image, side in zip(images, sides)]
        element = {"hr": _to_float(images[0]), "index": index, "own_size": tf.ensure_shape(own_size, ())}
        if used is not None:
            element["style"] = _to_float(images[1])
        if unpaired:
            element["real"], element["sharp"] = map(_to_float, images[-2:])
        kind, noise = _seed(seed, _KIND, index), _seed(seed, _NOISE, index)
        for name in hand_made:
            element[name] = _HAND_MADE[name](element["hr"], scale, kind, noise)
        return element

    def pair(batch: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        first = batch["index"][0]
        hr = batch["hr"]
        batch["bicubic"] = bicubic(hr, scale)
        if callable(degrade):
            lr = degrade(hr, batch.get("style"), _seed(seed, _DEGRADE, first))
            lr = tf.ensure_shape(lr, (batch_size, patch_size // scale, patch_size // scale, 3))
            lr = recoloured(lr, batch["bicubic"])
        else:
            lr = batch[degrade]
        # Below: bicubic, then wide; at the upper end: classical; between them `degrade`.
        chance = tf.random.stateless_uniform((batch_size, 1, 1, 1), _seed(seed, _SHARE, first), alg="philox")
        low, high = bicubic_share + wide_share, 1.0 - classical_share
        if learnt and varied:
            other = shares * chance
            other = tf.where(other < low, other, other + 1.0 - shares)
            chance = tf.where(batch["own_size"][:, None, None, None], chance, other)
        if classical_share > 0:
            lr = tf.where(chance >= high, batch["classical"], lr)
        if wide_share > 0:
            lr = tf.where(chance < low, batch["wide"], lr)
        if bicubic_share > 0:
            lr = tf.where(chance < bicubic_share, batch["bicubic"], lr)
        if unpaired:
            lr = {"lr": lr, "real": batch["real"], "sharp": batch["sharp"]}
        return lr, unsharp_mask(hr, sharpen) if sharpen else hr

    batches = _samples(sample, batch_size, start_step)
    return batches.map(pair, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(tf.data.AUTOTUNE)


def _check_multiple(size: int, scale: int, name: str) -> None:
    if size % scale:
        raise UserError(f"{name} is {size}, must be a multiple of the scale, {scale}: choose {size - size % scale}")


def _own_samples(batch_size: int, worker: int, workers: int) -> Callable[[int], bool]:
    """Whether a sample is one of those that this worker trains on: the neighbouring ones of each batch that tf.data's
    sharding gives it."""
    each = batch_size // workers
    return lambda index: index % batch_size // each == worker


def _samples(sample: Callable, batch_size: int, start_step: int) -> tf.data.Dataset:
    """Batches of `sample(index)` from index start_step * batch_size on, in order."""
    numbers = tf.data.Dataset.range(start_step * batch_size, np.iinfo(np.int64).max)
    samples = numbers.map(sample, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return samples.batch(batch_size, drop_remainder=True)


def _seed(seed: int, stream: int, index: tf.Tensor) -> tf.Tensor:
    """A (2,) int64 seed for stateless operations."""
    return tf.stack([tf.constant(seed * 16 + stream, tf.int64), index])


def _to_float(image: tf.Tensor) -> tf.Tensor:
    return tf.cast(image, tf.float32) / 255.0


def _pick(
    photos: PhotoSet, size: int, seed: int, stream: int, index: int, batch_size: int, other_than: int | None = None
) -> np.ndarray:
    """A random size x size piece of the sample's photo, flipped half the time: uint8 (size, size, 3)."""
    number = photos.number(index, seed, stream, batch_size)
    if number == other_than:
        number = (number + 1) % len(photos)
    photo = photos.photo(number)
    return _piece(photo, size, np.random.default_rng((seed, stream, index, 1)))


def _varied(
    faces: PhotoSet,
    size: int,
    seed: int,
    index: int,
    batch_size: int,
    zoom: float,
    everyday: PhotoSet | None,
    everyday_share: float,
) -> tuple[np.ndarray, bool]:
    """A size x size patch of a face or of an everyday photo, and whether it is a face at its own size."""
    rng = np.random.default_rng((seed, _ZOOM, index))
    if everyday is not None and rng.random() < everyday_share:
        photo, factor = everyday.photo(int(rng.integers(len(everyday)))), _log_uniform(rng, *_EVERYDAY_ZOOM)
    elif zoom > 1 and rng.random() < 0.5:
        photo, factor = faces.photo(faces.number(index, seed, _HR, batch_size)), _log_uniform(rng, 1.0, zoom)
    else:
        return _pick(faces, size, seed, _HR, index, batch_size), True
    side = min(max(1, round(size / factor)), *photo.shape[:2])
    return resized(_piece(photo, side, rng), size, size), False


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _piece(photo: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """A random size x size piece, flipped half the time."""
    top, left = (int(rng.integers(side - size + 1)) for side in photo.shape[:2])
    piece = photo[top : top + size, left : left + size]
    return np.ascontiguousarray(piece[:, ::-1] if rng.random() < 0.5 else piece)
