"""The fastest engine on a processor: small tiles by LiteRT, from a file that is made once for a model and kept."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import platformdirs
import tensorflow as tf

from ssrvae_tf import __version__
from ssrvae_tf.errors import UserError, one_line
from ssrvae_tf.inference.engines import KerasEngine, TFLiteEngine
from ssrvae_tf.loading import places

# benchmarks/upscaling.py: a file takes some 15 s to make and saves two fifths of the time from then on.
_WORTH_A_FILE = 1_000_000  # pixels
# Attention is in one piece in a file: of tiles of 64x64 it takes 67 MB, growing with the square of the area.
_LARGEST = 64**2
_KEPT = 8  # files, of 1 to 3 MB: of the models last used


class FastEngine:
    """Tiles of up to 64x64 by LiteRT as float16 (within 1e-4 of Keras), larger ones by the Keras model.

    Args:
        engine: of the Keras model.
        file: the same network as TFLite.
    """

    fixed_size = None

    def __init__(self, engine: KerasEngine, file: Path):
        self._large, self._small = engine, TFLiteEngine(file)
        self.scale = engine.scale

    def __call__(self, lr: np.ndarray) -> np.ndarray:
        return (self._small if lr.shape[1] * lr.shape[2] <= _LARGEST else self._large)(lr)


def fastest(engine, model, pixels: int):
    """`engine`, or a faster one of the same network if `model` is kept in a file.

    Args:
        engine: what `ssrvae_tf.inference.engines.engine(model)` gave.
        model: the name of a model or the folder of its run, or what `ssrvae_tf.loading.places.chosen` made of it;
            whatever else it is, `engine` is what it needs.
        pixels: of all photos to come. From a million on the file is made if there is none.
    """
    named = isinstance(engine, KerasEngine) and isinstance(model, (str, os.PathLike))
    if not named or not find_spec("ai_edge_litert") or tf.config.list_logical_devices("GPU"):
        return engine
    try:
        file = _kept_file(model)
        if not file.exists():
            if pixels < _WORTH_A_FILE:
                return engine
            _make(model, file)
        return _opened(engine, file)
    except (UserError, OSError, subprocess.CalledProcessError) as error:
        print(f"{model} stays on the slower engine: {one_line(error)}", file=sys.stderr)
        return engine


def _opened(engine, file: Path) -> FastEngine:
    try:
        fast = FastEngine(engine, file)
    except UserError:
        file.unlink(missing_ok=True)  # damaged: the next job makes it anew
        raise
    with contextlib.suppress(OSError):  # a folder that is only read, or a file removed since
        os.utime(file)  # a sign of use, for `_forget_oldest`
    return fast


def _kept_file(model) -> Path:
    """Where the file of these very weights lies, or would."""
    digest = hashlib.sha256(f"{__version__} {tf.__version__}".encode())
    model = places.chosen(model)
    files = [] if places.keras_file(model) else [places.find(model) / places.CONFIG]
    if isinstance(model, places.Blend):
        digest.update(f"detail {model.detail}".encode())
        files += model.files
    else:
        files.append(places.file_of(model))
    for part in files:
        digest.update(part.read_bytes())
    return Path(platformdirs.user_cache_dir("ssrvae_tf"), f"{digest.hexdigest()[:32]}.tflite")


def _make(model, file: Path) -> None:
    """In a process of its own, whose memory goes with it."""
    print(f"making a faster form of {model} for this processor, once: {file}", file=sys.stderr)
    file.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "ssrvae_tf.export", os.fspath(model), "--tflite", os.fspath(file)]
    if isinstance(model, places.Blend):
        command += ["--detail", str(model.detail), "--detailed", model.detailed]
    done = subprocess.run([*command, "--quantize", "float16"], capture_output=True, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"export ended with {done.returncode}"]
        raise UserError(lines[-1])
    _forget_oldest(file.parent)


def _forget_oldest(folder: Path) -> None:
    """Keeps what was used last. Another process may have removed a file already."""
    used = sorted(((file.stat().st_mtime, file) for file in folder.glob("*.tflite")), reverse=True)
    for _, file in used[_KEPT:]:
        file.unlink(missing_ok=True)
