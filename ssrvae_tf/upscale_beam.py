"""Enlarge photos on many machines: python -m ssrvae_tf.upscale_beam --input 'GLOB' --output FOLDER [--runner RUNNER]

The work of `ssrvae_tf.upscale` as an Apache Beam pipeline. Options that are not listed are Beam's: --runner,
--direct_num_workers, --temp_location, ...
"""

from __future__ import annotations

from ssrvae_tf.beam import check_installed
from ssrvae_tf.beam.options import OneGlob
from ssrvae_tf.command_line import Parser
from ssrvae_tf.errors import exit_cleanly
from ssrvae_tf.inference.engines import engine
from ssrvae_tf.photos import jobs as photo_jobs
from ssrvae_tf.photos.files import MAX_MEGAPIXELS
from ssrvae_tf.upscale import add_options


def upscale_beam(
    pattern: str,
    output: str,
    flags=(),
    model: str = "faces-x4",
    scale: float | None = None,
    kind: str = "keep",
    quality: int = 95,
    overwrite: bool = False,
    max_megapixels: float = MAX_MEGAPIXELS,
    **settings,
):
    """Enlarge all photos that a glob matches. Results that are there already are skipped.

    Args:
        pattern: a glob on any filesystem that Beam knows; ** stands for folders, too.
        output: the folder of results, which keeps the structure below the glob's first folder.
        flags: Beam's options, as on its command lines.
        model: a name, a run, an exported SavedModel or a `.tflite` file, on this machine and on each worker.
        scale, kind, quality, overwrite, max_megapixels: as for `ssrvae_tf.upscale.upscale_files`.
        settings: further arguments of `ssrvae_tf.upscale`: tile, overlap, batch, strength.

    Returns:
        A `ssrvae_tf.beam.pipeline.Outcome`.

    Raises:
        UserError: if nothing can be done at all. What fails for single photos is in OUTPUT/dead_letter-*.jsonl.
    """
    check_installed()
    from ssrvae_tf.beam import pipeline
    from ssrvae_tf.beam.upscaling import Upscaling

    options = pipeline.checked_options(list(flags))
    pattern, output = pipeline.check_places(pattern, output, "--input", options)
    network_scale = engine(model).scale
    job = Upscaling(
        output, model, network_scale, scale or network_scale, kind, quality, overwrite, max_megapixels, settings
    )
    return pipeline.run(job, pattern, options)


def parse(arguments=None) -> tuple[dict, list[str]]:
    """Arguments of `upscale_beam`, and Beam's options."""
    parser = Parser("ssrvae_tf.upscale_beam", __doc__)
    text = "photos: 'gs://BUCKET/**.jpg', in quotes"
    parser.add("--input", "GLOB", text, required=True, action=OneGlob, dest="pattern")
    parser.add("--output", "FOLDER", "of the results", required=True)
    text = "shipped weights, folder of a run, exported SavedModel or .tflite file, on all machines (default: faces-x4)"
    parser.add("--model", "MODEL", text, default="faces-x4")
    add_options(parser)
    photo_jobs.add_options(parser)
    options, flags = parser.parse_known_args(arguments)
    return vars(options), flags


def main(arguments=None) -> int:
    options, flags = parse(arguments)
    outcome = upscale_beam(options.pop("pattern"), options.pop("output"), flags, kind=options.pop("format"), **options)
    outcome.report()
    return outcome.code


if __name__ == "__main__":
    exit_cleanly(main)
