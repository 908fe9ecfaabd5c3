"""One training, from its settings to a folder that `load` reads."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib.metadata
import json
import os
import re
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Callable

import keras
import numpy as np
import tensorflow as tf

from ssrvae_tf import config as configuration
from ssrvae_tf.compat import check_going_on
from ssrvae_tf.config import FitConfig
from ssrvae_tf.data import PhotoSet, sources, sr_batches, style_batches
from ssrvae_tf.errors import UserError, of_the_disk, one_line
from ssrvae_tf.loading import models as loading
from ssrvae_tf.loading import places
from ssrvae_tf.loading.saved_models import feature_levels
from ssrvae_tf.metrics import Features
from ssrvae_tf.models.adversarial import Adversary
from ssrvae_tf.models.baselines import SRGANDiscriminator
from ssrvae_tf.photos.files import read_photo
from ssrvae_tf.photos.folders import check_not_swapped, check_outside
from ssrvae_tf.photos.samples import sample_photos
from ssrvae_tf.photos.writing import remove_parts, take
from ssrvae_tf.training import held_back, pictures
from ssrvae_tf.training.averages import Averages
from ssrvae_tf.training.beginning import start_as_enlargement
from ssrvae_tf.training.callbacks import (
    SCORE,
    EpochMeans,
    Progress,
    Results,
    Schedule,
    StepFigures,
    Stop,
    out_of_patience,
    scores_of,
)
from ssrvae_tf.training.checkpoints import Checkpoints
from ssrvae_tf.training.loop import train
from ssrvae_tf.training.optimizers import adam
from ssrvae_tf.training.records import Table
from ssrvae_tf.training.validation import validation

_PACKAGES = ("tensorflow", "keras", "tensorflow-addons", "tensorflow-probability", "tensorflow-gan", "numpy", "pillow")
_VERSIONS = "versions.json"
_GAN_BETA_1 = 0.5  # of players who move against each other, where much momentum makes them circle
# What TensorFlow raises where it talks to another worker that is no longer there, or has started again.
_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
)


def fit(settings: FitConfig) -> keras.Model:
    """Train a stage, or go on with it, and return its result, as `ssrvae_tf.load(settings.out)` does.

    The run's folder, runs/my_STAGE unless set, gets config.yaml, photos.json (which photos it was trained on),
    versions.json, metrics.csv (a row per epoch), steps.csv, tensorboard/, images/, checkpoints/, model.weights.h5, and
    best.weights.h5 where stage sr has a validation. The same call goes on with a run that was stopped or killed, and
    ends at the weights of an unbroken one; more epochs than before go on with a finished one (a cosine is then
    stretched over all of them).

    Raises:
        UserError: for missing or too few photos, a folder that holds another run, or a finished one of other photos,
            figures that are not finite, a disk that takes no more, and when one of several workers is gone.
        KeyboardInterrupt: after Ctrl-C, when all is saved.
        SystemExit: after SIGTERM, when all is saved, with code 143.
    """
    settings = _first_look(configuration.with_place(settings))
    with _precision(settings.precision), _telling_lost_workers(settings.out), _telling_unread_photos():
        with _telling_a_full_disk(settings.out), contextlib.ExitStack() as until_done:
            _train(settings, until_done)
    return loading.load(settings.out)


def _train(settings: FitConfig, until_done: contextlib.ExitStack) -> None:
    out = Path(settings.out)
    given = [(f"--{name}", getattr(settings, name)) for name in ("hr", "lr", "everyday")]
    check_outside(out, "--out", [*given, ("--val", settings.val if isinstance(settings.val, str) else None)])
    previous = _previous(out, settings)
    steps = settings.steps_per_epoch or (previous and previous.steps_per_epoch)
    done = Checkpoints.newest_step(out / "checkpoints")
    folders, before = _folders(settings), held_back.read(out)
    changed = held_back.differences(before, folders)
    if _all_done(settings, steps and done >= settings.epochs * steps, changed):
        return
    if done:
        check_going_on(_versions_of(out), str(out))
    Checkpoints.refuse_older(out / "checkpoints")
    strategy = _fitting_strategy(settings)  # first of all that uses TensorFlow: several workers want it so
    several_workers = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
    features = Features(settings.features) if settings.features and settings.stage == "style" else None
    levels = feature_levels(settings.perceptual_features[0]) if settings.perceptual else None
    degrade = _degrader(settings)
    photos, kept = _hold_back(settings, _read_photos(settings), folders, before)
    steps = steps or max(1, len(photos["hr"]) // settings.batch_size)
    settings = dataclasses.replace(settings, steps_per_epoch=steps)
    first_worker = strategy.extended.should_checkpoint
    # The others do all the same, since it takes part in collectives, and throw it away.
    elsewhere = None if first_worker else tempfile.TemporaryDirectory()
    place = out if first_worker else Path(elsewhere.name)
    if first_worker:
        _claim(out, settings, folders, until_done)
    elif (out / "metrics.csv").is_file():
        shutil.copy(out / "metrics.csv", place)
    table, step_table = Table(place / "metrics.csv", done // steps), Table(place / "steps.csv", done)
    if not changed and _out_of_patience(table, settings):
        return

    keras.utils.set_random_seed(settings.seed)
    with strategy.scope():
        model = _compiled(settings, levels, fresh=not done)
        averages = Averages(getattr(model, "optimized_variables", model.trainable_variables), settings.ema)
    checkpoints = Checkpoints(place / "checkpoints", model, averages)
    checkpoints.restore(out / "checkpoints")
    total = settings.epochs * steps
    if done:
        print(f"{out}: going on after step {done} of {total}")

    shown = {**photos, **kept}
    validate = validation(model, settings, shown, degrade, features) if kept else None
    if validate and settings.init and not done and not table.rows:
        table.add({"epoch": 0, **validate()})
    draw = pictures.painter(model, settings, photos if settings.stage == "style" else shown, degrade)
    writer = tf.summary.create_file_writer(str(place / "tensorboard"))
    names = [field.name for field in dataclasses.fields(Schedule) if hasattr(settings, field.name)]
    schedule = Schedule(**{name: getattr(settings, name) for name in names}, keep_best=not settings.judged)
    if several_workers:
        schedule.checkpoint_minutes = None  # their clocks differ
    results = Results(
        place, table, writer, averages, checkpoints, draw, lambda: _prepare(model, photos), validate, schedule
    )
    stop = Stop(settings.max_minutes)
    figures = StepFigures(step_table, writer, settings.log_steps, settings.batch_size)
    callbacks = [EpochMeans(), stop, figures, results, *([Progress(total, steps)] if first_worker else [])]
    with stop:
        batches = _batches(settings, photos, degrade, done, _share(strategy))
        train(model, strategy, batches, done, total, steps, callbacks, averages)

    step = model.stepper.done
    if step < total and not _out_of_patience(table, settings):
        why = f"{settings.max_minutes:g} minutes are over" if stop.reason == "time" else "stopped"
        print(f"{why}: saved after step {step} of {total}; the same command goes on", file=sys.stderr)
    if several_workers:
        # Nobody leaves before the first worker has written the result.
        strategy.reduce("SUM", tf.function(strategy.run)(lambda: tf.ones([])), axis=None)
    if isinstance(stop.reason, signal.Signals):
        stop.leave(stop.reason)
    if validate and first_worker and settings.stage == "sr":
        _say_how_good(table, averages, validate, settings.judged)


def _all_done(settings: FitConfig, done: bool, changed: str) -> bool:
    """`done`; says so, and in which way the photos are not those of before, if they are `changed`.

    Raises:
        UserError: if the run is done, but with other photos.
    """
    if done and changed:
        raise UserError(
            f"--out {settings.out}: all {settings.epochs} epochs are done, with other photos: {changed}: take another "
            f"--out to train with these (--init {settings.out} starts from its weights), or raise --epochs to go on "
            "with them"
        )
    if changed:
        print(f"{settings.out}: going on with other photos: {changed}")
    if done:
        print(f"{settings.out}: all {settings.epochs} epochs are done; raise --epochs to go on")
    return done


def _out_of_patience(table: Table, settings: FitConfig) -> bool:
    """Whether validation has not become better for too long; says so."""
    scores = scores_of(table)
    if not out_of_patience(scores, settings.patience):
        return False
    best = max(scores, key=scores.get)
    print(f"no better validation in --patience {settings.patience} epochs: epoch {best} is the result")
    return True


def _say_how_good(table: Table, averages: Averages, validate: Callable, judged: bool) -> None:
    """On photos held back: what the result gains over bicubic, and over the weights that it started from."""
    scores, started = scores_of(table), scores_of(table, 0).get(0)
    if scores:
        newest = max(scores)
        score, bicubic = scores[newest] if judged else max(scores.values()), table.column(f"{SCORE}_bicubic")[newest]
    else:
        with averages.in_place():
            figures = validate()
        score, bicubic = figures[SCORE], figures[f"{SCORE}_bicubic"]
    text = f"on photos held back: {score:.2f} dB, bicubic {bicubic:.2f}, {score - bicubic:+.2f}"
    text += "" if score > bicubic else " (not better yet: train longer)"
    if started is not None:
        text += f"; the weights it started from {started:.2f}, {score - started:+.2f}"
        worse = "what detail costs" if judged else "not better than those"
        text += "" if score > started else f" ({worse})"
    print(text)


def _first_look(settings: FitConfig) -> FitConfig:
    """Without photos, and no network of one's own, stage sr goes on with the package's: minutes are too few for more.

    A network of one's own is one that is not the default; `init` says where that starts.
    """
    own = settings.hr or settings.init or settings.sr_network != configuration.SRNetworkSettings()
    own = own or settings.network != "ssrvae"
    shipped = configuration.read(places.find(places.DEFAULT) / places.CONFIG)
    if settings.stage != "sr" or own or settings.scale != shipped.scale:
        return settings
    return dataclasses.replace(settings, init=places.DEFAULT, sr_network=shipped.sr_network)


@contextlib.contextmanager
def _precision(policy: str):
    """Keras' global precision, while the block runs."""
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy(policy)
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy(before)


