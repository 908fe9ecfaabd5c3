"""Never worse than bicubic? Photos whose truth is known, harmed in known ways, a model beside Pillow's bicubic.

The ways are written in NumPy, SciPy and Pillow, apart from those that networks are trained on.
"""

from __future__ import annotations

import csv
import io
import json
import zlib
from dataclasses import dataclass, field
from operator import length_hint
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Mapping, Sequence

import numpy as np
from PIL import Image
from scipy import ndimage

from ssrvae_tf.markdown import cell
from ssrvae_tf.metrics.image_quality import RGB, Convention, finite_psnr
from ssrvae_tf.photos.resizing import resized
from ssrvae_tf.photos.sheets import sheet
from ssrvae_tf.photos.writing import replacing, write_picture
from ssrvae_tf.terminal import Bar

if TYPE_CHECKING:
    from matplotlib.figure import Figure

USUAL = (
    "clean",
    "blur 0.5",
    "blur 1",
    "blur 2",
    "JPEG 75",
    "JPEG 35",
    "noise 4",
    "noise 10",
    "blur 1, noise 3, JPEG 50",
)
"""Gaussian blur in LR pixels, JPEG quality, Gaussian noise in gray levels of 255."""
UNUSUAL = ("aliased", "motion blur", "WebP 40", "coarse noise 6", "dust", "16 levels", "JPEG 30 twice")
"""Every fourth pixel, which `ssrvae_tf.data.wide` makes too; and what no training of this package makes: 2 LR pixels
along rows, noise of 1 pixel's width, 1 % black and 1 % white pixels, few levels, two grids of blocks."""
_WORST = 12  # photos on the sheet
_COLOURS = ("red", "green", "blue")


