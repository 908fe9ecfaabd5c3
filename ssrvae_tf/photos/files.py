"""Photos in files, as they are: their bits, transparency, colour profile and metadata.

Pillow reads all but PNG and TIFF of more than 8 bits, whose colour it knows as 8 only; libvips reads those, and writes
everything, since it encodes from an array without a copy of it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import math
import os
import re
from pathlib import Path
from typing import Any, Iterator

import numpy as np
import pyvips
from PIL import Image, ImageCms, ImageOps

from ssrvae_tf.errors import UserError, one_line
from ssrvae_tf.photos import records
from ssrvae_tf.photos.formats import (
    MAX_MEGAPIXELS,
    RAW,
    SUFFIXES,
    add_heif,
    advice,
    check_file,
    open_image,
    packet_of,
)
from ssrvae_tf.photos.writing import replacing

_LONGEST = {"jpeg": 65_500, "webp": 16_383}
_LONGEST_XMP = {"jpeg": 60_000}  # bytes; libvips leaves out what is longer
_SIXTEEN = ("png", "tiff")
TILE = 512  # side of those of `write_pyramid`
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_ORIENTATION, _EXIF, _GPS = 0x0112, 0x8769, 0x8825
# What a TIFF's own tags say about the photo: description, maker, model, software, time, artist, copyright.
_ABOUT = (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298)
_MODES = {"L": "L", "1": "L", "LA": "LA", "La": "LA", "RGB": "RGB", "RGBA": "RGBA", "RGBa": "RGBA", "PA": "RGBA"}


@dataclasses.dataclass
class Photo:
    """What a file holds.

    Attributes:
        pixels: (H, W, C) uint8 or uint16, upright; C 1 (gray), 2 (gray, alpha), 3 (RGB) or 4 (RGBA).
        profile: the ICC profile that `pixels` are in, None if there is none.
        exif: EXIF data without orientation, None if there is none.
        xmp: the packet, None if there is none.
        dots_per_inch: (x, y), None if the file has none.
        note: what a reader should know, such as that only the first frame is here; "" for nothing.
        computed_by: the runtime and precision of a result, which goes into its record; "" for none.
    """

    pixels: np.ndarray
    profile: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    dots_per_inch: tuple[float, float] | None = None
    note: str = ""
    computed_by: str = ""


def measure(path: Path, max_megapixels: float = MAX_MEGAPIXELS) -> tuple[int, int]:
    """(width, height) from the head of a file.

    Raises:
        UserError: if it is no photo, or larger than `max_megapixels`.
    """
    with _opened(path, max_megapixels) as image:
        return image.width, image.height


def read(path: Path, max_megapixels: float = MAX_MEGAPIXELS) -> Photo:
    """Read a photo of any kind that Pillow reads: 8 bits or more, gray or colour, palette, CMYK, transparency.

    Palette photos become RGB, CMYK ones sRGB by their profile, what has more than 8 bits uint16. EXIF orientation is
    applied. Of an animation the first frame is taken, and `note` says so.

    Args:
        max_megapixels: larger ones are refused before they are decoded.

    Raises:
        UserError: if it cannot be read; the text names the file.
    """
    with _opened(path, max_megapixels) as image:
        if isinstance(image, pyvips.Image):
            profile, xmp = (_blob(image, f"{name}-data") for name in ("icc-profile", "xmp"))
            return _read_deep(image, Photo(np.empty(0), profile, xmp=xmp))
        photo = _about(image)
        frames = getattr(image, "n_frames", 1)
        one = frames == 1 or image.format in ("MPO", "PSD")  # the photo, and what belongs to it
        several = "" if one else f"{frames} frames or pages: only the first is taken"
        notes = "; ".join(filter(None, [photo.note, several]))
        photo.note = f"{path}: {notes}" if notes else ""
        if (image.format or "").lower() in _SIXTEEN and image.mode != "LAB":  # of 8 bits, which libvips may not know
            deep = _by_vips(path)
            if deep.format != "uchar":
                image.load()  # libvips passes over some damage
                if image.format == "PNG":  # of which libvips does not know how it is turned
                    deep = deep.copy()
                    deep.set_type(pyvips.GValue.gint_type, "orientation", _orientation(image))
                return _read_deep(deep, photo)
        return _with_pixels(photo, image)


@dataclasses.dataclass(frozen=True)
class Encoded:
    """A photo's file that is in memory: its name and its bytes."""

    name: str
    data: bytes

    def __str__(self) -> str:
        return self.name


