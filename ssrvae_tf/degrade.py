"""Make pairs for any training code: python -m ssrvae_tf.degrade --hr DIR --out DIR [--style RUN|NAME] [--from LRDIR]

Writes OUT/HR/NAME.png and OUT/LR/X4/NAME.png, as BasicSR, EDSR-PyTorch and KAIR read them.
"""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import numpy as np
from jsonargparse.typing import NonNegativeInt, PositiveInt

from ssrvae_tf.command_line import Parser
from ssrvae_tf.errors import UserError, exit_cleanly
from ssrvae_tf.photos import files as photo_files
from ssrvae_tf.photos import folders
from ssrvae_tf.photos import jobs as photo_jobs
from ssrvae_tf.photos.files import MAX_MEGAPIXELS, Photo, read_photo
from ssrvae_tf.photos.folders import find_photos


def degrade_files(
    hr,
    out,
    style="faces-style",
    real=None,
    variants: int = 1,
    seed: int = 0,
    overwrite: bool = False,
    recursive: bool = False,
    jobs: int = 2,
    max_megapixels: float = MAX_MEGAPIXELS,
) -> photo_jobs.Outcome:
    """Write pairs of sharp and degraded photos: OUT/HR/NAME.png and OUT/LR/X4/NAME.png, X4 for a scale of 4.

    HR photos are cut at the right and below to multiples of the scale. What a photo becomes depends on its name and
    `seed` only, so a job that was stopped goes on as if it had not been. LR files are written last: a pair is whole
    where they are.

    Args:
        hr: folder of sharp photos.
        out: the folder that gets HR/ and LR/.
        style: a StyleVAE by run or name, or a StyleVAE.
        real: folder of real small photos, one of which, by chance, gives each its style; None: the StyleVAE draws them.
        variants: pairs of each photo, NAME_1.png, NAME_2.png, ... if above 1, each degraded in another way.
        seed: of styles and noise.
        overwrite: make pairs anew that are there; else they are skipped.
        recursive: take photos in folders of `hr`, too.
        jobs: threads that read, and as many that write.
        max_megapixels: larger photos are refused.

    Raises:
        UserError: if nothing can be done at all. What fails for single photos is in the outcome.
    """
    if not os.path.isdir(hr):
        raise UserError(f"--hr {hr}: no such folder: give a folder of sharp photos")
    sources, _ = folders.find_sources([os.fspath(hr)], recursive, Path(out))
    styles = find_photos(real, "--from") if real is not None else None
    degrader = load_degrader(style)
    scale = degrader.scale
    small, sharp = Path(out, "LR", f"X{scale}"), Path(out, "HR")
    numbers = range(1, variants + 1)

    planned = folders.plan(sources, small, pair_name)
    items, keys = [], {}
    for source, item in zip(sources, planned):
        for number in numbers:
            name = item.target if variants == 1 else item.target.with_stem(f"{item.target.stem}_{number}")
            items.append(folders.Item(item.source, name))
            keys[name] = chance(source.inside.as_posix(), number, seed)
    for folder in {item.target.parent for item in items}:
        folders.check_folder(folder, "--out")
        folders.check_folder(sharp / folder.relative_to(small), "--out")

    outcome = photo_jobs.Outcome()
    there = set() if overwrite else {item.target for item in items if os.path.exists(item.target)}
    todo = [item for item in items if item.target not in there]
    outcome.skipped = [item.target for item in items if item.target in there]
    todo = photo_jobs.measured(todo, outcome, max_megapixels, jobs)

    def read(item):
        return read_sharp(item.source, scale, max_megapixels)

    def work(item, photo, report):
        result = Photo(degraded(photo.pixels, degrader, keys[item.target], styles))
        report(1, 1)
        return result

    def write(item, photo, result):
        photo_files.write(photo, sharp / item.target.relative_to(small))
        photo_files.write(result, item.target)

    photo_jobs.run(todo, read, work, write, outcome, "degrade", jobs)
    return outcome


