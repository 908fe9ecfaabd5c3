"""Where photos for a training may be: a folder, shards that `ssrvae_tf.shards` wrote, or a data set of TFDS."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Union

from ssrvae_tf.data import shards, tfds_photos
from ssrvae_tf.data.photo_set import PhotoSet
from ssrvae_tf.photos.folders import find_photos, size_of

Place = Union[str, os.PathLike]


def listed(place: Place, what: str) -> list[tuple[str, int]]:
    """(name, bytes) of each photo at a place, without reading it. Of a data set, its version and its number of photos.

    Args:
        what: the option that gave the place; errors start with it.

    Raises:
        UserError: if there are none.
    """
    if tfds_photos.is_name(place):
        return tfds_photos.listed(os.fspath(place), what)
    if shards.are_at(place):
        entries = [entry for shard in shards.read_manifest(place, what) for entry in shard.photos]
        return sorted((entry.name, entry.source_bytes) for entry in entries)
    found = find_photos(place, what)
    return [(Path(os.path.relpath(photo, place)).as_posix(), size_of(photo) or 0) for photo in found]


def some(place: Place, what: str) -> list[Path] | list[int]:
    """What `ssrvae_tf.photos.folders.check_not_swapped` takes: paths, or shorter sides in pixels, where they are known.

    Raises:
        UserError: if there are no photos.
    """
    if tfds_photos.is_name(place):
        return []
    if shards.are_at(place):
        entries = [entry for shard in shards.read_manifest(place, what) for entry in shard.photos]
        return [min(entry.width, entry.height) for entry in entries]
    return find_photos(place, what, tell=False)


def load(
    place: Place,
    size: int,
    crop: str = "fit",
    minimum: int = 1,
    what: str = "--hr",
    progress: bool = False,
    upsample: bool = False,
) -> PhotoSet:
    """As `PhotoSet.load`, from any such place."""
    if tfds_photos.is_name(place):
        return tfds_photos.load(os.fspath(place), size, crop, minimum, what, progress, upsample)
    if shards.are_at(place):
        return shards.ShardedPhotos.open(place, size, crop, minimum, what, upsample)
    return PhotoSet.load(place, size, crop, minimum, what, progress, upsample)
