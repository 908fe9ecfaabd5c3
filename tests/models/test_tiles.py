from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from ssrvae_tf.inference.tiling import axis, blended_bands
from ssrvae_tf.models import EDSR, SRNetwork
from ssrvae_tf.models.tiles import in_tiles

SCALE = 2
SMALL = {"filters": 8, "global_blocks": 1, "local_blocks": 0}


def network(lr):
    """Enlarges, and sees the whole of its tile, as attention does."""
    seen = tf.reduce_mean(lr * tf.range(tf.cast(tf.shape(lr)[1], tf.float32))[:, None, None], [1, 2], keepdims=True)
    return tf.repeat(tf.repeat(lr + seen, SCALE, 1), SCALE, 2)


def tiled(network, photo, scale):
    """What `ssrvae_tf.upscale` makes of a photo, but for the border."""
    rows, columns = (axis(length, 48, 8) for length in photo.shape[:2])

    def tiles_at(corners):
        ((top, left),) = corners
        return np.asarray(network(photo[None, top : top + rows.tile, left : left + columns.tile]))

    return np.concatenate([band.copy() for band in blended_bands(rows, columns, scale, 1, tiles_at)])


@pytest.mark.parametrize("size", [(97, 96), (100, 131), (5, 2000), (300, 49)])
def test_large_photos_go_through_in_the_tiles_of_upscale(size):
    photos = np.random.default_rng(0).random((2, *size, 3), np.float32)
    run = tf.function(lambda lr: in_tiles(network, lr, SCALE), input_signature=[tf.TensorSpec((None, None, None, 3))])
    for made, photo in zip(run(photos), photos):
        np.testing.assert_allclose(made, tiled(network, photo, SCALE), rtol=1e-5)


@pytest.mark.parametrize("size", [(96, 96), (1, 9216), (3, 1)])
def test_up_to_96_by_96_pixels_go_through_as_a_whole(size):
    photos = np.random.default_rng(0).random((2, *size, 3), np.float32)
    np.testing.assert_array_equal(in_tiles(network, photos, SCALE), network(photos))


def lively(model):
    rng = np.random.default_rng(0)
    model.set_weights([value + rng.normal(0, 0.05, value.shape) for value in model.get_weights()])
    return model


def test_predict_cuts_photos_into_tiles_and_follows_the_weights():
    model = lively(SRNetwork(SCALE, **SMALL))
    photo = np.random.default_rng(0).random((97, 100, 3), np.float32)
    before = model.predict(photo, verbose=0)
    np.testing.assert_allclose(before, tiled(model.enlarge, photo, SCALE), atol=1e-5)
    lively(model)
    after = model.predict(photo, verbose=0)
    assert np.abs(after - before).max() > 0.01
    np.testing.assert_allclose(after, tiled(lambda lr: model(lr, training=False), photo, SCALE), atol=1e-5)


@pytest.mark.parametrize("make", [lambda: EDSR(SCALE, 8, 1), lambda: SRNetwork(SCALE, **SMALL, global_attention=False)])
def test_without_global_attention_photos_stay_whole(make):
    model, photo = lively(make()), np.random.default_rng(0).random((97, 100, 3), np.float32)
    np.testing.assert_allclose(model.predict(photo, verbose=0), model(photo[None])[0], atol=1e-6)
