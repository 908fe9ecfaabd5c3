"""Which photos a run trains on and which it holds back, to be told from the outside how it does."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import zlib
from pathlib import Path

from ssrvae_tf.data import PhotoSet, sources
from ssrvae_tf.errors import UserError
from ssrvae_tf.photos.writing import replacing

PHOTOS = "photos.json"
_SHARE, _LEAST, _MOST = 0.02, 4, 64  # of what is held back unasked


@dataclasses.dataclass
class Folder:
    """What is remembered of a folder of photos, or of shards of them.

    Args:
        path: as it was given.
        count: of its photos.
        fingerprint: of their names and sizes, whatever the way to the folder.
        held_back: names of those that were never trained on, relative to the folder.
    """

    path: str
    count: int
    fingerprint: str
    held_back: list = dataclasses.field(default_factory=list)

    @classmethod
    def look(cls, path: str | None, what: str) -> Folder:
        """What is there now; None is the package's own photos.

        Raises:
            UserError: if there are no photos.
        """
        if not path:
            return cls("(the package's photos)", 2, "")
        found = sources.listed(path, what)
        return cls(str(path), len(found), hashlib.sha256(repr(found).encode()).hexdigest()[:16])


def read(run: Path) -> dict[str, Folder]:
    """What a run remembers of its folders, by option; nothing if it is new or older than this record.

    Raises:
        UserError: if the record is damaged.
    """
    path = run / PHOTOS
    if not path.is_file():
        return {}
    try:
        return {name: Folder(**values) for name, values in json.loads(path.read_text()).items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: not the photos of a run: remove it, or take another --out") from error


def write(run: Path, folders: dict[str, Folder]) -> None:
    with replacing(run / PHOTOS) as part:
        part.write_text(json.dumps({name: dataclasses.asdict(each) for name, each in folders.items()}, indent=1))


def differences(before: dict[str, Folder], now: dict[str, Folder]) -> str:
    """In words, how the photos differ from those of before; empty if they do not, or nothing is known of them."""
    found = []
    for name in before.keys() | now.keys() if before else ():
        old, new = before.get(name), now.get(name)
        if not old or not new:
            found.append(f"--{name} {(old or new).path} was {'given' if old else 'not given'} then")
        elif old.fingerprint != new.fingerprint:
            found.append(f"--{name} {new.path} ({new.count} photos) in place of {old.path} ({old.count})")
    return ", ".join(sorted(found))


def how_many(count: int, share: float | None, least: int) -> int:
    """How many of `count` photos to hold back so that `least` remain to train on; 0 where they are too few.

    Args:
        share: from 0 to below 1. None: 2 %, at least 4 and at most 64, unless that is more than a tenth of them.
    """
    if share is None:
        wanted = min(_MOST, max(_LEAST, round(_SHARE * count)))
        return wanted if 10 * wanted <= count and count - wanted >= least else 0
    wanted = max(1, round(share * count)) if share else 0
    return wanted if count - wanted >= least else 0


def split(photos: PhotoSet, folder: Folder, wanted: int, before: list, seed: int) -> tuple[PhotoSet, PhotoSet]:
    """(photos to train on, photos held back), the second those of `before` that are still there, else by chance.

    The names of the second go into `folder.held_back`.
    """
    names = [_name(path, folder.path) for path in photos.paths]
    there = set(names)
    held = [name for name in before if name in there]
    if not held:
        held = sorted(names, key=lambda name: (zlib.crc32(f"{seed} {name}".encode()), name))[:wanted]
    folder.held_back = sorted(held)
    held = set(held)
    parts = [photos.part([i for i, name in enumerate(names) if (name in held) == kept]) for kept in (False, True)]
    return parts[0], parts[1].held()


def strips(photos: PhotoSet) -> tuple[PhotoSet, PhotoSet]:
    """(all but the right quarter of each photo, the right quarters): for photos too few to do without one."""
    cuts = [3 * photo.shape[1] // 4 for photo in photos.photos]
    left = PhotoSet([photo[:, :cut] for photo, cut in zip(photos.photos, cuts)], photos.size)
    return left, PhotoSet([photo[:, cut:] for photo, cut in zip(photos.photos, cuts)], photos.size)


def without(photos: PhotoSet, others: PhotoSet) -> PhotoSet:
    """`photos` without the files that are in `others` too; those that are of no files stay."""
    if not photos.paths:
        return photos
    there = {os.path.realpath(path) for path in others.paths}
    return photos.part([i for i, path in enumerate(photos.paths) if os.path.realpath(path) not in there])


def _name(photo, folder) -> str:
    return Path(os.path.relpath(photo, folder)).as_posix()
