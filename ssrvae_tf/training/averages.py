"""Moving averages of weights, which end nearer to a minimum than the weights themselves, and swing less."""

from __future__ import annotations

import contextlib
from typing import Iterator

import tensorflow as tf

from ssrvae_tf.compat import plain


class Averages:
    """average += (1 - m) (weight - average) after each step, with m = min(momentum, (1 + step) / (10 + step)).

    The second keeps the first averages from being what the weights began as. To be made in the strategy's scope.

    Args:
        variables: the weights.
        momentum: 0 keeps no averages: then the last weights are the result.

    Attributes:
        values: the averages, in the order of `variables`; for a checkpoint.
    """

    def __init__(self, variables: list, momentum: float):
        self._variables, self._momentum = [plain(variable) for variable in variables], momentum
        first = tf.VariableAggregation.ONLY_FIRST_REPLICA
        averaged = self._variables if momentum else []
        self.values = [tf.Variable(variable.numpy(), trainable=False, aggregation=first) for variable in averaged]

    def update(self, strategy: tf.distribute.Strategy, step: tf.Variable) -> None:
        """Follow the weights after step number `step`, counted from 1; between the replicas."""
        done = tf.cast(step, tf.float32)
        momentum = tf.minimum(self._momentum, done / (9.0 + done))

        def move(average, variable, momentum):
            average.assign(momentum * average + (1.0 - momentum) * variable)

        for average, variable in zip(self.values, self._variables):
            strategy.extended.update(average, move, args=(variable, momentum))

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """While the block runs, the weights are the averages, if any are kept."""
        own = [variable.numpy() for variable in self._variables] if self.values else []
        for variable, average in zip(self._variables, self.values):
            variable.assign(average.numpy())
        try:
            yield
        finally:
            for variable, value in zip(self._variables, own):
                variable.assign(value)
