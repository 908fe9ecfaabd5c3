"""What upscaling whole photos costs, measured in one run on the processor; some ten minutes on two cores:

    python -m benchmarks.upscaling [--large]

- Tiles of several sizes on one photo: time for a pixel, and how near they come to the photo as a whole.
- Seams: how steep the result is where tiles end.
- The tiled path against the network on the whole photo, at 256x256, and at 512x384 with --large: there
  attention alone takes a quarter of an hour.
- Engines on one tile: Keras' graph, XLA and TFLite as float16, with the seconds until the first result.
- Peers on a shrunk photo (benchmarks/peers.py).
- Peak memory from file to file, in processes of their own, against the result's own size.

Rivals take turns, and medians are compared, so that the ratios hold on a busy machine; the times do not.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

import numpy as np
import tensorflow as tf
from PIL import Image

from benchmarks.peers import measure_peers
from benchmarks.training import median_seconds, table
from ssrvae_tf import load
from ssrvae_tf.exporting.tflite import export_tflite
from ssrvae_tf.inference.engines import KerasEngine, TFLiteEngine
from ssrvae_tf.inference.enlarger import BORDER, OVERLAP, bicubic, upscale
from ssrvae_tf.inference.tiling import axis
from ssrvae_tf.metrics import psnr
from ssrvae_tf.photos.samples import sample_photos

_TILES = ((32, 8), (48, 4), (48, 8), (48, 16), (64, 8), (64, 16), (96, 16))
_TILE = 48
_MEMORY = ((640, 480, ".jpg"), (3000, 2000, ".jpg"), (6000, 4000, ".png"))


def photo(width: int, height: int) -> np.ndarray:
    """(height, width, 3) float32 in [0, 1]: a piece of a shipped photo, enlarged if it must be."""
    piece = Image.open(sample_photos()[0]).convert("RGB").crop((100, 0, 100 + min(width, 400), min(height, 500)))
    return np.asarray(piece.resize((width, height)), np.float32) / 255.0


def measure_tiles(network, side: int = 160) -> list[tuple]:
    picture = photo(side, side)
    whole = upscale(picture, network, tile=2 * side)
    rivals = {
        (tile, overlap): lambda tile=tile, overlap=overlap: upscale(picture, network, tile=tile, overlap=overlap)
        for tile, overlap in _TILES
    }
    seconds = median_seconds(rivals, 3)
    base = seconds[48, 8]
    return [
        (
            f"tiles of {tile}, overlap {overlap}",
            f"{1e6 * seconds[tile, overlap] / side**2:.0f} us/px, {psnr(np.clip(made(), 0, 1), whole):.1f} dB to whole",
            seconds[tile, overlap] / base,
            "",
            "",
            None,
        )
        for (tile, overlap), made in rivals.items()
    ]


def measure_seams(network, side: int = 160) -> list[tuple]:
    """Steps of what the network adds to bicubic, where tiles start or end, against those elsewhere."""
    picture = photo(side, side)
    tiles = axis(side + 2 * BORDER, _TILE, OVERLAP)
    ends = {start + tiles.tile for start in tiles.starts} | set(tiles.starts)
    seams = [(end - BORDER) * network.scale for end in sorted(ends) if BORDER < end < side + BORDER]

    def ratio(result):
        added = result - bicubic(picture[None], network.scale)[0]
        steps = [np.abs(np.diff(added, axis=each)).mean((1 - each, 2)) for each in (0, 1)]  # to each next line
        at = np.isin(np.arange(len(steps[0])) + 1, seams)
        return np.mean([step[at].mean() / step[~at].mean() for step in steps])

    tiled, whole = ratio(upscale(picture, network, tile=_TILE)), ratio(upscale(picture, network, tile=2 * side))
    figure = f"{tiled:.2f} of those elsewhere, whole {whole:.2f}"
    return [("steps where tiles end", figure, tiled / whole, "<= 1.1", "1", tiled <= 1.1 * whole)]


def measure_whole(network, model, large: bool) -> list[tuple]:
    rows = []
    for width, height in ((256, 256), *([(512, 384)] if large else [])):
        picture = photo(width, height)
        model.enlarge(picture[None, :16, :16])
        start = time.perf_counter()
        model.enlarge(picture[None])
        whole = time.perf_counter() - start
        start = time.perf_counter()
        upscale(picture, network)
        tiled = time.perf_counter() - start
        rows.append((f"{width}x{height}, whole", f"{whole:.1f} s", 1.0, "", "", None))
        rows.append(
            (f"{width}x{height}, tiled", f"{tiled:.1f} s", tiled / whole, "<= 1.3", "0.5", tiled / whole <= 1.3)
        )
    return rows


def measure_engines(model, side: int = 48) -> list[tuple]:
    picture = photo(side, side)[None]
    signature = [tf.TensorSpec(picture.shape, tf.float32)]

    def compiled(**how):
        run = tf.function(lambda lr: model(lr, training=False), input_signature=signature, **how)
        return lambda: run(tf.constant(picture)).numpy()

    def tflite():
        with tempfile.TemporaryDirectory() as folder:
            engine = TFLiteEngine(export_tflite(model, Path(folder, "a.tflite"), "float16"))
        return lambda: engine(picture)

    makers = {"Keras graph": compiled, "XLA": lambda: compiled(jit_compile=True), "TFLite float16": tflite}
    engines, first = {}, {}
    for name, make in makers.items():
        start = time.perf_counter()
        engines[name] = make()
        engines[name]()
        first[name] = time.perf_counter() - start
    seconds = median_seconds(engines, 11)
    base = seconds["Keras graph"]
    return [
        (f"a tile of {side}, {name}", f"{1e3 * taken:.0f} ms, first {first[name]:.1f} s", taken / base, "", "", None)
        for name, taken in seconds.items()
    ]


def measure_memory() -> list[tuple]:
    rows = []
    for width, height, suffix in _MEMORY:
        command = [sys.executable, "-m", "benchmarks.upscaling_memory", str(width), str(height), suffix]
        peak = float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()[-1])
        result, most = 48 * width * height / 1e6, 900
        more = peak - result
        figure = f"{peak:.0f} MB, result {result:.0f}"
        rows.append((f"memory, {width}x{height} {suffix}", figure, more / most, "<= 1", "", more <= most))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large", action="store_true", help="model.predict on a whole 512x384 photo, too")
    arguments = parser.parse_args()
    tf.config.set_visible_devices([], "GPU")
    print(f"TensorFlow {tf.__version__}, {os.cpu_count()} processor cores", file=sys.stderr)
    rows = measure_memory()  # first, while this process is small: a process inherits its parent's peak at its start
    model = load("faces-x4")
    network = KerasEngine(model)
    rows = [
        *measure_tiles(network),
        *measure_seams(network),
        *measure_whole(network, model, arguments.large),
        *measure_engines(model),
        *measure_peers({"faces-x4": network, "faces-x4-clean": load("faces-x4-clean")}),
        *rows,
    ]
    print(table(rows))


if __name__ == "__main__":
    main()
