"""What judges styleVAE in training: the all-pairs critic of MINE and the discriminators. Not in a shipped model."""

from __future__ import annotations

from typing import Any, Sequence

import keras
import tensorflow as tf

from ssrvae_tf.layers import high_pass, mean_and_deviation, shift_mirrored


def build_in_a_row(layers: Sequence[keras.layers.Layer], channels: int) -> None:
    """Build convolutions of which each takes what the one before gives, the first `channels`."""
    for layer in layers:
        layer.build((None, None, None, channels))
        channels = layer.filters


class PairCritic(keras.layers.Layer):
    """MINE's T over all pairs of a batch: scores[i, j] = f(x_i) . g(y_j).

    `[x, y]`, both (B, h, w, 3) -> (B, B) float32; the diagonal holds the pairs that belong together. f and g share
    their convolutions, on high-passed images, pooled to means and deviations: who is on the photo tells it nothing.
    """

    def __init__(self, filters: Sequence[int] = (32, 64, 64), units: int = 64, **kwargs: Any):
        super().__init__(autocast=False, **kwargs)  # an image rounded to 8 bits has no faint noise left
        self.filters, self.units = tuple(filters), units

    def build(self, input_shape: Sequence) -> None:
        own = {"padding": "same", "activation": "relu", "dtype": self.dtype_policy}
        self.convolutions = [
            keras.layers.Conv2D(count, 3, 1 if i == 0 else 2, name=f"conv_{i}", **own)
            for i, count in enumerate(self.filters)
        ]
        build_in_a_row(self.convolutions, 3)
        self.hidden = keras.layers.Dense(2 * self.units, "relu", name="hidden", dtype=self.dtype_policy)
        self.hidden.build((None, 2 * sum(self.filters)))
        self.heads = [keras.layers.Dense(self.units, dtype="float32", name=name) for name in ("f", "g")]
        for head in self.heads:
            head.build((None, 2 * self.units))
        self.built = True

    def _embed(self, images: tf.Tensor, head: keras.layers.Layer) -> tf.Tensor:
        x, pooled = 8.0 * high_pass(tf.cast(images, tf.float32)), []
        for layer in self.convolutions:
            x = layer(x)
            pooled.append(mean_and_deviation(x))
        return head(self.hidden(tf.concat(pooled, -1)))

    def call(self, inputs: Sequence[tf.Tensor]) -> tf.Tensor:
        first, second = (self._embed(images, head) for images, head in zip(inputs, self.heads))
        return tf.matmul(first, second, transpose_b=True) / self.units**0.5


def joint_and_marginal(scores: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The diagonal and the rest of all-pairs scores: (B, B) -> (B,), (B * (B - 1),)."""
    others = tf.boolean_mask(scores, 1.0 - tf.eye(tf.shape(scores)[0]))
    return tf.linalg.diag_part(scores), others


def joint_and_shuffled(critic: keras.layers.Layer, x: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """A critic's scores of a batch's pairs, and of each y with its neighbour's x: (B, 1) each. In a batch of 1 that
    neighbour would be its own: (0, 1)."""
    count = tf.shape(x)[0]
    shuffled = critic([tf.roll(x, 1, 0), y])
    return critic([x, y]), shuffled[: tf.where(count > 1, count, 0)]


class Discriminator(keras.layers.Layer):
    """Real or made, patch by patch: (B, h, w, 3) -> (B, h / 8, w / 8, 1) float32. It sees the high-pass too."""

    def __init__(self, filters: Sequence[int] = (32, 64, 96, 96), **kwargs: Any):
        super().__init__(autocast=False, **kwargs)  # as in PairCritic
        self.filters = tuple(filters)

    def build(self, input_shape: Sequence) -> None:
        own = {"padding": "same", "dtype": self.dtype_policy}
        self.convolutions = [
            keras.layers.Conv2D(count, 3 if i == 0 else 4, 1 if i == 0 else 2, name=f"conv_{i}", **own)
            for i, count in enumerate(self.filters)
        ]
        self.score = keras.layers.Conv2D(1, 1, dtype="float32", name="score")
        build_in_a_row([*self.convolutions, self.score], 6)
        self.built = True

    def call(self, images: tf.Tensor) -> tf.Tensor:
        images = tf.cast(images, tf.float32)
        x = tf.concat([images, 4.0 * high_pass(images)], -1)
        for layer in self.convolutions:
            x = tf.nn.leaky_relu(layer(x), 0.2)
        return self.score(x)


def augment(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Differentiable augmentation for a discriminator that sees few real faces (arXiv 2006.10738): shift by up to an
    eighth, brightness, contrast, saturation, each sample on its own. (B, h, w, 3) -> the same; seed (2,)."""
    batch, height, width = tf.unstack(tf.shape(images)[:3])
    draw = tf.random.stateless_uniform([batch, 5], seed, -1.0, 1.0)
    sides = tf.cast(tf.stack([width, height]), tf.float32)
    images = shift_mirrored(images, tf.round(draw[:, :2] * sides / 8.0), (height // 8 + 1, width // 8 + 1))
    brightness, contrast, saturation = tf.unstack(draw[:, 2:, None, None, None], axis=1)
    images += 0.15 * brightness
    middle = tf.reduce_mean(images, [1, 2, 3], keepdims=True)
    images = middle + (images - middle) * (1.0 + 0.3 * contrast)
    gray = tf.reduce_mean(images, -1, keepdims=True)
    return gray + (images - gray) * (1.0 + 0.5 * saturation)
