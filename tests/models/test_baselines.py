from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from ssrvae_tf.layers import bicubic_enlarge, luma, with_luma
from ssrvae_tf.models import EDSR, RDN, SRCNN, SRGAN
from ssrvae_tf.models.adversarial import Adversary
from ssrvae_tf.models.baselines import SRGANDiscriminator
from tests.layers import reference


def random(*shape, seed=0):
    return np.random.default_rng(seed).random(shape, "float32")


@pytest.mark.parametrize(
    "model, count",
    [
        (SRCNN(), 57_281),
        (SRCNN(kernels=(9, 1, 5)), 8_129),
        (EDSR(), 1_517_571),
        (EDSR(filters=256, blocks=32), 43_089_923),
        (RDN(), 22_271_107),
        (SRGAN(), 1_554_883),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_the_sizes_are_those_of_the_papers(model, count):
    assert model.count_params() == count


@pytest.mark.parametrize("kind", [SRCNN, EDSR, RDN, SRGAN])
@pytest.mark.parametrize("scale", [2, 4])
def test_each_enlarges_any_size_and_comes_back_from_its_configuration(kind, scale):
    model = kind(scale, 8) if kind is SRCNN else kind(scale, 8, 2)
    for shape in ((2, 5, 3, 3), (1, 1, 1, 3)):
        assert model(random(*shape)).shape == (shape[0], scale * shape[1], scale * shape[2], 3)
    copy = kind.from_config(model.get_config())
    copy.set_weights(model.get_weights())
    np.testing.assert_array_equal(copy(random(1, 4, 4, 3)), model(random(1, 4, 4, 3)))


@pytest.mark.parametrize("kind", [EDSR, RDN, SRGAN])
def test_what_enlarges_by_twos_refuses_other_scales(kind):
    with pytest.raises(ValueError, match="scale is 3: it must be a power of two"):
        kind(3, 8, 1)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_bicubic_enlargement_is_pillow_s(scale):
    photo = random(1, 7, 5, 3)
    planes = [Image.fromarray(photo[0, ..., i]).resize((5 * scale, 7 * scale), Image.BICUBIC) for i in range(3)]
    np.testing.assert_allclose(bicubic_enlarge(tf.constant(photo), scale)[0], np.stack(planes, -1), atol=1e-6)


def test_luma_is_matlab_s_and_can_be_replaced_alone():
    # Values of Matlab's rgb2ycbcr for red, green, blue, white and black, in 8 bits.
    colours = np.array([[[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1], [0, 0, 0]]], "float32")[None]
    wanted = [81.481, 144.553, 40.966, 235, 16]
    np.testing.assert_allclose(255 * luma(tf.constant(colours))[0, 0, :, 0], wanted, atol=1e-2)
    photo, other = tf.constant(random(1, 2, 2, 3)), tf.constant(random(1, 2, 2, 1, seed=1))
    changed = with_luma(photo, other)
    np.testing.assert_allclose(luma(changed), other, atol=1e-6)
    for a, b in ((0, 1), (1, 2)):  # one amount for all channels: Cb and Cr are differences
        np.testing.assert_allclose(changed[..., a] - changed[..., b], photo[..., a] - photo[..., b], atol=1e-6)


def test_srcnn_is_its_equation():
    model, lr = SRCNN(2, 4, (3, 1, 3)), random(1, 3, 4, 3)
    enlarged = bicubic_enlarge(tf.constant(lr), 2).numpy()
    x = luma(tf.constant(enlarged)).numpy()
    for name in ("patches", "mapping", "reconstruction"):
        x = reference.conv(x, *model.get_layer(name).get_weights())
        x = x if name == "reconstruction" else np.maximum(x, 0)
    wanted = enlarged + (x - luma(tf.constant(enlarged))) * 255 / 219
    np.testing.assert_allclose(model(lr, training=True), wanted, atol=1e-5)


def test_a_block_of_rdn_fuses_all_that_its_convolutions_have_seen():
    model, lr = RDN(2, 4, 1, 2), random(1, 4, 3, 3)

    def of(name, x):
        return reference.conv(x, *model.get_layer(name).get_weights())

    shallow = of("head", lr)
    x = of("second", shallow)
    first = np.maximum(of("block_0_0", x), 0)
    second = np.maximum(of("block_0_1", np.concatenate([x, first], -1)), 0)
    x = x + of("block_0_fusion", np.concatenate([x, first, second], -1))
    x = shallow + of("tail", of("fusion", x))
    up = model.get_layer("upsampling").convolutions[0]
    x = reference.depth_to_space(reference.conv(x, *up.get_weights()), 2)
    np.testing.assert_allclose(model(lr, training=True), of("reconstruction", x), rtol=1e-4, atol=1e-5)


def test_edsr_s_wide_form_scales_its_residuals():
    wide, narrow = EDSR(2, 256, 1), EDSR(2, 8, 1)
    assert (wide.get_layer("block_0").scale, narrow.get_layer("block_0").scale) == (0.1, 1.0)
    block, x = wide.get_layer("block_0"), tf.constant(random(1, 2, 2, 256))
    np.testing.assert_allclose(block(x), x + 0.1 * block.change(x), rtol=1e-5)


def test_srgan_trains_against_its_own_discriminator():
    keras.utils.set_random_seed(0)
    model = SRGAN(4, 8, 1)
    judge = Adversary(keras.optimizers.SGD(0.1), 1e-3, discriminator=SRGANDiscriminator(32, 8))
    model.compile(keras.optimizers.SGD(0.1), adversary=judge)
    before = [variable.numpy() for variable in judge.discriminator.trainable_variables]
    figures = model.train_step((tf.constant(random(2, 8, 8, 3)), tf.constant(random(2, 32, 32, 3, seed=1))))
    assert set(figures) == {"loss", "colour", "adversarial", "critic", "gradient_norm"}
    assert all(np.isfinite(float(value)) for value in figures.values())
    moved = [np.any(v.numpy() != b) for v, b in zip(judge.discriminator.trainable_variables, before)]
    assert np.mean(moved) > 0.6  # biases before a normalisation have no effect
