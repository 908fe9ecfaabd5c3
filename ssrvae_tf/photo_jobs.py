"""Many photos from files to files: reading, work and writing at once, resumable, past what is broken."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import errno
import glob
import os
import re
import signal
import sys
import zlib
from collections import Counter, deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Callable, Iterator

from jsonargparse.typing import PositiveFloat, PositiveInt
from tqdm import tqdm

from ssrvae_tf import photo_files
from ssrvae_tf.command_line import Parser
from ssrvae_tf.data.photos import find_photos, in_order
from ssrvae_tf.errors import UserError
from ssrvae_tf.photo_files import Photo
from ssrvae_tf.writing import runs

# What no other photo of the job will be spared.
_HOPELESS = (errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EPERM, errno.EDQUOT)
_LARGE = 256_000_000  # bytes of a result beside which no other is held
_LARGE_SOURCE = _LARGE // 16  # of the photo that such a result comes from at four times
_SHOWN = 20


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


@dataclasses.dataclass
class Outcome:
    """What became of a job.

    Attributes:
        written, skipped: results; the skipped were there before.
        failed: a line for each photo that could not be done.
        stopped: why the job ended before its end, None if it did not.
    """

    written: list[Path] = dataclasses.field(default_factory=list)
    skipped: list[Path] = dataclasses.field(default_factory=list)
    failed: list[str] = dataclasses.field(default_factory=list)
    stopped: str | None = None

    def fail(self, line: str) -> None:
        """Put a line down, once: several items may share a photo."""
        if line not in self.failed:
            self.failed.append(line)

    @property
    def code(self) -> int:
        """Of the process: 0, or 1 if anything is left undone."""
        return 1 if self.failed or self.stopped else 0

    def report(self, where: str) -> None:
        """What failed, line by line on stderr, and a summary on stdout."""
        for line in self.failed[:_SHOWN]:
            print(f"error: {line}", file=sys.stderr)
        if len(self.failed) > _SHOWN:
            print(f"error: and {len(self.failed) - _SHOWN} more", file=sys.stderr)
        if self.stopped:
            print(f"error: {self.stopped}: stopped; the same command goes on from here", file=sys.stderr)
        if self.code or len(self.written) + len(self.skipped) != 1:
            there = f", {len(self.skipped)} were there before" if self.skipped else ""
            bad = f", {len(self.failed)} failed" if self.failed else ""
            print(f"{len(self.written)} written to {where}{there}{bad}")
        elif self.skipped:
            print(f"{self.skipped[0]} is there already; --overwrite makes it anew")
        else:
            print(self.written[0])


def add_options(parser: Parser) -> None:
    """What every job over photos can be told."""
    parser.flag("--overwrite", "make results anew that are there already; else they are skipped")
    most = photo_files.MAX_MEGAPIXELS
    parser.add("--max-megapixels", "N", f"refuse larger photos (default: {most:g})", type=PositiveFloat, default=most)


def add_local_options(parser: Parser) -> None:
    """`add_options`, and what only a job on one machine can be told."""
    add_options(parser)
    parser.flag("--recursive", "take what lies in folders of the named folders, too")
    text = "threads that read, and as many that write (default: 2)"
    parser.add("--jobs", "N", text, type=PositiveInt, default=2)


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


def check_folder(folder: Path, option: str) -> None:
    """Make a folder for results, or find out before the work that nothing can be written there.

    What an earlier, killed process left half written there is removed.

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
    for part in folder.glob(".*.part.*"):
        number = re.search(r"\.(\d+)\.part\.\w+$", part.name)
        if number and not runs(int(number[1])):
            part.unlink(missing_ok=True)


def measured(items: list[Item], outcome: Outcome, max_megapixels: float, jobs: int) -> list[Item]:
    """The items whose heads can be read, with their sizes. The others go to `outcome`."""

    def measure(item):
        try:
            item.width, item.height = photo_files.measure(item.source, max_megapixels)
            return None
        except UserError as error:
            return str(error)

    kept = []
    with ThreadPoolExecutor(jobs) as pool:
        bar = tqdm(in_order(pool, measure, items), "looking", len(items), unit="photo", disable=None, leave=False)
        for item, error in zip(items, bar):
            if not error:
                kept.append(item)
            else:
                outcome.fail(error)
    return kept


