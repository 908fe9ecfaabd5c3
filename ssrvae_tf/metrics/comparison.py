"""The comparisons that `ssrvae_tf.evaluate` prints: a model beside Pillow's bicubic. Photos are uint8 inside here.

They come one after another, and go through the networks in batches: neither all photos nor all results are in memory.
"""

from __future__ import annotations

from operator import length_hint
from typing import Any, Callable, Iterable, Iterator, Sequence

import numpy as np
import tensorflow as tf
from PIL import Image

from ssrvae_tf.data.degradations import bicubic, classical
from ssrvae_tf.metrics.distances import Features, frechet_distance, kernel_distance
from ssrvae_tf.metrics.identity import Embedding, Finder, found_again, similarity
from ssrvae_tf.metrics.image_quality import RGB, Convention, finite_psnr, ssim
from ssrvae_tf.metrics.intervals import RESAMPLES, frechet_intervals, kernel_interval
from ssrvae_tf.metrics.report import Report
from ssrvae_tf.photos.pixels import to_uint8
from ssrvae_tf.photos.resizing import matlab_resized, resized
from ssrvae_tf.terminal import Bar

Degrade = Callable[[np.ndarray, int], np.ndarray]
"""(hr uint8 (B, H, W, 3), number of the first of them) -> lr uint8 (B, H / scale, W / scale, 3)."""
DEGRADATIONS = ("bicubic", "matlab", "classical")

_PLAIN = "plain bicubic"  # not "bicubic": a run may be called so
_GAINS = {"PSNR dB": 2, "SSIM": 4, "identity": 3, "faces found": 3}  # and their digits
_SHIFTS = ("red shift", "green shift", "blue shift")
_COLUMNS = ("LR", "bicubic", "result", "truth")
_PIXELS = 16 * 128**2  # of a batch
_SHOWN = 8  # rows of pictures of each kind
_LARGEST = 512  # side of a picture that is kept


def compare_pairs(
    model: Any,
    photos: Iterable[np.ndarray],
    degrade: Degrade,
    name: str = "model",
    how: str = "degraded",
    convention: Convention = RGB,
    names: Sequence[str] | None = None,
    embed: Embedding | None = None,
    find: Finder | None = None,
) -> Report:
    """PSNR and SSIM of super-resolved degraded photos, and how far red, green and blue shift from the true ones, in
    gray levels of 255: means over the photos, where one that is met exactly counts as 100 dB. The photos that lose
    most in PSNR are shown.

    Args:
        photos: uint8 (H, W, 3), sides multiples of model.scale.
        degrade: makes the LR photos; see `degradation`.
        how: what the title says about it.
        convention: of PSNR and SSIM.
        names: of the photos, which may grow as they are read.
        embed: for `identity`, the mean similarity of each photo and the true one.
        find: for `faces found`, the share of the faces in the true photos that are found again.
    """
    figures: dict[str, list[dict[str, float]]] = {_PLAIN: [], name: []}
    faces, again = 0, dict.fromkeys(figures, 0)
    worst = _Worst()
    for start, batch in _batches(photos, "pairs"):
        lr = degrade(batch, start)
        sr = _super_resolve(model, lr)
        made = {_PLAIN: np.stack([_enlarge(photo, model.scale) for photo in lr]), name: _to_uint8(sr)}
        for row, images in ((_PLAIN, made[_PLAIN] / 255.0), (name, sr)):
            figures[row] += [_figures(*pair, convention) for pair in zip(images, batch / 255.0)]
        if embed:
            people = embed(batch)
            for row, found in figures.items():
                for each, alike in zip(found[start:], similarity(embed(made[row]), people)):
                    each["identity"] = float(alike)
        if find:
            for truth, *results in zip(batch, *made.values()):
                true_faces = find(truth)
                faces += len(true_faces)
                for row, result in zip(made, results):
                    again[row] += found_again(true_faces, find(result))
        for number, pictures in enumerate(zip(lr, *made.values(), batch), start):
            gain = figures[name][number]["PSNR dB"] - figures[_PLAIN][number]["PSNR dB"]
            worst.add(gain, names[number] if names else f"photo {number + 1}", pictures)
    rows = {
        row: {each: float(np.mean([one[each] for one in found])) for each in found[0]} for row, found in figures.items()
    }
    for row, count in again.items() if faces else ():
        rows[row]["faces found"] = count / faces
    digits = {}
    for column, count in _GAINS.items():
        if column in rows[name]:
            rows[name][f"{column} gain"] = rows[name][column] - rows[_PLAIN][column]
            digits.update({column: count, f"{column} gain": count})
    digits.update(dict.fromkeys(_SHIFTS, 2))
    title = f"{len(figures[name])} HR photos, x{model.scale}, {how}, PSNR and SSIM of {convention}"
    title += f", {faces or 'no'} faces in them" if find else ""
    return Report(title, digits, rows, pictures=worst.pictures, columns=_COLUMNS)


