"""Sheets of pictures: all networks on the same small faces, one face in many styles, other pairs for one network."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ssrvae_tf.loading import models as loading
from ssrvae_tf.metrics.comparison import degradation
from ssrvae_tf.metrics.folders import read_hr, read_small
from ssrvae_tf.photos.sheets import sheet
from ssrvae_tf.photos.writing import write_picture
from ssrvae_tf.reproduction.enlarging import enlarger

_MOST = 4  # photos
_STYLES = 2  # of each photo, on the sheets of enlarged faces
_MANY = 4  # styles of real faces, and as many drawn ones
_CELL = 128


def draw(options: dict, folder: Path) -> dict:
    """styles.webp, and a sheet of enlarged faces for each of `options["sheets"]`, {name: networks}."""
    size, scale = options["size"], options["scale"]
    sharp = np.stack(list(read_hr(options["photos"], size, scale, _MOST, framing="fit")))
    real = list(read_small(options["styles"], size // scale, "--lr-test", _MANY))
    style_vae = loading.load(options["style"])
    given = [degradation(style_vae, scale, [style])(sharp, 0) for style in real]
    # Drawn in one go, so that no two are alike.
    drawn = degradation(style_vae, scale)(np.repeat(sharp, _MANY, 0), 0).reshape(len(sharp), _MANY, *given[0].shape[1:])
    plain = degradation("bicubic", scale)(sharp, 0)
    rows = [[sharp[i], plain[i], *(each[i] for each in given), *drawn[i]] for i in range(len(sharp))]
    titles = ["HR", "bicubic", *(f"real style {i + 1}" for i in range(len(given)))]
    titles += [f"drawn {i + 1}" for i in range(_MANY)]
    _write(folder / "styles.webp", rows, titles)

    lr = np.stack([each[i] for i in range(len(sharp)) for each in given[:_STYLES]])
    truth = np.repeat(sharp, len(given[:_STYLES]), 0)
    results = {name: enlarger(place, scale)(lr) for name, place in options["networks"].items()}
    for name, shown in options["sheets"].items():
        rows = [[small, *(results[each][i] for each in shown), truth[i]] for i, small in enumerate(lr)]
        _write(folder / f"{name}.webp", rows, ["LR", *shown, "HR"])
    return {}


def _write(path: Path, rows: list, titles: list[str]) -> None:
    write_picture(sheet(rows, titles, cell=_CELL), path)
