from __future__ import annotations

import keras
import numpy as np
import pytest


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(autouse=True)
def float32_policy():
    """Whatever a test sets, the next one starts in float32."""
    yield
    keras.mixed_precision.set_global_policy("float32")
