"""Which photos a folder or a command line names, and where their results go."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import glob
import os
import re
import statistics
import sys
import zlib
from collections import Counter
from pathlib import Path
from typing import Callable, Iterable, Iterator, Sequence

from PIL import Image

from ssrvae_tf.errors import UserError
from ssrvae_tf.photos import records
from ssrvae_tf.photos.formats import FORMATS, SUFFIXES, add_heif, advice, open_image
from ssrvae_tf.photos.writing import check_folder_for, remove_parts
from ssrvae_tf.terminal import counted

COMPARISON = "before_after.html"  # a folder with such a page holds sheets, not photos
_RESULT = re.compile(r"(.+)_x[\d.]+(?:_[0-9a-f]{8})?")  # as `result_name` and a mark make it, without the suffix
_NAMES = 10_000  # that are looked at to count what is left out
_LOOKED_AT = 50  # photos whose sizes are
_APART = 1.5  # sharp and small photos of much the same size may be what they are called: blur is not seen here
# Pillow knows these by name only, or needs another program to read them.
NOT_PHOTOS = {"BUFR", "EPS", "FITS", "GRIB", "HDF5", "MPEG", "WMF"}


@functools.cache
def suffixes() -> frozenset:
    """File suffixes that Pillow can read, in lower case, with the dot."""
    add_heif()
    registered = Image.registered_extensions()
    return frozenset(end for end, kind in registered.items() if kind in Image.OPEN and kind not in NOT_PHOTOS)


def find_photos(folder: str | os.PathLike, what: str = "", tell: bool = True) -> list[Path]:
    """Paths of all photos in `folder` and its subfolders, sorted. Names that start with a dot are passed over.

    Args:
        what: the option that gave the folder; errors start with it.
        tell: photos of kinds that cannot be read here, on stderr.

    Raises:
        UserError: if the folder is missing or holds no photo.
    """
    label = f"{what} {folder}".strip()
    if not os.path.isdir(folder):
        kind = "a file, not a folder" if os.path.exists(folder) else "no such folder"
        raise UserError(f"{label}: {kind}: give a folder of photos")
    photos, unread, closed = _files(folder)
    if not photos:
        raise UserError(closed[0] if closed else f"{label}: no photos found{_no_photos(unread)}")
    if tell:
        _tell_unread(label, unread)
        for line in closed:
            print(line, file=sys.stderr)
    return photos


def _files(
    folder: str | os.PathLike, recursive: bool = True, pruned: Callable[[str], bool] = lambda folder: False
) -> tuple[list[Path], list[Path], list[str]]:
    """Photos in a folder, sorted, those of kinds that cannot be read here, and a line for each folder that cannot be.

    Args:
        recursive: also in folders in it, save those that are `pruned`.
    """
    photos, unread, closed = [], [], []

    def tell(error: OSError) -> None:
        closed.append(f"{error.filename}: cannot be looked into ({error.strerror}): its photos are left out")

    for parent, names in _walk(folder, recursive, pruned, tell):
        for name in names:
            kind = os.path.splitext(name)[1].lower()
            if kind in suffixes():
                photos.append(Path(parent, name))
            elif advice(kind):
                unread.append(Path(parent, name))
    return sorted(photos), sorted(unread), closed


def _walk(
    folder: str | os.PathLike,
    recursive: bool,
    pruned: Callable[[str], bool],
    tell: Callable[[OSError], None] | None = None,
) -> Iterator[tuple[str, list[str]]]:
    """(folder, names of files) of a folder and of those in it, once each. Hidden ones are passed over.

    Args:
        tell: is called with the error of each that cannot be read.
    """
    seen = set()
    for parent, children, names in os.walk(os.fspath(folder), onerror=tell, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:  # a link may lead back up
            children.clear()
            continue
        seen.add(real)
        yield parent, [name for name in names if not name.startswith(".")]
        kept = [name for name in children if not name.startswith(".")] if recursive else []
        children[:] = [name for name in kept if not pruned(os.path.join(parent, name))]


def _no_photos(unread: list[Path]) -> str:
    """The end of a message."""
    if not unread:
        return ": give a folder that holds photos (jpg, png, webp, ...)"
    return f", but {len(unread)} such as {unread[0].name}: {advice(unread[0].suffix)}"


def _tell_unread(label: str, unread: list[Path]) -> None:
    kinds: dict[str, list[Path]] = {}
    for path in unread:
        kinds.setdefault(path.suffix.lower(), []).append(path)
    for kind, paths in kinds.items():
        some = f"{counted(len(paths), f'{kind} file')}, such as {paths[0].name}"
        print(f"{label}: skipped {some}: {advice(kind)}", file=sys.stderr)


def check_not_swapped(
    hr: list[Path] | list[int], lr: list[Path] | list[int], hr_option: str = "--hr", lr_option: str = "--lr"
) -> None:
    """Find out by the sizes of some photos that sharp and small ones have been exchanged.

    Args:
        hr, lr: paths of the sharp and of the small photos, or their shorter sides where these are known.
        hr_option, lr_option: that gave them; the error names both.

    Raises:
        UserError: if the sharp ones are much the smaller.
    """
    large, small = _usual_side(hr), _usual_side(lr)
    if large and small and _APART * large < small:
        raise UserError(
            f"{hr_option} and {lr_option}: photos of {hr_option} are smaller (at the median {large} pixels on the "
            f"shorter side) than those of {lr_option} ({small}): exchange the two"
        )


def check_outside(out: str | os.PathLike, option: str, folders: Iterable[tuple[str, str | os.PathLike | None]]) -> None:
    """Find out before the work that its pictures would lie among the photos, and be taken for some the next time.

    Args:
        option: that gave `out`.
        folders: of photos, each with the option that gave it. What is no folder is passed over.

    Raises:
        UserError: it names both options.
    """
    place = os.path.join(os.path.realpath(out), "")
    for name, folder in folders:
        if folder and os.path.isdir(folder) and place.startswith(os.path.join(os.path.realpath(folder), "")):
            raise UserError(
                f"{option} {out}: lies in {name} {folder}, whose photos its pictures would be among: choose another "
                "place"
            )


def _usual_side(photos: list[Path] | list[int]) -> int | None:
    """The median of the shorter sides of some of the photos; None if none can be read."""
    chosen = photos[:: max(1, len(photos) // _LOOKED_AT)]
    sides = []
    for each in chosen:
        if isinstance(each, int):
            sides.append(each)
            continue
        with contextlib.suppress(Exception), open_image(each) as image:  # Pillow's plugins raise many kinds
            sides.append(min(image.size))
    return round(statistics.median(sides)) if sides else None


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
    words: list[str], recursive: bool = False, apart_from: Sequence[Path] = ()
) -> tuple[list[Source], list[str]]:
    """The photos that the words of a command line name: files, folders and globs, each once, in order.

    What is left out of a named folder is told on stderr: photos in folders of it, and kinds that cannot be read. Sheets
    of comparisons are no photos, unless they are named themselves.

    Args:
        recursive: also take what lies in folders of a named folder.
        apart_from: folders whose files are results, not photos, if they lie in a named folder.

    Returns:
        the photos, and a line for each folder and glob that holds none, or cannot be read.

    Raises:
        UserError: if there is no photo at all.
    """
    found: dict[str, Source] = {}
    failed: list[str] = []
    folders = {os.path.realpath(word): word for word in reversed(words) if os.path.isdir(word)}
    results = {os.path.realpath(each) for each in apart_from} - folders.keys()

    def add(path: Path, inside: Path) -> None:
        found.setdefault(os.path.realpath(path), Source(path, inside))

    def no_photos(folder: str) -> bool:
        return os.path.realpath(folder) in results or _holds_sheets(folder)

    for word in dict.fromkeys(words):
        path = Path(word)
        if word in folders.values():
            below = Path(path.resolve().name) if len(folders) > 1 else Path()
            photos, unread, closed = _files(path, recursive, no_photos)
            failed += closed
            for photo in photos:
                add(photo, below / photo.relative_to(path))
            deeper = "" if recursive else _deeper(path, results | folders.keys())
            if not photos:
                if not closed:
                    failed.append(f"{word}: no photos found{f', but {deeper}' if deeper else _no_photos(unread)}")
                continue
            _tell_unread(word, unread)
            if deeper:
                print(f"{word}: left out {deeper}", file=sys.stderr)
        elif os.path.isdir(word):
            continue  # named before, in other words
        elif os.path.exists(path) or not glob.has_magic(word):
            add(path, Path(path.name))  # one that is not there fails in its turn, and the others are done
        else:
            matches = [Path(each) for each in sorted(glob.glob(word, recursive=True)) if not os.path.isdir(each)]
            start = Path(re.split(r"[*?\[]", word)[0] + "x").parent
            matches = [each for each in matches if not any(map(_holds_sheets, _between(start, each)))]
            if not matches:
                failed.append(f"{word}: no file matches: give photos, folders or a glob")
                continue
            root = Path(os.path.commonpath([each.parent for each in matches]))
            for match in matches:
                add(match, match.relative_to(root))
    if not found:
        raise UserError(failed[0] if failed else f"{' '.join(words)}: no photos found: give photos or a folder of them")
    return list(found.values()), failed


def _holds_sheets(folder: str | Path) -> bool:
    return os.path.isfile(os.path.join(folder, COMPARISON))


def _between(start: Path, path: Path) -> list[Path]:
    """The folders that lead from one folder to a file, without the first."""
    return [each for each in path.parents if start in each.parents]


def _deeper(folder: Path, others: set[str]) -> str:
    """How many photos lie in folders of a folder, as the end of a message; "" if none do.

    A tree may be large: no more names are looked at than takes no time.

    Args:
        others: folders, by their real paths, that do not count.
    """
    count = seen = 0
    for parent, names in _walk(folder, True, lambda each: os.path.realpath(each) in others or _holds_sheets(each)):
        if Path(parent) != folder:
            count += sum(os.path.splitext(name)[1].lower() in suffixes() for name in names)
            seen += len(names) + 1
        if seen > _NAMES:
            break
    least = "at least " if seen > _NAMES else ""
    return f"{least}{counted(count, 'photo')} in folders of it: --recursive looks there, too" if count else ""


def plan(sources: list[Source], out: Path | None, rename: Callable[[Source, bool], str]) -> list[Item]:
    """A target for each source, no two the same, whatever the order.

    Sources that are themselves the target of another are left out: they are results of an earlier time. So are those of
    another scale or format that lie beside their photo, where this one's would, and say what made them. Where not even
    the name that tells kinds apart is one's own, as that of two folders' `a.jpg`, it gets a mark of the source's path.

    Args:
        out: the folder of the results, which keeps the structure; None: beside the photos.
        rename: gives the target's name; if told to, one that tells `a.jpg` and `a.png` apart.
    """

    def target(source: Source, apart: bool) -> Path:
        folder = source.path.parent if out is None else out / source.inside.parent
        return folder / rename(source, apart)

    real = functools.cache(os.path.realpath)  # of folders, which are few

    def key(path: Path, name: str = "") -> str:  # some disks take a.png and A.png for one
        return os.path.join(real(path.parent), name or path.name).casefold()

    def marked(source: Source, path: Path) -> Path:
        return path.with_name(f"{path.stem}_{zlib.crc32(os.fsencode(source.path)):08x}{path.suffix}")

    named = [(source, target(source, False), target(source, True)) for source in sources]
    keyed = [(source, plain, key(plain), apart, key(apart)) for source, plain, apart in named]
    makers: dict[str, set[Path]] = {}  # the sources whose result a file may be
    for source, _, plain_key, apart, apart_key in keyed:
        for each in (plain_key, apart_key, key(marked(source, apart))):
            makers.setdefault(each, set()).add(source.path)
    keyed = [each for each in keyed if not makers.get(key(each[0].path), set()) - {each[0].path}]
    photos = {key(each.path, name) for each in sources for name in (each.path.stem, each.path.name)}

    def is_result(source: Source, target_key: str) -> bool:
        photo = _RESULT.fullmatch(source.path.stem)
        if not photo or os.path.dirname(target_key) != os.path.dirname(key(source.path)):
            return False
        return key(source.path, photo[1]) in photos and records.made(source.path) is not None

    keyed = [each for each in keyed if not is_result(each[0], each[2])]
    plain_counts = Counter(plain_key for _, _, plain_key, _, _ in keyed)
    apart_counts = Counter(apart_key for _, _, _, _, apart_key in keyed)
    apart_counts.update(name for name, count in plain_counts.items() if count == 1)
    items = []
    for source, path, plain_key, apart, apart_key in keyed:
        if plain_counts[plain_key] > 1:
            path = apart
            if apart_counts[apart_key] > 1:
                path = marked(source, path)
        items.append(Item(source.path, path))
    return items


def size_of(path: Path) -> int | None:
    """The bytes of a file; None if it cannot be looked at."""
    try:
        return os.stat(path).st_size
    except OSError:
        return None


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
    check_folder_for(folder, option, is_folder=True)
    remove_parts(folder)
