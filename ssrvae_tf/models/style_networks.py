"""styleVAE's networks: the two encoders and the generator."""

from __future__ import annotations

from typing import Any, Sequence

import keras
import tensorflow as tf

from ssrvae_tf.layers import AdaIN, ResidualBlock, high_pass, mean_and_deviation


@keras.saving.register_keras_serializable("ssrvae_tf")
class StyleEncoder(keras.layers.Layer):
    """E_LR: a real low-resolution face to the posterior of its style code (section 3.1).

    (B, h, w, 3) in [0, 1] -> mean and log standard deviation of z_LR, each (B, latent_dim), float32. The image's
    high-pass stands beside it, and each size's features are pooled to means and deviations: a degradation shows in how
    strong edges and noise are, not in where. Of a mixed policy only the residual blocks' convolutions take note: faint
    noise drowns where an image, or what the blocks add up to, is rounded to bfloat16's 8 bits.

    Args:
        latent_dim: size of z_LR. 256, the paper's.
        filters: width of the residual blocks.
        strides: one for each residual block, 8 in the paper; a 2 halves the size before its block.
    """

    def __init__(
        self, latent_dim: int = 256, filters: int = 64, strides: Sequence[int] = (1, 1, 2, 1, 1, 2, 1, 1), **kwargs: Any
    ):
        super().__init__(autocast=False, **kwargs)
        self.latent_dim, self.filters, self.strides = latent_dim, filters, tuple(strides)

    def build(self, input_shape: Sequence) -> None:
        own = {"padding": "same", "activation": "relu", "dtype": "float32"}
        self.stem = keras.layers.Conv2D(self.filters, 3, name="stem", **own)
        self.stem.build((None, None, None, 6))
        self.shrinking, self.blocks = {}, []
        for i, stride in enumerate(self.strides):
            if stride > 1:
                name = f"shrink_{i}"
                layer = keras.layers.Conv2D(self.filters, 3, stride, name=name, **own)
                layer.build((None, None, None, self.filters))
                setattr(self, name, layer)
                self.shrinking[str(i)] = layer
            self.blocks.append(ResidualBlock(name=f"block_{i}", dtype=self.dtype_policy))
            self.blocks[-1].build((None, None, None, self.filters))
        near_prior = keras.initializers.VarianceScaling(0.1)
        self.head = keras.layers.Dense(
            2 * self.latent_dim, kernel_initializer=near_prior, dtype="float32", name="posterior"
        )
        self.head.build((None, 2 * self.filters * (1 + len(self.shrinking))))
        self.built = True

    def call(self, lr: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        lr = tf.cast(lr, tf.float32)
        x = self.stem(tf.concat([lr, 4.0 * high_pass(lr)], -1))
        pooled = []
        for i, block in enumerate(self.blocks):
            if str(i) in self.shrinking:
                pooled.append(mean_and_deviation(x))
                x = self.shrinking[str(i)](x)
            x += tf.cast(block.change(x), tf.float32)
        pooled.append(mean_and_deviation(x))
        mean, log_deviation = tf.split(self.head(tf.concat(pooled, -1)), 2, -1)
        # Between e^-6 and e^2: no face can make the KL infinite.
        return mean, tf.clip_by_value(log_deviation, -6.0, 2.0)

    def get_config(self) -> dict:
        own = {"latent_dim": self.latent_dim, "filters": self.filters, "strides": list(self.strides)}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("ssrvae_tf")
class ContentEncoder(keras.layers.Layer):
    """E_HR: a high-resolution face to its content features z_HR at the LR size (section 3.1).

    (B, H, W, 3) -> (B, H / scale, W / scale, filters). Space to depth first: every HR pixel is seen, at LR cost.
    """

    def __init__(self, scale: int = 4, filters: int = 64, blocks: int = 2, **kwargs: Any):
        super().__init__(**kwargs)
        self.scale, self.filters, self.count = scale, filters, blocks

    def build(self, input_shape: Sequence) -> None:
        policy = self.dtype_policy
        self.stem = keras.layers.Conv2D(self.filters, 3, padding="same", name="stem", dtype=policy)
        self.stem.build((None, None, None, 3 * self.scale**2))
        self.blocks = [ResidualBlock(name=f"block_{i}", dtype=policy) for i in range(self.count)]
        for block in self.blocks:
            block.build((None, None, None, self.filters))
        self.built = True

    def call(self, hr: tf.Tensor) -> tf.Tensor:
        x = self.stem(tf.nn.space_to_depth(hr, self.scale))
        for block in self.blocks:
            x = block(x)
        return x

    def get_config(self) -> dict:
        return {**super().get_config(), "scale": self.scale, "filters": self.filters, "blocks": self.count}


@keras.saving.register_keras_serializable("ssrvae_tf")
class Generator(keras.layers.Layer):
    """G: content features in the style of a code (section 3.1): two residual blocks, each followed by AdaIN.

    `[z_HR (B, h, w, C), z_LR (B, D), noise (B, h, w, noise_channels)]` -> (B, h, w, 3), float32.

    Args:
        adain: False joins the style to the content once, as channels, instead (table 5).
        noise_channels: above 0, as in the `transfer` form, noise whose strength the style sets enters after each
            block and before the last convolution, and so does the content itself, scaled by the style: AdaIN divides
            by the content's contrast, and without this path no filter of the content, such as a blur, could be exact.
    """

    def __init__(self, adain: bool = True, noise_channels: int = 0, blocks: int = 2, **kwargs: Any):
        super().__init__(**kwargs)
        self.adain, self.noise_channels, self.count = adain, noise_channels, blocks

    def build(self, input_shape: Sequence) -> None:
        content, style, _ = input_shape
        channels = content[-1]
        wide = (None, None, None, channels)
        own = {"dtype": self.dtype_policy}
        if not self.adain:
            self.join = keras.layers.Conv2D(channels, 1, name="join", **own)
            self.join.build((None, None, None, channels + style[-1]))
        self.blocks = [ResidualBlock(name=f"block_{i}", **own) for i in range(self.count)]
        self.styles = [AdaIN(kernel_initializer="glorot_uniform", name=f"adain_{i}", **own) for i in range(self.count)]
        self.strengths, self.spreads = [], []
        for i in range(self.count):
            self.blocks[i].build(wide)
            if self.adain:
                self.styles[i].build([wide, style])
            if self.noise_channels:
                self.strengths.append(self._strength(f"noise_{i}", style))
                spread = keras.layers.Conv2D(channels, 1, use_bias=False, name=f"spread_{i}", **own)
                spread.build((None, None, None, self.noise_channels))
                self.spreads.append(spread)
        last = channels
        if self.noise_channels:
            self.last_strength = self._strength("last_noise", style)
            self.gains = keras.layers.Dense(channels, dtype="float32", name="gains")
            self.gains.build((None, style[-1]))
            last += channels + self.noise_channels
        # In the transfer form what leaves is a correction: start with a small one.
        start = keras.initializers.VarianceScaling(0.01 if self.noise_channels else 1.0)
        self.last = keras.layers.Conv2D(3, 3, padding="same", kernel_initializer=start, dtype="float32", name="last")
        self.last.build((None, None, None, last))
        self.built = True

    def _strength(self, name: str, style: Sequence) -> keras.layers.Layer:
        quiet = keras.initializers.Constant(-3.0)
        layer = keras.layers.Dense(self.noise_channels, "softplus", bias_initializer=quiet, dtype="float32", name=name)
        layer.build((None, style[-1]))
        return layer

    def call(self, inputs: Sequence[tf.Tensor]) -> tf.Tensor:
        content, style, noise = inputs
        noise = tf.cast(noise, content.dtype)

        def scaled(tensor: tf.Tensor, factors: tf.Tensor) -> tf.Tensor:
            return tensor * tf.cast(factors(style)[:, None, None], tensor.dtype)

        x = content
        if not self.adain:
            spread = tf.cast(style, x.dtype)[:, None, None] + tf.zeros_like(x[..., :1])
            x = self.join(tf.concat([x, spread], -1))
        for i in range(self.count):
            x = self.blocks[i](x)
            if self.noise_channels:
                x += self.spreads[i](scaled(noise, self.strengths[i]))
            if self.adain:
                x = self.styles[i]([x, style])
        if self.noise_channels:
            x = tf.concat([x, scaled(content, self.gains), scaled(noise, self.last_strength)], -1)
        return self.last(tf.cast(x, tf.float32))

    def get_config(self) -> dict:
        own = {"adain": self.adain, "noise_channels": self.noise_channels, "blocks": self.count}
        return {**super().get_config(), **own}
