"""A model, beside bicubic, on folders of photos: what `python -m ssrvae_tf.evaluate` and notebooks call."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, Callable, Mapping

import numpy as np
from PIL import Image, ImageOps

from ssrvae_tf.errors import UserError
from ssrvae_tf.metrics import Features, Report
from ssrvae_tf.metrics.comparison import compare_degradations, compare_pairs, compare_real, degradation
from ssrvae_tf.metrics.grid import UNUSUAL, USUAL, Grid, grid
from ssrvae_tf.photos.files import read_photo
from ssrvae_tf.photos.folders import check_not_swapped, find_photos
from ssrvae_tf.terminal import Bar

_SIDE = 128  # HR size of the shipped models
_SMALLEST = 11  # SSIM's window
GRID_SIDE = 448  # of photos: so large are faces and scenes that are looked at


def evaluate(
    model: Any,
    hr: str | Path,
    degrade: Any = "bicubic",
    lr: str | Path | None = None,
    style: str | Path | None = None,
    features: str | Path | None = None,
    limit: int | None = None,
    crop: int | None = None,
    framing: str = "fit",
    seed: int = 0,
    name: str = "model",
) -> Report:
    """Read the photos, and measure the model in the way that fits what is given.

    Args:
        model: an SRNetwork or a StyleVAE.
        hr: folder of sharp photos.
        degrade: how pairs are made: "bicubic", "classical" or a StyleVAE.
        lr: folder of real small photos; no pairs then.
        style: folder of real small photos that a StyleVAE takes its styles from; None: it draws them itself.
        features: SavedModel for the distances; None: the published Inception.
        limit: at most so many photos of each folder, drawn by `seed`.
        crop: side of the square that is used of each HR photo, cut to a multiple of the scale. Real small photos and
            styles are resized to crop / scale. None: whole HR photos for pairs; else the HR size that the StyleVAE
            was trained on, or 128.
        framing: how that square is made. "fit": the photo is shrunk until its shorter side is `crop`, as a training
            with `crop: fit` does, so that a large face stays whole. "centre": at full size, as with `crop: random`.
        seed: of the drawing of photos, styles and degradations.
        name: of the model, in the table.

    Raises:
        UserError: if a folder, the feature model or the combination of the arguments is of no use.
    """
    style_vae = next((each for each in (model, degrade) if is_style_vae(each)), None)
    side = crop or (style_vae.lr_size * style_vae.scale if style_vae else _SIDE)
    side -= side % model.scale
    by_distance = lr is not None
    least = model.scale if by_distance else _SMALLEST
    if side < least:
        raise UserError(f"--crop {crop}: leaves {side} pixels at scale {model.scale}, {least} are needed: give more")
    if is_style_vae(model) and not by_distance:
        raise UserError(f"--model {name} is a StyleVAE: give real small photos by --lr to compare its results with")
    if style is not None and style_vae is None:
        raise UserError(f"--style {style}: only a StyleVAE takes styles: give one by --degrade or --model")
    if is_style_vae(degrade) and degrade.scale != model.scale:
        raise UserError(f"--degrade: its scale is {degrade.scale}, that of --model is {model.scale}: give equal scales")
    measure = Features(features) if by_distance else None  # before the photos, so that it fails early
    if lr is not None:
        check_not_swapped(find_photos(hr, "--hr", tell=False), find_photos(lr, "--lr", tell=False))

    draw: dict[str, Any] = {"limit": limit, "seed": seed, "minimum": 2 if by_distance else 1}
    square = side if crop or by_distance else None
    hr_photos = read_hr(hr, square, model.scale, framing=framing, **draw)
    framed = (
        {"fit": f", shrunk to {square}", "centre": f", centres of {square} at full size"}[framing] if square else ""
    )
    styles = read_small(style, side // model.scale, "--style", **draw) if style is not None else None
    if lr is None or measure is None:
        how = degrade if isinstance(degrade, str) else f"{degrade.name}, {'given' if styles else 'its own'} styles"
        degrade = degradation(degrade, model.scale, styles, seed)
        report = compare_pairs(model, hr_photos, degrade, name, f"degraded by {how}")
    else:
        lr_photos = read_small(lr, side // model.scale, "--lr", **draw)
        if is_style_vae(model):
            report = compare_degradations(model, hr_photos, lr_photos, measure, styles, seed, name)
        else:
            report = compare_real(model, lr_photos, hr_photos, measure, name)
    report.title += framed
    report.settings = {"model": name, "hr": hr, "lr": lr, "style": style, "features": features}
    report.settings.update(crop=crop, framing=framing if square else None, limit=limit, seed=seed)
    return report


def evaluate_grid(
    enlarge: Callable,
    scale: int,
    hr: Mapping[str, str | Path],
    side: int = GRID_SIDE,
    unusual: bool = False,
    limit: int | None = None,
    seed: int = 0,
    name: str = "model",
) -> Grid:
    """Whole photos of several folders, harmed in known ways and enlarged.

    Args:
        enlarge: uint8 (h, w, 3) -> uint8 (scale h, scale w, 3), such as `ssrvae_tf.upscale` with a model.
        scale: by which it enlarges.
        hr: set -> folder of sharp photos.
        side: photos are shrunk until no side is longer.
        unusual: also harm them as `ssrvae_tf.metrics.grid.UNUSUAL` says.
        limit: at most so many photos of each folder, drawn by `seed`.
        seed: of the drawing of photos, and of noise.
        name: of the model, for the record.

    Raises:
        UserError: if a folder is of no use.
    """
    if side < _SMALLEST:
        raise UserError(f"--side {side}: at least {_SMALLEST} is wanted")
    photos = {each: read_whole(folder, side, scale, limit, seed) for each, folder in hr.items()}
    ways = USUAL + UNUSUAL if unusual else USUAL
    found = grid(enlarge, photos, scale, ways, seed)
    found.settings = {"model": name, "hr": hr, "side": side, "limit": limit, "seed": seed}
    return found


def is_style_vae(model: Any) -> bool:
    return hasattr(model, "degrade")


def read_hr(
    folder: str | Path,
    crop: int | None,
    scale: int,
    limit: int | None = None,
    seed: int = 0,
    minimum: int = 1,
    framing: str = "fit",
) -> list[np.ndarray]:
    """Sharp photos, uint8: crop x crop, or whole, cut to multiples of `scale`. Smaller ones are skipped.

    Args:
        framing: see `evaluate`.
    """
    least = crop or -(-_SMALLEST // scale) * scale

    def prepare(photo: np.ndarray) -> np.ndarray:
        if min(photo.shape[:2]) < least:
            raise UserError(f"{photo.shape[1]}x{photo.shape[0]}, must be at least {least} pixels on each side")
        if crop and framing == "fit":
            return _fitted(photo, crop)
        sides = [crop or side // scale * scale for side in photo.shape[:2]]
        top, left = ((whole - side) // 2 for whole, side in zip(photo.shape, sides))
        return photo[top : top + sides[0], left : left + sides[1]]

    return _read(folder, "--hr", prepare, limit, seed, minimum)


def read_whole(
    folder: str | Path, side: int, scale: int, limit: int | None = None, seed: int = 0
) -> dict[str, np.ndarray]:
    """Whole sharp photos by their names, uint8, shrunk until no side is above `side`, cut to multiples of `scale`."""
    names: list[str] = []

    def shrink(photo: np.ndarray) -> np.ndarray:
        image = Image.fromarray(photo)
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
        height, width = (length // scale * scale for length in (image.height, image.width))
        if min(height, width) < _SMALLEST:
            raise UserError(f"{image.width}x{image.height}, must be at least {_SMALLEST} pixels on each side")
        return np.asarray(image)[:height, :width]

    photos = _read(folder, "--hr", shrink, limit, seed, 1, names)
    return dict(zip(names, photos))


def read_small(
    folder: str | Path, size: int, what: str, limit: int | None = None, seed: int = 0, minimum: int = 1
) -> list[np.ndarray]:
    """Real small photos, uint8 size x size: the centre square, resized (bicubic)."""

    return _read(folder, what, lambda photo: _fitted(photo, size), limit, seed, minimum)


def _fitted(photo: np.ndarray, side: int) -> np.ndarray:
    """The centre square of the whole photo, resized (bicubic) to `side`."""
    return np.asarray(ImageOps.fit(Image.fromarray(photo), (side, side), Image.Resampling.BICUBIC))


def _read(
    folder: str | Path,
    what: str,
    prepare: Callable[[np.ndarray], np.ndarray],
    limit: int | None,
    seed: int,
    minimum: int,
    names: list[str] | None = None,
) -> list[np.ndarray]:
    """At most `limit` usable photos in an order drawn by `seed`; what cannot be used is named on stderr.

    `names`, if a list, gets their paths within the folder.
    """
    paths = find_photos(folder, what)
    wanted = min(limit or len(paths), len(paths))
    photos: list[np.ndarray] = []
    skipped: list[str] = []
    with Bar(total=wanted, desc=what, unit="photo", disable=None, leave=False) as bar:
        for number in np.random.default_rng(seed).permutation(len(paths)):
            if len(photos) == wanted:
                break
            path = paths[number]
            try:
                photos.append(prepare(read_photo(path)))
                if names is not None:
                    names.append(os.path.relpath(path, folder))
                bar.update()
            except UserError as error:
                reason = str(error)
                skipped.append(reason if str(path) in reason else f"{path}: {reason}")
    if skipped:
        print(f"{what} {folder}: skipped {len(skipped)} files, such as {skipped[0]}", file=sys.stderr)
    if len(photos) < minimum:
        raise UserError(f"{what} {folder}: {len(photos)} usable photos, at least {minimum} wanted: add photos")
    return photos
