"""Measure a model on folders of photos: python -m ssrvae_tf.evaluate --model NAME|RUN --hr DIR"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, List, Literal, Optional

from jsonargparse.typing import ClosedUnitInterval, NonNegativeInt, PositiveInt

from ssrvae_tf import command_line
from ssrvae_tf.command_line import Folder
from ssrvae_tf.errors import UserError, exit_cleanly
from ssrvae_tf.loading import places as models
from ssrvae_tf.photos.writing import check_folder_for
from ssrvae_tf.terminal import saying


def evaluate(
    model: Annotated[str, "NAME|RUN"],
    hr: Annotated[List[str], "[NAME=]DIR"],
    degrade: Optional[Annotated[str, "HOW"]] = None,
    lr: Optional[Folder] = None,
    style: Optional[Folder] = None,
    features: Optional[Annotated[str, "PATH"]] = None,
    grid: bool = False,
    side: Optional[PositiveInt] = None,
    unusual: bool = False,
    limit: Optional[PositiveInt] = None,
    crop: Optional[PositiveInt] = None,
    framing: Optional[Literal["fit", "centre"]] = None,
    detail: Optional[ClosedUnitInterval] = None,
    detailed: Optional[Annotated[str, "NAME|RUN"]] = None,
    seed: NonNegativeInt = 0,
    out: Optional[Annotated[str, "PATH"]] = None,
) -> None:
    """Measure a model on folders of photos, and print a table.

    An SR network is measured in one of three ways, always beside Pillow's bicubic:
    - on pairs: `--hr` photos are degraded (`--degrade`), super-resolved and compared with themselves: PSNR, SSIM;
    - with `--lr`, on real small photos, which have no true picture: distances of the results to the `--hr` photos;
    - with `--grid`, on whole photos of several folders, harmed in nine known ways: where is it worse than bicubic?

    A StyleVAE is measured by the distance of the photos that it degrades to the real small photos in `--lr`, beside
    bicubic and classical degradation.

    Distances are the FID and KID on their published network, or FD and KD on the one in `--features`.

    Args:
        model: shipped weights or folder of a run.
        hr: sharp photos; with --grid as often as there are sets, as NAME=DIR.
        degrade: how pairs are made: bicubic (unless told), classical, or name or run of a StyleVAE.
        lr: real small photos; distances are measured instead of pairs.
        style: real small photos that the StyleVAE takes styles from; else it draws them itself.
        features: SavedModel images -> features, for distances; else the published Inception.
        grid: measure on known photos in known ways.
        side: whole photos of the grid are shrunk until no side is longer; 448 unless told.
        unusual: also harm them in seven ways that are rare.
        limit: at most so many photos of each folder, drawn at random.
        crop: use a square of each HR photo, so many pixels wide and high.
        framing: fit shrinks the photo to that square, centre cuts it at full size; else as the model was trained.
        detail: of a model with two sets of weights: 0 keeps to the photo, 1 draws most; as its maker chose unless told.
        detailed: a second model of the same architecture, of which the share --detail is taken, a half unless told.
        seed: of the photos, styles and degradations drawn.
        out: write the figures as JSON too; the grid as tables and pictures in a folder.

    Raises:
        UserError: if a model, a folder or the combination of the arguments is of no use.
    """
    if degrade and lr:
        raise UserError("--degrade makes pairs of --hr, --lr takes real small photos: give one of the two")
    places = {"lr": lr, "style": style, "features": features}
    others = {"degrade": degrade, "crop": crop, "framing": framing, **places}
    unused = [name for name, value in (others if grid else {"side": side, "unusual": unusual}).items() if value]
    if unused:
        raise UserError(f"--{unused[0]}: {'not for' if grid else 'only for'} --grid: leave one of the two out")
    if not (grid or lr) and features:
        raise UserError(f"--features {features}: for distances to real small photos: add --lr DIR, or leave it out")
    if not (grid or lr or crop) and framing:
        raise UserError(f"--framing {framing}: for squares of the photos: add --crop N, or leave it out")
    if not grid and len(hr) > 1:
        raise UserError(f"--hr {' '.join(hr)}: several folders are for --grid: give one, or add --grid")
    if out and not grid and Path(out).is_dir():
        raise UserError(f"--out {out}: a folder, a file is wanted: --out {Path(out) / 'figures.json'}")
    if out:
        check_folder_for(out, "--out", is_folder=grid)

    model = models.chosen(model, detail, detailed)
    with saying(f"loading {model}"):
        from ssrvae_tf.inference.enlarger import upscale
        from ssrvae_tf.loading.models import load
        from ssrvae_tf.metrics import folders

        network, taken = load(model), models.detail_of(model)
        name = Path(model).name + ("" if taken is None else f" at detail {taken:g}")
    if grid:
        sets = dict(_named(each) for each in hr)
        if len(sets) < len(hr):
            raise UserError(f"--hr {' '.join(hr)}: two sets of one name: give each its own, as NAME=DIR")
        if folders.is_style_vae(network):
            raise UserError(f"--model {model} is a StyleVAE: --grid is for SR networks")
        found = folders.evaluate_grid(
            lambda lr: upscale(lr, network), network.scale, sets, side or folders.GRID_SIDE, unusual, limit, seed, name
        )
        print(found.table())
        if out:
            found.write(out)
            print(f"wrote grid.md, grid.csv, grid.json, grid.png and worst.png in {out}")
        return
    if degrade not in (None, "bicubic", "classical"):
        given, degrade = degrade, load(degrade)
        if not folders.is_style_vae(degrade):
            raise UserError(f"--degrade {given}: not a StyleVAE: give bicubic, classical or a StyleVAE's name or run")
    trained = models.settings(model)
    as_trained = "centre" if trained and trained.crop == "random" else "fit"
    how = {"limit": limit, "crop": crop, "framing": framing or as_trained, "seed": seed, "name": name}
    report = folders.evaluate(network, hr[0], degrade or "bicubic", **places, **how)
    judge = features and Path(features).resolve().name
    if judge in models.taught_by(model):
        report.title += f"; the model was trained on {judge}, whose distances decide nothing"
    print(report.table())
    if out:
        report.write(out)


def _named(given: str) -> tuple[str, str]:
    """NAME=DIR; a folder alone is called by its own name."""
    name, equals, folder = given.partition("=")
    return (name, folder) if equals and name and not Path(given).is_dir() else (Path(given).resolve().name, given)


def main(arguments: list | None = None) -> None:
    evaluate(**command_line.read(evaluate, "ssrvae_tf.evaluate", arguments))


if __name__ == "__main__":
    exit_cleanly(main)
