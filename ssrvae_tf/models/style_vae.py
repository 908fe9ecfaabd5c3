"""styleVAE: how the real world degrades a face, learnt from unpaired photos."""

from __future__ import annotations

import dataclasses
import os
from types import ModuleType
from typing import TYPE_CHECKING, Any, Sequence, Union

import keras
import numpy as np
import tensorflow as tf

from ssrvae_tf.config import LossWeights
from ssrvae_tf.layers import StatisticsNetwork, bicubic_shrink, local_mean, mirrored, mutual_information_bound
from ssrvae_tf.layers.blocks import before_a_sum
from ssrvae_tf.models import style_weights
from ssrvae_tf.models.critics import Discriminator, PairCritic, augment, joint_and_marginal, joint_and_shuffled
from ssrvae_tf.models.degradation_losses import band_energy_distance, transfer_distance
from ssrvae_tf.models.inputs import floats_of
from ssrvae_tf.models.steps import Stepper, over_replicas
from ssrvae_tf.models.style_networks import ContentEncoder, Generator, StyleEncoder
from ssrvae_tf.models.style_sampler import StyleSampler

if TYPE_CHECKING:
    import tensorflow_probability as tfp

Seed = Union[int, Sequence[int], tf.Tensor, None]

_NOISE_CHANNELS = 8
# LR pixels around a photo, mirrored, that the convolutions of `degrade` see in place of zeros: at its edge these left
# what tells the style, and no camera does. By 3 gray levels of 255, with this 0.7.
_BORDER = 4


