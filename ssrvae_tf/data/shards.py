"""Photos in TFRecord shards, on any filesystem that tf.io reads: `python -m ssrvae_tf.shards` writes them, `fit` reads.

    photos-00000-of-00012.tfrecord   tf.train.Example: image, name (bytes), width, height, source_bytes (int64)
    manifest.json                    what is in each shard, and how they were made; there when all of them are

A shard is read whole, since stores of objects are quick at that and slow at small pieces.
"""

from __future__ import annotations

import dataclasses
import json
import os
import posixpath
import sys
import threading
import zlib
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Iterator, Sequence

import numpy as np
import tensorflow as tf

from ssrvae_tf.data.interleaving import Interleaving
from ssrvae_tf.data.photo_set import PhotoSet, check_enough, prepared
from ssrvae_tf.errors import UserError, one_line
from ssrvae_tf.photos.files import Encoded
from ssrvae_tf.resources import free_memory

MANIFEST = "manifest.json"
KIND = "ssrvae_tf shards 1"  # of the format
_READ_AT_ONCE = 4
_FEW = 1024  # photos


@dataclasses.dataclass(frozen=True)
class Entry:
    """A photo in a shard.

    Args:
        name: relative to the folder that it came from, with "/".
        source_bytes: of the file that it came from.
        width, height: of the photo, in pixels.
    """

    name: str
    source_bytes: int
    width: int
    height: int


@dataclasses.dataclass(frozen=True)
class Shard:
    """A file of photos.

    Args:
        file: its name.
        bytes, crc32: of the whole file.
        photos: in the order in which they lie there.
    """

    file: str
    bytes: int
    crc32: int
    photos: tuple[Entry, ...]


def is_remote(place: str | os.PathLike) -> bool:
    return "://" in os.fspath(place)


def join(place: str | os.PathLike, name: str) -> str:
    return posixpath.join(os.fspath(place), name) if is_remote(place) else os.path.join(place, name)


def are_at(place: str | os.PathLike) -> bool:
    """Whether there are shards. What is on other machines can be nothing else."""
    return is_remote(place) or os.path.isfile(join(place, MANIFEST))


def read_manifest(place: str | os.PathLike, what: str = "") -> list[Shard]:
    """The shards at `place`.

    Args:
        what: the option that gave it; errors start with it.

    Raises:
        UserError: if there are none, or they cannot be reached.
    """
    label = f"{what} {place}".strip()
    try:
        with tf.io.gfile.GFile(join(place, MANIFEST), "r") as file:
            text = file.read()
    except tf.errors.NotFoundError as error:
        raise UserError(f"{label}: no {MANIFEST} there: give what ssrvae shards wrote, or a folder") from error
    except (tf.errors.OpError, OSError, UnicodeDecodeError) as error:
        raise UserError(f"{label}: cannot be read ({one_line(error)})") from error
    try:
        values = json.loads(text)
        if values["kind"] != KIND:
            raise ValueError(values["kind"])
        return [Shard(**{**each, "photos": tuple(Entry(**one) for one in each["photos"])}) for each in values["shards"]]
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"{label}: its {MANIFEST} is damaged, or of another version: write the shards anew") from error


def serialized(entry: Entry, data: bytes) -> bytes:
    """A record."""

    def of_bytes(value: bytes) -> tf.train.Feature:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    def of_number(value: int) -> tf.train.Feature:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))

    features = {"image": of_bytes(data), "name": of_bytes(os.fsencode(entry.name))}
    features.update({name: of_number(getattr(entry, name)) for name in ("width", "height", "source_bytes")})
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True)


def read_shard(path: str) -> tuple[bytes, list[tuple[Entry, bytes]]]:
    """(the whole file, its photos).

    Raises:
        ValueError: if it is damaged.
        OSError, tf.errors.OpError: if it cannot be read.
    """
    with tf.io.gfile.GFile(path, "rb") as file:
        data = file.read()
    return data, [_parsed(record) for record in _records(data)]


def _records(data: bytes) -> Iterator[bytes]:
    """Those of a TFRecord file: each is its length (8 bytes), a checksum (4), the record, and a checksum (4).

    The file has a checksum of its own in the manifest.
    """
    at = 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 8], "little")
        if at + 16 + length > len(data):
            raise ValueError("cut short")
        yield data[at + 12 : at + 12 + length]
        at += 16 + length


def _parsed(record: bytes) -> tuple[Entry, bytes]:
    try:
        features = tf.train.Example.FromString(record).features.feature
        numbers = [features[name].int64_list.value[0] for name in ("source_bytes", "width", "height")]
        name = os.fsdecode(features["name"].bytes_list.value[0])
        return Entry(name, *numbers), features["image"].bytes_list.value[0]
    except Exception as error:  # protobuf's own, which differs between its versions
        raise ValueError("no photos") from error


