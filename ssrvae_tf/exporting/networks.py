"""What the exports of one file share."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Callable, Iterator

import keras
import numpy as np

from ssrvae_tf.errors import UserError
from ssrvae_tf.inference.engines import KerasEngine
from ssrvae_tf.models import SRNetwork
from ssrvae_tf.photos.writing import replacing

_MOST = 1e-4
_SIZES = ((32, 32), (17, 30))  # of what is compared


def check_agreement(model: keras.Model, run: Callable[[np.ndarray], np.ndarray], what: str) -> float:
    """The largest difference of what was made of a network, `run`, to the network itself.

    Args:
        run: float32 (B, h, w, 3) in [0, 1] -> (B, scale h, scale w, 3).
        what: begins the message.

    Raises:
        UserError: if it is above 1e-4.
    """
    keras_engine, apart = KerasEngine(model), 0.0
    for size in _SIZES:
        lr = np.random.default_rng(0).random((2, *size, 3), np.float32)
        apart = max(apart, float(np.abs(run(lr) - keras_engine(lr)).max()))
    if apart > _MOST:
        raise UserError(f"{what} differs from Keras by {apart:.1e}: not written")
    return apart


def with_chunk(model: keras.Model, chunk: int | None) -> keras.Model:
    """An SRNetwork whose attention holds `chunk` queries at once, None: all. Other models as they are."""
    if not isinstance(model, SRNetwork) or model.get_config()["chunk"] == chunk:
        return model
    return copied(model, chunk)


def copied(model: SRNetwork, chunk: int | None) -> SRNetwork:
    """A copy whose attention holds `chunk` queries at once."""
    copy = SRNetwork.from_config({**model.get_config(), "chunk": chunk})
    copy.set_weights(model.get_weights())
    return copy


@contextlib.contextmanager
def network_file(model: keras.Model, path: str | os.PathLike, option: str, kind: str) -> Iterator[Path]:
    """Where to write a network of that kind; the file gets the name `path` when the block ends.

    Raises:
        UserError: it names `option`: if the model is a StyleVAE, or the file cannot be written.
    """
    path = Path(path)
    if hasattr(model, "degrade"):
        raise UserError(f"{option} {path}: a StyleVAE draws random numbers, which {kind} cannot: take --savedmodel")
    if not path.parent.is_dir():
        raise UserError(f"{option} {path}: there is no folder {path.parent}: make it first")
    try:
        with replacing(path) as part:
            yield part
    except OSError as error:
        raise UserError(f"{option} {path}: cannot be written ({error.strerror}): choose another place") from error
