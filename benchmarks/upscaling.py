"""What upscaling whole photos costs, measured in one run on the processor; some ten minutes on two cores:

    python -m benchmarks.upscaling [--large]

- Tiles of several sizes on one photo: time for a pixel, and how near they come to the photo as a whole.
- Seams: how steep the result is where tiles end.
- The tiled path against the network on the whole photo, at 256x256, and at 512x384 with --large: there
  attention alone takes a quarter of an hour.
- Engines side by side on a photo of 512x384: LiteRT, OpenVINO in float32 and bfloat16, how far each is from Keras, and
  the share of what the processor's matrix products reach. And the seconds of a command for one tile.
- Tiles of 48 against 64 on the two shipped photos: how much the result depends on them.
- Keras' graph and XLA on one tile, with the seconds until the first result.
- Peers on a shrunk photo (benchmarks/peers.py).
- Peak memory from file to file, in processes of their own, against the result's own size.

Rivals take turns, and medians are compared, of engines the best turns, so that the ratios hold on a busy machine; the
times do not.
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
from ssrvae_tf.errors import UserError
from ssrvae_tf.inference.engines import KerasEngine
from ssrvae_tf.inference.enlarger import BORDER, OVERLAP, bicubic, upscale
from ssrvae_tf.inference.fast_engine import fastest
from ssrvae_tf.inference.tiling import axis
from ssrvae_tf.layers import GARB, LARB
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


def measure_speed(network, model, turns: int, width: int = 512, height: int = 384) -> list[tuple]:
    """Engines on a photo, how far they are from Keras, and what the processor could do."""
    picture = np.rint(255 * photo(width, height)).astype(np.uint8)
    wanted = upscale(picture, network).astype(int)
    engines = {"LiteRT": ("litert", "float32"), "OpenVINO": ("openvino", "float32")}
    engines["OpenVINO bfloat16"] = ("openvino", "bfloat16")
    seconds, apart = {}, {}
    for name, asked in engines.items():
        try:
            engines[name] = fastest("faces-x4", 0, *asked)
        except UserError as error:
            print(error, file=sys.stderr)
            continue
        apart[name] = np.abs(upscale(picture, engines[name]).astype(int) - wanted)
        seconds[name] = np.inf
    for _ in range(turns):
        for name in seconds:
            start = time.perf_counter()
            upscale(picture, engines[name])
            seconds[name] = min(seconds[name], time.perf_counter() - start)
    peak, work = matrix_products_a_second(), tiles_of(width, height) * multiplications(model, _TILE)
    aims = {"OpenVINO": (2.5, "5"), "OpenVINO bfloat16": (4.0, "8")}
    near = {"LiteRT": (1, np.inf), "OpenVINO": (1, np.inf), "OpenVINO bfloat16": (np.inf, 0.3)}
    rows = [("matrix products, float32", f"{peak / 1e9:.0f} G multiplications/s", 1.0, "", "", None)]
    for name, taken in seconds.items():
        times = seconds["LiteRT"] / taken if "LiteRT" in seconds else np.nan
        least, aim = aims.get(name, (0, ""))
        speed = f"{width * height / taken:,.0f} px/s, {100 * work / taken / peak:.0f} % of that"
        goal = f">= {least}" if least else ""
        rows.append((f"{width}x{height}, {name}", speed, times, goal, aim, times >= least if least else None))
        most, mean = near[name]
        figure = f"at most {apart[name].max()}, mean {apart[name].mean():.2f} of 255"
        goal = f"<= {most}" if np.isfinite(most) else f"mean <= {mean}"
        reached = bool(apart[name].max() <= most and apart[name].mean() <= mean)
        rows.append((f"{name} from Keras", figure, float(apart[name].mean()), goal, "", reached))
    return rows


def tiles_of(width: int, height: int) -> int:
    return int(np.prod([len(axis(side + 2 * BORDER, _TILE, OVERLAP).starts) for side in (width, height)]))


def multiplications(model, side: int) -> int:
    """Of the network as it was trained, on a tile of side x side."""
    kernels = {
        layer.name: [int(np.prod(each.shape)) for each in layer.weights if len(each.shape) == 4]
        for layer in model.layers
    }
    count = sum(size * 4**doublings for doublings, size in enumerate(kernels.pop("upsampling")))
    count += sum(kernels.pop("reconstruction")) * model.scale**2 + sum(map(sum, kernels.values()))
    for layer in model.layers:
        if isinstance(layer, GARB):
            count += 2 * side**2 * model.filters // layer.reduction
        if isinstance(layer, LARB):
            count += layer.kernel_size**2 * model.filters
    return side**2 * count


def matrix_products_a_second(side: int = 2048, turns: int = 10) -> float:
    """Multiplications of float32 a second, by NumPy."""
    left, right = np.random.default_rng(0).random((2, side, side), np.float32)
    best = np.inf
    for _ in range(turns):
        start = time.perf_counter()
        left @ right
        best = min(best, time.perf_counter() - start)
    return side**3 / best


def measure_start() -> list[tuple]:
    """A command's seconds for one tile, once the engine is chosen and its file is there."""
    fastest("faces-x4", 10**9)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.png")
        Image.fromarray(np.rint(255 * photo(40, 40)).astype(np.uint8)).save(path)
        command = [sys.executable, "-m", "ssrvae_tf.upscale", os.fspath(path), "--overwrite"]
        seconds = []
        for _ in range(3):
            start = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            seconds.append(time.perf_counter() - start)
    least = min(seconds)
    return [("a command for one tile, warm", f"{least:.1f} s", least / 5, "<= 1", "", least <= 5)]