@contextlib.contextmanager
def _telling_lost_workers(out: str):
    """Several workers go on together or not at all."""
    try:
        yield
    except _LOST as error:
        if "TF_CONFIG" not in os.environ:
            raise
        raise UserError(
            f"another worker is gone: start all of them again, with the same commands: {out} goes on from its last "
            "checkpoint"
        ) from error


@contextlib.contextmanager
def _telling_unread_photos():
    """A photo, or a shard of them, that cannot be read while batches are made ends in the line that says so."""
    try:
        yield
    except tf.errors.OpError as error:
        told = re.search(r"UserError: (.+)", str(error))
        if not told:
            raise
        raise UserError(told[1].strip()) from error


@contextlib.contextmanager
def _telling_a_full_disk(out: str):
    """What was saved before is whole."""
    try:
        yield
    except (OSError, RuntimeError, tf.errors.ResourceExhaustedError) as error:  # RuntimeError is HDF5's
        said = of_the_disk(error)
        if not said:
            raise
        raise UserError(
            f"--out {out}: cannot be written ({said}): make room, and the same command goes on from the last checkpoint"
        ) from error


def _previous(out: Path, settings: FitConfig) -> FitConfig | None:
    """The settings of the run in `out`, if there is one; it must be this one, and if there is none, `out` free."""
    path = out / places.CONFIG
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


