"""Measure a model on folders of photos: python -m ssrvae_tf.evaluate --model NAME|RUN --hr DIR"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Optional

from jsonargparse.typing import NonNegativeInt, PositiveInt

from ssrvae_tf import command_line
from ssrvae_tf.command_line import File, Folder
from ssrvae_tf.errors import UserError, exit_cleanly


def evaluate(
    model: Annotated[str, "NAME|RUN"],
    hr: Folder,
    degrade: Optional[Annotated[str, "HOW"]] = None,
    lr: Optional[Folder] = None,
    style: Optional[Folder] = None,
    features: Optional[Annotated[str, "PATH"]] = None,
    limit: Optional[PositiveInt] = None,
    crop: Optional[PositiveInt] = None,
    seed: NonNegativeInt = 0,
    out: Optional[File] = None,
) -> None:
    """Measure a model on folders of photos, and print a table.

    An SR network is measured in one of two ways, always beside Pillow's bicubic:
    - on pairs: `--hr` photos are degraded (`--degrade`), super-resolved and compared with themselves: PSNR, SSIM;
    - with `--lr`, on real small photos, which have no true picture: distances of the results to the `--hr` photos.

    A StyleVAE is measured by the distance of the photos that it degrades to the real small photos in `--lr`, beside
    bicubic and classical degradation.

    Distances are the FID and KID on their published network, or FD and KD on the one in `--features`.

    Args:
        model: shipped weights or folder of a run.
        hr: sharp photos.
        degrade: how pairs are made: bicubic (unless told), classical, or name or run of a StyleVAE.
        lr: real small photos; distances are measured instead of pairs.
        style: real small photos that the StyleVAE takes styles from; else it draws them itself.
        features: SavedModel images -> features, for distances; else the published Inception.
        limit: at most so many photos of each folder, drawn at random.
        crop: use the centre of each HR photo, so many pixels wide and high.
        seed: of the photos, styles and degradations drawn.
        out: write the figures as JSON too.

    Raises:
        UserError: if a model, a folder or the combination of the arguments is of no use.
    """
    if degrade and lr:
        raise UserError("--degrade makes pairs of --hr, --lr takes real small photos: give one of the two")
    if out and Path(out).is_dir():
        raise UserError(f"--out {out}: a folder, a file is wanted: --out {Path(out) / 'figures.json'}")

    from ssrvae_tf.loading.models import load
    from ssrvae_tf.metrics import folders

    network = load(model)
    if degrade not in (None, "bicubic", "classical"):
        name, degrade = degrade, load(degrade)
        if not folders.is_style_vae(degrade):
            raise UserError(f"--degrade {name}: not a StyleVAE: give bicubic, classical or a StyleVAE's name or run")
    places = {"lr": lr, "style": style, "features": features}
    how = {"limit": limit, "crop": crop, "seed": seed, "name": Path(model).name}
    report = folders.evaluate(network, hr, degrade or "bicubic", **places, **how)
    print(report.table())
    if out:
        report.write(out)


def main(arguments: list | None = None) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    evaluate(**command_line.read(evaluate, "ssrvae_tf.evaluate", arguments))


if __name__ == "__main__":
    exit_cleanly(main)