def harmed(hr: np.ndarray, way: str, scale: int, seed: int = 0) -> np.ndarray:
    """Shrink a photo, bicubically unless `way` says otherwise, and harm it.

    Args:
        hr: uint8 (H, W, 3), sides multiples of `scale`.
        way: one of `USUAL` or `UNUSUAL`.
        seed: of the noise, which differs from way to way.

    Returns:
        uint8 (H / scale, W / scale, 3).
    """
    rng = np.random.default_rng((seed, zlib.crc32(way.encode())))
    if way == "aliased":
        return np.ascontiguousarray(hr[scale // 2 :: scale, scale // 2 :: scale])
    if way == "motion blur":
        hr = _rounded(ndimage.uniform_filter1d(hr.astype(np.float32), 2 * scale + 1, 1, mode="reflect"))
    steps = [part.split() for part in way.split(", ")]
    for kind, *amount in steps:
        if kind == "blur":
            sigma = float(amount[0]) * scale
            hr = _rounded(ndimage.gaussian_filter(hr.astype(np.float32), (sigma, sigma, 0), mode="reflect"))
    lr = resized(hr, hr.shape[1] // scale, hr.shape[0] // scale)
    for kind, *amount in steps:
        if kind == "noise":
            lr = _rounded(lr + rng.normal(0, float(amount[0]), lr.shape))
        elif kind in ("JPEG", "WebP"):
            lr = _coded(lr, kind, int(amount[0]))
    if way == "JPEG 30 twice":
        lr = np.roll(_coded(np.roll(lr, (3, 5), (0, 1)), "JPEG", 30), (-3, -5), (0, 1))
    elif way == "coarse noise 6":
        noise = ndimage.gaussian_filter(rng.normal(0, 1, lr.shape), (1, 1, 0))
        lr = _rounded(lr + 6 * noise / noise.std())
    elif way == "dust":
        chance = rng.random((*lr.shape[:2], 1))
        lr = np.where(chance < 0.01, 0, np.where(chance > 0.99, 255, lr)).astype(np.uint8)
    elif way == "16 levels":
        lr = _rounded(np.rint(lr / 17.0) * 17.0)
    return lr


@dataclass
class Grid:
    """What `grid` found.

    Attributes:
        cells: (set, way) -> {"gain", "worst", "photo", "shift"}: mean gain over bicubic in dB; the smallest gain and
            the photo that has it; mean shift of red, green and blue from bicubic's, in gray levels of 255.
        gray: what even gray of 128 becomes: red, green and blue.
        worst: (what it is, (LR, bicubic, result, truth)) of the photos that lose most, the worst first.
        settings: what is needed to repeat the measurement.
        convention: of the PSNR; results are of 8 bit here.
    """

    cells: dict
    gray: tuple
    worst: list
    settings: dict = field(default_factory=dict)
    convention: Convention = Convention(rounded=True)

    @property
    def below(self) -> list:
        """(set, way) whose mean lies below bicubic's."""
        return [cell for cell, figures in self.cells.items() if figures["gain"] < 0]

    @property
    def means(self) -> dict:
        """Each set's mean gain over its usual ways, in dB."""
        gains: dict[str, list[float]] = {}
        for (name, way), figures in self.cells.items():
            if way in USUAL:
                gains.setdefault(name, []).append(figures["gain"])
        return {name: float(np.mean(each)) for name, each in gains.items()}

    def table(self) -> str:
        """Markdown: a row for each set and way, then the figures that sum it up."""
        lines = [
            "| set | degradation | dB over bicubic | worst photo | red, green, blue shift |",
            "|---|---|---|---|---|",
        ]
        for (name, way), each in self.cells.items():
            shift = ", ".join(f"{value:+.2f}" for value in each["shift"])
            worst = f"{each['worst']:+.2f}, {cell(each['photo'])}"
            lines.append(f"| {cell(name)} | {way} | {each['gain']:+.2f} | {worst} | {shift} |")
        means = ", ".join(f"{name} {value:+.2f}" for name, value in self.means.items())
        gray = ", ".join(f"{value:.1f}" for value in self.gray)
        below = f"{len(self.below)} of {len(self.cells)} rows below bicubic"
        summary = f"{below}; mean dB over it: {means}; gray 128 becomes {gray}; PSNR of {self.convention}"
        return "\n".join([*lines, "", summary])

    def write(self, folder: str | Path) -> None:
        """grid.md, grid.csv, grid.json, grid.png (a heat map of the gains) and worst.png in `folder`, which is made."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        rows = [
            {
                "set": name,
                "degradation": way,
                "gain_db": each["gain"],
                "worst_db": each["worst"],
                "worst_photo": each["photo"],
                **dict(zip(_COLOURS, each["shift"])),
            }
            for (name, way), each in self.cells.items()
        ]
        summary = {"below": self.below, "means": self.means, "gray": self.gray}
        text = io.StringIO(newline="")
        table = csv.DictWriter(text, rows[0])
        table.writeheader()
        table.writerows(rows)
        content = {"settings": self.settings, "rows": rows, **summary}
        for name, written in (
            ("grid.md", self.table() + "\n"),
            ("grid.csv", text.getvalue()),
            ("grid.json", json.dumps(content, indent=2, default=str) + "\n"),
        ):
            with replacing(folder / name) as part:
                part.write_text(written, "utf-8", "backslashreplace")  # names of photos may be in no encoding
        with replacing(folder / "grid.png") as part:
            self._heat_map().savefig(part, dpi=100)
        pictures, notes = [each for _, each in self.worst], [[what, "", "", ""] for what, _ in self.worst]
        write_picture(sheet(pictures, ("LR", "bicubic", "result", "truth"), notes), folder / "worst.png")

    def _heat_map(self) -> Figure:
        """Gains, sets to the right and ways downwards: red below bicubic, blue above."""
        from matplotlib.figure import Figure  # slow to import, and needed here alone

        sets, ways = (list(dict.fromkeys(each)) for each in zip(*self.cells))
        gains = np.array([[self.cells[name, way]["gain"] for name in sets] for way in ways])
        figure = Figure((3 + 1.2 * len(sets), 1.5 + 0.4 * len(ways)), layout="constrained")
        axes = figure.subplots()
        axes.imshow(gains, "RdBu", vmin=-3, vmax=3, aspect="auto")
        axes.set_xticks(range(len(sets)), sets)
        axes.set_yticks(range(len(ways)), ways)
        axes.set_title("dB over bicubic, mean and worst photo", fontsize=10)
        for row, way in enumerate(ways):
            for column, name in enumerate(sets):
                text = f"{gains[row, column]:+.2f}\n{self.cells[name, way]['worst']:+.2f}"
                axes.text(column, row, text, ha="center", va="center", fontsize=7)
        return figure


def grid(
    upscale: Callable[[np.ndarray], np.ndarray],
    photos: Mapping[str, Any],
    scale: int,
    ways: Sequence[str] = USUAL,
    seed: int = 0,
    convention: Convention = RGB,
) -> Grid:
    """Measure an enlarger on photos that are known.

    Args:
        upscale: uint8 (h, w, 3) -> uint8 (scale h, scale w, 3).
        photos: set -> {name: uint8 (H, W, 3), sides multiples of `scale`}, or whatever else has `items`, such as
            `ssrvae_tf.metrics.folders.Photos`, of which one photo is held at a time; no set empty.
        ways: of harming them.
        seed: of the noise.
        convention: of the PSNR.
    """
    convention = convention._replace(rounded=True)
    cells, worst = {}, []
    total = len(ways) * sum(map(length_hint, photos.values()))
    with Bar(total=total, desc="grid", unit="photo", disable=None, leave=False) as bar:
        for name, members in photos.items():
            found: dict[str, list] = {way: [] for way in ways}
            for number, (photo, hr) in enumerate(members.items()):
                for way in ways:
                    lr = harmed(hr, way, scale, seed + number)
                    plain = resized(lr, *hr.shape[1::-1])
                    sr = upscale(lr)
                    ours, bicubics = (finite_psnr(each / 255.0, hr / 255.0, *convention) for each in (sr, plain))
                    gain = ours - bicubics
                    found[way].append((gain, photo, (sr.astype(np.float32) - plain).mean((0, 1))))
                    worst.append((gain, f"{gain:+.2f} dB: {name}, {way}, {photo}", (lr, plain, sr, hr)))
                    worst = sorted(worst, key=lambda each: each[0])[:_WORST]
                    bar.update()
            for way in ways:
                gains, names, shifts = zip(*found[way])
                cells[name, way] = {
                    "gain": float(np.mean(gains)),
                    "worst": float(min(gains)),
                    "photo": names[int(np.argmin(gains))],
                    "shift": tuple(map(float, np.mean(shifts, 0))),
                }
    gray = upscale(np.full((32, 32, 3), 128, np.uint8)).mean((0, 1))
    return Grid(cells, tuple(map(float, gray)), [each[1:] for each in worst], convention=convention)


def _rounded(values: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)


def _coded(pixels: np.ndarray, kind: str, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, quality=quality)
    return np.asarray(Image.open(file).convert("RGB"))
