"""Style-based variational autoencoder for real-world super-resolution, in TensorFlow.

    import ssrvae_tf
    sharp = ssrvae_tf.upscale(photo)       # an array or a Pillow image in, the same kind out, four times larger
    model = ssrvae_tf.load("faces-x4")     # a Keras model: model.predict(batch in [0, 1])

Both names are resolved at their first use, so importing the package costs nothing.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ssrvae_tf.inference.enlarger import upscale as upscale
    from ssrvae_tf.loading.models import load as load

__version__ = "0.2.0"

if sys.argv[:1] == ["-m"]:  # python -m ssrvae_tf.X
    importlib.import_module("ssrvae_tf.terminal").quiet_start()

_HOME = {"load": "ssrvae_tf.loading.models", "upscale": "ssrvae_tf.inference.enlarger"}

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'ssrvae_tf' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