def _figures(image: np.ndarray, truth: np.ndarray, convention: Convention) -> dict[str, float]:
    shift = 255.0 * (image - truth).mean((0, 1))
    found = {"PSNR dB": finite_psnr(image, truth, *convention), "SSIM": ssim(image, truth, *convention)}
    return {**found, **dict(zip(_SHIFTS, map(float, shift)))}


class _Worst:
    """The pictures of the photos that lose most."""

    def __init__(self) -> None:
        self._rows: list[tuple[float, str, tuple]] = []

    @property
    def pictures(self) -> list[tuple[str, tuple]]:
        return [(f"{gain:+.2f} dB: {photo}", pictures) for gain, photo, pictures in self._rows]

    def add(self, gain: float, photo: str, pictures: tuple) -> None:
        if len(self._rows) < _SHOWN or gain < self._rows[-1][0]:
            self._rows = sorted([*self._rows, (gain, photo, _kept(*pictures))], key=lambda row: row[0])[:_SHOWN]


def compare_real(
    model: Any,
    lr_photos: Iterable[np.ndarray],
    hr_photos: Iterable[np.ndarray],
    judges: Sequence[Features],
    name: str = "model",
    resamples: int = RESAMPLES,
    seed: int = 0,
    names: Sequence[str] | None = None,
    find: Finder | None = None,
) -> Report:
    """Distances of super-resolved real small photos to real sharp ones. Some of the photos are shown.

    Args:
        lr_photos: uint8 (h, w, 3), all of one size.
        hr_photos: uint8, all of that size times model.scale.
        judges: the networks on whose features distances are measured, each under its own name.
        resamples: how often photos are drawn anew for the intervals; 0: no intervals.
        seed: of that.
        names: of the small photos, which may grow as they are read.
        find: for `with a face`, the share of the results in which a face is found.
    """
    pictures: list[tuple[str, tuple]] = []
    with_a_face = {_PLAIN: 0, name: 0}

    def results() -> Iterator[dict[str, np.ndarray]]:
        for start, batch in _batches(lr_photos, name):
            enlarged = np.stack([_enlarge(photo, model.scale) for photo in batch])
            made = {_PLAIN: enlarged, name: _to_uint8(_super_resolve(model, batch))}
            for number in range(start, min(start + len(batch), _SHOWN)):
                shown = batch[number - start], *(each[number - start] for each in made.values())
                pictures.append((names[number] if names else "a real small photo", (*_kept(*shown), None)))
            if find:
                for row, results in made.items():
                    with_a_face[row] += sum(len(find(photo)) > 0 for photo in results)
            yield made

    wanted = _activations(({"": batch} for _, batch in _batches(hr_photos, "HR")), judges)[""]
    found = _activations(results(), judges)
    title = f"{len(found[name][0])} real LR photos, x{model.scale}, to {len(wanted[0])} HR photos"
    report = _distances(title, found, wanted, judges, resamples, seed)
    if find:
        report.digits["with a face"] = 3
        for row, count in with_a_face.items():
            report.rows[row]["with a face"] = count / len(found[row][0])
    report.pictures, report.columns = pictures, _COLUMNS
    return report


