"""Whether it is still the same person, and still a face: by an embedding network and a face detector of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Sequence

import numpy as np
import tensorflow as tf

from ssrvae_tf.errors import UserError, one_line
from ssrvae_tf.faces.finding import overlap
from ssrvae_tf.loading.saved_models import load_network
from ssrvae_tf.loading.tflite_files import interpreter
from ssrvae_tf.photos.resizing import resized
from ssrvae_tf.terminal import hushed

Box = Sequence[float]
"""(left, top, right, bottom) in pixels."""
Finder = Callable[[np.ndarray], Sequence[Box]]
"""A face detector: photo uint8 (H, W, 3) -> boxes around its faces."""

RANGES = {"unit": (0.0, 1.0), "signed": (-1.0, 1.0), "bytes": (0.0, 255.0)}
_ENOUGH = 0.5  # intersection over union of two boxes around the same face
_BATCH = 32


class Embedding:
    """A network that tells people apart: photos uint8 (N, H, W, 3) -> embeddings (N, D) float32.

    Args:
        path: of a SavedModel, whose signature `serving_default` is used, or of a `.tflite` file. It has one input, RGB
            NHWC, and one output (N, D), or one among several that is called `embeddings`. Photos are resized to the
            height and width in its signature, where these are fixed.
        values: what its input spans: "unit" [0, 1], "signed" [-1, 1] or "bytes" [0, 255]. None: what the signature
            tells. Integers span all their values, an input that is called `images` spans [0, 1], as for `Features`.

    Raises:
        UserError: if there is no such network, its graph reaches files, or the range is not known.
    """

    def __init__(self, path: str | Path, values: str | None = None):
        self._path = Path(path)
        takes, self._run = self._tflite() if self._path.is_file() else self._saved_model()
        name, shape, kind = takes
        if len(shape) != 4 or shape[3] != 3:
            raise self._refused(f"its input {name} is {shape}, (N, H, W, 3) is wanted: export it for RGB, NHWC")
        self._size = shape[2], shape[1]  # None: any
        self._batch, self._whole_batches = shape[0] or _BATCH, bool(shape[0])
        self._kind = np.dtype(kind)
        if not np.issubdtype(self._kind, np.number):
            raise self._refused(f"its input {name} is {self._kind}, pixels are wanted")
        if np.issubdtype(self._kind, np.integer):
            limits = np.iinfo(self._kind)
            self._low, self._high = float(limits.min), float(limits.max)
        elif values is None and name != "images":
            raise self._refused(f"what range its input {name} has is not said: add --identity-range {'|'.join(RANGES)}")
        else:
            self._low, self._high = RANGES[values or "unit"]

    def __call__(self, photos: np.ndarray) -> np.ndarray:
        found = []
        for start in range(0, len(photos), self._batch):
            batch = photos[start : start + self._batch]
            width, height = (fixed or side for fixed, side in zip(self._size, batch.shape[2:0:-1]))
            batch = np.stack([resized(photo, width, height) for photo in batch])
            ready = batch / 255.0 * (self._high - self._low) + self._low
            ready = np.rint(ready) if np.issubdtype(self._kind, np.integer) else ready
            if self._whole_batches:
                ready = np.pad(ready, [(0, self._batch - len(batch)), (0, 0), (0, 0), (0, 0)], "edge")
            try:
                found.append(self._run(ready.astype(self._kind))[: len(batch)])
            except (ValueError, RuntimeError, tf.errors.OpError) as error:
                raise self._refused(f"it fails on photos of {width}x{height} ({one_line(error)})") from error
        embeddings = np.concatenate(found)
        if embeddings.ndim != 2 or embeddings.shape[1] < 2 or not np.isfinite(embeddings).all():
            text = f"its output for {len(photos)} photos is {embeddings.shape}, (N, D) of finite numbers is wanted"
            raise self._refused(text)
        return embeddings

    def _refused(self, why: str) -> UserError:
        return UserError(f"--identity {self._path}: {why}")

    def _saved_model(self) -> tuple[tuple, Callable[[np.ndarray], np.ndarray]]:
        model = load_network(self._path, "--identity", ", a .tflite file or a folder with saved_model.pb is wanted")
        signature = model.signatures.get("serving_default")
        takes = signature.structured_input_signature[1] if signature else {}
        gives = sorted(signature.structured_outputs) if signature else []
        output = "embeddings" if "embeddings" in gives else gives[0] if len(gives) == 1 else None
        if len(takes) != 1 or output is None:
            raise self._refused(
                f"its serving_default takes {sorted(takes)} and gives {gives}, photos alone and `embeddings` are wanted"
            )
        ((name, spec),) = takes.items()

        def run(photos: np.ndarray) -> np.ndarray:
            return model.signatures["serving_default"](**{name: tf.constant(photos)})[output].numpy()

        shape = tuple(spec.shape) if spec.shape.rank is not None else ()
        return (name, shape, spec.dtype.as_numpy_dtype), run

    def _tflite(self) -> tuple[tuple, Callable[[np.ndarray], np.ndarray]]:
        try:
            with hushed():  # it tells how it runs
                network = interpreter(self._path)
                network.allocate_tensors()
        except (OSError, ValueError, RuntimeError) as error:
            raise self._refused(f"no TFLite file that can be read ({one_line(error)})") from error
        inputs, outputs = network.get_input_details(), network.get_output_details()
        if len(inputs) != 1 or len(outputs) != 1:
            raise self._refused(f"it has {len(inputs)} inputs and {len(outputs)} outputs, one of each is wanted")
        (takes,), (gives,) = inputs, outputs
        sides = takes["shape_signature"] if len(takes["shape_signature"]) else takes["shape"]
        fixed = (1, *(None if side < 0 else int(side) for side in sides[1:]))  # files for phones take one at a time
        # A signature's name, or that which TensorFlow made of it.
        signatures = list(network.get_signature_list().values())
        name = signatures[0]["inputs"][0] if signatures else takes["name"].split(":")[0]

        def run(photos: np.ndarray) -> np.ndarray:
            if tuple(network.get_input_details()[0]["shape"]) != photos.shape:
                network.resize_tensor_input(takes["index"], photos.shape)
                network.allocate_tensors()
            network.set_tensor(takes["index"], photos)
            network.invoke()
            return _real(network.get_tensor(gives["index"]), gives["quantization"])

        return (name, fixed, takes["dtype"]), run


def _real(values: np.ndarray, quantization: tuple[float, int]) -> np.ndarray:
    scale, zero = quantization
    return (values.astype(np.float32) - zero) * scale if scale else values.astype(np.float32)


def similarity(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cosine of the angle between embeddings: (N, D) and (N, D) -> (N,), from -1 to 1; 1 is the same person."""
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return (a * b).sum(1) / np.maximum(lengths, 1e-12)


def found_again(faces: Sequence[Box], found: Sequence[Box]) -> int:
    """How many of the `faces` are at the place of one that was `found`: more than half of both together is common."""
    boxes, others = (np.reshape(np.asarray(each, np.float64), (-1, 2, 2)) for each in (faces, found))
    return sum(bool((overlap(box, others)[0] > _ENOUGH).any()) for box in boxes)
