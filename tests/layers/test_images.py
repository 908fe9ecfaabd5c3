from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from stacks import asked_for

from ssrvae_tf.layers import bicubic_shrink, high_pass, local_mean, shift_mirrored
from ssrvae_tf.layers.images import translated
from tests.layers import reference


def shrunk_by_pillow(images, scale):
    """Channel by channel in Pillow's float mode."""
    batch, height, width, channels = images.shape
    out = np.empty((batch, height // scale, width // scale, channels), "float32")
    for b in range(batch):
        for c in range(channels):
            plane = Image.fromarray(images[b, :, :, c], "F")
            out[b, :, :, c] = plane.resize((width // scale, height // scale), Image.Resampling.BICUBIC)
    return out


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("height, width", [(1, 1), (3, 5), (7, 2), (13, 9)])
def test_bicubic_shrink_is_pillow_s(rng, scale, height, width):
    images = rng.uniform(size=(2, height * scale, width * scale, 3)).astype("float32")
    np.testing.assert_allclose(bicubic_shrink(images, scale), shrunk_by_pillow(images, scale), atol=2e-6)


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_bicubic_shrink_keeps_a_constant_up_to_the_border(scale):
    images = np.full((1, 3 * scale, 2 * scale, 4), 0.7, "float32")
    np.testing.assert_allclose(bicubic_shrink(images, scale), 0.7, rtol=1e-6)


def test_bicubic_shrink_of_dynamic_sizes_in_one_trace(rng):
    traced = tf.function(lambda x: bicubic_shrink(x, 4), input_signature=[tf.TensorSpec([None, None, None, 3])])
    for shape in ((1, 4, 12, 3), (3, 20, 8, 3)):
        images = rng.uniform(size=shape).astype("float32")
        np.testing.assert_allclose(traced(images), shrunk_by_pillow(images, 4), atol=2e-6)


def test_bicubic_shrink_passes_its_gradient_to_every_pixel(rng):
    # Linear, so the gradient of the sum is how much each pixel weighs: scale^-2 on average.
    images = tf.constant(rng.uniform(size=(1, 12, 20, 2)), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(images)
        total = tf.reduce_sum(bicubic_shrink(images, 4))
    gradient = tape.gradient(total, images).numpy()
    assert np.all(gradient != 0.0)
    assert np.sum(gradient * images) == pytest.approx(float(total), rel=1e-5)
    assert gradient.mean() == pytest.approx(1 / 16, rel=1e-5)


@pytest.mark.parametrize("shape, size", [((2, 5, 7, 3), 3), ((1, 6, 4, 1), 5), ((1, 1, 2, 2), 3)])
def test_local_mean_is_over_the_pixels_inside(rng, shape, size):
    images = rng.uniform(size=shape).astype("float32")
    wanted = np.empty(shape)
    reach = size // 2
    for i, j in np.ndindex(*shape[1:3]):
        window = images[:, max(0, i - reach) : i + reach + 1, max(0, j - reach) : j + reach + 1]
        wanted[:, i, j] = window.mean((1, 2))
    np.testing.assert_allclose(local_mean(images, size), wanted, atol=1e-6)


def test_high_pass_takes_the_local_mean_away(rng):
    images = rng.uniform(size=(2, 6, 5, 3)).astype("float32")
    np.testing.assert_allclose(high_pass(images) + local_mean(images, 3), images, atol=1e-6)
    np.testing.assert_allclose(high_pass(np.full((1, 4, 4, 1), 3.0, "float32")), 0.0, atol=1e-6)


@pytest.mark.parametrize("height, width", [(8, 8), (5, 9), (1, 3)])
def test_a_shift_mirrors_the_image_at_its_edges(rng, height, width):
    margins = (min(2, height), 3)
    images = rng.uniform(size=(4, height, width, 2)).astype("float32")
    offsets = [(0, 0), (3, -margins[0]), (-3, margins[0]), (1, margins[0])]  # to the right, down
    top, left = margins
    mirrored = np.pad(images, [(0, 0), (top, top), (left, left), (0, 0)], "symmetric")
    wanted = [
        image[top - down : top - down + height, left - right : left - right + width]
        for image, (right, down) in zip(mirrored, offsets)
    ]
    np.testing.assert_array_equal(shift_mirrored(images, tf.constant(offsets, tf.float32), margins), wanted)


@pytest.mark.parametrize("offsets", [[(0, 0), (2, -1)], [(-3, 4), (0.4, 0.6)], [(20, 0), (-1.5, -0.5)]])
def test_a_translation_is_that_of_tensorflow_addons(rng, offsets):
    images, offsets = tf.constant(rng.normal(size=(2, 9, 7, 3)), tf.float32), tf.constant(offsets, tf.float32)
    with asked_for("tensorflow_addons") as tfa:
        np.testing.assert_array_equal(translated(images, offsets), tfa.image.translate(images, offsets))


def test_the_gradient_of_a_shift_is_its_adjoint(rng):
    images, upstream = (rng.normal(size=(6, 9, 12, 3)).astype("float32") for _ in range(2))
    offsets = tf.constant([(0, 0), (1, 0), (0, -2), (3, 2), (-3, 2), (2, -1)], tf.float32)
    reference.assert_adjoint(lambda x: shift_mirrored(x, offsets, (2, 3)), images, upstream)