def compare_degradations(
    model: Any,
    hr_photos: Iterable[np.ndarray],
    lr_photos: Iterable[np.ndarray],
    judges: Sequence[Features],
    styles: Sequence[np.ndarray] | None = None,
    seed: int = 0,
    name: str = "model",
    resamples: int = RESAMPLES,
) -> Report:
    """Distances of degraded HR photos to real small ones. Some of the photos are shown.

    Args:
        hr_photos: uint8 (H, W, 3), all of one size.
        lr_photos: uint8, all of that size divided by model.scale.
        judges: as for `compare_real`.
        styles: uint8 (N, h, w, 3) real small photos, whose styles are measured beside the model's own sampler.
        seed: of what is drawn.
        resamples: as for `compare_real`.
    """
    ways: dict[str, tuple[Any, Any]] = {"bicubic": ("bicubic", None), "classical": ("classical", None)}
    if styles is not None:
        ways[f"{name}, real styles"] = (model, styles)
    ways[f"{name}, its own styles"] = (model, None)
    made = {row: degradation(kind, model.scale, given, seed) for row, (kind, given) in ways.items()}
    pictures: list[tuple[str, tuple]] = []

    def results() -> Iterator[dict[str, np.ndarray]]:
        for start, batch in _batches(hr_photos, name):
            found = {row: degrade(batch, start) for row, degrade in made.items()}
            for each in list(zip(batch, *found.values()))[: _SHOWN - start if start < _SHOWN else 0]:
                pictures.append(("", _kept(*each)))
            yield found

    wanted = _activations(({"": batch} for _, batch in _batches(lr_photos, "LR")), judges)[""]
    found = _activations(results(), judges)
    count = len(next(iter(found.values()))[0])
    title = f"{count} degraded HR photos, x{model.scale}, to {len(wanted[0])} real LR photos"
    report = _distances(title, found, wanted, judges, resamples, seed)
    report.pictures, report.columns = pictures, ("HR", *ways)
    return report


def degradation(kind: Any, scale: int, styles: Sequence[np.ndarray] | None = None, seed: int = 0) -> Degrade:
    """A function that makes small 8-bit photos.

    Args:
        kind: one of `DEGRADATIONS` or a StyleVAE. "matlab" shrinks bicubically too, as benchmarks do.
        styles: uint8 (N, h, w, 3), which a StyleVAE applies in turn; None: it draws styles itself.
        seed: of everything random.
    """
    one = tf.function(
        lambda hr, kind_seed, noise_seed: classical(hr, scale, kind_seed, noise_seed),
        input_signature=[tf.TensorSpec((None, None, 3)), tf.TensorSpec((2,), tf.int64), tf.TensorSpec((2,), tf.int64)],
    )

    def shrink(hr: tf.Tensor, first: int) -> tf.Tensor:
        return bicubic(hr, scale)

    def degrade_classically(hr: tf.Tensor, first: int) -> tf.Tensor:
        numbers = range(2 * first, 2 * (first + len(hr)), 2)
        return tf.stack([one(photo, (seed, n), (seed, n + 1)) for photo, n in zip(hr, numbers)])

    def degrade_by_model(hr: tf.Tensor, first: int) -> tf.Tensor:
        given = None
        if styles is not None:
            given = _to_float(np.take(styles, range(first, first + len(hr)), 0, mode="wrap"))
        return kind.degrade(hr, style=given, seed=seed + first)

    if kind == "matlab":
        return lambda hr, first: np.stack([matlab_resized(photo, 1 / scale) for photo in hr])
    if isinstance(kind, str):
        function = {"bicubic": shrink, "classical": degrade_classically}[kind]
    else:
        function = degrade_by_model
    return lambda hr, first: _to_uint8(function(_to_float(hr), first))