def load_degrader(style):
    """The Degrader of a StyleVAE, or of what is known by that name or lies in that run's folder.

    Raises:
        UserError: if there is no such StyleVAE.
    """
    from ssrvae_tf.inference.degrader import Degrader

    if isinstance(style, (str, os.PathLike)):
        from ssrvae_tf.loading.models import load

        name, style = style, load(style)
        if not hasattr(style, "degrade"):
            raise UserError(f"--style {name}: an SR network: give a StyleVAE, such as faces-style")
    return Degrader(style)


def pair_name(source: folders.Source, apart: bool) -> str:
    """What both photos of a pair are called; `apart` tells `a.jpg` and `a.png` apart."""
    return f"{source.path.name if apart else source.path.stem}.png"


def chance(inside: str, number: int, seed: int) -> list[int]:
    """The seed of one pair.

    Args:
        inside: where the sharp photo lies in its folder; not its whole path, which differs from machine to machine.
        number: of the variant, from 1.
        seed: of the job.
    """
    return [zlib.crc32(os.fsencode(inside)), number, seed]


def read_sharp(path: Path, scale: int, max_megapixels: float = MAX_MEGAPIXELS) -> Photo:
    """A sharp photo (H, W, 3) uint8, cut at the right and below to multiples of `scale`.

    Raises:
        UserError: if it cannot be read, or nothing of it would be left.
    """
    photo = photo_files.read(path, max_megapixels)
    pixels = photo_files.colour(photo)
    height, width = pixels.shape[:2]
    if min(height, width) < scale:
        raise UserError(f"{path}: {width}x{height}, at least {scale}x{scale} is wanted: remove it")
    return Photo(pixels[: height // scale * scale, : width // scale * scale], note=photo.note)


def degraded(hr: np.ndarray, degrader, seed: list[int], styles=None, read=read_photo) -> np.ndarray:
    """A sharp photo (H, W, 3) uint8 -> (H / scale, W / scale, 3) uint8.

    Args:
        degrader: a `ssrvae_tf.inference.degrader.Degrader`.
        seed: by `chance`.
        styles: paths of real small photos, one of which gives the style; None: the StyleVAE draws it.
        read: path -> (h, w, 3) uint8.

    Raises:
        UserError: if none of `styles` can be read.
    """
    rng = np.random.default_rng(seed)
    code = _any_style(styles, degrader, rng, read) if styles else degrader.draw_code(int(rng.integers(2**31)))
    return degrader(hr, code, int(rng.integers(2**31)))


def _any_style(styles: list, degrader, rng, read) -> np.ndarray:
    """The code of a random one of the photos that can be read."""
    for number in rng.permutation(len(styles)):
        try:
            return degrader.code(read(styles[number]))
        except UserError:
            continue
    raise UserError("--from: none of the photos there can be read: give a folder of real small photos")


def add_options(parser: Parser) -> None:
    """What degrading can be told, here or on many machines."""
    parser.add("--variants", "N", "different degradations of each photo (default: 1)", type=PositiveInt, default=1)
    parser.add("--seed", "N", "of styles and noise (default: 0)", type=NonNegativeInt, default=0)


def main(arguments=None) -> int:
    parser = Parser("ssrvae_tf.degrade", __doc__)
    parser.add("--hr", "DIR", "sharp photos", required=True)
    parser.add("--out", "DIR", "gets HR/ and LR/X4/", required=True)
    parser.add("--style", "RUN|NAME", "a StyleVAE (default: faces-style)", default="faces-style")
    text = "real small photos to take styles from (default: the StyleVAE draws them)"
    parser.add("--from", "DIR", text, dest="real")
    add_options(parser)
    photo_jobs.add_local_options(parser)
    options = vars(parser.parse_args(arguments))
    outcome = degrade_files(**options)
    outcome.report(options["out"])
    return outcome.code


if __name__ == "__main__":
    exit_cleanly(main)
