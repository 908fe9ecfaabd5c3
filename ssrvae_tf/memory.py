"""How much memory there is to take."""

from __future__ import annotations

import contextlib
from pathlib import Path

import psutil

_GROUPS = Path("/sys/fs/cgroup")
# What a container may take, what it has taken, and what of that are files that the system lets go when it is needed:
# control groups of version 2, and of version 1.
_LIMITS = (
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
)


def free_memory() -> int:
    """Bytes that are free on this machine, or in the container that this is, which the system ends if it takes more."""
    free = psutil.virtual_memory().available
    for limit, taken, figures, files in _LIMITS:
        with contextlib.suppress(OSError, ValueError, KeyError):  # not there, or "max"
            most, used = (int((_GROUPS / name).read_text()) for name in (limit, taken))
            kept = dict(line.split() for line in (_GROUPS / figures).read_text().splitlines())
            free = min(free, max(0, most - used + int(kept[files])))
    return free
