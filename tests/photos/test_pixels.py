"""Floats as the 8 bits of files."""

from __future__ import annotations

import numpy as np
import pytest

from ssrvae_tf.photos.pixels import to_uint8


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_gray_level_comes_back_and_what_lies_beyond_is_clipped(dtype):
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    floats = levels.astype(dtype) / dtype(255)
    for shift in (-0.49, 0.0, 0.49):
        np.testing.assert_array_equal(to_uint8(floats + dtype(shift / 255)), levels)
    made = to_uint8(np.array([-3.0, -0.001, 1.001, 40.0], dtype))
    assert made.tolist() == [0, 0, 255, 255] and made.dtype == np.uint8
