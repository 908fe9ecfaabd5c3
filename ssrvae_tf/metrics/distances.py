"""How near a set of pictures comes to another set: distances between activations of an image classifier.

The published FID and KID need one particular Inception. Any other network measures on another scale, so its distances
carry its name: `FD(name)`, `KD(name)`.

tensorflow-gan computes the distances where it exists, and the same formulae in NumPy where it does not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Callable

import numpy as np
import tensorflow as tf

from ssrvae_tf.compat import old_stack
from ssrvae_tf.errors import UserError, one_line
from ssrvae_tf.loading.saved_models import load_network
from ssrvae_tf.terminal import Bar

# The published network, as tensorflow-gan names it.
INCEPTION, INCEPTION_POOL, INCEPTION_SIDE = "https://tfhub.dev/tensorflow/tfgan/eval/inception/1", "pool_3", 299


class Features:
    """Activations of an image classifier: images (N, H, W, 3), float in [0, 1] or uint8 -> (N, D) float32.

    Args:
        path: folder of a SavedModel whose signature `serving_default` takes `images` (float32, [0, 1], NHWC) and
            answers `features` (N, D). None: the Inception that tensorflow-gan publishes on TF-Hub, fetched and kept
            by tensorflow-hub; only this one gives the FID and the KID.

    Attributes:
        frechet_name, kernel_name: what distances on these activations are called.

    Raises:
        UserError: if `path` holds no such model, or one whose graph reaches files or programs, or the published one
            cannot be fetched.

    Examples:
        >>> features = Features("models/inception")  # a folder of yours
        >>> faces = np.zeros((4, 64, 64, 3), "float32")
        >>> len(features(faces)), features.frechet_name
        (4, 'FD(inception)')
    """

    def __init__(self, path: str | Path | None = None):
        if path is None:
            self._run = _published_inception()
            self.frechet_name, self.kernel_name = "FID", "KID"
        else:
            self._run = _local_model(Path(path))
            name = Path(path).resolve().name
            self.frechet_name, self.kernel_name = f"FD({name})", f"KD({name})"

    def __call__(
        self, images: np.ndarray | list[np.ndarray], batch_size: int = 32, what: str | None = "features"
    ) -> np.ndarray:
        """Run the network in batches, with a progress bar called `what`, unless it is None, if this is a terminal.

        `images` is an array, or a list of images of one size.
        """
        batches = []
        silent = True if what is None else None
        with Bar(total=len(images), desc=what, unit="img", disable=silent, leave=False) as bar:
            for start in range(0, len(images), batch_size):
                batch = np.asarray(images[start : start + batch_size])
                divisor = 255 if batch.dtype == np.uint8 else 1
                batches.append(self._run(tf.constant(batch.astype(np.float32) / divisor)).numpy())
                bar.update(len(batch))
        return np.concatenate(batches)


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Frechet distance of two Gaussians fitted to activations (N, D) and (M, D); Heusel et al. 2017.

    |mean_a - mean_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)). Biased upwards for small N: compare only values from sets
    of equal size. N may be smaller than D.

    Raises:
        ValueError: if a set has fewer than 2 rows or the widths differ.

    Examples:
        >>> activations = np.random.default_rng(0).normal(size=(64, 4))
        >>> round(frechet_distance(activations, activations + 1), 2)  # 1 in each of 4 directions
        4.0
    """
    a, b = checked(a, b)
    # tensorflow-gan takes no root of what is below 1e-10, which small activations are altogether: at a variance of 1.
    unit = float(np.sqrt((a.var(0).mean() + b.var(0).mean()) / 2)) or 1.0
    a, b = a / unit, b / unit
    centre = a.mean(0)
    if len(a) + len(b) < a.shape[1]:
        # N + M points lie in a space of N + M dimensions. Turning it onto the axes changes no distance, and the
        # singular values of the smaller covariances take far less time.
        basis, _ = np.linalg.qr(np.concatenate([a, b]).T - centre[:, None])  # (D, N + M)
        a, b = (a - centre) @ basis, (b - centre) @ basis
    with old_stack("tensorflow_gan") as tfgan:
        if tfgan is None:
            return unit**2 * frechet_of(a, b)
        distance = tfgan.eval.frechet_classifier_distance_from_activations
        return unit**2 * float(distance(tf.constant(a), tf.constant(b)))


