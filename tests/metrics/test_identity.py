"""Embedding networks of all kinds, made up here; boxes by hand."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from ssrvae_tf.errors import UserError
from ssrvae_tf.metrics.identity import Embedding, found_again, similarity


def means(photos):
    """What the networks below make of photos: the mean colour and that of the left half, on a scale of 255."""
    return np.concatenate([photos.mean((1, 2)), photos[:, :, : photos.shape[2] // 2].mean((1, 2))], -1)


def embed(images):
    half = images[:, :, : images.shape[2] // 2] if images.shape[2] else images[:, :, : tf.shape(images)[2] // 2]
    return tf.concat([tf.reduce_mean(each, (1, 2)) for each in (images, half)], -1)


def saved(path, name="images", shape=(None, None, None, 3), kind=tf.float32, output="embeddings", more=None):
    module = tf.Module()
    module.run = tf.function(
        lambda **images: {output: embed(tf.cast(images[name], tf.float32)), **(more or {})},
        input_signature=None,
    )
    spec = {name: tf.TensorSpec(shape, kind, name=name)}
    tf.saved_model.save(module, str(path), {"serving_default": module.run.get_concrete_function(**spec)})
    return path


@pytest.fixture
def photos():
    return np.random.default_rng(0).integers(0, 256, (5, 24, 20, 3), np.uint8)


@pytest.mark.parametrize(
    "name, kind, values, low, high",
    [
        ("images", tf.float32, None, 0, 1),
        ("input_1", tf.float32, "signed", -1, 1),
        ("images", tf.float32, "bytes", 0, 255),
        ("input_1", tf.uint8, None, 0, 255),
    ],
)
def test_photos_come_in_the_range_that_the_network_wants(tmp_path, photos, name, kind, values, low, high):
    found = Embedding(saved(tmp_path / "net", name, kind=kind), values)(photos)
    np.testing.assert_allclose(found, means(photos) / 255 * (high - low) + low, atol=0.01)


@pytest.mark.parametrize("count", [None, 1, 3, 8])
def test_photos_get_the_size_that_the_network_wants(tmp_path, photos, count):
    found = Embedding(saved(tmp_path / "net", shape=(count, 12, 10, 3)))(photos)
    assert found.shape == (5, 6)
    np.testing.assert_allclose(found, means(photos) / 255, atol=0.03)


def tflite(path, photos, integers=None):
    module = tf.Module()
    module.run = tf.function(embed, input_signature=[tf.TensorSpec((1, 12, 10, 3), tf.float32)])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.run.get_concrete_function()], module)
    if integers:
        shrunk = tf.image.resize(photos / 255.0, (12, 10)).numpy().astype(np.float32)
        shrunk[0, 0, :2] = [[0] * 3, [1] * 3]  # the whole range
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([each[None]] for each in shrunk)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = integers
    path.write_bytes(converter.convert())
    return path


@pytest.mark.parametrize("integers", [None, tf.uint8, tf.int8])
def test_files_for_phones_embed_too(tmp_path, photos, integers):
    found = Embedding(tflite(tmp_path / "net.tflite", photos, integers), None if integers else "unit")(photos)
    np.testing.assert_allclose(found, means(photos) / 255, atol=0.05)


@pytest.mark.parametrize(
    "made, complaint",
    [
        ({"name": "input_1"}, "what range its input input_1 has is not said: add --identity-range"),
        ({"shape": (None, 3, 8, 8)}, "its input images is .*, \\(N, H, W, 3\\) is wanted"),
        ({"output": "a", "more": {"b": tf.zeros(3)}}, "gives \\['a', 'b'\\]"),
        ({"kind": tf.bool}, "its input images is bool"),
    ],
)
def test_networks_that_are_of_no_use_are_refused_in_one_line(tmp_path, made, complaint):
    with pytest.raises(UserError, match=complaint) as caught:
        Embedding(saved(tmp_path / "net", **made))
    assert "\n" not in str(caught.value)


def test_what_is_no_network_is_refused_in_one_line(tmp_path, photos):
    (tmp_path / "net.tflite").write_bytes(b"no network" * 9)
    for path, complaint in [("net.tflite", "no TFLite file that can be read"), ("nothing", "no SavedModel there")]:
        with pytest.raises(UserError, match=f"--identity .*{path}: {complaint}") as caught:
            Embedding(tmp_path / path)
        assert "\n" not in str(caught.value)
    module = tf.Module()
    fixed = tf.TensorSpec((None, None, None, 3), tf.float32, name="images")
    module.run = tf.function(lambda images: {"embeddings": tf.reshape(images, (-1, 7))}, input_signature=[fixed])
    tf.saved_model.save(module, str(tmp_path / "odd"), {"serving_default": module.run})
    with pytest.raises(UserError, match="it fails on photos of 20x24"):
        Embedding(tmp_path / "odd")(photos)
    broken = saved(tmp_path / "broken", output="other", more={"embeddings": tf.fill((5, 2), np.nan)})
    with pytest.raises(UserError, match=r"its output for 5 photos is \(5, 2\), \(N, D\) of finite numbers is wanted"):
        Embedding(broken)(photos)


def test_the_same_person_is_1_and_the_opposite_minus_1():
    a = np.array([[1.0, 2.0], [3.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
    b = np.array([[2.0, 4.0], [-1.0, 0.0], [1.0, -1.0], [1.0, 0.0]])
    np.testing.assert_allclose(similarity(a, b), [1, -1, 0, 0], atol=1e-12)


def test_a_face_is_found_again_where_boxes_share_more_than_half():
    faces = [(0, 0, 10, 10), (20, 0, 30, 10), (40, 0, 50, 10)]
    found = [(1, 1, 11, 10), (25, 0, 35, 10)]  # 81 of 109, 50 of 150
    assert found_again(faces, found) == 1 and found_again(faces, []) == 0 == found_again([], found)
    assert found_again(faces, faces) == 3
    assert found_again([(5, 5, 5, 5)], [(5, 5, 5, 5)]) == 0  # a box of no size is nowhere
