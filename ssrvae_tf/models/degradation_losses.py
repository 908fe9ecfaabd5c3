"""How far one degraded face is from another with the same content, where noise counts by its strength alone."""

from __future__ import annotations

import tensorflow as tf

from ssrvae_tf.layers import local_mean

# Luma and two colour differences.
_OPPONENT = ((0.299, 0.5, -0.169), (0.587, -0.419, -0.331), (0.114, -0.081, 0.5))
# About a tenth of a gray level: below it, no energy counts as a difference.
_FLOOR = (0.1 / 255.0) ** 2


def transfer_distance(made: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """L1, four fifths of it after a 3x3 mean: on the pixels alone, a noisy target is met best without any noise."""
    difference = made - target
    smooth = tf.reduce_mean(tf.abs(local_mean(difference, 3)))
    return 0.8 * smooth + 0.2 * tf.reduce_mean(tf.abs(difference))


def band_energy_distance(made: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """Mean difference of the log energies of two high-pass bands, per image, in luma and two colour differences."""
    return tf.reduce_mean(tf.abs(log_energies(made) - log_energies(target)))


def log_energies(images: tf.Tensor) -> tf.Tensor:
    """Of two high-pass bands, in luma and two colour differences: (B, h, w, 3) -> (B, 6), nats."""
    images = tf.linalg.matmul(images, tf.constant(_OPPONENT))
    fine = local_mean(images, 3)
    bands = tf.concat([images - fine, fine - local_mean(fine, 5)], -1)
    return tf.math.log(tf.reduce_mean(tf.square(bands), [1, 2]) + _FLOOR)
