"""Photos in files, as they are: their bits, transparency, colour profile and metadata.

Pillow reads all but colour of 16 bits, which it knows as 8 only; libvips reads those, and writes everything, since it
encodes from an array without a copy of it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import threading
from pathlib import Path
from typing import Iterator

import numpy as np
import pyvips
from PIL import Image, ImageCms, ImageOps

from ssrvae_tf.errors import UserError
from ssrvae_tf.writing import replacing

FORMATS = {"png": ".png", "jpeg": ".jpg", "webp": ".webp", "tiff": ".tif"}
SUFFIXES = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp", ".tif": "tiff", ".tiff": "tiff"}
MAX_MEGAPIXELS = 100.0
_LONGEST = {"jpeg": 65_535, "webp": 16_383}
_SIXTEEN = ("png", "tiff")
_ORIENTATION = 0x0112
_LIMIT = threading.Lock()
_MODES = {"L": "L", "1": "L", "LA": "LA", "La": "LA", "RGB": "RGB", "RGBA": "RGBA", "RGBa": "RGBA", "PA": "RGBA"}


@dataclasses.dataclass
class Photo:
    """What a file holds.

    Attributes:
        pixels: (H, W, C) uint8 or uint16, upright; C 1 (gray), 2 (gray, alpha), 3 (RGB) or 4 (RGBA).
        profile: the ICC profile that `pixels` are in, None if there is none.
        exif: EXIF data without orientation, None if there is none.
        dots_per_inch: (x, y), None if the file has none.
        note: what a reader should know, such as that only the first frame is here; "" for nothing.
    """

    pixels: np.ndarray
    profile: bytes | None = None
    exif: bytes | None = None
    dots_per_inch: tuple[float, float] | None = None
    note: str = ""


def measure(path: Path, max_megapixels: float = MAX_MEGAPIXELS) -> tuple[int, int]:
    """(width, height) from the head of a file.

    Raises:
        UserError: if it is no photo, or larger than `max_megapixels`.
    """
    with _opened(path, max_megapixels) as image:
        return image.size


def read(path: Path, max_megapixels: float = MAX_MEGAPIXELS) -> Photo:
    """Read a photo of any kind that Pillow reads: 8 or 16 bits, gray or colour, palette, CMYK, transparency.

    Palette photos become RGB, CMYK ones sRGB by their profile. EXIF orientation is applied. Of an animation the first
    frame is taken, and `note` says so.

    Args:
        max_megapixels: larger ones are refused before they are decoded.

    Raises:
        UserError: if it cannot be read; the text names the file.
    """
    with _opened(path, max_megapixels) as image:
        photo = Photo(np.empty(0), image.info.get("icc_profile"), _exif(image), _dots_per_inch(image))
        frames = getattr(image, "n_frames", 1)
        if frames > 1 and image.format != "MPO":
            photo.note = f"{path}: {frames} frames or pages: only the first is taken"
        gray = image.mode.startswith("I")
        if not gray and image.format.lower() in _SIXTEEN and _header(path).format == "ushort":
            return _read_sixteen(path, photo)
        pixels, changed = _pixels(ImageOps.exif_transpose(image), photo.profile)
        photo.pixels = pixels if pixels.ndim == 3 else pixels[..., None]
        photo.profile = None if changed else photo.profile
        return photo


@contextlib.contextmanager
def _opened(path: Path, max_megapixels: float) -> Iterator[Image.Image]:
    path = Path(path)
    if path.is_dir():
        raise UserError(f"{path}: a folder, a photo is wanted")
    try:
        if not path.stat().st_size:
            raise UserError(f"{path}: an empty file: repair or remove it")
        with _open(path) as image:
            if image.width * image.height > max_megapixels * 1e6:
                raise UserError(
                    f"{path}: {image.width}x{image.height} is {image.width * image.height / 1e6:.0f} megapixels, the "
                    f"limit is {max_megapixels:g}: if you trust the file, --max-megapixels lifts it"
                )
            yield image
    except (UserError, MemoryError):
        raise
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except Exception as error:  # Pillow's plugins raise many kinds on broken files
        reason = "not a photo that Pillow reads" if isinstance(error, Image.UnidentifiedImageError) else error
        reason = " ".join(str(reason).split()) or type(error).__name__
        raise UserError(f"{path}: cannot be read ({reason}): repair or remove it") from error


def _open(path: Path) -> Image.Image:
    """Without Pillow's own limit, which cannot be lifted for one file."""
    with _LIMIT:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(path)
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _exif(image: Image.Image) -> bytes | None:
    if not image.info.get("exif"):
        return None
    exif = Image.Exif()  # not the image's own: it is to be turned by that
    exif.load(image.info["exif"])
    exif.pop(_ORIENTATION, None)
    return exif.tobytes() if len(exif) else None


