from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from ssrvae_tf.errors import UserError
from ssrvae_tf.loading.saved_models import feature_levels


class Levels(tf.Module):
    """Means of 2x2 and of 4x4 pixels, times a variable."""

    def __init__(self):
        super().__init__()
        self.factor = tf.Variable(3.0)

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32, name="images")])
    def levels(self, images):
        return {f"level_{i}": self.factor * tf.nn.avg_pool2d(images, 2**i, 2**i, "SAME") for i in (1, 2, 3)}


def test_the_two_finest_levels_are_given_with_their_gradients(tmp_path):
    module = Levels()
    tf.saved_model.save(module, str(tmp_path / "net"), {"levels": module.levels})
    levels = feature_levels(tmp_path / "net")
    images = tf.constant(np.random.default_rng(0).random((1, 8, 8, 3), "float32"))
    with tf.GradientTape() as tape:
        tape.watch(images)
        first, second = levels(images)
        total = tf.reduce_sum(first) + tf.reduce_sum(second)
    np.testing.assert_allclose(first, 3 * tf.nn.avg_pool2d(images, 2, 2, "SAME"), rtol=1e-6)
    np.testing.assert_allclose(second, 3 * tf.nn.avg_pool2d(images, 4, 4, "SAME"), rtol=1e-6)
    np.testing.assert_allclose(tape.gradient(total, images), np.full(images.shape, 3 / 4 + 3 / 16), rtol=1e-5)


def test_what_gives_no_levels_is_refused_in_one_line(tmp_path):
    with pytest.raises(UserError, match="--perceptual .*nowhere: no SavedModel there: a SavedModel with a signature"):
        feature_levels(tmp_path / "nowhere")
    module = Levels()
    tf.saved_model.save(module, str(tmp_path / "net"), {"serving_default": module.levels})
    with pytest.raises(UserError, match="its signatures are serving_default: a SavedModel with a signature `levels`"):
        feature_levels(tmp_path / "net")
