"""What judges super-resolved photos in an adversarial training of the SR network. Not in a shipped model."""

from __future__ import annotations

import dataclasses
from typing import Any, Callable, Iterable, Optional, Sequence

import keras
import tensorflow as tf

from ssrvae_tf.layers import bicubic_shrink, high_pass, local_mean, shift_mirrored
from ssrvae_tf.models.critics import build_in_a_row
from ssrvae_tf.models.gan_losses import looks_real
from ssrvae_tf.models.steps import Stepper, seed_of_step

# Mean high-pass of a small photo, of 1, at which invented detail begins to be asked for, and where it is in full.
_SOFT, _SHARP = 0.004, 0.014
_SHIFT = 7
# The cheapest texture is one pattern in each small photo's pixel, or in each two. Dear enough that other is cheaper.
_LATTICE_WEIGHT = 4.0
_WINDOW = 5
_EXCESS_WEIGHT = 2.0
_NEIGHBOURHOOD = 9
_BLUR = 9  # LR pixels over which small photos have their true colours, however blurred they are


class PairDiscriminator(keras.layers.Layer):
    """Is this the sharp photo that belongs to the small one? `[photo, enlarged]` -> its features, at last the scores.

    photo (B, H, W, 3), enlarged (the small one, (B, H, W, 3) too, or gray all over if the question is but whether this
    is a sharp photo) -> a list of features (B, h, w, filters), and of float32 scores (B, h, w, 1). It looks at them at
    half size, where the grain of the finest pixels is no more, which a network without randomness could only answer by
    stipple, and sees what a 3x3 mean takes from the photo as well, 4 times as strong. It halves by means and not by
    strides, which would let patterns settle that only some pixels see.
    """

    def __init__(self, filters: Sequence[int] = (32, 48, 72, 72), **kwargs: Any):
        super().__init__(autocast=False, **kwargs)  # an image rounded to 8 bits has no faint noise left
        self.filters = tuple(filters)

    def build(self, input_shape: Sequence | None) -> None:
        own = {"padding": "same", "dtype": self.dtype_policy}
        self.convolutions = [
            keras.layers.Conv2D(count, 3, name=f"conv_{i}", **own) for i, count in enumerate(self.filters)
        ]
        self.score = keras.layers.Conv2D(1, 1, dtype="float32", name="score")
        build_in_a_row([*self.convolutions, self.score], 9)
        self.built = True

    def call(self, inputs: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        photo, enlarged = (tf.nn.avg_pool2d(each, 2, 2, "SAME") for each in inputs)
        x = tf.concat([photo, 4.0 * high_pass(photo), enlarged], -1)
        features = []
        for i, layer in enumerate(self.convolutions):
            if 0 < i < len(self.convolutions) - 1:
                x = tf.nn.avg_pool2d(x, 2, 2, "SAME")
            x = tf.nn.leaky_relu(layer(x), 0.2)
            features.append(x)
        return [*features, self.score(x)]


@dataclasses.dataclass
class Adversary:
    """The parts of a super-resolver's loss beside L1, and the discriminator's own training.

    A plain object, which Keras does not look into: its variables are no weights of the model that it judges.

    Args:
        optimizer: of the discriminator; None for none, which leaves the perceptual term.
        weight: of the adversarial term and of the discriminator's features.
        levels: photos (B, H, W, 3) in [0, 1] -> features of a frozen network, a list; None for none.
        levels_weight: of the features' relative L1.
        seed: of the shifts of what the discriminator sees.
        discriminator: None for a `PairDiscriminator`, whose relativistic judgement blurred photos are spared. Another
            layer, as SRGAN's, judges photos by their own, and all alike: [photo, enlarged] -> [..., scores].
    """

    optimizer: Optional[keras.optimizers.Optimizer]
    weight: float = 0.0
    levels: Optional[Callable] = None
    levels_weight: float = 0.0
    seed: int = 0
    discriminator: Optional[keras.layers.Layer] = None

    def __post_init__(self) -> None:
        self.stepper, self._own = None, self.discriminator is None
        if self.optimizer is None:
            self.discriminator = None
            return
        self.discriminator = self.discriminator or PairDiscriminator(name="pair_discriminator")
        self.stepper = Stepper(self.optimizer)
        self.discriminator.build(None)
        self.stepper.optimizer.build(self.discriminator.trainable_variables)

    @property
    def variables(self) -> list[tf.Variable]:
        """What is trained of the discriminator."""
        return self.discriminator.trainable_variables if self.discriminator else []

    @property
    def state(self) -> dict:
        """For a checkpoint."""
        if self.stepper is None:
            return {}
        return {"discriminator": self.discriminator, "optimizer": self.stepper.optimizer, **self.stepper.state}

    def terms(
        self, sr: tf.Tensor, hr: tf.Tensor, lr: tf.Tensor, step: tf.Variable, pairs: tf.Tensor | None = None
    ) -> tuple[dict, tf.Tensor | None]:
        """({name: (weight, term)} of the super-resolver's loss, the discriminator's own loss), inside the tape.

        Args:
            sr, hr, lr: results, truths and small photos, (B, H, W, 3) and (B, H / scale, W / scale, 3).
            step: the number of the step, for the random shifts.
            pairs: so many of the samples are pairs. The others are results for real small photos and sharp photos of
                somebody else: these results are compared with their own small photos, and judged without them.
        """
        terms, critic = {}, None
        if pairs is not None:
            terms["drift"] = 1.0, drift(sr[pairs:], lr[pairs:])
        if self.levels:
            of_sr, of_hr = self.levels(sr[:pairs]), self.levels(hr[:pairs])
            terms["perceptual"] = self.levels_weight, relative_l1(of_sr, of_hr)
        if self.discriminator and not self._own:
            scores = tf.split(self.discriminator([tf.concat([hr, sr], 0), None])[-1], 2)
            everywhere = tf.ones_like(scores[0])
            critic = looks_real(scores[0], everywhere) + looks_real(-scores[1], everywhere)
            terms["adversarial"] = self.weight, looks_real(scores[1], everywhere)
        elif self.discriminator:
            terms["lattice"] = _LATTICE_WEIGHT, lattice(sr, hr, lr, pairs)
            terms["excess"] = _EXCESS_WEIGHT, excess(sr[:pairs], hr[:pairs])
            gate = invites_detail(lr)
            shown = self._shown(sr, hr, lr, step, pairs)
            of_hr, of_sr = zip(*(tf.split(each, 2) for each in self.discriminator(shown)))
            apart = of_hr[-1] - of_sr[-1]
            critic = looks_real(apart, tf.ones_like(gate))
            terms["adversarial"] = self.weight, looks_real(-apart, gate)
            of_sr, of_hr = ([level[:pairs] for level in levels[:-1]] for levels in (of_sr, of_hr))
            terms["matching"] = self.weight, relative_l1(of_sr, map(tf.stop_gradient, of_hr), gate[:pairs])
        return terms, critic

    def _shown(
        self, sr: tf.Tensor, hr: tf.Tensor, lr: tf.Tensor, step: tf.Variable, pairs: tf.Tensor | None
    ) -> list[tf.Tensor]:
        """All true photos, then all made ones, with their small ones, if paired, enlarged; moved by up to 7 pixels.

        Where the discriminator's halvings fall, and where the small photo's pixels do, then tells it nothing.
        """
        seed = seed_of_step(self.seed, step)
        offsets = tf.random.stateless_uniform([tf.shape(lr)[0], 2], seed, -_SHIFT, _SHIFT + 1, tf.int32)
        enlarged = tf.image.resize(lr, tf.shape(hr)[1:3])
        if pairs is not None:
            enlarged = tf.concat([enlarged[:pairs], tf.fill(tf.shape(enlarged[pairs:]), 0.5)], 0)
        moved = tf.concat([hr, sr, enlarged], -1)
        moved = shift_mirrored(moved, tf.cast(offsets, tf.float32), (_SHIFT, _SHIFT))
        hr, sr, enlarged = tf.split(moved, 3, -1)
        return [tf.concat([hr, sr], 0), tf.concat([enlarged, enlarged], 0)]


def invites_detail(lr: tf.Tensor) -> tf.Tensor:
    """How far detail is to be invented for small photos: (B, h, w, 3) -> (B, 1, 1, 1), from 0, strongly blurred, to 1.

    What a blurred face looked like cannot be told: a discriminator that insists gets cracks and stipple.
    """
    strength = tf.reduce_mean(tf.abs(high_pass(lr)), [1, 2, 3], keepdims=True)
    return tf.stop_gradient(tf.clip_by_value((strength - _SOFT) / (_SHARP - _SOFT), 0.0, 1.0))


def drift(sr: tf.Tensor, lr: tf.Tensor) -> tf.Tensor:
    """How far results, shrunk again, are from their small photos (B, h, w, 3), blur and noise aside: mean |.|."""
    scale = sr.shape[1] // lr.shape[1]
    return tf.reduce_mean(tf.abs(local_mean(bicubic_shrink(sr, scale) - lr, _BLUR)))


def lattice(sr: tf.Tensor, hr: tf.Tensor, lr: tf.Tensor, pairs: tf.Tensor | None = None) -> tf.Tensor:
    """How strong a pattern is that comes again in each pixel of the small photo, or in each second one.

    The mean |.| of what the fine detail of each of its scale^2 sub-pixels differs by from the truth's, on the average
    of 5x5 neighbours, and the same of twice the scale: texture that does not repeat averages out. Photos from number
    `pairs` on have no truth, and should have no such pattern.
    """
    scale = sr.shape[1] // lr.shape[1]
    error = sr - hr if pairs is None else tf.concat([sr[:pairs] - hr[:pairs], sr[pairs:]], 0)
    error, found = high_pass(error), []
    for period, window in ((scale, _WINDOW), (2 * scale, (_WINDOW + 1) // 2)):
        whole = error[:, : sr.shape[1] // period * period, : sr.shape[2] // period * period]
        found.append(tf.reduce_mean(tf.abs(local_mean(tf.nn.space_to_depth(whole, period), window))))
    return tf.add_n(found) / 2.0


def excess(sr: tf.Tensor, hr: tf.Tensor) -> tf.Tensor:
    """How much more fine texture results have than the truth, where that is smooth: stipple on skin, not hair.

    The mean of relu(E(sr) - E(hr)), where E is the mean |high-pass| of a 9x9 neighbourhood.
    """
    strength = [local_mean(tf.abs(high_pass(each)), _NEIGHBOURHOOD) for each in (sr, hr)]
    return tf.reduce_mean(tf.nn.relu(strength[0] - strength[1]))


def relative_l1(made: Iterable[tf.Tensor], true: Iterable[tf.Tensor], weights: tf.Tensor | float = 1.0) -> tf.Tensor:
    """Mean over levels of mean |made - true| / mean |true|, each sample's difference weighted; pairs of tensors."""
    terms = [tf.reduce_mean(weights * tf.abs(a - b)) / (tf.reduce_mean(tf.abs(b)) + 1e-6) for a, b in zip(made, true)]
    return tf.add_n(terms) / len(terms)
