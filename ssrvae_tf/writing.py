"""Write a picture to a file, whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from PIL import Image

from ssrvae_tf.errors import UserError

_SETTINGS = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"quality": 95}}


def check_writable(path: Path, option: str) -> None:
    """Find out before the work starts, not after it, that `path` cannot be written.

    Raises:
        UserError: it names `option`, which gave the path.
    """
    path = Path(path)
    if path.is_dir():
        raise UserError(f"{option} {path}: a folder, a file is wanted: {option} {path / 'picture.png'}")
    if _format(path) not in Image.SAVE:
        raise UserError(f"{option} {path}: Pillow cannot write {path.suffix or 'without a suffix'}: use .png or .jpg")
    if not path.parent.is_dir():
        raise UserError(f"{option} {path}: there is no folder {path.parent}: make it first")
    if not os.access(path.parent, os.W_OK):
        raise UserError(f"{option} {path}: no permission to write in {path.parent}: choose another folder")


def write_picture(image: Image.Image, path: Path) -> Path:
    """Write beside `path` and rename, so that nobody finds half a file. JPEG gets white where `image` is transparent.

    The colour profile in `image.info` is kept.

    Raises:
        UserError: if it cannot be written.
    """
    path = Path(path)
    kind = _format(path)
    if kind == "JPEG" and image.mode == "RGBA":
        flat = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
        flat.info, image = image.info, flat
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(part, "wb") as file:
            image.save(file, kind, icc_profile=image.info.get("icc_profile"), **_SETTINGS.get(kind, {}))
        os.replace(part, path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{path}: cannot be written ({reason}): choose another place or format by --out") from error
    finally:
        part.unlink(missing_ok=True)
    return path


def _format(path: Path) -> str | None:
    return Image.registered_extensions().get(path.suffix.lower())
