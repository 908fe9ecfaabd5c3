"""How a train step moves weights: over all replicas at once, and with what float16 needs."""

from __future__ import annotations

import keras
import tensorflow as tf

_FIRST_SCALE = 2.0**15
_STEPS_BEFORE_GROWTH = 2000


class Stepper:
    """One optimizer, the number of steps that it was asked for, and the factor of float16 losses.

    Used inside a `train_step`, on one device or on each replica of a strategy:

        with tf.GradientTape() as tape:
            loss = stepper.scaled(...)
        norm = stepper.minimise(tape, loss, variables)

    The factor starts at 2^15, is halved by each step whose gradient is not finite on any of the replicas, which no
    replica then makes, and doubled after 2,000 finite ones in a row: as Keras does, which looks at one replica alone.
    Its variables are no weights of a model, so Keras must not find them: this is a plain object, and a checkpoint
    takes `state`.

    Args:
        optimizer: of Keras, as a compiled model has it. One that scales losses is unwrapped: it marks float16.

    Attributes:
        optimizer: the plain one.
        step: int64 variable, the steps so far, with those that were not made.
        scale: float32 variable, the factor; None unless float16.
    """

    def __init__(self, optimizer: keras.optimizers.Optimizer):
        self.optimizer = getattr(optimizer, "inner_optimizer", optimizer)
        self.step = _variable(0, tf.int64)
        self.state = {"step": self.step}
        self.scale = None
        if self.optimizer is not optimizer:
            self.scale, self._finite_steps = _variable(_FIRST_SCALE, tf.float32), _variable(0, tf.int64)
            self.state.update(scale=self.scale, finite_steps=self._finite_steps)

    @property
    def done(self) -> int:
        """`step` as a number."""
        return int(self.step.numpy())

    def scaled(self, loss: tf.Tensor) -> tf.Tensor:
        """The loss to take gradients of, inside the tape; `loss` is the mean over this replica's samples."""
        loss = loss / _replicas()
        return loss if self.scale is None else loss * self.scale

    def gradients(self, tape: tf.GradientTape, loss: tf.Tensor, variables: list) -> list[tf.Tensor]:
        """Those of a loss that went through `scaled`: of the mean over all replicas' samples, the same on each."""
        gradients = tape.gradient(loss, variables, unconnected_gradients="zero")
        if _replicas() > 1:
            gradients = tf.distribute.get_replica_context().all_reduce("SUM", gradients)
        return gradients if self.scale is None else [gradient / self.scale for gradient in gradients]

    def apply(self, gradients: list[tf.Tensor], variables: list) -> tf.Tensor:
        """One step down what `gradients` gave. Returns their norm, 0 where the step was not made."""
        norm, scale = tf.linalg.global_norm(gradients), self.scale
        gradients = [gradient / _replicas() for gradient in gradients]  # the optimizer adds up the replicas'
        self.step.assign_add(1)
        if scale is None:
            self.optimizer.apply_gradients(zip(gradients, variables))
            return norm

        def apply_if_finite(strategy: tf.distribute.Strategy, norm: tf.Tensor, *gradients: tf.Tensor) -> None:
            # Between the replicas, since on some devices they cannot talk to each other inside a condition.
            def apply() -> None:
                strategy.run(lambda *own: self.optimizer.apply_gradients(zip(own, variables)), args=gradients)
                enough = self._finite_steps + 1 >= _STEPS_BEFORE_GROWTH
                scale.assign(tf.where(enough, 2.0 * scale, scale))
                self._finite_steps.assign(tf.where(enough, tf.zeros_like(self._finite_steps), self._finite_steps + 1))

            def skip() -> None:
                scale.assign(tf.maximum(scale / 2.0, 1.0))
                self._finite_steps.assign(tf.zeros_like(self._finite_steps))

            tf.cond(tf.math.is_finite(strategy.experimental_local_results(norm)[0]), apply, skip)

        tf.distribute.get_replica_context().merge_call(apply_if_finite, args=(norm, *gradients))
        return tf.where(tf.math.is_finite(norm), norm, 0.0)

    def minimise(self, tape: tf.GradientTape, loss: tf.Tensor, variables: list) -> tf.Tensor:
        """One step down a loss that went through `scaled`. Returns the gradient's norm, as `apply` does."""
        return self.apply(self.gradients(tape, loss, variables), variables)


def over_replicas(figures: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """The means over the replicas of what each of them has measured, on each of them."""
    context = tf.distribute.get_replica_context()
    return context.all_reduce("MEAN", figures) if context.num_replicas_in_sync > 1 else figures


def seed_of_step(seed: int, step: tf.Variable) -> tf.Tensor:
    """(2,) int64, for random numbers that depend on `seed`, the number of the step and this replica alone."""
    replica = tf.distribute.get_replica_context().replica_id_in_sync_group
    return tf.stack([tf.constant(seed, tf.int64), step * 64 + tf.cast(replica, tf.int64)])


def _replicas() -> int:
    return tf.distribute.get_strategy().num_replicas_in_sync


def _variable(value: float, dtype: tf.DType) -> tf.Variable:
    # All replicas compute the same.
    return tf.Variable(value, trainable=False, dtype=dtype, aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA)
