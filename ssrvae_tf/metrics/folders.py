"""A model, beside bicubic, on folders of photos: what `python -m ssrvae_tf.evaluate` and notebooks call."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, Callable, Iterator, Mapping, Sequence

import numpy as np
from PIL import Image, ImageOps

from ssrvae_tf.errors import UserError
from ssrvae_tf.metrics import Features, Report
from ssrvae_tf.metrics.comparison import compare_degradations, compare_pairs, compare_real, degradation
from ssrvae_tf.metrics.grid import UNUSUAL, USUAL, Grid, grid
from ssrvae_tf.metrics.identity import Embedding, Finder
from ssrvae_tf.metrics.image_quality import RGB, WINDOW, Convention
from ssrvae_tf.metrics.intervals import RESAMPLES
from ssrvae_tf.photos.files import read_photo
from ssrvae_tf.photos.folders import check_not_swapped, find_photos
from ssrvae_tf.terminal import counted

_SIDE = 128  # HR size of the shipped models
GRID_SIDE = 448  # of photos: so large are faces and scenes that are looked at


def evaluate(
    model: Any,
    hr: str | Path,
    degrade: Any = "bicubic",
    lr: str | Path | None = None,
    style: str | Path | None = None,
    features: str | Path | Sequence[str | Path] | None = None,
    limit: int | None = None,
    crop: int | None = None,
    framing: str = "fit",
    seed: int = 0,
    name: str = "model",
    convention: Convention = RGB,
    resamples: int = RESAMPLES,
    embed: Embedding | None = None,
    find: Finder | None = None,
) -> Report:
    """Read the photos, and measure the model in the way that fits what is given.

    Args:
        model: an SRNetwork or a StyleVAE.
        hr: folder of sharp photos.
        degrade: how pairs are made: "bicubic", "matlab", "classical" or a StyleVAE.
        lr: folder of real small photos, for distances; of an SRNetwork they stand beside the figures of pairs.
        style: folder of real small photos that a StyleVAE takes its styles from; None: it draws them itself.
        features: SavedModels for the distances; None: the published Inception.
        limit: at most so many photos of each folder, drawn by `seed`.
        crop: side of the square that is used of each HR photo, cut to a multiple of the scale. Real small photos and
            styles are resized to crop / scale. None: whole HR photos for pairs; else the HR size that the StyleVAE
            was trained on, or 128.
        framing: how that square is made. "fit": the photo is shrunk until its shorter side is `crop`, as a training
            with `crop: fit` does, so that a large face stays whole. "centre": at full size, as with `crop: random`.
        seed: of the drawing of photos, styles and degradations, and of rows for intervals.
        name: of the model, in the table.
        convention: of PSNR and SSIM.
        resamples: how often photos are drawn anew for the intervals of distances; 0: no intervals.
        embed: tells people apart, for their identity in pairs.
        find: a face detector, for how many faces it still finds.

    Raises:
        UserError: if a folder, a feature model or the combination of the arguments is of no use.
    """
    style_vae = next((each for each in (model, degrade) if is_style_vae(each)), None)
    side = crop or (style_vae.lr_size * style_vae.scale if style_vae else _SIDE)
    side -= side % model.scale
    by_distance = lr is not None
    smallest = WINDOW + 2 * convention.border
    least = model.scale if is_style_vae(model) else smallest
    square = side if crop or by_distance else None
    if square and side < least:
        text = f"--crop {crop or side}: leaves {side} pixels at scale {model.scale}, {least} are needed: give more"
        raise UserError(text)
    if is_style_vae(model) and not by_distance:
        raise UserError(f"--model {name} is a StyleVAE: give real small photos by --lr to compare its results with")
    if is_style_vae(model) and (embed or find):
        raise UserError(
            f"--model {name} is a StyleVAE: identity and faces are of SR networks' results: leave these out"
        )
    if style is not None and style_vae is None:
        raise UserError(f"--style {style}: only a StyleVAE takes styles: give one by --degrade or --model")
    if is_style_vae(degrade) and degrade.scale != model.scale:
        raise UserError(f"--degrade: its scale is {degrade.scale}, that of --model is {model.scale}: give equal scales")
    judges = _judges(features) if by_distance else []  # before the photos, so that it fails early
    if lr is not None:
        check_not_swapped(find_photos(hr, "--hr", tell=False), find_photos(lr, "--lr", tell=False))

    draw: dict[str, Any] = {"limit": limit, "seed": seed, "minimum": 2 if by_distance else 1}
    hr_photos = read_hr(hr, square, model.scale, framing=framing, smallest=smallest, **draw)
    framed = (
        {"fit": f", shrunk to {square}", "centre": f", centres of {square} at full size"}[framing] if square else ""
    )
    styles = list(read_small(style, side // model.scale, "--style", **draw)) if style is not None else None
    lr_photos = None if lr is None else read_small(lr, side // model.scale, "--lr", **draw)
    if lr_photos is not None and is_style_vae(model):
        report = compare_degradations(model, hr_photos, lr_photos, judges, styles, seed, name, resamples)
    else:
        how = degrade if isinstance(degrade, str) else f"{degrade.name}, {'given' if styles else 'its own'} styles"
        degrade = degradation(degrade, model.scale, styles, seed)
        how, names = f"degraded by {how}", hr_photos.names
        report = compare_pairs(model, hr_photos, degrade, name, how, convention, names, embed, find)
        if lr_photos is not None:
            sets = lr_photos, hr_photos, judges
            real = compare_real(model, *sets, name, resamples, seed, lr_photos.names, find)
            report = real.beside(report)
    report.title += framed
    report.settings = {"model": name, "hr": hr, "lr": lr, "style": style, "features": features}
    report.settings.update(crop=crop, framing=framing if square else None, limit=limit, seed=seed)
    report.settings.update(convention._asdict(), resamples=resamples if by_distance else None)
    return report


def _judges(features: str | Path | Sequence[str | Path] | None) -> list[Features]:
    if not features:
        return [Features()]
    judges: dict[str, Features] = {}
    for path in [features] if isinstance(features, (str, Path)) else features:
        judge = Features(path)
        if judge.frechet_name in judges:
            raise UserError(f"--features {path}: a second network of that name: rename the folder, or leave one out")
        judges[judge.frechet_name] = judge
    return list(judges.values())


def evaluate_grid(
    enlarge: Callable,
    scale: int,
    hr: Mapping[str, str | Path],
    side: int = GRID_SIDE,
    unusual: bool = False,
    limit: int | None = None,
    seed: int = 0,
    name: str = "model",
    convention: Convention = RGB,
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
        convention: of the PSNR.

    Raises:
        UserError: if a folder is of no use.
    """
    smallest = WINDOW + 2 * convention.border
    if side < smallest:
        raise UserError(f"--side {side}: at least {smallest} is wanted")
    photos = {each: read_whole(folder, side, scale, limit, seed, smallest) for each, folder in hr.items()}
    for each in photos.values():
        next(iter(each))  # one that is of no use is told before the others take their time
    ways = USUAL + UNUSUAL if unusual else USUAL
    found = grid(enlarge, photos, scale, ways, seed, convention)
    found.settings = {"model": name, "hr": hr, "side": side, "limit": limit, "seed": seed}
    found.settings.update(found.convention._asdict())
    return found


