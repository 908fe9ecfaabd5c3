"""Which photos a folder or a command line names, and where their results go."""

from __future__ import annotations

import dataclasses
import functools
import glob
import os
import zlib
from collections import Counter
from pathlib import Path
from typing import Callable

from PIL import Image

from ssrvae_tf.errors import UserError
from ssrvae_tf.photos.formats import FORMATS, SUFFIXES
from ssrvae_tf.photos.writing import remove_parts

# Pillow knows these by name only, or needs another program to read them.
_NOT_PHOTOS = {"BUFR", "EPS", "FITS", "GRIB", "HDF5", "MPEG", "WMF"}


@functools.cache
def suffixes() -> frozenset:
    """File suffixes that Pillow can read, in lower case, with the dot."""
    registered = Image.registered_extensions()
    return frozenset(end for end, kind in registered.items() if kind in Image.OPEN and kind not in _NOT_PHOTOS)


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


@dataclasses.dataclass(frozen=True)
class Source:
    """A photo to work on.

    Attributes:
        path: of the file.
        inside: its place below the folder that was named, or its name.
    """

    path: Path
    inside: Path


@dataclasses.dataclass
class Item:
    """A photo and where its result goes.

    Attributes:
        width, height: of the photo.
    """

    source: Path
    target: Path
    width: int = 0
    height: int = 0

    @property
    def megapixels(self) -> float:
        return self.width * self.height / 1e6


def find_sources(
    words: list[str], recursive: bool = False, apart_from: Path | None = None, passed_over: str | None = None
) -> tuple[list[Source], list[str]]:
    """The photos that the words of a command line name: files, folders and globs, each once, in order.

    Args:
        recursive: also take what lies in folders of a named folder.
        apart_from: a folder whose files are results, not photos, if it lies in a named folder.
        passed_over: the end of names that are taken only where they are named themselves.

    Returns:
        the photos, and a line for each folder and glob that holds none.

    Raises:
        UserError: if there is no photo at all.
    """
    found: dict[str, Source] = {}
    failed: list[str] = []

    def add(path: Path, inside: Path) -> None:
        found.setdefault(os.path.realpath(path), Source(path, inside))

    def kept(path: Path) -> bool:
        return passed_over is None or not path.name.endswith(passed_over)

    folders = [word for word in words if os.path.isdir(word)]
    for word in words:
        path = Path(word)
        if word in folders:
            below = Path(path.resolve().name) if len(folders) > 1 else Path()
            results = apart_from and apart_from.resolve()
            before = len(found)
            try:
                photos = find_photos(path)
            except UserError as error:
                failed.append(str(error))
                continue
            for photo in filter(kept, photos):
                inside = photo.relative_to(path)
                result = results and path.resolve() in results.parents and results in photo.resolve().parents
                if not result and (recursive or len(inside.parts) == 1):
                    add(photo, below / inside)
            if len(found) == before and not recursive:
                failed.append(
                    f"{word}: no photos found: give a folder that holds some, or --recursive for folders in it"
                )
        elif os.path.exists(path) or not glob.has_magic(word):
            add(path, Path(path.name))  # one that is not there fails in its turn, and the others are done
        else:
            matches = [Path(each) for each in sorted(glob.glob(word, recursive=True)) if not os.path.isdir(each)]
            if not matches:
                failed.append(f"{word}: no file matches: give photos, folders or a glob")
                continue
            root = Path(os.path.commonpath([each.parent for each in matches]))
            for match in filter(kept, matches):
                add(match, match.relative_to(root))
    if not found:
        raise UserError(failed[0] if failed else f"{' '.join(words)}: no photos found: give photos or a folder of them")
    return list(found.values()), failed


def plan(sources: list[Source], out: Path | None, rename: Callable[[Source, bool], str]) -> list[Item]:
    """A target for each source, no two the same, whatever the order.

    Sources that are themselves the target of another are left out: they are results of an earlier time. Where not even
    the name that tells kinds apart is one's own, as that of two folders' `a.jpg`, it gets a mark of the source's path.

    Args:
        out: the folder of the results, which keeps the structure; None: beside the photos.
        rename: gives the target's name; if told to, one that tells `a.jpg` and `a.png` apart.
    """

    def target(source: Source, apart: bool) -> Path:
        folder = source.path.parent if out is None else out / source.inside.parent
        return folder / rename(source, apart)

    def key(path: Path) -> str:  # some disks take a.png and A.png for one
        return os.path.join(path.parent.resolve(), path.name).casefold()

    named = [(source, target(source, False), target(source, True)) for source in sources]
    keyed = [(source, plain, key(plain), apart, key(apart)) for source, plain, apart in named]
    makers: dict[str, set[Path]] = {}  # the sources whose result a file may be
    for source, _, plain_key, _, apart_key in keyed:
        makers.setdefault(plain_key, set()).add(source.path)
        makers.setdefault(apart_key, set()).add(source.path)
    keyed = [each for each in keyed if not makers.get(key(each[0].path), set()) - {each[0].path}]
    plain_counts = Counter(plain_key for _, _, plain_key, _, _ in keyed)
    apart_counts = Counter(apart_key for _, _, _, _, apart_key in keyed)
    apart_counts.update(name for name, count in plain_counts.items() if count == 1)
    items = []
    for source, path, plain_key, apart, apart_key in keyed:
        if plain_counts[plain_key] > 1:
            path = apart
            if apart_counts[apart_key] > 1:
                mark = zlib.crc32(os.fsencode(source.path))
                path = path.with_name(f"{path.stem}_{mark:08x}{path.suffix}")
        items.append(Item(source.path, path))
    return items


def pair_name(source: Source, apart: bool) -> str:
    """What both photos of a pair are called; `apart` tells `a.jpg` and `a.png` apart."""
    return f"{source.path.name if apart else source.path.stem}.png"


def result_name(source: Source, apart: bool, factor: float, kind: str) -> str:
    """What a result is called; `apart` tells those of `a.jpg` and `a.png` apart."""
    path = source.path
    suffix = path.suffix if path.suffix.lower() in SUFFIXES else ".png"
    if kind != "keep" and SUFFIXES[suffix.lower()] != kind:
        suffix = FORMATS[kind]
    return f"{path.name if apart else path.stem}_x{factor:g}{suffix}"


def check_folder(folder: Path, option: str) -> None:
    """Make a folder for results, or find out before the work that nothing can be written there.

    What killed processes of this machine left half written there is removed.

    Raises:
        UserError: it names `option`, which gave the folder.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".{os.getpid()}.probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(f"{option} {folder}: cannot be written ({error.strerror}): choose another folder") from error
    remove_parts(folder)
