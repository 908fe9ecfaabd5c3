"""Measure a model on folders of photos: python -m ssrvae_tf.evaluate --model NAME|RUN --hr DIR

An SR network is measured in one of two ways, always beside Pillow's bicubic:
- on pairs: `--hr` photos are degraded (`--degrade`), super-resolved and compared with themselves: PSNR, SSIM;
- with `--lr`, on real small photos, which have no true picture: distances of the results to the `--hr` photos.

A StyleVAE is measured by the distance of the photos that it degrades to the real small photos in `--lr`, beside
bicubic and classical degradation.

Distances are the FID and KID on their published network, or FD and KD on the one in `--features`.
"""

from __future__ import annotations

import os
from pathlib import Path

from jsonargparse.typing import NonNegativeInt, PositiveInt

from ssrvae_tf.command_line import Parser
from ssrvae_tf.errors import UserError, exit_cleanly


def main(arguments: list | None = None) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    options = vars(_parser().parse_args(arguments))
    out, name, degrade = options.pop("out"), options.pop("model"), options.pop("degrade")
    if degrade and options["lr"]:
        raise UserError("--degrade makes pairs of --hr, --lr takes real small photos: give one of the two")
    if out and Path(out).is_dir():
        raise UserError(f"--out {out}: a folder, a file is wanted: --out {Path(out) / 'figures.json'}")

    from ssrvae_tf import load
    from ssrvae_tf.metrics.folders import evaluate, is_style_vae

    model = load(name)
    if degrade not in (None, "bicubic", "classical"):
        style_vae = load(degrade)
        if not is_style_vae(style_vae):
            raise UserError(f"--degrade {degrade}: not a StyleVAE: give bicubic, classical or a StyleVAE's name or run")
        degrade = style_vae
    report = evaluate(model, degrade=degrade or "bicubic", name=Path(name).name, **options)
    print(report.table())
    if out:
        report.write(out)


def _parser() -> Parser:
    parser = Parser("ssrvae_tf.evaluate", __doc__)
    add = parser.add
    add("--model", "NAME|RUN", "shipped weights or folder of a run", required=True)
    add("--hr", "DIR", "sharp photos", required=True)
    add("--degrade", "HOW", "how pairs are made: bicubic (default), classical, or name or run of a StyleVAE")
    add("--lr", "DIR", "real small photos; distances are measured instead of pairs")
    add("--style", "DIR", "real small photos that the StyleVAE takes styles from (default: it draws them itself)")
    add("--features", "PATH", "SavedModel images -> features, for distances (default: the published Inception)")
    add("--limit", "N", "at most so many photos of each folder, drawn at random", type=PositiveInt)
    add("--crop", "N", "use the centre of each HR photo, so many pixels wide and high", type=PositiveInt)
    add("--seed", "N", "of the photos, styles and degradations drawn (default: 0)", type=NonNegativeInt, default=0)
    add("--out", "FILE", "write the figures as JSON too")
    return parser


if __name__ == "__main__":
    exit_cleanly(main)
