"""What training costs, measured in one run on the processor; about five minutes on two cores:

    python -m benchmarks.training

- `local_relation` against the same by `tf.image.extract_patches` and automatic differentiation, forward and backward.
- SRNetwork's training rate against EDSR-baseline's, of the same width and number of blocks.
- GlobalAttention's peak memory at 128x128, whole and in chunks, each in a process of its own.

Rivals take turns, and medians are compared, so that the ratios hold on a busy machine; the times do not.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from typing import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

import keras
import numpy as np
import tensorflow as tf

from ssrvae_tf.layers import local_relation
from ssrvae_tf.models import EDSR, SRNetwork

_BATCH, _SIDE, _CHANNELS, _MAPS, _WINDOW = 16, 16, 64, 8, 7
_MEMORY_SIDE, _CHUNK = 128, 1024


def median_seconds(rivals: dict[str, Callable[[], object]], repetitions: int) -> dict[str, float]:
    """Time the rivals in turn; the first call of each, which traces and compiles, is left out."""
    seconds = {name: [] for name in rivals}
    for function in rivals.values():
        function()
    for _ in range(repetitions):
        for name, function in rivals.items():
            start = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}


def relation_from_patches(query: tf.Tensor, key: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    """`local_relation` with copies of the windows, left to automatic differentiation."""

    def windows(x):  # (B, H, W, C) -> (B, H W, k k, C / G, G)
        patches = tf.image.extract_patches(x, [1, _WINDOW, _WINDOW, 1], [1] * 4, [1] * 4, "SAME")
        return tf.reshape(patches, [x.shape[0], -1, _WINDOW**2, x.shape[-1] // _MAPS, _MAPS])

    outside = 1e9 * (1.0 - windows(tf.ones((1, *key.shape[1:]))))
    centre = tf.reshape(query, [query.shape[0], -1, 1, 1, _MAPS])
    weights = tf.nn.softmax(-tf.math.squared_difference(centre, windows(key)) - outside, axis=2)
    return tf.reshape(tf.reduce_sum(weights * windows(value), 2), value.shape)


def measure_local_relation(repetitions: int) -> list[tuple]:
    rng = np.random.default_rng(0)
    shapes = [(_BATCH, _SIDE, _SIDE, channels) for channels in (_MAPS, _MAPS, _CHANNELS)]
    operands = [tf.constant(rng.normal(size=shape), tf.float32) for shape in shapes]

    def both_ways(function: Callable) -> Callable:
        @tf.function
        def run():
            with tf.GradientTape() as tape:
                tape.watch(operands)
                out = function(*operands)
                total = tf.reduce_sum(tf.square(out))
            return out, tape.gradient(total, operands)

        return run

    rivals = {
        "extract_patches": both_ways(relation_from_patches),
        "plain": both_ways(lambda q, k, v: local_relation(q, k, v, _WINDOW)),
        "XLA": both_ways(lambda q, k, v: local_relation(q, k, v, _WINDOW, jit_compile=True)),
    }
    wanted = rivals["extract_patches"]()[0]
    for function in rivals.values():
        tf.debugging.assert_near(function()[0], wanted, 1e-4, 1e-4)
    seconds = median_seconds(rivals, repetitions)
    base = seconds["extract_patches"]
    rows = [("local relation, extract_patches", f"{1e3 * base:.1f} ms", 1.0, "", "", None)]
    for name, target in (("plain", None), ("XLA", 1 / 3)):
        rows.append(
            (
                f"local relation, {name}",
                f"{1e3 * seconds[name]:.1f} ms",
                seconds[name] / base,
                "<= 0.333" if target else "",
                "0.2" if target else "",
                seconds[name] / base <= target if target else None,
            )
        )
    return rows


def measure_networks(policy: str, repetitions: int) -> list[tuple]:
    keras.mixed_precision.set_global_policy(policy)
    strategy = tf.distribute.MirroredStrategy(["/cpu:0"])
    rng = np.random.default_rng(0)
    lr = tf.constant(rng.uniform(size=(_BATCH, _SIDE, _SIDE, 3)), tf.float32)
    hr = tf.constant(rng.uniform(size=(_BATCH, 4 * _SIDE, 4 * _SIDE, 3)), tf.float32)

    def training(make: Callable[[], keras.Model]) -> Callable:
        with strategy.scope():
            model = make()
            model.compile(keras.optimizers.Adam(1e-4))
            model.optimizer.build(model.trainable_variables)

        @tf.function
        def step():
            return strategy.run(model.train_step, args=((lr, hr),))

        return step

    rivals = {"EDSR-baseline": training(lambda: EDSR(4, _CHANNELS, 16)), "SRNetwork": training(SRNetwork)}
    seconds = median_seconds(rivals, repetitions)
    rates = {name: _BATCH / taken for name, taken in seconds.items()}
    keras.mixed_precision.set_global_policy("float32")
    ratio = rates["SRNetwork"] / rates["EDSR-baseline"]
    asked = policy == "float32"
    return [
        (f"training, EDSR-baseline, {policy}", f"{rates['EDSR-baseline']:.1f} img/s", 1.0, "", "", None),
        (
            f"training, SRNetwork, {policy}",
            f"{rates['SRNetwork']:.1f} img/s",
            ratio,
            ">= 0.45" if asked else "",
            "0.7" if asked else "",
            ratio >= 0.45 if asked else None,
        ),
    ]


def measure_memory() -> list[tuple]:
    def peak(*arguments: int) -> float:
        command = [sys.executable, "-m", "benchmarks.attention_memory", *map(str, arguments)]
        return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)

    base = peak(8)
    whole, chunked = peak(_MEMORY_SIDE) - base, peak(_MEMORY_SIDE, _CHUNK) - base
    size = f"{_MEMORY_SIDE}x{_MEMORY_SIDE}"
    ratio = chunked / whole
    return [
        (f"global attention {size}, whole", f"{whole:.0f} MiB", 1.0, "", "", None),
        (f"global attention {size}, chunk {_CHUNK}", f"{chunked:.0f} MiB", ratio, "<= 0.125", "", ratio <= 1 / 8),
    ]


def table(rows: list[tuple]) -> str:
    """Rows (what, figure, ratio, target, aim, reached) as aligned text."""
    verdicts = {True: "reached", False: "MISSED", None: ""}
    cells = [("", "figure", "ratio", "target", "aim", "")]
    cells += [(*row[:2], f"{row[2]:.3f}", *row[3:5], verdicts[row[5]]) for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(6)]
    lines = []
    for row in cells:
        numbers = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        lines.append("  ".join([row[0].ljust(widths[0]), *numbers]).rstrip())
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=11, help="turns of each rival (default: 11)")
    arguments = parser.parse_args()
    tf.config.set_visible_devices([], "GPU")
    print(f"TensorFlow {tf.__version__}, {os.cpu_count()} processor cores", file=sys.stderr)
    # First, while this process is small: a process inherits its parent's peak at its start.
    rows = measure_memory()
    rows = measure_local_relation(arguments.repetitions) + rows
    networks = []
    for policy in ("float32", "mixed_bfloat16"):
        networks += measure_networks(policy, arguments.repetitions)
    print(table(rows[:3] + networks + rows[3:]))


if __name__ == "__main__":
    main()
