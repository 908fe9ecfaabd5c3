"""Many photos from files to files: reading, work and writing at once, resumable, past what is broken."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import errno
import os
import signal
import sys
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Iterator, TextIO

from ssrvae_tf import terminal
from ssrvae_tf.errors import UserError
from ssrvae_tf.photos import records
from ssrvae_tf.photos.folders import Item

if TYPE_CHECKING:
    from ssrvae_tf.photos.files import Photo

# What no other photo of the job will be spared.
_HOPELESS = (errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EPERM, errno.EDQUOT)
_LARGE = 256_000_000  # bytes of a result beside which no other is held
_LARGE_SOURCE = _LARGE // 16  # of the photo that such a result comes from at four times
_SHOWN = 20


@dataclasses.dataclass
class Outcome:
    """What became of a job.

    Attributes:
        written, skipped: results; the skipped were there before.
        unknown: those of the skipped that do not say what made them.
        remade: results that something else made, and what that was.
        failed: a line for each photo that could not be done.
        stopped: why the job ended before its end, None if it did not.
    """

    written: list[Path] = dataclasses.field(default_factory=list)
    skipped: list[Path] = dataclasses.field(default_factory=list)
    unknown: list[Path] = dataclasses.field(default_factory=list)
    remade: dict[Path, str] = dataclasses.field(default_factory=dict)
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
        """What failed, line by line on stderr, and a summary on stdout.

        Args:
            where: the results are, as "to FOLDER".
        """
        for line in self.failed[:_SHOWN]:
            print(f"error: {line}", file=sys.stderr)
        if len(self.failed) > _SHOWN:
            print(f"error: and {len(self.failed) - _SHOWN} more", file=sys.stderr)
        if self.stopped:
            print(f"error: {self.stopped}: stopped; the same command goes on from here", file=sys.stderr)
        if self.unknown:
            some = f"{terminal.counted(len(self.unknown), 'result')} without a word of what made it"
            print(f"{some}, such as {self.unknown[0]}: left alone; --overwrite makes all anew", file=sys.stderr)
        if self.code or len(self.written) + len(self.skipped) != 1:
            there = f", {len(self.skipped)} were there before" if self.skipped else ""
            bad = f", {len(self.failed)} failed" if self.failed else ""
            print(f"{len(self.written)} written {where}{there}{bad}")
        elif self.skipped:
            print(f"{self.skipped[0]} is there already; --overwrite makes it anew")
        else:
            print(self.written[0])


def undone(
    items: list[Item], made: Callable[[Item], str], outcome: Outcome, overwrite: bool = False, jobs: int = 2
) -> list[Item]:
    """The items whose results are not there, or say that something else made them. The others go to `outcome`.

    Args:
        made: the record (`ssrvae_tf.photos.records`) of what makes an item now.
        overwrite: take all items.
    """
    there = [] if overwrite else [item for item in items if os.path.isfile(item.target)]
    if not there:
        return items
    with ThreadPoolExecutor(jobs) as pool:
        found = in_order(pool, lambda item: records.made(item.target), there)
        before = dict(zip((item.target for item in there), found))
    left = []
    for item in items:
        if item.target not in before:
            left.append(item)
        elif before[item.target] in (None, made(item)):
            outcome.skipped.append(item.target)
            outcome.unknown += [item.target] if before[item.target] is None else []
        else:
            left.append(item)
            outcome.remade[item.target] = records.difference(before[item.target], made(item))
    return left


def measured(items: list[Item], outcome: Outcome, max_megapixels: float, jobs: int) -> list[Item]:
    """The items whose heads can be read, with their sizes. The others go to `outcome`."""
    if not items:
        return []
    from ssrvae_tf.photos import files  # which libvips takes a while to load for

    def measure(item):
        try:
            item.width, item.height = files.measure(item.source, max_megapixels)
            return None
        except UserError as error:
            return str(error)

    kept = []
    with ThreadPoolExecutor(jobs) as pool:
        bar = terminal.Bar(
            in_order(pool, measure, items), "looking", len(items), unit="photo", disable=None, leave=False
        )
        for item, error in zip(items, bar):
            if not error:
                kept.append(item)
            else:
                outcome.fail(error)
    return kept


def in_order(pool, function, items, ahead=256):
    """`pool.map` that runs no more than `ahead` items ahead, so that results do not pile up."""
    waiting = deque()
    for item in items:
        waiting.append(pool.submit(function, item))
        if len(waiting) >= ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


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
    if outcome.remade:
        target, why = next(iter(outcome.remade.items()))
        others = f"{terminal.counted(len(outcome.remade), 'result')} made otherwise, such as {target} ({why})"
        print(f"{others}: made again", file=sys.stderr)
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

    # The first photo is where networks are compiled, which libraries tell.
    quietly = terminal.hushed if terminal.width() else contextlib.nullcontext
    pools = ThreadPoolExecutor(jobs), ThreadPoolExecutor(jobs)
    with (
        _stopping(),
        terminal.own_stream() as stream,
        _Bar(items, what, stream) as bar,
        pools[0] as readers,
        pools[1] as writers,
    ):
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
                        bar.write(photo.note, file=bar.stream)
                    if photo.pixels.nbytes >= _LARGE_SOURCE:
                        trim_heap()
                    with quietly():
                        result = work(item, photo, report)
                    quietly = contextlib.nullcontext
                    settle(jobs - 1 if result.pixels.nbytes < _LARGE else 0)
                    waiting.append((item, writers.submit(write, item, photo, result)))
                    if result.pixels.nbytes >= _LARGE:
                        settle(0)
                except Exception as error:
                    _note(outcome, item, error)
                photo = result = None  # before the next is made
                bar.photos = number
                bar.update(before + item.megapixels - bar.n)
                if outcome.stopped:
                    break
            settle(0)
        finally:
            readers.shutdown(cancel_futures=True)


def trim_heap() -> None:
    """Give back to the system what decoding a large photo left in the C library's heap, which keeps it otherwise."""
    with contextlib.suppress(OSError, AttributeError, TypeError):  # not glibc, which alone needs it
        ctypes.CDLL(None).malloc_trim(0)


class _Bar(terminal.Bar):
    """Goes on by megapixels, since photos differ, and tells of photos.

    Args:
        items: of the job.
        what: is done.
        stream: that it is written to.

    Attributes:
        photos: that are done.
    """

    def __init__(self, items: list[Item], what: str, stream: TextIO):
        self.photos, self.of, self.stream = 0, len(items), stream
        super().__init__(
            total=sum(item.megapixels for item in items),
            desc=what,
            file=stream,
            disable=None,
            dynamic_ncols=True,
            bar_format="{desc}: {percentage:3.0f}%|{bar}| {photos} photos [{elapsed}<{remaining}, {pace}]",
            narrow="{desc}: {percentage:3.0f}% {photos} [{elapsed}<{remaining}]",
        )

    @property
    def format_dict(self):
        told = super().format_dict
        pace = f"{told['elapsed'] / self.photos:.1f}" if self.photos else "?"
        return {**told, "photos": f"{self.photos}/{self.of}", "pace": f"{pace} s/photo"}


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
    """SIGTERM as Ctrl-C, but for the exit code: what is being written is finished or removed, nothing new is begun."""

    def stop(number, _):
        raise SystemExit(128 + number)

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not the main thread, which alone gets signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