def read_photo(path: str | os.PathLike | Encoded, at_least: int | None = None) -> np.ndarray:
    """Read one photo as uint8 RGB (H, W, 3), upright (EXIF orientation applied).

    Gray, palette, CMYK and 16-bit photos are converted; what is transparent becomes white; of an animation the first
    frame is taken.

    Args:
        at_least: if given, a JPEG may be decoded at a half, a quarter or an eighth of its size, as long as no side
            falls below this. Much faster for photos that will be shrunk anyway.

    Raises:
        UserError: if the file cannot be read; the text names it.
    """
    add_heif()
    try:
        if not isinstance(path, Encoded):
            check_file(path)
        with Image.open(io.BytesIO(path.data) if isinstance(path, Encoded) else path) as image:
            if at_least:
                image.draft("RGB", (at_least, at_least))
            return np.array(_to_rgb(ImageOps.exif_transpose(image)))
    except Exception as error:  # Pillow's plugins raise many kinds on broken files
        raise unreadable(path, error) from error


def unreadable(path: str | os.PathLike | Encoded, error: Exception) -> UserError:
    """What is told of a photo whose reading ended in an error of other code."""
    unknown = isinstance(error, Image.UnidentifiedImageError)
    reason = "not a photo that Pillow reads" if unknown else one_line(error) or type(error).__name__
    todo = unknown and advice(os.path.splitext(str(path))[1]) or "repair or remove it"
    return UserError(f"{path}: cannot be read ({reason}): {todo}")


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image, np.float32)
        if image.mode != "F":
            values = values / 257.0  # 16 bits to 8
        elif values.size and values.max() <= 1.0:
            values = values * 255.0
        image = Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def of_image(image: Image.Image) -> Photo:
    """What a Pillow image holds.

    Raises:
        ValueError: if its values have no known range.
    """
    if image.mode in ("I", "F"):
        raise ValueError(f"a Pillow image of mode {image.mode} is given: convert it to L or RGB, or pass a float array")
    return _with_pixels(_about(image), image)


def to_image(photo: Photo) -> Image.Image:
    """A Pillow image (L, LA, I;16, RGB or RGBA), with what else there is in its `info`."""
    pixels = photo.pixels[..., 0] if photo.pixels.shape[-1] == 1 else photo.pixels
    image = Image.fromarray(pixels)
    info = {"icc_profile": photo.profile, "exif": photo.exif, "xmp": photo.xmp, "dpi": photo.dots_per_inch}
    image.info.update({name: value for name, value in info.items() if value})
    return image


@contextlib.contextmanager
def _opened(path: Path, max_megapixels: float) -> Iterator[Image.Image | pyvips.Image]:
    path = Path(path)
    if os.path.isdir(path):
        raise UserError(f"{path}: a folder, a photo is wanted")
    if path.suffix.lower() in RAW and path.exists():  # many are TIFFs, whose first picture is a thumbnail
        raise UserError(f"{path}: cannot be read (a raw file): {advice(path.suffix)}")
    try:
        if not path.stat().st_size:
            raise UserError(f"{path}: an empty file: repair or remove it")
        with contextlib.ExitStack() as stack:
            image = _open(path)
            if isinstance(image, Image.Image):
                stack.enter_context(image)
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
        raise unreadable(path, error) from error


