from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from ssrvae_tf.layers import GARB, LARB, GlobalAttention, LocalAttention, ResidualBlock
from ssrvae_tf.models import EDSR, SRNetwork
from tests.layers import reference

SMALL = {"filters": 8, "global_blocks": 1, "local_blocks": 1, "kernel_size": 3}


@pytest.fixture(autouse=True)
def seeded_float32():
    keras.utils.set_random_seed(0)
    yield
    keras.mixed_precision.set_global_policy("float32")


def with_attention(model):
    """Let attention take part: a fresh one is the identity."""
    for layer in model._flatten_layers():
        if isinstance(layer, (GlobalAttention, LocalAttention)):
            last = layer.v if isinstance(layer, GlobalAttention) else layer.out
            last.kernel.assign(keras.initializers.GlorotUniform(0)(last.kernel.shape))
            layer.gate.assign(0.5)
    return model


def batch(count=4, side=8, scale=4, seed=0):
    rng = np.random.default_rng(seed)
    hr = tf.image.resize(rng.uniform(size=(count, side, side, 3)), [scale * side] * 2).numpy()
    return hr.reshape(count, side, scale, side, scale, 3).mean((2, 4)).astype("float32"), hr.astype("float32")


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_enlarges_any_height_and_width(scale):
    model = with_attention(SRNetwork(scale, **SMALL))
    rng = np.random.default_rng(0)
    for shape in ((1, 1, 1, 3), (2, 5, 3, 3), (1, 12, 9, 3)):
        sr = model.predict(rng.uniform(size=shape).astype("float32"), verbose=0)
        assert sr.shape == (shape[0], scale * shape[1], scale * shape[2], 3)
        assert sr.dtype == np.float32 and np.all((sr >= 0.0) & (sr <= 1.0))


def test_clips_at_inference_only():
    model = SRNetwork(**SMALL)
    model.get_layer("reconstruction").bias.assign([-3.0, 0.5, 4.0])
    lr, _ = batch()
    assert np.all(model(lr, training=False)[..., 0] == 0.0) and np.all(model(lr, training=False)[..., 2] == 1.0)
    free = model(lr, training=True)
    assert np.all(free[..., 0] < 0.0) and np.all(free[..., 2] > 1.0)


def test_the_default_is_the_paper_s():
    model = SRNetwork()
    kinds = [type(layer) for layer in model.layers if isinstance(layer, (GARB, LARB))]
    assert kinds == [GARB] * 8 + [LARB] * 8
    assert all(layer.attention.kernel_size == 7 for layer in model.layers if isinstance(layer, LARB))
    assert 1.3e6 < model.count_params() < 1.7e6


@pytest.mark.parametrize("global_attention", [False, True])
@pytest.mark.parametrize("local_attention", [False, True])
def test_switches_of_table_4_keep_the_depth(global_attention, local_attention):
    options = {**SMALL, "global_blocks": 2, "local_blocks": 3}
    model = SRNetwork(global_attention=global_attention, local_attention=local_attention, **options)
    count = {kind: sum(isinstance(layer, kind) for layer in model.layers) for kind in (GARB, LARB, ResidualBlock)}
    assert count == {
        GARB: 2 * global_attention,
        LARB: 3 * local_attention,
        ResidualBlock: 2 * (not global_attention) + 3 * (not local_attention),
    }
    assert model(batch()[0]).shape == (4, 32, 32, 3)


def test_chunks_change_nothing_but_memory():
    lr, _ = batch(side=7)
    whole, chunked = (with_attention(SRNetwork(chunk=chunk, **SMALL)) for chunk in (None, 10))
    chunked.set_weights(whole.get_weights())
    np.testing.assert_allclose(chunked(lr), whole(lr), atol=1e-5)


