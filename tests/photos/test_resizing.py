from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from ssrvae_tf.photos.resizing import resized


@pytest.mark.parametrize("width, height", [(40, 24), (5, 3), (13, 29)])
def test_photos_are_resized_as_pillow_does(width, height):
    photo = np.random.default_rng(0).integers(0, 256, (12, 20, 3), np.uint8)
    wanted = np.asarray(Image.fromarray(photo).resize((width, height), Image.BICUBIC))
    np.testing.assert_array_equal(resized(photo, width, height), wanted)
    np.testing.assert_array_equal(resized(photo[..., 0], width, height), wanted[..., 0])
    np.testing.assert_array_equal(resized(photo[..., :1], width, height), wanted[..., :1])


def test_floats_stay_floats_and_may_leave_their_range_beside_edges():
    edge = np.repeat(np.float32([[0, 0, 0, 1, 1, 1]]), 4, 0)[..., None].repeat(2, -1)
    large = resized(edge, 24, 16)
    assert large.shape == (16, 24, 2) and large.dtype == np.float32
    assert large.min() < -0.01 and large.max() > 1.01


def test_colours_do_not_depend_on_transparency():
    photo = np.random.default_rng(1).integers(0, 256, (8, 8, 4), np.uint8)
    np.testing.assert_array_equal(resized(photo, 16, 16)[..., :3], resized(photo[..., :3], 16, 16))
