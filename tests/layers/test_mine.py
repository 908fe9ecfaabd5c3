from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from ssrvae_tf.layers import StatisticsNetwork, mean_and_deviation, mutual_information_bound
from tests.layers import reference

IMAGES = [(2, 9, 7, 3), (2, 9, 7, 2)]
VECTORS = [(4, 3), (4, 5)]


def random_pair(rng, shapes):
    return [rng.normal(size=shape).astype("float32") for shape in shapes]


def built(shapes, **kwargs):
    network = StatisticsNetwork(**{"filters": (4, 6), "units": 8, **kwargs})
    network.build([(None, *shape[1:]) for shape in shapes])
    reference.randomise(network)
    return network


@pytest.mark.parametrize("log_average", [None, 1.5])
def test_the_bound_is_equation_5(rng, log_average):
    joint, marginal = rng.normal(size=(7, 1)), rng.normal(size=(9, 2))
    bound, average = mutual_information_bound(
        tf.constant(joint, tf.float32), tf.constant(marginal, tf.float32), log_average, momentum=0.9
    )
    assert float(bound) == pytest.approx(joint.mean() - np.log(np.exp(marginal).mean()), abs=1e-5)
    mean = np.exp(marginal).mean()
    wanted = mean if log_average is None else 0.9 * np.exp(1.5) + 0.1 * mean
    assert float(average) == pytest.approx(np.log(wanted), abs=1e-5)


def gradients(joint, marginal, **kwargs):
    joint, marginal = tf.constant(joint), tf.constant(marginal)
    with tf.GradientTape() as tape:
        tape.watch([joint, marginal])
        bound, _ = mutual_information_bound(joint, marginal, **kwargs)
    return [gradient.numpy() for gradient in tape.gradient(bound, [joint, marginal])]


def test_without_an_average_the_gradient_is_that_of_the_bound(rng):
    joint, marginal = rng.normal(size=6), rng.normal(size=8)
    got = gradients(joint.astype("float32"), marginal.astype("float32"))
    for gradient, array in zip(got, (joint, marginal)):
        wanted = reference.numeric_gradient(lambda: joint.mean() - np.log(np.exp(marginal).mean()), array)
        np.testing.assert_allclose(gradient, wanted, atol=1e-5)


def test_the_moving_average_takes_the_place_of_the_batch_mean_in_the_gradient(rng):
    joint, marginal = rng.normal(size=6).astype("float32"), rng.normal(size=8).astype("float32")
    of_joint, of_marginal = gradients(joint, marginal, log_average=2.0, momentum=0.75)
    average = 0.75 * np.exp(2.0) + 0.25 * np.exp(marginal).mean()
    np.testing.assert_allclose(of_joint, 1 / 6, atol=1e-6)
    np.testing.assert_allclose(of_marginal, -np.exp(marginal) / 8 / average, rtol=1e-4)


def test_the_moving_average_removes_the_bias_of_small_batches(rng):
    # T(x) = x with x ~ N(1, 1) has d log E exp(t x) / dt = 2 at t = 1. Batches of 4 estimate it too low on average.
    batches = rng.normal(1.0, 1.0, (20_000, 4)).astype("float32")

    def slope(batch, log_average):
        scale = tf.constant(1.0)
        with tf.GradientTape() as tape:
            tape.watch(scale)
            bound, _ = mutual_information_bound(tf.zeros(1), scale * batch, log_average, momentum=0.9999)
        return -tape.gradient(bound, scale)

    @tf.function
    def mean_slope(log_average):
        return tf.reduce_mean(tf.map_fn(lambda batch: slope(batch, log_average), batches))

    assert mean_slope(None) < 1.8
    assert float(mean_slope(1.5)) == pytest.approx(2.0, abs=0.1)  # log E exp(x) = 1.5


def test_wild_scores_stay_finite():
    bound, average = mutual_information_bound(tf.zeros(3), tf.constant([0.0, 1e4, -1e4]), log_average=0.0)
    assert np.isfinite(bound) and np.isfinite(average)
    for gradient in gradients(np.zeros(3, "float32"), np.array([0.0, 1e4, -1e4], "float32"), log_average=0.0):
        assert np.all(np.isfinite(gradient))


@pytest.mark.parametrize("log_average", [None, 1.5])
def test_without_a_shuffled_pair_there_is_no_bound_and_no_gradient(log_average):
    joint, marginal = np.array([2.0], "float32"), np.zeros(0, "float32")
    bound, average = mutual_information_bound(tf.constant(joint), tf.constant(marginal), log_average)
    assert float(bound) == 0.0 and float(average) == (log_average or 0.0)
    of_joint, of_marginal = gradients(joint, marginal, log_average=log_average)
    np.testing.assert_array_equal(of_joint, [0.0])
    assert of_marginal.shape == (0,)


