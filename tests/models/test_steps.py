from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from ssrvae_tf.models.steps import minimise, scaled


@pytest.mark.parametrize("wrap", [lambda optimizer: optimizer, keras.mixed_precision.LossScaleOptimizer])
def test_a_step_follows_the_gradient_whatever_the_loss_is_scaled_by(wrap):
    optimizer, weight = wrap(keras.optimizers.SGD(0.1)), tf.Variable([1.0, 2.0])
    with tf.GradientTape() as tape:
        loss = scaled(optimizer, tf.reduce_sum(tf.square(weight)))
    minimise(optimizer, tape, loss, [weight])
    np.testing.assert_allclose(weight, [0.8, 1.6], rtol=1e-6)


def test_each_of_two_replicas_takes_half_of_the_loss():
    class Two:
        num_replicas_in_sync = 2

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tf.distribute, "get_strategy", Two)
        assert float(scaled(keras.optimizers.SGD(), tf.constant(3.0))) == 1.5
