"""A density of style codes, fitted after training to those of real faces."""

from __future__ import annotations

from typing import Any, Sequence

import keras
import tensorflow as tf

# tensorflow-probability 0.23's for a MixtureSameFamily.
_SALT = (-1854986581, 1052383636)


@keras.saving.register_keras_serializable("ssrvae_tf")
class StyleSampler(keras.layers.Layer):
    """The aggregate posterior as a mixture: equal parts of the posteriors of `components` real faces.

    Codes drawn from N(0, I) lie where no real face's code does, since codes of real faces correlate. Until `fit` the
    mixture is N(0, I).

    Args:
        latent_dim: size of a code.
        components: parts of the mixture.
    """

    def __init__(self, latent_dim: int = 256, components: int = 256, **kwargs: Any):
        super().__init__(dtype="float32", **kwargs)
        self.latent_dim, self.components = latent_dim, components

    def build(self, input_shape: Sequence | None = None) -> None:
        shape = (self.components, self.latent_dim)
        self.means = self.add_weight(name="means", shape=shape, initializer="zeros", trainable=False)
        self.deviations = self.add_weight(name="deviations", shape=shape, initializer="ones", trainable=False)
        self.built = True

    def fit(self, means: tf.Tensor, deviations: tf.Tensor, seed: int = 0) -> None:
        """Take `components` of the given posteriors, spread over all of them: two (N, latent_dim), N at least 1."""
        count = tf.shape(means)[0]
        order = tf.random.experimental.stateless_shuffle(tf.range(count), seed=[seed, 0])
        chosen = tf.gather(order, tf.range(self.components) % count)
        self.means.assign(tf.gather(means, chosen))
        self.deviations.assign(tf.gather(deviations, chosen))

    def call(self, seed: tf.Tensor, count: int | tf.Tensor) -> tf.Tensor:
        """(count, latent_dim) codes: the numbers that tensorflow-probability 0.23 draws from this mixture, whose later
        versions draw others."""
        seed = tf.bitwise.bitwise_xor(tf.cast(seed, tf.int32), _SALT)
        seeds = tf.random.stateless_uniform([2, 2], seed, None, None, tf.int32)
        chosen = tf.random.stateless_categorical(tf.zeros([1, self.components]), count, seeds[1])[0]  # (count,)
        noise = tf.random.stateless_normal([count, self.latent_dim, self.components], seeds[0])
        noise = tf.gather(noise, chosen, axis=2, batch_dims=1)  # (count, latent_dim)
        return tf.gather(self.means, chosen) + tf.gather(self.deviations, chosen) * noise

    def get_config(self) -> dict:
        return {"name": self.name, "latent_dim": self.latent_dim, "components": self.components}
