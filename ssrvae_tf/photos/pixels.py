"""From the numbers that networks give to those that files hold."""

from __future__ import annotations

import numpy as np


def to_uint8(values: np.ndarray) -> np.ndarray:
    """Floats of any shape, [0, 1] -> uint8 [0, 255], rounded; what lies beyond is clipped."""
    return np.rint(np.clip(values, 0.0, 1.0) * 255.0).astype(np.uint8)
