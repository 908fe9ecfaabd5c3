from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from ssrvae_tf.models import EDSR
from ssrvae_tf.models.inputs import checked, photos_of

BATCH = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3), np.uint8)
BATCH[0, 0, 0] = 0, 128, 255


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    return EDSR(2, 8, 1)


@pytest.fixture(scope="module")
def wanted(network):
    return network(BATCH / np.float32(255)).numpy()


FORMS = {
    "uint8": lambda lr: (lr * 255).round().astype(np.uint8),
    "float64": lambda lr: lr.astype(np.float64),
    "tensor": tf.constant,
    "Pillow": lambda lr: Image.fromarray(FORMS["uint8"](lr)),
    "list of one batch": lambda lr: [lr],
    "list of photos": list,
    "numbers": np.ndarray.tolist,
    "dictionary": lambda lr: {"lr": lr},
    "dataset": lambda lr: tf.data.Dataset.from_tensor_slices(lr).batch(1),
    "dataset of uint8": lambda lr: tf.data.Dataset.from_tensor_slices(FORMS["uint8"](lr)).batch(2),
    "dataset of pairs": lambda lr: tf.data.Dataset.from_tensors((lr, lr)),
    "generator": lambda lr: (photo[None] for photo in lr),
}


@pytest.mark.parametrize("form", sorted(FORMS.keys() - {"Pillow"}))
def test_predict_takes_photos_in_every_form(network, wanted, form):
    sr = network.predict(FORMS[form](BATCH / np.float32(255)), verbose=0)
    assert sr.dtype == np.float32
    np.testing.assert_allclose(sr, wanted, atol=1e-6)


@pytest.mark.parametrize("form", ["uint8", "float64", "tensor", "numbers", "Pillow"])
def test_of_one_photo_comes_one_photo(network, wanted, form):
    sr = network.predict(FORMS[form](BATCH[0] / np.float32(255)), verbose=0)
    np.testing.assert_allclose(sr, wanted[0], atol=1e-6)


@pytest.mark.parametrize(
    "x, words",
    [
        (BATCH.astype(np.float32), r"values from 0 to 255, \[0, 1\] is wanted: divide by 255, or give uint8"),
        (BATCH / 127.5 - 1, r"values from -1 to 1, \[0, 1\] is wanted"),
        (BATCH * np.nan, "values from nan to nan"),
        (BATCH.astype(np.int32), "lr is int32, uint8 or float in .* is wanted: convert it"),
        (BATCH > 128, "lr is bool"),
        (BATCH[..., 0], r"shape \(2, 5, 7\), \(B, H, W, 3\) is wanted, or \(H, W, 3\) of one photo"),
        (BATCH[0, ..., 0], r"shape \(5, 7\), .*: make gray RGB by np.stack"),
        (BATCH[..., :1], "make gray RGB by np.repeat"),
        (np.zeros((5, 7, 4), np.uint8), "leave the alpha channel out"),
        (BATCH[:, :0], "H and W not 0"),
        (BATCH[0, :, :0], "H and W not 0"),
        ([BATCH[0], BATCH[0, 1:]], "photos of several sizes"),
        (0.5, r"shape \(\)"),
    ],
)
def test_what_else_is_given_is_refused(x, words):
    with pytest.raises(ValueError, match=words):
        photos_of(x)


def test_predict_refuses_it_too(network):
    with pytest.raises(ValueError, match="divide by 255"):
        network.predict(BATCH * 1.0, verbose=0)


@pytest.mark.parametrize(
    "lr, error, words",
    [
        (BATCH.astype(np.float32), tf.errors.InvalidArgumentError, r"lr has values from 0 to 255, \[0, 1\] is wanted"),
        (BATCH.astype(np.int32), ValueError, "lr is int32"),
        (BATCH[0], ValueError, r"shape \(5, 7, 3\), \(B, H, W, 3\) is wanted"),
        (BATCH[..., :1], ValueError, "make gray RGB"),
    ],
)
@pytest.mark.parametrize("known", [True, False])
def test_batches_of_a_dataset_are_looked_at_in_the_graph(lr, error, words, known):
    @tf.function(input_signature=[tf.TensorSpec(lr.shape if known else None, lr.dtype)])
    def run(batch):
        return checked(batch)

    known = known or error is not ValueError or lr.dtype == np.int32
    with pytest.raises(error if known else tf.errors.InvalidArgumentError, match=words if known else "not compatible"):
        run(tf.constant(lr))


def test_a_little_beyond_the_range_is_taken_as_it_is():
    """Bicubic shrinking leaves it."""
    lr = np.array([-0.1, 0.5, 1.1], np.float32) * np.ones((1, 2, 2, 3), np.float32)
    np.testing.assert_array_equal(photos_of(lr), lr)
    np.testing.assert_array_equal(checked(tf.constant(lr)), lr)


def test_predict_of_one_small_batch_takes_no_loop_of_keras_but_for_callbacks(network):
    seen = []
    watch = keras.callbacks.LambdaCallback(on_predict_batch_end=lambda batch, logs: seen.append(batch))
    watched = network.predict(BATCH, verbose=0, callbacks=[watch])
    assert seen == [0]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(keras.Model, "predict", None)
        np.testing.assert_array_equal(network.predict(BATCH, verbose=0), watched)
        with pytest.raises(TypeError):  # two batches
            network.predict(BATCH, batch_size=len(BATCH) - 1, verbose=0)
