"""Enlarge photos on many machines: python -m ssrvae_tf.upscale_beam --input 'GLOB' --output FOLDER [--runner RUNNER]

The work of `ssrvae_tf.upscale` as an Apache Beam pipeline. Options that are not listed are Beam's: --runner,
--direct_num_workers, --temp_location, ...
"""

from __future__ import annotations

from typing import Annotated, Literal, Optional, Union

from jsonargparse.typing import ClosedUnitInterval, NonNegativeInt, PositiveFloat, PositiveInt

from ssrvae_tf import command_line
from ssrvae_tf.beam import check_installed
from ssrvae_tf.command_line import Glob
from ssrvae_tf.errors import UserError, exit_cleanly
from ssrvae_tf.inference.fast_engine import Engine, Precision, fastest
from ssrvae_tf.inference.identity import identity
from ssrvae_tf.loading import places
from ssrvae_tf.photos.formats import MAX_MEGAPIXELS, SUFFIXES
from ssrvae_tf.terminal import saying
from ssrvae_tf.upscale import Kind, Quality, Scale, Tile, chosen_background, named_background, upscale_files


def upscale_beam(
    pattern: Glob,
    output: Annotated[str, "FOLDER"],
    flags=(),
    model: Annotated[str, "MODEL"] = places.DEFAULT,
    scale: Optional[Scale] = None,
    format: Kind = "keep",
    quality: Quality = 95,
    overwrite: bool = False,
    max_megapixels: PositiveFloat = MAX_MEGAPIXELS,
    tile: Union[Literal["auto"], Tile] = "auto",
    overlap: NonNegativeInt = 8,
    batch: PositiveInt = 1,
    strength: ClosedUnitInterval = 1.0,
    detail: Optional[ClosedUnitInterval] = None,
    detailed: Optional[Annotated[str, "MODEL"]] = None,
    engine: Engine = "auto",
    precision: Precision = "float32",
    faces: bool = False,
    background: Optional[Annotated[str, "bicubic|MODEL"]] = None,
):
    """Enlarge all photos that a glob matches: the work of `ssrvae_tf.upscale` as an Apache Beam pipeline.

    Results that are there already are skipped, unless something else made them. Options that are not listed are
    Beam's: --runner, --direct_num_workers, --temp_location, ...

    Args:
        pattern: photos on any filesystem that Beam knows: a glob in quotes, such as 'gs://BUCKET/**.jpg', where **
            stands for folders, too.
        output: the folder of results, which keeps the structure below the glob's first folder.
        flags: Beam's options, as on its command lines.
        model: shipped weights, folder of a run, exported SavedModel or .tflite file, on all machines.
        detailed: a second model of the same architecture, of which the share --detail is taken, a half unless told; on
            all machines, too.
        background: what the rest is enlarged by with --faces: bicubic, the default, which adds nothing, or a model,
            such as faces-x4-clean, on all machines.

    Other arguments are as for `ssrvae_tf.upscale.upscale_files`.

    Returns:
        A `ssrvae_tf.beam.pipeline.Outcome`.

    Raises:
        UserError: if nothing can be done at all. What fails for single photos is in OUTPUT/dead_letter-*.jsonl.
    """
    check_installed()
    if background is not None and not faces:
        raise UserError("--background: only with --faces: add it")
    format = SUFFIXES.get(f".{format}", format)  # jpg is jpeg
    with saying("starting Beam and TensorFlow"):
        from ssrvae_tf.beam import pipeline
        from ssrvae_tf.beam.upscaling import Upscaling
        from ssrvae_tf.inference.enlarger import background_engine

    options = pipeline.checked_options(list(flags))
    pattern, output = pipeline.check_places(pattern, output, "--input", options)
    model = places.chosen(model, detail, detailed)
    with saying(f"loading {model}"):
        network_scale = fastest(model, 0, engine, precision).scale
    behind = chosen_background(background) if faces else None
    background_engine(behind, 0, network_scale, engine, precision)  # to see that it fits
    settings = {"tile": tile, "overlap": overlap, "batch": batch, "strength": strength, "faces": faces}
    scales = network_scale, scale or network_scale
    what = model, identity(model), places.detail_of(model)
    asked = engine, precision, behind, named_background(behind)
    job = Upscaling(output, *what, *scales, format, quality, overwrite, max_megapixels, settings, *asked)
    return pipeline.run(job, pattern, options)


def parse(arguments=None) -> dict:
    """Arguments of `upscale_beam`."""
    own = {"spelled": {"pattern": "input"}, "rest": "flags", "like": upscale_files}
    return command_line.read(upscale_beam, "ssrvae_tf.upscale_beam", arguments, **own)


def main(arguments=None) -> int:
    outcome = upscale_beam(**parse(arguments))
    outcome.report()
    return outcome.code


if __name__ == "__main__":
    exit_cleanly(main)
