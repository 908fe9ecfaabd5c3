"""A density of style codes, fitted after training to those of real faces."""

from __future__ import annotations

from typing import Any, Sequence

import keras
import tensorflow as tf
import tensorflow_probability as tfp

tfd = tfp.distributions


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

    def distribution(self) -> tfp.distributions.Distribution:
        """The mixture."""
        return tfd.MixtureSameFamily(
            tfd.Categorical(logits=tf.zeros([self.components])),
            tfd.MultivariateNormalDiag(tf.convert_to_tensor(self.means), tf.convert_to_tensor(self.deviations)),
        )

    def call(self, count: int | tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """(count, latent_dim) codes."""
        return self.distribution().sample(count, seed=seed)

    def get_config(self) -> dict:
        return {"name": self.name, "latent_dim": self.latent_dim, "components": self.components}
