"""What can enlarge a batch of tiles: a Keras model, an exported SavedModel or TFLite file, a server.

An engine has

    scale       what it multiplies sides by
    fixed_size  (height, width) of the only input that it takes, or None: any
    engine(lr)  (B, h, w, 3) float32 in [0, 1] -> (B, scale h, scale w, 3) float32, B from 0 on

and may have

    runtime     what computes, as "Keras"; with its version if results depend on it
    precision   in what numbers, "float32" unless told
    parallel    True if a row of tiles is best given at once
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from pathlib import Path

import numpy as np

from ssrvae_tf import terminal
from ssrvae_tf.errors import UserError, one_line
from ssrvae_tf.loading.places import Blend
from ssrvae_tf.photos.pixels import to_uint8
from ssrvae_tf.versions import looking_for, newest

TOO_LARGE = "pixels refused"  # in what an exported graph says of photos above its limit
# Before what a loaded graph says.
_PREFACE = re.compile(r"^Graph execution error:.*\(most recent call last\):\s*(<stack traces unavailable>)?", re.DOTALL)
_PROBE = 16  # side of the input that a scale is read off
# What interpreters say where numbers of elements or bytes grow too large.
NO_MEMORY = re.compile(r"alloc|memory|overflow|failed to (reshape|setup)|too large|BytesRequired|tensor size", re.I)


def engine(model):
    """The engine for a model.

    Args:
        model: what `ssrvae_tf.load` gave, or its name or the folder of its run, or what
            `ssrvae_tf.loading.places.chosen` made of it; the folder of an exported SavedModel or the path of a
            `.tflite` file; or an engine.

    Raises:
        UserError: if there is none, it does not enlarge photos, or takes more memory than there is.
    """
    if not isinstance(model, (str, os.PathLike)):
        is_engine = hasattr(model, "fixed_size") and not hasattr(model, "predict")
        return model if is_engine else KerasEngine(model)
    try:
        return _opened(model)
    except MemoryError as error:
        raise UserError(f"{model}: it takes more memory than there is ({error}): take a smaller one") from error


def computed_by(engine) -> str:
    """What computes and in what numbers, as "Keras, float32"."""
    return f"{getattr(engine, 'runtime', type(engine).__name__)}, {getattr(engine, 'precision', 'float32')}"


def _opened(model):
    if not isinstance(model, Blend):
        if Path(model).suffix == ".tflite":
            return TFLiteEngine(model)
        folder = exported_folder(Path(model))
        if folder:
            return SavedModelEngine(folder)
    from ssrvae_tf.loading.models import load  # brings TensorFlow, which checks of the arguments need not wait for

    return KerasEngine(load(model), f"model {model}")


class KerasEngine:
    """A network of this package, or whatever has its `predict`. What it multiplies sides by is its `scale`, or is
    measured.

    Raises:
        UserError: if it does not enlarge photos.
    """

    def __init__(self, model, name: str = "the given model"):
        if hasattr(model, "degrade"):
            raise UserError(f"{name} degrades photos, it cannot upscale them: choose an SR network such as faces-x4")
        self._model, self.runtime = model, "Keras"  # of whatever version: files are equal
        takes = getattr(model, "input_shape", None)
        self.fixed_size = _fixed_size(takes[1:3]) if isinstance(takes, tuple) and len(takes) == 4 else None
        self.scale = getattr(model, "scale", None) or _measured_scale(self, name, self.fixed_size)

    def __call__(self, lr: np.ndarray) -> np.ndarray:
        if not len(lr) and not hasattr(self._model, "scale"):
            return nothing(lr, self.scale)
        with _memory_errors():
            # `predict` would cut large tiles again.
            whole = hasattr(self._model, "enlarge")
            made = self._model.enlarge(lr) if whole else self._model.predict(lr, verbose=0)
            return np.asarray(made, np.float32)


class SavedModelEngine:
    """A SavedModel, its `serving_default` from photos to larger ones: `lr` to `sr`, or whatever another calls the two.

    Raises:
        UserError: if it has no such signature, is damaged, or its graph reaches beyond its own numbers.
        MemoryError: if it takes more than there is.
    """

    def __init__(self, folder: Path):
        import tensorflow as tf

        from ssrvae_tf.loading.saved_models import check_saved_model, read

        check_saved_model(folder)
        self._folder, self.runtime = folder, f"TensorFlow {tf.__version__}"
        try:
            with _memory_errors():
                # Kept: a signature does not keep its variables alive.
                self._model = read(folder)
        except MemoryError:
            raise
        except Exception as error:  # of any kind, by where the damage is
            raise UserError(f"{folder}: a damaged SavedModel ({one_line(error)}): export it again") from error
        self._signature = self._model.signatures.get("serving_default")
        takes = dict(self._signature.structured_input_signature[1]) if self._signature else {}
        gives = sorted(self._signature.structured_outputs) if self._signature else []
        photos = tf.TensorSpec([None, None, None, 3], tf.float32)
        fits = [each.shape.rank == 4 and photos.is_compatible_with(each) for each in takes.values()]
        if fits != [True] or len(gives) != 1:
            raise UserError(
                f"{folder}: its serving_default takes {_told(takes)} and gives {gives}, one batch of photos, "
                "float32 (B, H, W, 3), and one are wanted: choose an SR network"
            )
        ((self._takes, spec),), (self._gives,) = takes.items(), gives
        self.fixed_size = _fixed_size(spec.shape[1:3])
        self.scale = _measured_scale(self, folder, self.fixed_size)

    def __call__(self, lr: np.ndarray) -> np.ndarray:
        import tensorflow as tf

        with _memory_errors():
            try:
                return self._signature(**{self._takes: tf.constant(lr)})[self._gives].numpy()
            except tf.errors.InvalidArgumentError as error:
                said = one_line(_PREFACE.sub("", str(error)))
                if TOO_LARGE in str(error):  # smaller tiles are the answer
                    raise MemoryError(said) from error
                raise UserError(f"{self._folder}: it cannot enlarge {_sides(lr)} ({said})") from error


class TFLiteEngine:
    """A TFLite file, on all processor cores. Threads may share it, which it serves one after the other.

    Raises:
        UserError: if it cannot be read, has operators that are not built in, or does not take and give photos.
        MemoryError: if its fixed size takes more than there is.
    """

    def __init__(self, path: str | os.PathLike):
        from ssrvae_tf.loading.tflite_files import interpreter

        self._path, self._lock = path, threading.Lock()  # an interpreter holds one photo
        try:
            self._interpreter = interpreter(path)
            self.runtime = "LiteRT" if "litert" in type(self._interpreter).__module__ else "TensorFlow Lite"
            (takes,), (gives,) = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        except FileNotFoundError as error:
            raise UserError(f"{path}: no such file") from error
        except OSError as error:
            raise UserError(f"{str(path)[:80]}: cannot be read ({error.strerror})") from error
        except (ValueError, RuntimeError) as error:
            raise UserError(f"{path}: not a TFLite network of one input and one output ({one_line(error)})") from error
        shape = list(takes["shape_signature"])
        if len(shape) != 4 or shape[3] != 3 or takes["dtype"] != np.float32:
            kind = takes["dtype"].__name__
            raise UserError(f"{path}: it takes {kind} {shape}, float32 [B, H, W, 3] is wanted: export it from here")
        self._input, self._output = takes["index"], gives["index"]
        self.fixed_size = None if -1 in shape[1:3] else (int(shape[1]), int(shape[2]))
        self._shape = None
        with terminal.hushed():  # it tells how it runs
            self.scale = _measured_scale(self, path, self.fixed_size)

    def __call__(self, lr: np.ndarray) -> np.ndarray:
        # One photo at a time: a file may have a fixed batch of 1, and gains nothing from a larger one.
        with self._lock:
            return np.concatenate([self._one(photo[None]) for photo in lr] or [nothing(lr, self.scale)])

    def _one(self, photo):
        try:
            return self._run(photo)
        except (RuntimeError, ValueError) as error:
            from ssrvae_tf.loading.tflite_files import interpreter

            # Of the errors that it tells by their text only. After one, an interpreter is in no state to go on.
            self._interpreter, self._shape = interpreter(self._path), None
            height, width = photo.shape[1:3]
            if height * width <= _PROBE**2 or not NO_MEMORY.search(str(error)):
                raise UserError(f"{self._path}: it cannot enlarge {_sides(photo)} ({one_line(error)})") from error
            raise MemoryError(one_line(error)) from error

    def _run(self, photo):
        if self._shape != photo.shape:
            self._interpreter.resize_tensor_input(self._input, photo.shape)
            self._interpreter.allocate_tensors()
            self._shape = photo.shape
        self._interpreter.set_tensor(self._input, photo)
        self._interpreter.invoke()
        return self._interpreter.get_tensor(self._output)


class ServerEngine:
    """A model behind TensorFlow Serving. Tiles travel as PNG, so their values have 8 bits.

    Args:
        client: of `ssrvae_tf.serving`.

    Attributes:
        name: of the server, the model and the version that was asked for.
    """

    fixed_size, runtime = None, "TensorFlow Serving"

    def __init__(self, client):
        self._client, self.name = client, f"{client.address} {client.model} {client.version}"
        self.scale = _measured_scale(self, self.name)

    def __call__(self, lr: np.ndarray) -> np.ndarray:
        made = [self._client.upscale(tile).astype(np.float32) / 255.0 for tile in to_uint8(lr)]
        return np.stack(made) if made else nothing(lr, self.scale)


def exported_folder(path: Path) -> Path | None:
    """The SavedModel in `path`, or of its newest version as TensorFlow Serving lays them out; None if there is none.

    Raises:
        UserError: if `path` cannot be looked for, such as a name that is too long.
    """
    with looking_for(path):
        return path if (path / "saved_model.pb").is_file() else newest(path, "saved_model.pb")


def nothing(lr: np.ndarray, scale: int) -> np.ndarray:
    """What becomes of no photos."""
    return np.zeros((0, lr.shape[1] * scale, lr.shape[2] * scale, 3), np.float32)


def _sides(lr: np.ndarray) -> str:
    return f"{lr.shape[1]}x{lr.shape[2]} pixels"


def _fixed_size(sides) -> tuple[int, int] | None:
    height, width = sides
    return None if height is None or width is None else (height, width)


def _told(takes: dict) -> list[str]:
    return [f"{name} {spec.dtype.name} {spec.shape}" for name, spec in sorted(takes.items())]


def _measured_scale(run, name, size: tuple[int, int] | None = None) -> int:
    """Raises UserError: if what becomes of a photo is not one that is so many times larger."""
    height, width = size or (_PROBE, _PROBE)
    made = run(np.zeros((1, height, width, 3), np.float32)).shape
    scale = made[1] // height if len(made) == 4 else 0
    if not scale or made != (1, scale * height, scale * width, 3):
        raise UserError(
            f"{name}: of a photo (1, {height}, {width}, 3) it makes {made}, the same number of times as many rows and "
            "columns are wanted: choose an SR network"
        )
    return scale


@contextlib.contextmanager
def _memory_errors():
    """TensorFlow's lack of memory as Python's MemoryError."""
    import tensorflow as tf

    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        raise MemoryError(one_line(error)) from error
