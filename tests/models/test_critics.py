from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from ssrvae_tf.models.critics import Discriminator, PairCritic, augment, joint_and_marginal, joint_and_shuffled
from tests.layers import reference


def random(*shape, seed=0):
    return np.random.default_rng(seed).random(shape, "float32")


def test_scores_of_pairs_stand_on_the_diagonal():
    joint, marginal = joint_and_marginal(tf.constant([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0], [6.0, 7.0, 8.0]]))
    np.testing.assert_array_equal(joint, [0, 4, 8])
    np.testing.assert_array_equal(marginal, [1, 2, 3, 5, 6, 7])


@pytest.mark.parametrize("count, shuffled", [(3, [[2, 0], [0, 1], [1, 2]]), (1, np.zeros((0, 2)))])
def test_a_pair_is_shuffled_with_its_neighbour_and_never_with_itself(count, shuffled):
    numbers = tf.range(float(count))[:, None]
    joint, marginal = joint_and_shuffled(lambda pair: tf.concat(pair, -1), numbers, numbers)
    np.testing.assert_array_equal(joint, np.arange(count)[:, None] + [[0, 0]])
    np.testing.assert_array_equal(marginal, shuffled)


def test_the_pair_critic_scores_each_pair_on_its_own():
    critic = PairCritic((4, 4), 4)
    x, y = random(3, 8, 8, 3), random(3, 8, 8, 3, seed=1)
    scores = critic([x, y])
    assert scores.shape == (3, 3) and scores.dtype == tf.float32
    np.testing.assert_allclose(critic([x[::-1], y]), scores[::-1], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(critic([x[:1], y[1:2]])[0, 0], scores[0, 1], rtol=1e-4, atol=1e-5)


def test_the_pair_critic_does_not_see_brightness():
    critic = PairCritic((4, 4), 4)
    x, y = 0.5 * random(2, 8, 8, 3), random(2, 8, 8, 3, seed=1)
    np.testing.assert_allclose(critic([x + 0.3, y]), critic([x, y]), rtol=1e-3, atol=1e-4)


def test_the_discriminator_judges_patch_by_patch():
    discriminator = Discriminator((4, 4, 4, 4))
    assert discriminator(random(2, 32, 16, 3)).shape == (2, 4, 2, 1)


def test_augmentation_shifts_and_changes_brightness_contrast_and_saturation():
    images, seed = random(4, 17, 24, 3), tf.constant([1, 2])
    draw = tf.random.stateless_uniform([4, 5], seed, -1.0, 1.0).numpy()
    assert np.abs(np.round(draw[:, :2] * [24 / 8, 17 / 8])).max() > 1
    for image, (right, down, brightness, contrast, saturation), got in zip(images, draw, augment(images, seed)):
        top, left = 8 - round(down * 17 / 8), 8 - round(right * 24 / 8)
        moved = np.pad(image, [(8, 8), (8, 8), (0, 0)], "symmetric")[top : top + 17, left : left + 24]
        moved = moved + 0.15 * brightness
        moved = moved.mean() + (moved - moved.mean()) * (1 + 0.3 * contrast)
        gray = moved.mean(-1, keepdims=True)
        np.testing.assert_allclose(got, gray + (moved - gray) * (1 + 0.5 * saturation), atol=1e-5)


@pytest.mark.parametrize("seed", [1, 2])
def test_the_gradient_of_the_augmentation_is_its_adjoint(seed):
    rng = np.random.default_rng(seed)
    images, upstream = (rng.normal(size=(8, 16, 16, 3)).astype("float32") for _ in range(2))
    reference.assert_adjoint(lambda x: augment(x, tf.constant([seed, 0])), images, upstream)


@pytest.mark.parametrize(
    "make, float32, policy, tolerance",
    [
        (PairCritic, ("f", "g"), "mixed_bfloat16", 0.05),
        (PairCritic, ("f", "g"), "mixed_float16", 0.01),
        (Discriminator, ("score",), "mixed_bfloat16", 0.45),
        (Discriminator, ("score",), "mixed_float16", 0.05),
    ],
)
def test_critics_in_mixed_precision_see_faint_noise(make, float32, policy, tolerance):
    """Their answer to it is that of float32, and their own policy is followed by all layers but the last."""
    keras.utils.set_random_seed(0)
    noisy, clean = reference.faint_noise(np.random.default_rng(0))
    plain, mixed = make(), make(dtype=policy)
    answers = []
    for critic in (plain, mixed):
        scores = critic if make is Discriminator else (lambda images, critic=critic: critic([images, noisy]))
        scores(clean)
        critic.set_weights(plain.get_weights())
        answers.append(reference.answers(scores, noisy, clean))
    assert np.linalg.norm(answers[1] - answers[0]) < tolerance * np.linalg.norm(answers[0])
    reference.assert_policy_reaches(mixed, policy, float32)