@keras.saving.register_keras_serializable("ssrvae_tf")
class StyleVAE(keras.Model):
    """SSRVAE's stage 1 (section 3.1): E_LR, E_HR, a generator with AdaIN, KL, reconstruction, mutual information.

    Two forms. `paper` is eqs. 3-6 and nothing else; with it the style is soon ignored. `transfer` learns: it adds the
    generator's output to the bicubically shrunk face, and every step holds pairs whose answer is known, two faces
    degraded in the same random way: in the style of the first, the generator must give the second.

    Args:
        scale: HR size / LR size.
        lr_size: side of the LR faces of the training; photos given as styles are brought to it.
        form: "transfer" or "paper".
        latent_dim: size of the style code z_LR.
        filters: width of encoders and generator.
        adain, mutual_information: False leaves them out (table 5).
        encoder_strides: of E_LR's residual blocks.
        weights: `LossWeights`, or a dictionary of its fields.
        dtype: the precision of all its networks; None: Keras' global one. Not part of the configuration.

    Examples:
        >>> style_vae = StyleVAE(latent_dim=8, filters=8)  # untrained; trained: ssrvae_tf.load("faces-style")
        >>> faces, small_faces = tf.zeros([2, 64, 64, 3]), tf.ones([2, 20, 20, 3])
        >>> print(style_vae.degrade(faces, small_faces, seed=1).shape)
        (2, 16, 16, 3)
    """

    def __init__(
        self,
        scale: int = 4,
        lr_size: int = 32,
        form: str = "transfer",
        latent_dim: int = 256,
        filters: int = 64,
        adain: bool = True,
        mutual_information: bool = True,
        encoder_strides: Sequence[int] = (1, 1, 2, 1, 1, 2, 1, 1),
        weights: LossWeights | dict | None = None,
        name: str = "style_vae",
        **kwargs: Any,
    ):
        super().__init__(name=name, autocast=False, **kwargs)
        if form not in ("transfer", "paper"):
            raise ValueError(f'form is {form!r}: it must be "transfer" or "paper"')
        self.scale, self.lr_size, self.form, self.latent_dim, self.filters = scale, lr_size, form, latent_dim, filters
        self.adain, self.mutual_information = adain, mutual_information
        self.encoder_strides = tuple(encoder_strides)
        self.loss_weights_ = weights if isinstance(weights, LossWeights) else LossWeights(**(weights or {}))
        own = {"dtype": self.dtype_policy}
        self.encoder_lr = StyleEncoder(latent_dim, filters, encoder_strides, name="encoder_lr", **own)
        self.encoder_hr = ContentEncoder(scale, filters, name="encoder_hr", **own)
        self.generator = Generator(adain, _NOISE_CHANNELS if form == "transfer" else 0, name="generator", **own)
        self.sampler = StyleSampler(latent_dim, name="sampler")
        self.supports_jit = False  # Keras 3 would compile all of it by XLA
        _distributions()  # not first in the middle of a graph

    # Use.

    def posterior(self, lr: tf.Tensor) -> tfp.distributions.Distribution:
        """q(z_LR | x_LR) of LR photos (B, h, w, 3) in [0, 1], brought to lr_size if they have another."""
        return self._normal(*self.encoder_lr(self._at_lr_size(lr)))

    def prior(self) -> tfp.distributions.Distribution:
        """N(0, I)."""
        return _distributions().MultivariateNormalDiag(tf.zeros([self.latent_dim]), tf.ones([self.latent_dim]))

    def codes(self, style: tf.Tensor) -> tf.Tensor:
        """The codes (B, latent_dim) of LR photos (B, h, w, 3): the posterior's means. Codes pass unchanged."""
        style = style if tf.is_tensor(style) else np.asarray(style)
        if len(style.shape) == 2:
            return tf.convert_to_tensor(style, tf.float32)
        return self.posterior(_floats(style, "style")).mean()

    def degrade(
        self,
        hr: tf.Tensor,
        style: tf.Tensor | None = None,
        seed: Seed = None,
        sampler: str = "fitted",
        noise: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Shrink faces as real small photos are, as if each were mirrored beyond its edges.

        Args:
            hr: (B, H, W, 3) uint8, or float in [0, 1]; H and W multiples of the scale.
            style: real LR photos (B, h, w, 3) of any size, uint8, or float in [0, 1], or codes (B, latent_dim); one
                style serves all faces. None draws codes.
            seed: an integer or two, for the codes drawn and the noise; None takes a random one.
            sampler: where codes are drawn from: "fitted", a mixture fitted to real faces' codes after training, or
                "normal", N(0, I).
            noise: (B, H / scale, W / scale, noise_channels) from N(0, 1) instead of that drawn by `seed`: for tiles of
                one photo, which must agree about its noise where they overlap.

        Returns:
            (B, H / scale, W / scale, 3) float32 in [0, 1].

        Raises:
            ValueError: if H or W is no multiple of the scale, there are neither 1 nor B styles, or, outside of graphs,
                photos have another range.
        """
        hr = _floats(hr, "hr")
        if hr.shape.rank not in (None, 4):
            raise ValueError(f"hr has the shape {tuple(hr.shape)}, (B, H, W, 3) is wanted")
        for side in hr.shape[1:3]:
            if side is not None and side % self.scale:
                raise ValueError(f"hr is {hr.shape[1]}x{hr.shape[2]}: both sides must be multiples of {self.scale}")
        if hr.shape[0] == 0:  # oneDNN's convolutions fail on it
            return tf.zeros([0, *tf.unstack(tf.shape(hr)[1:3] // self.scale), 3])
        numbers = _seed(seed)
        count = tf.shape(hr)[0]
        if style is not None:
            codes = self.codes(style)
            if hr.shape[0] and codes.shape[0] and codes.shape[0] not in (1, hr.shape[0]):
                raise ValueError(f"{codes.shape[0]} styles for {hr.shape[0]} faces: give one, or one for each")
            codes = tf.broadcast_to(codes, [count, self.latent_dim])
        else:
            codes = self.draw_codes(count, numbers, sampler)
        sides = [side and side // self.scale for side in hr.shape[1:3]]
        height, width = tf.unstack(tf.shape(hr)[1:3] // self.scale)
        border = tf.minimum(_BORDER, tf.minimum(height, width))
        hr = mirrored(hr, self.scale * border)
        content = self.encoder_hr(hr)
        noise = self._noise(content, numbers + 1) if noise is None else mirrored(noise, border)
        lr = self._generate(hr, content, codes, noise)[:, border : border + height, border : border + width]
        return tf.clip_by_value(tf.ensure_shape(lr, [hr.shape[0], *sides, 3]), 0.0, 1.0)

    def draw_codes(self, count: int | tf.Tensor, seed: Seed, sampler: str = "fitted") -> tf.Tensor:
        """(count, latent_dim) random codes: what `degrade` draws for that `seed` and `sampler`."""
        seed = _seed(seed)
        if sampler == "fitted":
            return self.sampler(seed, count=count)
        if sampler == "normal":
            return tf.random.stateless_normal([count, self.latent_dim], seed)
        raise ValueError(f'sampler is {sampler!r}: it must be "fitted" or "normal"')

    def call(self, inputs: Any, training: bool | None = None) -> tf.Tensor:
        """`(hr, lr)` or a dictionary of both -> hr degraded in the style of lr."""
        hr, lr = (inputs["hr"], inputs["lr"]) if isinstance(inputs, dict) else inputs
        return self.degrade(hr, lr, seed=0)

    def fit_sampler(self, lr: tf.Tensor) -> None:
        """Fit the sampler to the posteriors of real LR photos (N, h, w, 3), N at least 1."""
        batches = [self.posterior(lr[i : i + 64]) for i in range(0, len(lr), 64)]
        means, deviations = (tf.concat(parts, 0) for parts in zip(*((q.mean(), q.stddev()) for q in batches)))
        self.sampler.fit(means, deviations)

    @property
    def noise_channels(self) -> int:
        """Of the noise that the generator takes."""
        return _NOISE_CHANNELS

    def _noise(self, content: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return tf.random.stateless_normal(tf.concat([tf.shape(content)[:3], [_NOISE_CHANNELS]], 0), seed)

    def _generate(self, hr: tf.Tensor, content: tf.Tensor, codes: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        """y_LR, not clipped."""
        made = self.generator([content, codes, noise])
        return bicubic_shrink(hr, self.scale) + before_a_sum(made) if self.form == "transfer" else made

    def _at_lr_size(self, lr: tf.Tensor) -> tf.Tensor:
        lr = tf.convert_to_tensor(lr, tf.float32)
        if lr.shape[1] == lr.shape[2] == self.lr_size:
            return lr
        return tf.clip_by_value(tf.image.resize(lr, [self.lr_size] * 2, "bicubic", antialias=True), 0.0, 1.0)

    @staticmethod
    def _normal(mean: tf.Tensor, log_deviation: tf.Tensor) -> tfp.distributions.Distribution:
        return _distributions().MultivariateNormalDiag(mean, tf.exp(log_deviation))

    # Training.

    def compile(
        self,
        optimizer: str | keras.optimizers.Optimizer,
        critic_optimizer: keras.optimizers.Optimizer | None = None,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        """As Keras' own, and make the critics and all variables of training, which a strategy needs before it runs.

        Args:
            optimizer: of the encoders and the generator.
            critic_optimizer: of T and the discriminators; None takes a copy of `optimizer`.
            seed: of the noise of training.
        """
        optimizer = keras.optimizers.get(optimizer)
        super().compile(optimizer, **kwargs)
        self.distribute_reduction_method = "first"  # of figures that are the same on all replicas
        critic_optimizer = critic_optimizer or optimizer.__class__.from_config(optimizer.get_config())
        self.stepper = Stepper(self.optimizer)
        if self.stepper.scale is not None:  # float16: scale these losses as well
            critic_optimizer = keras.mixed_precision.LossScaleOptimizer(critic_optimizer)
        self.critic_stepper = Stepper(critic_optimizer)
        self.optimizer: keras.optimizers.Optimizer = self.stepper.optimizer
        self.critic_optimizer = self.critic_stepper.optimizer
        self.training_seed = seed
        own = {"dtype": self.dtype_policy}
        if self.form == "paper":
            self.critics = [StatisticsNetwork(name="statistics", **own)] if self.mutual_information else []
        else:
            self.critics = [Discriminator(name=name, **own) for name in ("real_critic", "transfer_critic")]
            self.critics += [PairCritic(name="statistics", **own)] if self.mutual_information else []
        # MINE's moving averages: one of faces in real styles, one of the synthetic pairs, whose scores differ.
        self.log_average, self.log_average_synthetic = (
            tf.Variable(0.0, trainable=False, name=name, aggregation=tf.VariableAggregation.MEAN)
            for name in ("log_average", "log_average_synthetic")
        )
        self.build_optimizers()

    def build_networks(self) -> None:
        """Create all variables that a use of the model needs."""
        if not self.sampler.built:
            self.sampler.build()
        side = self.lr_size * self.scale
        self.call((tf.zeros([1, side, side, 3]), tf.zeros([1, self.lr_size, self.lr_size, 3])))
        self.built = True

    def build_optimizers(self) -> None:
        """Create all variables that training needs; `compile` does it."""
        self.build_networks()
        faces = tf.zeros([2, self.lr_size, self.lr_size, 3])
        for critic in self.critics:
            critic(faces if isinstance(critic, Discriminator) else [faces, faces])
        self.optimizer.build(self.optimized_variables)
        self.critic_optimizer.build(self._critic_variables)

    def build(self, input_shape: Sequence | None = None) -> None:
        self.build_networks()

    def for_inference(self) -> StyleVAE:
        """A copy without what only training needs."""
        copy = type(self).from_config(self.get_config())
        for name in ("encoder_lr", "encoder_hr", "generator", "sampler"):
            getattr(copy, name).set_weights(getattr(self, name).get_weights())
        return copy

    def save_weights(self, filepath: str | os.PathLike, overwrite: bool = True, **kwargs: Any) -> None:
        """What a use of the model needs, without what only training does; either Keras reads it."""
        style_weights.write(self, filepath)

    def load_weights(self, filepath: str | os.PathLike, **kwargs: Any) -> None:
        """Of a model of the same settings.

        Raises:
            ValueError: if the file holds those of another one.
        """
        self.build_networks()
        style_weights.read(self, filepath)

    @property
    def optimized_variables(self) -> list[tf.Variable]:
        """Those of the encoders and the generator."""
        networks = (self.encoder_lr, self.encoder_hr, self.generator)
        return [variable for network in networks for variable in network.trainable_variables]

    @property
    def _critic_variables(self) -> list[tf.Variable]:
        return [variable for critic in self.critics for variable in critic.trainable_variables]

    def train_step(self, data: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return over_replicas(self._paper_step(data) if self.form == "paper" else self._transfer_step(data))

    def _seeds(self, count: int) -> list[tf.Tensor]:
        """Seeds for this step and replica."""
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        step = tf.cast(self.stepper.step, tf.int32) * 1024 + tf.cast(replica, tf.int32) * 16
        return [tf.stack([tf.constant(self.training_seed), step + i]) for i in range(count)]

    def _kl(self, posterior: tfp.distributions.Distribution) -> tf.Tensor:
        return tf.reduce_mean(_distributions().kl_divergence(posterior, self.prior()))  # eq. 3, nats

    def _paper_step(self, data: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        hr, lr = data["hr"], data["lr"]
        weight = self.loss_weights_
        sample, noise = self._seeds(2)
        with tf.GradientTape(persistent=True) as tape:
            posterior = self.posterior(lr)
            codes = posterior.sample(seed=sample)
            content = self.encoder_hr(hr)
            y_lr = self._generate(hr, content, codes, self._noise(content, noise))
            kl = self._kl(posterior)
            reconstruction = tf.reduce_mean(tf.square(y_lr - bicubic_shrink(hr, self.scale)))  # eq. 4
            loss = self.stepper.scaled(weight.kl * kl + weight.reconstruction * reconstruction)
            information = tf.constant(0.0)
            if self.critics:
                pairs = joint_and_shuffled(self.critics[0], lr, y_lr)
                information, average = mutual_information_bound(*pairs, self.log_average)  # eq. 5
                gain = self.stepper.scaled(-weight.mutual_information * information)
                critic_loss = self.critic_stepper.scaled(-information)
        # With the same weights and noise, so that nothing but the style differs.
        other = self._generate(hr, content, tf.roll(codes, 1, 0), self._noise(content, noise))
        effect = tf.reduce_mean(tf.abs(y_lr - other))
        variables = self.optimized_variables
        gradients = self.stepper.gradients(tape, loss, variables)
        if self.critics:
            # MINE, appendix 8.1.1: the bound has no upper end, so its gradient may not exceed that of the rest.
            more = self.stepper.gradients(tape, gain, variables)
            ratio = tf.linalg.global_norm(gradients) / (tf.linalg.global_norm(more) + 1e-12)
            gradients = [a + tf.minimum(ratio, 1.0) * b for a, b in zip(gradients, more)]
            self.critic_stepper.minimise(tape, critic_loss, self._critic_variables)
            self.log_average.assign(average)
        norm = self.stepper.apply(gradients, variables)
        figures = {"kl": kl, "mi": information, "reconstruction": reconstruction, "style_effect": effect}
        return {**figures, "gradient_norm": norm}

    def _transfer_step(self, data: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        hr, lr, style, target = data["hr"], data["lr"], data["style"], data["target"]
        weight = self.loss_weights_
        sample, prior, free_noise, style_noise, aug_real, aug_made, aug_target = self._seeds(7)
        shrunk = bicubic_shrink(hr, self.scale)
        with tf.GradientTape() as tape:
            posterior = self.posterior(tf.concat([lr, style], 0))
            real_codes, style_codes = tf.split(posterior.sample(seed=sample), 2)
            prior_codes = tf.random.stateless_normal(tf.shape(real_codes), prior)
            content = self.encoder_hr(hr)
            codes = tf.concat([real_codes, prior_codes, style_codes], 0)
            # The same noise in a real face's style and in a random one: style_effect compares these two.
            free_noise, style_noise = self._noise(content, free_noise), self._noise(content, style_noise)
            noise = tf.concat([free_noise, free_noise, style_noise], 0)
            made = self._generate(tf.tile(hr, [3, 1, 1, 1]), tf.tile(content, [3, 1, 1, 1]), codes, noise)
            y_lr, y_prior, y_style = tf.split(made, 3)
            kl = self._kl(posterior)
            drift = local_mean(made[: 2 * tf.shape(hr)[0]] - tf.tile(shrunk, [2, 1, 1, 1]), 5)
            reconstruction = tf.reduce_mean(tf.square(drift))  # eq. 4, where sharpness is free
            transfer = transfer_distance(y_style, target)
            energy = band_energy_distance(y_style, target)
            free = tf.concat([y_lr, y_prior], 0)
            real_critic, transfer_critic = self.critics[:2]
            fooled = -tf.reduce_mean(real_critic(augment(free, aug_made))) - tf.reduce_mean(
                transfer_critic(augment(y_style, aug_target))
            )
            total = (
                weight.kl * kl
                + weight.reconstruction * reconstruction
                + weight.transfer * transfer
                + weight.energy * energy
                + weight.adversarial * fooled
            )
            if self.mutual_information:
                pairs = joint_and_marginal(self.critics[2]([lr, y_lr]))
                information, _ = mutual_information_bound(*pairs, self.log_average)
                total -= weight.mutual_information * information
            loss = self.stepper.scaled(total)
        with tf.GradientTape() as critic_tape:
            judged = _hinge(real_critic(augment(lr, aug_real)), real_critic(augment(tf.stop_gradient(free), aug_made)))
            known = _hinge(
                transfer_critic(augment(target, aug_target)),
                transfer_critic(augment(tf.stop_gradient(y_style), aug_target)),
            )
            critic_total = judged + known
            if self.mutual_information:
                # The pairs whose degradation is known to be shared teach T what to look for.
                pairs = joint_and_marginal(self.critics[2]([style, target]))
                taught, average_synthetic = mutual_information_bound(*pairs, self.log_average_synthetic)
                pairs = joint_and_marginal(self.critics[2]([lr, tf.stop_gradient(y_lr)]))
                own, average = mutual_information_bound(*pairs, self.log_average)
                critic_total -= taught + own
            critic_loss = self.critic_stepper.scaled(critic_total)
        norm = self.stepper.minimise(tape, loss, self.optimized_variables)
        self.critic_stepper.minimise(critic_tape, critic_loss, self._critic_variables)
        figures = {"kl": kl, "reconstruction": reconstruction, "transfer": transfer, "energy": energy}
        if self.mutual_information:
            self.log_average.assign(average)
            self.log_average_synthetic.assign(average_synthetic)
            figures.update(mi=information, mi_synthetic=taught)
        effect = tf.reduce_mean(tf.abs(y_lr - y_prior))
        figures.update(critic=judged, transfer_critic=known, style_effect=effect)
        return {**figures, "gradient_norm": norm}

    def get_config(self) -> dict:
        names = ("scale", "lr_size", "form", "latent_dim", "filters", "adain", "mutual_information", "name")
        own = {name: getattr(self, name) for name in names}
        weights = dataclasses.asdict(self.loss_weights_)
        return {**own, "encoder_strides": list(self.encoder_strides), "weights": weights}

    @classmethod
    def from_config(cls, config: dict) -> StyleVAE:
        model = cls(**config)
        model.build_networks()  # the weights of a .keras file are read into what is there
        return model


def _distributions() -> ModuleType:
    """tensorflow_probability's. It takes a second to import, and whoever enlarges photos needs none."""
    import tensorflow_probability as tfp

    return tfp.distributions


def _hinge(real: tf.Tensor, made: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(tf.nn.relu(1.0 - real)) + tf.reduce_mean(tf.nn.relu(1.0 + made))


def _floats(photos: Any, name: str) -> tf.Tensor:
    """float32 of photos, uint8 or float in [0, 1]. In a graph they are floats, whose range is not looked at.

    Raises:
        ValueError: if they are anything else; it calls them by `name`.
    """
    in_graph = tf.is_tensor(photos) and not hasattr(photos, "numpy")
    return tf.convert_to_tensor(photos if in_graph else floats_of(np.asarray(photos), name), tf.float32)


def _seed(seed: Seed) -> tf.Tensor:
    if seed is None:
        return tf.random.uniform([2], 0, 2**30, tf.int32)
    numbers = tf.cast(tf.convert_to_tensor(seed), tf.int32)
    return tf.stack([numbers, 0]) if numbers.shape.rank == 0 else numbers