def _claim(
    out: Path, settings: FitConfig, folders: dict[str, held_back.Folder], until_done: contextlib.ExitStack
) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        _lock(out, until_done)
        remove_parts(out)  # of a run that was killed
        configuration.write(settings, out / places.CONFIG)
        held_back.write(out, folders)
        (out / _VERSIONS).write_text(json.dumps(_versions(), indent=1) + "\n")
    except OSError as error:
        raise UserError(f"--out {out}: cannot be written ({error.strerror}): give a folder that can") from error


def _lock(out: Path, until_done: contextlib.ExitStack) -> None:
    """Let no other process train there, where system and disk have locks.

    Raises:
        UserError: if another one does.
    """
    taken = True
    with contextlib.suppress(ImportError, OSError):
        folder = os.open(out, os.O_RDONLY)
        until_done.callback(os.close, folder)
        taken = take(folder)
    if not taken:
        raise UserError(f"--out {out}: another process is training there: wait for its end, or give another --out")


def _versions_of(out: Path) -> dict[str, str]:
    """Those that a run was begun or last gone on with; none if they are not known."""
    try:
        found = json.loads((out / _VERSIONS).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _versions() -> dict[str, str]:
    """Of Python and of the packages that are installed."""
    found = {"python": sys.version.split()[0]}
    for name in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


@functools.lru_cache(maxsize=None)  # a second one in a process would reuse the keys of the first one's collectives
def _strategy(several_workers: bool) -> tf.distribute.Strategy:
    if several_workers:
        return tf.distribute.MultiWorkerMirroredStrategy()
    # All GPUs, else all logical CPUs: one, unless the program made more.
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in devices])


