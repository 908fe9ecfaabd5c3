from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from ssrvae_tf.errors import UserError
from ssrvae_tf.models.steps import Stepper
from ssrvae_tf.training.averages import Averages
from ssrvae_tf.training.callbacks import keep_rows
from ssrvae_tf.training.checkpoints import Checkpoints
from ssrvae_tf.training.optimizers import adam
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


def model_of_one_weight():
    """A model with what training adds, and the averages of its weight."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")])
    model.build((None, 1))
    model.compile(adam(0.1, "constant", 10, 0))
    model.optimizer.build(model.trainable_variables)
    model.stepper = Stepper(model.optimizer)
    return model, Averages(model.trainable_variables, 0.5)


def step(model, averages):
    model.stepper.apply([tf.ones((1, 1))], model.trainable_variables)
    averages.update(tf.distribute.get_strategy(), model.stepper.step)


def test_averages_are_in_place_only_for_as_long_as_they_are_looked_at():
    model, averages = model_of_one_weight()
    step(model, averages)
    own = model.get_weights()[0].item()
    assert own == pytest.approx(0.9, abs=1e-5)
    with pytest.raises(ZeroDivisionError), averages.in_place():
        assert model.get_weights()[0].item() == pytest.approx(0.1 * 1.0 + 0.9 * own)
        raise ZeroDivisionError
    assert model.get_weights()[0].item() == own


def test_averages_follow_quickly_at_first_and_slowly_later():
    model, averages = model_of_one_weight()
    wanted = 1.0
    for number in range(12):
        step(model, averages)
        momentum = min(0.5, (1 + number) / (10 + number))
        wanted = momentum * wanted + (1 - momentum) * model.get_weights()[0].item()
    assert averages.values[0].numpy().item() == pytest.approx(wanted)
    assert Averages(model.trainable_variables, 0.0).values == []


@pytest.mark.parametrize(
    ["schedule", "warmup", "step", "wanted"],
    [("cosine", 0, 0, 1.0), ("cosine", 0, 100, 0.01), ("cosine", 20, 10, 0.5), ("cosine", 20, 20, 1.0)]
    + [("constant", 20, 10, 0.5), ("constant", 20, 20, 1.0), ("constant", 20, 100, 1.0)],
)
def test_the_rate_rises_and_falls_or_stays(schedule, warmup, step, wanted):
    config = adam(1.0, schedule, 100, warmup).get_config()["learning_rate"]
    assert float(keras.optimizers.schedules.deserialize(config)(step)) == pytest.approx(wanted, abs=1e-4)


def test_a_checkpoint_brings_back_weights_averages_and_step(tmp_path):
    model, averages = model_of_one_weight()
    for _ in range(3):
        step(model, averages)
    assert Checkpoints.newest_step(tmp_path) == 0
    Checkpoints(tmp_path, model, averages).save()
    assert Checkpoints.newest_step(tmp_path) == 3
    other, others = model_of_one_weight()
    Checkpoints(tmp_path, other, others).restore(tmp_path)
    for got, wanted in zip(other.optimizer.variables, model.optimizer.variables):
        np.testing.assert_array_equal(got, wanted)
    np.testing.assert_array_equal(other.get_weights(), model.get_weights())
    np.testing.assert_array_equal(others.values[0], averages.values[0])
    assert other.stepper.done == 3


def test_a_torn_checkpoint_is_told(tmp_path):
    model, averages = model_of_one_weight()
    Checkpoints(tmp_path, model, averages).save()
    for path in tmp_path.glob("*.data*"):
        path.write_bytes(b"")
    with pytest.raises(UserError, match="cannot be restored"):
        Checkpoints(tmp_path, *model_of_one_weight()).restore(tmp_path)


def test_a_checkpoint_of_another_version_is_refused_with_the_way_out(tmp_path):
    model, _ = model_of_one_weight()
    old = tf.train.CheckpointManager(tf.train.Checkpoint(model=model), str(tmp_path / "run" / "checkpoints"), 2)
    old.save(7)
    assert Checkpoints.newest_step(tmp_path / "run" / "checkpoints") == 7
    with pytest.raises(UserError, match=f"of version 0.1.0, .* --init {tmp_path / 'run'} and another --out"):
        Checkpoints(tmp_path, *model_of_one_weight()).restore(tmp_path / "run" / "checkpoints")


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
