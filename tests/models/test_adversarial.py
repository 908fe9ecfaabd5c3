from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from ssrvae_tf.layers import local_mean
from ssrvae_tf.models import EDSR
from ssrvae_tf.models.adversarial import (
    Adversary,
    PairDiscriminator,
    drift,
    excess,
    invites_detail,
    lattice,
    relative_l1,
)
from ssrvae_tf.models.gan_losses import logistic, looks_real
from tests.layers import reference


def random(*shape, seed=0):
    return np.random.default_rng(seed).random(shape, "float32")


def blurred(*shape):
    """Photos without any detail."""
    return np.broadcast_to(np.linspace(0.40, 0.42, shape[2], dtype="float32")[:, None], shape)


def adversary(**given):
    return Adversary(keras.optimizers.SGD(0.1), **{"weight": 0.1, **given})


def test_what_should_look_real_loses_by_the_logistic_loss_of_each_photo():
    logits, weights = 4 * random(3, 2, 2, 1) - 2, np.array([1.0, 0.0, 0.25], "float32")[:, None, None, None]
    wanted = np.mean(weights * np.log(1 + np.exp(-logits)))
    for loss in (looks_real, logistic):  # tensorflow-gan's, where it exists, and the formula
        np.testing.assert_allclose(loss(tf.constant(logits), tf.constant(weights)), wanted, rtol=1e-6)


def test_the_relative_difference_is_a_mean_over_levels():
    made, true = ([random(2, 4, 4, 3, seed=i), random(2, 2, 2, 5, seed=i + 1)] for i in (0, 7))
    weights = np.array([1.0, 0.5], "float32")[:, None, None, None]
    wanted = np.mean([np.mean(weights * np.abs(a - b)) / np.mean(np.abs(b)) for a, b in zip(made, true)])
    np.testing.assert_allclose(relative_l1(made, true, weights), wanted, rtol=1e-4)


def test_strongly_blurred_photos_invite_no_detail_and_sharp_ones_all():
    photos = np.concatenate([blurred(1, 16, 16, 3), random(1, 16, 16, 3)])
    photos = np.concatenate([photos, blurred(1, 16, 16, 3) + 0.02 * random(1, 16, 16, 3)])
    blur, sharp, between = np.ravel(invites_detail(tf.constant(photos)))
    assert (blur, sharp) == (0, 1) and 0 < between < 1


def test_results_that_shrink_to_their_photo_do_not_drift():
    lr = random(2, 8, 8, 3)
    enlarged = np.repeat(np.repeat(np.full_like(lr, 0.25), 4, 1), 4, 2)
    assert float(drift(tf.constant(enlarged), tf.constant(np.full_like(lr, 0.25)))) < 1e-6
    assert float(drift(tf.constant(enlarged), tf.constant(np.full_like(lr, 0.35)))) == pytest.approx(0.1, rel=1e-3)


def test_a_pattern_that_repeats_in_each_pixel_is_a_lattice_and_texture_is_not():
    lr, hr = tf.constant(random(1, 16, 16, 3)), tf.constant(random(1, 64, 64, 3, seed=1))
    rng = np.random.default_rng(2)
    pattern = rng.choice([-0.1, 0.1], (1, 4, 1, 4, 1)) * np.ones((16, 1, 16, 1, 3))  # row, of 4, column, of 4, colour
    pattern = pattern.reshape(1, 64, 64, 3).astype("float32")
    texture = rng.choice([-0.1, 0.1], (1, 64, 64, 3)).astype("float32")
    strong, weak = (float(lattice(hr + each, hr, lr)) for each in (pattern, texture))
    assert 0.03 < strong < 0.2 and weak < strong / 3
    assert float(lattice(hr, hr, lr)) == 0
    # Without a truth, what is there counts itself.
    unknown = float(lattice(0.5 + pattern, hr, lr, pairs=tf.constant(0)))
    assert unknown == pytest.approx(strong, rel=1e-3)


def test_a_pattern_of_two_pixels_is_a_lattice_too():
    lr, hr = tf.constant(random(1, 16, 16, 3)), tf.constant(random(1, 64, 64, 3, seed=1))
    signs = np.indices((64, 64)).sum(0) // 4 % 2 * 2 - 1  # turns in each pixel, so that 4x4 averages see nothing
    pattern = np.tile(np.random.default_rng(2).choice([-0.1, 0.1], (4, 4)), (16, 16)) * signs
    found = float(lattice(hr + pattern[None, :, :, None].astype("float32"), hr, lr))
    assert found > 0.015