def is_style_vae(model: Any) -> bool:
    return hasattr(model, "degrade")


class Photos:
    """Usable photos of a folder, uint8 (H, W, 3), in an order drawn by `seed`: read one by one, anew in each pass.

    What cannot be used is named on stderr, once.

    Args:
        folder, what: where they are, and the option that says so.
        prepare: what is made of each; a UserError, if it is of no use.
        limit: at most so many.
        minimum: fewer are a UserError, at the end of a pass.

    Attributes:
        names: paths in the folder of those that the last pass gave so far.
    """

    def __init__(
        self,
        folder: str | Path,
        what: str,
        prepare: Callable[[np.ndarray], np.ndarray],
        limit: int | None = None,
        seed: int = 0,
        minimum: int = 1,
    ):
        self.names: list[str] = []
        self._folder, self._what, self._prepare, self._minimum = folder, what, prepare, minimum
        paths = find_photos(folder, what)
        self._paths = [paths[number] for number in np.random.default_rng(seed).permutation(len(paths))]
        self._wanted = min(limit or len(paths), len(paths))
        self._told = False

    def __length_hint__(self) -> int:
        return self._wanted

    def items(self) -> Iterator[tuple[str, np.ndarray]]:
        """Names and photos, as of a dict."""
        for photo in self:
            yield self.names[-1], photo

    def __iter__(self) -> Iterator[np.ndarray]:
        self.names.clear()
        skipped: list[str] = []
        for path in self._paths:
            if len(self.names) == self._wanted:
                break
            try:
                photo = self._prepare(read_photo(path))
            except UserError as error:
                reason = str(error)
                skipped.append(reason if str(path) in reason else f"{path}: {reason}")
                continue
            self.names.append(os.path.relpath(path, self._folder))
            yield photo
        place, usable = f"{self._what} {self._folder}", len(self.names)
        if skipped and not self._told:
            print(f"{place}: skipped {counted(len(skipped), 'file')}, such as {skipped[0]}", file=sys.stderr)
            self._told = True
        if usable < self._minimum:
            raise UserError(f"{place}: {usable} usable photos, at least {self._minimum} wanted: add photos")


