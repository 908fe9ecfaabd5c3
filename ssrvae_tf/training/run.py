"""One training, from its settings to a folder that `load` reads."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib.metadata
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow import keras

from ssrvae_tf import config as configuration
from ssrvae_tf.config import FitConfig
from ssrvae_tf.data import PhotoSet, sr_batches, style_batches
from ssrvae_tf.errors import UserError
from ssrvae_tf.loading import models as loading
from ssrvae_tf.photos.files import read_photo
from ssrvae_tf.photos.samples import sample_photos
from ssrvae_tf.training import pictures
from ssrvae_tf.training.averages import Averages
from ssrvae_tf.training.callbacks import EpochMeans, Progress, Results, Stop, keep_rows
from ssrvae_tf.training.checkpoints import Checkpoints
from ssrvae_tf.training.loop import train
from ssrvae_tf.training.optimizers import adam

_PACKAGES = ("tensorflow", "keras", "tensorflow-addons", "tensorflow-probability", "tensorflow-gan", "numpy", "pillow")


def fit(settings: FitConfig) -> keras.Model:
    """Train a stage, or go on with it, and return its result, as `ssrvae_tf.load(settings.out)` does.

    The run's folder, runs/STAGE unless set, gets config.yaml, versions.json, metrics.csv (a row per epoch),
    tensorboard/, images/, checkpoints/ and model.weights.h5. The same call goes on with a run that was killed, and ends
    at the weights of an unbroken one; more epochs than before go on with a finished one (a cosine is then stretched
    over all of them).

    Raises:
        UserError: for missing or too few photos, a folder that holds another run, figures that are not finite.
        KeyboardInterrupt: after Ctrl-C, when all is saved.
    """
    settings = dataclasses.replace(settings, out=settings.out or f"runs/{settings.stage}")
    with _precision(settings.precision):
        _train(settings)
    return loading.load(settings.out)


def _train(settings: FitConfig) -> None:
    out = Path(settings.out)
    previous = _previous(out, settings)
    steps = settings.steps_per_epoch or (previous and previous.steps_per_epoch)
    done = Checkpoints.newest_step(out / "checkpoints")
    if steps and done >= settings.epochs * steps:
        print(f"{out}: all {settings.epochs} epochs are done; raise --epochs to go on")
        return
    strategy = _fitting_strategy(settings)  # first of all that uses TensorFlow: several workers want it so
    degrade = _degrader(settings)
    photos = _read_photos(settings)
    steps = steps or max(1, len(photos["hr"]) // settings.batch_size)
    settings = dataclasses.replace(settings, steps_per_epoch=steps)
    first_worker = strategy.extended.should_checkpoint
    if first_worker:
        _claim(out, settings)
        keep_rows(out / "metrics.csv", done // steps)

    keras.utils.set_random_seed(settings.seed)
    with strategy.scope():
        model = _compiled(settings)
        averages = Averages(getattr(model, "optimized_variables", model.trainable_variables), settings.ema)
    # The others do all the same, since it takes part in collectives, and throw it away.
    place = out if first_worker else Path(tempfile.mkdtemp())
    checkpoints = Checkpoints(place / "checkpoints", model, averages)
    checkpoints.restore(out / "checkpoints")
    total = settings.epochs * steps
    if done:
        print(f"{out}: going on after step {done} of {total}")

    stop = Stop(settings.max_minutes)
    draw = pictures.painter(model, settings, photos, degrade)
    results = Results(place, averages, checkpoints, draw, lambda: _prepare(model, photos))
    callbacks = [EpochMeans(), stop, results, *([Progress(total, steps)] if first_worker else [])]
    with stop:
        train(model, strategy, _batches(settings, photos, degrade, done), done, total, steps, callbacks, averages)
    step = model.stepper.done
    if stop.reason and step < total:
        why = "stopped" if stop.reason == "interrupted" else f"{settings.max_minutes:g} minutes are over"
        print(f"{why}: saved after step {step} of {total}; the same command goes on", file=sys.stderr)
    if stop.reason == "interrupted":
        raise KeyboardInterrupt
    if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        # Nobody leaves before the first worker has written the result.
        strategy.reduce("SUM", tf.function(strategy.run)(lambda: tf.ones([])), axis=None)
        if not first_worker:
            shutil.rmtree(place)


@contextlib.contextmanager
def _precision(policy: str):
    """Keras' global precision, while the block runs."""
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy(policy)
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy(before)


def _previous(out: Path, settings: FitConfig) -> FitConfig | None:
    """The settings of the run in `out`, if there is one; it must be this one, and if there is none, `out` free."""
    path = out / loading.CONFIG
    try:
        out.mkdir(parents=True, exist_ok=True)
        if not path.is_file() and any(out.iterdir()):
            raise UserError(f"--out {out}: not empty and not a run: give an empty or a new folder")
        if not os.access(out, os.W_OK):
            raise PermissionError(0, "no permission")
    except OSError as error:
        raise UserError(f"--out {out}: cannot be written ({error.strerror}): give a folder that can") from error
    if not path.is_file():
        return None
    previous = configuration.read(path)
    if settings.steps_per_epoch is None:
        settings = dataclasses.replace(settings, steps_per_epoch=previous.steps_per_epoch)
    old, new = (configuration.flat(configuration.resolved(each)) for each in (previous, settings))
    for name, value in new.items():
        if name not in configuration.MAY_CHANGE and value != old.get(name):
            raise UserError(
                f"--out {out}: holds a run with {name} {old.get(name)}, this one has {value}: "
                "take another --out, or the same settings"
            )
    return previous


