from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from ssrvae_tf.photos.samples import sample_photos


@pytest.mark.parametrize("path", sample_photos(), ids=lambda path: path.name)
def test_sample_photos_are_colour_photos_and_credited(path):
    pixels = np.asarray(Image.open(path))
    assert pixels.shape[0] >= 512 and pixels.shape[1:] == (512, 3)
    assert pixels.std() > 40
    assert path.name in (path.parent / "CREDITS").read_text()