def test_texture_is_in_excess_where_the_truth_is_smooth_only():
    smooth, rough = tf.fill([1, 32, 32, 3], 0.5), tf.constant(random(1, 32, 32, 3))
    stipple = 0.5 + 0.1 * tf.constant(random(1, 32, 32, 3, seed=1))
    assert float(excess(stipple, smooth)) > 0.01
    assert float(excess(smooth, stipple)) == float(excess(stipple, rough)) == 0


def test_the_discriminator_is_its_equation():
    discriminator = PairDiscriminator((2, 3, 4))
    photo, enlarged = random(1, 8, 8, 3), random(1, 8, 8, 3, seed=1)
    *features, score = discriminator([tf.constant(photo), tf.constant(enlarged)])
    assert [level.shape for level in features] == [(1, 4, 4, 2), (1, 2, 2, 3), (1, 2, 2, 4)]

    def half(x):
        return x.reshape(1, len(x[0]) // 2, 2, len(x[0]) // 2, 2, -1).mean((2, 4))

    photo, enlarged = half(photo), half(enlarged)
    x = np.concatenate([photo, 4 * (photo - local_mean(photo, 3).numpy()), enlarged], -1)
    for i, layer in enumerate(discriminator.convolutions):
        x = half(x) if i == 1 else x
        x = reference.conv(x, *layer.get_weights())
        x = np.where(x > 0, x, 0.2 * x)
        np.testing.assert_allclose(features[i], x, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(score, reference.conv(x, *discriminator.score.get_weights()), rtol=1e-4, atol=1e-4)


def test_blurred_photos_teach_the_discriminator_but_not_the_network():
    judge, sr, step = adversary(), tf.Variable(random(2, 16, 16, 3)), tf.Variable(3, dtype=tf.int64)
    hr, lr = tf.constant(random(2, 16, 16, 3, seed=1)), tf.constant(blurred(2, 4, 4, 3))
    with tf.GradientTape(persistent=True) as tape:
        terms, critic = judge.terms(sr, hr, lr, step)
        own = terms["adversarial"][1] + terms["matching"][1]
    assert np.all(tape.gradient(own, sr).numpy() == 0)
    assert all(np.any(each != 0) for each in tape.gradient(critic, judge.discriminator.trainable_variables[::2]))


def test_real_small_photos_are_judged_without_them_and_held_to_their_colours():
    judge, step = adversary(levels=lambda images: [images, images]), tf.Variable(0, dtype=tf.int64)
    sr, hr, lr = random(3, 16, 16, 3), random(3, 16, 16, 3, seed=1), random(3, 4, 4, 3, seed=2)
    terms, critic = judge.terms(tf.constant(sr), tf.constant(hr), tf.constant(lr), step, pairs=2)
    others = np.concatenate([lr[:2], random(1, 4, 4, 3, seed=3)])
    same, same_critic = judge.terms(tf.constant(sr), tf.constant(hr), tf.constant(others), step, pairs=2)
    assert float(critic) == float(same_critic) and float(terms["drift"][1]) != float(same["drift"][1])
    wanted = np.mean(np.abs(sr[:2] - hr[:2])) / np.mean(hr[:2])  # of the pairs alone
    np.testing.assert_allclose(terms["perceptual"][1], wanted, rtol=1e-4)


@pytest.mark.parametrize("unpaired", [False, True])
def test_a_step_moves_both_players_and_stays_finite(unpaired):
    model = EDSR(4, 8, 1)
    judge = adversary(levels=lambda images: [images, images[:, ::2, ::2]], levels_weight=0.1)
    model.compile(keras.optimizers.SGD(0.1), adversary=judge)
    assert not {id(each) for each in judge.discriminator.weights} & {id(each) for each in model.weights}
    players = [model.trainable_variables, judge.discriminator.trainable_variables]
    before = [[variable.numpy() for variable in player] for player in players]
    lr, hr = tf.constant(random(2, 8, 8, 3)), tf.constant(random(2, 32, 32, 3, seed=1))
    inputs = {"lr": lr, "real": lr[::-1], "sharp": hr[::-1]} if unpaired else lr
    figures = model.train_step((inputs, hr))
    terms = {"perceptual", "adversarial", "matching", "lattice", "excess", "critic"}
    terms |= {"drift"} if unpaired else set()
    assert set(figures) == {"loss", "colour", "gradient_norm"} | terms
    assert all(np.isfinite(float(value)) for value in figures.values())
    for player, values in zip(players, before):
        moved = [np.any(variable.numpy() != value) for variable, value in zip(player, values)]
        assert np.mean(moved) >= 0.9  # the last bias falls out of a difference of scores
    assert judge.stepper.done == model.stepper.done == 1
