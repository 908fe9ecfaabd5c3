"""Adam with an average of the weights beside them."""

from __future__ import annotations

import contextlib
from typing import Iterator

from tensorflow import keras


@keras.saving.register_keras_serializable("ssrvae_tf")
class AveragingAdam(keras.optimizers.Adam):
    """Adam that leaves the weights alone at the end of `fit`: a run that goes on needs them as they were.

    `averaged` puts the averages in place for as long as they are looked at or saved.
    """

    def finalize_variable_values(self, var_list):
        pass

    def overwrite_with_averages(self, variables) -> None:
        super().finalize_variable_values(variables)


def adam(learning_rate: float, schedule: str, steps: int, warmup_steps: int, ema: float, beta_1: float = 0.9):
    """Adam as a run's settings ask for it.

    Args:
        schedule: "constant", or "cosine" from `learning_rate` to a hundredth of it over `steps`.
        steps: of the whole training.
        warmup_steps: of a linear rise from 0, part of `steps`.
        ema: momentum of the weights' average, 0 for none.
    """
    rate = learning_rate
    if schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(
            0.0 if warmup_steps else learning_rate,
            max(1, steps - warmup_steps),
            alpha=0.01,
            warmup_target=learning_rate if warmup_steps else None,
            warmup_steps=warmup_steps,
        )
    return AveragingAdam(rate, beta_1=beta_1, beta_2=0.999, use_ema=ema > 0, ema_momentum=ema or 0.99)


@contextlib.contextmanager
def averaged(model: keras.Model) -> Iterator[None]:
    """While the block runs, the model has its averaged weights, if its optimizer keeps any."""
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    if not optimizer.use_ema:
        yield
        return
    variables = model.optimized_variables if hasattr(model, "optimized_variables") else model.trainable_variables
    own = [variable.numpy() for variable in variables]
    optimizer.overwrite_with_averages(variables)
    try:
        yield
    finally:
        for variable, value in zip(variables, own):
            variable.assign(value)


def steps_done(model: keras.Model) -> int:
    """The step that a training has reached."""
    return int(model.optimizer.iterations.numpy())