def test_colours_are_kept_where_that_is_asked_for_whatever_the_weights(tmp_path):
    drifting, keeping = SRNetwork(**SMALL), SRNetwork(keep_colours=True, **SMALL)
    drifting.get_layer("reconstruction").bias.assign([0.2, 0.0, -0.1])
    drifting.save_weights(tmp_path / "drifting.weights.h5")
    keeping.load_weights(tmp_path / "drifting.weights.h5")  # it has no weights of its own
    even = np.full((1, 24, 24, 3), 0.5, "float32")
    middle = np.s_[:, 24:-24, 24:-24]  # zeros beyond the border are no even area
    shift = [
        np.abs(np.mean(model(even, training=True)[middle], (0, 1, 2)) - 0.5).max() for model in (drifting, keeping)
    ]
    assert shift[0] > 0.05 and shift[1] < 0.01 * shift[0]


@pytest.mark.parametrize(
    "make", [lambda: SRNetwork(2, geometry=True, chunk=6, keep_colours=True, **SMALL), lambda: EDSR(2, 8, 2)]
)
def test_saves_and_loads(make, tmp_path):
    model, (lr, _) = with_attention(make()), batch()
    wanted = model(lr)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded) is type(model) and loaded.get_config() == model.get_config()
    np.testing.assert_array_equal(loaded(lr), wanted)
    model.save_weights(tmp_path / "model.weights.h5")
    twin = type(model).from_config(model.get_config())
    twin.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(twin(lr), wanted)


