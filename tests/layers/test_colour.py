from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from ssrvae_tf.layers import KeepColours


def kept(lr, sr, scale, size):
    """The equation, pixel by pixel."""
    height, width = lr.shape[1:3]
    difference, reach = np.empty(lr.shape), size // 2
    for i, j in np.ndindex(height, width):
        block = sr[:, i * scale : (i + 1) * scale, j * scale : (j + 1) * scale]
        difference[:, i, j] = lr[:, i, j] - block.mean((1, 2))
    mean = np.empty(lr.shape)
    for i, j in np.ndindex(height, width):
        window = difference[:, max(0, i - reach) : i + reach + 1, max(0, j - reach) : j + reach + 1]
        mean[:, i, j] = window.mean((1, 2))
    out = np.empty(sr.shape)
    for i, j in np.ndindex(*sr.shape[1:3]):
        # Where the pixel's centre lies on the small grid, not beyond its outermost centres.
        y = min(max((i + 0.5) / scale - 0.5, 0), height - 1)
        x = min(max((j + 0.5) / scale - 0.5, 0), width - 1)
        top, left = min(int(y), max(height - 2, 0)), min(int(x), max(width - 2, 0))
        below, right = min(top + 1, height - 1), min(left + 1, width - 1)
        upper = (1 - x + left) * mean[:, top, left] + (x - left) * mean[:, top, right]
        lower = (1 - x + left) * mean[:, below, left] + (x - left) * mean[:, below, right]
        out[:, i, j] = sr[:, i, j] + (1 - y + top) * upper + (y - top) * lower
    return out


@pytest.mark.parametrize("height, width, scale, size", [(6, 5, 4, 3), (12, 11, 2, 9), (1, 4, 4, 9), (3, 3, 8, 5)])
def test_it_is_the_equation(rng, height, width, scale, size):
    lr = rng.uniform(size=(2, height, width, 3)).astype("float32")
    sr = rng.uniform(size=(2, height * scale, width * scale, 3)).astype("float32")
    np.testing.assert_allclose(KeepColours(scale, size)([lr, sr]), kept(lr, sr, scale, size), atol=1e-5)


def test_even_areas_get_their_colour_back_and_detail_stays(rng):
    lr = np.full((1, 20, 20, 3), 0.5, "float32")
    detail = np.tile([[0.1, -0.1], [-0.1, 0.1]], (40, 40))[None, ..., None].astype("float32")
    result = KeepColours(4)([lr, 0.5 + np.array([0.02, 0.0, -0.01], "float32") + detail])
    np.testing.assert_allclose(result, np.broadcast_to(0.5 + detail, (1, 80, 80, 3)), atol=1e-6)


def test_gradients_reach_both_inputs(rng):
    lr, sr = (tf.constant(rng.uniform(size=(1, side, side, 3)), tf.float32) for side in (4, 16))
    with tf.GradientTape() as tape:
        tape.watch([lr, sr])
        total = tf.reduce_sum(tf.square(KeepColours(4, 3)([lr, sr])))
    for gradient in tape.gradient(total, [lr, sr]):
        assert np.isfinite(gradient).all() and np.abs(gradient).min() > 0


def test_it_computes_in_float32_and_comes_back_from_its_configuration():
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    layer = KeepColours(2, 5)
    assert layer([tf.zeros([1, 2, 2, 3]), tf.zeros([1, 4, 4, 3], tf.bfloat16)]).dtype == tf.float32
    again = KeepColours.from_config(layer.get_config())
    assert (again.scale, again.size, again.compute_dtype) == (2, 5, "float32")
