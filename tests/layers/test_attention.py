from __future__ import annotations

import contextlib
import functools

import numpy as np
import pytest
import tensorflow as tf

from ssrvae_tf.layers import GlobalAttention, LocalAttention, attention
from tests.layers import reference

SHAPES = [(1, 1, 1, 8), (1, 5, 3, 8), (2, 3, 4, 16)]
MIXED = [("mixed_float16", 0.02), ("mixed_bfloat16", 0.1)]


def built(layer, channels):
    layer.build((None, None, None, channels))
    reference.randomise(layer)
    return layer


def expected_global(layer, x):
    parts = [reference.weights_of(part) for part in (layer.f, layer.g, layer.h, layer.v)]
    return reference.global_attention(x, *parts, layer.gate.numpy())


def expected_local(layer, x):
    parts = [reference.weights_of(part) for part in (layer.query, layer.key, layer.value, layer.out)]
    prior = None
    if layer.geometry:
        size, radius = layer.kernel_size, layer.kernel_size // 2
        first, first_bias, second, second_bias = (weight.astype("float64") for weight in layer.prior.get_weights())
        prior = np.empty((size, size, second.shape[1]))
        for row, column in np.ndindex(size, size):
            hidden = np.maximum(np.array([column - radius, row - radius]) @ first + first_bias, 0.0)
            prior[row, column] = hidden @ second + second_bias
    return reference.local_attention(x, *parts, layer.gate.numpy(), layer.kernel_size, prior)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("reduction", [1, 4, 8])