def test_a_training_goes_on_from_a_saved_model(tmp_path, recwarn):
    model, (lr, hr) = EDSR(4, 8, 1), batch()
    model.compile(keras.optimizers.Adam(1e-2), "mse", ["mae"])
    model.fit(lr, hr, batch_size=2, shuffle=False, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for each in (model, loaded):
        assert set(each.fit(lr, hr, batch_size=2, shuffle=False, verbose=0).history) >= {"loss", "mae"}
    assert int(loaded.optimizer.iterations) == 4
    for weight, wanted in zip(loaded.get_weights(), model.get_weights()):
        np.testing.assert_allclose(weight, wanted, atol=1e-5)
    assert not [each for each in recwarn if "compile" in str(each.message)]


def test_a_model_that_another_keras_compiled_is_loaded_for_use():
    model = EDSR(4, 8, 1)
    with pytest.warns(UserWarning, match="compile it again to train it"):
        model.compile_from_config({"optimizer": "adam", "of_the_other": True})
    with pytest.raises(ValueError, match="edsr is not compiled: compile it to train it"):
        model.train_step(batch())
    model.compile_from_config({"optimizer": "adam", "steps_per_execution": None})  # as Keras 2 has it
    decay = {"initial_learning_rate": 0.25, "decay_steps": 10, "name": None}
    decay = {"module": "keras.optimizers.schedules", "class_name": "CosineDecay", "config": decay}
    of_keras_2 = {
        "learning_rate": {**decay, "registered_name": None},
        "jit_compile": False,
        "is_legacy_optimizer": False,
    }
    saved = {"module": "keras.optimizers.experimental", "class_name": "SGD", "config": of_keras_2}
    model.compile_from_config({"optimizer": {**saved, "registered_name": None}})
    model.train_step(batch())
    assert float(model.optimizer.learning_rate) == pytest.approx(0.25, rel=0.05)
    assert len(model.predict(batch()[0], verbose=0)) == 4


def test_exports_with_dynamic_sizes(tmp_path):
    model = with_attention(SRNetwork(**SMALL))
    tf.saved_model.save(model, str(tmp_path / "saved"))
    loaded = tf.saved_model.load(str(tmp_path / "saved"))
    lr, _ = batch(2, side=5)
    (sr,) = loaded.signatures["serving_default"](tf.constant(lr)).values()
    np.testing.assert_allclose(sr, model(lr), atol=1e-5)


@pytest.mark.parametrize(
    "make, colour_weight",
    [(lambda: SRNetwork(**SMALL), 0.0), (lambda: EDSR(4, 8, 2), 0.0), (lambda: EDSR(4, 8, 2), 0.5)],
)
def test_a_train_step_is_the_gradient_of_the_l1_and_reduces_it(make, colour_weight):
    lr, hr = batch()
    model, rate = make(), 1e-3
    model.colour_weight = colour_weight
    with tf.GradientTape() as tape:
        error = model(lr, training=True) - hr
        l1, colour = tf.reduce_mean(tf.abs(error)), tf.reduce_mean(tf.abs(tf.reduce_mean(error, [1, 2])))
        wanted_loss = l1 + colour_weight * colour
    gradients = tape.gradient(wanted_loss, model.trainable_variables)
    before = [weight.numpy() for weight in model.trainable_variables]
    model.compile(keras.optimizers.SGD(rate))
    figures = model.train_step((lr, hr))
    assert float(figures["loss"]) == pytest.approx(float(l1), rel=1e-5)
    assert float(figures["colour"]) == pytest.approx(float(colour), rel=1e-5)
    for weight, start, gradient in zip(model.trainable_variables, before, gradients):
        np.testing.assert_allclose(weight, start - rate * gradient, atol=1e-6)
    assert float(tf.reduce_mean(tf.abs(model(lr, training=True) - hr))) < float(l1)


def test_what_tiles_would_show_is_measured_and_falls():
    model, (lr, hr) = with_attention(SRNetwork(**SMALL)), batch(8, side=16)
    model.tile_weight = 10.0
    model.compile(keras.optimizers.Adam(1e-3))
    top, left = (5 * np.asarray(tf.random.stateless_uniform([2], [71, 0], alg="philox"))).astype(int)
    whole = model(lr, training=True).numpy()[:, 4 * top : 4 * top + 48, 4 * left : 4 * left + 48]
    apart = np.abs(model(lr[:, top : top + 12, left : left + 12], training=True) - whole)[:, 8:-8, 8:-8].mean()
    history = [float(model.train_step((lr, hr))["tile"]) for _ in range(30)]
    assert history[0] == pytest.approx(apart, rel=1e-4)
    assert np.mean(history[-5:]) < 0.5 * history[0]


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_training_learns_in_every_precision(policy):
    keras.mixed_precision.set_global_policy(policy)
    model, (lr, hr) = SRNetwork(**SMALL), batch(8)
    model.compile(keras.optimizers.Adam(2e-3))
    assert not model.jit_compile  # which Keras 3 would switch on
    assert model(lr).dtype == tf.float32
    before = float(tf.reduce_mean(tf.abs(model(lr) - hr)))
    model.fit(tf.data.Dataset.from_tensors((lr, hr)).repeat(25), verbose=0)
    after = float(tf.reduce_mean(tf.abs(model(lr) - hr)))
    assert after < 0.7 * before
    assert all(weight.dtype == tf.float32 for weight in model.trainable_variables)


def test_evaluation_reports_l1_and_psnr():
    model, (lr, hr) = SRNetwork(**SMALL), batch(3)
    model.compile()
    results = model.evaluate(lr, hr, batch_size=3, verbose=0, return_dict=True)
    error = model(lr).numpy() - hr
    assert results["loss"] == pytest.approx(np.abs(error).mean(), rel=1e-4)
    assert results["psnr"] == pytest.approx(np.mean(-10 * np.log10((error**2).mean((1, 2, 3)))), rel=1e-4)


def test_a_loss_and_metrics_of_ones_own_are_those_of_training_and_evaluation():
    model, (lr, hr) = EDSR(4, 8, 1), batch()
    error = (model(lr, training=True) - hr).numpy()
    model.compile("sgd", "mse", [keras.metrics.MeanAbsoluteError(name="mae")])
    history = model.fit(lr, hr, batch_size=4, validation_data=(lr, hr), verbose=0).history
    assert history["loss"][0] == pytest.approx((error**2).mean(), rel=1e-4)
    assert history["mae"][0] == pytest.approx(np.abs(error).mean(), rel=1e-4)
    error = model(lr).numpy() - hr
    assert history["val_loss"][0] == pytest.approx((error**2).mean(), rel=1e-4)
    assert history["val_mae"][0] == pytest.approx(np.abs(error).mean(), rel=1e-4)
    assert "val_psnr" in history


@pytest.mark.parametrize("dtype", ["uint8", "float64", "float16"])
def test_photos_of_every_type_are_trained_and_evaluated_on(dtype):
    """As `predict` takes them."""
    lr, hr = (np.rint(255 * each).astype(np.uint8) for each in batch())
    floats = [each / np.float32(255) for each in (lr, hr)]
    given = [lr, hr] if dtype == "uint8" else [each.astype(dtype) for each in floats]
    results = {}
    for name, pair in (("given", given), ("floats", floats)):
        keras.utils.set_random_seed(0)
        model, pairs = EDSR(4, 8, 1), tf.data.Dataset.from_tensors(tuple(pair))
        model.compile("sgd")
        results[name] = [model.evaluate(pairs, verbose=0, return_dict=True), model.fit(pairs, verbose=0).history]
    for given, wanted in zip(results["given"], results["floats"]):
        assert given == {key: pytest.approx(value, rel=2e-3) for key, value in wanted.items()}


def test_what_predict_refuses_is_not_evaluated_either():
    model, (lr, hr) = EDSR(4, 8, 1), batch()
    model.compile()
    with pytest.raises(tf.errors.InvalidArgumentError, match="divide by 255, or give uint8"):
        model.evaluate(255 * lr, hr, verbose=0)


def test_weights_of_photos_are_refused_and_not_passed_over():
    model = EDSR(scale=2, filters=4, blocks=1)
    model.compile("adam")
    lr, hr = batch()
    for run in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match="sample_weight is given, but all photos count alike here: leave it out"):
            run(lr, hr, sample_weight=np.ones(len(lr)), verbose=0)


