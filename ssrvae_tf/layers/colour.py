"""What holds the colours of a result to those of the photo that it was made from."""

from __future__ import annotations

from typing import Any, Sequence

import keras
import tensorflow as tf

from ssrvae_tf.layers.images import local_mean

# Of red, green and blue in Matlab's rgb2ycbcr (ITU-R BT.601), whose luma of [0, 1] lies from 16 to 235 of 255.
LUMA = [65.481 / 255.0, 128.553 / 255.0, 24.966 / 255.0]


def luma(images: tf.Tensor) -> tf.Tensor:
    """RGB (B, H, W, 3) in [0, 1] -> Matlab's luma (B, H, W, 1), in [16/255, 235/255].

    Examples:
        >>> white = tf.ones([1, 1, 1, 3])
        >>> round(255 * float(tf.squeeze(luma(white))))
        235
    """
    return tf.reduce_sum(images * tf.constant(LUMA, images.dtype), -1, keepdims=True) + 16.0 / 255.0


def with_luma(images: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    """RGB (B, H, W, 3) with another luma (B, H, W, 1) and the same Cb and Cr.

    Examples:
        >>> red, gray = tf.constant([[[[1.0, 0.0, 0.0]]]]), tf.fill([1, 1, 1, 3], 0.5)
        >>> as_bright_as_gray = with_luma(red, luma(gray))
        >>> round(float(tf.squeeze(luma(as_bright_as_gray) - luma(gray))), 4)
        0.0
    """
    return images + (other - luma(images)) * (255.0 / 219.0)


@keras.saving.register_keras_serializable("ssrvae_tf")
class KeepColours(keras.layers.Layer):
    """Give an enlarged photo the colours of the small one, at sizes at which there is nothing to restore.

    `[lr (B, H, W, C), sr (B, scale H, scale W, C)]` -> sr + E(mean(lr - S(sr))), float32, in sr's shape. S shrinks by
    averaging, E enlarges bilinearly, and the mean is over a window of `size` x `size` LR pixels. No weights. Networks
    otherwise shift even areas by a gray level or two, most of all reds, once they have seen degraded colours.

    Args:
        scale: HR size / LR size.
        size: of the window, odd. 9: noise of a pixel is down to a ninth, and what edges differ by is nearly gone.

    Examples:
        >>> lr, sr = tf.fill([1, 4, 4, 3], 0.5), tf.fill([1, 16, 16, 3], 0.6)
        >>> round(float(tf.reduce_mean(KeepColours(4)([lr, sr]))), 3)
        0.5
    """

    def __init__(self, scale: int, size: int = 9, **kwargs: Any):
        super().__init__(**{"dtype": "float32", **kwargs})
        self.scale, self.size = scale, size

    def call(self, inputs: Sequence[tf.Tensor]) -> tf.Tensor:
        lr, sr = (tf.cast(each, tf.float32) for each in inputs)
        shift = local_mean(lr - tf.nn.avg_pool2d(sr, self.scale, self.scale, "VALID"), self.size)  # (B, H, W, C)
        return sr + tf.image.resize(shift, tf.shape(sr)[1:3])  # bilinear

    def compute_output_shape(self, input_shape: Sequence) -> tuple:
        return tuple(input_shape[1])

    def get_config(self) -> dict:
        return {**super().get_config(), "scale": self.scale, "size": self.size}
