"""What each kind of part of the plan does: trainings by `ssrvae_tf.fit`, measurements by `ssrvae_tf.metrics`.

A function takes the part's options and its folder, may leave arrays there, and returns figures for done.json. Photos
are uint8 inside here.
"""

from __future__ import annotations

import csv
import dataclasses
import functools
import statistics
import time
from pathlib import Path
from typing import Any, Callable, Iterator

import keras
import numpy as np
import tensorflow as tf

from ssrvae_tf import config
from ssrvae_tf.errors import UserError
from ssrvae_tf.faces import find_faces
from ssrvae_tf.loading import models as loading
from ssrvae_tf.loading import places
from ssrvae_tf.loading.saved_models import feature_levels
from ssrvae_tf.metrics import Features, ssim
from ssrvae_tf.metrics.comparison import degradation
from ssrvae_tf.metrics.folders import read_hr, read_small
from ssrvae_tf.metrics.identity import Embedding, found_again, similarity
from ssrvae_tf.metrics.image_quality import finite_psnr
from ssrvae_tf.photos.pixels import to_uint8
from ssrvae_tf.photos.writing import replacing
from ssrvae_tf.reproduction import enlarging, peers, pictures, tables
from ssrvae_tf.reproduction.enlarging import BICUBIC, enlarger
from ssrvae_tf.reproduction.plan import RUN
from ssrvae_tf.training.optimizers import adam
from ssrvae_tf.training.run import fit

_BATCH = 16
_PLACES = ("hr", "lr", "style", "init", "perceptual")  # what a folder that was moved is known by


