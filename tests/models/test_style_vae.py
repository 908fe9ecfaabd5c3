from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from ssrvae_tf import load
from ssrvae_tf.data import bicubic
from ssrvae_tf.layers import mirrored
from ssrvae_tf.models import LossWeights, StyleVAE
from ssrvae_tf.photos.files import read_photo
from ssrvae_tf.photos.samples import sample_photos

SMALL = {"lr_size": 8, "latent_dim": 6, "filters": 8, "encoder_strides": (2, 1)}


def faces(count, height=32, width=32, seed=0):
    return np.random.default_rng(seed).random((count, height, width, 3), "float32")


def batch(count=3):
    names = {"hr": 32, "lr": 8, "style": 8, "target": 8}
    return {name: tf.constant(faces(count, size, size, seed)) for seed, (name, size) in enumerate(names.items())}


def random_weights(model, seed=0):
    """Fresh AdaINs and gains hide the style; these do not."""
    model.build_networks()
    rng = np.random.default_rng(seed)
    networks = (model.encoder_lr, model.encoder_hr, model.generator)
    for network in networks:
        network.set_weights([value + rng.normal(0, 0.05, value.shape) for value in network.get_weights()])
    return model


def in_training(**options):
    keras.utils.set_random_seed(0)
    model = StyleVAE(**SMALL, **options)
    model.compile(keras.optimizers.Adam(1e-3), keras.optimizers.Adam(1e-3), seed=3)
    return model


@pytest.fixture(scope="module")
def model():
    return random_weights(StyleVAE(**SMALL))


