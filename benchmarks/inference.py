"""What a trained network costs in each of its forms, measured in one run on the processor:

    python -m benchmarks.inference [--sizes 32 64 128] [--batches 1 16] [--model faces-x4]

Keras' `predict` and its graph, the SavedModel's signature, TFLite (on LiteRT where it is installed) and ONNX, with the
largest difference to the graph. TFLite takes a batch photo by photo. All sizes and batches take some twenty minutes on
two cores: 128x128 photos spend it on attention, and batches of them on nothing else.

Rivals take turns, and medians are compared, so that the ratios hold on a busy machine; the times do not.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

import numpy as np
import tensorflow as tf

from benchmarks.training import median_seconds, table
from ssrvae_tf import load
from ssrvae_tf.exporting.calibration import faces
from ssrvae_tf.exporting.onnx import export_onnx
from ssrvae_tf.exporting.saved_model import export_saved_model
from ssrvae_tf.exporting.tflite import export_tflite
from ssrvae_tf.inference.engines import KerasEngine, SavedModelEngine, TFLiteEngine

_TFLITE = ("none", "float16", "dynamic")
_GRAPH = "Keras graph"
# Matrices of attention in one piece, which onnxruntime makes for all photos of a batch at once.
_ONNX_BYTES = 4e9


def forms(model, folder: Path) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """(B, H, W, 3) float32 -> (B, 4 H, 4 W, 3), by name."""
    runs = {"Keras predict": lambda lr: model.predict(lr, verbose=0), _GRAPH: KerasEngine(model)}
    runs["SavedModel signature"] = SavedModelEngine(export_saved_model(model, folder / "saved"))
    for quantize in _TFLITE:
        name = "float32" if quantize == "none" else quantize
        runs[f"TFLite {name}"] = TFLiteEngine(export_tflite(model, folder / f"{quantize}.tflite", quantize))
    if find_spec("onnxruntime") and find_spec("tf2onnx"):
        runs["ONNX"] = _onnx(export_onnx(model, folder / "a.onnx"))
    return runs


def _onnx(path: Path):
    import onnxruntime

    session = onnxruntime.InferenceSession(os.fspath(path), providers=["CPUExecutionProvider"])
    return lambda lr: session.run(None, {"lr": lr})[0]


def measure(runs, side: int, batch: int, repetitions: int) -> list[tuple]:
    face, _ = faces(None, 4, (side, side))[0]
    lr = np.repeat(face[None], batch, 0)
    if 4 * batch * side**4 > _ONNX_BYTES:
        runs = {name: run for name, run in runs.items() if name != "ONNX"}
    wanted = runs[_GRAPH](lr[:1])
    seconds = median_seconds({name: lambda run=run: run(lr) for name, run in runs.items()}, repetitions)
    rows = []
    for name, taken in seconds.items():
        apart = np.abs(runs[name](lr[:1]) - wanted).max()
        ratio = taken / seconds[_GRAPH]
        aimed = name == "TFLite float16" and batch == 1
        figure = f"{1e3 * taken:.0f} ms, {batch / taken:.1f} img/s, error {apart:.0e}"
        verdict = ratio <= 0.6 if aimed else None
        rows.append((f"{batch} of {side}x{side}, {name}", figure, ratio, "<= 0.6" if aimed else "", "", verdict))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[32, 64, 128], metavar="SIDE")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16], metavar="N")
    parser.add_argument("--model", default="faces-x4")
    arguments = parser.parse_args()
    tf.config.set_visible_devices([], "GPU")
    print(f"TensorFlow {tf.__version__}, {os.cpu_count()} processor cores", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        with contextlib.redirect_stdout(io.StringIO()):  # what each export says of itself
            runs = forms(load(arguments.model), Path(folder))
        rows = []
        for side in arguments.sizes:
            for batch in arguments.batches:
                pixels = batch * side**2
                rows += measure(runs, side, batch, 9 if pixels <= 64**2 else 3 if pixels <= 16 * 64**2 else 1)
    print(table(rows))


if __name__ == "__main__":
    main()
