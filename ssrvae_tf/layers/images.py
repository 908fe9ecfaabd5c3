"""Fixed image operations: bicubic shrinking, means, high-pass, shifts. float32, (B, H, W, C) -> (B, H', W', C)."""

from __future__ import annotations

from typing import Sequence

import numpy as np
import tensorflow as tf

from ssrvae_tf.compat import old_stack


def bicubic_shrink(images: tf.Tensor, scale: int) -> tf.Tensor:
    """Shrink by an integer factor as Pillow's BICUBIC: antialiased Keys kernel (a = -1/2), renormalised at borders.

    A strided convolution divided by that of ones: any H and W (multiples of scale), and plain TFLite operators.

    Examples:
        >>> print(bicubic_shrink(tf.ones([1, 32, 24, 3]), 4).shape)
        (1, 8, 6, 3)
    """
    if scale == 1:
        return images
    count = 4 * scale - scale % 2  # an output lies between two pixels if scale is even, on one if it is odd
    taps = _keys(np.abs((np.arange(count) - (count - 1) / 2) / scale))
    taps = (taps / taps.sum()).astype("float32")
    for kernel in (taps[:, None], taps[None, :]):
        images = _strided(images, kernel, scale)
    return images


def bicubic_enlarge(images: tf.Tensor, scale: int) -> tf.Tensor:
    """Enlarge by an integer factor as Pillow's BICUBIC: Keys kernel (a = -1/2), renormalised at borders.

    Two convolutions divided by those of ones: any H and W, and plain TFLite operators.

    Examples:
        >>> print(bicubic_enlarge(tf.ones([1, 8, 6, 3]), 4).shape)
        (1, 32, 24, 3)
    """
    places = (np.arange(scale) + 0.5) / scale - 0.5  # of a pixel's outputs, from its middle
    taps = _keys(np.abs(np.arange(-2, 3)[:, None] - places)).astype("float32")[:, None, None, :]  # (5, 1, 1, scale)

    def enlarge(images: tf.Tensor) -> tf.Tensor:
        height, width, channels = images.shape[1] or tf.shape(images)[1], tf.shape(images)[2], images.shape[-1]
        rows = tf.nn.conv2d(_planes(images), taps, 1, "SAME")  # (B C, H, W, scale)
        rows = tf.reshape(tf.transpose(rows, [0, 1, 3, 2]), [-1, scale * height, width, 1])
        return _channels(rows, channels)

    for _ in range(2):
        images = enlarge(images) / enlarge(tf.ones_like(images[:1, ..., :1]))
        images = tf.transpose(images, [0, 2, 1, 3])
    return images


def _strided(images: tf.Tensor, kernel: np.ndarray, scale: int) -> tf.Tensor:
    channels = images.shape[-1]
    filters = np.repeat(kernel[:, :, None, None], channels, axis=2)
    strides = [scale if size > 1 else 1 for size in kernel.shape]
    margin = (kernel.size - scale) // 2  # the first output's centre lies (scale - 1) / 2 into the image
    edges = [[0, 0], *([margin, margin] if size > 1 else [0, 0] for size in kernel.shape), [0, 0]]

    def shrink(tensor: tf.Tensor) -> tf.Tensor:
        return tf.nn.conv2d(_planes(tf.pad(tensor, edges)), filters[:, :, :1], [1, *strides, 1], "VALID")

    return _channels(shrink(images), channels) / _channels(shrink(tf.ones_like(images[:1, ..., :1])), 1)


def _planes(images: tf.Tensor) -> tf.Tensor:
    """(B, H, W, C) -> (B * C, H, W, 1)."""
    shape = tf.shape(images)
    return tf.reshape(tf.transpose(images, [0, 3, 1, 2]), [shape[0] * shape[3], shape[1], shape[2], 1])