def check_networks(options: dict, folder: Path) -> dict:
    """Find out before hours of training that a network that is to judge them cannot, or that photos are of no use."""
    sharp, small = [], []
    for option, of in options["sharp"]:
        sharp += read_hr(of["hr"], of["size"], of["scale"], 2, minimum=2, framing=of["framing"], what=option)
    for option, lr in options["small"]:
        small += read_small(lr, of["size"] // of["scale"], option, 2, minimum=2)
    for path in options["judges"]:
        for photos in (sharp, small):
            _features(path)(photos)
    if options["identity"]:
        Embedding(options["identity"], options["range"])(np.stack(sharp))
    return {}


def train(options: dict, folder: Path) -> dict:
    """A run of `fit` in folder/run, gone on with if it is there."""
    fields, out = dict(options["fields"], out=str(folder / RUN)), folder / RUN
    if "as_long_as" in options:
        fields["epochs"], fields["steps_per_epoch"] = _as_long(**options["as_long_as"])
    if "perceptual" in options:
        fields["perceptual"] = _perceptual(options["perceptual"]["among"], options["perceptual"]["weight"])
    settings = config.from_dict(fields)
    if (out / places.CONFIG).is_file():  # whose places may have moved, or it would not have this key
        here = {name: getattr(settings, name) for name in _PLACES}
        config.write(dataclasses.replace(config.read(out / places.CONFIG), **here), out / places.CONFIG)
    enlarging.forget()
    fit(settings)
    keras.backend.clear_session()
    trained = config.read(out / places.CONFIG)
    result: dict[str, Any] = {"patches": trained.epochs * trained.steps_per_epoch * trained.batch_size}
    seconds = _seconds(out, trained)
    return {**result, "seconds": seconds} if seconds else result


def _seconds(run: Path, settings: config.FitConfig) -> float | None:
    """How long all steps of a run took, of however many sittings; None if its table is too short to tell."""
    if not (run / "steps.csv").is_file():
        return None
    with (run / "steps.csv").open(newline="") as file:
        rows = [(int(row["step"]), float(row["examples_per_second"])) for row in csv.DictReader(file)]
    each = [settings.batch_size / speed for _, speed in rows]
    return round(settings.epochs * settings.steps_per_epoch * sum(each) / len(each), 1) if each else None


def _as_long(speeds: str, mine: str, its: str, run: str) -> tuple[int, int]:
    """(epochs, steps of one) that take one variant as long as another's run took, by the speeds of both."""
    seconds = tables.result(speeds)["step"]
    other = config.read(Path(run) / places.CONFIG)
    return other.epochs, max(1, round(other.steps_per_epoch * seconds[its] / seconds[mine]))


def _perceptual(among: list[str], weight: float) -> str | None:
    """The first of some networks that gives levels of features, for a loss; None if none does."""
    for path in among:
        try:
            feature_levels(path)
        except UserError:
            continue
        return f"{path}:{weight:g}"
    print("none of --features has a signature `levels`: trained without a perceptual loss")
    return None


def measure_speeds(options: dict, folder: Path) -> dict:
    """Seconds of a training step of each variant, the median of many, taken in turn: a busy machine slows all."""
    steps = {}
    for name, fields in options["fields"].items():
        settings = config.from_dict(fields)
        model = loading.build(settings)
        model.compile(adam(settings.learning_rate, "constant", 1, 0))
        model.optimizer.build(model.trainable_variables)
        hr = tf.random.stateless_uniform((settings.batch_size, *[settings.patch_size] * 2, 3), (0, 0))
        lr = hr[:, :: settings.scale, :: settings.scale]
        steps[name] = functools.partial(tf.function(lambda *pair, model=model: model.train_step(pair)), lr, hr)
    found: dict[str, list] = {name: [] for name in steps}
    for _ in range(options["repetitions"] + 1):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            found[name].append(time.perf_counter() - start)
    return {"step": {name: statistics.median(times[1:]) for name, times in found.items()}}


def degrade(options: dict, folder: Path) -> dict:
    """lr.npy: sharp photos made small."""
    by, styles = options["by"], options["styles"]
    photos = sharp_photos(**options["photos"])
    scale, small = options["photos"]["scale"], options["photos"]["size"] // options["photos"]["scale"]
    given = None if styles is None else np.stack(list(read_small(styles, small, "styles")))
    make = degradation(by if by in (BICUBIC, "classical") else loading.load(by), scale, given)
    made = [make(np.stack(batch), start) for start, batch in batches(photos)]
    _save(folder / "lr.npy", np.concatenate(made))
    return {"photos": len(photos)}


def measure_quality(options: dict, folder: Path) -> dict:
    """psnr.npy and ssim.npy: of each enlarged photo."""
    photos, lr = sharp_photos(**options["photos"]), np.load(Path(options["pairs"]) / "lr.npy")
    enlarge = enlarger(options["network"], options["photos"]["scale"])
    found = []
    for start, batch in batches(photos):
        for sr, truth in zip(enlarge(lr[start : start + len(batch)]), batch):
            sr, truth = np.asarray(sr, np.float32), truth.astype(np.float32) / 255
            found.append((finite_psnr(sr, truth), ssim(sr, truth)))
    for name, values in zip(("psnr", "ssim"), np.asarray(found).T):
        _save(folder / f"{name}.npy", values)
    return {"photos": len(photos), **_about(options["network"])}


def measure_people(options: dict, folder: Path) -> dict:
    """Whether enlarged photos show the same persons (`identity`, a cosine), and still faces (`found`, a share)."""
    photos, lr = sharp_photos(**options["photos"]), np.load(Path(options["pairs"]) / "lr.npy")
    enlarge, embed = enlarger(options["network"], options["photos"]["scale"]), None
    if options["identity"]:
        embed = Embedding(options["identity"], options["range"])
    alike, faces, again = [], 0, 0
    for start, batch in batches(photos):
        truth = np.stack(batch)
        made = to_uint8(enlarge(lr[start : start + len(batch)]))
        alike += [*similarity(embed(made), embed(truth))] if embed else []
        for one, other in zip(truth, made) if options["find"] else ():
            boxes = [face.box for face in find_faces(one)]
            faces, again = faces + len(boxes), again + found_again(boxes, [face.box for face in find_faces(other)])
    return {
        "identity": float(np.mean(alike)) if alike else None,
        "found": again / faces if faces else None,
        "faces": faces,
    }


def measure_features(options: dict, folder: Path) -> dict:
    """NAME.npy: activations (N, D) of photos on each feature network of that name."""
    photos = list(_judged(options))
    for path in options["judges"]:
        _save(folder / f"{Path(path).name}.npy", _features(path)(photos))
    return {"photos": len(photos), **_about(options.get("network", ""))}


def _judged(options: dict) -> Iterator[np.ndarray]:
    small = options["size"] // options["scale"]
    if options["of"] == "sharp":
        yield from sharp_photos(**options["photos"])
    elif options["of"] == "small":
        yield from read_small(options["lr"], small, "--lr", options.get("limit"))
    elif options["of"] == "made":
        yield from np.load(Path(options["pairs"]) / "lr.npy")
    else:
        enlarge = enlarger(options["network"], options["scale"])
        for _, batch in batches(list(read_small(options["lr"], small, "--lr"))):
            yield from to_uint8(enlarge(np.stack(batch)))


@functools.lru_cache(maxsize=4)
def _features(path: str) -> Features:
    return Features(path)


def sharp_photos(hr: str, size: int, scale: int, framing: str, limit: int | None) -> list[np.ndarray]:
    return list(read_hr(hr, size, scale, limit, framing=framing))


def batches(photos: list[np.ndarray]) -> Iterator[tuple[int, list[np.ndarray]]]:
    for start in range(0, len(photos), _BATCH):
        yield start, photos[start : start + _BATCH]


def _about(network: str) -> dict[str, Any]:
    """What reports say of a network: who taught it, and for how long."""
    settings = places.settings(network) if network not in ("", BICUBIC, peers.X4PLUS) else None
    if not settings:
        return {}
    taught_by = sorted(places.taught_by(places.chosen(network)))
    return {
        "taught_by": taught_by,
        "patches": _patches(settings),
        "weights": int(loading.build(settings).count_params()),
    }


def _patches(settings: config.FitConfig) -> int:
    """How many a run was trained on, and the one that it started from, where that is still there."""
    before = places.settings(settings.init) if settings.init else None
    own = settings.epochs * (settings.steps_per_epoch or 0) * settings.batch_size
    return own + (_patches(before) if before else 0)


def _save(path: Path, values: np.ndarray) -> None:
    with replacing(path) as part:
        np.save(part, values)


KINDS: dict[str, Callable[[dict, Path], dict]] = {
    "networks": check_networks,
    "fit": train,
    "speeds": measure_speeds,
    "degrade": degrade,
    "quality": measure_quality,
    "people": measure_people,
    "features": measure_features,
    "pictures": pictures.draw,
    "table_1": tables.table_1,
    "table_2": tables.table_2,
    "table_3": tables.table_3,
    "table_4": tables.table_4,
    "table_5": tables.table_5,
    "table_6": tables.table_6,
}
