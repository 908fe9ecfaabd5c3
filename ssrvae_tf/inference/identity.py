"""Which network it is, so that results can tell whether another made them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from ssrvae_tf.inference.engines import ServerEngine, exported_folder
from ssrvae_tf.loading import places


def identity(model) -> str:
    """A short digest of the weights, the same on every machine and whatever the model is called.

    Args:
        model: as for `ssrvae_tf.upscale`, or what `ssrvae_tf.loading.places.chosen` gave, or a StyleVAE by name, run or
            itself. Of two sets of weights it is the digest of both, whatever the detail. Of a model in memory and of a
            file the digests differ. A server does not tell its weights: its address and the model's name and version
            stand for them.

    Raises:
        UserError: if there is no such model.
    """
    digest = hashlib.sha256()
    if isinstance(model, (str, os.PathLike)):
        for path in _files(model):
            digest.update(path.read_bytes())
    elif isinstance(model, ServerEngine):
        digest.update(model.name.encode())
    elif hasattr(model, "get_weights"):
        for values in model.get_weights():
            digest.update(values.tobytes())
    else:
        digest.update(f"{type(model).__module__}.{type(model).__qualname__}".encode())
    return digest.hexdigest()[:16]


def _files(model: str | os.PathLike) -> list[Path]:
    """Those that hold a model's numbers."""
    model = places.chosen(model)
    if isinstance(model, places.Blend):
        return model.files
    path = Path(model)
    if path.suffix == ".tflite":
        return [path]
    folder = exported_folder(path)
    if folder:
        return [folder / "saved_model.pb", *sorted((folder / "variables").glob("variables.*"))]
    return [places.file_of(path)]
