"""Make pairs for any training code on many machines:

python -m ssrvae_tf.degrade_beam --hr 'GLOB' --output FOLDER [--style RUN|NAME] [--from 'GLOB'] [--runner RUNNER]

The work of `ssrvae_tf.degrade`, with the same pixels, as an Apache Beam pipeline: OUTPUT/HR/NAME.png and
OUTPUT/LR/X4/NAME.png. Options that are not listed are Beam's: --runner, --direct_num_workers, --temp_location, ...
"""

from __future__ import annotations

from ssrvae_tf.beam import check_installed
from ssrvae_tf.beam.options import OneGlob
from ssrvae_tf.command_line import Parser
from ssrvae_tf.degrade import add_options, load_degrader
from ssrvae_tf.errors import exit_cleanly
from ssrvae_tf.photos import jobs as photo_jobs
from ssrvae_tf.photos.files import MAX_MEGAPIXELS


def degrade_beam(
    hr: str,
    output: str,
    flags=(),
    style: str = "faces-style",
    real: str | None = None,
    variants: int = 1,
    seed: int = 0,
    overwrite: bool = False,
    max_megapixels: float = MAX_MEGAPIXELS,
):
    """Write a pair, sharp and degraded, of each photo that a glob matches.

    What a photo becomes depends on its place below the glob's first folder and on `seed` only, as in
    `ssrvae_tf.degrade`. Pairs that are there already are skipped.

    Args:
        hr: a glob on any filesystem that Beam knows; ** stands for folders, too.
        output: the folder that gets HR/ and LR/.
        flags: Beam's options, as on its command lines.
        style: a StyleVAE by run or name, on this machine and on each worker.
        real: a glob of real small photos, one of which, by chance, gives each its style; None: the StyleVAE draws them.
        variants, seed, overwrite, max_megapixels: as for `ssrvae_tf.degrade.degrade_files`.

    Returns:
        A `ssrvae_tf.beam.pipeline.Outcome`.

    Raises:
        UserError: if nothing can be done at all. What fails for single photos is in OUTPUT/dead_letter-*.jsonl.
    """
    check_installed()
    from ssrvae_tf.beam import files, handlers, pipeline
    from ssrvae_tf.beam.degrading import Degrading

    options = pipeline.checked_options(list(flags))
    pattern, output = pipeline.check_places(hr, output, "--hr", options)
    if real:
        real = files.absolute(real)
        handlers.style_photos(real)  # raises if there are none
    job = Degrading(output, style, real, load_degrader(style).scale, variants, seed, overwrite, max_megapixels)
    return pipeline.run(job, pattern, options)


def parse(arguments=None) -> tuple[dict, list[str]]:
    """Arguments of `degrade_beam`, and Beam's options."""
    parser = Parser("ssrvae_tf.degrade_beam", __doc__)
    parser.add("--hr", "GLOB", "sharp photos, such as 'gs://BUCKET/**.jpg', in quotes", required=True, action=OneGlob)
    parser.add("--output", "FOLDER", "gets HR/ and LR/X4/", required=True)
    parser.add("--style", "RUN|NAME", "a StyleVAE, on all machines (default: faces-style)", default="faces-style")
    text = "real small photos to take styles from (default: none)"
    parser.add("--from", "GLOB", text, action=OneGlob, dest="real")
    add_options(parser)
    photo_jobs.add_options(parser)
    options, flags = parser.parse_known_args(arguments)
    return vars(options), flags


def main(arguments=None) -> int:
    options, flags = parse(arguments)
    outcome = degrade_beam(flags=flags, **options)
    outcome.report()
    return outcome.code


if __name__ == "__main__":
    exit_cleanly(main)
