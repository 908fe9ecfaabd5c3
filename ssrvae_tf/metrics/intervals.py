"""How far a distance would swing with other photos of the same kind: bootstrap intervals (Efron, 1979).

Rows of both sets are drawn anew, with replacement, and the distance is measured again: what that is off by, the
distance itself may be off by. Part of it is the same in each draw. A Frechet distance of few rows is too large, and one
of drawn rows, of which some come twice, is larger again. So an interval lies around the distance, which holds the mean
of sets of so many photos, and reaches further by that part, which holds the distance of endlessly many where there are
more rows than columns. With fewer, nothing tells that one: compare only sets of equally many photos.
"""

from __future__ import annotations

from typing import Sequence

import numpy as np

from ssrvae_tf.metrics.distances import checked, kernel_blocks
from ssrvae_tf.terminal import Bar

RESAMPLES, SHARE = 200, 0.95


def frechet_interval(
    a: np.ndarray, b: np.ndarray, resamples: int = RESAMPLES, seed: int = 0, share: float = SHARE
) -> tuple[float, float]:
    """An interval of `frechet_distance(a, b)`.

    Args:
        a, b: activations (N, D) and (M, D).
        resamples: how often rows are drawn anew.
        seed: of that.
        share: at least so many of such intervals hold the mean distance of sets so large.

    Returns:
        (low, high), low not below 0.

    Raises:
        ValueError: if a set has fewer than 2 rows, the widths differ, or there is nothing to draw.
    """
    ((interval, _),) = frechet_intervals([a], b, resamples, seed, share)
    return interval


def frechet_difference(
    first: np.ndarray,
    second: np.ndarray,
    reference: np.ndarray,
    resamples: int = RESAMPLES,
    seed: int = 0,
    paired: bool = True,
    share: float = SHARE,
) -> tuple[float, float, float]:
    """How much farther from a reference one set is than another: below 0, the first one is nearer.

    Args:
        first, second, reference: activations (N, D), (L, D) and (M, D).
        resamples, seed, share: as for `frechet_interval`.
        paired: row by row, the two sets were made from the same photos, which are drawn together; where N is not L
            they cannot have been.

    Returns:
        (difference, low, high). Where the interval holds 0, it is not decided which is nearer.

    Raises:
        ValueError: as `frechet_interval`.
    """
    whole, drawn = _distances([first, second], reference, resamples, seed, share, paired)
    difference = float(whole[0] - whole[1])
    return (difference, *_around(difference, drawn[0] - drawn[1], share))


def frechet_intervals(
    sets: Sequence[np.ndarray],
    reference: np.ndarray,
    resamples: int = RESAMPLES,
    seed: int = 0,
    share: float = SHARE,
) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """Of each of several sets, made from the same photos: the interval of its distance to a reference, and that of the
    difference to the first one's. In one go, since distances of thousands of rows take seconds each.

    Arguments and errors are those of `frechet_interval` and `frechet_difference`, which give the same.
    """
    whole, drawn = _distances(sets, reference, resamples, seed, share)
    found = []
    for distance, others in zip(whole, drawn):
        low, high = _around(distance, others, share)
        found.append(((max(low, 0.0), high), _around(distance - whole[0], others - drawn[0], share)))
    return found


