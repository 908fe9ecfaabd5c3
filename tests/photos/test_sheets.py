from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from ssrvae_tf.photos.sheets import BAND, sheet, side_by_side


def cells(picture, cell, titles, gap=8):
    """The squares of the first row as arrays, found by the titles' height."""
    pixels = np.asarray(picture)
    top = pixels.shape[0] - cell - gap
    return [pixels[top : top + cell, gap + i * (cell + gap) :][:, :cell] for i in range(titles)]


def test_pictures_of_every_kind_stand_in_their_columns():
    red = np.zeros((16, 16, 3), np.uint8) + np.array([255, 0, 0], np.uint8)
    pictures = [red, np.full((64, 64, 3), 0.5, np.float32), np.full((32, 32), 2.0), np.zeros((8, 8, 1), np.float16)]
    result = cells(sheet([pictures], "abcd", cell=64), 64, 4)
    for square, wanted in zip(result, [[255, 0, 0], [128] * 3, [255] * 3, [0] * 3]):
        np.testing.assert_array_equal(square, np.broadcast_to(np.uint8(wanted), (64, 64, 3)))


def test_nearest_keeps_pixels_and_bicubic_smooths_them():
    board = np.indices((8, 8)).sum(0) % 2 * 1.0
    nearest = cells(sheet([[board]], ["x"], cell=64), 64, 1)[0]
    smooth = cells(sheet([[board]], ["x"], cell=64, enlarge="bicubic"), 64, 1)[0]
    np.testing.assert_array_equal(nearest[..., 0], np.kron(board, np.ones((8, 8))) * 255)
    assert len(np.unique(smooth)) > 20


def test_aspect_is_kept():
    square = cells(sheet([[np.zeros((10, 40))]], ["x"], cell=80), 80, 1)[0]
    dark = (square[..., 0] == 0).nonzero()
    assert (np.ptp(dark[0]) + 1, np.ptp(dark[1]) + 1) == (20, 80)


def test_titles_and_notes_are_drawn_and_stay_in_their_column():
    picture = np.ones((32, 32))
    plain = np.asarray(sheet([[picture, picture]], ["", ""], [["", ""]], cell=64)).astype(int)
    long = sheet([[picture, picture]], ["a title far too long", ""], [["", "30.00 dB"]], cell=64)
    changed = np.abs(np.asarray(long) - plain).sum(-1) > 0
    middle = changed.shape[1] // 2
    assert changed[:36, :middle].any() and not changed[:36, middle:].any()
    assert changed[-30:, middle:].any() and not changed[-30:, :middle].any()


def test_rows_may_be_shorter_and_have_holes():
    picture = np.zeros((8, 8))
    result = sheet([[picture, None, picture], [picture]], ["a", "b", "c"], cell=32)
    assert isinstance(result, Image.Image)
    counts = [(np.asarray(result)[36 + 40 * row :][:32] == 0).all(-1).sum() for row in range(2)]
    assert counts == [2 * 32 * 32, 32 * 32]


def test_counts_that_do_not_match_are_refused():
    picture = np.zeros((8, 8))
    with pytest.raises(ValueError, match="2"):
        sheet([[picture, picture]], ["one"])
    with pytest.raises(ValueError, match="notes"):
        sheet([[picture, picture]], ["one", "two"], [["x"]])


def test_two_pictures_side_by_side_can_be_cut_out_again():
    left, right = np.random.default_rng(0).integers(0, 255, (2, 30, 90, 3), np.uint8)
    both = side_by_side(left, right, ("bicubic", "ours"))
    np.testing.assert_array_equal(both[BAND:, :90], left)
    np.testing.assert_array_equal(both[BAND:, 90:], right)
    assert all((half < 128).any() for half in (both[:BAND, :90], both[:BAND, 90:])), "no title"
