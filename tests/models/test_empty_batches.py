from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from ssrvae_tf.models import EDSR, SRNetwork
from ssrvae_tf.models.empty_batches import of_any_batch


@pytest.mark.onednn
@pytest.mark.parametrize("make", [lambda: SRNetwork(4, 8, 1, 1, kernel_size=3), lambda: EDSR(4, 8, 1)])
def test_a_network_makes_nothing_of_nothing(make):
    model = make()
    for run, size in ((model, (6, 5)), (model.enlarge, (6, 5)), (model.predict, (6, 5)), (model.enlarge, (300, 200))):
        assert run(np.zeros((0, *size, 3), np.float32)).shape == (0, 4 * size[0], 4 * size[1], 3)
    batches = tf.data.Dataset.from_tensor_slices(np.zeros((2, 99, 95, 3), np.float32)).batch(2)
    batches = batches.concatenate(batches.map(lambda lr: lr[:0]))
    assert model.predict(batches, verbose=0).shape == (2, 396, 380, 3)


def test_the_network_never_sees_an_empty_batch_and_others_as_they_are():
    seen = []

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3))])
    def run(images):
        def network(each):
            tf.numpy_function(lambda given: seen.append(given), [each], [])
            return each[:, ::2, ::2]

        return of_any_batch(network, images, tf.shape(images)[1:3] // 2, least=2)

    images = np.random.default_rng(0).random((3, 6, 8, 3), np.float32)
    np.testing.assert_array_equal(run(images), images[:, ::2, ::2])
    np.testing.assert_array_equal(seen.pop(), images)
    assert run(images[:0]).shape == (0, 3, 4, 3)
    assert seen.pop().shape == (1, 2, 2, 3)
