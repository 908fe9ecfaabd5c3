from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from ssrvae_tf.models import SRNetwork
from ssrvae_tf.training.beginning import start_as_enlargement


@pytest.mark.parametrize(["scale", "most"], [(2, 0.02), (4, 0.03)])
def test_a_fresh_network_begins_as_bicubic_enlargement(scale, most):
    keras.utils.set_random_seed(0)
    model = SRNetwork(scale, 8, 1, 1, kernel_size=3)
    start_as_enlargement(model)
    smooth = np.random.default_rng(0).random((2, 5, 5, 3), "float32")
    lr = tf.image.resize(smooth, [16, 16], "bicubic")
    wanted = np.clip(tf.image.resize(lr, [16 * scale] * 2, "bicubic"), 0, 1)
    inside = slice(3 * scale, -3 * scale)
    np.testing.assert_allclose(model(lr).numpy()[:, inside, inside], wanted[:, inside, inside], atol=most)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.abs(model(lr, training=True) - 1.0))
    heard = tape.gradient(loss, model.get_layer("reconstruction").kernel)
    assert np.all(np.abs(heard).max((0, 1, 3)) > 0), "no feature may be lost"
