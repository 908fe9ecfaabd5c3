"""Residual blocks, alone and with attention, and sub-pixel upscaling."""

from __future__ import annotations

from typing import Any, Sequence

import keras
import tensorflow as tf

from ssrvae_tf.layers.attention import GlobalAttention, LocalAttention


def before_a_sum(convolved: tf.Tensor) -> tf.Tensor:
    """What a convolution with a bias gives, unchanged, for a sum that two threads may compute at once.

    TensorFlow (2.15 to 2.21 at least) fuses such a convolution and a sum of it, where oneDNN is on, into one operator
    that keeps parts of a call in itself: threads that run the same graph, a server's or tf.data's, end in a
    segmentation fault. It takes a LeakyReLU in the sum's stead, here one of slope 1, which costs nothing: oneDNN
    computes it with the convolution, and LiteRT's converter leaves it out.

    Examples:
        >>> before_a_sum(tf.constant([-1.5, 2.0])).numpy().tolist()
        [-1.5, 2.0]
    """
    return tf.nn.leaky_relu(convolved, alpha=1.0)


class _SameShape(keras.layers.Layer):
    """(B, H, W, C) -> the same shape."""

    def compute_output_shape(self, input_shape: Sequence) -> tuple:
        return tuple(input_shape)


@keras.saving.register_keras_serializable("ssrvae_tf")
class ResidualBlock(_SameShape):
    """x + scale * conv(relu(conv(x))), 3x3, without normalisation, as in EDSR.

    (B, H, W, C) -> the same shape.

    Examples:
        >>> print(ResidualBlock()(tf.zeros([1, 6, 5, 16])).shape)
        (1, 6, 5, 16)
    """

    def __init__(self, scale: float = 1.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.scale = scale

    def build(self, input_shape: Sequence) -> None:
        channels = input_shape[-1]
        own = {"padding": "same", "dtype": self.dtype_policy}
        # A block starts near the identity: the features' variance would otherwise double with each of them.
        small = keras.initializers.VarianceScaling(0.05)
        self.first = keras.layers.Conv2D(
            channels, 3, activation="relu", kernel_initializer="he_normal", name="first", **own
        )
        self.second = keras.layers.Conv2D(channels, 3, kernel_initializer=small, name="second", **own)
        for layer in (self.first, self.second):
            layer.build((None, None, None, channels))
        self.built = True

    def call(self, x: tf.Tensor) -> tf.Tensor:
        change = self.change(x)
        return x + (change if self.scale == 1.0 else self.scale * change)

    def change(self, x: tf.Tensor) -> tf.Tensor:
        """What the block adds to x, `scale` times."""
        return before_a_sum(self.second(self.first(x)))

    def get_config(self) -> dict:
        return {**super().get_config(), "scale": self.scale}


class _AttentionBlock(_SameShape):
    """A residual block, then attention."""

    def _attention(self) -> keras.layers.Layer:
        raise NotImplementedError

    def build(self, input_shape: Sequence) -> None:
        self.residual = ResidualBlock(name="residual", dtype=self.dtype_policy)
        self.attention = self._attention()
        for layer in (self.residual, self.attention):
            layer.build(input_shape)
        self.built = True

    def call(self, x: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        return self.attention(self.residual(x), training=training)


@keras.saving.register_keras_serializable("ssrvae_tf")
class GARB(_AttentionBlock):
    """Global attention residual block. (B, H, W, C) -> the same shape. Arguments as in `GlobalAttention`.

    Examples:
        >>> print(GARB()(tf.zeros([1, 6, 5, 16])).shape)
        (1, 6, 5, 16)
    """

    def __init__(self, reduction: int = 8, chunk: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.reduction, self.chunk = reduction, chunk

    def _attention(self) -> keras.layers.Layer:
        return GlobalAttention(self.reduction, self.chunk, name="attention", dtype=self.dtype_policy)

    def get_config(self) -> dict:
        return {**super().get_config(), "reduction": self.reduction, "chunk": self.chunk}


@keras.saving.register_keras_serializable("ssrvae_tf")
class LARB(_AttentionBlock):
    """Local relation residual block. (B, H, W, C) -> the same shape. Arguments as in `LocalAttention`.

    Examples:
        >>> print(LARB()(tf.zeros([1, 6, 5, 16])).shape)
        (1, 6, 5, 16)
    """

    def __init__(self, kernel_size: int = 7, share: int = 8, geometry: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        self.kernel_size, self.share, self.geometry = kernel_size, share, geometry

    def _attention(self) -> keras.layers.Layer:
        own = (self.kernel_size, self.share, self.geometry)
        return LocalAttention(*own, name="attention", dtype=self.dtype_policy)

    def get_config(self) -> dict:
        own = {"kernel_size": self.kernel_size, "share": self.share, "geometry": self.geometry}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("ssrvae_tf")
class ICNR(keras.initializers.Initializer):
    """Start a sub-pixel convolution as nearest-neighbour enlargement, free of checkerboards (arXiv 1707.02937).

    Args:
        scale: of the depth-to-space that follows; the kernel's last axis is a multiple of scale^2.
        initializer: of the kernel that the scale^2 sub-pixels share.

    Examples:
        >>> kernel = ICNR(2)((3, 3, 8, 16))  # for 4 channels after depth to space: every fourth is the same
        >>> bool(tf.reduce_all(kernel[..., 0] == kernel[..., 4]))
        True
    """

    def __init__(self, scale: int = 2, initializer: Any = "glorot_uniform"):
        self.scale, self.initializer = scale, keras.initializers.get(initializer)

    def __call__(self, shape: Sequence[int], dtype: Any = None, **kwargs: Any) -> tf.Tensor:
        channels = shape[-1] // self.scale**2
        return tf.tile(self.initializer((*shape[:-1], channels), dtype=dtype), [1] * (len(shape) - 1) + [self.scale**2])

    def get_config(self) -> dict:
        return {"scale": self.scale, "initializer": keras.initializers.serialize(self.initializer)}


def doublings(scale: int) -> int:
    """How often to enlarge by 2, to enlarge by `scale`.

    Raises:
        ValueError: if scale is not a power of two.
    """
    if scale < 1 or scale & (scale - 1):
        raise ValueError(f"scale is {scale}: it must be a power of two, such as 2, 4 or 8")
    return scale.bit_length() - 1


@keras.saving.register_keras_serializable("ssrvae_tf")
class SubPixelUpsampling(keras.layers.Layer):
    """Enlarge by 2, once or several times: 3x3 convolution to 4 C channels, depth to space (arXiv 1609.05158).

    (B, H, W, C) -> (B, scale H, scale W, C).

    Args:
        scale: 1, 2, 4, 8, ...

    Raises:
        ValueError: if scale is not a power of two.

    Examples:
        >>> print(SubPixelUpsampling(4)(tf.zeros([1, 6, 5, 16])).shape)
        (1, 24, 20, 16)
    """

    def __init__(self, scale: int = 2, **kwargs: Any):
        super().__init__(**kwargs)
        self.scale, self._times = scale, doublings(scale)

    def build(self, input_shape: Sequence) -> None:
        channels = input_shape[-1]
        own = {"padding": "same", "dtype": self.dtype_policy}
        self.convolutions = [
            keras.layers.Conv2D(4 * channels, 3, kernel_initializer=ICNR(2), name=f"times_{2 ** (i + 1)}", **own)
            for i in range(self._times)
        ]
        for layer in self.convolutions:
            layer.build((None, None, None, channels))
        self.built = True

    def call(self, x: tf.Tensor) -> tf.Tensor:
        for convolution in self.convolutions:
            x = tf.nn.depth_to_space(convolution(x), 2)
        return x

    def compute_output_shape(self, input_shape: Sequence) -> tuple:
        batch, height, width, channels = input_shape
        enlarged = [side and side * self.scale for side in (height, width)]
        return (batch, *enlarged, channels)

    def get_config(self) -> dict:
        return {**super().get_config(), "scale": self.scale}
