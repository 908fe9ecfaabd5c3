"""What differs between the two stacks that this package runs on; all else is written so that either runs it.

Python up to 3.11: TensorFlow 2.15 with Keras 2.15, tensorflow-addons (on most systems) and tensorflow-gan. From 3.12
on: TensorFlow 2.21 with Keras 3, for which there are neither.
"""

from __future__ import annotations

import contextlib
import importlib.util
import warnings
from types import ModuleType
from typing import Iterator

import keras
import tensorflow as tf

from ssrvae_tf.errors import UserError

_KERAS_3 = int(keras.__version__.split(".")[0]) >= 3
if keras.backend.backend() != "tensorflow":
    raise ImportError(f"Keras runs on {keras.backend.backend()}: set KERAS_BACKEND=tensorflow before it is imported")


@contextlib.contextmanager
def old_stack(package: str) -> Iterator[ModuleType | None]:
    """`package`, tensorflow_addons or tensorflow_gan, which does the work where it exists; None where it does not.

    Imported at first use, since that takes seconds. While the context lasts, the warnings that it gives about its own
    end and about old names of Python's and TensorFlow's, which no user can act on, are not shown.
    """
    if _KERAS_3 or not importlib.util.find_spec(package):
        yield None
        return
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel("ERROR")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield importlib.import_module(package)
    finally:
        logger.setLevel(level)


def plain(variable) -> tf.Variable:
    """TensorFlow's variable of one of a Keras model's: Keras 3 wraps it, which graphs that are saved do not take."""
    return variable if isinstance(variable, tf.Variable) else variable.value


def check_going_on(versions: dict[str, str], run: str) -> None:
    """Look whether a run can go on here: the states of optimizers fit the Keras that wrote them.

    Args:
        versions: of packages, as the run's versions.json has them.
        run: its folder, for the error.

    Raises:
        UserError: if it cannot.
    """
    there = versions.get("keras", keras.__version__)
    if (int(there.split(".")[0]) >= 3) != _KERAS_3:
        raise UserError(
            f"--out {run}: it was begun with Keras {there}, whose optimizer's state Keras {keras.__version__} cannot "
            f"read: go on with that one, or start from its weights, by --init {run} and another --out"
        )
