"""From a sharp photo to a small one, without learning: `bicubic`, and random `classical` and `wide` degradation."""

from __future__ import annotations

import math
from typing import Sequence, Union

import numpy as np
import tensorflow as tf

from ssrvae_tf.layers import bicubic_shrink, mirrored

_DRAWS = 17  # random numbers that make one kind of `classical` degradation
_DIRECT_DRAWS = 15  # ... of `wide`'s own
_LEAST = 0.45  # times the result's size: the smallest that `classical` takes a face to have been caught at
_LEAST_OF_WIDE = 0.25  # ... `wide`: photos that were enlarged before

Images = Union[np.ndarray, tf.Tensor]
Seed = Union[Sequence[int], tf.Tensor]
Number = Union[float, tf.Tensor]


def bicubic(hr: Images, scale: int) -> tf.Tensor:
    """Shrink by an integer factor as Pillow's BICUBIC does (antialiased).

    One image (H, W, 3) or a batch with values in [0, 1], H and W multiples of `scale` -> (..., H / scale, W / scale, 3)
    in [0, 1].

    Examples:
        >>> print(bicubic(np.ones((32, 24, 3), "float32"), 4).shape)
        (8, 6, 3)
    """
    hr = tf.convert_to_tensor(hr, tf.float32)
    lr = tf.clip_by_value(bicubic_shrink(hr if hr.shape.rank == 4 else hr[tf.newaxis], scale), 0.0, 1.0)
    return _with_static_size(lr if hr.shape.rank == 4 else lr[0], hr, scale)


def classical(hr: Images, scale: int, kind_seed: Seed, noise_seed: Seed) -> tf.Tensor:
    """Degrade as cameras, screens and web sites do: blur, rescale, sharpen, noise, JPEG.

    The face is blurred, shrunk to the size at which a camera might have caught it (0.45 to 1.6 times the result's),
    made noisy and JPEG-coded there, and brought to H // scale, as a real small photo would be. Each part is absent at
    times. The ranges were set by eye, and by the spread of high-pass energy, so that results span what real faces of
    16 to 64 pixels show.

    Args:
        hr: (H, W, 3) float32 in [0, 1], H and W multiples of `scale`; or (N, H, W, 3) with a static N: N images
            that all get the same kind of degradation, each with noise of its own.
        scale: HR size / LR size.
        kind_seed: (2,) integers that fix every parameter: blur, sizes, kernels, noise level, JPEG quality and grid.
        noise_seed: (2,) integers that fix the noise itself.

    Returns:
        (H // scale, W // scale, 3) float32 in [0, 1], or (N, H // scale, W // scale, 3).

    Examples:
        >>> print(classical(np.ones((32, 24, 3), "float32"), 4, kind_seed=(1, 2), noise_seed=(3, 4)).shape)
        (8, 6, 3)
    """
    hr = tf.convert_to_tensor(hr, tf.float32)
    lr = _caught(hr if hr.shape.rank == 4 else hr[tf.newaxis], scale, kind_seed, noise_seed, _LEAST)
    return _with_static_size(lr if hr.shape.rank == 4 else lr[0], hr, scale)


def _caught(images: tf.Tensor, scale: int, kind_seed: Seed, noise_seed: Seed, least: float) -> tf.Tensor:
    """`classical` of (N, H, W, 3), caught at `least` times the result's size or more."""
    count, size = images.shape[0], tf.shape(images)[1:3] // scale
    draw = iter(tf.unstack(tf.random.stateless_uniform((_DRAWS,), kind_seed, alg="philox"))).__next__

    # Twice the LR size holds all that survives, and filtering there is cheap.
    factor = scale // 2 if scale % 2 == 0 else 1
    if factor > 1:
        images = tf.nn.avg_pool2d(images, factor, factor, "VALID")
    pixel = scale / factor  # an LR pixel, in pixels of `images`

    sigma = pixel * tf.where(draw() < 0.85, 0.1 + 1.5 * draw() ** 1.25, 0.0)
    ratio = tf.where(draw() < 0.4, 1.0 - 0.7 * draw(), 1.0)
    sharpening = tf.where(draw() < 0.2, 1.5 * draw(), 0.0)
    images = _blur(images, sigma, ratio, math.pi * draw(), sharpening, 0.7 * pixel)

    zoom = tf.where(draw() < 0.9, least * tf.exp(math.log(1.6 / least) * draw()), 1.0)
    native = tf.maximum(tf.cast(tf.round(zoom * tf.cast(size, tf.float32)), tf.int32), 4)
    images = _shrink(images, native, draw())

    level = tf.where(draw() < 0.6, 0.06 * draw() ** 3, 0.0)  # mostly faint
    images = _add_noise(images, level, draw(), draw() < 0.5, noise_seed)

    coded, quality, place = draw() < 0.8, 25.0 + 70.0 * draw(), draw()
    images = tf.ensure_shape(tf.clip_by_value(images, 0.0, 1.0), (count, None, None, 3))
    images = tf.cond(coded, lambda: _jpeg(images, quality, place), lambda: images)
    return tf.clip_by_value(tf.image.resize(images, size, "bicubic", antialias=True), 0.0, 1.0)