def _open(path: Path) -> Image.Image | pyvips.Image:
    """TIFFs that Pillow does not know go to libvips."""
    try:
        return open_image(path)
    except Image.UnidentifiedImageError:
        with open(path, "rb") as file:
            if file.read(4) not in _TIFF:
                raise
    return _by_vips(path)


def _about(image: Image.Image) -> Photo:
    """All but the pixels."""
    if image.format == "PNG":
        image.load()  # what is said of the photo may come after its pixels, as ExifTool writes it
    profile, found, xmp = image.info.get("icc_profile"), image.info.get("dpi"), packet_of(image)
    dots_per_inch = None
    if found and all(1 < value < 1e5 for value in found):
        dots_per_inch = float(found[0]), float(found[1])
    exif, damaged = _exif(image)
    note = "its EXIF data is damaged: left out" if damaged else ""
    xmp = xmp and re.sub(rb'(tiff:Orientation(?:=["\']|>))\d', rb"\g<1>1", xmp)
    return Photo(np.empty(0), profile or None, exif, xmp or None, dots_per_inch, note)


def _exif(image: Image.Image) -> tuple[bytes | None, bool]:
    """EXIF data without orientation, and whether it is damaged."""
    kept = Image.Exif()  # not the image's own: it is to be turned by that
    try:
        if image.info.get("exif"):
            kept.load(image.info["exif"])
            kept.pop(_ORIENTATION, None)
        elif image.format == "TIFF":
            own = image.getexif()
            kept.update({tag: own[tag] for tag in _ABOUT if tag in own})
            for part in (_EXIF, _GPS):
                if part in own:
                    kept[part] = dict(own.get_ifd(part))
        return (kept.tobytes() if len(kept) else None), False
    except Exception:  # Pillow raises many kinds
        return None, True


def _orientation(image: Image.Image) -> int:
    """As EXIF has it, 1 to 8; 1, upright, where that is not said or damaged."""
    with contextlib.suppress(Exception):  # Pillow raises many kinds
        found = int(image.getexif()[_ORIENTATION])
        return found if found in range(1, 9) else 1
    return 1


def _upright(image: Image.Image) -> Image.Image:
    image.load()  # what this raises is no matter of EXIF
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # of many kinds, where EXIF data is damaged
        return image


def _by_vips(path: Path) -> pyvips.Image:
    """Pixels are read when they are asked for."""
    # Not by the name: libvips would take what it remembers of that, and it may not be UTF-8.
    source = pyvips.Source.new_from_file(os.fsencode(path))
    return pyvips.Image.new_from_source(source, "", fail_on="error")


def _blob(image: pyvips.Image, name: str) -> bytes | None:
    return bytes(image.get(name)) if image.get_typeof(name) else None


def _read_deep(image: pyvips.Image, photo: Photo) -> Photo:
    try:
        image = image.autorot()
        if image.interpretation == "cmyk":
            image, photo.profile = image.icc_transform("srgb", depth=16, embedded=True), None
        elif image.interpretation in ("lab", "labs"):  # of floats, of 16 bits
            image, photo.profile = image.colourspace("rgb16"), None
        pixels = image.numpy().reshape(image.height, image.width, image.bands)
    except pyvips.Error as error:
        reason = str(error).strip().splitlines()[-1]
        raise OSError(f"image file is truncated or damaged: {reason}") from error
    if image.bands > 4:
        raise ValueError(f"it has {image.bands} channels")
    photo.pixels = _sixteen(pixels)
    return photo


def _with_pixels(photo: Photo, image: Image.Image) -> Photo:
    image = _upright(image)
    if image.mode == "CMYK":
        pixels, photo.profile = np.asarray(_from_cmyk(image, photo.profile)), None
    elif image.mode.startswith(("I", "F")):
        pixels = _sixteen(np.asarray(image))
    elif image.mode in _MODES and not (image.mode in ("L", "RGB", "1") and image.has_transparency_data):
        pixels = np.asarray(image.convert(_MODES[image.mode]))
    elif image.mode in ("L", "1"):
        pixels = np.asarray(image.convert("LA"))
    else:
        photo.profile = photo.profile if image.mode in ("P", "RGB") else None
        pixels = np.asarray(image.convert("RGBA" if image.has_transparency_data else "RGB"))
    photo.pixels = pixels if pixels.ndim == 3 else pixels[..., None]
    return photo


