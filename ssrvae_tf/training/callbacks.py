"""What a training does beside its steps: results and checkpoints, progress, ending early."""

from __future__ import annotations

import contextlib
import csv
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Callable, Iterator

import numpy as np
import tensorflow as tf
from tensorflow import keras
from tqdm import tqdm

from ssrvae_tf.errors import UserError
from ssrvae_tf.loading.models import WEIGHTS, save_weights
from ssrvae_tf.training.averages import Averages
from ssrvae_tf.training.checkpoints import Checkpoints

_NOT_FINITE = "lower --learning-rate or take --precision float32; the same command goes on from the last checkpoint"


class EpochMeans(keras.callbacks.Callback):
    """Make an epoch's figures the means over its steps; end a training as soon as one of them is no number.

    Must be the first callback: the others get what it puts into the epoch's logs.
    """

    def on_epoch_begin(self, epoch, logs=None):
        self._sums, self._count = {}, 0

    def on_train_batch_end(self, batch, logs=None):
        for name, value in logs.items():
            if not np.isfinite(value):
                raise UserError(f"{name} is {value} in step {self.model.stepper.done}: {_NOT_FINITE}")
            self._sums[name] = self._sums.get(name, 0.0) + float(value)
        self._count += 1

    def on_epoch_end(self, epoch, logs=None):
        logs.update({name: total / self._count for name, total in self._sums.items()})


class Results(keras.callbacks.Callback):
    """What each epoch leaves in the run's folder, all of averaged weights: the weights for use, a sheet of pictures,
    a row in metrics.csv, both in tensorboard/, and a checkpoint at last. An epoch cut short leaves no sheet and no row.

    Args:
        folder: the run's.
        averages: of the model's weights.
        checkpoints: saved after everything else, so that what was lost comes again.
        draw: gives (PIL image, figures to add to the epoch's).
        prepare: what the model needs before it can be used, called first.
    """

    def __init__(
        self, folder: Path, averages: Averages, checkpoints: Checkpoints, draw: Callable, prepare: Callable
    ):
        super().__init__()
        self._folder, self._averages, self._checkpoints = folder, averages, checkpoints
        self._draw, self._prepare, self._saved = draw, prepare, None
        self._writer = tf.summary.create_file_writer(str(folder / "tensorboard"))
        (folder / "images").mkdir(exist_ok=True)

    def on_epoch_end(self, epoch, logs=None):
        with self._in_use():
            image, figures = self._draw()
            logs.update(figures)
            self._record(epoch + 1, image, logs)

    def on_train_end(self, logs=None):
        if self._saved != self.model.stepper.done:
            with self._in_use():
                pass

    @contextlib.contextmanager
    def _in_use(self) -> Iterator[None]:
        """Save the weights for use, keep them in place for the block, and save a checkpoint after it."""
        step = self.model.stepper.done
        if not all(np.isfinite(variable.numpy()).all() for variable in self.model.trainable_variables):
            raise UserError(f"weights are not finite after step {step}: {_NOT_FINITE}")
        with self._averages.in_place():
            self._prepare()
            save_weights(self.model, self._folder / WEIGHTS)
            yield
        self._checkpoints.save()
        self._saved = step

    def _record(self, epoch, image, figures):
        image.save(self._folder / "images" / f"epoch_{epoch:04d}.png")
        keep_rows(self._folder / "metrics.csv", epoch - 1, {"epoch": epoch, **figures})
        with self._writer.as_default(step=epoch):
            tf.summary.image("sheet", np.asarray(image)[None])
            for name, value in figures.items():
                tf.summary.scalar(name, value)
        self._writer.flush()


def keep_rows(path: Path, epochs: int, row: dict | None = None) -> None:
    """Cut a metrics.csv to the rows of the first `epochs` epochs and append `row`, beside and renamed."""
    rows = []
    if path.exists():
        with path.open(newline="") as file:
            rows = [kept for kept in csv.DictReader(file) if int(kept["epoch"]) <= epochs]
    rows += [row] if row else []
    if not rows and not path.exists():
        return
    names = list(dict.fromkeys(name for each in rows for name in each))
    beside = path.with_suffix(".part")
    with beside.open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)
    beside.replace(path)


class Progress(keras.callbacks.Callback):
    """One bar over all steps with rate, time left and the losses, and a line of figures after each epoch."""

    def __init__(self, total: int, steps_per_epoch: int):
        super().__init__()
        self._total, self._steps = total, steps_per_epoch

    def on_train_begin(self, logs=None):
        done = self.model.stepper.done
        self._bar = tqdm(total=self._total, initial=done, unit="step", dynamic_ncols=True, mininterval=0.5)

    def on_train_batch_end(self, batch, logs=None):
        self._bar.update()
        if self._bar.n % 10 == 0:
            self._bar.set_postfix(_short(logs), refresh=False)

    def on_epoch_end(self, epoch, logs=None):
        figures = "  ".join(f"{name} {value}" for name, value in _short(logs).items())
        self._bar.write(f"epoch {epoch + 1}/{self._total // self._steps}  {figures}")

    def on_train_end(self, logs=None):
        self._bar.close()


def _short(logs: dict) -> dict[str, str]:
    return {name: f"{float(value):.4g}" for name, value in logs.items()}


class Stop(keras.callbacks.Callback):
    """End early, between two steps: after some minutes, or at Ctrl-C while used as a context.

    A second Ctrl-C ends at once.

    Args:
        minutes: None for no limit.

    Attributes:
        reason: "interrupted", "time" or None.
    """

    def __init__(self, minutes: float | None = None):
        super().__init__()
        self.reason = None
        self._end = None if minutes is None else time.monotonic() + 60 * minutes

    def __enter__(self):
        self._own = threading.current_thread() is threading.main_thread()
        if self._own:
            self._before = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(self, *_):
        if self._own:
            signal.signal(signal.SIGINT, self._before)

    def _interrupt(self, *_):
        if self.reason == "interrupted":
            raise KeyboardInterrupt
        self.reason = "interrupted"
        print("\nstopping after this step; Ctrl-C again to stop without saving", file=sys.stderr)

    def on_train_batch_end(self, batch, logs=None):
        if self._end is not None and time.monotonic() > self._end:
            self.reason = self.reason or "time"
        if self.reason:
            self.model.stop_training = True
