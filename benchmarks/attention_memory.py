"""Peak memory of one forward and backward pass of GlobalAttention, in a process of its own: prints it in MiB.

    python -m benchmarks.attention_memory SIDE [CHUNK]

A small SIDE gives what TensorFlow itself takes.
"""

from __future__ import annotations

import resource
import sys

import tensorflow as tf

from ssrvae_tf.layers import GlobalAttention

_CHANNELS = 64


def peak_memory(side: int, chunk: int | None) -> float:
    """This process's highest resident memory so far, in MiB, after a pass over (1, side, side, 64) features."""
    layer = GlobalAttention(chunk=chunk)
    features = tf.random.stateless_normal([1, side, side, _CHANNELS], [0, 1])
    layer(features[:, :2, :2])
    layer.v.kernel.assign(tf.ones_like(layer.v.kernel))  # a fresh layer is the identity

    @tf.function
    def pass_both_ways(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            total = tf.reduce_sum(tf.square(layer(x)))
        return tape.gradient(total, [x, *layer.trainable_weights])

    pass_both_ways(features)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


if __name__ == "__main__":
    tf.config.set_visible_devices([], "GPU")
    print(peak_memory(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None))
