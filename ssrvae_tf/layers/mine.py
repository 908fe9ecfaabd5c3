"""Mutual information neural estimation (MINE, arXiv 1801.04062)."""

from __future__ import annotations

from typing import Any, Sequence

import keras
import tensorflow as tf

# exp(30) is far beyond any score of a trained critic; the limit keeps one wild score from ending a training in NaN.
_LARGEST_EXPONENT = 30.0


def mutual_information_bound(
    joint: tf.Tensor, marginal: tf.Tensor, log_average: tf.Tensor | None = None, momentum: float = 0.99
) -> tuple[tf.Tensor, tf.Tensor]:
    """Donsker-Varadhan bound on the mutual information, in nats (eq. 5): mean(joint) - log mean exp(marginal).

    The value is the plain bound. The gradient of its second term is divided by a moving average of mean exp(marginal)
    instead of the batch's own, which would bias it (MINE, section 3.2).

    Args:
        joint: scores T(x, y) of pairs that belong together, any shape.
        marginal: scores of shuffled pairs, any shape. Of none, as in a batch of 1, nothing is known: the bound is 0
            without a gradient, and the average stays.
        log_average: the logarithm of the moving average so far, a scalar; None takes the batch's own.
        momentum: of the moving average.

    Returns:
        (bound, the new log_average), scalars in float32. The caller keeps the second for the next step.

    Examples:
        >>> bound, average = mutual_information_bound(tf.ones([4, 1]), tf.zeros([4, 1]))
        >>> round(float(bound), 4)
        1.0
    """
    joint, marginal = tf.cast(joint, tf.float32), tf.cast(marginal, tf.float32)
    count = tf.cast(tf.size(marginal), tf.float32)
    log_mean = tf.stop_gradient(tf.reduce_logsumexp(marginal) - tf.math.log(count))
    if log_average is None:
        average, before = log_mean, 0.0
    else:
        average = tf.reduce_logsumexp([tf.math.log(momentum) + log_average, tf.math.log(1.0 - momentum) + log_mean])
        before = log_average
    ratio = tf.reduce_mean(tf.exp(tf.minimum(marginal - average, _LARGEST_EXPONENT)))
    bound = tf.reduce_mean(joint) - log_mean - (ratio - tf.stop_gradient(ratio))
    return tf.where(count > 0.0, bound, 0.0), tf.where(count > 0.0, average, before)


@keras.saving.register_keras_serializable("ssrvae_tf")
class StatisticsNetwork(keras.layers.Layer):
    """MINE's T: one score for each pair.

    `[x, y]` -> (B, 1) float32. x and y are both images (B, H, W, C), joined and reduced by strided convolutions, or
    both vectors (B, D), joined and passed to the dense layers at once.

    Args:
        filters: of the convolutions, the first one at full size and the rest at stride 2.
        units: of each of the two hidden dense layers.

    Examples:
        >>> print(StatisticsNetwork()([tf.zeros([2, 16, 16, 3]), tf.ones([2, 16, 16, 3])]).shape)
        (2, 1)
    """

    def __init__(self, filters: tuple[int, ...] = (32, 64, 64), units: int = 128, **kwargs: Any):
        super().__init__(**kwargs)
        self.filters, self.units = tuple(filters), units

    def build(self, input_shape: Sequence) -> None:
        first, second = input_shape
        images = len(first) == 4
        policy = self.dtype_policy
        self.convolutions = []
        if images:
            self.convolutions = [
                keras.layers.Conv2D(count, 3, 2 if i else 1, "same", activation="relu", name=f"conv_{i}", dtype=policy)
                for i, count in enumerate(self.filters)
            ]
        self.hidden = [keras.layers.Dense(self.units, "relu", name=f"hidden_{i}", dtype=policy) for i in range(2)]
        self.score = keras.layers.Dense(1, dtype="float32", name="score")
        channels = first[-1] + second[-1]
        for layer in self.convolutions:
            layer.build((None, None, None, channels))
            channels = layer.filters
        if images:
            channels *= 2
        for layer in (*self.hidden, self.score):
            layer.build((None, channels))
            channels = self.units
        self.built = True

    def call(self, inputs: Sequence[tf.Tensor]) -> tf.Tensor:
        x = tf.concat(inputs, -1)
        for layer in self.convolutions:
            x = layer(x)
        if self.convolutions:
            x = mean_and_deviation(x)
        for layer in self.hidden:
            x = layer(x)
        return self.score(x)

    def compute_output_shape(self, input_shape: Sequence) -> tuple:
        return (input_shape[0][0], 1)

    def get_config(self) -> dict:
        return {**super().get_config(), "filters": list(self.filters), "units": self.units}


def mean_and_deviation(features: tf.Tensor) -> tf.Tensor:
    """Each channel's mean and standard deviation over H and W: (B, H, W, C) -> (B, 2 C), float32.

    A degradation shows in how strong the filters answer, not in where.

    Examples:
        >>> print(mean_and_deviation(tf.zeros([2, 8, 8, 16])).shape)
        (2, 32)
    """
    mean, variance = tf.nn.moments(tf.cast(features, tf.float32), [1, 2])
    return tf.concat([mean, tf.sqrt(variance + 1e-6)], -1)
