"""Global (non-local) and local relation attention."""

from __future__ import annotations

import contextlib
import contextvars
from typing import Any, Iterator, Sequence

import keras
import tensorflow as tf

from ssrvae_tf.layers.local_relation import local_relation

_HELD = 2**21  # scores of a batch that chunks hold at once, in float32: 8 MB, which caches hold
_PORTABLE = contextvars.ContextVar("portable", default=False)


@contextlib.contextmanager
def portable() -> Iterator[None]:
    """Global attention that is traced in this context gives the same bits in TensorFlow 2.15 and 2.21, on one machine.
    Slower: tf.nn.softmax, which rounds otherwise in each, is one pass over the scores in place of four."""
    token = _PORTABLE.set(True)
    try:
        yield
    finally:
        _PORTABLE.reset(token)


def _pointwise(filters: int, name: str, dtype: Any, kernel: str = "glorot_uniform") -> keras.layers.Layer:
    return keras.layers.Conv2D(filters, 1, name=name, dtype=dtype, kernel_initializer=kernel)


@keras.saving.register_keras_serializable("ssrvae_tf")
class GlobalAttention(keras.layers.Layer):
    """Mix every position with every other one (eqs. 7-9).

    out_j = gate * v(sum_i softmax_i(f(x_i) . g(x_j)) h(x_i)) + x_j, with 1x1 convolutions f, g, h, v, as in SAGAN.
    (B, H, W, C) -> the same shape. v starts at 0, so a fresh layer is the identity. The paper and SAGAN have the gate
    start there: v then learns nothing before it opens, which it does not in thousands of steps.

    Args:
        reduction: f, g and h have C // reduction channels, v brings back C. 8, as in SAGAN.
        chunk: queries whose attention rows are held at once, or fewer, so that a batch holds 2^21 scores; bounds memory
            in the backward pass too, which computes the rows again. None holds all (H * W)^2.

    Raises:
        ValueError: if C is not a multiple of `reduction`.

    Examples:
        >>> x = tf.random.stateless_normal([1, 6, 5, 16], seed=(1, 2))
        >>> bool(tf.reduce_all(GlobalAttention()(x) == x))  # a fresh one
        True
    """

    def __init__(self, reduction: int = 8, chunk: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.reduction, self.chunk = reduction, chunk

    def build(self, input_shape: Sequence) -> None:
        channels = input_shape[-1]
        if channels % self.reduction:
            raise ValueError(f"{channels} channels: they must be a multiple of reduction, {self.reduction}")
        inner = channels // self.reduction
        policy = self.dtype_policy
        self.f, self.g, self.h = (_pointwise(inner, name, policy) for name in "fgh")
        self.v = _pointwise(channels, "v", policy, "zeros")
        for layer in (self.f, self.g, self.h):
            layer.build((None, None, None, channels))
        self.v.build((None, None, None, inner))
        self.gate = self.add_weight(name="gate", shape=(), initializer="ones", dtype="float32")
        self.built = True

    def call(self, x: tf.Tensor) -> tf.Tensor:
        batch, height, width = tf.unstack(tf.shape(x)[:3])
        keys, queries, values = (self._positions(layer(x)) for layer in (self.f, self.g, self.h))  # (B, N, C/8)
        if self.chunk:
            mixed = self._attend_in_chunks(queries, keys, values)
        else:
            mixed = _attend(queries, keys, values)
        mixed = tf.reshape(mixed, [batch, height, width, values.shape[-1]])
        return x + tf.cast(self.gate, x.dtype) * self.v(mixed)

    @staticmethod
    def _positions(x: tf.Tensor) -> tf.Tensor:
        shape = tf.shape(x)
        return tf.reshape(x, [shape[0], shape[1] * shape[2], x.shape[-1]])

    def _attend_in_chunks(self, queries: tf.Tensor, keys: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
        batch, positions = tf.unstack(tf.shape(queries)[:2])
        chunk = tf.clip_by_value(_HELD // tf.maximum(batch * positions, 1), 1, self.chunk)
        chunks = -(-positions // chunk)
        padded = tf.pad(queries, [[0, 0], [0, chunks * chunk - positions], [0, 0]])
        padded = tf.reshape(padded, [batch, chunks, chunk, queries.shape[-1]])
        attend = tf.recompute_grad(_attend)
        mixed = tf.map_fn(
            lambda rows: attend(rows, keys, values),
            tf.transpose(padded, [1, 0, 2, 3]),
            parallel_iterations=1,
            fn_output_signature=tf.TensorSpec([None, None, values.shape[-1]], values.dtype),
        )  # (chunks, B, chunk, C/8)
        mixed = tf.reshape(tf.transpose(mixed, [1, 0, 2, 3]), [batch, chunks * chunk, values.shape[-1]])
        return mixed[:, :positions]

    def compute_output_shape(self, input_shape: Sequence) -> tuple:
        return tuple(input_shape)

    def get_config(self) -> dict:
        return {**super().get_config(), "reduction": self.reduction, "chunk": self.chunk}


def _attend(queries: tf.Tensor, keys: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    # Cast first: products of float16 features overflow.
    queries, keys = tf.cast(queries, tf.float32), tf.cast(keys, tf.float32)
    scores = tf.matmul(queries, keys, transpose_b=True)  # (B, queries, N)
    if _PORTABLE.get():
        weights = tf.exp(scores - tf.stop_gradient(tf.reduce_max(scores, -1, keepdims=True)))
        weights /= tf.reduce_sum(weights, -1, keepdims=True)
    else:
        weights = tf.nn.softmax(scores)
    return tf.matmul(tf.cast(weights, values.dtype), values)


@keras.saving.register_keras_serializable("ssrvae_tf")
class LocalAttention(keras.layers.Layer):
    """Mix every pixel's window by how alike its pixels are (eqs. 10-11).

    out = gate * o(local_relation(q(x), k(x), v(x))) + x with 1x1 convolutions q, k, v, o.
    (B, H, W, C) -> the same shape. o starts at 0, as v does in `GlobalAttention`, so a fresh layer is the identity.

    Args:
        kernel_size: side of the window. 7, as in LR-Net.
        share: channels that share one weight map. 8, as in LR-Net.
        geometry: add LR-Net's geometry prior, a small network on the true (dx, dy) offsets. The paper has none.

    Attributes:
        bounded, in_blocks: of `local_relation`, for exports of few bits and for runtimes; False, and not part of the
            configuration.

    Raises:
        ValueError: if C is not a multiple of `share`, or kernel_size is even.

    Examples:
        >>> x = tf.random.stateless_normal([1, 6, 5, 16], seed=(1, 2))
        >>> bool(tf.reduce_all(LocalAttention(kernel_size=3)(x) == x))  # a fresh one
        True
    """

    def __init__(self, kernel_size: int = 7, share: int = 8, geometry: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        if kernel_size % 2 == 0 or kernel_size < 1:
            raise ValueError(f"kernel_size is {kernel_size}: it must be odd")
        self.kernel_size, self.share, self.geometry = kernel_size, share, geometry
        self.bounded = self.in_blocks = False

    def build(self, input_shape: Sequence) -> None:
        channels = input_shape[-1]
        if channels % self.share:
            raise ValueError(f"{channels} channels: they must be a multiple of share, {self.share}")
        maps = channels // self.share
        policy = self.dtype_policy
        self.query, self.key = (_pointwise(maps, name, policy) for name in ("query", "key"))
        self.value = _pointwise(channels, "value", policy)
        self.out = _pointwise(channels, "out", policy, "zeros")
        for layer in (self.query, self.key, self.value, self.out):
            layer.build((None, None, None, channels))
        if self.geometry:
            dense = [keras.layers.Dense(16, "relu", dtype="float32"), keras.layers.Dense(maps, dtype="float32")]
            self.prior = keras.Sequential(dense, name="prior")
            self.prior.build((None, 2))
        self.gate = self.add_weight(name="gate", shape=(), initializer="ones", dtype="float32")
        self.built = True

    def call(self, x: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        training = bool(training)
        # XLA pays where one shape comes again and again, and does not run on several CPU devices.
        single = tf.distribute.get_strategy().num_replicas_in_sync == 1
        compiled = training and single and None not in x.shape[1:]
        prior = self._prior() if self.geometry else None
        operands = self.query(x), self.key(x), self.value(x)
        form = {"bounded": self.bounded, "in_blocks": self.in_blocks}
        mixed = local_relation(*operands, self.kernel_size, prior, compiled, training, **form)
        return x + tf.cast(self.gate, x.dtype) * self.out(mixed)

    def _prior(self) -> tf.Tensor:
        offsets = tf.range(self.kernel_size, dtype=tf.float32) - self.kernel_size // 2
        offsets = tf.stack(tf.meshgrid(offsets, offsets), -1)  # (k, k, 2): dx, dy in pixels
        maps = self.prior(tf.reshape(offsets, [-1, 2]))
        return tf.reshape(maps, [self.kernel_size, self.kernel_size, -1])

    def compute_output_shape(self, input_shape: Sequence) -> tuple:
        return tuple(input_shape)

    def get_config(self) -> dict:
        own = {"kernel_size": self.kernel_size, "share": self.share, "geometry": self.geometry}
        return {**super().get_config(), **own}
