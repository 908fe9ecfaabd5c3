from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from ssrvae_tf.layers import GARB, ICNR, LARB, ResidualBlock, SubPixelUpsampling
from tests.layers import reference

SHAPES = [(1, 1, 1, 8), (2, 5, 3, 8)]
MAKERS = {
    "residual": ResidualBlock,
    "garb": lambda **own: GARB(reduction=4, **own),
    "garb in chunks": lambda **own: GARB(reduction=4, chunk=6, **own),
    "larb": lambda **own: LARB(3, 4, **own),
    "larb with prior": lambda **own: LARB(3, 4, geometry=True, **own),
    "upsampling": lambda **own: SubPixelUpsampling(4, **own),
}
every_block = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


def built(layer, channels=8):
    layer.build((None, None, None, channels))
    reference.randomise(layer, scale=0.2)
    return layer


def expected_residual(block, x):
    return reference.residual_block(x, reference.weights_of(block.first), reference.weights_of(block.second))


@pytest.mark.parametrize("shape", SHAPES)
def test_residual_block(rng, shape):
    block, x = built(ResidualBlock()), rng.normal(size=shape)
    np.testing.assert_allclose(block(x.astype("float32")), expected_residual(block, x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("chunk", [None, 4])
def test_garb_is_a_residual_block_then_global_attention(rng, shape, chunk):
    block, x = built(GARB(4, chunk)), rng.normal(size=shape)
    inner = block.attention
    parts = [reference.weights_of(part) for part in (inner.f, inner.g, inner.h, inner.v)]
    wanted = reference.global_attention(expected_residual(block.residual, x), *parts, inner.gate.numpy())
    np.testing.assert_allclose(block(x.astype("float32")), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("training", [False, True])
def test_larb_is_a_residual_block_then_local_relation(rng, shape, training):
    block, x = built(LARB(3, 4)), rng.normal(size=shape)
    inner = block.attention
    parts = [reference.weights_of(part) for part in (inner.query, inner.key, inner.value, inner.out)]
    wanted = reference.local_attention(expected_residual(block.residual, x), *parts, inner.gate.numpy(), 3)
    np.testing.assert_allclose(block(x.astype("float32"), training=training), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("make", [GARB, lambda: GARB(chunk=5), lambda: LARB(3)])
def test_a_fresh_attention_block_is_its_residual_block(rng, make):
    block, x = make(), rng.normal(size=(2, 5, 3, 8)).astype("float32")
    np.testing.assert_array_equal(block(x), block.residual(x))


@pytest.mark.parametrize("scale", [1, 2, 4, 8])
@pytest.mark.parametrize("shape", [(1, 1, 1, 2), (2, 3, 2, 3)])
def test_sub_pixel_upsampling(rng, scale, shape):
    layer, x = built(SubPixelUpsampling(scale), shape[3]), rng.normal(size=shape)
    wanted = x
    for convolution in layer.convolutions:
        wanted = reference.depth_to_space(reference.conv(wanted, *reference.weights_of(convolution)), 2)
    got = layer(x.astype("float32"))
    assert got.shape == layer.compute_output_shape(shape) == (shape[0], scale * shape[1], scale * shape[2], shape[3])
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_a_fresh_upsampling_enlarges_to_equal_sub_pixels(rng, scale):
    """ICNR: no checkerboard at the start. Of several doublings the first one's pixels meet the next 3x3 convolution."""
    keras.utils.set_random_seed(0)  # some draws add up to more than the bound below
    out = SubPixelUpsampling(scale)(rng.normal(size=(1, 5, 4, 6)).astype("float32")).numpy()
    for row in range(2):
        for column in range(2):
            # Equal but for the order in which some processors add up.
            np.testing.assert_allclose(out[:, row::2, column::2], out[:, ::2, ::2], atol=1e-6)
    assert np.std(out[:, ::2, ::2]) > 0.01


@pytest.mark.parametrize("scale", [2, 3])
def test_icnr_repeats_one_kernel_for_each_sub_pixel(scale):
    kernel = ICNR(scale, keras.initializers.HeNormal(seed=1))((3, 3, 4, 5 * scale**2)).numpy()
    sub_kernels = np.split(kernel, scale**2, axis=-1)
    for other in sub_kernels:
        np.testing.assert_array_equal(other, sub_kernels[0])
    assert np.unique(sub_kernels[0]).size == 3 * 3 * 4 * 5


def test_icnr_round_trips():
    initializer = ICNR(3, keras.initializers.HeNormal(seed=1))
    twin = keras.initializers.deserialize(keras.initializers.serialize(initializer))
    assert isinstance(twin, ICNR) and twin.get_config() == initializer.get_config()
    np.testing.assert_array_equal(twin((1, 1, 2, 9)), initializer((1, 1, 2, 9)))


def test_gradients_of_the_residual_block(rng):
    block, x, upstream = built(ResidualBlock(), 2), rng.normal(size=(1, 3, 4, 2)), rng.normal(size=(1, 3, 4, 2))
    first, second = reference.weights_of(block.first), reference.weights_of(block.second)

    def loss():
        return np.sum(upstream * reference.residual_block(x, first, second))

    features = tf.constant(x, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(features)
        total = tf.reduce_sum(tf.cast(upstream, tf.float32) * block(features))
    gradients = tape.gradient(total, [features, *block.trainable_weights])
    for got, array in zip(gradients, (x, *first, *second)):
        wanted = reference.numeric_gradient(loss, array)
        np.testing.assert_allclose(got, wanted, rtol=1e-3, atol=1e-4)


@every_block
@pytest.mark.parametrize("policy, tolerance", [("mixed_float16", 0.02), ("mixed_bfloat16", 0.1)])
def test_mixed_precision(rng, make, policy, tolerance, tmp_path):
    x = rng.normal(size=(2, 4, 5, 8)).astype("float32")
    reference.assert_mixed_precision(make, x, policy, tolerance, tmp_path)


@every_block
def test_serialises(rng, make, tmp_path):
    reference.assert_serialises(built(make(name="own")), rng.normal(size=(2, 5, 6, 8)).astype("float32"), tmp_path)


@every_block
def test_height_and_width_are_dynamic(make):
    reference.assert_any_size(built(make()), 8)


@pytest.mark.parametrize("scale", [0, 3, 6, -2])
def test_upsampling_refuses_what_is_no_power_of_two(scale):
    with pytest.raises(ValueError, match=f"scale is {scale}: it must be a power of two"):
        SubPixelUpsampling(scale)


@pytest.mark.parametrize("make", [GARB, LARB])
def test_blocks_refuse_channels_that_do_not_divide(make):
    with pytest.raises(ValueError, match="12 channels: they must be a multiple of"):
        make()(tf.zeros((1, 4, 4, 12)))