def _channels(planes: tf.Tensor, channels: int) -> tf.Tensor:
    """The inverse of `_planes`."""
    shape = tf.shape(planes)
    return tf.transpose(tf.reshape(planes, [-1, channels, shape[1], shape[2]]), [0, 2, 3, 1])


def _keys(distance: np.ndarray, a: float = -0.5) -> np.ndarray:
    near = (a + 2) * distance**3 - (a + 3) * distance**2 + 1
    far = a * (distance**3 - 5 * distance**2 + 8 * distance - 4)
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))


def local_mean(images: tf.Tensor, size: int) -> tf.Tensor:
    """The mean over a size x size window; at borders over the pixels inside.

    Examples:
        >>> dot = tf.constant([[[[0.0], [0.0], [0.0]], [[0.0], [9.0], [0.0]], [[0.0], [0.0], [0.0]]]])
        >>> round(float(local_mean(dot, 3)[0, 1, 1, 0]), 4)
        1.0
    """
    return tf.nn.avg_pool2d(images, size, 1, "SAME")


def high_pass(images: tf.Tensor) -> tf.Tensor:
    """What a 3x3 mean takes away.

    Examples:
        >>> even = tf.fill([1, 6, 5, 3], 0.5)
        >>> round(float(tf.reduce_max(tf.abs(high_pass(even)))), 4)
        0.0
    """
    return images - local_mean(images, 3)


def mirrored(images: tf.Tensor, border: int | tf.Tensor, left: int | tf.Tensor | None = None) -> tf.Tensor:
    """Continue images by `border` pixels on each side, mirrored at their edges, edge pixels included.

    Args:
        images: (B, H, W, C).
        border: at most H and W.
        left: on the left and right; as above and below unless told.

    Examples:
        >>> row = tf.constant([[[[1.0], [2.0], [3.0]]]])
        >>> mirrored(row, border=1)[0, 0, :, 0].numpy().tolist()
        [1.0, 1.0, 2.0, 3.0, 3.0]
    """
    left = border if left is None else left
    return tf.pad(images, [[0, 0], [border, border], [left, left], [0, 0]], "SYMMETRIC")


def shift_mirrored(images: tf.Tensor, offsets: tf.Tensor, margins: Sequence[int | tf.Tensor]) -> tf.Tensor:
    """Move each image by whole pixels; what enters is the image mirrored at its edge, edge pixel included.

    Mirrored first, then moved: what tfa.image.translate's own fill_mode="reflect" gives has another gradient than it
    should.

    Args:
        images: (B, H, W, C).
        offsets: (B, 2), whole numbers of pixels to the right and down.
        margins: the largest offsets there can be down and to the right, two integers; at most H and W.

    Examples:
        >>> row = tf.constant([[[[1.0], [2.0], [3.0]]]])
        >>> shift_mirrored(row, offsets=tf.constant([[1.0, 0.0]]), margins=(0, 1)).numpy().ravel().tolist()
        [1.0, 1.0, 2.0]
    """
    height, width = tf.unstack(tf.shape(images)[1:3])
    top, left = margins
    with old_stack("tensorflow_addons") as tfa:
        moved = (tfa.image.translate if tfa else translated)(mirrored(images, top, left), offsets)
    return tf.ensure_shape(moved[:, top : top + height, left : left + width], images.shape)


def translated(images: tf.Tensor, offsets: tf.Tensor) -> tf.Tensor:
    """What tfa.image.translate gives: images (B, H, W, C) moved by offsets (B, 2), pixels to the right and down, to the
    nearest pixel; zeros enter."""
    ones, zeros = tf.ones_like(offsets[:, :1]), tf.zeros_like(offsets[:, :1])
    # x' = x - right, y' = y - down: where each pixel comes from.
    rows = [ones, zeros, -offsets[:, :1], zeros, ones, -offsets[:, 1:], zeros, zeros]
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.concat(rows, 1),
        output_shape=tf.shape(images)[1:3],
        fill_value=0.0,
        interpolation="NEAREST",
        fill_mode="CONSTANT",
    )
