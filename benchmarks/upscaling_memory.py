"""Peak memory of upscaling one photo from file to file, in a process of its own: prints it in MB.

    python -m benchmarks.upscaling_memory WIDTH HEIGHT SUFFIX

The network runs on every 500th tile and pixels are repeated in the others: what is held at once is the same, and 24
megapixels take seconds instead of the better part of an hour.
"""

from __future__ import annotations

import resource
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from ssrvae_tf.inference.fast_engine import fastest
from ssrvae_tf.photos.samples import sample_photos
from ssrvae_tf.upscale import upscale_files

_EVERY = 500


class Sparse:
    """faces-x4 on some tiles, as on `pixels` of photos."""

    fixed_size = None

    def __init__(self, pixels: int):
        self._network, self._count = fastest("faces-x4", pixels), 0
        self.scale, self.parallel = self._network.scale, getattr(self._network, "parallel", False)

    def __call__(self, lr: np.ndarray) -> np.ndarray:
        before, self._count = self._count, self._count + len(lr)
        if not before or before // _EVERY < self._count // _EVERY:
            return self._network(lr)
        return lr.repeat(self.scale, 1).repeat(self.scale, 2)


if __name__ == "__main__":
    width, height, suffix = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder, f"photo{suffix}")
        Image.open(sample_photos()[0]).convert("RGB").resize((width, height)).save(photo)
        outcome = upscale_files(photo, Path(folder, f"large{suffix}"), Sparse(width * height))
        assert outcome.written, outcome.failed
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6)
