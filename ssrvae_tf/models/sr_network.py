"""The super-resolution network of SSRVAE, and what it has in common with those that it is compared with."""

from __future__ import annotations

import functools
import inspect
import warnings
from typing import Any, Callable, Optional, Sequence

import keras
import numpy as np
import tensorflow as tf

from ssrvae_tf.errors import one_line
from ssrvae_tf.layers import GARB, LARB, KeepColours, ResidualBlock, SubPixelUpsampling
from ssrvae_tf.layers.attention import portable
from ssrvae_tf.models.adversarial import Adversary
from ssrvae_tf.models.empty_batches import of_any_batch
from ssrvae_tf.models.inputs import as_unit, checked, is_array, photos_of
from ssrvae_tf.models.steps import Stepper, over_replicas, seed_of_step
from ssrvae_tf.models.tiles import WHOLE, in_tiles

_TILE_SEED = 71  # of the places of tiles
_LR = (tf.TensorSpec((None, None, None, 3), tf.float32, name="lr"),)


@keras.saving.register_keras_serializable("ssrvae_tf")
class ClipAtInference(keras.layers.Layer):
    """Keep what leaves the network in [0, 1]; in training, where clipping would end gradients, leave it alone."""

    def call(self, x: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        return x if training else tf.clip_by_value(x, 0.0, 1.0)

    def compute_output_shape(self, input_shape: Sequence) -> tuple:
        return tuple(input_shape)


class SuperResolver(keras.Model):
    """A functional network lr (B, H, W, 3) -> sr (B, scale H, scale W, 3), float32 RGB in [0, 1], of any H and W.

    A subclass gives `network`, which makes sr, not clipped, of lr, and sets `_config`, its own arguments.

    Trained on (lr, hr) batches, uint8 or float in [0, 1], with L1 or what `compile(loss=...)` is told. `colour_weight`
    is that of the mean colour's own error beside it: L1 alone lets flat areas drift by a gray level or two.
    `tile_weight` is that of what a part of each batch, enlarged alone, differs by from the same part of the whole.
    `compile(adversary=...)` adds what an `Adversary` says of the results.
    """

    colour_weight, tile_weight = 0.0, 0.0
    adversary: Optional[Adversary] = None
    stepper: Optional[Stepper] = None
    own_loss, has_metrics = None, False  # of `compile`

    def __init__(self, scale: int, filters: int, network: Callable, **kwargs: Any):
        lr = keras.Input((None, None, 3), name="lr")
        super().__init__(lr, ClipAtInference(dtype="float32", name="sr")(network(lr)), **kwargs)
        self.scale, self.filters = scale, filters
        self.supports_jit = False  # Keras 3 would compile all of it by XLA

    def get_config(self) -> dict:
        return {**self._config, "name": self.name}

    @classmethod
    def from_config(cls, config: dict) -> SuperResolver:
        return cls(**config)

    def compile(
        self,
        optimizer: str | keras.optimizers.Optimizer = "rmsprop",
        loss: Any = None,
        metrics: Any = None,
        *,
        adversary: Adversary | None = None,
        jit_compile: bool | str | None = None,
        **kwargs: Any,
    ) -> None:
        """Args:
        loss: in the place of L1, of (hr, sr).
        adversary: what else is said of the results.
        jit_compile: has no effect: XLA takes no loops over tiles, and where it pays the layers use it by themselves.
        The others are Keras' own.
        """
        if jit_compile and jit_compile != "auto":
            warnings.warn(f"{self.name} is not compiled by XLA as a whole: leave jit_compile out", stacklevel=2)
        super().compile(optimizer, loss=loss, metrics=metrics, jit_compile=False, **kwargs)
        self.distribute_reduction_method = "first"  # of figures that are the same on all replicas
        self.own_loss = keras.losses.get(loss)
        self.has_metrics = bool(metrics or kwargs.get("weighted_metrics"))
        self.adversary = adversary
        self.stepper = Stepper(self.optimizer)
        self.optimizer: keras.optimizers.Optimizer = self.stepper.optimizer

    def compile_from_config(self, config: dict) -> None:
        """As it was compiled when it was saved, but for an adversary; by another Keras perhaps."""
        try:
            given = keras.saving.deserialize_keras_object(_for_either_keras(config))
            self.compile(**{name: value for name, value in given.items() if value is not None})
        except (TypeError, ValueError) as error:
            why = f"{self.name} is not compiled as it was saved ({one_line(error)})"
            warnings.warn(f"{why}: compile it again to train it", stacklevel=2)
        else:
            self.optimizer.build(self.trainable_variables)

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> tf.Tensor:
        network = functools.partial(super().call, training=training, mask=mask)
        inputs = tf.convert_to_tensor(inputs) if isinstance(inputs, np.ndarray) else inputs
        inputs = as_unit(inputs) if tf.is_tensor(inputs) else inputs
        if training or not tf.is_tensor(inputs):
            return network(inputs)
        sides = [inputs.shape[axis] or tf.shape(inputs)[axis] for axis in (1, 2)]
        return of_any_batch(network, inputs, [self.scale * side for side in sides])

    def enlarge(self, lr: Any) -> tf.Tensor:
        """`model(lr)` as a graph, the same for all sizes, in one piece: (B, H, W, 3), uint8 or float in [0, 1] ->
        (B, scale H, scale W, 3), float32. The same bits with Keras 2 as with Keras 3, on one machine."""
        return self._portable(as_unit(tf.convert_to_tensor(lr)))

    @tf.function(input_signature=_LR)
    def _portable(self, lr: tf.Tensor) -> tf.Tensor:
        with portable():
            return self(lr, training=False)

    @tf.function(input_signature=_LR)
    def _enlarge(self, lr: tf.Tensor) -> tf.Tensor:
        return self(lr, training=False)

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> np.ndarray:
        """Enlarge photos with the present weights.

        Args:
            x: (B, H, W, 3) or one photo, (H, W, 3), uint8, or float in [0, 1], or whatever else Keras takes, such as a
                tf.data.Dataset of batches. The other arguments are Keras' own.

        Returns:
            float32 in [0, 1], (B, scale H, scale W, 3), or (scale H, scale W, 3) for one photo.

        Raises:
            ValueError: if x has another shape, type or range.
        """
        if inspect.isgenerator(x):  # Keras 3 takes tuples only
            x = (each if isinstance(each, tuple) else (each,) for each in x)
        if not is_array(x):
            return super().predict(x, *args, **kwargs)
        photos = photos_of(x)
        lr = photos if photos.ndim == 4 else photos[None]
        if not len(lr):
            return np.zeros((0, self.scale * lr.shape[1], self.scale * lr.shape[2], 3), np.float32)
        if _is_one_quiet_batch(lr, *args, **kwargs):
            sr = np.asarray(self.predict_step((tf.constant(lr),)))
        else:
            sr = super().predict(lr, *args, **kwargs)
        return sr if photos.ndim == 4 else sr[0]

    def predict_step(self, data: Any) -> tf.Tensor:
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        return self._predicted(_lr_of(x))

    def _predicted(self, lr: tf.Tensor) -> tf.Tensor:
        return self._enlarge(as_unit(lr))

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        if self.stepper is None:
            raise ValueError(f"{self.name} is not compiled: compile it to train it")
        lr, hr = _pair_of(data)
        lr, hr = tf.nest.map_structure(as_unit, (lr, hr))
        pairs, judged = None, None
        terms: dict[str, tuple[float, tf.Tensor]] = {}
        if isinstance(lr, dict):  # besides pairs: real small photos, whose truth nobody knows, and sharp ones of others
            pairs = tf.shape(hr)[0]
            lr, hr = tf.concat([lr["lr"], lr["real"]], 0), tf.concat([hr, lr["sharp"]], 0)
        with tf.GradientTape(persistent=True) as tape:
            sr = self(lr, training=True)
            made, truth = sr[:pairs], hr[:pairs]
            apart, colour = self._apart(made, truth), tf.reduce_mean(tf.abs(tf.reduce_mean(made - truth, [1, 2])))
            total = apart + self.colour_weight * colour
            if self.tile_weight:
                terms["tile"] = self.tile_weight, self._apart_from_tile(lr, sr, self.stepper.step)
            if self.adversary:
                said, judged = self.adversary.terms(sr, hr, lr, self.stepper.step, pairs)
                terms.update(said)
            total += sum(weight * term for weight, term in terms.values())
            loss = self.stepper.scaled(total)
            if self.adversary and self.adversary.stepper and judged is not None:
                critic_loss = self.adversary.stepper.scaled(judged)
        figures = {"loss": apart, "colour": colour, **{name: term for name, (_, term) in terms.items()}}
        figures["gradient_norm"] = self.stepper.minimise(tape, loss, self.trainable_variables)
        if self.adversary and self.adversary.stepper and judged is not None:
            self.adversary.stepper.minimise(tape, critic_loss, self.adversary.variables)
            figures["critic"] = judged
        return {**self._own_metrics(truth, made), **over_replicas(figures)}

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        lr, hr = _pair_of(data)
        sr, hr = self(_lr_of(lr), training=False), as_unit(hr)
        psnr = tf.reduce_mean(tf.minimum(tf.image.psnr(sr, hr, 1.0), 100.0))  # of equal images it is infinite
        figures = {"loss": self._apart(sr, hr), "psnr": psnr}
        return {**self._own_metrics(hr, sr), **over_replicas(figures)}

    def _apart(self, sr: tf.Tensor, hr: tf.Tensor) -> tf.Tensor:
        """The loss of the pixels."""
        return tf.reduce_mean(self.own_loss(hr, sr) if self.own_loss else tf.abs(sr - hr))

    def _apart_from_tile(self, lr: tf.Tensor, sr: tf.Tensor, step: tf.Variable) -> tf.Tensor:
        """How far a part of photos lr (B, h, w, 3), of three quarters of their sides, comes out from the same part of
        sr, which was made of all of it: mean |.|, without a sixth at each edge, where tiles overlap. Where the part
        lies depends on the number of the step alone.

        Both attentions see but what is there, and what they make of it must not depend on where tiles end.
        """
        sides = lr.shape[1:3]
        part, edge = [max(1, 3 * side // 4) for side in sides], [side // 8 for side in sides]
        room = tf.constant([side - of_part + 1 for side, of_part in zip(sides, part)], tf.float32)
        chance = tf.random.stateless_uniform([2], seed_of_step(_TILE_SEED, step), alg="philox")
        top, left = tf.unstack(tf.cast(room * chance, tf.int32))
        tile = self(tf.slice(lr, [0, top, left, 0], [tf.shape(lr)[0], *part, 3]), training=True)
        rows, columns = (slice(self.scale * cut, -self.scale * cut or None) for cut in edge)
        same = tf.slice(sr, [0, self.scale * top, self.scale * left, 0], tf.shape(tile))
        return tf.reduce_mean(tf.abs(tile - same)[:, rows, columns])

    def _own_metrics(self, hr: tf.Tensor, sr: tf.Tensor) -> dict[str, tf.Tensor]:
        """Those that `compile` was given."""
        return self.compute_metrics(None, hr, sr, None) if self.has_metrics else {}


def _is_one_quiet_batch(lr: np.ndarray, *args: Any, **kwargs: Any) -> bool:
    """Whether Keras' loop over batches, three times as long as the network takes for one small face, has no use."""
    quiet = not args and kwargs.get("verbose") == 0 and not kwargs.keys() - {"verbose", "batch_size"}
    return quiet and len(lr) <= (kwargs.get("batch_size") or 32) and lr.shape[1] * lr.shape[2] <= WHOLE


def _for_either_keras(config: dict) -> dict:
    """How a model was compiled, where Keras 2 has put it down, as Keras 3 takes its optimizer, too."""

    def lean(part: Any) -> Any:
        if not isinstance(part, dict):
            return part
        gone = [("jit_compile", False), ("jit_compile", True), ("is_legacy_optimizer", False), ("name", None)]
        kept = {name: lean(value) for name, value in part.items() if (name, value) not in gone}
        if kept.get("module") == "keras.optimizers.experimental":
            kept["module"] = "keras.optimizers"
        return kept

    return {**config, "optimizer": lean(config.get("optimizer"))}


def _pair_of(data: Any) -> tuple[Any, Any]:
    lr, hr, weights = keras.utils.unpack_x_y_sample_weight(data)
    if weights is not None:
        raise ValueError("sample_weight is given, but all photos count alike here: leave it out")
    return lr, hr


def _lr_of(x: Any) -> tf.Tensor:
    return checked(x["lr"] if isinstance(x, dict) else tf.nest.flatten(x)[0])


def enlarged_by_sub_pixels(scale: int, filters: int, body: Callable, keep_colours: bool = False) -> Callable:
    """The usual network: a convolution, `body`, which keeps the size, sub-pixel upscaling, a convolution to RGB."""

    def network(lr: tf.Tensor) -> tf.Tensor:
        x = keras.layers.Conv2D(filters, 3, padding="same", name="head")(lr)
        x = SubPixelUpsampling(scale, name="upsampling")(body(x))
        x = keras.layers.Conv2D(3, 3, padding="same", dtype="float32", name="reconstruction")(x)
        return KeepColours(scale, name="keep_colours")([lr, x]) if keep_colours else x

    return network


@keras.saving.register_keras_serializable("ssrvae_tf")
class SRNetwork(SuperResolver):
    """SSRVAE's stage 2: one convolution, GARBs, LARBs, sub-pixel upscaling, one convolution (section 3.2).

    `model.predict(lr)`: RGB (B, H, W, 3) in [0, 1] or uint8 -> (B, scale H, scale W, 3) in [0, 1], any H and W. As in
    `ssrvae_tf.upscale`, photos of more than 96x96 pixels go through in overlapping tiles of up to 48x48, since global
    attention's time grows with the square of what it sees: `model.enlarge(lr)` is the photo in one piece.

    Args:
        scale: 2, 4 or 8.
        filters: width. 64, EDSR-baseline's, so that comparisons are at equal weight.
        global_blocks: GARBs. 8, the paper's.
        local_blocks: LARBs. 8, the paper's.
        global_attention: False leaves plain residual blocks in the GARBs' places (table 4).
        local_attention: False leaves plain residual blocks in the LARBs' places (table 4).
        chunk: queries of global attention held at once; None: all.
        kernel_size, share, geometry: of local attention.
        keep_colours: end with `ssrvae_tf.layers.KeepColours`, which the paper does not: even areas stay as they are.

    Raises:
        ValueError: if scale is not a power of two or filters not a multiple of 8.

    Examples:
        >>> network = SRNetwork(scale=4, filters=16, global_blocks=1, local_blocks=1)
        >>> network.predict(np.zeros((1, 6, 5, 3), "float32"), verbose=0).shape
        (1, 24, 20, 3)
    """

    def __init__(
        self,
        scale: int = 4,
        filters: int = 64,
        global_blocks: int = 8,
        local_blocks: int = 8,
        global_attention: bool = True,
        local_attention: bool = True,
        chunk: int | None = None,
        kernel_size: int = 7,
        share: int = 8,
        geometry: bool = False,
        keep_colours: bool = False,
        name: str = "sr_network",
        **kwargs: Any,
    ):
        def body(x: tf.Tensor) -> tf.Tensor:
            for i in range(global_blocks):
                x = (GARB(chunk=chunk, name=f"garb_{i}") if global_attention else ResidualBlock(name=f"global_{i}"))(x)
            for i in range(local_blocks):
                larb = LARB(kernel_size, share, geometry, name=f"larb_{i}")
                x = (larb if local_attention else ResidualBlock(name=f"local_{i}"))(x)
            return x

        network = enlarged_by_sub_pixels(scale, filters, body, keep_colours)
        super().__init__(scale, filters, network, name=name, **kwargs)
        self._config = {
            "scale": scale,
            "filters": filters,
            "global_blocks": global_blocks,
            "local_blocks": local_blocks,
            "global_attention": global_attention,
            "local_attention": local_attention,
            "chunk": chunk,
            "kernel_size": kernel_size,
            "share": share,
            "geometry": geometry,
            "keep_colours": keep_colours,
        }

    def _predicted(self, lr: tf.Tensor) -> tf.Tensor:
        if self._config["global_attention"] and self._config["global_blocks"]:
            return in_tiles(super()._predicted, lr, self.scale)
        return super()._predicted(lr)
