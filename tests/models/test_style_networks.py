from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from ssrvae_tf.models.style_networks import ContentEncoder, Generator, StyleEncoder
from tests.layers import reference


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


NETWORKS = {
    "E_LR": (lambda **own: StyleEncoder(5, 8, (1, 2), **own), {"stem", "shrink_1", "posterior"}),
    "E_HR": (lambda **own: ContentEncoder(2, 8, 1, **own), set()),
    "G": (
        lambda **own: Generator(True, 4, 1, **own),
        {"affine", "noise_0", "last_noise", "gains", "last"},
    ),
    "G without AdaIN": (lambda **own: Generator(False, 0, 3, **own), {"last"}),
}
each_network = pytest.mark.parametrize("make, float32", NETWORKS.values(), ids=NETWORKS)


def inputs_of(network):
    if isinstance(network, Generator):
        return [random(2, 8, 8, 8), random(2, 6), random(2, 8, 8, 4)]
    return random(2, 8, 8, 3)


def outputs(network):
    return [np.asarray(output, "float32") for output in tf.nest.flatten(network(inputs_of(network)))]


@each_network
def test_networks_survive_their_configuration(make, float32):
    network = make(name="own")
    wanted = outputs(network)
    twin = type(network).from_config(network.get_config())
    assert twin.get_config() == network.get_config() and twin.name == "own"
    outputs(twin)
    twin.set_weights(network.get_weights())
    for one, two in zip(outputs(twin), wanted):
        np.testing.assert_array_equal(one, two)


@each_network
@pytest.mark.parametrize("policy, tolerance", [("mixed_bfloat16", 0.03), ("mixed_float16", 0.004)])
def test_a_policy_of_their_own_reaches_all_layers_but_those_that_need_float32(make, float32, policy, tolerance):
    keras.utils.set_random_seed(0)
    plain, mixed = make(), make(dtype=policy)
    wanted = outputs(plain)
    outputs(mixed)
    mixed.set_weights(plain.get_weights())
    assert all(weight.dtype == tf.float32 for weight in mixed.weights)
    reference.assert_policy_reaches(mixed, policy, float32)
    for one, two in zip(outputs(mixed), wanted):
        assert 0 < np.abs(one - two).max() < tolerance * np.abs(two).max()
    again = type(mixed).from_config(mixed.get_config())
    outputs(again)
    reference.assert_policy_reaches(again, policy, float32)


@pytest.mark.parametrize("policy, tolerance", [("mixed_bfloat16", 0.6), ("mixed_float16", 0.1)])
def test_the_style_encoder_in_mixed_precision_sees_faint_noise(policy, tolerance):
    keras.utils.set_random_seed(0)
    noisy, clean = reference.faint_noise(np.random.default_rng(0))
    plain, mixed = StyleEncoder(16, 32), StyleEncoder(16, 32, dtype=policy)
    answers = []
    for encoder in (plain, mixed):
        encoder(clean)
        encoder.set_weights(plain.get_weights())
        answers.append(reference.answers(encoder, noisy, clean))
    assert np.linalg.norm(answers[1] - answers[0]) < tolerance * np.linalg.norm(answers[0])
