"""One training, from its settings to a folder that `load` reads."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Callable

import keras
import tensorflow as tf

from ssrvae_tf import config as configuration
from ssrvae_tf.compat import check_going_on
from ssrvae_tf.config import FitConfig
from ssrvae_tf.data import PhotoSet
from ssrvae_tf.errors import UserError
from ssrvae_tf.loading import models as loading
from ssrvae_tf.loading import places
from ssrvae_tf.loading.saved_models import feature_levels
from ssrvae_tf.metrics import Features
from ssrvae_tf.models.adversarial import Adversary
from ssrvae_tf.models.baselines import SRGANDiscriminator
from ssrvae_tf.photos.folders import check_outside
from ssrvae_tf.training import devices, held_back, material, pictures, run_folder
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

_GAN_BETA_1 = 0.5  # of players who move against each other, where much momentum makes them circle


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
    with contextlib.ExitStack() as until_done:
        until_done.enter_context(devices.precision(settings.precision))
        until_done.enter_context(devices.telling_lost_workers(settings.out))
        until_done.enter_context(material.telling_unread_photos())
        until_done.enter_context(run_folder.telling_a_full_disk(settings.out))
        _train(settings, until_done)
    return loading.load(settings.out)


def _train(settings: FitConfig, until_done: contextlib.ExitStack) -> None:
    out = Path(settings.out)
    given = [(f"--{name}", getattr(settings, name)) for name in ("hr", "lr", "everyday")]
    check_outside(out, "--out", [*given, ("--val", settings.val if isinstance(settings.val, str) else None)])
    previous = run_folder.previous_settings(out, settings)
    steps = settings.steps_per_epoch or (previous and previous.steps_per_epoch)
    done = Checkpoints.newest_step(out / "checkpoints")
    folders, before = material.folders_of(settings), held_back.read(out)
    changed = held_back.differences(before, folders)
    if run_folder.all_done(settings, steps and done >= settings.epochs * steps, changed):
        return
    if done:
        check_going_on(run_folder.versions_of(out), str(out))
    Checkpoints.refuse_older(out / "checkpoints")
    strategy = devices.strategy_for(settings)  # first of all that uses TensorFlow: several workers want it so
    several_workers = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
    features = Features(settings.features) if settings.features and settings.stage == "style" else None
    levels = feature_levels(settings.perceptual_features[0]) if settings.perceptual else None
    degrade = material.degrader(settings)
    photos, kept = material.hold_back(settings, material.read_photos(settings), folders, before)
    steps = steps or max(1, len(photos["hr"]) // settings.batch_size)
    settings = dataclasses.replace(settings, steps_per_epoch=steps)
    first_worker = strategy.extended.should_checkpoint
    # The others do all the same, since it takes part in collectives, and throw it away.
    elsewhere = None if first_worker else tempfile.TemporaryDirectory()
    place = out if first_worker else Path(elsewhere.name)
    if first_worker:
        run_folder.claim(out, settings, folders, until_done)
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
        batches = material.batches(settings, photos, degrade, done, devices.share_of_this_worker(strategy))
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
        model.colour_weight, model.tile_weight = settings.colour_weight, settings.tile_weight
        model.optimizer.build(model.trainable_variables)
    return model


def _adversary(settings: FitConfig, levels: Callable | None, optimizer: Callable) -> Adversary | None:
    """What judges stage sr's network beside L1, if anything does."""
    if not settings.judged:
        return None
    critic = optimizer(settings.critic_learning_rate, _GAN_BETA_1) if settings.adversarial else None
    levels_weight = settings.perceptual_features[1] if levels else 0.0
    own = SRGANDiscriminator(settings.patch_size, settings.baseline.filters) if settings.network == "srgan" else None
    return Adversary(critic, settings.adversarial, levels, levels_weight, settings.seed, own)


def _prepare(model: keras.Model, photos: dict[str, PhotoSet]) -> None:
    if hasattr(model, "fit_sampler"):
        model.fit_sampler(material.squares(photos["lr"]))


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
