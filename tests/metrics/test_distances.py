"""Distances against NumPy and SciPy on small activations; feature models that are made up here."""

from __future__ import annotations

import subprocess
import sys
import urllib.error

import numpy as np
import pytest
import scipy.linalg
import tensorflow as tf
from stacks import asked_for

from ssrvae_tf.errors import UserError
from ssrvae_tf.metrics import Features, frechet_distance, kernel_distance
from ssrvae_tf.metrics.distances import INCEPTION, INCEPTION_POOL, INCEPTION_SIDE, frechet_of, kernel_of


def activations(rows, width, seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    return np.abs(rng.normal(size=(rows, width)) @ rng.normal(size=(width, width)) * scale).astype(np.float32)


def slow_frechet(a, b):
    a, b = a.astype(np.float64), b.astype(np.float64)
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = scipy.linalg.sqrtm(cov_a @ cov_b)
    return ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(cov_a + cov_b - 2 * np.real(root))


def slow_kernel(a, b):
    """The unbiased estimate, pair by pair."""

    def kernel(x, y):
        return (float(x @ y) / len(x) + 1) ** 3

    a, b = a.astype(np.float64), b.astype(np.float64)
    within_a = np.mean([kernel(x, y) for i, x in enumerate(a) for j, y in enumerate(a) if i != j])
    within_b = np.mean([kernel(x, y) for i, x in enumerate(b) for j, y in enumerate(b) if i != j])
    return within_a + within_b - 2 * np.mean([kernel(x, y) for x in a for y in b])


def test_frechet_distance_equals_its_definition():
    a, b = activations(200, 8), activations(150, 8, seed=1)
    assert frechet_distance(a, b) == pytest.approx(slow_frechet(a, b), rel=1e-5)


def test_frechet_distance_holds_for_fewer_rows_than_columns():
    a, b = activations(12, 40), activations(9, 40, seed=1)
    assert frechet_distance(a, b) == pytest.approx(frechet_of(a.astype(float), b.astype(float)), rel=1e-6)
    assert frechet_distance(a, b) == pytest.approx(slow_frechet(a, b), rel=1e-3)


@pytest.mark.parametrize("rows, others, width", [(200, 150, 8), (12, 9, 40), (3, 2, 1), (70, 70, 64)])
def test_the_formulae_are_those_of_tensorflow_gan(rows, others, width):
    a, b = activations(rows, width).astype(float), activations(others, width, seed=1).astype(float)
    with asked_for("tensorflow_gan") as tfgan:
        wanted = tfgan.eval.frechet_classifier_distance_from_activations(a, b)
        assert frechet_of(a, b) == pytest.approx(float(wanted), rel=1e-6)
        for block in (1024, 20):
            block = max(block, 2 * -(-max(rows, others) // min(rows, others)))
            distance = tfgan.eval.kernel_classifier_distance_from_activations
            wanted = distance(tf.constant(a), tf.constant(b), max_block_size=block)
            assert kernel_of(a, b, block) == pytest.approx(float(wanted), rel=1e-6)
        assert INCEPTION == tfgan.eval.INCEPTION_TFHUB and INCEPTION_POOL == tfgan.eval.INCEPTION_FINAL_POOL
        assert INCEPTION_SIDE == tfgan.eval.INCEPTION_DEFAULT_IMAGE_SIZE


def test_frechet_distance_of_a_set_to_itself_is_nothing():
    a = activations(30, 64)
    assert frechet_distance(a, a[::-1]) == pytest.approx(0, abs=1e-5 * np.trace(np.cov(a, rowvar=False)))


@pytest.mark.parametrize("scale", [1e-3, 1e-6, 1e3])
def test_frechet_distance_of_small_activations_is_as_exact_as_of_large_ones(scale):
    """tensorflow-gan alone finds 302 where it is 95: it leaves variances below 1e-10 as they are."""
    a, b = activations(60, 8).astype(float), activations(50, 8, seed=1).astype(float)
    assert frechet_distance(a * scale, b * scale) == pytest.approx(scale**2 * frechet_distance(a, b), rel=1e-6)
    assert frechet_distance(0 * a, 0 * b) == 0


def test_moving_a_set_adds_the_square_of_the_way():
    a = activations(100, 8)
    way = np.linspace(-1, 1, 8).astype(np.float32)
    assert frechet_distance(a, a + way) == pytest.approx((way**2).sum(), rel=1e-3)


def test_kernel_distance_equals_its_definition():
    a, b = activations(20, 6), activations(15, 6, seed=1)
    assert kernel_distance(a, b) == pytest.approx(slow_kernel(a, b), rel=1e-6)


def test_distances_are_those_of_torch_fidelity():
    """Its fid_statistics_to_metric and polynomial_mmd (degree 3, gamma 1 / D, coef0 1), written out. Its KID is a mean
    over random subsets."""
    a, b = activations(80, 12).astype(float), activations(80, 12, seed=1).astype(float)
    (mean_a, cov_a), (mean_b, cov_b) = ((each.mean(0), np.cov(each, rowvar=False)) for each in (a, b))
    root = scipy.linalg.sqrtm(cov_a.dot(cov_b)).real
    wanted = (mean_a - mean_b).dot(mean_a - mean_b) + np.trace(cov_a) + np.trace(cov_b) - 2 * np.trace(root)
    assert frechet_distance(a, b) == pytest.approx(wanted, rel=1e-6)

    def polynomial_mmd(x, y):
        m, (xx, yy, xy) = len(x), ((u @ v.T / 12 + 1) ** 3 for u, v in ((x, x), (y, y), (x, y)))
        within = sum((each.sum() - np.trace(each)) / (m * (m - 1)) for each in (xx, yy))
        return within - 2 * xy.sum() / m**2

    assert kernel_distance(a, b) == pytest.approx(polynomial_mmd(a, b), rel=1e-6)
    rng = np.random.default_rng(0)
    drawn = [[each[rng.choice(80, 40, replace=False)] for each in (a, b)] for _ in range(400)]
    subsets = [polynomial_mmd(x, y) for x, y in drawn]
    assert kernel_distance(a, b) == pytest.approx(np.mean(subsets), abs=4 * np.std(subsets) / 20)


def test_kernel_distance_does_not_follow_the_order_of_many_rows():
    a = activations(2500, 4, scale=0.3)
    in_order = a[np.argsort(a[:, 0])]
    b = activations(2500, 4, seed=0, scale=0.3)[::-1]
    assert abs(kernel_distance(in_order, b)) < 0.05 * kernel_distance(in_order, 1.2 * b)


def test_kernel_distance_stays_finite_for_sets_of_very_unequal_size():
    assert np.isfinite(kernel_distance(activations(5000, 4), activations(3, 4, seed=1)))


@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance])
def test_activations_that_do_not_fit_are_refused(distance):
    for a, b in [((5, 4), (5, 3)), ((1, 4), (5, 4)), ((5, 4, 1), (5, 4, 1))]:
        with pytest.raises(ValueError, match="are wanted"):
            distance(np.zeros(a), np.zeros(b))


class TinyFeatures(tf.Module):
    """Mean colour and its square."""

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.float32, name="images")])
    def features(self, images):
        mean = tf.reduce_mean(images, (1, 2))
        return {"features": tf.concat([mean, mean**2], -1)}

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.float32, name="pictures")])
    def misnamed(self, pictures):
        return {"logits": tf.reduce_mean(pictures, (1, 2))}