def read_hr(
    folder: str | Path,
    crop: int | None,
    scale: int,
    limit: int | None = None,
    seed: int = 0,
    minimum: int = 1,
    framing: str = "fit",
    smallest: int = WINDOW,
    what: str = "--hr",
) -> Photos:
    """Sharp photos: crop x crop, or whole, cut to multiples of `scale`. Smaller ones are skipped, and those of one
    colour.

    Args:
        framing: see `evaluate`.
        smallest: side of a whole photo.
        what: the option that gave the folder.
    """
    least = crop or -(-smallest // scale) * scale

    def prepare(photo: np.ndarray) -> np.ndarray:
        if min(photo.shape[:2]) < least:
            raise UserError(f"{photo.shape[1]}x{photo.shape[0]}, must be at least {least} pixels on each side")
        if crop and framing == "fit":
            return _measurable(_fitted(photo, crop))
        sides = [crop or side // scale * scale for side in photo.shape[:2]]
        top, left = ((whole - side) // 2 for whole, side in zip(photo.shape, sides))
        return _measurable(photo[top : top + sides[0], left : left + sides[1]])

    return Photos(folder, what, prepare, limit, seed, minimum)


def read_whole(
    folder: str | Path, side: int, scale: int, limit: int | None = None, seed: int = 0, smallest: int = WINDOW
) -> Photos:
    """Whole sharp photos, shrunk until no side is above `side`, cut to multiples of `scale`; none of one colour."""

    def shrink(photo: np.ndarray) -> np.ndarray:
        image = Image.fromarray(photo)
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
        height, width = (length // scale * scale for length in (image.height, image.width))
        if min(height, width) < smallest:
            raise UserError(f"{image.width}x{image.height}, must be at least {smallest} pixels on each side")
        return _measurable(np.asarray(image)[:height, :width])

    return Photos(folder, "--hr", shrink, limit, seed)


def read_small(
    folder: str | Path, size: int, what: str, limit: int | None = None, seed: int = 0, minimum: int = 1
) -> Photos:
    """Real small photos, size x size: the centre square, resized (bicubic)."""
    return Photos(folder, what, lambda photo: _fitted(photo, size), limit, seed, minimum)


def _measurable(photo: np.ndarray) -> np.ndarray:
    """Raises UserError: for a photo of one colour, which bicubic gives back to the bit."""
    if (photo == photo[0, 0]).all():
        raise UserError(f"{photo.shape[1]}x{photo.shape[0]} of one colour: nothing can be told by it")
    return photo


def _fitted(photo: np.ndarray, side: int) -> np.ndarray:
    """The centre square of the whole photo, resized (bicubic) to `side`."""
    return np.asarray(ImageOps.fit(Image.fromarray(photo), (side, side), Image.Resampling.BICUBIC))
