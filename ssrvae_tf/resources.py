"""How much memory and how many processors there are to take, on this machine or in the container that this is."""

from __future__ import annotations

import contextlib
import math
import os
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")
# What a container may take, what it has taken, and what of that are files that the system lets go when it is needed:
# control groups of version 2, and of version 1.
_LIMITS = (
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
)
# Microseconds of processor time in each period, and the period: in one file, and in two.
_TIMES = (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"))


def processors() -> int:
    """Logical ones that this process may run on, or as many as its container's time is worth, if that is fewer.

    Threads beyond a container's share would stop all of them for the rest of each period.
    """
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for names in _TIMES:
        with contextlib.suppress(OSError, ValueError):  # not there, or "max"
            time, period = (int(word) for name in names for word in (_GROUPS / name).read_text().split())
            if time > 0 and period > 0:
                count = min(count, math.ceil(time / period))
    return count


def is_limited() -> bool:
    """Whether `processors` are fewer than the machine has."""
    return processors() < (os.cpu_count() or 1)


def free_memory() -> int:
    """Bytes that are free on this machine, or in the container that this is, which the system ends if it takes more."""
    import psutil  # not for --help, which asks for processors only

    free = psutil.virtual_memory().available
    for limit, taken, figures, files in _LIMITS:
        with contextlib.suppress(OSError, ValueError, KeyError):  # not there, or "max"
            most, used = (int((_GROUPS / name).read_text()) for name in (limit, taken))
            kept = dict(line.split() for line in (_GROUPS / figures).read_text().splitlines())
            free = min(free, max(0, most - used + int(kept[files])))
    return free
