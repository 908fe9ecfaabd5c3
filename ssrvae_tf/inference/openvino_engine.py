"""An engine by OpenVINO, on a processor."""

from __future__ import annotations

import collections
import os
import threading
from pathlib import Path

import numpy as np

from ssrvae_tf.errors import UserError, one_line
from ssrvae_tf.inference.engines import NO_MEMORY, nothing
from ssrvae_tf.loading.openvino_files import openvino
from ssrvae_tf.resources import is_limited, processors

# A network for one size takes 0.3 s to be made, one for all sizes 0.9 s and up to a third more for each tile. So the
# first sizes get their own, and of the others those that come often.
_FIRST = 3  # sizes
_OFTEN = 8  # tiles
_KEPT = 8  # networks for one size, of some 25 MB
_SIDE_BY_SIDE = 8  # tiles, each with a part of the cores


class OpenVINOEngine:
    """A file that `ssrvae_tf.exporting.openvino` wrote. Tiles that come together run side by side, one on all cores;
    threads may share it, which it serves one after the other.

    Args:
        file: NAME.xml.
        scale: what it multiplies sides by.
        precision: "float32", or "bfloat16" for products of 8 significant bits, where the processor has them.
        numbers: NAME.bin, unless it lies beside.

    Raises:
        UserError: if the file is damaged, or the processor has no bfloat16.
        ImportError, OSError: if OpenVINO is not installed, or does not load on this machine.
    """

    fixed_size = None
    parallel = True

    def __init__(self, file: Path, scale: int, precision: str = "float32", numbers: Path | None = None):
        self._openvino = openvino()
        self._core = self._openvino.Core()
        if precision == "bfloat16" and "BF16" not in self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise UserError("--precision bfloat16: this processor has no such numbers: leave it out")
        self.scale, self.precision = scale, precision
        self.runtime = f"OpenVINO {self._openvino.__version__.split('-')[0]}"
        self._file, self._numbers = os.fspath(file), os.fspath(numbers or Path(file).with_suffix(".bin"))
        self._seen = collections.Counter()  # tiles by size
        self._queues = collections.OrderedDict()  # by size and tiles side by side
        self._lock = threading.Lock()
        self._opened()  # a damaged file is told now

    def __call__(self, lr: np.ndarray) -> np.ndarray:
        sr = nothing(lr, self.scale)
        if not len(lr):
            return sr
        sr = np.empty((len(lr), *sr.shape[1:]), np.float32)

        def keep(request, index):
            sr[index] = request.get_output_tensor().data[0]

        try:
            with self._lock:
                queue = self._queue(lr.shape[1:3], len(lr))
                queue.set_callback(keep)
                for index, tile in enumerate(lr):
                    queue.start_async({0: tile[None]}, index)
                queue.wait_all()
        except RuntimeError as error:
            if NO_MEMORY.search(str(error)):
                raise MemoryError(one_line(error)) from error
            raise
        return sr

    def _opened(self):
        try:
            return self._core.read_model(self._file, self._numbers)
        except RuntimeError as error:
            raise UserError(f"{self._file}: not an OpenVINO network ({one_line(error)})") from error

    def _queue(self, size: tuple[int, int], count: int):
        """What `count` tiles go through."""
        self._seen[size] += count
        # A network for any size gives nonsense from the first photo of one pixel on (OpenVINO 2026.4).
        often = self._seen[size] >= _OFTEN or len(self._seen) <= _FIRST or size == (1, 1)
        together = min(count, processors(), _SIDE_BY_SIDE) if often else 1
        key = size if often else None, together
        if key not in self._queues:
            model = self._opened()
            model.reshape([1, *(size if often else (-1, -1)), 3])
            precision = {"float32": "f32", "bfloat16": "bf16"}[self.precision]
            settings = {"INFERENCE_PRECISION_HINT": precision, "NUM_STREAMS": together, "ENABLE_CPU_PINNING": False}
            if is_limited():
                settings["INFERENCE_NUM_THREADS"] = processors()
            compiled = self._core.compile_model(model, "CPU", settings)
            self._queues[key] = self._openvino.AsyncInferQueue(compiled, together)
            if len(self._queues) > _KEPT:
                self._queues.popitem(last=False)
        self._queues.move_to_end(key)
        return self._queues[key]