def _claim(out: Path, settings: FitConfig) -> None:
    try:
        configuration.write(settings, out / loading.CONFIG)
        versions = {"python": sys.version.split()[0], **{name: importlib.metadata.version(name) for name in _PACKAGES}}
        (out / "versions.json").write_text(json.dumps(versions, indent=1) + "\n")
    except OSError as error:
        raise UserError(f"--out {out}: cannot be written ({error.strerror}): give a folder that can") from error


@functools.lru_cache(maxsize=None)  # a second one in a process would reuse the keys of the first one's collectives
def _strategy(several_workers: bool) -> tf.distribute.Strategy:
    if several_workers:
        return tf.distribute.MultiWorkerMirroredStrategy()
    # All GPUs, else all logical CPUs: one, unless the program made more.
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in devices])


def _fitting_strategy(settings: FitConfig) -> tf.distribute.Strategy:
    several = "TF_CONFIG" in os.environ
    if several and settings.max_minutes:
        raise UserError("--max-minutes: the clocks of several workers differ: use --epochs with TF_CONFIG")
    strategy = _strategy(several)
    replicas = strategy.num_replicas_in_sync
    if settings.batch_size % replicas:
        raise UserError(f"--batch-size {settings.batch_size}: it must be a multiple of the {replicas} devices")
    return strategy


def _degrader(settings: FitConfig):
    """What turns stage sr's HR patches into LR ones: a name that the pipeline knows, or a frozen styleVAE."""
    if settings.stage == "style" or settings.style in configuration.NO_MODEL:
        return settings.style
    try:
        # In float32, whatever the SR network has, and on the processor, where the batches are made.
        with _precision("float32"), tf.device("CPU:0"):
            model = loading.load(settings.style)
    except UserError as error:
        raise UserError(f"--style {error}; {', '.join(configuration.NO_MODEL)} need no model") from error
    if not hasattr(model, "degrade") or model.scale != settings.scale:
        kind = f"a styleVAE of scale {model.scale}" if hasattr(model, "degrade") else "an SR network"
        raise UserError(f"--style {settings.style}: {kind}: give a styleVAE of scale {settings.scale}")
    return tf.function(model.degrade)


def _read_photos(settings: FitConfig) -> dict[str, PhotoSet]:
    """HR and, where the stage uses them, LR photos."""
    batch, crop, progress = settings.batch_size, settings.crop, sys.stderr.isatty()
    size, lr_size = settings.hr_size, settings.hr_size // settings.scale
    if settings.stage == "style":
        for name in ("hr", "lr"):
            if not getattr(settings, name):
                raise UserError(f"--stage style needs --{name}: give a folder of photos; any size and nesting will do")
        return {
            "hr": PhotoSet.load(settings.hr, size, crop, max(2, batch), "--hr", progress),
            "lr": PhotoSet.load(settings.lr, lr_size, "fit", batch, "--lr", progress, upsample=True),
        }
    if settings.hr:
        size = max(settings.patch_size, size) if crop == "fit" else settings.patch_size
        photos = {"hr": PhotoSet.load(settings.hr, size, crop, batch, "--hr", progress)}
    else:
        print("no --hr given: training on patches of the package's two photos; give --hr FOLDER for photos of your own")
        # Each photo many times, so that an epoch is more than one batch of patches.
        photos = {"hr": PhotoSet([read_photo(path) for path in sample_photos()] * 8 * batch, settings.patch_size)}
    if settings.lr:
        photos["lr"] = PhotoSet.load(settings.lr, lr_size, "fit", 1, "--lr", progress, upsample=True)
    if settings.everyday:
        photos["everyday"] = PhotoSet.load(settings.everyday, settings.patch_size, "random", 1, "--everyday", progress)
    return photos


def _compiled(settings: FitConfig) -> keras.Model:
    try:
        model = loading.build(settings)
    except ValueError as error:
        raise UserError(str(error)) from error
    if settings.init:
        loading.start_from(model, settings.init)
    steps = settings.epochs * settings.steps_per_epoch

    def optimizer(rate: float, beta_1: float = 0.9):
        return adam(rate, settings.schedule, steps, settings.warmup_steps, beta_1)

    main = optimizer(settings.learning_rate)
    if settings.stage == "style":
        critic = optimizer(settings.critic_learning_rate, 0.5)
        model.compile(main, critic_optimizer=critic, seed=settings.seed)
        model.build_optimizers()
    else:
        model.compile(main)
        model.colour_weight = settings.colour_weight
        model.optimizer.build(model.trainable_variables)
    return model


def _batches(settings: FitConfig, photos: dict[str, PhotoSet], degrade, start_step: int) -> tf.data.Dataset:
    scale, batch, seed = settings.scale, settings.batch_size, settings.seed
    if settings.stage == "style":
        synthetic = settings.style_vae.form == "transfer"
        return style_batches(photos["hr"], photos["lr"], settings.hr_size, scale, batch, seed, start_step, synthetic)
    names = ("bicubic_share", "classical_share", "wide_share", "sharpen", "zoom", "everyday_share")
    return sr_batches(
        photos["hr"],
        settings.patch_size,
        scale,
        batch,
        seed,
        degrade,
        photos.get("lr"),
        everyday=photos.get("everyday"),
        start_step=start_step,
        **{name: getattr(settings, name) for name in names},
    )


def _prepare(model: keras.Model, photos: dict[str, PhotoSet]) -> None:
    if hasattr(model, "fit_sampler"):
        model.fit_sampler(_squares(photos["lr"]))


def _squares(photos: PhotoSet) -> np.ndarray:
    """Up to 2,048 photos, their centres, as one float32 batch."""
    side, pieces = photos.size, []
    for i in range(0, len(photos), -(-len(photos) // 2048)):
        photo = photos.photo(i)
        top, left = ((length - side) // 2 for length in photo.shape[:2])
        pieces.append(photo[top : top + side, left : left + side])
    return np.asarray(pieces, "float32") / 255.0
