"""Files of styleVAE's weights."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from tiny_runs import small_style_vae, weights

from ssrvae_tf.loading.places import SHIPPED
from ssrvae_tf.models import StyleVAE

LAYOUT = """
content_encoder/blocks/residual_block/first 2 content_encoder/blocks/residual_block/second 2
content_encoder/blocks/residual_block_1/first 2 content_encoder/blocks/residual_block_1/second 2
content_encoder/stem 2 generator/blocks/residual_block/first 2 generator/blocks/residual_block/second 2
generator/blocks/residual_block_1/first 2 generator/blocks/residual_block_1/second 2 generator/gains 2 generator/last 2
generator/last_strength 2 generator/spreads/conv2d 1 generator/spreads/conv2d_1 1 generator/strengths/dense 2
generator/strengths/dense_1 2 generator/styles/ada_in/affine 2 generator/styles/ada_in_1/affine 2
style_encoder/blocks/residual_block/first 2 style_encoder/blocks/residual_block/second 2
style_encoder/blocks/residual_block_1/first 2 style_encoder/blocks/residual_block_1/second 2 style_encoder/head 2
style_encoder/shrinking/conv2d 2 style_encoder/stem 2
"""


@pytest.fixture(scope="module")
def model():
    return small_style_vae()


def test_a_file_has_the_names_that_keras_2_gave_them(model, tmp_path):
    model.save_weights(tmp_path / "model.weights.h5")
    words = LAYOUT.split()
    wanted = {f"layers/{name}/vars/{i}" for name, count in zip(words[::2], words[1::2]) for i in range(int(count))}
    assert weights(tmp_path).keys() == wanted | {"sampler/vars/0", "sampler/vars/1"}


@pytest.mark.parametrize("settings", [{}, {"adain": False}, {"form": "paper"}, {"encoder_strides": (2, 2, 2)}])
def test_each_weight_comes_back_from_a_file(settings, tmp_path):
    first, second = (StyleVAE(**{"lr_size": 8, "latent_dim": 4, "filters": 8, "encoder_strides": (1,), **settings})
                     for _ in range(2))  # fmt: skip
    rng = np.random.default_rng(0)
    for model in (first, second):
        model.build_networks()
        model.set_weights([rng.random(value.shape, np.float32) for value in model.get_weights()])
    first.save_weights(tmp_path / "model.weights.h5")
    second.load_weights(tmp_path / "model.weights.h5")
    for got, wanted in zip(second.get_weights(), first.get_weights()):
        np.testing.assert_array_equal(got, wanted)
    assert len(weights(tmp_path)) == len(first.get_weights())


def test_the_shipped_file_has_them_too(model):
    shipped = weights(SHIPPED / "faces-style").keys()
    assert {name for name in shipped if "/style_encoder/" not in name} == {
        name for name in _names(model) if "/style_encoder/" not in name
    }


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda file: file.__delitem__("sampler"), "sampler/vars/0 is missing"),
        (lambda file: file.create_dataset("more", data=[1.0]), "more is not known"),
        (lambda file: _replace(file, "sampler/vars/1", (3, 3)), r"sampler/vars/1 has the shape \(3, 3\), \(256, 6\)"),
    ],
)
def test_other_weights_are_refused(model, tmp_path, change, words):
    path = tmp_path / "model.weights.h5"
    model.save_weights(path)
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(ValueError, match=words):
        model.load_weights(path)


def _replace(file, name, shape):
    del file[name]
    file[name] = np.zeros(shape, np.float32)


def _names(model):
    from ssrvae_tf.models.style_weights import _named

    return dict(_named(model)).keys()
