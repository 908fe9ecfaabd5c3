"""What `predict` takes: photos as one has them, or a sentence about what is wrong with them."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

_BEYOND = 0.5  # of [0, 1] is taken: shrinking and noise may leave some; 0 to 255 and -1 to 1 go further
_RANGE = "[0, 1] is wanted: divide by 255, or give uint8"


def is_array(x: Any) -> bool:
    """Whether `x` holds the photos themselves; if not, it is a dataset or the like, which yields them."""
    kept_by = ("__array__", "__array_interface__")  # the latter in Pillow's images
    return isinstance(x, (list, tuple)) or any(hasattr(x, name) for name in kept_by)


def photos_of(x: Any) -> np.ndarray:
    """The photos, float32 (B, H, W, 3), or one, (H, W, 3), of an array, a tensor, a Pillow image or a list of them.

    Args:
        x: uint8, or float in [0, 1]. A list of one batch, as Keras takes it, is that batch.

    Raises:
        ValueError: if it is anything else.
    """
    try:
        photos = np.asarray(x)
    except ValueError as error:
        raise ValueError("lr is a list of photos of several sizes: give one size, or one photo at a time") from error
    if isinstance(x, (list, tuple)) and photos.ndim == 5 and len(photos) == 1:
        photos = photos[0]
    _check(photos.dtype, photos.shape, ranks=(3, 4))
    return floats_of(photos)


def floats_of(photos: np.ndarray, name: str = "lr") -> np.ndarray:
    """float32 of photos, uint8 or float in [0, 1].

    Args:
        name: of the photos, in the error.

    Raises:
        ValueError: if they have another type or range.
    """
    _check_type(photos.dtype, name)
    if photos.dtype == np.uint8:
        return photos.astype(np.float32) / np.float32(255)
    photos = photos.astype(np.float32, copy=False)
    if photos.size and not (photos.min() >= -_BEYOND and photos.max() <= 1 + _BEYOND):  # NaN, too
        raise ValueError(f"{name} has values from {photos.min():g} to {photos.max():g}, {_RANGE}")
    return photos


def as_unit(photos: tf.Tensor) -> tf.Tensor:
    """float32 of photos in a graph: uint8 becomes [0, 1], floats keep their values."""
    numbers = tf.cast(photos, tf.float32)
    return numbers / 255.0 if photos.dtype == tf.uint8 else numbers


def checked(lr: tf.Tensor) -> tf.Tensor:
    """The same of a batch in a graph, float32 (B, H, W, 3).

    Raises:
        ValueError: while the graph is traced, for another type or shape.
        tf.errors.InvalidArgumentError: in the graph, for values out of range.
    """
    _check(lr.dtype.as_numpy_dtype, tuple(lr.shape) if lr.shape.rank else None, ranks=(4,))
    photos = tf.ensure_shape(lr, [None, None, None, 3])
    lr = as_unit(photos)
    if photos.dtype == tf.uint8:
        return lr
    least, most = tf.reduce_min(lr), tf.reduce_max(lr)
    fits = (least >= -_BEYOND) & (most <= 1 + _BEYOND)
    words = tf.strings.format("lr has values from {} to {}, " + _RANGE, [least, most])
    with tf.control_dependencies([tf.debugging.Assert(fits, [words])]):
        return tf.identity(lr)


def _check(dtype: Any, shape: tuple | None, ranks: tuple[int, ...]) -> None:
    if shape is not None and (len(shape) not in ranks or shape[-1] not in (3, None) or 0 in shape[-3:-1]):
        one = ", or (H, W, 3) of one photo" if 3 in ranks else ""
        raise ValueError(f"lr has the shape {shape}, (B, H, W, 3) is wanted{one}, H and W not 0{_hint(shape)}")
    _check_type(dtype, "lr")


def _check_type(dtype: Any, name: str) -> None:
    if dtype != np.uint8 and not np.issubdtype(dtype, np.floating):
        raise ValueError(f"{name} is {np.dtype(dtype)}, uint8 or float in [0, 1] is wanted: convert it")


def _hint(shape: tuple) -> str:
    if len(shape) == 2:
        return ": make gray RGB by np.stack([lr] * 3, -1), or take ssrvae_tf.upscale"
    if len(shape) in (3, 4) and shape[-1] == 1:
        return ": make gray RGB by np.repeat(lr, 3, -1), or take ssrvae_tf.upscale"
    if len(shape) in (3, 4) and shape[-1] == 4:
        return ": leave the alpha channel out by lr[..., :3], or take ssrvae_tf.upscale, which enlarges it too"
    return ""
