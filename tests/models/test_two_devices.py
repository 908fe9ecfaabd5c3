"""On two devices, a step of either model is that of one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

# In a process of its own: how many devices there are is settled when TensorFlow starts.
_STEPS = """
import numpy as np
import tensorflow as tf
import keras
import pytest
from ssrvae_tf.models import EDSR, SRNetwork, StyleVAE

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
one, two = (tf.distribute.MirroredStrategy(devices) for devices in (["CPU:0"], ["CPU:0", "CPU:1"]))


def random(*shape):
    return np.random.default_rng(0).random(shape, "float32")


def sr_network():
    model = SRNetwork(4, 8, 1, 1, kernel_size=3)
    garb, larb = (model.get_layer(name).attention for name in ("garb_0", "larb_0"))
    for last in (garb.v, larb.out):  # they start at 0, which would hide the gradients of all before them
        last.kernel.assign(0.5 * random(*last.kernel.shape))
    model.compile(keras.optimizers.SGD(1.0))
    return model, model.trainable_variables


class SameNoise(StyleVAE):
    def _seeds(self, count):
        return [tf.constant([7, i]) for i in range(count)]


def style_vae():
    model = SameNoise(lr_size=8, latent_dim=6, filters=8, encoder_strides=(2, 1))
    model.compile(keras.optimizers.SGD(1.0))
    averages = [model.log_average, model.log_average_synthetic]
    return model, [*model.optimized_variables, *model._critic_variables, *averages]


def step(strategy, make, data):
    '''(figures, how far each variable moved: at a rate of 1, by its gradient).'''
    with strategy.scope():
        keras.utils.set_random_seed(0)
        model, variables = make()
    batches = tf.data.Dataset.from_tensors(data)
    batch = next(iter(strategy.experimental_distribute_dataset(batches)))
    before = [variable.numpy() for variable in variables]
    figures = strategy.run(model.train_step, (batch,))  # without tf.function: tracing one step takes longer
    figures = {name: float(strategy.reduce("MEAN", value, None)) for name, value in figures.items()}
    return figures, [variable.numpy() - start for start, variable in zip(before, variables)]


def compare(first, second):
    assert first[0].keys() == second[0].keys()
    for name, value in first[0].items():
        np.testing.assert_allclose(second[0][name], value, rtol=1e-4, atol=1e-6, err_msg=name)
    assert np.mean([np.abs(move).max() > 1e-7 for move in first[1]]) > 0.9
    for a, b in zip(first[1], second[1]):
        np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-5)


# The mean over a batch is that over its halves.
pairs = random(4, 6, 5, 3), random(4, 24, 20, 3)
compare(step(one, sr_network, pairs), step(two, sr_network, pairs))
print("SRNetwork: equal")


def fitted(strategy):
    '''All figures of a training by Keras' own loop.'''
    with strategy.scope():
        keras.utils.set_random_seed(0)
        model = EDSR(4, 8, 1)
        model.compile(keras.optimizers.SGD(0.1), metrics=["mae"])
    given = {"batch_size": 4, "shuffle": False, "verbose": 0}
    return model.fit(*pairs, validation_data=pairs, **given).history, model.evaluate(*pairs, 4, 0, return_dict=True)


for wanted, found in zip(fitted(one), fitted(two)):
    assert wanted == {name: pytest.approx(value, rel=1e-3) for name, value in found.items()}
print("fit: equal")

# Pairs are shuffled within a device, so that both get the same faces; and here the same noise.
faces = {name: random(3, size, size, 3) for name, size in (("hr", 32), ("lr", 8), ("style", 8), ("target", 8))}
doubled = {name: np.concatenate([images, images]) for name, images in faces.items()}
compare(step(one, style_vae, faces), step(two, style_vae, doubled))
print("StyleVAE: equal")

# Left alone, each device has noise of its own.
model = StyleVAE(lr_size=8, latent_dim=6, filters=8, encoder_strides=(2, 1))
with two.scope():
    model.compile(keras.optimizers.SGD(1.0))
first, second = two.run(lambda: tf.stack(model._seeds(4))).values
assert not {tuple(seed) for seed in first.numpy()} & {tuple(seed) for seed in second.numpy()}
print("seeds: different")
"""


def test_a_step_on_two_devices_is_that_on_one():
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", _STEPS], capture_output=True, text=True, timeout=600, cwd=root)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert done.stdout.split("\n")[-5:-1] == ["SRNetwork: equal", "fit: equal", "StyleVAE: equal", "seeds: different"]