def wide(hr: Images, scale: int, kind_seed: Seed, noise_seed: Seed) -> tf.Tensor:
    """Degrade in more ways than real small faces show, so that no photo is new to a network that learns from it.

    Half the time as `classical`, but from a quarter of the result's size on, as photos are that were enlarged before.
    Else the photo is blurred or not, shrunk straight to the result's size, at times with aliases, and there made noisy
    or not and JPEG-coded or not: as a photo is that was made small and sent on.

    Args and returns as `classical`.

    Examples:
        >>> print(wide(np.ones((32, 24, 3), "float32"), 4, kind_seed=(1, 2), noise_seed=(3, 4)).shape)
        (8, 6, 3)
    """
    hr = tf.convert_to_tensor(hr, tf.float32)
    images = hr if hr.shape.rank == 4 else hr[tf.newaxis]
    # A number of its own: the first of `kind_seed`'s are the parameters'.
    half = tf.random.stateless_uniform((), tf.cast(kind_seed, tf.int64) + (0, 1 << 40), alg="philox") < 0.5
    lr = tf.cond(
        half,
        lambda: _caught(images, scale, kind_seed, noise_seed, _LEAST_OF_WIDE),
        lambda: _direct(images, scale, kind_seed, noise_seed),
    )
    return _with_static_size(lr if hr.shape.rank == 4 else lr[0], hr, scale)


def _direct(images: tf.Tensor, scale: int, kind_seed: Seed, noise_seed: Seed) -> tf.Tensor:
    """`wide`'s other half: (N, H, W, 3) -> (N, H // scale, W // scale, 3)."""
    size = tf.shape(images)[1:3] // scale
    draw = iter(tf.unstack(tf.random.stateless_uniform((_DIRECT_DRAWS,), kind_seed, alg="philox"))).__next__
    sigma = scale * tf.where(draw() < 0.55, 2.3 * draw(), 0.0)
    ratio = tf.where(draw() < 0.3, 1.0 - 0.7 * draw(), 1.0)
    images = _blur(images, sigma, ratio, math.pi * draw(), 0.0, 1.0)
    images = _shrink(images, size, draw(), aliased=draw() < 0.4)
    level = tf.where(draw() < 0.5, 14.0 / 255.0 * draw() ** 1.5, 0.0)
    images = _add_noise(images, level, draw(), draw() < 0.3, noise_seed)
    coded, quality, place = draw() < 0.6, 25.0 + 70.0 * draw(), draw()
    images = tf.ensure_shape(tf.clip_by_value(images, 0.0, 1.0), (images.shape[0], None, None, 3))
    return tf.cond(coded, lambda: _jpeg(images, quality, place), lambda: images)


