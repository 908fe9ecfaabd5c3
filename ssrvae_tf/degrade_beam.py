"""Make pairs for any training code on many machines:

python -m ssrvae_tf.degrade_beam --hr 'GLOB' --output FOLDER [--style RUN|NAME] [--from 'GLOB'] [--runner RUNNER]

The work of `ssrvae_tf.degrade`, with the same pixels, as an Apache Beam pipeline: OUTPUT/HR/NAME.png and
OUTPUT/LR/X4/NAME.png. Options that are not listed are Beam's: --runner, --direct_num_workers, --temp_location, ...
"""

from __future__ import annotations

from typing import Annotated, Optional

from jsonargparse.typing import NonNegativeInt, PositiveFloat, PositiveInt

from ssrvae_tf import command_line
from ssrvae_tf.beam import check_installed
from ssrvae_tf.command_line import Glob
from ssrvae_tf.degrade import degrade_files
from ssrvae_tf.errors import exit_cleanly
from ssrvae_tf.inference.identity import identity
from ssrvae_tf.loading import places
from ssrvae_tf.photos.formats import MAX_MEGAPIXELS
from ssrvae_tf.terminal import saying


def degrade_beam(
    hr: Glob,
    output: Annotated[str, "FOLDER"],
    flags=(),
    style: Annotated[str, "RUN|NAME"] = places.DEFAULT_STYLE,
    real: Optional[Glob] = None,
    variants: PositiveInt = 1,
    seed: NonNegativeInt = 0,
    overwrite: bool = False,
    max_megapixels: PositiveFloat = MAX_MEGAPIXELS,
):
    """Write a pair, OUTPUT/HR/NAME.png and OUTPUT/LR/X4/NAME.png, of each photo that a glob matches.

    This is `ssrvae_tf.degrade`, with the same pixels, as an Apache Beam pipeline: what a photo becomes depends on its
    place below the glob's first folder and on `seed` only. Pairs that are there already are skipped, unless something
    else made them. Options that are not listed are Beam's: --runner, --direct_num_workers, --temp_location, ...

    Args:
        hr: sharp photos on any filesystem that Beam knows: a glob in quotes, such as 'gs://BUCKET/**.jpg', where **
            stands for folders, too.
        output: the folder that gets HR/ and LR/.
        flags: Beam's options, as on its command lines.
        style: a StyleVAE by run or name, on this machine and on each worker.
        real: a glob of real small photos, one of which, by chance, gives each its style; else it draws them.

    Other arguments are as for `ssrvae_tf.degrade.degrade_files`.

    Returns:
        A `ssrvae_tf.beam.pipeline.Outcome`.

    Raises:
        UserError: if nothing can be done at all. What fails for single photos is in OUTPUT/dead_letter-*.jsonl.
    """
    check_installed()
    with saying("starting Beam and TensorFlow"):
        from ssrvae_tf.beam import files, handlers, pipeline
        from ssrvae_tf.beam.degrading import Degrading
        from ssrvae_tf.inference.degrader import load_degrader

    options = pipeline.checked_options(list(flags))
    pattern, output = pipeline.check_places(hr, output, "--hr", options)
    real = files.absolute(real) if real else None
    looks = handlers.style_photos_digest(real) if real else None
    with saying(f"loading {style}"):
        scale = load_degrader(style).scale
    job = Degrading(output, style, identity(style), real, looks, scale, variants, seed, overwrite, max_megapixels)
    return pipeline.run(job, pattern, options)


def parse(arguments=None) -> dict:
    """Arguments of `degrade_beam`."""
    own = {"spelled": {"real": "from"}, "rest": "flags", "like": degrade_files}
    return command_line.read(degrade_beam, "ssrvae_tf.degrade_beam", arguments, **own)


def main(arguments=None) -> int:
    outcome = degrade_beam(**parse(arguments))
    outcome.report()
    return outcome.code


if __name__ == "__main__":
    exit_cleanly(main)