def measure_tile_sizes(width: int = 288) -> list[tuple]:
    """How much the result depends on the tiles: of 48 against 64, by the fastest engine."""
    rows, network = [], fastest("faces-x4", 10**9)
    for path in sample_photos():
        picture = Image.open(path).convert("RGB")
        picture = np.asarray(picture.resize((width, round(picture.height * width / picture.width))))
        small, large = (upscale(picture, network, tile=tile).astype(int) for tile in (48, 64))
        apart = np.abs(small - large)
        figure = f"mean {apart.mean():.2f}, at most {apart.max()} of 255"
        rows.append((f"tiles of 48 and 64, {path.stem}", figure, apart.mean(), "< 0.5", "", bool(apart.mean() < 0.5)))
    return rows


def measure_keras(model, side: int = 48) -> list[tuple]:
    picture = photo(side, side)[None]
    signature = [tf.TensorSpec(picture.shape, tf.float32)]

    def compiled(**how):
        run = tf.function(lambda lr: model(lr, training=False), input_signature=signature, **how)
        return lambda: run(tf.constant(picture)).numpy()

    engines, first = {}, {}
    for name, how in {"Keras graph": {}, "XLA": {"jit_compile": True}}.items():
        start = time.perf_counter()
        engines[name] = compiled(**how)
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
    parser.add_argument("--speed", action="store_true", help="the engines, tile sizes and peers only, in some minutes")
    parser.add_argument("--turns", type=int, default=5, help="of each engine (default: 5)")
    arguments = parser.parse_args()
    tf.config.set_visible_devices([], "GPU")
    print(f"TensorFlow {tf.__version__}, {os.cpu_count()} processor cores", file=sys.stderr)
    # First, while this process is small: a process inherits its parent's peak at its start.
    rows = [] if arguments.speed else measure_memory()
    model = load("faces-x4")
    network = KerasEngine(model)
    speed = [
        *measure_speed(network, model, arguments.turns),
        *measure_start(),
        *measure_tile_sizes(),
        *measure_peers({name: fastest(name, 10**9) for name in ("faces-x4", "faces-x4-clean")}),
    ]
    if arguments.speed:
        print(table(speed))
        return
    rows = [
        *speed,
        *measure_tiles(network),
        *measure_seams(network),
        *measure_whole(network, model, arguments.large),
        *measure_keras(model),
        *rows,
    ]
    print(table(rows))


if __name__ == "__main__":
    main()