def _dots_per_inch(image: Image.Image) -> tuple[float, float] | None:
    found = image.info.get("dpi")
    return tuple(map(float, found)) if found and all(1 < value < 1e5 for value in found) else None


def _header(path: Path) -> pyvips.Image:
    """Pixels are read when they are asked for."""
    return pyvips.Image.new_from_file(os.fspath(path), fail_on="truncated")


def _read_sixteen(path: Path, photo: Photo) -> Photo:
    image = _header(path).autorot()
    if image.interpretation == "cmyk" or image.bands > 4:
        image, photo.profile = image.icc_transform("srgb", depth=16, embedded=True), None
    try:
        photo.pixels = image.numpy().reshape(image.height, image.width, image.bands)
    except pyvips.Error as error:
        raise OSError("image file is truncated or damaged") from error
    return photo


def _pixels(image: Image.Image, profile: bytes | None) -> tuple[np.ndarray, bool]:
    """Pixels (H, W) or (H, W, C), and whether they have left the file's own colour space."""
    if image.mode.startswith(("I", "F")):
        return _gray_sixteen(image), False
    if image.mode == "CMYK":
        return np.asarray(_from_cmyk(image, profile)), True
    if image.mode in _MODES and not (image.mode in ("L", "RGB", "1") and image.has_transparency_data):
        return np.asarray(image.convert(_MODES[image.mode])), False
    changed = image.mode not in ("P", "L", "1", "RGB")
    if image.mode in ("L", "1"):
        return np.asarray(image.convert("LA")), changed
    return np.asarray(image.convert("RGBA" if image.has_transparency_data else "RGB")), changed


def _gray_sixteen(image: Image.Image) -> np.ndarray:
    """uint16 of 16-bit, 32-bit and float gray. Floats up to 1 are taken as [0, 1]."""
    values = np.asarray(image)
    if image.mode == "F":
        values = np.nan_to_num(values)
        values = values * 65535.0 if values.max(initial=0.0) <= 1.0 else values
    return np.rint(np.clip(values, 0, 65535)).astype(np.uint16)


def _from_cmyk(image: Image.Image, profile: bytes | None) -> Image.Image:
    if profile:
        try:
            own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            return ImageCms.profileToProfile(image, own, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):  # a damaged profile: as if there were none
            pass
    return image.convert("RGB")


def limit(kind: str, width: float, height: float) -> str:
    """Why a picture of that size cannot be written as `kind`; "" if it can."""
    if max(width, height) > _LONGEST.get(kind, 2**31):
        return f"{width:.0f}x{height:.0f} is too large for {kind}, which ends at {_LONGEST[kind]} pixels a side"
    return ""