class _Shelf:
    """Shards in memory, each read once however many ask for it; what was not asked for the longest goes first."""

    def __init__(self, place: str, shards: Sequence[Shard], room: float):
        self._place, self._shards, self._room = place, shards, room
        self._held: OrderedDict[int, Future] = OrderedDict()
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(_READ_AT_ONCE, "shards")

    def fetch(self, number: int) -> Future:
        """A shard's photos, encoded, when they are there."""
        with self._lock:
            there = self._held.get(number)
            if there is None or there.done() and there.exception():  # what a network failed at may come now
                self._held[number] = self._pool.submit(self._read, self._shards[number])
            self._held.move_to_end(number)
            while len(self._held) > 1 and sum(self._shards[each].bytes for each in self._held) > self._room:
                self._held.popitem(last=False)
            return self._held[number]

    def _read(self, shard: Shard) -> list[bytes]:
        path = join(self._place, shard.file)
        try:
            data, found = read_shard(path)
            if zlib.crc32(data) != shard.crc32:
                raise ValueError("not what was written")
        except (tf.errors.OpError, OSError, ValueError) as error:
            raise UserError(f"{path}: cannot be read ({one_line(error)}): write the shards anew") from error
        return [photo for _, photo in found]


class ShardedPhotos(PhotoSet):
    """Photos in shards. What they are is known from the manifest; they are read when they are wanted.

    Args:
        place: of the shards.
        shards: all of them.
        numbers: (shard, place in it) of the photos of this set, shard by shard.
        size, shrink, upsample: as for PhotoSet.
        shelf: what holds shards in memory.
    """

    def __init__(
        self,
        place: str,
        shards: Sequence[Shard],
        numbers: Sequence[tuple[int, int]],
        size: int,
        shrink: bool,
        upsample: bool,
        shelf: _Shelf,
    ):
        super().__init__((), size, (), shrink, upsample)
        self._place, self._shards, self._numbers, self._shelf = place, shards, list(numbers), shelf
        self.paths: list[Path | str] = [join(place, shards[shard].photos[at].name) for shard, at in self._numbers]
        found = np.unique([shard for shard, _ in self._numbers], return_index=True, return_counts=True)
        self._own, self._first, self._counts = (each.tolist() for each in found)
        self._orders: dict[tuple, Interleaving] = {}

    @classmethod
    def open(
        cls,
        place: str | os.PathLike,
        size: int,
        crop: str = "fit",
        minimum: int = 1,
        what: str = "--hr",
        upsample: bool = False,
        memory_limit_mb: float | None = None,
    ) -> ShardedPhotos:
        """Those that `PhotoSet.load` would find usable in a folder; arguments and errors as there.

        Args:
            memory_limit_mb: for shards, as they are; at least one is held.
        """
        shards = read_manifest(place, what)
        label = f"{what} {place}".strip()
        numbers, small = [], 0
        for number, shard in enumerate(shards):
            for at, photo in enumerate(shard.photos):
                if upsample or min(photo.width, photo.height) >= size:
                    numbers.append((number, at))
                else:
                    small += 1
        if small:
            print(f"{label}: left out {small} of {len(numbers) + small} photos: below {size} pixels", file=sys.stderr)
        check_enough(len(numbers), minimum, label, size)
        if memory_limit_mb is None:
            memory_limit_mb = free_memory() / 3e6
        shelf = _Shelf(os.fspath(place), shards, memory_limit_mb * 1_000_000)
        return cls(os.fspath(place), shards, numbers, size, crop == "fit", upsample, shelf)

    def __len__(self) -> int:
        return len(self._numbers)

    def photo(self, index: int) -> np.ndarray:
        shard, at = self._numbers[index]
        encoded = Encoded(str(self.paths[index]), self._shelf.fetch(shard).result()[at])
        return prepared(encoded, self.size, self._shrink, self._upsample)

    def number(self, index: int, seed: int, stream: int, batch_size: int) -> int:
        """By `Interleaving`: shards side by side, not one order of all photos."""
        key = (seed, stream, batch_size)
        order = self._orders.get(key) or self._orders.setdefault(key, Interleaving(self._counts, batch_size, key[:2]))
        shard, at, following = order.place(index)
        if following is not None:
            self._shelf.fetch(self._own[following])
        return self._first[shard] + at

    def part(self, numbers: list[int]) -> ShardedPhotos:
        kept = [self._numbers[number] for number in sorted(numbers)]
        return ShardedPhotos(self._place, self._shards, kept, self.size, self._shrink, self._upsample, self._shelf)

    def held(self) -> PhotoSet:
        if len(self) > _FEW:
            return self
        photos = [self.photo(number) for number in range(len(self))]
        return PhotoSet(photos, self.size, (), self._shrink, self._upsample, self.paths)