def test_features_of_a_local_model_come_in_order_whatever_the_batch(tmp_path):
    module = TinyFeatures()
    tf.saved_model.save(module, str(tmp_path / "tiny"), {"serving_default": module.features})
    features = Features(tmp_path / "tiny")
    images = np.random.default_rng(0).random((7, 5, 4, 3)).astype(np.float32)
    mean = images.mean((1, 2))
    np.testing.assert_allclose(features(images, batch_size=3), np.concatenate([mean, mean**2], -1), atol=1e-6)
    np.testing.assert_allclose(features(list(images)), features(images, batch_size=1), atol=1e-6)
    small = np.round(images * 255).astype(np.uint8)
    np.testing.assert_allclose(features(small), features((small / 255).astype(np.float32)), atol=1e-6)


@pytest.mark.parametrize(
    "run, complaint",
    [
        (lambda images: images, r"for 3 photos of 4x5 it gives \(3, 5, 4, 3\), \(N, D\) of finite numbers are wanted"),
        (lambda images: tf.reduce_mean(images, (1, 2, 3)), r"it gives \(3,\), "),
        (lambda images: tf.math.log(tf.reduce_mean(images, (1, 2)) - 1), r"it gives \(3, 3\), \(N, D\) of finite"),
        (lambda images: tf.reshape(images, (-1, 7)), "it fails on photos of 4x5"),
    ],
)
def test_a_network_that_gives_no_features_is_refused_in_one_line(run, complaint, tmp_path):
    module = tf.Module()
    spec = tf.TensorSpec((None, None, None, 3), tf.float32, name="images")
    module.run = tf.function(lambda images: {"features": run(images)}, input_signature=[spec])
    tf.saved_model.save(module, str(tmp_path / "odd"), {"serving_default": module.run})
    with pytest.raises(UserError, match=complaint) as caught:
        Features(tmp_path / "odd")(np.zeros((3, 5, 4, 3), np.uint8))
    assert str(caught.value).startswith(f"--features {tmp_path / 'odd'}: ") and "\n" not in str(caught.value)


