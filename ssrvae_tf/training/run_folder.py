"""The folder of a training: whose it is, and what it was trained with."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import json
import os
import sys
from pathlib import Path

import tensorflow as tf

from ssrvae_tf import config as configuration
from ssrvae_tf.config import FitConfig
from ssrvae_tf.errors import UserError, of_the_disk
from ssrvae_tf.loading import places
from ssrvae_tf.photos.writing import remove_parts, take
from ssrvae_tf.training import held_back

_PACKAGES = ("tensorflow", "keras", "tensorflow-addons", "tensorflow-probability", "tensorflow-gan", "numpy", "pillow")
_VERSIONS = "versions.json"


def previous_settings(out: Path, settings: FitConfig) -> FitConfig | None:
    """Those of the run in `out`, if there is one.

    Raises:
        UserError: if that is another run, or there is something else in `out`, or nothing can be written.
    """
    path = out / places.CONFIG
    if places.WILDCARDS.search(out.as_posix()):
        raise UserError(f"--out {out}: TensorFlow finds no checkpoints below such a name: give one without [] and \\")
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


def all_done(settings: FitConfig, done: bool, changed: str) -> bool:
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


def claim(
    out: Path, settings: FitConfig, folders: dict[str, held_back.Folder], until_done: contextlib.ExitStack
) -> None:
    """Make the folder this run's until `until_done`, and put down what it trains with.

    Raises:
        UserError: if another process trains there, or nothing can be written.
    """
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


def versions_of(out: Path) -> dict[str, str]:
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


@contextlib.contextmanager
def telling_a_full_disk(out: str):
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
