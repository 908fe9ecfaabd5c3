"""What the newer stack costs beside the older one, measured in one run on the processor; some three minutes:

    python -m benchmarks.stacks .venv-3.11/bin/python .venv-newest/bin/python

Each stack has a process of its own, which does one piece of work at a time while the other one waits. Medians are
compared, of seconds and of processor seconds: the latter hold on a busy machine.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from typing import Callable

_TARGET = 1.1


def works() -> dict[str, Callable[[], object]]:
    """What is measured, in the child that has TensorFlow."""
    import keras
    import numpy as np
    import tensorflow as tf

    from ssrvae_tf import load
    from ssrvae_tf.inference.engines import KerasEngine
    from ssrvae_tf.models import SRNetwork

    rng = np.random.default_rng(0)

    def images(*shape: int) -> tf.Tensor:
        return tf.constant(rng.uniform(size=(*shape, 3)), tf.float32)

    network = SRNetwork(filters=48, global_blocks=4, local_blocks=4)
    network.compile(keras.optimizers.Adam(1e-4))
    batch = images(8, 16, 16), images(8, 64, 64)
    step = tf.function(lambda: network.train_step(batch))
    model = load("faces-x4")
    engine = KerasEngine(model)
    tile, small, faces = (np.asarray(images(*shape)) for shape in ((1, 48, 48), (1, 16, 16), (16, 32, 32)))
    return {
        "predict, 1x16x16": lambda: model.predict(small, verbose=0),
        "predict, 16x32x32": lambda: model.predict(faces, verbose=0),
        "graph, a tile of 48": lambda: engine(tile),
        "a step of training": lambda: {name: float(value) for name, value in step().items()},
    }


def serve() -> None:
    """Answer each name on stdin with its seconds and processor seconds; first of all, all names."""
    answers, sys.stdout = sys.stdout, sys.stderr
    known = works()
    for function in known.values():  # trace and compile
        function()
        function()
    print(*known, sep="\t", file=answers, flush=True)
    for line in sys.stdin:
        start = time.perf_counter(), time.process_time()
        known[line.strip()]()
        print(time.perf_counter() - start[0], time.process_time() - start[1], file=answers, flush=True)


def measure(pythons: list[str], turns: int) -> list[tuple]:
    command = ["-m", "benchmarks.stacks", "--serve"]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": environment}
    children = [subprocess.Popen([python, *command], **pipes) for python in pythons]
    names = [child.stdout.readline().rstrip("\n").split("\t") for child in children][0]
    rows = []
    for name in names:
        seconds: list[list[list[float]]] = [[], []]
        for _ in range(turns):
            for child, found in zip(children, seconds):
                print(name, file=child.stdin, flush=True)
                found.append([float(each) for each in child.stdout.readline().split()])
        (old, old_work), (new, new_work) = ([statistics.median(each) for each in zip(*found)] for found in seconds)
        figure, work = (f"{1e3 * a:.1f} and {1e3 * b:.1f} ms" for a, b in ((old, new), (old_work, new_work)))
        rows.append((name, figure, new / old, f"<= {_TARGET}", "", new <= _TARGET * old))
        rows.append(("  processor time", work, new_work / old_work, "", "", None))
    for child in children:
        child.stdin.close()
        child.wait()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pythons", nargs="*", help="of the older and of the newer stack")
    parser.add_argument("--turns", type=int, default=15, help="of each piece of work (default: 15)")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve()
        return
    if len(arguments.pythons) != 2:
        parser.error("two Pythons are wanted, of the older and of the newer stack")
    from benchmarks.training import table

    print(table(measure(arguments.pythons, arguments.turns)))


if __name__ == "__main__":
    main()
