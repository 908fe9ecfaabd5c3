from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from ssrvae_tf.models.style_networks import ContentEncoder, Generator, StyleEncoder


def random(*shape, seed=0):
    return np.random.default_rng(seed).random(shape, "float32")


def test_the_style_encoder_gives_mean_and_bounded_log_deviation():
    encoder = StyleEncoder(5, 8, (1, 2, 2))
    mean, log_deviation = encoder(random(3, 16, 16, 3))
    assert mean.shape == log_deviation.shape == (3, 5) and mean.dtype == tf.float32
    encoder.set_weights([100 * value for value in encoder.get_weights()])
    assert np.all(np.abs(encoder(random(3, 16, 16, 3))[1] - (-2)) <= 4)
    assert len(encoder.blocks) == 3


def test_the_content_encoder_sees_every_pixel():
    encoder = ContentEncoder(4, 8, 1)
    hr = tf.Variable(random(1, 8, 12, 3))
    with tf.GradientTape() as tape:
        content = encoder(hr)
        total = tf.reduce_sum(tf.square(content))
    assert content.shape == (1, 2, 3, 8)
    assert np.all(np.abs(tape.gradient(total, hr)) > 0)


@pytest.mark.parametrize("adain", [True, False])
@pytest.mark.parametrize("noise_channels", [0, 4])
def test_the_generator_follows_style_and_noise(adain, noise_channels):
    generator = Generator(adain, noise_channels)
    content, style, noise = random(2, 5, 7, 8), random(2, 6, seed=1), random(2, 5, 7, 4, seed=2)
    made = generator([content, style, noise])
    assert made.shape == (2, 5, 7, 3) and made.dtype == tf.float32
    assert np.abs(made - generator([content, style + 1, noise])).max() > 0
    changed = np.abs(made - generator([content, style, noise + 1])).max() > 0
    assert changed == bool(noise_channels)


@pytest.mark.parametrize(
    "layer", [StyleEncoder(5, 8, (1, 2)), ContentEncoder(2, 8, 1), Generator(False, 4, 1)], ids=lambda layer: layer.name
)
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_networks_survive_their_configuration_and_mixed_precision(layer, policy):
    inputs = random(2, 8, 8, 3)
    if isinstance(layer, Generator):
        inputs = [random(2, 8, 8, 8), random(2, 6), random(2, 8, 8, 4)]
    wanted = layer(inputs)
    keras.mixed_precision.set_global_policy(policy)
    try:
        copy = type(layer).from_config({**layer.get_config(), "dtype": policy})
        copy(inputs)
        copy.set_weights(layer.get_weights())
        got = copy(inputs)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    for one, two in zip(tf.nest.flatten(got), tf.nest.flatten(wanted)):
        np.testing.assert_allclose(tf.cast(one, tf.float32), two, atol=0.15 * np.abs(two).max())
