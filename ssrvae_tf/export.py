"""Write a model for other programs: python -m ssrvae_tf.export MODEL --savedmodel DIR"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from jsonargparse.typing import PositiveInt

from ssrvae_tf.errors import exit_cleanly


def export(
    model: str,
    savedmodel: str,
    version: int | None = None,
    keep: int = 2,
    max_pixels: int | None = None,
) -> Path:
    """Write a model as a SavedModel and print what was written.

    Args:
        model: as for `ssrvae_tf.load`.
        savedmodel: folder of the versions; `version`, `keep`, `max_pixels`: see
            `ssrvae_tf.exporting.saved_model.export_saved_model`.

    Returns:
        the version's folder.

    Raises:
        UserError: if there is no such model, or the version cannot be written.
    """
    from ssrvae_tf import loading
    from ssrvae_tf.exporting.saved_model import MAX_PIXELS, export_saved_model

    network = loading.load(model)
    run = None if loading.keras_file(model) else model
    start = time.monotonic()
    path = export_saved_model(network, savedmodel, version, keep, max_pixels or MAX_PIXELS, run)
    size = sum(each.stat().st_size for each in path.rglob("*") if each.is_file())
    print(f"{path}: {size / 1e6:.1f} MB in {time.monotonic() - start:.0f} s")
    return path


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m ssrvae_tf.export", description="Write a model for other programs.", allow_abbrev=False
    )

    def add(option, metavar, text, **more):
        parser.add_argument(option, metavar=metavar, help=text, **more)

    parser.add_argument(
        "model", metavar="MODEL", help="shipped weights, folder of a run or an exported version, or .keras file"
    )
    add(
        "--savedmodel",
        "DIR",
        "for TensorFlow Serving: the next version in this folder, DIR/1, DIR/2, ...",
        required=True,
    )
    add("--version", "N", "of the SavedModel (default: the newest there and 1)", type=PositiveInt)
    add("--keep", "K", "versions that stay, the newest ones (default: 2)", type=PositiveInt, default=2)
    add("--max-pixels", "N", "photos of more are refused when sent as bytes (default: 65536)", type=PositiveInt)
    return parser


def main(arguments=None) -> None:
    options = vars(_parser().parse_args(arguments))
    export(**options)


if __name__ == "__main__":
    exit_cleanly(main)
