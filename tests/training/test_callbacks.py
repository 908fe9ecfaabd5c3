from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from ssrvae_tf.errors import UserError
from ssrvae_tf.training.callbacks import Checkpoints, keep_rows
from ssrvae_tf.training.optimizers import adam, averaged
from ssrvae_tf.training.pictures import correlation, sharpness


def test_rows_after_the_restored_epoch_are_cut_and_new_columns_join(tmp_path):
    path = tmp_path / "metrics.csv"
    keep_rows(path, 0)
    assert not path.exists()
    keep_rows(path, 0, {"epoch": 1, "loss": 0.5})
    keep_rows(path, 1, {"epoch": 2, "loss": 0.25, "psnr": 20.0})
    assert path.read_text().split() == ["epoch,loss,psnr", "1,0.5,", "2,0.25,20.0"]
    keep_rows(path, 1)
    assert path.read_text().split()[1:] == ["1,0.5,"]
    keep_rows(path, 1, {"epoch": 2, "loss": 0.125, "psnr": 21.0})
    assert path.read_text().split()[1:] == ["1,0.5,", "2,0.125,21.0"]


def model_of_one_weight(ema):
    model = keras.Sequential([keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")])
    model.build((None, 1))
    model.compile(adam(0.1, "constant", 10, 0, ema))
    model.optimizer.build(model.trainable_variables)
    return model


def test_averages_are_in_place_only_for_as_long_as_they_are_looked_at():
    model = model_of_one_weight(ema=0.5)
    model.optimizer.apply_gradients([(tf.ones((1, 1)), model.trainable_variables[0])])
    own = model.get_weights()[0].item()
    assert own == pytest.approx(0.9, abs=1e-5)
    with pytest.raises(ZeroDivisionError), averaged(model):
        assert model.get_weights()[0].item() == pytest.approx(0.5 * 1.0 + 0.5 * own)
        raise ZeroDivisionError
    assert model.get_weights()[0].item() == own


@pytest.mark.parametrize(["warmup", "step", "wanted"], [(0, 0, 1.0), (0, 100, 0.01), (20, 10, 0.5), (20, 20, 1.0)])
def test_the_cosine_rises_and_falls(warmup, step, wanted):
    schedule = adam(1.0, "cosine", 100, warmup, 0.0)._learning_rate
    assert float(schedule(step)) == pytest.approx(wanted, abs=1e-4)


def test_a_checkpoint_brings_back_weights_averages_and_step(tmp_path):
    model = model_of_one_weight(ema=0.5)
    for _ in range(3):
        model.optimizer.apply_gradients([(tf.ones((1, 1)), model.trainable_variables[0])])
    assert Checkpoints.newest_step(tmp_path) == 0
    Checkpoints(tmp_path, model).save()
    assert Checkpoints.newest_step(tmp_path) == 3
    other = model_of_one_weight(ema=0.5)
    Checkpoints(tmp_path, other).restore(tmp_path)
    for got, wanted in zip(other.optimizer.variables, model.optimizer.variables):
        np.testing.assert_array_equal(got, wanted)
    np.testing.assert_array_equal(other.get_weights(), model.get_weights())


def test_a_torn_checkpoint_is_told(tmp_path):
    model = model_of_one_weight(ema=0.5)
    Checkpoints(tmp_path, model).save()
    for path in tmp_path.glob("*.data*"):
        path.write_bytes(b"")
    with pytest.raises(UserError, match="cannot be restored"):
        Checkpoints(tmp_path, model_of_one_weight(ema=0.5)).restore(tmp_path)


def test_sharpness_is_the_strength_of_what_a_mean_takes_away():
    flat = np.full((1, 8, 8, 3), 0.5, "float32")
    noisy = flat + np.random.default_rng(0).normal(0, 0.1, (1, 8, 8, 3)).astype("float32")
    values = sharpness(tf.constant(np.concatenate([flat, noisy])))
    assert values[0] == pytest.approx(0.1)  # the floor
    assert values[1] == pytest.approx(25.5 * (8 / 9) ** 0.5, rel=0.15)
    rng = np.random.default_rng(1)
    first, second = rng.random(9), rng.random(9)
    assert correlation(first, second) == pytest.approx(np.corrcoef(first, second)[0, 1])
    assert correlation(np.ones(9), second) == 0
