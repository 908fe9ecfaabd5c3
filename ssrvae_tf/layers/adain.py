"""Adaptive instance normalisation."""

from __future__ import annotations

from typing import Any, Sequence

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("ssrvae_tf")
class AdaIN(keras.layers.Layer):
    """Give features the scale and shift that a style code asks for (eq. 2).

    y = scale(style) * (features - mean) / sqrt(variance + epsilon) + shift(style); mean and variance of each sample and
    channel over H and W, in float32. One dense layer computes scale and shift. A fresh layer has scale 1 and shift 0.

    `[features (B, H, W, C), style (B, D)]` -> (B, H, W, C).

    Args:
        epsilon: added to the variance, so that a constant channel stays finite.
        kernel_initializer: of the dense layer. "zeros": a fresh layer ignores the style.

    Examples:
        >>> features, style = tf.ones([2, 8, 8, 16]), tf.zeros([2, 4])
        >>> print(AdaIN()([features, style]).shape)
        (2, 8, 8, 16)
    """

    def __init__(self, epsilon: float = 1e-5, kernel_initializer: Any = "zeros", **kwargs: Any):
        super().__init__(**kwargs)
        self.epsilon = epsilon
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape: Sequence) -> None:
        features, style = input_shape
        self.channels = features[-1]
        self.affine = keras.layers.Dense(
            2 * self.channels, kernel_initializer=self.kernel_initializer, dtype="float32", name="affine"
        )
        self.affine.build((None, style[-1]))
        self.built = True

    def call(self, inputs: Sequence[tf.Tensor]) -> tf.Tensor:
        features, style = inputs
        wide = tf.cast(features, tf.float32)
        mean, variance = tf.nn.moments(wide, [1, 2], keepdims=True)  # (B, 1, 1, C)
        scale, shift = tf.split(self.affine(tf.cast(style, tf.float32))[:, None, None], 2, axis=-1)
        # Gain first: TensorFlow 2.15 takes gain * ((x - mean) * rsqrt) + shift for an instance norm with constant gain,
        # and crashes on a CPU when H and W are dynamic.
        gain = (1.0 + scale) * tf.math.rsqrt(variance + self.epsilon)
        return tf.cast((wide - mean) * gain + shift, features.dtype)

    def compute_output_shape(self, input_shape: Sequence) -> tuple:
        return tuple(input_shape[0])

    def get_config(self) -> dict:
        kernel = keras.initializers.serialize(self.kernel_initializer)
        return {**super().get_config(), "epsilon": self.epsilon, "kernel_initializer": kernel}