def _sixteen(values: np.ndarray) -> np.ndarray:
    """uint16 of other numbers: 32 bits by their upper half, floats by the range that they fill, [0, 1] or [0, 255].

    Raises:
        ValueError: if they fill no such range.
    """
    if values.dtype == np.uint16:
        return values
    if values.dtype in (np.uint8, bool):
        return values.astype(np.uint16) * (257 if values.dtype == np.uint8 else 65535)
    if values.dtype == np.uint32:
        return (values >> 16).astype(np.uint16)
    whole = np.issubdtype(values.dtype, np.integer)
    values = np.nan_to_num(values.astype(np.float32), posinf=np.inf, neginf=0.0)
    lowest, highest = values.min(initial=0.0), values.max(initial=0.0)
    if highest > 65535 or (whole and lowest < 0):
        raise ValueError(f"it holds numbers from {lowest:g} to {highest:g}: convert it to 8 or 16 bits")
    if not whole:
        values *= 65535 if highest <= 2 else 257 if highest <= 257 else 1  # some go a little beyond white
    return np.rint(np.clip(values, 0, 65535)).astype(np.uint16)


def _from_cmyk(image: Image.Image, profile: bytes | None) -> Image.Image:
    if profile:
        try:
            own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(image, own, ImageCms.createProfile("sRGB"), outputMode="RGB")
            if converted:  # it is None where `image` itself is changed, which was not asked for
                return converted
        except (ImageCms.PyCMSError, OSError):  # a damaged profile: as if there were none
            pass
    return image.convert("RGB")


def limit(kind: str, width: float, height: float) -> str:
    """Why a picture of that size cannot be written as `kind`; "" if it can."""
    if max(width, height) > _LONGEST.get(kind, 2**31):
        return f"{width:.0f}x{height:.0f} is too large for {kind}, which ends at {_LONGEST[kind]} pixels a side"
    return ""


def packet(path: Path) -> bytes | None:
    """The XMP packet in a file, None if there is none. Raises of many kinds if it cannot be read."""
    image = _open(path)
    if not isinstance(image, Image.Image):
        return _blob(image, "xmp-data")
    with image:
        return packet_of(image)


def write(photo: Photo, path: Path, quality: int = 95, scale: float = 1.0, made: str = "") -> Path:
    """Write a photo, beside `path` and renamed, so that nobody finds half a file.

    The suffix says the format. What a format cannot hold is brought down: 16 bits to 8 and, in JPEG, transparency to
    white.

    Args:
        quality: 1 to 100, of JPEG and WebP; at 90 and above colour is kept at full resolution.
        scale: resize on the way, by this factor.
        made: a record of what made it (`ssrvae_tf.photos.records`), which goes into the file.

    Raises:
        OSError: if it cannot be written.
    """
    path = Path(path)
    kind = SUFFIXES[path.suffix.lower()]
    if made:
        xmp = records.with_record(photo.xmp, made, photo.computed_by)
        photo = dataclasses.replace(
            photo, xmp=xmp if len(xmp or b"") <= _LONGEST_XMP.get(kind, math.inf) else photo.xmp
        )
    image = _vips(photo)
    if scale != 1.0:
        image = _resized(image, scale)
    if kind == "webp" and image.bands < 3 and photo.profile:  # it has colour only, for which none of gray is
        image = _srgb(image)
    if kind not in _SIXTEEN:
        image = _eight_bits(image)
    if kind == "tiff" and image.format == "ushort" and image.bands == 2:  # which Pillow, among others, cannot read
        image = _srgb(image) if photo.profile else image
        if image.bands == 2:
            image = image[0].bandjoin([image[0], image[0], image[1]]).copy(interpretation="rgb16")
    if kind == "jpeg":
        image = _on_white(image)
    options: dict[str, dict[str, Any]] = {
        "png": {"compression": 6},
        "jpeg": {"Q": quality, "subsample_mode": "off" if quality >= 90 else "on"},
        "webp": {"Q": quality},
        "tiff": {"compression": "deflate", "predictor": "horizontal", "bigtiff": photo.pixels.nbytes * scale**2 > 2e9},
    }
    # In JPEG and WebP, EXIF data tells the resolution.
    exif = photo.exif or (kind not in _SIXTEEN and photo.dots_per_inch)
    keep = [name for name, kept in (("icc", photo.profile), ("exif", exif), ("xmp", photo.xmp)) if kept]
    with replacing(path) as part:
        try:
            target = pyvips.Target.new_to_file(os.fsencode(part))
            image.write_to_target(target, part.suffix, keep="|".join(keep) or "none", **options[kind])
        except pyvips.Error as error:
            _ask_the_system(part)
            raise OSError(one_line(error)) from error
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