@pytest.mark.parametrize("chunk", [None, 1, 4, 7, 1024])
def test_global_attention_is_equations_7_to_9(rng, shape, reduction, chunk):
    layer = built(GlobalAttention(reduction, chunk), shape[3])
    x = rng.normal(size=shape)
    np.testing.assert_allclose(layer(x.astype("float32")), expected_global(layer, x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("chunk", [None, 4])
def test_portable_global_attention_is_the_same_without_the_operator_that_rounds_otherwise(rng, chunk):
    layer, x = built(GlobalAttention(4, chunk), 8), rng.normal(size=(2, 5, 3, 8)).astype("float32")
    wanted = expected_global(layer, x)
    large = np.float32(100) * x  # scores of thousands, whose exponentials float32 does not have
    kinds = []
    for context in (contextlib.nullcontext(), attention.portable()):
        with context:
            traced = tf.function(layer.call).get_concrete_function(tf.TensorSpec(x.shape))
        kinds.append("Softmax" in reference.operators(traced))
        np.testing.assert_allclose(traced(tf.constant(x)), wanted, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(traced(tf.constant(large)), layer(large), rtol=1e-4, atol=1e-3)
    assert kinds == [True, False]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "kernel_size, share, geometry, training",
    [(7, 8, False, False), (5, 1, True, False), (3, 8, False, True), (3, 4, True, True)],
)
def test_local_attention_is_equations_10_and_11(rng, shape, kernel_size, share, geometry, training):
    layer = built(LocalAttention(kernel_size, share, geometry), shape[3])
    x = rng.normal(size=shape)
    got = layer(x.astype("float32"), training=training)
    np.testing.assert_allclose(got, expected_local(layer, x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "layer", [GlobalAttention(), GlobalAttention(chunk=3), LocalAttention(3), LocalAttention(3, geometry=True)]
)
@pytest.mark.parametrize("training", [False, True])
def test_a_fresh_layer_is_the_identity_and_learns_at_once(rng, layer, training):
    x = rng.normal(size=(2, 5, 4, 8)).astype("float32")
    with tf.GradientTape() as tape:
        out = layer(x, training=training)
        total = tf.reduce_sum(out**3)
    np.testing.assert_array_equal(out, x)
    last = layer.v if isinstance(layer, GlobalAttention) else layer.out
    assert tf.reduce_max(tf.abs(tape.gradient(total, last.kernel))) > 1e-3


@pytest.mark.parametrize("chunk", [None, 5])
@pytest.mark.parametrize("in_graph", [False, True])
def test_gradients_of_global_attention(rng, chunk, in_graph):
    layer = built(GlobalAttention(4, chunk), 8)
    check_gradients(rng, layer, expected_global, (2, 2, 3, 8), in_graph)


@pytest.mark.parametrize("geometry", [False, True])
@pytest.mark.parametrize("in_graph", [False, True])
def test_gradients_of_local_attention(rng, geometry, in_graph):
    layer = built(LocalAttention(3, 4, geometry), 8)
    check_gradients(rng, layer, expected_local, (1, 3, 3, 8), in_graph)


def check_gradients(rng, layer, expected, shape, in_graph):
    """Of the input and of every weight, against finite differences of the NumPy version along a random direction."""
    x, upstream = rng.normal(size=shape), rng.normal(size=shape)

    def differentiate(features):
        with tf.GradientTape() as tape:
            tape.watch(features)
            total = tf.reduce_sum(layer(features, training=True) * tf.cast(upstream, tf.float32))
        return tape.gradient(total, [features, *layer.trainable_weights])

    differentiate = tf.function(differentiate) if in_graph else differentiate
    of_input, *of_weights = differentiate(tf.constant(x, tf.float32))
    wanted = reference.numeric_gradient(lambda: np.sum(upstream * expected(layer, x)), x)
    np.testing.assert_allclose(of_input, wanted, rtol=2e-3, atol=2e-3)

    values = layer.get_weights()
    for index, gradient in enumerate(of_weights):
        direction = rng.normal(size=gradient.shape).astype("float32")
        totals = []
        for step in (2e-4, -2e-4):
            moved = list(values)
            moved[index] = values[index] + step * direction
            layer.set_weights(moved)
            totals.append(np.sum(upstream * expected(layer, x)))
        wanted = (totals[0] - totals[1]) / 4e-4
        assert np.sum(gradient * direction) == pytest.approx(wanted, rel=2e-2, abs=2e-2), layer.weights[index].name
    layer.set_weights(values)


@pytest.mark.parametrize("held", [None, 2 * 63 * 4, 1])
def test_chunks_and_the_whole_agree_in_values_and_gradients(rng, monkeypatch, held):
    if held:  # 4 queries, and 1
        monkeypatch.setattr(attention, "_HELD", held)
    x = tf.constant(rng.normal(size=(2, 9, 7, 16)), tf.float32)
    layers = [built(GlobalAttention(8, chunk), 16) for chunk in (None, 10)]
    results = []
    for layer in layers:
        with tf.GradientTape() as tape:
            tape.watch(x)
            out = layer(x)
            total = tf.reduce_sum(tf.sin(out))
        results.append([out, *tape.gradient(total, [x, *layer.trainable_weights])])
    for whole, chunked in zip(*results):
        np.testing.assert_allclose(chunked, whole, rtol=1e-3, atol=1e-4)


def test_scores_beyond_float16_stay_finite(rng):
    layer = built(GlobalAttention(dtype="mixed_float16"), 64)
    x = tf.constant(rng.normal(size=(1, 6, 6, 64)) * 100, tf.float16)  # scores of some 1e6; float16 ends at 65,504
    assert np.all(np.isfinite(layer(x)))


@pytest.mark.parametrize("policy, tolerance", MIXED)
@pytest.mark.parametrize("chunk", [None, 5])
def test_global_attention_in_mixed_precision(rng, policy, tolerance, chunk, tmp_path):
    x = rng.normal(size=(2, 4, 5, 8)).astype("float32")
    make = functools.partial(GlobalAttention, 4, chunk)
    reference.assert_mixed_precision(make, x, policy, tolerance, tmp_path)


@pytest.mark.parametrize("policy, tolerance", MIXED)
@pytest.mark.parametrize("geometry", [False, True])
def test_local_attention_in_mixed_precision(rng, policy, tolerance, geometry, tmp_path):
    x = rng.normal(size=(2, 4, 5, 8)).astype("float32")
    make = functools.partial(LocalAttention, 3, 4, geometry)
    reference.assert_mixed_precision(make, x, policy, tolerance, tmp_path)


@pytest.mark.parametrize(
    "layer", [GlobalAttention(4, 6, name="whole"), GlobalAttention(), LocalAttention(5, 4, True), LocalAttention(3)]
)
def test_serialises(rng, layer, tmp_path):
    reference.assert_serialises(built(layer, 8), rng.normal(size=(2, 5, 6, 8)).astype("float32"), tmp_path)


@pytest.mark.parametrize(
    "layer", [GlobalAttention(4), GlobalAttention(4, 6), LocalAttention(5, 4), LocalAttention(3, 4, geometry=True)]
)
def test_height_and_width_are_dynamic(layer):
    reference.assert_any_size(built(layer, 8), 8)


def test_local_attention_is_compiled_in_training_only(rng):
    layer = built(LocalAttention(3, 4), 8)
    x = rng.normal(size=(1, 6, 5, 8)).astype("float32")
    for training in (False, True):
        traced = tf.function(lambda training=training: layer(x, training=training)).get_concrete_function()
        parts = traced.graph.as_graph_def().library.function
        assert any(part.attr["_XlaMustCompile"].b for part in parts) == training


@pytest.mark.parametrize(
    "layer, message",
    [
        (GlobalAttention(reduction=8), "12 channels: they must be a multiple of reduction, 8"),
        (LocalAttention(share=8), "12 channels: they must be a multiple of share, 8"),
    ],
)
def test_refuses_channels_that_do_not_divide(layer, message):
    with pytest.raises(ValueError, match=message):
        layer(tf.zeros((1, 4, 4, 12)))


@pytest.mark.parametrize("size", [0, 2, -1])
def test_refuses_an_even_window(size):
    with pytest.raises(ValueError, match=f"kernel_size is {size}: it must be odd"):
        LocalAttention(size)
