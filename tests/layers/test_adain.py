from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from ssrvae_tf.layers import AdaIN
from tests.layers import reference


def built(channels, style, seed=0, **kwargs):
    layer = AdaIN(**kwargs)
    layer.build([(None, None, None, channels), (None, style)])
    reference.randomise(layer, seed)
    return layer


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 5, 3, 4), (3, 4, 7, 5), (2, 1, 9, 2)])
@pytest.mark.parametrize("epsilon", [1e-5, 0.1])
def test_adain_is_equation_2(rng, shape, epsilon):
    features, style = rng.normal(2.0, 3.0, shape), rng.normal(size=(shape[0], 6))
    layer = built(shape[3], 6, epsilon=epsilon)
    wanted = reference.adain(features, style, *reference.weights_of(layer.affine), epsilon)
    np.testing.assert_allclose(layer([features.astype("f"), style.astype("f")]), wanted, rtol=1e-4, atol=1e-4)


def test_a_fresh_adain_only_normalises(rng):
    features = rng.normal(3.0, 2.0, (2, 16, 15, 4)).astype("float32")
    out = AdaIN()([features, rng.normal(size=(2, 8)).astype("float32")]).numpy()
    np.testing.assert_allclose(out.mean((1, 2)), 0.0, atol=1e-5)
    np.testing.assert_allclose(out.std((1, 2)), 1.0, atol=1e-4)


def test_statistics_are_of_each_sample_and_channel(rng):
    features, style = rng.normal(size=(2, 5, 5, 3)).astype("float32"), rng.normal(size=(2, 4)).astype("float32")
    layer = built(3, 4)
    before = layer([features, style]).numpy()
    features[1] *= 7.0
    features[0, :, :, 2] += 5.0
    after = layer([features, style]).numpy()
    np.testing.assert_allclose(after, before, atol=1e-3)  # each plane's scale and offset vanish, nobody else's change


def test_a_constant_channel_becomes_the_shift(rng):
    layer = built(2, 3)
    style = rng.normal(size=(1, 3)).astype("float32")
    out = layer([np.full((1, 4, 4, 2), 9.0, "float32"), style]).numpy()
    shift = layer.affine(style).numpy()[:, 2:]
    np.testing.assert_allclose(out, np.broadcast_to(shift[:, None, None], out.shape), atol=1e-5)


def test_gradients(rng):
    features, style = rng.normal(size=(2, 3, 4, 3)), rng.normal(size=(2, 2))
    upstream = rng.normal(size=features.shape)
    layer = built(3, 2)
    kernel, bias = reference.weights_of(layer.affine)

    def loss():
        return np.sum(upstream * reference.adain(features, style, kernel, bias, 1e-5))

    x, z = tf.constant(features, tf.float32), tf.constant(style, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch([x, z])
        total = tf.reduce_sum(tf.cast(upstream, tf.float32) * layer([x, z]))
    for got, array in zip(tape.gradient(total, [x, z, *layer.trainable_weights]), (features, style, kernel, bias)):
        np.testing.assert_allclose(got, reference.numeric_gradient(loss, array), rtol=1e-3, atol=1e-3)


def test_statistics_are_float32_under_float16(rng):
    # In float16 the squares of these features (up to 4e6) would overflow.
    features = rng.normal(1000.0, 300.0, (1, 32, 32, 2)).astype("float16")
    out = AdaIN(dtype="mixed_float16")([features, np.ones((1, 3), "float16")])
    assert out.dtype == tf.float16
    wide = features.astype("float64")
    wanted = (wide - wide.mean((1, 2))) / wide.std((1, 2))
    np.testing.assert_allclose(np.asarray(out, "float64"), wanted, atol=5e-3)


@pytest.mark.parametrize("policy, tolerance", [("mixed_float16", 0.01), ("mixed_bfloat16", 0.05)])
def test_mixed_precision(rng, policy, tolerance, tmp_path):
    inputs = [rng.normal(size=(2, 5, 6, 4)).astype("float32"), rng.normal(size=(2, 3)).astype("float32")]
    reference.assert_mixed_precision(AdaIN, inputs, policy, tolerance, tmp_path)


def test_serialises(rng, tmp_path):
    inputs = [rng.normal(size=(2, 5, 6, 4)).astype("float32"), rng.normal(size=(2, 3)).astype("float32")]
    layer = built(4, 3, epsilon=0.01, kernel_initializer="he_normal", name="styled")
    assert layer.get_config()["epsilon"] == 0.01
    reference.assert_serialises(layer, inputs, tmp_path)


def test_height_and_width_are_dynamic(rng):
    layer = built(3, 2)

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3]), tf.TensorSpec([None, 2])])
    def traced(features, style):
        return layer([features, style])

    for shape in ((1, 1, 5, 3), (3, 6, 4, 3)):
        inputs = [rng.normal(size=shape).astype("float32"), rng.normal(size=(shape[0], 2)).astype("float32")]
        np.testing.assert_allclose(traced(*inputs), layer(inputs), atol=1e-5)
