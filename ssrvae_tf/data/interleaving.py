"""In which order photos are read that lie in shards: several shards side by side, by a rule that knows no machine."""

from __future__ import annotations

import bisect
import functools
import heapq
import math
import threading

import numpy as np

MOST_LANES = 16


class Interleaving:
    """Which photo a sample is.

    A batch is cut into lanes of neighbouring samples. Each lane reads one shard, and at its end takes the next that no
    other has taken; where all are taken they are there again, in a new order. So every photo comes once a pass,
    whatever the sizes of the shards, and a worker that makes some samples of each batch reads the shards of its lanes
    alone.

    Args:
        counts: photos in each shard, at least one each.
        batch_size: the samples of all workers together. There are as many lanes as divide it, up to 16 and to the
            number of shards.
        seed: numbers that fix the order.
    """

    def __init__(self, counts: list[int], batch_size: int, seed: tuple[int, ...]):
        self._counts, self._seed = counts, seed
        most = min(MOST_LANES, len(counts), batch_size)
        self.lanes = max(lanes for lanes in range(1, most + 1) if batch_size % lanes == 0)
        self._batch_size, self._per_batch = batch_size, batch_size // self.lanes
        # Of each lane: (its first turn, shard, pass) of all that it has taken.
        self._taken: list[list[tuple[int, int, int]]] = [[] for _ in range(self.lanes)]
        self._free = [(0, lane) for lane in range(self.lanes)]  # a heap of (turn from which on, lane)
        self._next = 0
        self._lock = threading.Lock()

    def place(self, index: int) -> tuple[int, int, int | None]:
        """(shard, place in it) of sample `index`, and the shard that its lane takes next, if this is half-way there."""
        batch, slot = divmod(index, self._batch_size)
        lane, within = divmod(slot, self._per_batch)
        turn = batch * self._per_batch + within
        with self._lock:
            taken = self._taken[lane]
            while not taken or self._end(taken[-1]) <= turn:
                self._take()
            at = bisect.bisect_right(taken, (turn, math.inf)) - 1
            first, shard, number = taken[at]
            count = self._counts[shard]
            following = None
            if turn - first == count // 2:
                while len(taken) == at + 1:
                    self._take()
                following = taken[at + 1][1]
        order = _permutation(count, (*self._seed, number, shard, 2))
        return shard, int(order[turn - first]), following

    def _end(self, taken: tuple[int, int, int]) -> int:
        return taken[0] + self._counts[taken[1]]

    def _take(self) -> None:
        """Give the next shard to the lane that is free first."""
        turn, lane = heapq.heappop(self._free)
        number, place = divmod(self._next, len(self._counts))
        shard = int(_permutation(len(self._counts), (*self._seed, number))[place])
        self._taken[lane].append((turn, shard, number))
        heapq.heappush(self._free, (turn + self._counts[shard], lane))
        self._next += 1


@functools.lru_cache(maxsize=128)  # the shards that are read, of all the streams of a training
def _permutation(length: int, seed: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(seed).permutation(length)
