"""What the custom train steps share."""

from __future__ import annotations

import tensorflow as tf
from tensorflow import keras


def scaled(optimizer: keras.optimizers.Optimizer, loss: tf.Tensor) -> tf.Tensor:
    """The loss to take gradients of, inside the tape: this replica's share, enlarged where float16 needs it.

    `loss` is the mean over this replica's samples; the optimizer adds up the replicas' gradients.
    """
    loss = loss / tf.distribute.get_strategy().num_replicas_in_sync
    return optimizer.get_scaled_loss(loss) if hasattr(optimizer, "get_scaled_loss") else loss


def unscaled(optimizer: keras.optimizers.Optimizer, gradients: list) -> list:
    """The gradients of a loss that went through `scaled`."""
    return optimizer.get_unscaled_gradients(gradients) if hasattr(optimizer, "get_unscaled_gradients") else gradients


def minimise(optimizer: keras.optimizers.Optimizer, tape: tf.GradientTape, loss: tf.Tensor, variables: list) -> None:
    """One optimizer step on a loss that went through `scaled`."""
    gradients = unscaled(optimizer, tape.gradient(loss, variables))
    optimizer.apply_gradients(zip(gradients, variables))


def reported(figures: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """This replica's share of the figures that a step reports: Keras adds up the replicas'."""
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    return {name: value / replicas for name, value in figures.items()}