def run(
    items: list[Item],
    read: Callable[[Item], Photo],
    work: Callable[[Item, Photo, Callable[[int, int], None]], Photo],
    write: Callable[[Item, Photo, Photo], None],
    outcome: Outcome,
    what: str,
    jobs: int = 2,
) -> None:
    """Read, work on and write every item. Reading and writing go on in `jobs` threads each while the main thread works.

    A photo that fails is noted in `outcome` and passed over. A disk that takes nothing more ends the job.

    Args:
        work: (item, photo, report) -> result; it calls report(rows done, rows in all) as it goes.
        write: (item, photo, result).
        what: is done, for the progress bar.
    """
    waiting: deque[tuple[Item, Future]] = deque()

    def settle(most: int) -> None:
        """Wait until at most so many results are being written."""
        while len(waiting) > most:
            item, future = waiting.popleft()
            try:
                future.result()
                outcome.written.append(item.target)
            except Exception as error:
                _note(outcome, item, error)

    def attempt(item):
        try:
            return read(item)
        except Exception as error:  # comes out where it is waited for
            return error

    total = sum(item.megapixels for item in items)
    bar = tqdm(total=total, desc=what, unit="MP", disable=None, bar_format=_BAR, postfix=f"0/{len(items)} photos")
    with _stopping(), bar, ThreadPoolExecutor(jobs) as readers, ThreadPoolExecutor(jobs) as writers:
        try:
            # One photo ahead for each reader, or large ones would pile up.
            for number, (item, photo) in enumerate(zip(items, in_order(readers, attempt, items, jobs)), 1):
                before = bar.n

                def report(done, rows, item=item, before=before):
                    bar.update(before + item.megapixels * done / rows - bar.n)

                try:
                    if isinstance(photo, Exception):
                        raise photo
                    if photo.note:
                        bar.write(photo.note, file=sys.stderr)
                    if photo.pixels.nbytes >= _LARGE_SOURCE:
                        _trim_heap()
                    result = work(item, photo, report)
                    settle(jobs - 1 if result.pixels.nbytes < _LARGE else 0)
                    waiting.append((item, writers.submit(write, item, photo, result)))
                    if result.pixels.nbytes >= _LARGE:
                        settle(0)
                except Exception as error:
                    _note(outcome, item, error)
                photo = result = None  # before the next is made
                bar.set_postfix_str(f"{number}/{len(items)} photos", refresh=False)
                bar.update(before + item.megapixels - bar.n)
                if outcome.stopped:
                    break
            settle(0)
        finally:
            readers.shutdown(cancel_futures=True)


def _trim_heap() -> None:
    """Give back to the system what decoding a large photo left in the C library's heap, which keeps it otherwise."""
    with contextlib.suppress(OSError, AttributeError, TypeError):  # not glibc, which alone needs it
        ctypes.CDLL(None).malloc_trim(0)


_BAR = "{desc}: {percentage:3.0f}%|{bar}| {n:.2f}/{total:.2f} MP [{elapsed}<{remaining}, {rate_fmt}{postfix}]"


def _note(outcome: Outcome, item: Item, error: Exception) -> None:
    """Put down that an item failed. What is no one's mistake but the program's goes on up."""
    if isinstance(error, UserError):
        named = str(error).startswith((f"{item.source}: ", f"{item.target}: "))  # a server's refusal names no photo
        outcome.fail(str(error) if named else f"{item.source}: {error}")
    elif isinstance(error, MemoryError):
        outcome.fail(f"{item.source}: {item.width}x{item.height} needs more memory than there is")
    elif isinstance(error, OSError):
        outcome.fail(f"{item.target}: cannot be written ({error.strerror or error})")
        if error.errno in _HOPELESS:
            outcome.stopped = f"{item.target.parent}: {error.strerror}"
    else:
        raise error


@contextlib.contextmanager
def _stopping() -> Iterator[None]:
    """SIGTERM as Ctrl-C: what is being written is finished or removed, nothing new is begun."""

    def stop(*_):
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not the main thread, which alone gets signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
