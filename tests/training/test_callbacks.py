from __future__ import annotations

import re
import signal
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from ssrvae_tf.errors import UserError
from ssrvae_tf.models.steps import Stepper
from ssrvae_tf.training import callbacks
from ssrvae_tf.training.averages import Averages
from ssrvae_tf.training.callbacks import Progress, Results, Schedule, StepFigures, Stop, out_of_patience, scores_of
from ssrvae_tf.training.checkpoints import Checkpoints
from ssrvae_tf.training.optimizers import adam
from ssrvae_tf.training.pictures import _sr_sheet, correlation, sharpness
from ssrvae_tf.training.records import Table


def model_of_one_weight(optimizer=None):
    """A model with what training adds, and the averages of its weight."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")])
    model.build((None, 1))
    model.compile(optimizer or adam(0.1, "constant", 10, 0))
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
    Checkpoints.refuse_older(tmp_path)
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
    with pytest.raises(UserError, match=r"ckpt-0: cannot be restored \(.*\): start anew in another --out"):
        Checkpoints(tmp_path, *model_of_one_weight()).restore(tmp_path)


def test_what_a_torn_checkpoint_advises_goes_on_from_the_one_before(tmp_path):
    model, averages = model_of_one_weight()
    checkpoints = Checkpoints(tmp_path, model, averages)
    for _ in range(2):
        step(model, averages)
        checkpoints.save()
    (tmp_path / "ckpt-2.data-00000-of-00001").write_bytes(b"")
    again, more = model_of_one_weight()
    told = f"remove {tmp_path / 'ckpt-2'}.* to go on from the one before, or start anew"
    with pytest.raises(UserError, match=re.escape(told)):
        Checkpoints(tmp_path, again, more).restore(tmp_path)
    for path in tmp_path.glob("ckpt-2.*"):
        path.unlink()
    assert Checkpoints.newest_step(tmp_path) == 1
    Checkpoints(tmp_path, again, more).restore(tmp_path)
    assert again.stepper.done == 1


def test_a_discriminator_that_is_no_number_is_not_saved(tmp_path):
    model, averages = model_of_one_weight()
    table, writer = Table(tmp_path / "metrics.csv", 0), tf.summary.create_file_writer(str(tmp_path / "board"))
    results = Results(tmp_path, table, writer, averages, None, None, lambda: None, None, Schedule())
    results.set_model(model)
    model.adversary = types.SimpleNamespace(variables=[tf.Variable([1.0, np.nan])])
    with pytest.raises(UserError, match="weights are not finite after step 0"):
        results.save()
    assert not (tmp_path / "model.weights.h5").exists()


def test_a_checkpoint_of_another_version_is_refused_with_the_way_out(tmp_path):
    model, _ = model_of_one_weight()
    old = tf.train.CheckpointManager(tf.train.Checkpoint(model=model), str(tmp_path / "run" / "checkpoints"), 2)
    old.save(7)
    assert Checkpoints.newest_step(tmp_path / "run" / "checkpoints") == 7
    with pytest.raises(UserError, match=f"of version 0.1.0, .* --init {tmp_path / 'run'} and another --out"):
        Checkpoints.refuse_older(tmp_path / "run" / "checkpoints")


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


def test_a_sheet_of_photos_that_come_out_exactly_has_no_infinite_figure():
    white = tf.ones((2, 32, 32, 3))
    _, figures = _sr_sheet(lambda lr, training: white, white[:, ::4, ::4], white)
    assert figures["sheet_psnr"] == 100 and 60 < figures["sheet_psnr_bicubic"] <= 100


def test_the_rate_written_is_that_of_the_step(tmp_path):
    model, averages = model_of_one_weight(adam(1.0, "constant", 9, warmup_steps=4))
    table, writer = Table(tmp_path / "steps.csv", 0), tf.summary.create_file_writer(str(tmp_path / "board"))
    figures = StepFigures(table, writer, every=1, batch_size=8)
    figures.set_model(model)
    figures.on_train_begin()
    for number in range(6):
        figures.on_train_batch_begin(number)
        step(model, averages)
        figures.on_train_batch_end(number, {})
    assert list(table.column("learning_rate").values()) == pytest.approx([0.0, 0.25, 0.5, 0.75, 1.0, 1.0])


def test_every_few_steps_means_rate_and_speed_are_written(tmp_path):
    model, averages = model_of_one_weight()
    table, writer = Table(tmp_path / "steps.csv", 0), tf.summary.create_file_writer(str(tmp_path / "board"))
    figures = StepFigures(table, writer, every=2, batch_size=8)
    figures.set_model(model)
    figures.on_train_begin()
    for number in range(5):
        figures.on_train_batch_begin(number)
        step(model, averages)
        figures.on_train_batch_end(number, {"loss": float(number)})
    assert table.column("loss") == {2: 0.5, 4: 2.5}
    assert table.column("learning_rate") == pytest.approx({2: 0.1, 4: 0.1})
    assert min(table.column("examples_per_second").values()) > 0
    [board] = (tmp_path / "board").iterdir()
    seen = [
        (event.step, value.tag)
        for event in tf.compat.v1.train.summary_iterator(str(board))
        for value in event.summary.value
    ]
    assert {(2, "steps/loss"), (4, "steps/learning_rate"), (4, "steps/examples_per_second")} <= set(seen)


def test_scores_of_other_photos_say_nothing_beside_those_of_now(tmp_path, monkeypatch):
    """A run may go on with other photos, of which others are held back."""
    saved, now, (model, averages) = [], [], model_of_one_weight()
    monkeypatch.setattr(callbacks, "save_weights", lambda model, path: saved.append((path.name, len(table.rows))))
    table, writer = Table(tmp_path / "metrics.csv", 0), tf.summary.create_file_writer(str(tmp_path / "board"))
    kept = types.SimpleNamespace(save=lambda: None)
    draw = lambda: (Image.new("RGB", (8, 8)), {})  # noqa: E731
    validate = lambda: dict(zip(("val_psnr", "val_psnr_bicubic"), now))  # noqa: E731
    results = Results(tmp_path, table, writer, averages, kept, draw, lambda: None, validate, Schedule())
    results.set_model(model)
    table.add({"epoch": 0, "val_psnr": 27.0, "val_psnr_bicubic": 28.0})
    for epoch, now[:] in enumerate([(30, 28), (31, 28), (29, 28), (25, 24), (26, 24.0001), (26, 24)]):
        results.on_epoch_end(epoch, {})
    assert [rows - 1 for name, rows in saved if name == "best.weights.h5"] == [1, 2, 4, 5]
    assert scores_of(table, 0) == {4: 25, 5: 26, 6: 26}
    assert scores_of(Table(tmp_path / "metrics.csv", 3), 0) == {0: 27, 1: 30, 2: 31, 3: 29}
    assert scores_of(Table(tmp_path / "metrics.csv", 3)) == {1: 30, 2: 31, 3: 29}


@pytest.mark.parametrize(
    ["scores", "patience", "wanted"],
    [
        ({}, 1, False),
        ({1: 20.0}, 1, False),
        ({1: 20.0, 2: 20.0}, 1, True),
        ({1: 20.0, 2: 19.0}, 2, False),
        ({1: 20.0, 2: 19.0, 3: 19.5}, 2, True),
        ({1: 20.0, 2: 19.0, 3: 19.5}, None, False),
        ({1: 20.0, 2: 19.0, 3: 21.0}, 1, False),
    ],
)
def test_patience_counts_epochs_since_the_best(scores, patience, wanted):
    assert out_of_patience(scores, patience) == wanted


@pytest.mark.parametrize(
    ["number", "raised", "code"], [("SIGINT", KeyboardInterrupt, None), ("SIGTERM", SystemExit, 143)]
)
def test_a_second_signal_ends_at_once(number, raised, code, capsys):
    number, before = signal.Signals[number], signal.getsignal(signal.Signals[number])
    with pytest.raises(raised) as end, Stop() as stop:
        handler = signal.getsignal(number)  # called, since a signal to a process of tests may end that
        handler(number, None)
        assert stop.reason == number
        handler(number, None)
    assert getattr(end.value, "code", None) == code and signal.getsignal(number) == before
    assert "stopping after this step" in capsys.readouterr().err


def test_the_bar_shows_the_last_validation(capsys):
    model, averages = model_of_one_weight()
    bar = Progress(total=20, steps_per_epoch=10)
    bar.set_model(model)
    bar.on_train_begin()
    for number in range(20):
        bar.on_train_batch_end(number % 10, {"loss": 0.5})
        if number == 9:
            bar.on_epoch_end(0, {"loss": 0.5, "val_psnr": 21.5, "val_psnr_bicubic": 20.25})
    bar.on_train_end()
    said = capsys.readouterr()
    assert "val_psnr=21.5" in said.err and "val_psnr_bicubic 20.25" in said.out
