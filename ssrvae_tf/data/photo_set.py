"""Sets of photos for a training, of any size and format that Pillow reads, as arrays in memory."""

from __future__ import annotations

import functools
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Iterable, Sequence

import numpy as np
from tqdm import tqdm

from ssrvae_tf.errors import UserError
from ssrvae_tf.photos.files import Encoded, read_photo
from ssrvae_tf.photos.folders import find_photos
from ssrvae_tf.photos.jobs import in_order
from ssrvae_tf.photos.resizing import resized
from ssrvae_tf.resources import free_memory, processors


class PhotoSet:
    """Usable photos of some folders, decoded and held in memory as far as it is allowed.

    Build one with `PhotoSet.load(...)`, or from arrays for tests and demonstrations.

    Args:
        photos: uint8 arrays (H, W, 3), or files, on disk or in memory, which are read anew whenever asked for.
        size: the shorter side of each is at least this.
        skipped: (path, reason) of files that were not usable.
        shrink: whether photos that are read anew are shrunk to `size`, as `crop="fit"` does.
        upsample: whether they are enlarged to `size`.
        paths: of the photos, where they are of files; what they are called, where these are in shards.

    Examples:
        >>> photos = PhotoSet([np.zeros((40, 50, 3), np.uint8)], size=32)
        >>> len(photos), photos.photo(0).shape
        (1, (40, 50, 3))
    """

    def __init__(
        self,
        photos: Iterable[np.ndarray | Path | Encoded],
        size: int,
        skipped: Iterable[tuple[Path | str, str]] = (),
        shrink: bool = False,
        upsample: bool = False,
        paths: Iterable[Path | str] = (),
    ):
        self.photos = list(photos)
        self.size = size
        self.skipped = list(skipped)
        self._shrink = shrink
        self._upsample = upsample
        self.paths = list(paths)

    def __len__(self) -> int:
        return len(self.photos)

    def photo(self, index: int) -> np.ndarray:
        """Photo number `index`, uint8 (H, W, 3)."""
        photo = self.photos[index]
        return photo if isinstance(photo, np.ndarray) else prepared(photo, self.size, self._shrink, self._upsample)

    def number(self, index: int, seed: int, stream: int, batch_size: int) -> int:
        """The photo of sample `index`: every epoch is a new order of all photos.

        Args:
            seed, stream: fix the orders.
            batch_size: the samples of a step, which matters to some sets.
        """
        epoch, position = divmod(index, len(self))
        return int(_permutation(len(self), seed, stream, epoch)[position])

    def part(self, numbers: list[int]) -> PhotoSet:
        """A set of some of the photos, by their numbers."""
        paths = [self.paths[number] for number in numbers] if self.paths else ()
        return PhotoSet([self.photos[i] for i in numbers], self.size, (), self._shrink, self._upsample, paths)

    def held(self) -> PhotoSet:
        """The same photos where they are at hand in any order, if they are few: shards are read one after the other."""
        return self

    @classmethod
    def load(
        cls,
        folders: str | os.PathLike | Iterable[str | os.PathLike],
        size: int,
        crop: str = "fit",
        minimum: int = 1,
        what: str = "--hr",
        progress: bool = False,
        upsample: bool = False,
        memory_limit_mb: float | None = None,
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
            memory_limit_mb: photos beyond this are read from disk each time. None: a third of the memory that is free.

        Raises:
            UserError: if a folder is missing or empty, or fewer than `minimum` photos are usable.
        """
        if crop not in ("fit", "random"):
            raise ValueError(f'crop is {crop!r}, must be "fit" or "random"')
        named = [folders] if isinstance(folders, (str, os.PathLike)) else list(folders)
        paths = [path for folder in named for path in find_photos(folder, what)]
        label = f"{what} {', '.join(str(folder) for folder in named)}".strip()
        return cls.of_files(paths, paths, label, size, crop, minimum, progress, upsample, memory_limit_mb)

    @classmethod
    def of_files(
        cls,
        files: Sequence[Path | Encoded],
        paths: Sequence[Path | str],
        label: str,
        size: int,
        crop: str = "fit",
        minimum: int = 1,
        progress: bool = False,
        upsample: bool = False,
        memory_limit_mb: float | None = None,
    ) -> PhotoSet:
        """As `load`, of given files.

        Args:
            paths: what the files are called.
            label: for messages: the option and what it gave.
        """
        shrink = crop == "fit"

        def prepare(path: Path | Encoded) -> np.ndarray | str:
            try:
                return prepared(path, size, shrink, upsample)
            except UserError as error:
                return str(error)

        if memory_limit_mb is None:
            memory_limit_mb = free_memory() / 3e6
        room = memory_limit_mb * 1_000_000
        photos: list[np.ndarray | Path | Encoded] = []
        used: list[Path | str] = []
        skipped: list[tuple[Path | str, str]] = []
        with ThreadPoolExecutor(min(16, 2 * processors())) as pool:
            results = in_order(pool, prepare, files)
            bar = tqdm(results, label.split(" ")[0], len(files), unit="photo", disable=not progress)
            for file, path, result in zip(files, paths, bar):
                if isinstance(result, str):
                    skipped.append((path, result))
                    continue
                room -= result.nbytes
                photos.append(result if room >= 0 else file)
                used.append(path)

        if skipped:
            print(_skipped_text(label, skipped, len(paths)), file=sys.stderr)
        check_enough(len(photos), minimum, label, size)
        return cls(photos, size, skipped, shrink, upsample, used)


def check_enough(count: int, minimum: int, label: str, size: int) -> None:
    """Raises UserError if there are fewer photos than a batch has."""
    if count < minimum:
        if minimum == 1:
            raise UserError(f"{label}: no usable photos: add photos of at least {size} pixels")
        raise UserError(f"{label}: {count} usable photos, batch size is {minimum}: add photos or lower --batch-size")


@functools.lru_cache(maxsize=16)
def _permutation(length: int, seed: int, stream: int, epoch: int) -> np.ndarray:
    return np.random.default_rng((seed, stream, epoch)).permutation(length)


def prepared(path: Path | Encoded, size: int, shrink: bool, upsample: bool) -> np.ndarray:
    """Read a photo and bring its shorter side to `size` where that is asked for; UserError if it is too small."""
    photo = read_photo(path, at_least=4 * size if shrink else None)
    height, width = photo.shape[:2]
    shorter = min(height, width)
    if shorter < size and not upsample:
        raise UserError(f"{path}: {width}x{height}, must be at least {size} pixels on the shorter side: remove it")
    if shorter == size or (shorter > size and not shrink):
        return photo
    return resized(photo, *(max(size, round(side * size / shorter)) for side in (width, height)))


def _skipped_text(label: str, skipped: list[tuple[Path | str, str]], total: int, shown: int = 5) -> str:
    lines = [f"{label}: skipped {len(skipped)} of {total} files"]
    lines += [f"  {reason}" for _, reason in skipped[:shown]]
    if len(skipped) > shown:
        lines.append(f"  and {len(skipped) - shown} more")
    return "\n".join(lines)
