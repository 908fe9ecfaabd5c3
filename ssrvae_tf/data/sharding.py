"""The writing of shards: see `ssrvae_tf.data.shards`."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import json
import os
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Iterator, Sequence, Union

import numpy as np
import tensorflow as tf
from PIL import Image

from ssrvae_tf import terminal
from ssrvae_tf.data import shards, tfds_photos
from ssrvae_tf.data.photo_set import prepared
from ssrvae_tf.data.shards import Entry, Shard
from ssrvae_tf.errors import UserError, one_line
from ssrvae_tf.photos.files import Encoded, unreadable
from ssrvae_tf.photos.folders import find_photos, size_of
from ssrvae_tf.photos.formats import check_file, open_image
from ssrvae_tf.photos.jobs import in_order

_PLAN = "plan.json"  # there while not all shards are
_AS_THEY_ARE = ("JPEG", "PNG", "WEBP")
_PNG = 2  # bytes of a pixel, at most, nearly always
_SHOWN = 20

Source = Union[Path, Encoded]


@dataclasses.dataclass(frozen=True)
class _Photo:
    """A photo to be written."""

    name: str
    bytes: int
    source: Source


class Sharding:
    """Photos on their way into shards.

    Args:
        photos, out, size, shard_mb, seed: as of `ssrvae_tf.shards.write_shards`.
        made_by: what writes them, for the manifest.
    """

    def __init__(self, photos: str, out: str, size: int | None, shard_mb: float, seed: int, made_by: str):
        self._out, self._size = out, size
        self._label = f"--out {out}"
        found = _found(photos)
        order = np.random.default_rng(seed).permutation(len(found))
        found = [found[number] for number in order]
        parts = _parted([self._expected(each.bytes) for each in found], shard_mb * 1e6)
        self._parts = [found[first:last] for first, last in parts]
        self._how = {"made_by": made_by, "source": photos, "size": size, "seed": seed}
        known = [shards.KIND, size, [[(each.name, each.bytes) for each in part] for part in self._parts]]
        self._plan = hashlib.sha256(json.dumps(known).encode()).hexdigest()

    def write(self) -> int:
        """Write what is not there yet; 1 if photos were left out.

        Raises:
            UserError: if nothing can be written, or there is something else.
        """
        with self._telling_unwritable():
            complete = self._begin()
            total = sum(map(len, self._parts))
            if complete:
                return self._report(complete, [tuple(each) for each in complete["left_out"]], 0)
            made, left_out, written = [], [], 0
            progress = terminal.Bar(total=total, desc="shards", unit="photo", disable=None)
            with ThreadPoolExecutor() as pool, progress as bar:
                for number, part in enumerate(self._parts):
                    name = f"photos-{number:05}-of-{len(self._parts):05}.tfrecord"
                    shard, reasons = self._there(name, part)
                    if shard is None:
                        shard, reasons = self._made(name, part, pool)
                        written += len(shard.photos)
                    made.append(shard)
                    left_out += reasons
                    bar.update(len(part))
            manifest = {
                "kind": shards.KIND,
                "plan": self._plan,
                **self._how,
                "photos": sum(len(shard.photos) for shard in made),
                "bytes": sum(shard.bytes for shard in made),
                "left_out": left_out,
                "shards": list(map(dataclasses.asdict, made)),
            }
            if not manifest["photos"]:
                raise UserError(f"{self._how['source']}: none of the {total} photos can be read: {left_out[0][1]}")
            self._put(shards.MANIFEST, json.dumps(manifest).encode())
            tf.io.gfile.remove(shards.join(self._out, _PLAN))
            return self._report(manifest, left_out, written)

    def _begin(self) -> dict | None:
        """Claim the folder for this plan, or find that it is done: its manifest."""
        gfile = tf.io.gfile
        gfile.makedirs(self._out)
        for name in (shards.MANIFEST, _PLAN):
            path = shards.join(self._out, name)
            if gfile.exists(path):
                with gfile.GFile(path, "r") as file:
                    text = file.read()
                try:
                    found = json.loads(text)
                    same = found["plan"] == self._plan
                except (ValueError, TypeError, KeyError):
                    same = False
                if not same:
                    raise UserError(f"{self._label}: holds shards of other photos, or made otherwise: take another")
                return found if name == shards.MANIFEST else None
        if any(not name.startswith(".") for name in gfile.listdir(self._out)):
            raise UserError(f"{self._label}: not empty, and no shards: give an empty or a new folder")
        self._put(_PLAN, json.dumps({"plan": self._plan, **self._how}).encode())
        return None

    def _there(self, name: str, part: Sequence[_Photo]) -> tuple[Shard | None, list[tuple[str, str]]]:
        """A shard of an earlier time, read through, and why it leaves out what it does; None if it is not whole."""
        path = shards.join(self._out, name)
        if not tf.io.gfile.exists(path):
            return None, []
        try:
            data, photos = shards.read_shard(path)
        except ValueError:
            return None, []
        entries = tuple(entry for entry, _ in photos)
        names = {(entry.name, entry.source_bytes) for entry in entries}
        reasons = []
        for photo in part:
            if (photo.name, photo.bytes) not in names:
                again = self._encoded(photo)
                if not isinstance(again, str):  # it can be read now
                    return None, []
                reasons.append((photo.name, again))
        if len(entries) + len(reasons) != len(part):
            return None, []
        return Shard(name, len(data), zlib.crc32(data), entries), reasons

    def _made(self, name: str, part: Sequence[_Photo], pool: ThreadPoolExecutor) -> tuple[Shard, list[tuple[str, str]]]:
        path, place = shards.join(self._out, f".{name}.part"), shards.join(self._out, name)
        entries, reasons = [], []
        try:
            with tf.io.TFRecordWriter(path) as writer:
                for photo, found in zip(part, in_order(pool, self._encoded, part)):
                    if isinstance(found, str):
                        reasons.append((photo.name, found))
                    else:
                        entries.append(found[0])
                        writer.write(shards.serialized(*found))
            data, photos = shards.read_shard(path)
            if [entry for entry, _ in photos] != entries:
                raise UserError(f"{place}: what was written is not what is there: look after the disk")
            tf.io.gfile.rename(path, place, overwrite=True)
        except BaseException:
            with contextlib.suppress(tf.errors.OpError):
                tf.io.gfile.remove(path)
            raise
        return Shard(name, len(data), zlib.crc32(data), tuple(entries)), reasons

    def _encoded(self, photo: _Photo) -> tuple[Entry, bytes] | str:
        """(what it is, its bytes in the shard), or why it cannot be read."""
        source = photo.source
        try:
            if not isinstance(source, Encoded):
                check_file(source)
            data = source.data if isinstance(source, Encoded) else source.read_bytes()
            with open_image(io.BytesIO(data)) as image:
                size = self._size if self._size and min(image.size) > self._size else None
                kept = image.format in _AS_THEY_ARE and not size
            # As a training would read it: half a file is no photo, either.
            pixels = prepared(Encoded(str(source), data), size or 1, bool(size), upsample=True)
        except UserError as error:
            return str(error)
        except Exception as error:  # Pillow's plugins raise many kinds
            return str(unreadable(source, error))
        if not kept:
            file = io.BytesIO()
            Image.fromarray(pixels).save(file, "PNG")
            data = file.getvalue()
        height, width = pixels.shape[:2]
        return Entry(photo.name, photo.bytes, width, height), data

    def _expected(self, size: int) -> float:
        """Bytes of a photo in its shard."""
        return max(1, min(size, _PNG * self._size**2) if self._size else size)

    def _put(self, name: str, data: bytes) -> None:
        part = shards.join(self._out, f".{name}.part")
        with tf.io.gfile.GFile(part, "wb") as file:
            file.write(data)
        tf.io.gfile.rename(part, shards.join(self._out, name), overwrite=True)

    def _report(self, manifest: dict, left_out: Sequence[tuple[str, str]], written: int) -> int:
        for _, reason in left_out[:_SHOWN]:
            print(f"error: {reason}", file=sys.stderr)
        if len(left_out) > _SHOWN:
            print(f"error: and {len(left_out) - _SHOWN} more", file=sys.stderr)
        there = manifest["photos"] - written
        before = f", {there} of them were there before" if there else ""
        bad = f", {len(left_out)} left out" if left_out else ""
        mega = f"{manifest['bytes'] / 1e6:.1f} MB"
        photos = terminal.counted(manifest["photos"], "photo")
        files = terminal.counted(len(manifest["shards"]), "shard")
        print(f"{photos} in {files}, {mega}, in {self._out}{before}{bad}")
        return 1 if left_out else 0

    @contextlib.contextmanager
    def _telling_unwritable(self) -> Iterator[None]:
        try:
            yield
        except (tf.errors.OpError, OSError) as error:
            raise UserError(f"{self._label}: cannot be written ({one_line(error)}): choose another place") from error


def _found(place: str) -> list[_Photo]:
    if tfds_photos.is_name(place):
        return [_Photo(each.name, len(each.data), each) for each in tfds_photos.photos(place, "")]
    paths = find_photos(place)
    names = [Path(os.path.relpath(path, place)).as_posix() for path in paths]
    return [_Photo(name, size_of(path) or 0, path) for name, path in zip(names, paths)]


def _parted(sizes: Sequence[float], most: float) -> list[tuple[int, int]]:
    """(first, last + 1) of each part, all of about the same size, none much above `most`."""
    ends = np.cumsum(sizes)
    count = max(1, round(float(ends[-1]) / most))
    which = np.minimum((ends - np.asarray(sizes) / 2) * count // ends[-1], count - 1)
    cuts = [0, *(np.flatnonzero(np.diff(which)) + 1).tolist(), len(sizes)]
    return list(zip(cuts[:-1], cuts[1:]))
