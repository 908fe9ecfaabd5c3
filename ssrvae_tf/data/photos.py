"""Folders of photos, of any size and format that Pillow reads, as arrays in memory."""

from __future__ import annotations

import functools
import os
import sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from tqdm import tqdm

from ssrvae_tf.errors import UserError

# Pillow knows these by name only, or needs another program to read them.
_NOT_PHOTOS = {"BUFR", "EPS", "FITS", "GRIB", "HDF5", "MPEG", "WMF"}


@functools.cache
def suffixes() -> frozenset:
    """File suffixes that Pillow can read, in lower case, with the dot."""
    registered = Image.registered_extensions()
    return frozenset(end for end, kind in registered.items() if kind in Image.OPEN and kind not in _NOT_PHOTOS)


def __getattr__(name):  # asking Pillow loads all its plugins, so not at import
    if name == "SUFFIXES":
        return suffixes()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def find_photos(folder, what: str = "") -> list:
    """Paths of all photos in `folder` and its subfolders, sorted. Names that start with a dot are passed over.

    Args:
        what: the option that gave the folder; errors start with it.

    Raises:
        UserError: if the folder is missing or holds no photo.
    """
    label = f"{what} {folder}".strip()
    if not os.path.isdir(folder):
        kind = "a file, not a folder" if os.path.exists(folder) else "no such folder"
        raise UserError(f"{label}: {kind}: give a folder of photos")
    found, seen = [], set()
    for parent, children, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        children[:] = [] if real in seen else [name for name in children if not name.startswith(".")]
        if real not in seen:
            found += [Path(parent, name) for name in names if _is_photo(name)]
        seen.add(real)  # a link may lead back up
    if not found:
        raise UserError(f"{label}: no photos found: give a folder that holds photos (jpg, png, webp, ...)")
    return sorted(found)


def _is_photo(name):
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in suffixes()


def read_photo(path, at_least=None) -> np.ndarray:
    """Read one photo as uint8 RGB (H, W, 3), upright (EXIF orientation applied).

    Gray, palette, CMYK and 16-bit photos are converted; what is transparent becomes white; of an animation the first
    frame is taken.

    Args:
        at_least: if given, a JPEG may be decoded at a half, a quarter or an eighth of its size, as long as no side
            falls below this. Much faster for photos that will be shrunk anyway.

    Raises:
        UserError: if the file cannot be read; the text names it.
    """
    try:
        with Image.open(path) as image:
            if at_least:
                image.draft("RGB", (at_least, at_least))
            return np.array(_to_rgb(ImageOps.exif_transpose(image)))
    except Exception as error:  # Pillow's plugins raise many kinds on broken files
        reason = "not a photo that Pillow reads" if isinstance(error, Image.UnidentifiedImageError) else str(error)
        raise UserError(f"{path}: cannot be read ({reason or type(error).__name__}): repair or remove it") from error


def _to_rgb(image):
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


class PhotoSet:
    """Usable photos of some folders, decoded and held in memory as far as it is allowed.

    Build one with `PhotoSet.load(...)`, or from arrays for tests and demonstrations.

    Args:
        photos: uint8 arrays (H, W, 3), or paths, which are read anew whenever asked for.
        size: the shorter side of each is at least this.
        skipped: (path, reason) of files that were not usable.
        shrink: whether photos that are read anew are shrunk to `size`, as `crop="fit"` does.
        upsample: whether they are enlarged to `size`.
    """

    def __init__(self, photos, size: int, skipped=(), shrink: bool = False, upsample: bool = False):
        self.photos = list(photos)
        self.size = size
        self.skipped = list(skipped)
        self._shrink = shrink
        self._upsample = upsample

    def __len__(self):
        return len(self.photos)

    def photo(self, index: int) -> np.ndarray:
        """Photo number `index`, uint8 (H, W, 3)."""
        photo = self.photos[index]
        return photo if isinstance(photo, np.ndarray) else _prepare(photo, self.size, self._shrink, self._upsample)

    @classmethod
    def load(
        cls,
        folders,
        size: int,
        crop: str = "fit",
        minimum: int = 1,
        what: str = "--hr",
        progress: bool = False,
        upsample: bool = False,
        memory_limit_mb: int = 8000,
    ) -> PhotoSet:
        """Read folders of photos with a pool of threads. What cannot be used is skipped and named on stderr.

        Args:
            folders: one folder, or a list of them.
            size: the shorter side that is wanted.
            crop: "fit" shrinks larger photos until the shorter side is `size`; "random" keeps their own size, to be
                cut into patches later.
            minimum: fewer usable photos than this, the batch size, are an error.
            what: the option that gave the folders; messages start with it.
            progress: show a progress bar on stderr.
            upsample: enlarge photos below `size` (bicubic) instead of skipping them. For LR photos.
            memory_limit_mb: photos beyond this are read from disk each time.

        Raises:
            UserError: if a folder is missing or empty, or fewer than `minimum` photos are usable.
        """
        if crop not in ("fit", "random"):
            raise ValueError(f'crop is {crop!r}, must be "fit" or "random"')
        folders = [folders] if isinstance(folders, (str, os.PathLike)) else list(folders)
        paths = [path for folder in folders for path in find_photos(folder, what)]
        shrink = crop == "fit"

        def prepare(path):
            try:
                return _prepare(path, size, shrink, upsample)
            except UserError as error:
                return str(error)

        photos, skipped, room = [], [], memory_limit_mb * 1_000_000
        with ThreadPoolExecutor(min(16, 2 * (os.cpu_count() or 1))) as pool:
            results = in_order(pool, prepare, paths)
            for path, result in zip(paths, tqdm(results, what, len(paths), unit="photo", disable=not progress)):
                if isinstance(result, str):
                    skipped.append((path, result))
                    continue
                room -= result.nbytes
                photos.append(result if room >= 0 else path)

        label = f"{what} {', '.join(str(folder) for folder in folders)}".strip()
        if skipped:
            print(_skipped_text(label, skipped, len(paths)), file=sys.stderr)
        if len(photos) < minimum:
            if minimum == 1:
                raise UserError(f"{label}: no usable photos: add photos of at least {size} pixels")
            raise UserError(
                f"{label}: {len(photos)} usable photos, batch size is {minimum}: add photos or lower --batch-size"
            )
        return cls(photos, size, skipped, shrink, upsample)


def in_order(pool, function, items, ahead=256):
    """`pool.map` that runs no more than `ahead` items ahead, so that results do not pile up."""
    waiting = deque()
    for item in items:
        waiting.append(pool.submit(function, item))
        if len(waiting) >= ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _prepare(path, size, shrink, upsample):
    """Read a photo and bring its shorter side to `size` where that is asked for; UserError if it is too small."""
    photo = read_photo(path, at_least=4 * size if shrink else None)
    height, width = photo.shape[:2]
    shorter = min(height, width)
    if shorter < size and not upsample:
        raise UserError(f"{path}: {width}x{height}, must be at least {size} pixels on the shorter side: remove it")
    if shorter == size or (shorter > size and not shrink):
        return photo
    wanted = (max(size, round(width * size / shorter)), max(size, round(height * size / shorter)))
    return np.array(Image.fromarray(photo).resize(wanted, Image.BICUBIC))


def _skipped_text(label, skipped, total, shown=5):
    lines = [f"{label}: skipped {len(skipped)} of {total} files"]
    lines += [f"  {reason}" for _, reason in skipped[:shown]]
    if len(skipped) > shown:
        lines.append(f"  and {len(skipped) - shown} more")
    return "\n".join(lines)
