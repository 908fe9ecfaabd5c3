from __future__ import annotations

import numpy as np
import pytest

from ssrvae_tf.exporting.inference_form import inference_form
from ssrvae_tf.models import EDSR, SRNetwork

MODELS = {
    "x2": lambda: EDSR(2, 8, 1),
    "x4": lambda: EDSR(4, 8, 1),
    "x8": lambda: EDSR(8, 8, 1),
    "x1": lambda: EDSR(1, 8, 1),
    "attention": lambda: SRNetwork(4, 8, 1, 1, chunk=64, kernel_size=3, share=4, geometry=True, keep_colours=True),
}


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    model = MODELS[request.param]()
    rng = np.random.default_rng(0)
    model.set_weights([value + rng.normal(0, 0.1, value.shape) for value in model.get_weights()])
    return model


# At an edge, in a corner, at two edges at once, and inside.
@pytest.mark.parametrize("size", [(1, 1), (1, 6), (2, 1), (3, 2), (13, 10)])
def test_it_gives_what_the_model_gives_up_to_the_edges(model, size):
    lr = np.random.default_rng(1).random((2, *size, 3), np.float32)
    # Before they are clipped to [0, 1], values reach 12 here, where float32 has steps of 1e-6.
    np.testing.assert_allclose(inference_form(model)(lr), model(lr, training=False), atol=1e-4)
