from __future__ import annotations

import numpy as np
import pytest

from ssrvae_tf.inference.tiling import axis, blended_bands

LENGTHS = [1, 15, 16, 17, 31, 48, 49, 100, 257]


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("tile, overlap", [(16, 0), (16, 4), (16, 15), (48, 8)])
@pytest.mark.parametrize("exact", [False, True])
def test_tiles_of_one_size_cover_the_side_and_end_with_it(length, tile, overlap, exact):
    made = axis(length, tile, overlap, exact)
    assert made.starts[0] == 0 and made.starts[-1] + made.tile == length
    assert made.tile == min(tile, length) if exact else made.tile <= tile
    for before, after in zip(made.starts, made.starts[1:]):
        assert 0 < after - before <= made.tile - overlap


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("tile, overlap", [(16, 0), (16, 4), (16, 15), (48, 8)])
@pytest.mark.parametrize("exact", [False, True])
def test_weights_add_up_to_one_everywhere(length, tile, overlap, exact):
    made = axis(length, tile, overlap, exact)
    total = np.zeros(length * 3)
    for start, weight in zip(made.starts, made.weights(3)):
        total[start * 3 : (start + made.tile) * 3] += weight
    np.testing.assert_allclose(total, 1, atol=1e-6)


def test_an_overlap_falls_along_a_raised_cosine():
    made = axis(28, 16, 4)
    assert made.starts == (0, 12)
    falling = made.weights()[0][12:]
    np.testing.assert_allclose(falling, 0.5 + 0.5 * np.cos(np.pi * (np.arange(4) + 0.5) / 4), atol=1e-6)
    np.testing.assert_allclose(made.weights()[0][:12], 1)


def test_tiles_are_no_larger_than_they_must_be():
    assert axis(65, 64, 16).tile == 48  # two of 64 would do nearly everything twice
    assert [axis(length, 50, 8).tile for length in (60, 80, 90)] == [40, 48, 50], "multiples of 8 below the longest"


@pytest.mark.parametrize("size", [(5, 7), (16, 16), (50, 21), (33, 90)])
@pytest.mark.parametrize("batch", [1, 3])
def test_bands_are_the_picture_again(size, batch):
    picture = np.random.default_rng(0).random((*size, 3)).astype(np.float32)
    rows, columns = (axis(side, 16, 5) for side in size)
    enlarged = picture.repeat(2, 0).repeat(2, 1)
    asked = []

    def tiles_at(corners):
        asked.append(len(corners))
        return [
            enlarged[2 * top : 2 * (top + rows.tile), 2 * left : 2 * (left + columns.tile)] for top, left in corners
        ]

    bands = [band.copy() for band in blended_bands(rows, columns, 2, batch, tiles_at)]
    np.testing.assert_allclose(np.concatenate(bands), enlarged, atol=1e-6)
    assert len(bands) == len(rows.starts) and max(len(band) for band in bands) <= 2 * rows.tile
    assert len(set(asked)) == 1, "a batch of another size would be compiled anew"
