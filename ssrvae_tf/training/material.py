"""What a run trains on: its photos, those that it holds back, and batches of them."""

from __future__ import annotations

import contextlib
import re
import sys

import numpy as np
import tensorflow as tf

from ssrvae_tf import config as configuration
from ssrvae_tf.config import FitConfig
from ssrvae_tf.data import PhotoSet, sources, sr_batches, style_batches
from ssrvae_tf.errors import UserError
from ssrvae_tf.loading import models as loading
from ssrvae_tf.photos.files import read_photo
from ssrvae_tf.photos.folders import check_not_swapped
from ssrvae_tf.photos.samples import sample_photos
from ssrvae_tf.training import held_back
from ssrvae_tf.training.devices import precision


def folders_of(settings: FitConfig) -> dict[str, held_back.Folder]:
    """Those that are given, as they are now."""
    given = {name: getattr(settings, name) for name in ("hr", "lr", "everyday")}
    look = held_back.Folder.look
    return {name: look(path, f"--{name}") for name, path in given.items() if path or name == "hr"}


def read_photos(settings: FitConfig) -> dict[str, PhotoSet]:
    """HR and, where the stage uses them, LR and everyday photos.

    Raises:
        UserError: if some are missing, too few or cannot be read.
    """
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


def hold_back(
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


def degrader(settings: FitConfig):
    """What turns stage sr's HR patches into LR ones: a name that the pipeline knows, or a frozen styleVAE."""
    if settings.stage == "style" or settings.style in configuration.NO_MODEL:
        return settings.style
    try:
        # In float32, whatever the SR network has, and on the processor, where the batches are made.
        with precision("float32"), tf.device("CPU:0"):
            model = loading.load(settings.style)
    except UserError as error:
        raise UserError(f"--style {error}; {', '.join(configuration.NO_MODEL)} need no model") from error
    if not hasattr(model, "degrade") or model.scale != settings.scale:
        kind = f"a styleVAE of scale {model.scale}" if hasattr(model, "degrade") else "an SR network"
        raise UserError(f"--style {settings.style}: {kind}: give a styleVAE of scale {settings.scale}")
    return tf.function(model.degrade)


def batches(
    settings: FitConfig, photos: dict[str, PhotoSet], degrade, start_step: int, share: tuple[int, int]
) -> tf.data.Dataset:
    """What steps are made of, without end.

    Args:
        start_step: the first batch is that step's.
        share: (number of this worker, number of workers).
    """
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


def squares(photos: PhotoSet) -> np.ndarray:
    """Up to 2,048 photos, their centres, as one float32 batch."""
    side, pieces = photos.size, []
    for i in range(0, len(photos), -(-len(photos) // 2048)):
        photo = photos.photo(i)
        top, left = ((length - side) // 2 for length in photo.shape[:2])
        pieces.append(photo[top : top + side, left : left + side])
    return np.asarray(pieces, "float32") / 255.0


@contextlib.contextmanager
def telling_unread_photos():
    """A photo, or a shard of them, that cannot be read while batches are made ends in the line that says so."""
    try:
        yield
    except tf.errors.OpError as error:
        told = re.search(r"UserError: (.+)", str(error))
        if not told:
            raise
        raise UserError(told[1].strip()) from error
