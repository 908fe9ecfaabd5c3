"""What a training does beside its steps: results and checkpoints, figures, progress, ending early."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Callable, Iterator, Optional

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from ssrvae_tf.errors import UserError
from ssrvae_tf.loading.models import save_weights
from ssrvae_tf.loading.places import BEST, WEIGHTS
from ssrvae_tf.training.averages import Averages
from ssrvae_tf.training.checkpoints import Checkpoints
from ssrvae_tf.training.records import Table

# The same command would end at the same step again, and this run keeps its settings.
_NOT_FINITE = (
    "lower --learning-rate or take --precision float32, and another --out: by --init it starts from what this one saved"
)
SCORE = "val_psnr"  # the figure that says which weights are the best, dB
_SAME = 1e-3  # dB, of the same pieces on another processor


class Means:
    """Means of figures over some steps."""

    def __init__(self):
        self._sums, self.count = {}, 0

    def add(self, figures: dict[str, float]) -> None:
        for name, value in figures.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self.count += 1

    def take(self) -> dict[str, float]:
        """The means so far, and begin anew."""
        means = {name: total / self.count for name, total in self._sums.items()}
        self._sums, self.count = {}, 0
        return means


class EpochMeans(keras.callbacks.Callback):
    """Make an epoch's figures the means over its steps; end a training as soon as one of them is no number.

    Must be the first callback: the others get what it puts into the epoch's logs.
    """

    def on_epoch_begin(self, epoch, logs=None):
        self._means = Means()

    def on_train_batch_end(self, batch, logs=None):
        for name, value in logs.items():
            if not np.isfinite(value):
                raise UserError(f"{name} is {value} in step {self.model.stepper.done}: {_NOT_FINITE}")
        self._means.add(logs)

    def on_epoch_end(self, epoch, logs=None):
        logs.update(self._means.take())


class StepFigures(keras.callbacks.Callback):
    """Means over every few steps, with the learning rate and the speed: a row in a table, and in TensorBoard.

    Args:
        table: rows by step.
        writer: of TensorBoard.
        every: steps from one row to the next.
        batch_size: examples of a step.
    """

    def __init__(self, table: Table, writer: tf.summary.SummaryWriter, every: int, batch_size: int):
        super().__init__()
        self._table, self._writer, self._every, self._batch_size = table, writer, every, batch_size
        self._means, self._seconds = Means(), 0.0

    def on_train_begin(self, logs=None):
        # The optimizer's own `learning_rate` is that of the last step with one Keras, of the next one with another.
        rate = self.model.optimizer.get_config()["learning_rate"]
        is_schedule = isinstance(rate, dict)
        self._rate = keras.optimizers.schedules.deserialize(rate) if is_schedule else lambda step: rate

    def on_train_batch_begin(self, batch, logs=None):
        self._begin = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        self._seconds += time.perf_counter() - self._begin
        self._means.add(logs)
        step = self.model.stepper.done
        if step % self._every:
            return
        rate = float(self._rate(max(0, int(self.model.optimizer.iterations.numpy()) - 1)))
        speed = self._means.count * self._batch_size / self._seconds
        row = {**self._means.take(), "learning_rate": rate, "examples_per_second": speed}
        self._seconds = 0.0
        self._table.add({"step": step, **row})
        write_scalars(self._writer, step, row, "steps/")


@dataclasses.dataclass
class Schedule:
    """How often something is done beside the ends of epochs; None is never.

    Args:
        checkpoint_steps, checkpoint_minutes: from one checkpoint to the next.
        picture_steps: from one sheet of pictures in TensorBoard to the next.
        patience: epochs in a row without a better validation after which a training ends.
        keep_best: whether the weights of the best validation are kept, as the result, beside the newest ones.
    """

    checkpoint_steps: Optional[int] = None
    checkpoint_minutes: Optional[float] = None
    picture_steps: Optional[int] = None
    patience: Optional[int] = None
    keep_best: bool = True


class Results(keras.callbacks.Callback):
    """What a training leaves in the run's folder, all of averaged weights.

    Each epoch: the weights for use, a sheet of pictures, a row in metrics.csv, both in tensorboard/, the best weights
    so far if there is a validation, and a checkpoint at last, so that what was lost comes again. Between two epochs,
    and where one is cut short: the weights for use and a checkpoint.

    Args:
        folder: the run's.
        table: metrics.csv, rows by epoch.
        writer: of TensorBoard.
        averages: of the model's weights.
        checkpoints: of all.
        draw: gives (PIL image, figures to add to the epoch's).
        prepare: what the model needs before it can be used, called first.
        validate: gives figures to add to the epoch's; None for no validation.
        schedule: of what is done more often.
    """

    def __init__(
        self,
        folder: Path,
        table: Table,
        writer: tf.summary.SummaryWriter,
        averages: Averages,
        checkpoints: Checkpoints,
        draw: Callable,
        prepare: Callable,
        validate: Callable | None,
        schedule: Schedule,
    ):
        super().__init__()
        self._folder, self._table, self._writer, self._schedule = folder, table, writer, schedule
        self._averages, self._checkpoints = averages, checkpoints
        self._draw, self._prepare, self._validate = draw, prepare, validate
        (folder / "images").mkdir(exist_ok=True)

    def on_train_begin(self, logs=None):
        self._saved_step, self._saved_at = self.model.stepper.done, time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        if batch + 1 == self.params["steps"]:
            return  # the epoch's end is next
        step, schedule = self.model.stepper.done, self._schedule
        minutes = (time.monotonic() - self._saved_at) / 60.0
        if schedule.picture_steps and step % schedule.picture_steps == 0:
            with self._averages.in_place():
                self._prepare()
                write_picture(self._writer, step, self._draw()[0], "steps/")
        if schedule.checkpoint_steps and step % schedule.checkpoint_steps == 0:
            self.save()
        elif schedule.checkpoint_minutes and minutes >= schedule.checkpoint_minutes:
            self.save()

    def on_epoch_end(self, epoch, logs=None):
        with self._in_use():
            image, figures = self._draw()
            logs.update(figures)
            if self._validate:
                logs.update(self._validate())
            image.save(self._folder / "images" / f"epoch_{epoch + 1:04d}.png")
            self._table.add({"epoch": epoch + 1, **logs})
            scores = scores_of(self._table)
            if self._schedule.keep_best and scores and max(scores, key=scores.get) == epoch + 1:
                save_weights(self.model, self._folder / BEST)
            write_picture(self._writer, epoch + 1, image)
            write_scalars(self._writer, epoch + 1, logs)
        if out_of_patience(scores_of(self._table), self._schedule.patience):
            self.model.stop_training = True

    def on_train_end(self, logs=None):
        if self._saved_step != self.model.stepper.done:
            self.save()

    def save(self) -> None:
        """The weights for use and a checkpoint."""
        with self._in_use():
            pass

    @contextlib.contextmanager
    def _in_use(self) -> Iterator[None]:
        """Save the weights for use, keep them in place for the block, and save a checkpoint after it."""
        step = self.model.stepper.done
        adversary = getattr(self.model, "adversary", None)
        moved = [*self.model.trainable_variables, *(adversary.variables if adversary else [])]
        if not all(np.isfinite(variable.numpy()).all() for variable in moved):
            raise UserError(f"weights are not finite after step {step}: {_NOT_FINITE}")
        with self._averages.in_place():
            self._prepare()
            save_weights(self.model, self._folder / WEIGHTS)
            yield
        self._checkpoints.save()
        self._saved_step, self._saved_at = step, time.monotonic()


def scores_of(table: Table, first: int = 1) -> dict[int, float]:
    """{epoch: score} of metrics.csv, of the epochs that were measured on the same photos as the newest one.

    A run may go on with other photos, whose scores say nothing beside those of before. Bicubic's tells.

    Args:
        first: 0 takes the weights that a run started from, too.
    """
    scores, plain = table.column(SCORE), table.column(f"{SCORE}_bicubic")
    same = itertools.takewhile(lambda epoch: abs(plain[epoch] - plain[max(plain)]) < _SAME, reversed(plain))
    return {epoch: scores[epoch] for epoch in sorted(same) if epoch >= first}


def out_of_patience(scores: dict[int, float], patience: int | None) -> bool:
    """Whether the newest `patience` epochs are all no better than the best before them."""
    return bool(patience and scores) and max(scores) - max(scores, key=scores.get) >= patience


def write_scalars(writer: tf.summary.SummaryWriter, step: int, figures: dict[str, float], prefix: str = "") -> None:
    """Into TensorBoard."""
    with writer.as_default(step=step):
        for name, value in figures.items():
            tf.summary.scalar(prefix + name, value)
    writer.flush()


def write_picture(writer: tf.summary.SummaryWriter, step: int, image, prefix: str = "") -> None:
    """Into TensorBoard."""
    with writer.as_default(step=step):
        tf.summary.image(f"{prefix}sheet", np.asarray(image)[None])
    writer.flush()


class Progress(keras.callbacks.Callback):
    """One bar over all steps with rate, time left, losses and the last validation, and a line after each epoch."""

    def __init__(self, total: int, steps_per_epoch: int):
        super().__init__()
        self._total, self._steps, self._validation = total, steps_per_epoch, {}

    def on_train_begin(self, logs=None):
        done = self.model.stepper.done
        self._bar = tqdm(total=self._total, initial=done, unit="step", dynamic_ncols=True, mininterval=0.5)

    def on_train_batch_end(self, batch, logs=None):
        self._bar.update()
        if self._bar.n % 10 == 0:
            self._bar.set_postfix(_short({**logs, **self._validation}), refresh=False)

    def on_epoch_end(self, epoch, logs=None):
        self._validation = {name: logs[name] for name in logs if name.startswith("val_") and "bicubic" not in name}
        figures = "  ".join(f"{name} {value}" for name, value in _short(logs).items())
        self._bar.write(f"epoch {epoch + 1}/{self._total // self._steps}  {figures}")

    def on_train_end(self, logs=None):
        self._bar.close()


def _short(logs: dict) -> dict[str, str]:
    return {name: f"{float(value):.4g}" for name, value in logs.items()}


class Stop(keras.callbacks.Callback):
    """End early, between two steps: after some minutes; at Ctrl-C or SIGTERM while used as a context.

    A second signal ends at once.

    Args:
        minutes: None for no limit.

    Attributes:
        reason: signal.SIGINT, signal.SIGTERM, "time" or None.
    """

    _SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self, minutes: float | None = None):
        super().__init__()
        self.reason = None
        self._end = None if minutes is None else time.monotonic() + 60 * minutes

    def __enter__(self):
        self._before = {}
        if threading.current_thread() is threading.main_thread():  # others may not
            self._before = {number: signal.signal(number, self._interrupt) for number in self._SIGNALS}
        return self

    def __exit__(self, *_):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _interrupt(self, number, frame):
        if self.reason in self._SIGNALS:
            self.leave(number)
        self.reason = signal.Signals(number)
        print("\nstopping after this step; once more to stop without saving", file=sys.stderr)

    @staticmethod
    def leave(number: int) -> None:
        """End the program as the signal does, with exit code 130 or 143."""
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + number)

    def on_train_batch_end(self, batch, logs=None):
        if self._end is not None and time.monotonic() > self._end:
            self.reason = self.reason or "time"
        if self.reason:
            self.model.stop_training = True
