"""What a run needs to go on."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Iterator

import keras
import tensorflow as tf

from ssrvae_tf.errors import UserError, one_line
from ssrvae_tf.training.averages import Averages

_LIST = "checkpoint"  # TensorFlow's name for it


class Checkpoints:
    """Weights, their averages, optimizers, discriminators, and the steps made, which are the data's position too.

    Args:
        folder: where the newest two are kept.
        model: compiled and built.
        averages: of its weights.
    """

    def __init__(self, folder: Path, model: keras.Model, averages: Averages):
        steppers = [each for each in (model.stepper, getattr(model, "critic_stepper", None)) if each]
        adversary = getattr(model, "adversary", None)
        checkpoint = tf.train.Checkpoint(
            model=model,
            averages=averages.values,
            steppers=[stepper.state for stepper in steppers],
            adversary=adversary.state if adversary else {},
        )
        self._stepper = model.stepper
        if folder.is_dir() and not _listed(folder):
            (folder / _LIST).unlink(missing_ok=True)  # an empty one, with which there would be no manager
        self._manager = tf.train.CheckpointManager(checkpoint, str(folder), max_to_keep=2)

    @staticmethod
    def newest_step(folder: Path) -> int:
        """The step of the newest checkpoint, 0 if there is none."""
        path = _newest(folder)
        return _step(path) if path else 0

    @staticmethod
    def refuse_older(folder: Path) -> None:
        """Look whether the newest checkpoint of `folder`, if there is one, holds what is kept today.

        Raises:
            UserError: if it does not.
        """
        path, run = _newest(folder), folder.parent
        with _telling_damage(path):
            if path and not any(name.startswith("steppers/") for name, _ in tf.train.list_variables(path)):
                raise UserError(
                    f"--out {run}: its checkpoint is of version 0.1.0, which cannot go on: start from its weights, by "
                    f"--init {run} and another --out"
                )

    def restore(self, folder: Path) -> None:
        """Bring back the newest checkpoint of `folder`, if there is one.

        Raises:
            UserError: if it is damaged.
        """
        path = _newest(folder)
        if not path:
            return
        with _telling_damage(path):
            self._manager.checkpoint.restore(path).assert_existing_objects_matched()

    def save(self) -> None:
        self._manager.save(self._stepper.done)


def _newest(folder: Path) -> str | None:
    """The newest checkpoint, None if there is none. Without the list that TensorFlow keeps of them, which is lost where
    the power fails while it is written, it is that of the greatest number: each is whole once it has its index."""
    return _listed(folder) or max(_whole(folder), key=_step, default=None)


def _whole(folder: Path) -> list[str]:
    """All checkpoints."""
    return [str(path.with_suffix("")) for path in folder.glob("ckpt-*.index")]


def _step(path: str) -> int:
    return int(path.rsplit("-", 1)[1])


def _listed(folder: Path) -> str | None:
    """The newest checkpoint by that list; None if there is none, or it is damaged."""
    try:
        return tf.train.latest_checkpoint(str(folder))
    except ValueError:  # an empty one; other damage is logged
        return None


@contextlib.contextmanager
def _telling_damage(path: str | None) -> Iterator[None]:
    try:
        yield
    except (tf.errors.OpError, IndexError, ValueError, AssertionError) as error:
        advice = "start anew in another --out"
        if any(_step(other) < _step(path) for other in _whole(Path(path).parent)):
            advice = f"remove {path}.* to go on from the one before, or {advice}"
        raise UserError(f"{path}: cannot be restored ({one_line(error)}): {advice}") from error
