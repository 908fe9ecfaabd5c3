"""Intervals on sets whose distance is known, or measured on many fresh ones."""

from __future__ import annotations

import numpy as np
import pytest

from ssrvae_tf.metrics import frechet_distance, kernel_distance
from ssrvae_tf.metrics.distances import frechet_of, kernel_of
from ssrvae_tf.metrics.intervals import frechet_difference, frechet_interval, frechet_intervals, kernel_interval


def gaussian(rows, width, rng, shift=0.0, scale=1.0):
    """Deviations fall from column to column, as those of activations do."""
    return (rng.normal(size=(rows, width)) * scale + shift) / np.sqrt(np.arange(1, width + 1))


def known_distance(width, shift, scale):
    variances = 1 / np.arange(1, width + 1)
    return variances.sum() * (shift**2 + (scale - 1) ** 2)


def test_intervals_hold_a_known_distance_as_often_as_they_say():
    rng, truth, held = np.random.default_rng(0), known_distance(4, 1.0, 1.5), 0
    for trial in range(80):
        a, b = gaussian(150, 4, rng), gaussian(200, 4, rng, 1.0, 1.5)
        low, high = frechet_interval(a, b, 60, seed=trial)
        held += low <= truth <= high
    assert held >= 74


def test_intervals_hold_a_known_distance_that_few_rows_measure_too_large():
    rng, truth, sets = np.random.default_rng(9), known_distance(16, 0.5, 1.5), []
    for _ in range(40):
        sets.append((gaussian(80, 16, rng), gaussian(120, 16, rng, 0.5, 1.5)))
    assert np.mean([frechet_of(a, b) for a, b in sets]) > 1.2 * truth
    found = [frechet_interval(a, b, 60, seed=trial) for trial, (a, b) in enumerate(sets)]
    assert sum(low <= truth <= high for low, high in found) >= 37
    assert all(low < frechet_of(a, b) < high for (low, high), (a, b) in zip(found, sets))


@pytest.mark.parametrize("rows, width", [(60, 20), (25, 80)])
def test_intervals_hold_the_mean_distance_of_sets_so_large(rows, width):
    """Also where there are more columns than rows, and the distance itself is far above that of endless sets."""
    rng = np.random.default_rng(1)
    sets = [(gaussian(rows, width, rng), gaussian(2 * rows, width, rng, 0.3, 1.2)) for _ in range(40)]
    mean = np.mean([frechet_of(a, b) for a, b in sets])
    found = [frechet_interval(a, b, 40, seed=trial) for trial, (a, b) in enumerate(sets)]
    assert mean > 1.2 * known_distance(width, 0.3, 1.2)
    assert sum(low <= mean <= high for low, high in found) >= 35


def test_a_smaller_share_is_a_narrower_interval_and_the_seed_repeats_it():
    rng = np.random.default_rng(2)
    a, b = gaussian(50, 10, rng), gaussian(70, 10, rng, 0.5)
    low, high = frechet_interval(a, b)
    assert low < frechet_distance(a, b) < high and (low, high) == frechet_interval(a, b)
    nearer_low, nearer_high = frechet_interval(a, b, share=0.5)
    assert low < nearer_low < nearer_high < high
    assert (low, high) != frechet_interval(a, b, seed=1)


@pytest.mark.parametrize("rows, width", [(40, 6), (8, 50)])
def test_a_difference_is_that_of_the_distances(rows, width):
    rng = np.random.default_rng(3)
    first, second, reference = (gaussian(rows + i, width, rng, 0.1 * i) for i in range(3))
    wanted = frechet_distance(first, reference) - frechet_distance(second, reference)
    difference, low, high = frechet_difference(first, second, reference, 50)
    assert difference == pytest.approx(wanted, rel=1e-5) and low < difference < high


def test_several_sets_at_once_have_the_intervals_that_each_has():
    rng = np.random.default_rng(8)
    *sets, reference = (gaussian(40, 6, rng, 0.1 * i) for i in range(4))
    for each, (distance, difference) in zip(sets, frechet_intervals(sets, reference, 30, seed=3)):
        assert distance == pytest.approx(frechet_interval(each, reference, 30, seed=3))
        assert difference == pytest.approx(frechet_difference(each, sets[0], reference, 30, seed=3)[1:], abs=1e-9)


def test_rows_of_the_same_photos_are_drawn_together():
    rng = np.random.default_rng(4)
    first, reference = gaussian(80, 12, rng, 0.4), gaussian(100, 12, rng)
    second = first + 0.05 / np.sqrt(np.arange(1, 13))
    difference, low, high = frechet_difference(first, second, reference)
    assert difference < high < 0
    _, wide_low, wide_high = frechet_difference(first, second, reference, paired=False)
    assert wide_high - wide_low > 3 * (high - low) and wide_high > 0


def test_between_sets_of_one_kind_nothing_is_decided():
    rng, decided = np.random.default_rng(5), 0
    for trial in range(40):
        first, second, reference = (gaussian(60, 8, rng, shift) for shift in (0.5, 0.5, 0))
        _, low, high = frechet_difference(first, second, reference, 60, seed=trial, paired=False)
        decided += not low <= 0 <= high
    assert decided <= 6


def test_intervals_of_kernel_distances_hold_the_mean_distance():
    rng = np.random.default_rng(6)
    sets = [(gaussian(40, 12, rng), gaussian(50, 12, rng, 0.8)) for _ in range(60)]
    distances = [kernel_of(a, b, 1024) for a, b in sets]
    found = [kernel_interval(a, b, 60, seed=trial) for trial, (a, b) in enumerate(sets)]
    assert 52 <= sum(low <= np.mean(distances) <= high for low, high in found) <= 60
    assert all(low < distance < high for (low, high), distance in zip(found, distances))


def test_kernel_intervals_shrink_with_more_rows_than_a_block_has():
    rng = np.random.default_rng(7)
    a, b = gaussian(1500, 6, rng), gaussian(1500, 6, rng, 0.3)
    (low, high), (small_low, small_high) = kernel_interval(a, b, 30), kernel_interval(a[:200], b[:200], 30)
    assert low < kernel_distance(a, b) < high and high - low < 0.6 * (small_high - small_low)


@pytest.mark.parametrize("interval", [frechet_interval, kernel_interval])
def test_what_has_no_interval_is_refused(interval):
    for a, b in [((5, 4), (5, 3)), ((1, 4), (5, 4))]:
        with pytest.raises(ValueError, match="are wanted"):
            interval(np.zeros(a), np.zeros(b))
    with pytest.raises(ValueError, match="1 resamples"):
        interval(np.zeros((5, 4)), np.zeros((5, 4)), 1)


def test_two_rows_are_enough():
    low, high = frechet_interval(np.eye(2), np.eye(2)[::-1], 20)
    assert low == 0 <= high
