"""The loop of a training: models say what a step is (`train_step`), callbacks what is done between two steps."""

from __future__ import annotations

from typing import Iterable

import keras
import tensorflow as tf

from ssrvae_tf.training.averages import Averages


def train(
    model: keras.Model,
    strategy: tf.distribute.Strategy,
    batches: tf.data.Dataset,
    first: int,
    last: int,
    steps_per_epoch: int,
    callbacks: Iterable[keras.callbacks.Callback] = (),
    averages: Averages | None = None,
) -> None:
    """Make the steps `first` to `last` - 1 of a training, on all replicas at once, until a callback wants to stop.

    Args:
        model: compiled under `strategy`. Its `train_step` moves the weights and returns the means over the samples of
            all replicas, which the callbacks get as numbers.
        batches: of all replicas together; the first is that of step `first`.
        steps_per_epoch: an epoch is a range of steps and nothing else.
        callbacks: of Keras; `model.stop_training` ends the training after the step, and its epoch if that is over.
        averages: of the weights, moved after each step.
    """

    @tf.function
    def step(batches):
        figures = strategy.run(model.train_step, args=(next(batches),))
        if averages:
            averages.update(strategy, model.stepper.step)
        return {name: strategy.experimental_local_results(value)[0] for name, value in figures.items()}

    @tf.function
    def votes(own):
        return strategy.reduce("SUM", strategy.run(lambda: own), axis=None)

    several_workers = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
    callbacks = list(callbacks)
    for callback in callbacks:
        callback.set_params({"steps": steps_per_epoch})
        callback.set_model(model)

    def tell(what: str, *arguments) -> None:
        # Not by Keras' CallbackList, which in Keras 3 sorts the figures.
        for callback in callbacks:
            getattr(callback, what)(*arguments)

    batches = iter(strategy.experimental_distribute_dataset(batches))
    model.stop_training = False
    tell("on_train_begin")
    for number in range(first, last):
        epoch, place = divmod(number, steps_per_epoch)
        if place == 0 or number == first:
            tell("on_epoch_begin", epoch)
        tell("on_train_batch_begin", place)
        figures = step(batches)
        tell("on_train_batch_end", place, {name: float(value) for name, value in figures.items()})
        if place + 1 == steps_per_epoch:
            tell("on_epoch_end", epoch, {})
        if several_workers:  # they end at the same step, or some would wait for the others for ever
            model.stop_training = float(votes(tf.constant(float(model.stop_training)))) > 0
        if model.stop_training:
            break
    tell("on_train_end")
