"""Trainings small enough for tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import h5py
import keras
import numpy as np

from ssrvae_tf import config
from ssrvae_tf.loading import models as loading
from ssrvae_tf.loading import places
from ssrvae_tf.models import StyleVAE

_STYLE_VAE = {"latent_dim": 8, "filters": 8, "encoder_strides": [2, 1]}
_SR_NETWORK = {"filters": 8, "global_blocks": 1, "local_blocks": 1, "kernel_size": 3}
PLAIN = {"filters": 8, "global_blocks": 0, "local_blocks": 0}  # an SR network that is traced in no time
# Runs `ssrvae_tf.fit` and sends itself a signal, `number`, in the middle.
_BREAK = """
import os, pathlib, sys
from ssrvae_tf import errors, fit
from ssrvae_tf.training import callbacks

def breaking(function):
    calls = []
    def called(*arguments, **more):
        calls.append(1)
        if len(calls) == {at}:
            os.kill(os.getpid(), {number})
        return function(*arguments, **more)
    return called

{where} = breaking({where})
sys.argv[1:] = {arguments!r}
errors.exit_cleanly(fit.main)
"""
AFTER_A_STEP = "callbacks.EpochMeans.on_train_batch_end"
BEFORE_A_RENAME = "os.replace"


def tiny(stage, photos, out, **changes) -> config.FitConfig:
    """2 epochs of 3 steps with everything that could get lost: averages, a schedule, and noise."""
    given = {
        "stage": stage,
        "hr": str(photos) or None,
        "lr": str(photos) or None,
        "out": str(out) or None,
        "style": "classical",
        "hr_size": 32,
        "patch_size": 32,
        "batch_size": 4,
        "epochs": 2,
        "steps_per_epoch": 3,
        "learning_rate": 1e-3,
        "schedule": "cosine",
        "warmup_steps": 2,
        "ema": 0.5,
        "style_vae": _STYLE_VAE,
        "sr_network": _SR_NETWORK,
    }
    return config.from_dict({**given, **changes})


def options(settings: config.FitConfig) -> list[str]:
    values = config.flat(config.resolved(settings))
    return [f"--{name}={'null' if value is None else value}" for name, value in values.items()]


def broken_off(settings: config.FitConfig, number: int, where: str, at: int, **more) -> subprocess.CompletedProcess:
    """What becomes of a training that gets signal `number` at call `at` of the function `where`; `more`: see `run`."""
    code = _BREAK.format(at=at, number=int(number), where=where, arguments=options(settings))
    return run([sys.executable, "-c", code], **more)


def run(command: list[str], **more) -> subprocess.CompletedProcess:
    """What becomes of a command, with `more` in its environment."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", **more}
    root = Path(__file__).parents[1]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=900)


def weights(folder, name: str = "model.weights.h5") -> dict:
    """All numbers of a run's result by name."""
    found = {}
    with h5py.File(Path(folder) / name) as file:
        file.visititems(lambda name, item: found.update({name: item[()]} if isinstance(item, h5py.Dataset) else {}))
    return found


def random_run(folder, seed: int, stage: str = "sr", **changes) -> Path:
    """The folder of a run without a training: settings, and weights by that seed."""
    folder = Path(folder)
    folder.mkdir(parents=True)
    settings = tiny(stage, folder / "photos", folder, **changes)
    config.write(settings, folder / places.CONFIG)
    model = loading.build(settings)
    if stage == "style":
        model.build_networks()
    rng = np.random.default_rng(seed)
    model.set_weights([rng.normal(0, 0.1, value.shape) for value in model.get_weights()])
    loading.save_weights(model, folder / places.WEIGHTS)
    return folder


def small_style_vae() -> StyleVAE:
    """lr_size 8, 6 latent dimensions, and weights that make styles and noise visible: fresh ones hide them."""
    keras.utils.set_random_seed(0)
    model = StyleVAE(lr_size=8, latent_dim=6, filters=8, encoder_strides=(2, 1))
    model.build_networks()
    rng = np.random.default_rng(0)
    for network in (model.encoder_lr, model.encoder_hr, model.generator):
        network.set_weights([value + rng.normal(0, 0.05, value.shape) for value in network.get_weights()])
    return model
