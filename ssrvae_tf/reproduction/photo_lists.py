"""Which photos a reproduction uses: folders, parts of folders, and what tells one list of photos from another."""

from __future__ import annotations

import glob
import hashlib
import os
import re
import shutil
import zlib
from pathlib import Path
from typing import NamedTuple, Sequence

from ssrvae_tf.errors import UserError
from ssrvae_tf.photos.folders import find_photos, size_of, suffixes

_RAW = {".bmp", ".dib", ".pbm", ".pgm", ".pnm", ".ppm", ".sgi", ".tga", ".tif", ".tiff"}  # as they mostly are


class Place(NamedTuple):
    """Something that a part of the plan uses.

    Attributes:
        path: where it is.
        fingerprint: what it is, wherever it is.
    """

    path: str
    fingerprint: str


class PhotoList(NamedTuple):
    """Photos of a folder.

    Attributes:
        folder: that their names are relative to.
        paths: of the photos, sorted.
    """

    folder: Path
    paths: list[Path]

    def names(self) -> list[str]:
        return [Path(os.path.relpath(path, self.folder)).as_posix() for path in self.paths]

    def fingerprint(self) -> str:
        """Of names and sizes, and of the bytes of photos that are not compressed: these may all have one size."""
        raw = [_bytes_of(path) for path in sorted(self.paths) if path.suffix.lower() in _RAW]
        return digest([*sorted(zip(self.names(), map(size_of, self.paths))), *raw])


def _bytes_of(path: Path) -> int | None:
    """What tells them from others; None if they cannot be read."""
    try:
        return zlib.crc32(path.read_bytes())
    except OSError:
        return None


def digest(value: object) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]


def find(given: str, option: str) -> PhotoList:
    """The photos in a folder, or those that a glob names, such as 'frames/film_*'.

    Raises:
        UserError: if there are none.
    """
    if glob.has_magic(given) and not os.path.isdir(given):
        files = [Path(os.path.abspath(path)) for path in sorted(glob.glob(given)) if os.path.isfile(path)]
        paths = [path for path in files if path.suffix.lower() in suffixes()]
        if not paths:
            raise UserError(f"{option} {given}: no photo matches: give a folder of photos or a glob")
        return PhotoList(Path(os.path.commonpath([path.parent for path in paths])), paths)
    paths = find_photos(given, option)
    return PhotoList(Path(os.path.abspath(given)), [Path(os.path.abspath(path)) for path in paths])


def name_of(given: str) -> str:
    """A short name for the photos of a folder or a glob: `film` of frames/film_*."""
    name = Path(os.path.abspath(given)).name
    return re.sub(r"[^\w-]+", "", re.split(r"[*?\[]", name)[0]).strip("_-") or Path(given).parent.name or "photos"


def divided(photos: PhotoList, count: int, seed: int = 0) -> tuple[PhotoList, PhotoList]:
    """(all but `count` of the photos, those `count`), by chance, but the same whenever it is asked for."""
    named = zip(photos.names(), photos.paths)
    drawn = sorted(named, key=lambda each: (zlib.crc32(os.fsencode(f"{seed} {each[0]}")), each))
    kept = {path for _, path in drawn[:count]}
    parts = [[path for path in photos.paths if (path in kept) == held] for held in (False, True)]
    return PhotoList(photos.folder, parts[0]), PhotoList(photos.folder, parts[1])


def linked(photos: PhotoList, folder: Path) -> Place:
    """A folder of links to just these photos, for what takes folders.

    Raises:
        UserError: if it cannot be written.
    """
    wanted = dict(zip(photos.names(), photos.paths))
    try:
        for name, path in wanted.items():
            link = folder / name
            if os.readlink(link) == str(path) if link.is_symlink() else size_of(link) == size_of(path):
                continue  # a copy, on a disk without links, may be in use by another process
            link.parent.mkdir(parents=True, exist_ok=True)
            _link(path, link)
    except OSError as error:
        raise UserError(f"--out {folder}: cannot be written ({error.strerror}): choose another folder") from error
    return Place(str(folder), photos.fingerprint())


def _link(path: Path, link: Path) -> None:
    link.unlink(missing_ok=True)
    try:
        link.symlink_to(path)
    except FileExistsError:  # another process was faster
        pass
    except OSError:  # a disk without links
        shutil.copy2(path, link)


def of_files(paths: Sequence[Path], place: str | os.PathLike) -> Place:
    """What is told from another by the bytes of files, such as a network."""
    found = hashlib.sha256()
    for path in paths:
        found.update(Path(path).read_bytes())
    return Place(os.path.abspath(place), found.hexdigest()[:16])