def write_pyramid(photo: Photo, folder: Path) -> int:
    """Write a photo to be looked at: `folder/LEVEL/COLUMN_ROW.jpg` are tiles of 512 pixels, of the whole on level 0, of
    twice as many pixels a side on each further one, up to all that there are.

    What is transparent becomes white, colours sRGB.

    Returns:
        how many levels there are.

    Raises:
        OSError: if they cannot be written.
    """
    image = _eight_bits(_on_white(_vips(photo)))
    image = _srgb(image) if photo.profile else image
    try:
        image.dzsave(os.fspath(folder), suffix=".jpg[Q=90]", tile_size=TILE, overlap=0, depth="onetile", keep="none")
    except pyvips.Error as error:
        raise OSError(one_line(error)) from error
    os.replace(f"{folder}_files", folder)  # libvips adds to the name, and a file that describes the tiles
    os.unlink(f"{folder}.dzi")
    return sum(each.is_dir() for each in folder.iterdir())


def _colour(image: pyvips.Image) -> np.ndarray:
    image = _eight_bits(_on_white(image))
    pixels = image.numpy().reshape(image.height, image.width, image.bands)
    return np.repeat(pixels, 3, -1) if image.bands == 1 else pixels


def _on_white(image: pyvips.Image) -> pyvips.Image:
    if not image.hasalpha():
        return image
    return image.flatten(background=[65535 if image.format == "ushort" else 255] * (image.bands - 1))


def _srgb(image: pyvips.Image) -> pyvips.Image:
    """By its profile; as it is, if that is damaged or of other colours."""
    with contextlib.suppress(pyvips.Error):
        converted = image.icc_transform("srgb", embedded=True, depth=16 if image.format == "ushort" else 8)
        converted.crop(0, 0, 1, 1).avg()
        return converted
    return image


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
    for name, blob in (("icc-profile-data", photo.profile), ("exif-data", photo.exif), ("xmp-data", photo.xmp)):
        if blob:
            image.set_type(pyvips.GValue.blob_type, name, blob)
    return image


def _resized(image: pyvips.Image, scale: float) -> pyvips.Image:
    sides = [max(1, round(side * scale)) for side in (image.width, image.height)]
    format_, alpha = image.format, image.hasalpha()
    image = image.premultiply() if alpha else image
    image = image.resize(sides[0] / image.width, vscale=sides[1] / image.height, kernel="cubic")
    image = image.unpremultiply().rint() if alpha else image  # of floats, which a cast cuts off
    return image.cast(format_)


def _ask_the_system(part: Path) -> None:
    """libvips says in many lines, without an error number, what the system says in one: write there without it.

    Raises:
        OSError: the system's own, if that fails too.
    """
    with open(part, "ab") as file:  # after what is there: to remove that would make room
        file.write(bytes(1 << 16))