@pytest.mark.parametrize("sides", [(32, 32), (36, 20), (8, 64)])
def test_faces_of_any_size_are_shrunk_by_the_scale_and_stay_in_range(model, sides):
    made = model.degrade(faces(2, *sides), faces(2, 11, 9), seed=1)
    assert made.shape == (2, sides[0] // 4, sides[1] // 4, 3) and made.dtype == tf.float32
    assert tf.reduce_min(made) >= 0 and tf.reduce_max(made) <= 1


def test_edges_of_a_photo_tell_little_of_its_style():
    model = load("faces-style")
    face = read_photo(sample_photos()[0])[:128, 160:288][None] / np.float32(255)
    codes, noise = model.draw_codes(4, seed=0), tf.zeros([4, 32, 32, model.noise_channels])
    hr = tf.repeat(face, 4, 0)

    def with_zeros(border):
        hr_, noise_ = mirrored(hr, 4 * border), mirrored(noise, border)
        made = model._generate(hr_, model.encoder_hr(hr_), codes, noise_)
        return np.clip(made[:, border : border + 32, border : border + 32], 0, 1)

    far_from_zeros, edge = with_zeros(12), np.pad(np.zeros([30, 30], bool), 1, constant_values=True)
    ours, zeros = (
        np.abs(lr - far_from_zeros)[:, edge].mean() for lr in (model.degrade(hr, codes, noise=noise), with_zeros(0))
    )
    assert ours < 0.4 * zeros


def test_photos_may_be_uint8_and_what_would_come_out_white_is_refused(model):
    hr, style = (np.rint(255 * faces(2, size, size)).astype(np.uint8) for size in (32, 8))
    wanted = model.degrade(hr / np.float32(255), style / np.float32(255), seed=1)
    for given in (hr, tf.constant(hr), hr / 255.0):
        np.testing.assert_array_equal(model.degrade(given, style, seed=1), wanted)
    with pytest.raises(ValueError, match=r"hr has values from 0 to 255, \[0, 1\] is wanted: divide by 255"):
        model.degrade(hr.astype(np.float32))
    with pytest.raises(ValueError, match="style has values from 1 to 254"):
        model.degrade(hr, style.astype(np.float32))
    with pytest.raises(ValueError, match=r"hr has the shape \(32, 32, 3\), \(B, H, W, 3\) is wanted"):
        model.degrade(hr[0])


@pytest.mark.onednn
def test_no_faces_become_no_faces(model):
    for style in (None, faces(1, 8, 8)):
        assert model.degrade(faces(0), style).shape == (0, 8, 8, 3)


def test_the_seed_decides_everything(model):
    for style in (None, faces(2, 8, 8)):
        first, again, other = (model.degrade(faces(2), style, seed=seed) for seed in (1, [1, 0], 2))
        np.testing.assert_array_equal(first, again)
        assert np.abs(first - other).max() > 0
    assert np.abs(model.degrade(faces(2)) - model.degrade(faces(2))).max() > 0, "no seed is a random one"


def test_a_style_is_a_photo_or_its_code_and_one_serves_all(model):
    style = faces(2, 8, 8, seed=5)
    codes = model.codes(style)
    assert codes.shape == (2, 6)
    np.testing.assert_array_equal(model.codes(codes), codes)
    np.testing.assert_array_equal(model.degrade(faces(2), style, seed=1), model.degrade(faces(2), codes, seed=1))
    one = model.degrade(faces(3), style[:1], seed=1)
    np.testing.assert_allclose(one, model.degrade(faces(3), np.repeat(style[:1], 3, 0), seed=1), atol=1e-6)
    assert np.abs(one - model.degrade(faces(3), style[1:], seed=1)).max() > 0, "the style is ignored"


def test_what_does_not_fit_is_refused(model):
    with pytest.raises(ValueError, match="hr is 30x32: both sides must be multiples of 4"):
        model.degrade(faces(1, 30, 32))
    with pytest.raises(ValueError, match="2 styles for 3 faces"):
        model.degrade(faces(3), faces(2, 8, 8))
    with pytest.raises(ValueError, match="sampler is 'other'"):
        model.degrade(faces(1), sampler="other")
    with pytest.raises(ValueError, match="form is 'other'"):
        StyleVAE(form="other")


def test_it_degrades_within_a_graph_of_unknown_sizes(model):
    image = tf.TensorSpec((None, None, None, 3))
    graph = tf.function(model.degrade).get_concrete_function(image, image, tf.TensorSpec((2,), tf.int64))
    hr, style = faces(2, 16, 24), faces(2, 10, 10)
    wanted = model.degrade(hr, style, seed=[4, 5])
    got = graph(tf.constant(hr), tf.constant(style), tf.constant([4, 5], tf.int64))
    np.testing.assert_allclose(got, wanted, atol=1e-5)


def test_calling_it_degrades_in_the_style_of_lr(model):
    hr, lr = faces(2), faces(2, 8, 8)
    np.testing.assert_array_equal(model((hr, lr)), model.degrade(hr, lr, seed=0))
    np.testing.assert_array_equal(model({"hr": hr, "lr": lr}), model.degrade(hr, lr, seed=0))


def test_a_fresh_transfer_model_is_near_bicubic():
    keras.utils.set_random_seed(0)
    made = StyleVAE(**SMALL).degrade(faces(2), faces(2, 8, 8), seed=0)
    assert np.abs(made - bicubic(faces(2), 4)).mean() < 0.08


def test_the_divergence_is_equation_3(model):
    posterior = model.posterior(faces(3, 8, 8))
    mean, deviation = posterior.mean().numpy(), posterior.stddev().numpy()
    wanted = -0.5 * np.sum(1 + np.log(deviation**2) - mean**2 - deviation**2, -1)
    np.testing.assert_allclose(model._kl(posterior), wanted.mean(), rtol=1e-5)


def test_the_sampler_is_fitted_to_the_posteriors_of_real_faces():
    model = random_weights(StyleVAE(**SMALL))
    normal = model.degrade(faces(2), seed=3, sampler="normal")
    assert model.degrade(faces(2), seed=3).shape == normal.shape  # before: N(0, I)
    lr = faces(70, 8, 8)
    model.fit_sampler(lr)
    means = model.posterior(lr).mean().numpy()
    distances = np.abs(model.sampler.means.numpy()[:, None] - means[None]).max(-1).min(-1)
    np.testing.assert_allclose(distances, 0, atol=1e-4)


@pytest.mark.parametrize("form", ["transfer", "paper"])
@pytest.mark.parametrize(["adain", "mutual_information"], [(True, True), (False, True), (True, False)])
def test_every_form_takes_a_step_that_reaches_all_of_its_networks(form, adain, mutual_information):
    model = in_training(form=form, adain=adain, mutual_information=mutual_information)
    before = [variable.numpy() for variable in model.optimized_variables]
    for _ in range(2):  # in the first one, layers that start at 0 pass nothing on
        figures = model.train_step(batch())
    assert all(np.isfinite(value) for value in figures.values())
    assert {"kl", "reconstruction", "style_effect"} <= figures.keys()
    assert ("mi" in figures) or not mutual_information
    moved = [np.abs(new.numpy() - old).max() > 0 for new, old in zip(model.optimized_variables, before)]
    assert np.mean(moved) > 0.9
    assert model.optimizer.iterations == 2
    assert len(model.critics) == (2 * (form == "transfer") + mutual_information)


@pytest.mark.parametrize("form", ["transfer", "paper"])
def test_a_batch_of_one_has_no_mutual_information_and_leaves_finite_weights(form):
    model = in_training(form=form)
    model.log_average.assign(0.5)
    for _ in range(2):
        figures = model.train_step(batch(1))
    assert all(np.isfinite(value) for value in figures.values())
    assert figures["mi"] == 0 and figures.get("mi_synthetic", 0) == 0 and model.log_average == 0.5
    assert all(np.isfinite(variable).all() for variable in model.get_weights())
    untouched = model.critics[-1].trainable_variables
    again = in_training(form=form).critics[-1].trainable_variables
    for one, two in zip(untouched, again):
        np.testing.assert_array_equal(one, two)


class MeanOfTheFirst(keras.layers.Layer):
    """A critic whose scores are all the same: three times the mean of the first image of each pair."""

    def call(self, inputs):
        count = tf.shape(inputs[0])[0]
        return tf.fill([count, count], 3.0 * tf.reduce_mean(inputs[0]))


def test_the_critic_keeps_an_average_of_its_own_for_the_synthetic_pairs():
    model = in_training()
    model.critics[2] = MeanOfTheFirst()
    data = batch(2)
    data.update(lr=tf.zeros_like(data["lr"]), style=tf.ones_like(data["style"]))
    for _ in range(2):
        model.train_step(data)
    assert float(model.log_average) == pytest.approx(0, abs=1e-6)
    wanted = 0.99**2 + (1 - 0.99**2) * np.exp(3)
    assert float(model.log_average_synthetic) == pytest.approx(np.log(wanted), rel=1e-5)


@pytest.mark.parametrize("form", ["transfer", "paper"])
def test_a_generator_that_ignores_the_style_has_no_style_effect(form):
    def effect(deaf):
        model = in_training(form=form)
        random_weights(model)
        if deaf:  # whatever reads the style reads nothing
            generator = model.generator
            readers = [layer.affine for layer in generator.styles]
            readers += [*generator.strengths, generator.last_strength, generator.gains] if form == "transfer" else []
            for layer in readers:
                layer.kernel.assign(tf.zeros_like(layer.kernel))
        return float(model.train_step(batch())["style_effect"])

    assert effect(deaf=True) == 0 < effect(deaf=False)


def test_a_policy_of_its_own_reaches_all_networks():
    policy = "mixed_bfloat16"
    for form in ("transfer", "paper"):
        model = StyleVAE(**SMALL, form=form, dtype=policy)
        model.compile(keras.optimizers.Adam(1e-3))
        for network in (model.encoder_lr, model.encoder_hr, model.generator, *model.critics):
            assert network.compute_dtype == "bfloat16", network.name
    hr, lr = faces(2), faces(2, 8, 8)
    made = StyleVAE(**SMALL, dtype=policy)((hr, lr))  # whole: by `call`, Keras would round what comes in
    assert made.dtype == tf.float32 and np.abs(made - bicubic(hr, 4)).mean() < 0.08


def test_a_step_depends_on_its_number_and_the_seed_alone():
    results = []
    for _ in range(2):
        model = in_training()
        tf.random.uniform([])  # another state of the global generator
        model.train_step(batch())
        results.append([variable.numpy() for variable in model.optimized_variables])
    for one, two in zip(*results):
        np.testing.assert_allclose(one, two, atol=1e-6)


def test_the_paper_form_learns_to_shrink():
    model = in_training(form="paper", weights=LossWeights(kl=0.0, mutual_information=0.0))
    step = tf.function(lambda data: model.train_step(data)["reconstruction"])
    errors = [float(step(batch())) for _ in range(40)]
    assert errors[-1] < 0.5 * errors[0]


def test_the_model_survives_its_configuration(model):
    copy = StyleVAE.from_config(model.get_config())
    assert copy.get_config() == model.get_config()
    copy = model.for_inference()
    np.testing.assert_array_equal(copy.degrade(faces(2), seed=1), model.degrade(faces(2), seed=1))


def test_a_compiled_model_has_all_of_its_variables(tmp_path):
    """A strategy that ran would not make them, and Keras would not save."""
    model = StyleVAE(**SMALL)
    model.compile("adam")
    count = len(model.weights)
    model.save(tmp_path / "model.keras")
    model.train_step(batch())
    assert len(model.weights) == count
    assert all(critic.built for critic in model.critics)


def test_what_only_training_needs_is_left_out_of_a_copy_for_use():
    model = in_training()
    assert len(model.for_inference().weights) < len(model.weights)
    assert not hasattr(model.for_inference(), "critics")
