"""A claim with what speaks for it: held, not held, or not decided.

Intervals come from drawing the photos anew with replacement, the same ones for both networks (and the trainings, where
there are several), widened by as much as draws from few swing too little. They hold 95 of 100 such draws. Where there
is one training of a network, they say how far other photos would change the figures, not how far other trainings would.
"""

from __future__ import annotations

import dataclasses
from typing import Iterable

import numpy as np
from scipy import stats

HELD, NOT_HELD, OPEN = "held", "not held", "not decided"
_SHARE = 0.95


@dataclasses.dataclass
class Evidence:
    """One measurement of a claim.

    Attributes:
        where: on what it was measured.
        value: by how much it holds; below 0, it does not.
        low, high: its interval.
        digits: after the point.
        counts: whether it decides anything; not if a network was trained on what measures it.
        least: what the value must reach.
    """

    where: str
    value: float
    low: float
    high: float
    digits: int
    counts: bool = True
    least: float = 0.0

    @property
    def verdict(self) -> str:
        return HELD if self.low > self.least else NOT_HELD if self.high < self.least else OPEN

    def as_dict(self) -> dict:
        return {**dataclasses.asdict(self), "verdict": self.verdict}


def claim(text: str, evidence: Iterable[Evidence], paper: str = "") -> dict:
    """A claim with its verdict: what all measurements that count agree on, else not decided."""
    found = list(evidence)
    said = {each.verdict for each in found if each.counts}
    verdict = said.pop() if len(said) == 1 else OPEN
    return {"text": text, "paper": paper, "evidence": [each.as_dict() for each in found], "verdict": verdict}


def mean_interval(values: np.ndarray, resamples: int, seed: int = 0) -> tuple[float, float, float]:
    """(mean, low, high) of one figure for each photo, which are drawn anew; of few, as of few trainings."""
    rng, spread = np.random.default_rng(seed), _apart(values[:, None], max(1, len(values) - 1))
    found = [spread[rng.integers(0, len(values), len(values))].mean() for _ in range(resamples)]
    return (float(values.mean()), *_middle(found))


def difference_interval(
    better: np.ndarray, worse: np.ndarray, resamples: int, seed: int = 0
) -> tuple[float, float, float]:
    """(mean difference, low, high) of (trainings, photos) each: both are drawn anew, the photos for both alike.

    Draws from three trainings swing less than three others would: each training is moved away from the mean of its kind
    so far that the interval is Student's, as far as trainings go.
    """
    degrees = max(1, len(better) + len(worse) - 2)
    spread = [_apart(each, degrees) for each in (better, worse)]
    rng, found = np.random.default_rng(seed), []
    for _ in range(resamples):
        photos = rng.integers(0, better.shape[1], better.shape[1])
        means = [each[rng.integers(0, len(each), len(each))][:, photos].mean() for each in spread]
        found.append(means[0] - means[1])
    return (float(better.mean() - worse.mean()), *_middle(found))


def _apart(rows: np.ndarray, degrees: int) -> np.ndarray:
    count, end = len(rows), (1 + _SHARE) / 2
    wider = np.sqrt(count / max(1, count - 1)) * stats.t.ppf(end, degrees) / stats.norm.ppf(end)
    return rows + (wider - 1) * (rows.mean(1, keepdims=True) - rows.mean())


def _middle(found: list) -> tuple[float, float]:
    low, high = np.quantile(found, [(1 - _SHARE) / 2, (1 + _SHARE) / 2])
    return float(low), float(high)