def _fitting_strategy(settings: FitConfig) -> tf.distribute.Strategy:
    given = os.environ.get("TF_CONFIG", "")
    try:
        several = bool(given and json.loads(given).get("cluster"))
        if several and settings.max_minutes:
            raise UserError("--max-minutes: the clocks of several workers differ: use --epochs with TF_CONFIG")
        strategy = _strategy(several)
    except (ValueError, AttributeError, TypeError) as error:
        why = f"TF_CONFIG {given}: no cluster and task can be read from it ({one_line(error)})"
        raise UserError(f"{why}: see docs/scale.md, or unset it to train on this machine alone") from error
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


def _folders(settings: FitConfig) -> dict[str, held_back.Folder]:
    """Those that are given, as they are now."""
    given = {name: getattr(settings, name) for name in ("hr", "lr", "everyday")}
    look = held_back.Folder.look
    return {name: look(path, f"--{name}") for name, path in given.items() if path or name == "hr"}


def _read_photos(settings: FitConfig) -> dict[str, PhotoSet]:
    """HR and, where the stage uses them, LR photos."""
    batch, crop, progress = settings.batch_size, settings.crop, sys.stderr.isatty()
    size, lr_size = settings.hr_size, settings.hr_size // settings.scale
    if settings.hr and settings.lr:
        check_not_swapped(sources.some(settings.hr, "--hr"), sources.some(settings.lr, "--lr"))
    if settings.stage == "style":
        for name in ("hr", "lr"):
            if not getattr(settings, name):
                raise UserError(f"--stage style needs --{name}: give a folder of photos; any size and nesting will do")
        return {
            "hr": sources.load(settings.hr, size, crop, max(2, batch), "--hr", progress),
            "lr": sources.load(settings.lr, lr_size, "fit", batch, "--lr", progress, upsample=True),
        }
    if settings.hr:
        size = max(settings.patch_size, size) if crop == "fit" else settings.patch_size
        photos = {"hr": sources.load(settings.hr, size, crop, batch, "--hr", progress)}
    else:
        start = f"going on with {settings.init}" if settings.init else "training"
        print(f"no --hr given: {start} on patches of the package's two photos; give --hr FOLDER for photos of your own")
        # Each photo many times, so that an epoch is more than one batch of patches.
        photos = {"hr": PhotoSet([read_photo(path) for path in sample_photos()] * 8 * batch, settings.patch_size)}
    if settings.lr:
        photos["lr"] = sources.load(settings.lr, lr_size, "fit", 1, "--lr", progress, upsample=True)
    if settings.everyday:
        photos["everyday"] = sources.load(settings.everyday, settings.patch_size, "random", 1, "--everyday", progress)
    return photos


