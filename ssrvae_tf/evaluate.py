"""Measure a model on folders of photos: python -m ssrvae_tf.evaluate --model NAME|RUN --hr DIR"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, List, Literal, Optional

from jsonargparse.typing import ClosedUnitInterval, NonNegativeInt, PositiveInt

from ssrvae_tf import command_line
from ssrvae_tf.command_line import Folder
from ssrvae_tf.errors import UserError, exit_cleanly
from ssrvae_tf.loading import places
from ssrvae_tf.photos.folders import check_outside
from ssrvae_tf.photos.writing import check_folder_for
from ssrvae_tf.terminal import saying


def evaluate(
    model: Annotated[str, "NAME|RUN"],
    hr: Annotated[List[str], "[NAME=]DIR"],
    degrade: Optional[Annotated[str, "HOW"]] = None,
    lr: Optional[Folder] = None,
    style: Optional[Folder] = None,
    features: Optional[Annotated[List[str], "PATH"]] = None,
    channels: Literal["rgb", "luma"] = "rgb",
    border: NonNegativeInt = 0,
    rounded: bool = False,
    resamples: NonNegativeInt = 200,
    identity: Optional[Annotated[str, "PATH"]] = None,
    identity_range: Optional[Literal["unit", "signed", "bytes"]] = None,
    find_faces: bool = False,
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
    - with `--lr`, on real small photos, which have no true picture: distances of the results to the `--hr` photos,
      beside the figures of pairs;
    - with `--grid`, on whole photos of several folders, harmed in nine known ways: where is it worse than bicubic?

    A StyleVAE is measured by the distance of the photos that it degrades to the real small photos in `--lr`, beside
    bicubic and classical degradation.

    Distances are the FID and KID on their published network, or FD and KD on those in `--features`.

    Args:
        model: shipped weights or folder of a run.
        hr: sharp photos; with --grid several sets, as NAME=DIR.
        degrade: how pairs are made: bicubic (unless told), matlab (as benchmarks are), classical, or name or run of a
            StyleVAE.
        lr: real small photos, for distances.
        style: real small photos that the StyleVAE takes styles from; else it draws them itself.
        features: SavedModels images -> features, for distances; else the published Inception.
        channels: of PSNR and SSIM: rgb, or the luma of Matlab's rgb2ycbcr.
        border: pixels cut off on each side for PSNR and SSIM.
        rounded: results are rounded to 8 bit for PSNR and SSIM; else compared as floats.
        resamples: how often photos are drawn anew for the intervals of distances; 0 for none.
        identity: SavedModel or .tflite file photos -> embeddings, for whether pairs show the same person.
        identity_range: what its input spans where that is not known: unit [0, 1], signed [-1, 1] or bytes [0, 255].
        find_faces: count the faces that are still found.
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
    given = {"lr": lr, "style": style, "features": features}
    others = {"degrade": degrade, "crop": crop, "framing": framing, "identity": identity, "find_faces": find_faces}
    others.update(given)
    unused = [name for name, value in (others if grid else {"side": side, "unusual": unusual}).items() if value]
    if unused:
        raise UserError(
            f"{command_line.flag(unused[0])}: {'not for' if grid else 'only for'} --grid: leave one of the two out"
        )
    if not (grid or lr) and features:
        said = f"--features {' '.join(features)}"
        raise UserError(f"{said}: for distances to real small photos: add --lr DIR, or leave it out")
    if identity_range and not identity:
        raise UserError(f"--identity-range {identity_range}: for a network: add --identity PATH, or leave it out")
    if resamples == 1:
        raise UserError("--resamples 1: no interval comes of one: give 200, or 0 for no intervals")
    if not (grid or lr or crop) and framing:
        raise UserError(f"--framing {framing}: for squares of the photos: add --crop N, or leave it out")
    if not grid and len(hr) > 1:
        raise UserError(f"--hr {' '.join(hr)}: several folders are for --grid: give one, or add --grid")
    if out and not grid and (Path(out).is_dir() or out.lower().endswith(".png")):
        raise UserError(f"--out {out}: a file for figures is wanted, such as {Path(out).parent / 'figures.json'}")
    if out:
        sharp = [("--hr", _named(each)[1]) for each in hr]
        check_outside(out, "--out", [*sharp, ("--lr", lr), ("--style", style)])
        check_folder_for(out, "--out", is_folder=grid)

    model = places.chosen(model, detail, detailed)
    with saying(f"loading {model}"):
        from ssrvae_tf.inference.enlarger import upscale
        from ssrvae_tf.loading.models import load
        from ssrvae_tf.metrics import folders
        from ssrvae_tf.metrics.comparison import DEGRADATIONS
        from ssrvae_tf.metrics.identity import Embedding
        from ssrvae_tf.metrics.image_quality import Convention

        network, taken = load(model), places.detail_of(model)
        name = Path(model).absolute().name + ("" if taken is None else f" at detail {taken:g}")
    convention = Convention(channels, border, rounded)
    if grid:
        sets = dict(_named(each) for each in hr)
        if len(sets) < len(hr):
            raise UserError(f"--hr {' '.join(hr)}: two sets of one name: give each its own, as NAME=DIR")
        if folders.is_style_vae(network):
            raise UserError(f"--model {model} is a StyleVAE: --grid is for SR networks")
        found = folders.evaluate_grid(
            lambda lr: upscale(lr, network),
            network.scale,
            sets,
            side or folders.GRID_SIDE,
            unusual,
            limit,
            seed,
            name,
            convention,
        )
        print(found.table())
        if out:
            found.write(out)
            print(f"wrote grid.md, grid.csv, grid.json, grid.png and worst.png in {out}")
        return
    if degrade and folders.is_style_vae(network):
        raise UserError(f"--degrade {degrade}: pairs are for SR networks, --model {model} is a StyleVAE: leave it out")
    degraded_by = degrade
    if degrade not in (None, *DEGRADATIONS):
        degrade = load(degrade)
        if not folders.is_style_vae(degrade):
            raise UserError(f"--degrade {degraded_by}: not a StyleVAE: give {', '.join(DEGRADATIONS)} or a StyleVAE")
    trained = places.settings(model)
    as_trained = "centre" if trained and trained.crop == "random" else "fit"
    how = {"limit": limit, "crop": crop, "framing": framing or as_trained, "seed": seed, "name": name}
    how.update(convention=convention, resamples=resamples)
    how.update(embed=identity and Embedding(identity, identity_range), find=_find_faces if find_faces else None)
    report = folders.evaluate(network, hr[0], degrade or "bicubic", **given, **how)
    report.settings.update(degrade=degraded_by, identity=identity, find_faces=find_faces)
    judges = sorted({Path(each).resolve().name for each in features or ()} & places.taught_by(model))
    if judges:
        report.title += f"; the model was trained on {' and '.join(judges)}, whose distances decide nothing"
    print(report.table())
    if out:
        print(f"wrote {' and '.join(map(str, report.write(out)))}")


def _find_faces(photo):
    """Boxes (left, top, right, bottom) around the faces of a photo."""
    from ssrvae_tf.faces import find_faces

    return [face.box for face in find_faces(photo)]


def _named(given: str) -> tuple[str, str]:
    """NAME=DIR; a folder alone is called by its own name."""
    name, equals, folder = given.partition("=")
    return (name, folder) if equals and name and not Path(given).is_dir() else (Path(given).resolve().name, given)


def main(arguments: list | None = None) -> None:
    evaluate(**command_line.read(evaluate, "ssrvae_tf.evaluate", arguments))


if __name__ == "__main__":
    exit_cleanly(main)
