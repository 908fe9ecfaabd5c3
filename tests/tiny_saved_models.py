"""SavedModels with the signatures of those that `ssrvae_tf.export` writes, small enough for tests of what is around."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image

SCALE = 4
MOST_PIXELS = 128 * 128


class Bicubic(tf.Module):
    """Enlarges by bicubic interpolation and adds `shift` to [0, 1]; also shrinks, as a styleVAE does."""

    def __init__(self, shift: float = 0.0):
        super().__init__()
        self.shift = tf.Variable(shift)

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32, name="lr")])
    def serving_default(self, lr):
        return {"sr": self._resized(lr, SCALE)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def upscale_bytes(self, image_bytes):
        return {"sr_png_bytes": self._each(image_bytes, SCALE)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def degrade_bytes(self, image_bytes):
        return {"lr_png_bytes": self._each(image_bytes, 1 / SCALE)}

    def _resized(self, images, scale):
        size = tf.cast(tf.cast(tf.shape(images)[1:3], tf.float32) * scale, tf.int32)
        return tf.clip_by_value(tf.image.resize(images, size, "bicubic", antialias=True) + self.shift, 0.0, 1.0)

    def _each(self, image_bytes, scale):
        def one(data):
            image = tf.io.decode_image(data, channels=3, expand_animations=False)
            pixels = tf.reduce_prod(tf.shape(image)[:2])
            refused = f"the image has more than {MOST_PIXELS} pixels, send a smaller one"
            with tf.control_dependencies([tf.debugging.Assert(pixels <= MOST_PIXELS, [refused])]):
                values = tf.ensure_shape(tf.cast(image, tf.float32), [None, None, 3])[None] / 255.0
            result = tf.cast(tf.round(self._resized(values, scale)[0] * 255.0), tf.uint8)
            return tf.io.encode_png(result)

        return tf.map_fn(one, image_bytes, fn_output_signature=tf.string)


class HalfPlusTwo(tf.Module):
    """TensorFlow Serving's own example: y = x / 2 + 2."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def serving_default(self, x):
        return {"y": x / 2.0 + 2.0}


class Slow(tf.Module):
    """Counts to x, which takes some seconds for each 100,000."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, name="x")])
    def serving_default(self, x):
        return {"y": tf.while_loop(lambda y: tf.reduce_any(y < x), lambda y: (y + 1,), (tf.zeros_like(x),))[0]}


class Several(tf.Module):
    """Two inputs, several outputs, among them plain strings, bytes and one without rows."""

    INPUTS = (tf.TensorSpec([None], tf.float32, name="a"), tf.TensorSpec([None], tf.int32, name="b"))

    @tf.function(input_signature=INPUTS)
    def serving_default(self, a, b):
        label = tf.fill(tf.shape(a), "yak")
        return {"total": a + tf.cast(b, tf.float32), "label": label, "raw_bytes": label}

    @tf.function(input_signature=INPUTS)
    def mean(self, a, b):
        return {"mean": tf.reduce_mean(a + tf.cast(b, tf.float32))}


def save(module: tf.Module, folder: Path) -> Path:
    """All of the module's functions as signatures."""
    names = [name for name, each in vars(type(module)).items() if hasattr(each, "get_concrete_function")]
    tf.saved_model.save(module, str(folder), {name: getattr(module, name) for name in names})
    return folder


def photo(width: int = 20, height: int = 12, seed: int = 0) -> np.ndarray:
    """A smooth colourful image, uint8 (height, width, 3)."""
    coarse = np.random.default_rng(seed).integers(0, 255, (3, 4, 3), np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.BICUBIC))


def encoded(image: np.ndarray, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind)
    return file.getvalue()


def decoded(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def enlarged(image: np.ndarray, shift: float = 0.0) -> np.ndarray:
    """What `Bicubic` makes of a uint8 (H, W, 3) image."""
    model = Bicubic(shift)  # its functions do not keep it alive
    sr = model.serving_default(lr=tf.constant(image[None] / np.float32(255)))["sr"][0]
    return np.rint(sr.numpy() * 255).astype(np.uint8)
