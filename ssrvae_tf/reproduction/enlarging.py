"""Everything that enlarges photos, by the one name that the plan has for it."""

from __future__ import annotations

import functools
from typing import Callable

import keras
import numpy as np

from ssrvae_tf.errors import UserError
from ssrvae_tf.loading import models as loading
from ssrvae_tf.loading import places
from ssrvae_tf.photos.resizing import resized
from ssrvae_tf.reproduction import peers

BICUBIC = "bicubic"


def enlarger(network: str, scale: int) -> Callable[[np.ndarray], np.ndarray]:
    """uint8 (B, h, w, 3) -> float32 (B, scale h, scale w, 3) in [0, 1].

    Args:
        network: bicubic, the peer's name, or what `load` takes.

    Raises:
        UserError: if it has another scale.
    """
    if network == BICUBIC:

        def bicubic(lr: np.ndarray) -> np.ndarray:
            large = [resized(photo, scale * photo.shape[1], scale * photo.shape[0]) for photo in lr]
            return np.stack(large).astype(np.float32) / 255

        return bicubic
    if network == peers.X4PLUS:
        run = peers.networks()[network]
        return lambda lr: np.clip([run(photo.astype(np.float32) / 255) for photo in lr], 0, 1)
    model = _network(network)
    if model.scale != scale:
        raise UserError(f"{network}: enlarges by {model.scale}, the plan's networks by {scale}: leave it out")
    return lambda lr: np.clip(model.predict(lr.astype(np.float32) / 255, verbose=0), 0, 1)


@functools.lru_cache(maxsize=1)  # it is measured several times, one after another
def _network(place: str) -> keras.Model:
    return loading.load(places.chosen(place))


def forget() -> None:
    """Give back what the last network takes."""
    _network.cache_clear()