def test_float16_scores_are_summed_in_float32():
    scores = tf.cast(tf.fill([4096], 9.0), tf.float16)  # the sum of their exponentials is far beyond 65,504
    bound, average = mutual_information_bound(scores, scores)
    assert bound.dtype == average.dtype == tf.float32
    assert float(bound) == pytest.approx(0.0, abs=1e-4) and float(average) == pytest.approx(9.0, abs=1e-4)


def test_estimates_the_mutual_information_of_gaussians():
    dimensions, rho, batch, steps = 2, 0.9, 512, 1500
    known = -dimensions / 2 * np.log(1 - rho**2)
    assert known == pytest.approx(1.66, abs=0.005)
    keras.utils.set_random_seed(0)
    generator = tf.random.Generator.from_seed(0)
    network = StatisticsNetwork(units=64)
    network.build([(None, dimensions)] * 2)
    optimizer = keras.optimizers.Adam(2e-3)
    optimizer.build(network.trainable_variables)
    average = tf.Variable(0.0)

    def scores(count):
        x = generator.normal([count, dimensions])
        y = rho * x + (1 - rho**2) ** 0.5 * generator.normal([count, dimensions])
        return network([x, y]), network([x, tf.roll(y, 1, 0)])

    @tf.function
    def train():
        with tf.GradientTape() as tape:
            bound, moved = mutual_information_bound(*scores(batch), average)
            loss = -bound
        optimizer.apply_gradients(zip(tape.gradient(loss, network.trainable_variables), network.trainable_variables))
        average.assign(moved)

    before = float(mutual_information_bound(*scores(50_000))[0])
    for step in range(steps):
        if step == steps * 2 // 3:
            optimizer.learning_rate.assign(4e-4)
        train()
    assert before < 0.2
    assert float(mutual_information_bound(*scores(50_000))[0]) == pytest.approx(known, rel=0.1)


def test_the_network_on_vectors_is_two_hidden_layers(rng):
    network, (x, y) = built(VECTORS), random_pair(rng, VECTORS)
    hidden = np.concatenate([x, y], -1)
    for layer in network.hidden:
        kernel, bias = reference.weights_of(layer)
        hidden = np.maximum(hidden @ kernel + bias, 0.0)
    kernel, bias = reference.weights_of(network.score)
    np.testing.assert_allclose(network([x, y]), hidden @ kernel + bias, rtol=1e-4, atol=1e-5)


def test_the_network_on_images_pools_strided_convolutions(rng):
    network, (x, y) = built(IMAGES), random_pair(rng, IMAGES)
    assert [layer.strides for layer in network.convolutions] == [(1, 1), (2, 2)]
    features = np.concatenate([x, y], -1)
    for layer in network.convolutions:
        features = np.asarray(layer(features))  # Keras' own: "same" padding of a stride of 2 depends on the size
    hidden = np.concatenate([features.mean((1, 2)), np.sqrt(features.var((1, 2)) + 1e-6)], -1)
    for layer in network.hidden:
        kernel, bias = reference.weights_of(layer)
        hidden = np.maximum(hidden @ kernel + bias, 0.0)
    kernel, bias = reference.weights_of(network.score)
    np.testing.assert_allclose(network([x, y]), hidden @ kernel + bias, rtol=1e-4, atol=1e-4)


def test_mean_and_deviation(rng):
    features = rng.normal(3.0, 2.0, (2, 5, 4, 3)).astype("float32")
    wanted = np.concatenate([features.mean((1, 2)), features.std((1, 2))], -1)
    np.testing.assert_allclose(mean_and_deviation(features), wanted, rtol=1e-4)
    assert mean_and_deviation(tf.cast(features, tf.bfloat16)).dtype == tf.float32
    flat = tf.ones((1, 3, 3, 2))
    with tf.GradientTape() as tape:
        tape.watch(flat)
        total = tf.reduce_sum(mean_and_deviation(flat))
    assert np.all(np.isfinite(tape.gradient(total, flat)))  # the deviation's slope at 0 would be infinite


@pytest.mark.parametrize("shapes", [IMAGES, VECTORS], ids=["images", "vectors"])
@pytest.mark.parametrize("policy, tolerance", [("mixed_float16", 0.02), ("mixed_bfloat16", 0.1)])
def test_mixed_precision_gives_float32_scores(rng, shapes, policy, tolerance):
    inputs, network = random_pair(rng, shapes), built(shapes)
    mixed = built(shapes, dtype=policy)
    mixed.set_weights(network.get_weights())
    wanted, got = network(inputs).numpy(), mixed(inputs)
    assert got.dtype == tf.float32 and all(weight.dtype == tf.float32 for weight in mixed.weights)
    assert mixed.hidden[0].compute_dtype == keras.mixed_precision.Policy(policy).compute_dtype
    assert np.abs(got - wanted).max() <= tolerance * np.abs(wanted).max()


@pytest.mark.parametrize("shapes", [IMAGES, VECTORS], ids=["images", "vectors"])
def test_serialises(rng, shapes, tmp_path):
    reference.assert_serialises(built(shapes, name="critic"), random_pair(rng, shapes), tmp_path)