def recoloured(lr: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    """`lr` with the mean of each channel that `like` has: both (..., h, w, 3) in [0, 1] -> the same.

    What a learnt degradation does to colours is no part of what a network is to undo.

    Examples:
        >>> dark, light = tf.fill([8, 6, 3], 0.2), tf.fill([8, 6, 3], 0.6)
        >>> round(float(tf.reduce_mean(recoloured(dark, light))), 4)
        0.6
    """
    shift = tf.reduce_mean(like, [-3, -2], keepdims=True) - tf.reduce_mean(lr, [-3, -2], keepdims=True)
    return tf.clip_by_value(lr + shift, 0.0, 1.0)


def unsharp_mask(images: tf.Tensor, amount: float) -> tf.Tensor:
    """images + amount * (images - gaussian(images)), sigma 1 pixel: (B, H, W, 3) in [0, 1] -> the same shape and range.

    Borders are mirrored.
    """
    sharp = tf.clip_by_value(_blur(images, 0.0, 1.0, 0.0, amount, 1.0), 0.0, 1.0)
    return tf.ensure_shape(sharp, images.shape)


def _with_static_size(lr: tf.Tensor, hr: tf.Tensor, scale: int) -> tf.Tensor:
    height, width = (None if side is None else side // scale for side in hr.shape[-3:-1])
    return tf.ensure_shape(lr, [*hr.shape[:-3], height, width, hr.shape[-1]])


def _blur(images: tf.Tensor, sigma: Number, ratio: Number, angle: Number, sharpening: Number, halo: float) -> tf.Tensor:
    """Gaussian of any direction, then an unsharp mask, as one product of spectra: (N, H, W, 3) -> the same shape.

    `sigma` along `angle`, `ratio` * sigma across it; `halo` is the unsharp mask's own sigma. Borders are mirrored.
    """
    shape = tf.shape(images)
    border = tf.minimum(8, tf.minimum(shape[1], shape[2]))
    planes = tf.transpose(mirrored(images, border), [0, 3, 1, 2])  # (N, 3, h, w)
    height, width = tf.shape(planes)[2], tf.shape(planes)[3]
    fy = tf.cast(tf.range(height), tf.float32) / tf.cast(height, tf.float32)
    fy = tf.where(fy < 0.5, fy, fy - 1.0)[:, tf.newaxis]
    fx = (tf.cast(tf.range(width // 2 + 1), tf.float32) / tf.cast(width, tf.float32))[tf.newaxis]
    along = fx * tf.cos(angle) + fy * tf.sin(angle)
    across = fy * tf.cos(angle) - fx * tf.sin(angle)
    decay = -2.0 * math.pi**2
    response = tf.exp(decay * sigma**2 * (along**2 + (ratio * across) ** 2))
    response *= 1.0 + sharpening * (1.0 - tf.exp(decay * halo**2 * (fx**2 + fy**2)))
    spectrum = tf.signal.rfft2d(planes) * tf.cast(response, tf.complex64)
    planes = tf.signal.irfft2d(spectrum, tf.stack([height, width]))
    planes = planes[:, :, border : border + shape[1], border : border + shape[2]]
    return tf.transpose(planes, [0, 2, 3, 1])


def _shrink(images: tf.Tensor, size: tf.Tensor, chance: tf.Tensor, aliased: bool | tf.Tensor = False) -> tf.Tensor:
    """To `size` by averaging, bilinear or bicubic, whichever `chance` in [0, 1) says; or `aliased`: by leaving pixels
    out."""
    return tf.switch_case(
        tf.where(aliased, 3, tf.cast(3.0 * chance, tf.int32)),
        [
            lambda: tf.image.resize(images, size, "area"),
            lambda: tf.image.resize(images, size, "bilinear", antialias=True),
            lambda: tf.image.resize(images, size, "bicubic", antialias=True),
            lambda: tf.image.resize(images, size, "nearest"),
        ],
    )


def _add_noise(images: tf.Tensor, sigma: tf.Tensor, colour: tf.Tensor, shot: tf.Tensor, seed: Seed) -> tf.Tensor:
    """Gaussian noise, from gray (`colour` 0) to independent channels (1); `shot` noise grows with the light."""
    noise = tf.random.stateless_normal(tf.concat([tf.shape(images)[:3], [4]], 0), seed, alg="philox")
    noise = tf.sqrt(1.0 - colour) * noise[..., :1] + tf.sqrt(colour) * noise[..., 1:]  # (N, h, w, 3), variance 1
    light = tf.clip_by_value(tf.reduce_mean(images, -1, keepdims=True), 0.02, 1.0)
    return images + sigma * noise * tf.where(shot, tf.sqrt(2.0 * light), 1.0)


def _jpeg(images: tf.Tensor, quality: tf.Tensor, place: tf.Tensor) -> tf.Tensor:
    """Code and decode each image, its 8 x 8 grid shifted as if the face were cut from a larger photo."""
    shape = tf.shape(images)
    place = tf.cast(64.0 * place, tf.int32)
    top, left = tf.minimum(place // 8, shape[1]), tf.minimum(place % 8, shape[2])
    padded = tf.pad(images, [[0, 0], [top, 0], [left, 0], [0, 0]], "SYMMETRIC")
    quality = tf.cast(tf.round(quality), tf.int32)
    decoded = tf.stack([tf.image.adjust_jpeg_quality(padded[n], quality) for n in range(images.shape[0])])
    return decoded[:, top : top + shape[1], left : left + shape[2]]
