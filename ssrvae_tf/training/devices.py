"""What a training runs on: devices, workers, precision."""

from __future__ import annotations

import contextlib
import functools
import json
import os

import keras
import tensorflow as tf

from ssrvae_tf.config import FitConfig
from ssrvae_tf.errors import UserError, one_line

# What TensorFlow raises where it talks to another worker that is no longer there, or has started again.
_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
)


@contextlib.contextmanager
def precision(policy: str):
    """Keras' global precision, while the block runs."""
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy(policy)
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy(before)


@contextlib.contextmanager
def telling_lost_workers(out: str):
    """Several workers go on together or not at all."""
    try:
        yield
    except _LOST as error:
        if "TF_CONFIG" not in os.environ:
            raise
        raise UserError(
            f"another worker is gone: start all of them again, with the same commands: {out} goes on from its last "
            "checkpoint"
        ) from error


def strategy_for(settings: FitConfig) -> tf.distribute.Strategy:
    """All workers of TF_CONFIG's cluster, or without one all devices of this machine.

    Raises:
        UserError: if TF_CONFIG cannot be read, or the batch cannot be shared evenly.
    """
    given = os.environ.get("TF_CONFIG", "")
    try:
        several = bool(given and json.loads(given).get("cluster"))
        if several and settings.max_minutes:
            raise UserError("--max-minutes: the clocks of several workers differ: use --epochs with TF_CONFIG")
        strategy = _strategy(several)
    except (ValueError, AttributeError, TypeError) as error:
        why = f"TF_CONFIG {given}: no cluster and task can be read from it ({one_line(error)})"
        raise UserError(f"{why}: see docs/scale.md, or unset it to train on this machine alone") from error
    replicas = strategy.num_replicas_in_sync
    if settings.batch_size % replicas:
        raise UserError(f"--batch-size {settings.batch_size}: it must be a multiple of the {replicas} devices")
    return strategy


@functools.lru_cache(maxsize=None)  # a second one in a process would reuse the keys of the first one's collectives
def _strategy(several_workers: bool) -> tf.distribute.Strategy:
    if several_workers:
        return tf.distribute.MultiWorkerMirroredStrategy()
    # All GPUs, else all logical CPUs: one, unless the program made more.
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in devices])


def share_of_this_worker(strategy: tf.distribute.Strategy) -> tuple[int, int]:
    """(number of this worker, number of workers)."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return 0, 1
    resolver = strategy.cluster_resolver
    workers = resolver.cluster_spec().as_dict()
    chiefs = len(workers.get("chief", []))
    number = resolver.task_id + (chiefs if resolver.task_type == "worker" else 0)
    return number, chiefs + len(workers.get("worker", []))
