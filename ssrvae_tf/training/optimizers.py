"""Adam as a run's settings ask for it."""

from __future__ import annotations

import keras


def adam(learning_rate: float, schedule: str, steps: int, warmup_steps: int, beta_1: float = 0.9):
    """Adam with a schedule.

    Args:
        schedule: "constant", or "cosine" from `learning_rate` to a hundredth of it over `steps`.
        steps: of the whole training.
        warmup_steps: of a linear rise from 0, part of `steps`.
    """
    rate = learning_rate
    if schedule == "cosine" or warmup_steps:
        rate = keras.optimizers.schedules.CosineDecay(
            0.0 if warmup_steps else learning_rate,
            max(1, steps - warmup_steps),
            alpha=0.01 if schedule == "cosine" else 1.0,  # a cosine from 1 to 1 is constant
            warmup_target=learning_rate if warmup_steps else None,
            warmup_steps=warmup_steps,
        )
    return keras.optimizers.Adam(rate, beta_1=beta_1, beta_2=0.999)