def test_a_call_takes_uint8_as_predict_does():
    model, photos = EDSR(4, 8, 1), np.rint(255 * batch()[0]).astype(np.uint8)
    wanted = model.predict(photos, verbose=0)
    for made in (model(photos), model(tf.constant(photos)), model.enlarge(photos)):
        np.testing.assert_allclose(made, wanted, atol=1e-6)


def test_files_are_made_without_the_operator_that_rounds_otherwise_in_another_tensorflow():
    model, (lr, _) = with_attention(SRNetwork(**SMALL, chunk=32)), batch()
    traced = tf.function(model.enlarge).get_concrete_function(tf.TensorSpec([None, None, None, 3]))
    operators = reference.operators(traced)
    assert "BatchMatMulV2" in operators and "Softmax" not in operators
    np.testing.assert_allclose(model.enlarge(lr), model.predict(lr, verbose=0), rtol=0, atol=1e-5)


def test_xla_is_left_to_the_layers():
    model, (lr, _) = SRNetwork(**SMALL), batch()
    with pytest.warns(UserWarning, match="leave jit_compile out"):
        model.compile(jit_compile=True)
    np.testing.assert_allclose(model.predict(lr, verbose=0), model(lr), atol=1e-6)


def test_a_picture_met_exactly_counts_as_100_db():
    model, flat = SRNetwork(**SMALL), tf.fill((2, 32, 32, 3), 0.5)
    model.get_layer("reconstruction").set_weights([np.zeros((3, 3, 8, 3)), np.full(3, 0.5)])
    assert float(model.test_step((tf.zeros((2, 8, 8, 3)), flat))["psnr"]) == 100


def test_refuses_what_it_cannot_build():
    with pytest.raises(ValueError, match="scale is 3: it must be a power of two"):
        SRNetwork(3, **SMALL)
    with pytest.raises(ValueError, match="12 channels: they must be a multiple of reduction, 8"):
        SRNetwork(4, **{**SMALL, "filters": 12})