def test_distances_of_a_local_model_carry_its_name_and_not_fid(tmp_path):
    module = TinyFeatures()
    tf.saved_model.save(module, str(tmp_path / "tiny"), {"serving_default": module.features})
    features = Features(str(tmp_path / "tiny") + "/")
    assert (features.frechet_name, features.kernel_name) == ("FD(tiny)", "KD(tiny)")


def test_a_folder_without_a_saved_model_is_an_error(tmp_path):
    with pytest.raises(UserError, match="--features .*saved_model.pb"):
        Features(tmp_path)


def test_a_saved_model_of_another_signature_is_an_error(tmp_path):
    module = TinyFeatures()
    tf.saved_model.save(module, str(tmp_path / "other"), {"serving_default": module.misnamed})
    with pytest.raises(UserError, match=r"takes \['pictures'\] and gives \['logits'\]"):
        Features(tmp_path / "other")


def test_a_saved_model_that_reaches_for_files_is_not_loaded(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(range(30)))

    class Reader(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.float32, name="images")])
        def features(self, images):
            numbers = tf.cast(tf.io.decode_raw(tf.io.read_file(str(secret)), tf.uint8), tf.float32)
            return {"features": tf.reduce_mean(images, (1, 2)) + numbers[:3]}

    module = Reader()
    tf.saved_model.save(module, str(tmp_path / "reader"), {"serving_default": module.features})
    with pytest.raises(UserError, match="reader: its graph can reach files.*by ReadFile: not loaded; export") as caught:
        Features(tmp_path / "reader")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("failure", [urllib.error.URLError("no\nnetwork"), ValueError("broken"), RuntimeError("x")])
def test_without_a_network_one_line_says_to_give_features(monkeypatch, failure):
    def fail(_):
        raise failure

    monkeypatch.setattr("tensorflow_hub.load", fail)
    with pytest.raises(UserError, match="could not be fetched.*--features PATH") as caught:
        Features()
    assert "\n" not in str(caught.value)


def test_the_published_network_gets_what_it_was_trained_on_and_gives_the_fid(monkeypatch):
    seen = []

    def network(images):
        seen.append(images)
        return {"pool_3": tf.reduce_mean(images, (1, 2), keepdims=True), "logits": images}

    monkeypatch.setattr("tensorflow_hub.load", lambda address: network)
    features = Features()
    black_and_white = np.stack([np.zeros((8, 8, 3)), np.ones((8, 8, 3))])
    np.testing.assert_allclose(features(black_and_white), [[-1] * 3, [1] * 3], atol=1e-6)
    assert seen[0].shape == (2, 299, 299, 3)
    assert (features.frechet_name, features.kernel_name) == ("FID", "KID")


def test_tensorflow_gan_is_imported_late_and_says_nothing():
    with asked_for("tensorflow_gan"):
        pass
    code = """
import sys
import numpy as np
from ssrvae_tf import metrics
assert "tensorflow_gan" not in sys.modules
print("ready", file=sys.stderr, flush=True)
a = np.eye(4)
metrics.kernel_distance(a, a)
metrics.frechet_distance(a, a)
assert "tensorflow_gan" in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = done.stderr.split("ready")[1].lower()
    assert "warning" not in said and "deprecated" not in said