def _batches(photos: Iterable[np.ndarray], what: str) -> Iterator[tuple[int, np.ndarray]]:
    """Yields (number of the first photo, photos (B, H, W, 3)): neighbours of equal size, few if they are large."""
    start = 0
    held: list[np.ndarray] = []
    with Bar(total=length_hint(photos), desc=what, unit="photo", disable=None, leave=False) as bar:
        for photo in photos:
            if held and (photo.shape != held[0].shape or len(held) >= _PIXELS // photo[..., 0].size):
                yield start, np.stack(held)
                start, held = start + len(held), []
            held.append(photo)
            bar.update()
        if held:
            yield start, np.stack(held)


def _super_resolve(model: Any, lr: np.ndarray) -> np.ndarray:
    """uint8 (B, h, w, 3) -> float32 in [0, 1]."""
    return np.clip(model.predict((lr / 255.0).astype(np.float32), verbose=0), 0, 1)


def _enlarge(photo: np.ndarray, scale: int) -> np.ndarray:
    height, width = photo.shape[:2]
    return resized(photo, width * scale, height * scale)


def _to_float(photos: np.ndarray) -> tf.Tensor:
    return tf.constant(photos / 255.0, tf.float32)


def _to_uint8(images: Any) -> np.ndarray:
    return to_uint8(np.asarray(images, np.float32))


def _kept(*pictures: np.ndarray) -> tuple[np.ndarray, ...]:
    """Copies, so that a batch can go, no larger than a sheet needs."""
    images = [Image.fromarray(each) for each in pictures]
    for image in images:
        image.thumbnail((_LARGEST, _LARGEST), Image.Resampling.LANCZOS)
    return tuple(np.array(image) for image in images)


def _activations(batches: Iterable[dict[str, np.ndarray]], judges: Sequence[Features]) -> dict[str, list[np.ndarray]]:
    """Batches of each row's photos, one after another -> the row's features (N, D) on each network."""
    found: dict[str, list[list[np.ndarray]]] = {}
    for batch in batches:
        for row, photos in batch.items():
            for judge, parts in zip(judges, found.setdefault(row, [[] for _ in judges])):
                parts.append(judge(photos, what=None))
    return {row: [np.concatenate(parts) for parts in each] for row, each in found.items()}


def _distances(
    title: str,
    found: dict[str, list[np.ndarray]],
    wanted: list[np.ndarray],
    judges: Sequence[Features],
    resamples: int,
    seed: int,
) -> Report:
    """The first row of `found` is the one that the others are compared with; their photos are the same."""
    plain = next(iter(found))
    digits: dict[str, int] = {}
    rows: dict[str, dict[str, float]] = {row: {} for row in found}
    intervals: dict[str, dict[str, tuple[float, float]]] = {row: {} for row in found}
    for number, judge in enumerate(judges):
        frechet, kernel = judge.frechet_name, judge.kernel_name
        ratio, difference = f"{frechet} of bicubic's", f"{frechet} difference"
        digits.update({frechet: 3, ratio: 2, difference: 3, kernel: 5})
        for row, each in found.items():
            sets = each[number], wanted[number]
            rows[row].update({frechet: frechet_distance(*sets), kernel: kernel_distance(*sets)})
            rows[row][ratio] = rows[row][frechet] / rows[plain][frechet]
            if row != plain:
                rows[row][difference] = rows[row][frechet] - rows[plain][frechet]
            if resamples:
                intervals[row][kernel] = kernel_interval(*sets, resamples, seed)
        if resamples:
            of_rows = frechet_intervals([each[number] for each in found.values()], wanted[number], resamples, seed)
            for row, (of_distance, of_difference) in zip(found, of_rows):
                intervals[row].update({frechet: of_distance, **({difference: of_difference} if row != plain else {})})
    title += f", 95 % intervals of {resamples} resamples" if resamples else ""
    return Report(title, digits, rows, intervals=intervals)