def _hold_back(
    settings: FitConfig, photos: dict[str, PhotoSet], folders: dict, before: dict
) -> tuple[dict[str, PhotoSet], dict[str, PhotoSet]]:
    """(photos to train on, photos for validation, none if that is not wanted or they are too few)."""
    if settings.val == 0:
        return photos, {}
    least = max(2, settings.batch_size)
    everything, photos, kept = photos, dict(photos), {}
    if isinstance(settings.val, str):
        kept["hr"] = sources.load(settings.val, photos["hr"].size, settings.crop, 1, "--val", sys.stderr.isatty())
        photos["hr"] = held_back.without(photos["hr"], kept["hr"])
        if len(photos["hr"]) < least:
            raise UserError(
                f"--val {settings.val}: without its photos --hr holds {len(photos['hr'])}, batch size is {least}: "
                "add photos or lower --batch-size"
            )
    elif not settings.hr:
        parts = held_back.strips(photos["hr"])
        if min(photo.shape[1] for part in parts for photo in part.photos) < settings.patch_size:
            print(f"the package's photos are too small to hold something back at --patch-size {settings.patch_size}")
            return everything, {}
        print("the right quarter of each is held back for validation")
        return {**photos, "hr": parts[0]}, {"hr": parts[1]}
    share = None if isinstance(settings.val, str) else settings.val
    names = [name for name in ("hr", "lr") if name not in kept and (name == "hr" or settings.stage == "style")]
    wanted = {name: held_back.how_many(len(photos[name]), share, least) for name in names}
    for name in names:
        if not wanted[name]:
            count = f"{len(photos[name])} photos"
            print(f"--{name} {getattr(settings, name)}: {count} are too few to hold some back: no validation")
            return everything, {}
    for name in names:
        known, count = before[name].held_back if name in before else [], len(photos[name])
        photos[name], kept[name] = held_back.split(photos[name], folders[name], wanted[name], known, settings.seed)
        print(f"--{name} {getattr(settings, name)}: {len(kept[name])} of {count} photos are held back for validation")
    return photos, kept


def _adversary(settings: FitConfig, levels: Callable | None, optimizer: Callable) -> Adversary | None:
    """What judges stage sr's network beside L1, if anything does."""
    if not settings.judged:
        return None
    critic = optimizer(settings.critic_learning_rate, _GAN_BETA_1) if settings.adversarial else None
    levels_weight = settings.perceptual_features[1] if levels else 0.0
    own = SRGANDiscriminator(settings.patch_size, settings.baseline.filters) if settings.network == "srgan" else None
    return Adversary(critic, settings.adversarial, levels, levels_weight, settings.seed, own)


def _compiled(settings: FitConfig, levels: Callable | None, fresh: bool) -> keras.Model:
    """Ready to train; of a run that is not `fresh`, with weights to be restored."""
    try:
        model = loading.build(settings)
    except ValueError as error:
        raise UserError(str(error)) from error
    if fresh and settings.init:
        loading.start_from(model, settings.init)
    elif fresh and settings.stage == "sr" and settings.network == "ssrvae":
        start_as_enlargement(model)
    steps = settings.epochs * settings.steps_per_epoch

    def optimizer(rate: float, beta_1: float = 0.9):
        return adam(rate, settings.schedule, steps, settings.warmup_steps, beta_1)

    main = optimizer(settings.learning_rate, _GAN_BETA_1 if settings.adversarial else 0.9)
    if settings.stage == "style":
        critic = optimizer(settings.critic_learning_rate, _GAN_BETA_1)
        model.compile(main, critic_optimizer=critic, seed=settings.seed)
    else:
        model.compile(main, adversary=_adversary(settings, levels, optimizer))
        model.colour_weight = settings.colour_weight
        model.optimizer.build(model.trainable_variables)
    return model


def _share(strategy: tf.distribute.Strategy) -> tuple[int, int]:
    """(number of this worker, number of workers)."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return 0, 1
    resolver = strategy.cluster_resolver
    workers = resolver.cluster_spec().as_dict()
    chiefs = len(workers.get("chief", []))
    number = resolver.task_id + (chiefs if resolver.task_type == "worker" else 0)
    return number, chiefs + len(workers.get("worker", []))


def _batches(
    settings: FitConfig, photos: dict[str, PhotoSet], degrade, start_step: int, share: tuple[int, int]
) -> tf.data.Dataset:
    scale, batch, seed = settings.scale, settings.batch_size, settings.seed
    if settings.stage == "style":
        synthetic = settings.style_vae.form == "transfer"
        sizes = (settings.hr_size, scale, batch, seed, start_step)
        return style_batches(photos["hr"], photos["lr"], *sizes, synthetic, share)
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
        share=share,
        unpaired=bool(settings.adversarial and "lr" in photos and settings.network != "srgan"),
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
