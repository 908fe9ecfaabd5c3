import glob
import os

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from ssrvae_tf.data import bicubic, classical, degradations, recoloured, wide
from ssrvae_tf.data.degradations import _blur, _jpeg, unsharp_mask


def a_photo(height=64, width=64, seed=0):
    """Smooth shapes, edges and some texture: (H, W, 3) float32 in [0, 1]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / 64.0
    waves = [np.sin(2 * np.pi * (f * x + g * y) + p) for f, g, p in rng.uniform(-3, 3, (6, 3))]
    image = 0.5 + 0.12 * np.stack([sum(waves[k : k + 4]) for k in range(3)], -1)
    image[(x - 0.5) ** 2 + (y - 0.5) ** 2 < 0.08] *= 0.4
    return np.clip(image + 0.03 * rng.standard_normal(image.shape), 0, 1).astype(np.float32)


def sharpness(image):
    """Log energy of what a 3x3 mean takes away, of the luma."""
    luma = np.asarray(image) @ [0.299, 0.587, 0.114]
    windows = np.lib.stride_tricks.sliding_window_view(luma, (3, 3))
    return np.log10(np.std(luma[1:-1, 1:-1] - windows.mean((2, 3))) + 1e-4)


def degrade(image, kind, noise, scale=4):
    return classical(image, scale, (11, kind), (12, noise)).numpy()


@pytest.mark.parametrize("scale, height, width", [(2, 64, 48), (4, 64, 96), (8, 72, 40), (3, 63, 33)])
def test_bicubic_equals_pillow_to_one_level(scale, height, width):
    pixels = np.round(255 * (0.1 + 0.8 * a_photo(height, width))).astype(np.uint8)
    expected = np.asarray(Image.fromarray(pixels).resize((width // scale, height // scale), Image.BICUBIC))
    actual = bicubic(pixels / 255.0, scale).numpy()
    assert np.abs(actual - expected / 255.0).max() <= 1.01 / 255


def test_bicubic_of_a_batch_is_that_of_each_image():
    batch = np.stack([a_photo(seed=1), a_photo(seed=2)])
    lr = bicubic(batch, 4)
    assert lr.shape == (2, 16, 16, 3)
    np.testing.assert_array_equal(lr[1], bicubic(batch[1], 4))


def test_bicubic_stays_in_range_where_it_overshoots():
    edge = np.zeros((32, 32, 3), np.float32)
    edge[:, 14:] = 1
    lr = bicubic(edge, 4).numpy()
    assert lr.min() == 0 and lr.max() == 1


def test_unsharp_mask_equals_its_formula():
    images = 0.2 + 0.6 * np.stack([a_photo(24, 31, seed) for seed in (1, 2)])
    taps = np.exp(-0.5 * np.arange(-8, 9) ** 2)
    taps /= taps.sum()
    smooth = np.pad(images, [(0, 0), (8, 8), (8, 8), (0, 0)], "symmetric")
    for axis in (1, 2):
        smooth = np.apply_along_axis(np.convolve, axis, smooth, taps, "valid")
    expected = np.clip(images + 0.7 * (images - smooth), 0, 1)
    actual = unsharp_mask(tf.constant(images, tf.float32), 0.7).numpy()
    np.testing.assert_allclose(actual, expected, atol=2e-3)
    assert actual.std() > 1.01 * images.std()


@pytest.mark.parametrize("scale, shape", [(2, (32, 48)), (3, (33, 48)), (4, (64, 32)), (8, (64, 128)), (4, (16, 16))])
def test_classical_gives_lr_shape_and_range_whatever_the_kind(scale, shape):
    image = a_photo(*shape)
    for kind in range(12):
        lr = degrade(image, kind, 0, scale)
        assert lr.shape == (shape[0] // scale, shape[1] // scale, 3) and lr.dtype == np.float32
        assert lr.min() >= 0 and lr.max() <= 1 and np.isfinite(lr).all()


def test_classical_repeats_with_its_seeds():
    image = a_photo()
    for kind in range(5):
        np.testing.assert_array_equal(degrade(image, kind, 3), degrade(image, kind, 3))


def test_noise_seed_changes_the_noise_and_not_the_kind():
    image = a_photo(128, 128)
    pairs = [(degrade(image, kind, 1), degrade(image, kind, 2)) for kind in range(40)]
    energies = np.array([[sharpness(one), sharpness(other)] for one, other in pairs])
    within, across = np.abs(energies[:, 0] - energies[:, 1]), energies[:, 0].std()
    assert within.max() < 0.1 and within.mean() < 0.1 * across
    differ = [np.abs(one - other).max() > 0 for one, other in pairs]
    assert 0.3 < np.mean(differ) < 0.9  # noise is absent at times


def test_kinds_reach_from_very_blurred_to_as_sharp_as_bicubic():
    image = a_photo(128, 128)
    energies = [sharpness(degrade(image, kind, 0)) for kind in range(60)]
    reference = sharpness(bicubic(image, 4))
    assert min(energies) < reference - 0.7
    assert max(energies) > reference - 0.1


def test_images_of_one_batch_share_the_kind_and_not_the_noise():
    image = a_photo(128, 128)
    batches = [degrade(np.stack([image, image]), kind, 0) for kind in range(30)]
    assert all(abs(sharpness(one) - sharpness(other)) < 0.1 for one, other in batches)
    assert any(np.abs(one - other).max() > 0.01 for one, other in batches)


def test_colour_and_content_stay():
    image = a_photo(128, 128)
    low = lambda lr: tf.nn.avg_pool2d(lr[None], 8, 8, "VALID").numpy()  # noqa: E731
    for kind in range(20):
        assert np.abs(low(degrade(image, kind, 0)) - low(bicubic(image, 4))).max() < 0.12


def test_classical_works_in_a_pipeline_with_unknown_sizes():
    data = tf.data.Dataset.from_generator(lambda: iter([a_photo(64, 32)]), tf.float32, (None, None, 3))
    data = data.map(lambda image: classical(image, 4, (11, 5), (12, 0)))
    np.testing.assert_allclose(next(iter(data)), degrade(a_photo(64, 32), 5, 0), atol=1e-6)


def test_blur_is_the_gaussian_of_its_angle():
    impulse = np.zeros((1, 41, 41, 3), np.float32)
    impulse[0, 20, 20] = 1
    sigma, ratio, angle = 3.0, 0.5, 0.6
    actual = _blur(tf.constant(impulse), sigma, ratio, angle, 0.0, 1.0).numpy()[0, :, :, 0]
    y, x = np.mgrid[-20:21, -20:21]
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    expected = np.exp(-0.5 * (along**2 + (across / ratio) ** 2) / sigma**2) / (2 * np.pi * sigma**2 * ratio)
    np.testing.assert_allclose(actual, expected, atol=2e-5)


def test_blur_of_sigma_0_changes_nothing_and_flat_areas_stay():
    image = a_photo(40, 24)[None]
    np.testing.assert_allclose(_blur(tf.constant(image), 0.0, 1.0, 0.0, 0.0, 1.0), image, atol=1e-5)
    flat = np.full((1, 9, 7, 3), 0.3, np.float32)
    np.testing.assert_allclose(_blur(tf.constant(flat), 2.0, 0.5, 1.0, 1.0, 1.0), flat, atol=1e-5)


def test_jpeg_grid_moves_with_its_place_and_quality_counts():
    image = tf.constant(a_photo(32, 32)[None])
    error = lambda quality, place: np.abs(_jpeg(image, quality, place) - image).mean()  # noqa: E731
    assert error(25.0, 0.0) > 1.5 * error(95.0, 0.0)
    assert np.abs(_jpeg(image, 25.0, 0.0) - _jpeg(image, 25.0, 0.6)).max() > 0.01


@pytest.mark.skipif("SSRVAE_DATA" not in os.environ, reason="SSRVAE_DATA names no folder of real faces")
def test_classical_spans_the_sharpness_of_real_faces():
    root = os.environ["SSRVAE_DATA"]
    read = lambda path, size: np.asarray(Image.open(path).convert("RGB").resize((size, size), Image.BICUBIC))  # noqa: E731
    contrast = lambda lr: sharpness(lr) - np.log10((lr @ [0.299, 0.587, 0.114]).std() + 1e-3)  # noqa: E731
    real = [contrast(read(path, 32) / 255.0) for path in sorted(glob.glob(f"{root}/lr_train/*"))[::5]]
    faces = sorted(glob.glob(f"{root}/hr_train/*"))[::50]
    made = [contrast(degrade(read(path, 128) / np.float32(255), kind, 0)) for kind, path in enumerate(faces)]
    bands = [np.percentile(values, [5, 25, 50, 75, 95]) for values in (real, made)]
    np.testing.assert_allclose(bands[1], bands[0], atol=0.15)


def test_wide_is_classical_from_a_quarter_on_half_the_time_and_reaches_further():
    image = a_photo(128, 128)
    kinds = range(80)
    made = [wide(image, 4, (kind, 1), (kind, 2)).numpy() for kind in kinds]
    caught = [degradations._caught(image[None], 4, (kind, 1), (kind, 2), 0.25)[0] for kind in kinds]
    same = [np.array_equal(lr, other) for lr, other in zip(made, caught)]
    assert 0.35 < np.mean(same) < 0.65
    own = [sharpness(lr) for lr, classical_ in zip(made, same) if not classical_]
    reference = sharpness(bicubic(image, 4))
    assert min(own) < reference - 0.7 and max(own) > reference + 0.02  # blurred, and noisy or aliased
    for lr in made:
        assert lr.shape == (32, 32, 3) and 0 <= lr.min() and lr.max() <= 1 and np.isfinite(lr).all()


def test_wide_gives_a_batch_one_kind():
    batch = np.stack([a_photo(128, 128)] * 2)
    for kind in range(20):
        one, other = wide(batch, 4, (kind, 1), (kind, 2)).numpy()
        assert abs(sharpness(one) - sharpness(other)) < 0.1


def test_recoloured_takes_the_mean_and_nothing_else():
    rng = np.random.default_rng(0)
    lr, like = rng.uniform(0.3, 0.7, (2, 2, 8, 8, 3))
    result = recoloured(tf.constant(lr), tf.constant(like)).numpy()
    np.testing.assert_allclose(result.mean((1, 2)), like.mean((1, 2)), atol=1e-9)
    np.testing.assert_allclose(result - result.mean((1, 2), keepdims=True), lr - lr.mean((1, 2), keepdims=True))
