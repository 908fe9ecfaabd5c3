"""Enlarge a photo: python -m ssrvae_tf.upscale PHOTO [--model NAME|RUN] [--out FILE]"""

from __future__ import annotations

import argparse
import os
import sys
import types
from pathlib import Path

from PIL import Image, ImageOps

from ssrvae_tf.data.photos import read_photo
from ssrvae_tf.errors import UserError, exit_cleanly
from ssrvae_tf.upscaling import sr_network, upscale
from ssrvae_tf.writing import check_writable, write_picture

# What a result is written as unless --out says otherwise; photos of any other format give a PNG.
_KEPT = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
_LARGE = 512 * 512


def upscale_file(photo, model="faces-x4", out=None) -> Path:
    """Enlarge the photo in a file and write the result: to `out`, or beside the photo as NAME_x4.png.

    The file appears whole or not at all. Gray, transparency and the colour profile are kept.

    Raises:
        UserError: if the photo cannot be read, the model is unknown or the result cannot be written.
    """
    photo = Path(photo)
    image = _read(photo)
    if out is not None:
        _check_out(Path(out), photo)
    elif not os.access(photo.parent, os.W_OK):
        raise UserError(f"{photo.parent}: no permission to write there: give another place by --out FILE")
    network = sr_network(model)
    if out is None:
        suffix = photo.suffix if photo.suffix.lower() in _KEPT else ".png"
        out = photo.with_name(f"{photo.stem}_x{network.scale}{suffix}")
    if image.width * image.height > _LARGE:
        print(f"{photo}: {image.width}x{image.height} goes in whole, which takes time and memory", file=sys.stderr)

    result = upscale(image, network)
    if result.mode == image.info.get("file_mode"):
        result.info["icc_profile"] = image.info.get("icc_profile")
    return write_picture(result, Path(out))


def _read(path: Path) -> Image.Image:
    """Upright, as L, RGB or RGBA."""
    if not path.exists():
        raise UserError(f"{path}: no such file")
    if path.is_dir():
        raise UserError(f"{path}: a folder, one photo is wanted")
    image = Image.fromarray(read_photo(path))
    with Image.open(path) as file:
        if file.has_transparency_data:
            image = ImageOps.exif_transpose(file).convert("RGBA")
        elif Image.getmodebase(file.mode) == "L":
            image = image.convert("L")
        image.info = {"file_mode": file.mode, "icc_profile": file.info.get("icc_profile")}
    return image


def _check_out(out: Path, photo: Path) -> None:
    check_writable(out, "--out")
    if out.exists() and out.samefile(photo):
        raise UserError(f"--out {out}: that is the photo itself: choose another name")


def main(arguments=None) -> None:
    parser = argparse.ArgumentParser("python -m ssrvae_tf.upscale", description="Enlarge a photo.", allow_abbrev=False)
    parser.add_argument("photo", metavar="PHOTO", help="any format that Pillow reads")
    parser.add_argument(
        "--model",
        metavar="NAME|RUN",
        default="faces-x4",
        help="shipped weights (faces-x4 for real photos, faces-x4-clean for cleanly shrunk ones) or folder of a run",
    )
    parser.add_argument("--out", metavar="FILE", help="default: beside the photo, as PHOTO_x4.png or .jpg")
    options = parser.parse_args(arguments)
    print(upscale_file(options.photo, options.model, options.out))


class _CallableModule(types.ModuleType):
    """Once this module is imported, `ssrvae_tf.upscale` is the module: calling it calls the function of that name."""

    def __call__(self, image, model="faces-x4"):
        return upscale(image, model)

    __call__.__doc__ = upscale.__doc__


sys.modules[__name__].__class__ = _CallableModule

if __name__ == "__main__":
    exit_cleanly(main)