def _distances(
    sets: Sequence[np.ndarray], reference: np.ndarray, resamples: int, seed: int, share: float, paired: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Frechet distances (S,) of the sets to a reference, and those of drawn rows (S, resamples)."""
    rng = _generator(resamples, share, seed)
    *sets, reference = _in_few_columns(*sets, reference)
    whole = [_frechet(_spread(each), _spread(reference)) for each in sets]
    drawn = np.empty((len(sets), resamples))
    for number in Bar(range(resamples), desc="interval", unit="set", disable=None, leave=False):
        counts = [_counts(sets[0], rng)]
        for each in sets[1:]:
            counts.append(counts[0] if paired and len(each) == len(sets[0]) else _counts(each, rng))
        to = _spread(reference, _counts(reference, rng))
        drawn[:, number] = [_frechet(_spread(each, times), to) for each, times in zip(sets, counts)]
    return np.array(whole), drawn


def kernel_interval(
    a: np.ndarray, b: np.ndarray, resamples: int = RESAMPLES, seed: int = 0, share: float = SHARE
) -> tuple[float, float]:
    """An interval of `kernel_distance(a, b)`; arguments, result and errors are those of `frechet_interval`.

    The distance is unbiased, and its interval may go below 0. Rows are drawn within the blocks that it is a mean of,
    and a row never meets itself.
    """
    rng, found, distance = _generator(resamples, share, seed), np.zeros(resamples), 0.0
    blocks = kernel_blocks(*checked(a, b))
    for x, y in blocks:
        of_x, of_y = (np.stack([_counts(each, rng) for _ in range(resamples)]) for each in (x, y))
        found += _kernels(x, y, of_x, of_y) / len(blocks)
        distance += _kernels(x, y, np.ones((1, len(x))), np.ones((1, len(y))))[0] / len(blocks)
    return _around(distance, found, share)


def _generator(resamples: int, share: float, seed: int) -> np.random.Generator:
    if resamples < 2 or not 0 < share < 1:
        raise ValueError(f"{resamples} resamples and a share of {share} are given, at least 2, and 0 to 1, are wanted")
    return np.random.default_rng(seed)


def _around(value: float, found: np.ndarray, share: float) -> tuple[float, float]:
    """Around a value, from those of drawn rows: by what these differ from their mean, and by what that is off, too."""
    off = found.mean() - value
    low, high = np.quantile(found - found.mean(), [(1 - share) / 2, (1 + share) / 2])
    return float(value - high - max(off, 0.0)), float(value - low - min(off, 0.0))


def _in_few_columns(*sets: np.ndarray) -> list[np.ndarray]:
    """The sets in float64, turned onto as many axes as there are rows, if these are fewer than the columns."""
    whole = [checked(each, sets[-1])[0] for each in sets]
    rows = np.concatenate(whole)
    centre = rows.mean(0)
    if len(rows) >= rows.shape[1]:
        return [each - centre for each in whole]
    basis, _ = np.linalg.qr((rows - centre).T)  # (D, rows)
    return [(each - centre) @ basis for each in whole]


def _counts(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """How often each row is drawn; not always the same one, which has no covariance."""
    while True:
        counts = np.bincount(rng.integers(0, len(rows), len(rows)), minlength=len(rows))
        if np.count_nonzero(counts) > 1:
            return counts


def _spread(rows: np.ndarray, counts: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Mean (D,) of rows that are there `counts` times, and S (at most D, D), for which S^T S is their covariance."""
    counts = np.ones(len(rows)) if counts is None else counts
    mean = counts @ rows / counts.sum()
    there = counts > 0
    spread: np.ndarray = np.sqrt(counts[there, None] / (counts.sum() - 1)) * (rows[there] - mean)
    if len(spread) > rows.shape[1]:
        spread = np.asarray(np.linalg.qr(spread, "r"))
    return mean, spread


def _frechet(a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray]) -> float:
    """The distance of what `_spread` gave: tr (C_a C_b)^(1/2) is the sum of the singular values of S_a S_b^T."""
    (mean_a, spread_a), (mean_b, spread_b) = a, b
    mixed = spread_a @ spread_b.T
    squares = np.linalg.eigvalsh(mixed @ mixed.T if len(mixed) < mixed.shape[1] else mixed.T @ mixed)
    mixed = np.sqrt(np.maximum(squares, 0)).sum()
    return float(((mean_a - mean_b) ** 2).sum() + (spread_a**2).sum() + (spread_b**2).sum() - 2 * mixed)


def _kernels(a: np.ndarray, b: np.ndarray, of_a: np.ndarray, of_b: np.ndarray) -> np.ndarray:
    """Kernel distances (R,) of rows that are there `of_a` (R, N) and `of_b` (R, M) times."""

    def others(x: np.ndarray, times: np.ndarray) -> np.ndarray:
        scores = (x @ x.T / x.shape[1] + 1.0) ** 3
        met = ((times @ scores) * times).sum(1) - times**2 @ np.diag(scores)
        return met / (times.sum(1) ** 2 - (times**2).sum(1))

    between = ((of_a @ ((a @ b.T / a.shape[1] + 1.0) ** 3)) * of_b).sum(1) / (of_a.sum(1) * of_b.sum(1))
    return others(a, of_a) + others(b, of_b) - 2 * between
