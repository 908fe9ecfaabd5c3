"""Losses of adversarial training, by tensorflow-gan where it exists."""

from __future__ import annotations

import tensorflow as tf

from ssrvae_tf.compat import old_stack


def looks_real(logits: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """The logistic loss of what should be judged real: the mean of weights * log(1 + exp(-logits)).

    Of (score of the real photo - score of the made one) it is the relativistic paired discriminator's loss, of the
    negative of that the generator's (arXiv 1807.00734, section 4.1).

    Args:
        logits: (B, h, w, 1) float32.
        weights: (B, 1, 1, 1).
    """
    with old_stack("tensorflow_gan") as tfgan:
        if tfgan is None:
            return logistic(logits, weights)
        loss = tfgan.losses.wargs.modified_generator_loss
        mean = tf.compat.v1.losses.Reduction.SUM_OVER_BATCH_SIZE
        return loss(logits, weights=weights, loss_collection=None, reduction=mean)


def logistic(logits: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """`looks_real` as tensorflow-gan computes it."""
    return tf.reduce_mean(weights * tf.nn.softplus(-logits))
