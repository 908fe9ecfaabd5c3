from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from ssrvae_tf.models.degradation_losses import band_energy_distance, transfer_distance


def noise(strength, seed):
    shape = (2, 24, 24, 3)
    return (0.5 + np.random.default_rng(seed).normal(0, strength, shape)).astype("float32")


def energy(a, b):
    return float(band_energy_distance(tf.constant(a), tf.constant(b)))


def test_equal_images_are_at_no_distance():
    assert energy(noise(0.1, 0), noise(0.1, 0)) == 0
    assert float(transfer_distance(tf.constant(noise(0.1, 0)), tf.constant(noise(0.1, 0)))) == 0


def test_noise_counts_by_its_strength_and_not_by_where_it_lies():
    alike, weaker, none = (energy(noise(0.1, 0), noise(strength, 1)) for strength in (0.1, 0.05, 0.0))
    assert alike < 0.3 < weaker < none
    assert weaker == pytest.approx(np.log(4), abs=0.3)  # a half in strength is a quarter in energy


def test_with_noise_of_its_own_an_image_is_hardly_further_from_a_noisy_target_than_without():
    target = tf.constant(noise(0.1, 0))
    flat, noisy = (float(transfer_distance(tf.constant(noise(strength, 1)), target)) for strength in (0.0, 0.1))
    pixels = [np.abs(noise(strength, 1) - target).mean() for strength in (0.0, 0.1)]
    assert noisy - flat < 0.6 * (pixels[1] - pixels[0])
