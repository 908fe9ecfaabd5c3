"""The networks that the paper compares with, each as in its own paper: SRCNN, SRGAN, RDN, EDSR. Used as SRNetwork."""

from __future__ import annotations

from typing import Any, Sequence

import keras
import tensorflow as tf

from ssrvae_tf.layers import ResidualBlock, bicubic_enlarge, luma, with_luma
from ssrvae_tf.layers.blocks import before_a_sum, doublings
from ssrvae_tf.models.sr_network import SuperResolver, enlarged_by_sub_pixels

RESIDUAL_SCALE = 0.1  # EDSR's, of 256 filters and more, which do not train without


class _Fixed(keras.layers.Layer):
    """A layer without weights, in float32."""

    def __init__(self, **kwargs: Any):
        super().__init__(**{"dtype": "float32", **kwargs})


@keras.saving.register_keras_serializable("ssrvae_tf")
class BicubicLuma(_Fixed):
    """lr (B, H, W, 3) -> [enlarged bicubically, (B, scale H, scale W, 3), its luma (B, scale H, scale W, 1)]."""

    def __init__(self, scale: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.scale = scale

    def call(self, lr: tf.Tensor) -> list[tf.Tensor]:
        enlarged = bicubic_enlarge(tf.cast(lr, tf.float32), self.scale)
        return [enlarged, luma(enlarged)]

    def compute_output_shape(self, input_shape: Sequence) -> list[tuple]:
        batch, *sides, channels = input_shape
        enlarged = (batch, *(side and self.scale * side for side in sides))
        return [(*enlarged, channels), (*enlarged, 1)]

    def get_config(self) -> dict:
        return {**super().get_config(), "scale": self.scale}


@keras.saving.register_keras_serializable("ssrvae_tf")
class WithLuma(_Fixed):
    """[photos (B, H, W, 3), another luma (B, H, W, 1)] -> photos with that luma."""

    def call(self, inputs: Sequence[tf.Tensor]) -> tf.Tensor:
        photos, other = inputs
        return with_luma(photos, tf.cast(other, tf.float32))

    def compute_output_shape(self, input_shape: Sequence) -> tuple:
        return tuple(input_shape[0])


@keras.saving.register_keras_serializable("ssrvae_tf")
class DepthToSpace(keras.layers.Layer):
    """(B, H, W, 4 C) -> (B, 2 H, 2 W, C)."""

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return tf.nn.depth_to_space(x, 2)

    def compute_output_shape(self, input_shape: Sequence) -> tuple:
        batch, *sides, channels = input_shape
        return (batch, *(side and 2 * side for side in sides), channels // 4)


@keras.saving.register_keras_serializable("ssrvae_tf")
class Skip(keras.layers.Layer):
    """[what a convolution gave (B, H, W, C), features of that shape] -> their sum."""

    def call(self, inputs: Sequence[tf.Tensor]) -> tf.Tensor:
        convolved, features = inputs
        return before_a_sum(convolved) + features

    def compute_output_shape(self, input_shape: Sequence) -> tuple:
        return tuple(input_shape[0])


@keras.saving.register_keras_serializable("ssrvae_tf")
class SRCNN(SuperResolver):
    """SRCNN (arXiv 1501.00092): luma, enlarged bicubically, through three convolutions; colours stay bicubic.

    57,281 weights with kernels 9, 5, 5, the largest of the paper's networks; 8,129 with 9, 1, 5, its first one.

    Args:
        filters: of the first convolution; the second has half of them.
        kernels: sides of the three kernels.

    Examples:
        >>> SRCNN(scale=4).count_params()
        57281
    """

    def __init__(
        self, scale: int = 4, filters: int = 64, kernels: Sequence[int] = (9, 5, 5), name: str = "srcnn", **kwargs: Any
    ):
        first, second, third = kernels

        def network(lr: tf.Tensor) -> tf.Tensor:
            enlarged, x = BicubicLuma(scale, name="bicubic")(lr)
            x = keras.layers.Conv2D(filters, first, padding="same", activation="relu", name="patches")(x)
            x = keras.layers.Conv2D(filters // 2, second, padding="same", activation="relu", name="mapping")(x)
            x = keras.layers.Conv2D(1, third, padding="same", dtype="float32", name="reconstruction")(x)
            return WithLuma(name="with_luma")([enlarged, x])

        super().__init__(scale, filters, network, name=name, **kwargs)
        self._config = {"scale": scale, "filters": filters, "kernels": list(kernels)}


@keras.saving.register_keras_serializable("ssrvae_tf")
class EDSR(SuperResolver):
    """EDSR (arXiv 1707.02921): residual blocks with a skip around them.

    1,517,571 weights with 16 blocks of 64 filters, EDSR-baseline; 43,089,923 with 32 of 256, whose residuals are scaled
    by 0.1, as all of 256 filters and more are.

    Examples:
        >>> EDSR(scale=4).count_params()
        1517571
    """

    def __init__(self, scale: int = 4, filters: int = 64, blocks: int = 16, name: str = "edsr", **kwargs: Any):
        residual_scale = RESIDUAL_SCALE if filters >= 256 else 1.0

        def body(x: tf.Tensor) -> tf.Tensor:
            skip = x
            for i in range(blocks):
                x = ResidualBlock(residual_scale, name=f"block_{i}")(x)
            x = keras.layers.Conv2D(filters, 3, padding="same", name="tail")(x)
            return Skip(name="skip")([x, skip])

        super().__init__(scale, filters, enlarged_by_sub_pixels(scale, filters, body), name=name, **kwargs)
        self._config = {"scale": scale, "filters": filters, "blocks": blocks}


@keras.saving.register_keras_serializable("ssrvae_tf")
class RDN(SuperResolver):
    """RDN (arXiv 1802.08797): residual dense blocks, all of whose outputs are fused.

    22,271,107 weights with 16 blocks (the paper's D) of 8 convolutions (C) that add 64 features each (G).

    Args:
        filters: features between blocks, and those that each convolution adds.
        blocks: residual dense blocks.
        layers_per_block: convolutions in each.

    Examples:
        >>> print(RDN(scale=4, filters=8, blocks=1, layers_per_block=2)(tf.zeros([1, 6, 5, 3])).shape)
        (1, 24, 20, 3)
    """

    def __init__(
        self,
        scale: int = 4,
        filters: int = 64,
        blocks: int = 16,
        layers_per_block: int = 8,
        name: str = "rdn",
        **kwargs: Any,
    ):
        def dense_block(x: tf.Tensor, i: int) -> tf.Tensor:
            features = [x]
            for j in range(layers_per_block):
                seen = keras.layers.Concatenate(name=f"block_{i}_seen_{j}")(features) if j else x
                convolution = keras.layers.Conv2D(filters, 3, padding="same", activation="relu", name=f"block_{i}_{j}")
                features.append(convolution(seen))
            seen = keras.layers.Concatenate(name=f"block_{i}_seen")(features)
            fused = keras.layers.Conv2D(filters, 1, name=f"block_{i}_fusion")(seen)
            return Skip(name=f"block_{i}_skip")([fused, x])

        def body(shallow: tf.Tensor) -> tf.Tensor:
            x, found = keras.layers.Conv2D(filters, 3, padding="same", name="second")(shallow), []
            for i in range(blocks):
                x = dense_block(x, i)
                found.append(x)
            x = keras.layers.Concatenate(name="all_blocks")(found) if blocks > 1 else x
            x = keras.layers.Conv2D(filters, 1, name="fusion")(x)
            x = keras.layers.Conv2D(filters, 3, padding="same", name="tail")(x)
            return Skip(name="skip")([x, shallow])

        super().__init__(scale, filters, enlarged_by_sub_pixels(scale, filters, body), name=name, **kwargs)
        self._config = {"scale": scale, "filters": filters, "blocks": blocks, "layers_per_block": layers_per_block}


@keras.saving.register_keras_serializable("ssrvae_tf")
class SRGAN(SuperResolver):
    """SRGAN's generator, SRResNet (arXiv 1609.04802): residual blocks with batch normalisation and PReLU.

    Trained with L1 alone it is SRResNet; with `SRGANDiscriminator` it is SRGAN.

    Examples:
        >>> print(SRGAN(scale=4, filters=8, blocks=1)(tf.zeros([1, 6, 5, 3])).shape)
        (1, 24, 20, 3)
    """

    def __init__(self, scale: int = 4, filters: int = 64, blocks: int = 16, name: str = "srgan", **kwargs: Any):
        times = doublings(scale)

        def convolution(name: str, side: int = 3, count: int = filters, **more: Any) -> keras.layers.Layer:
            return keras.layers.Conv2D(count, side, padding="same", name=name, **more)

        def prelu(name: str) -> keras.layers.Layer:
            return keras.layers.PReLU(shared_axes=[1, 2], name=name)

        def network(lr: tf.Tensor) -> tf.Tensor:
            x = skip = prelu("head_prelu")(convolution("head", 9)(lr))
            for i in range(blocks):
                y = keras.layers.BatchNormalization(name=f"block_{i}_norm_0")(convolution(f"block_{i}_0")(x))
                y = convolution(f"block_{i}_1")(prelu(f"block_{i}_prelu")(y))
                y = keras.layers.BatchNormalization(name=f"block_{i}_norm_1")(y)
                x = keras.layers.Add(name=f"block_{i}")([x, y])
            x = keras.layers.BatchNormalization(name="tail_norm")(convolution("tail")(x))
            x = keras.layers.Add(name="skip")([x, skip])
            for i in range(times):
                x = convolution(f"times_{2 ** (i + 1)}", count=4 * filters)(x)
                x = prelu(f"times_{2 ** (i + 1)}_prelu")(DepthToSpace(name=f"shuffle_{i}")(x))
            return convolution("reconstruction", 9, 3, dtype="float32")(x)

        super().__init__(scale, filters, network, name=name, **kwargs)
        self._config = {"scale": scale, "filters": filters, "blocks": blocks}


class SRGANDiscriminator(keras.layers.Layer):
    """SRGAN's judge of whole patches: `[photo, enlarged]` -> [scores (B, 1)], float32. It looks at the photo alone.

    Eight convolutions with batch normalisation, then two dense layers, for patches of one size.

    Args:
        side: of the photos (B, side, side, 3).
        filters: of the first convolution; the last has eight times as many, the dense layer twice those.
    """

    def __init__(self, side: int, filters: int = 64, **kwargs: Any):
        super().__init__(autocast=False, **kwargs)
        self.side, self.filters = side, filters

    def build(self, input_shape: Sequence | None) -> None:
        own, channels, side = {"dtype": self.dtype_policy}, 3, self.side
        self.convolutions, self.norms = [], []
        for i in range(8):
            count, stride = self.filters * 2 ** (i // 2), 1 + i % 2
            layer = keras.layers.Conv2D(count, 3, stride, padding="same", name=f"conv_{i}", **own)
            layer.build((None, None, None, channels))
            self.convolutions.append(layer)
            channels, side = count, -(-side // stride)
            if i:
                norm = keras.layers.BatchNormalization(name=f"norm_{i}", **own)
                norm.build((None, None, None, channels))
                self.norms.append(norm)
        self.hidden = keras.layers.Dense(2 * channels, name="hidden", **own)
        self.hidden.build((None, side * side * channels))
        self.score = keras.layers.Dense(1, dtype="float32", name="score")
        self.score.build((None, 2 * channels))
        self.built = True

    def call(self, inputs: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        x = inputs[0]
        for convolution, norm in zip(self.convolutions, [None, *self.norms]):
            x = convolution(x)
            x = tf.nn.leaky_relu(norm(x, training=True) if norm else x, 0.2)
        x = tf.nn.leaky_relu(self.hidden(tf.reshape(x, [tf.shape(x)[0], -1])), 0.2)
        return [self.score(x)]
