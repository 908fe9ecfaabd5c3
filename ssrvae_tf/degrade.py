"""Make pairs for any training code: python -m ssrvae_tf.degrade --hr DIR --out DIR [--style RUN|NAME] [--from LRDIR]

Writes OUT/HR/NAME.png and OUT/LR/X4/NAME.png, as BasicSR, EDSR-PyTorch and KAIR read them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Optional

from jsonargparse.typing import NonNegativeInt, PositiveFloat, PositiveInt

from ssrvae_tf import command_line
from ssrvae_tf.command_line import Folder
from ssrvae_tf.errors import UserError, exit_cleanly
from ssrvae_tf.inference.identity import identity
from ssrvae_tf.loading import places
from ssrvae_tf.photos import folders, records
from ssrvae_tf.photos import jobs as photo_jobs
from ssrvae_tf.photos.formats import MAX_MEGAPIXELS
from ssrvae_tf.terminal import saying


def degrade_files(
    hr: Folder,
    out: Folder,
    style: Annotated[str, "RUN|NAME"] = places.DEFAULT_STYLE,
    real: Optional[Folder] = None,
    variants: PositiveInt = 1,
    seed: NonNegativeInt = 0,
    overwrite: bool = False,
    recursive: bool = False,
    jobs: PositiveInt = 2,
    max_megapixels: PositiveFloat = MAX_MEGAPIXELS,
) -> photo_jobs.Outcome:
    """Write pairs of sharp and degraded photos: OUT/HR/NAME.png and OUT/LR/X4/NAME.png, X4 for a scale of 4.

    HR photos are cut at the right and below to multiples of the scale. What a photo becomes depends on its name and
    `seed` only, so a job that was stopped goes on as if it had not been. LR files are written last: a pair is whole
    where they are. They say what made them: what another StyleVAE, other styles or options, or another photo made is
    made again.

    Args:
        hr: folder of sharp photos.
        out: the folder that gets HR/ and LR/.
        style: a StyleVAE: shipped weights or the folder of a run.
        real: folder of real small photos, one of which, by chance, gives each its style; else it draws them.
        variants: pairs of each photo, NAME_1.png, NAME_2.png, ... if above 1, each degraded in another way.
        seed: of styles and noise.
        overwrite: make all pairs anew; else those that these options have made are skipped.
        recursive: take photos in folders of `hr`, too.
        jobs: threads that read, and as many that write.
        max_megapixels: larger photos are refused.

    Raises:
        UserError: if nothing can be done at all. What fails for single photos is in the outcome.
    """
    if not os.path.isdir(hr):
        raise UserError(f"--hr {hr}: no such folder: give a folder of sharp photos")
    if not os.fspath(out):
        raise UserError("--out: an empty name: give a folder")
    sharp, pairs = Path(out, "HR"), Path(out, "LR")
    if os.path.realpath(hr) in (os.path.realpath(sharp), os.path.realpath(pairs)):
        raise UserError(f"--out {out}: its HR/ and LR/ are for results, --hr is one of them: choose another folder")
    sources, failed = folders.find_sources([os.fspath(hr)], recursive, [sharp, pairs])
    styles = folders.find_photos(real, "--from") if real is not None else None
    if styles:
        folders.check_not_swapped([source.path for source in sources], styles, lr_option="--from")
    # The scale is all that is needed to see what is there already, and TensorFlow takes seconds to load.
    known = places.settings(style) if isinstance(style, (str, os.PathLike)) else None
    degrader = None if known and known.stage == "style" else _load(style)
    scale = (degrader or known).scale
    small = pairs / f"X{scale}"
    numbers = range(1, variants + 1)

    planned = folders.plan(sources, small, folders.pair_name)
    items, named = [], {}
    for source, item in zip(sources, planned):
        for number in numbers:
            name = item.target if variants == 1 else item.target.with_stem(f"{item.target.stem}_{number}")
            items.append(folders.Item(item.source, name))
            named[name] = source.inside.as_posix(), number
    for folder in {item.target.parent for item in items}:
        folders.check_folder(folder, "--out")
        folders.check_folder(sharp / folder.relative_to(small), "--out")

    outcome, digest = photo_jobs.Outcome(failed=failed), identity(style)
    looks = styles and records.of_photos((path.relative_to(real).as_posix(), folders.size_of(path)) for path in styles)

    def made(item):
        return records.of_pair(folders.size_of(item.source), digest, looks, *named[item.target], seed)

    todo = photo_jobs.undone(items, made, outcome, overwrite, jobs)
    todo = photo_jobs.measured(todo, outcome, max_megapixels, jobs)
    if not todo:
        return outcome
    degrader = degrader or _load(style)
    from ssrvae_tf.inference.degrader import chance, degraded, read_sharp
    from ssrvae_tf.photos import files

    def read(item):
        return read_sharp(item.source, scale, max_megapixels)

    def work(item, photo, report):
        result = files.Photo(degraded(photo.pixels, degrader, chance(*named[item.target], seed), styles))
        report(1, 1)
        return result

    def write(item, photo, result):
        files.write(photo, sharp / item.target.relative_to(small))
        files.write(result, item.target, made=made(item))

    photo_jobs.run(todo, read, work, write, outcome, "degrade", jobs)
    return outcome


def _load(style):
    with saying(f"loading {style if isinstance(style, (str, os.PathLike)) else 'the StyleVAE'}"):
        from ssrvae_tf.inference.degrader import load_degrader

        return load_degrader(style)


def main(arguments=None) -> int:
    options = command_line.read(degrade_files, "ssrvae_tf.degrade", arguments, spelled={"real": "from"})
    outcome = degrade_files(**options)
    outcome.report(f"to {options['out']}")
    return outcome.code


if __name__ == "__main__":
    exit_cleanly(main)