def write(photo: Photo, path: Path, quality: int = 95, scale: float = 1.0) -> Path:
    """Write a photo, beside `path` and renamed, so that nobody finds half a file.

    The suffix says the format. What a format cannot hold is brought down: 16 bits to 8 and, in JPEG, transparency to
    white.

    Args:
        quality: 1 to 100, of JPEG and WebP; at 90 and above colour is kept at full resolution.
        scale: resize on the way, by this factor.

    Raises:
        OSError: if it cannot be written.
    """
    path = Path(path)
    kind = SUFFIXES[path.suffix.lower()]
    image = _vips(photo)
    if scale != 1.0:
        image = _resized(image, scale)
    if kind not in _SIXTEEN:
        image = _eight_bits(image)
    if kind == "tiff" and image.format == "ushort" and image.bands == 2:  # which Pillow, among others, cannot read
        image = image[0].bandjoin([image[0], image[0], image[1]]).copy(interpretation="rgb16")
    if kind == "jpeg":
        image = _on_white(image)
    options = {
        "png": {"compression": 6},
        "jpeg": {"Q": quality, "subsample_mode": "off" if quality >= 90 else "on"},
        "webp": {"Q": quality},
        "tiff": {"compression": "deflate", "predictor": "horizontal", "bigtiff": photo.pixels.nbytes > 2e9},
    }[kind]
    keep = ["icc"] * (photo.profile is not None) + ["exif"] * (photo.exif is not None)
    with replacing(path) as part:
        try:
            image.write_to_file(os.fspath(part), keep="|".join(keep) or "none", **options)
        except pyvips.Error as error:
            _ask_the_system(part)
            raise OSError(" ".join(str(error).split())[:200]) from error
    return path


def colour(photo: Photo) -> np.ndarray:
    """(H, W, 3) uint8 RGB, what is transparent white."""
    return _colour(_vips(photo))


def shrunk(photo: Photo, longest: int) -> np.ndarray:
    """As `colour`, with no side above `longest`: for looking at."""
    image = _vips(photo)
    if max(photo.pixels.shape[:2]) > longest:
        image = image.thumbnail_image(longest, height=longest, size="down")
    return _colour(image)


def _colour(image: pyvips.Image) -> np.ndarray:
    image = _eight_bits(_on_white(image))
    pixels = image.numpy().reshape(image.height, image.width, image.bands)
    return np.repeat(pixels, 3, -1) if image.bands == 1 else pixels


def _on_white(image: pyvips.Image) -> pyvips.Image:
    if not image.hasalpha():
        return image
    return image.flatten(background=[65535 if image.format == "ushort" else 255] * (image.bands - 1))


def _eight_bits(image: pyvips.Image) -> pyvips.Image:
    if image.format != "ushort":
        return image
    return (image >> 8).cast("uchar").copy(interpretation="b-w" if image.bands < 3 else "srgb")


def _vips(photo: Photo) -> pyvips.Image:
    height, width, bands = photo.pixels.shape
    wide = photo.pixels.dtype == np.uint16
    image = pyvips.Image.new_from_memory(
        np.ascontiguousarray(photo.pixels).data, width, height, bands, "ushort" if wide else "uchar"
    )
    space = {(False, False): "b-w", (False, True): "grey16", (True, False): "srgb", (True, True): "rgb16"}
    per_millimetre = [dots / 25.4 for dots in photo.dots_per_inch or (72.0, 72.0)]
    image = image.copy(interpretation=space[bands > 2, wide], xres=per_millimetre[0], yres=per_millimetre[1])
    for name, blob in (("icc-profile-data", photo.profile), ("exif-data", photo.exif)):
        if blob:
            image.set_type(pyvips.GValue.blob_type, name, blob)
    return image


def _resized(image: pyvips.Image, scale: float) -> pyvips.Image:
    sides = [max(1, round(side * scale)) for side in (image.width, image.height)]
    format_, alpha = image.format, image.hasalpha()
    image = image.premultiply() if alpha else image
    image = image.resize(sides[0] / image.width, vscale=sides[1] / image.height, kernel="cubic")
    image = image.unpremultiply() if alpha else image
    return image.cast(format_)


def _ask_the_system(part: Path) -> None:
    """libvips says in many lines, without an error number, what the system says in one: write there without it.

    Raises:
        OSError: the system's own, if that fails too.
    """
    with open(part, "wb") as file:
        file.write(bytes(1 << 16))
