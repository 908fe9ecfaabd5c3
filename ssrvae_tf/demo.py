"""Upscale a face from a shipped photo with shipped weights: python -m ssrvae_tf.demo [--out demo.png]"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssrvae_tf import command_line
from ssrvae_tf.command_line import File
from ssrvae_tf.errors import exit_cleanly
from ssrvae_tf.terminal import saying

if TYPE_CHECKING:
    from PIL import Image

FACE = (96, 0, 352, 256)  # left, upper, right, lower in astronaut.png
STYLE_SEED = 1


def demo(clean, real, style) -> tuple[Image.Image, list[dict]]:
    """Shrink a face in two ways, enlarge it again and compare with the original.

    Args:
        clean: SR network for cleanly shrunk photos; shown on a bicubic-shrunk one.
        real: SR network for real photos; shown on one that `style` degraded.
        style: StyleVAE; only its `degrade` is used, with a style of its own drawing.

    Returns:
        The sheet (LR, bicubic, ours, HR) and for each of its rows a dict of figures:
        name, bicubic_psnr, bicubic_ssim, psnr, ssim.
    """
    import numpy as np
    from PIL import Image

    from ssrvae_tf.metrics import psnr, ssim
    from ssrvae_tf.photos.pixels import to_uint8
    from ssrvae_tf.photos.resizing import resized
    from ssrvae_tf.photos.samples import sample_photos
    from ssrvae_tf.photos.sheets import sheet

    hr = np.asarray(Image.open(sample_photos()[0]).convert("RGB").crop(FACE))  # (256, 256, 3) uint8
    truth = hr.astype(np.float32) / 255.0
    shrunk = resized(hr, *(side // clean.scale for side in hr.shape[:2]))
    degraded = to_uint8(np.asarray(style.degrade(truth[None], seed=STYLE_SEED)[0], np.float32))

    rows, notes, figures = [], [], []
    for name, lr, network in (("shrunk", shrunk, clean), ("degraded as real photos are", degraded, real)):
        bicubic = resized(lr, *hr.shape[:2])
        ours = to_uint8(network.predict(lr[None].astype(np.float32) / 255.0, verbose=0)[0])
        scores = [(psnr(image / 255.0, truth), ssim(image / 255.0, truth)) for image in (bicubic, ours)]
        rows.append([lr, bicubic, ours, hr])
        notes.append([name, *(f"{decibel:.2f} dB, SSIM {likeness:.3f}" for decibel, likeness in scores), ""])
        (bicubic_psnr, bicubic_ssim), (our_psnr, our_ssim) = scores
        figures.append(
            {
                "name": name,
                "bicubic_psnr": bicubic_psnr,
                "bicubic_ssim": bicubic_ssim,
                "psnr": our_psnr,
                "ssim": our_ssim,
            }
        )
    return sheet(rows, ["LR", "bicubic", "ours", "HR"], notes), figures


def show(out: File = "demo.png") -> None:
    """Upscale a face from a shipped photo with shipped weights, write a picture and print figures.

    Args:
        out: the picture.

    Raises:
        UserError: if it cannot be written.
    """
    from ssrvae_tf.photos.writing import check_writable, write_picture

    check_writable(out, "--out")

    with saying("loading the models and upscaling a face"):
        from ssrvae_tf.loading.models import load

        picture, figures = demo(load("faces-x4-clean"), load("faces-x4"), load("faces-style"))
    print(f"{'a face, x4':28} {'bicubic':>18} {'ours':>18}   PSNR, SSIM")
    for row in figures:
        print(
            f"{row['name']:28} {row['bicubic_psnr']:9.2f} dB {row['bicubic_ssim']:.3f}"
            f" {row['psnr']:9.2f} dB {row['ssim']:.3f}"
        )
    print(f"wrote {write_picture(picture, out)}")


def main(arguments=None) -> None:
    show(**command_line.read(show, "ssrvae_tf.demo", arguments))


if __name__ == "__main__":
    exit_cleanly(main)
