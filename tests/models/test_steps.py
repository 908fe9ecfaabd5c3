from __future__ import annotations

import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny_runs import run

from ssrvae_tf.models.steps import Stepper


def float16(optimizer):
    return keras.mixed_precision.LossScaleOptimizer(optimizer)


def one_step(stepper, weight, factor=1.0):
    with tf.GradientTape() as tape:
        loss = stepper.scaled(factor * tf.reduce_sum(tf.square(weight)))
    return float(stepper.minimise(tape, loss, [weight]))


@pytest.mark.parametrize("wrap", [lambda optimizer: optimizer, float16])
def test_a_step_follows_the_gradient_whatever_the_loss_is_scaled_by(wrap):
    stepper, weight = Stepper(wrap(keras.optimizers.SGD(0.1))), tf.Variable([1.0, 2.0])
    assert one_step(stepper, weight) == pytest.approx(np.hypot(2, 4))
    np.testing.assert_allclose(weight, [0.8, 1.6], rtol=1e-6)
    assert stepper.done == 1


def test_a_step_that_is_not_finite_is_counted_but_not_made_and_halves_the_scale():
    stepper, weight = Stepper(float16(keras.optimizers.Adam(0.1))), tf.Variable([1.0, 2.0])
    step = tf.function(lambda factor: one_step_in_graph(stepper, weight, factor))
    step(tf.constant(1.0))
    before = [weight.numpy(), *(variable.numpy() for variable in stepper.optimizer.variables)]
    assert float(step(tf.constant(np.inf))) == 0.0
    after = [weight.numpy(), *(variable.numpy() for variable in stepper.optimizer.variables)]
    for one, other in zip(before, after):
        np.testing.assert_array_equal(one, other)
    assert stepper.done == 2 and float(stepper.scale) == 2.0**14
    step(tf.constant(1.0))
    assert np.all(weight.numpy() < before[0])


def one_step_in_graph(stepper, weight, factor):
    with tf.GradientTape() as tape:
        loss = stepper.scaled(factor * tf.reduce_sum(tf.square(weight)))
    return stepper.minimise(tape, loss, [weight])


def test_the_scale_grows_after_two_thousand_finite_steps_in_a_row():
    stepper, weight = Stepper(float16(keras.optimizers.SGD(0.0))), tf.Variable([1.0])
    stepper.state["finite_steps"].assign(1998)
    one_step(stepper, weight)
    assert float(stepper.scale) == 2.0**15
    one_step(stepper, weight)
    assert float(stepper.scale) == 2.0**16 and int(stepper.state["finite_steps"]) == 0


_TWO_REPLICAS = """
import keras
import numpy as np
import tensorflow as tf
from ssrvae_tf.models.steps import Stepper
from ssrvae_tf.training.averages import Averages

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    weight = tf.Variable([1.0, 2.0])
    stepper = Stepper(keras.mixed_precision.LossScaleOptimizer(keras.optimizers.Adam(0.1)))
    stepper.optimizer.build([weight])
    averages = Averages([weight], 0.5)

@tf.function
def step(wild):  # the second replica's gradient is `wild` times too large
    def on_a_replica():
        replica = tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group, tf.float32)
        with tf.GradientTape() as tape:
            loss = stepper.scaled((1.0 + replica * wild) * tf.reduce_sum(tf.square(weight)))
        return stepper.minimise(tape, loss, [weight])
    norms = strategy.run(on_a_replica)
    averages.update(strategy, stepper.step)
    return norms

def copies(variable):
    return [value.numpy() for value in strategy.experimental_local_results(variable)]

norms = strategy.experimental_local_results(step(tf.constant(0.0)))
np.testing.assert_allclose(norms, np.hypot(2, 4), rtol=1e-6)  # of the mean, the same on both
np.testing.assert_allclose(copies(weight), [[0.9, 1.9]] * 2, rtol=1e-5)
np.testing.assert_allclose(copies(averages.values[0]), [[0.91, 1.91]] * 2, rtol=1e-5)
step(tf.constant(np.inf))  # finite on the first replica
np.testing.assert_allclose(copies(weight), [[0.9, 1.9]] * 2, rtol=1e-5)
assert copies(stepper.step) == [2, 2] and copies(stepper.scale) == [2.0**14] * 2
with averages.in_place():
    assert abs(copies(weight)[1][0] - 0.901818) < 1e-5, copies(weight)  # 2 / 11 of 0.91 and the rest of 0.9
print("done")
"""


def test_no_replica_makes_a_step_that_is_not_finite_on_one_of_them():
    done = run([sys.executable, "-c", _TWO_REPLICAS])
    assert done.returncode == 0 and "done" in done.stdout, done.stderr[-3000:]
