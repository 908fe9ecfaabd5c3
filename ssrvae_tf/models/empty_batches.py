"""Networks of no photos. oneDNN's convolutions, which TensorFlow takes by itself on newer processors, fail on them."""

from __future__ import annotations

from typing import Callable, Sequence

import tensorflow as tf


def of_any_batch(
    network: Callable[[tf.Tensor], tf.Tensor], images: tf.Tensor, size: Sequence, least: int = 1
) -> tf.Tensor:
    """`network(images)`, and of an empty batch an empty result.

    Instead of no images the network gets one of the smallest size, whose result is cut off: no part of the graph is
    there twice, and a batch that is not empty is neither copied nor computed with anew.

    Args:
        network: (B, H, W, 3) -> (B, H', W', C), for B from 1 on.
        images: (B, H, W, 3), B from 0 on.
        size: (H', W') of what it makes of these images, numbers or tensors.
        least: side in pixels of the smallest image that it takes.
    """
    if images.shape[0]:
        return network(images)
    count, height, width = tf.unstack(tf.shape(images)[:3])
    lacking = tf.cast(count == 0, tf.int32)
    height, width = (tf.where(count == 0, least, side) for side in (height, width))
    made = network(tf.pad(images[:, :height, :width], [[0, lacking], [0, 0], [0, 0], [0, 0]]))
    return tf.reshape(made[:count], [count, size[0], size[1], made.shape[-1]])
