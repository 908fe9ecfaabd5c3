"""Where photos lie below a glob, and where their results go: texts only, for any filesystem."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Callable

from ssrvae_tf.photos.folders import Source, plan

_ALL = Path("/output")  # stands for the folder of results, which may be on no disk


def root_of(pattern: str) -> str:
    """The folder that a glob starts in, up to its last "/" before the first wildcard; "" if there is none."""
    constant = re.split(r"[*?\[]", pattern)[0]
    return constant[: constant.rfind("/") + 1]


def inside(address: str, root: str) -> str:
    """The place of a file below `root`, a path that never leads out of a folder that it is joined to."""
    below = address[len(root) :] if address.startswith(root) else PurePosixPath(address).name
    return "/".join(part for part in below.split("/") if part not in ("", ".", ".."))


def family_of(place: str) -> str:
    """A key that is the same for all photos whose results could get one name, and else for few.

    Results are called by their photos up to the first dot at least, so that is all that matters.
    """
    folder, _, name = place.rpartition("/")
    return f"{folder}/{name.split('.')[0]}".casefold()


def targets(family: list[str], rename: Callable[[Source, bool], str]) -> list[str]:
    """The places of results for those of photos, in order, no two the same.

    Args:
        family: places of one family, all of them, in order.
        rename: gives the target's name; if told to, one that tells `a.jpg` and `a.png` apart.
    """
    items = plan([Source(Path(place), Path(place)) for place in family], _ALL, rename)
    return [item.target.relative_to(_ALL).as_posix() for item in items]