def kernel_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Squared maximum mean discrepancy under the kernel (x.y / D + 1)^3; Binkowski et al. 2018. Unbiased.

    Args:
        a, b: activations (N, D) and (M, D).

    Raises:
        ValueError: if a set has fewer than 2 rows or the widths differ.

    Examples:
        >>> one, other = np.random.default_rng(0).normal(size=(2, 64, 4))
        >>> bool(kernel_distance(one, other) < kernel_distance(one, other + 1))
        True
    """
    a, b, block = _shuffled(*checked(a, b))
    with old_stack("tensorflow_gan") as tfgan:
        if tfgan is None:
            return kernel_of(a, b, block)
        distance = tfgan.eval.kernel_classifier_distance_from_activations
        return float(distance(tf.constant(a), tf.constant(b), max_block_size=block))


def frechet_of(a: np.ndarray, b: np.ndarray) -> float:
    """`frechet_distance` as tensorflow-gan computes it, of float64."""
    first, second = (np.atleast_2d(np.cov(each, rowvar=False)) for each in (a, b))  # (D, D)
    root = _root(first)
    mixed = np.trace(_root(root @ second @ root))  # that of the root of the product
    return float(np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(first + second) - 2.0 * mixed)


def _root(matrix: np.ndarray) -> np.ndarray:
    """Of a symmetric matrix without negative eigenvalues. Those near 0, where a root is unstable, stay."""
    left, values, right = np.linalg.svd(matrix, hermitian=True)
    return left * np.where(values < 1e-10, values, np.sqrt(values)) @ right


def kernel_of(a: np.ndarray, b: np.ndarray, block: int) -> float:
    """`kernel_distance` as tensorflow-gan computes it, of float64: the mean over blocks of at most so many rows."""
    return float(np.mean([_kernel(x, y) for x, y in _blocks(a, b, block)]))


def kernel_blocks(a: np.ndarray, b: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """The parts of two sets that `kernel_distance` is a mean over."""
    return _blocks(*_shuffled(a, b))


def _shuffled(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Above 1,024 rows the estimate is a mean over blocks, which must not follow the order of the files.

    The third is how many rows a block has, so that there are at least two of the smaller set in each.
    """
    shuffle = np.random.default_rng(0)
    small, large = sorted((len(a), len(b)))
    return shuffle.permutation(a), shuffle.permutation(b), max(1024, -(-4 * large // small))


def _blocks(a: np.ndarray, b: np.ndarray, block: int) -> list[tuple[np.ndarray, np.ndarray]]:
    count = -(-max(len(a), len(b)) // block)
    return list(zip(_parts(a, count), _parts(b, count)))


def _parts(rows: np.ndarray, count: int) -> list[np.ndarray]:
    """So many parts, of which the last ones may have a row more."""
    sizes = np.full(count, len(rows) // count)
    sizes[count - len(rows) % count :] += 1
    return np.split(rows, np.cumsum(sizes)[:-1])


def _kernel(a: np.ndarray, b: np.ndarray) -> float:
    def mean(x: np.ndarray, y: np.ndarray) -> float:
        return np.mean((x @ y.T / x.shape[1] + 1.0) ** 3)

    def mean_of_others(x: np.ndarray) -> float:
        scores = (x @ x.T / x.shape[1] + 1.0) ** 3
        return (scores.sum() - np.trace(scores)) / (len(x) * (len(x) - 1))

    return mean_of_others(a) + mean_of_others(b) - 2.0 * mean(a, b)


def checked(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64; ValueError, if there is no distance of the two."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise ValueError(f"activations {a.shape} and {b.shape} are given, (N, D) and (M, D), N and M > 1, are wanted")
    return a, b


def _local_model(path: Path) -> Callable[[tf.Tensor], tf.Tensor]:
    model = load_network(path, "--features", ", a folder with saved_model.pb is wanted")
    signature = model.signatures.get("serving_default")
    takes = sorted(signature.structured_input_signature[1]) if signature else []
    gives = sorted(signature.structured_outputs) if signature else []
    if takes != ["images"] or "features" not in gives:
        raise UserError(
            f"--features {path}: its serving_default takes {takes} and gives {gives}, ['images'] and ['features'] are "
            "wanted: export the model with that signature"
        )

    def run(images: tf.Tensor) -> tf.Tensor:
        height, width = images.shape[1:3]
        try:
            found = model.signatures["serving_default"](images=images)["features"]
        except (ValueError, tf.errors.OpError) as error:
            raise UserError(f"--features {path}: it fails on photos of {width}x{height} ({one_line(error)})") from error
        if found.shape.rank != 2 or len(found) != len(images) or not np.isfinite(found).all():
            text = f"--features {path}: for {len(images)} photos of {width}x{height} it gives {tuple(found.shape)}"
            raise UserError(f"{text}, (N, D) of finite numbers are wanted")
        return found

    return run


def _published_inception() -> Callable[[tf.Tensor], tf.Tensor]:
    import tensorflow_hub  # slow, and needed nowhere else

    try:
        model = tensorflow_hub.load(INCEPTION)
    except (OSError, ValueError, RuntimeError, tf.errors.OpError) as error:
        raise UserError(
            f"the FID's Inception could not be fetched from {INCEPTION} ({one_line(error)}): "
            "give a feature model of your own by --features PATH"
        ) from error

    def run(images: tf.Tensor) -> tf.Tensor:
        images = tf.image.resize(images, [INCEPTION_SIDE] * 2) * 2 - 1  # what it takes: 299x299 in [-1, 1]
        return tf.reshape(model(images)[INCEPTION_POOL], (len(images), -1))

    return run
