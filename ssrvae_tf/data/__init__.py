"""Photos in, batches out."""

from ssrvae_tf.data.degradations import bicubic, classical
from ssrvae_tf.data.photos import PhotoSet, find_photos, read_photo
from ssrvae_tf.data.pipeline import sr_batches, style_batches

__all__ = ["PhotoSet", "bicubic", "classical", "find_photos", "read_photo", "sr_batches", "style_batches"]
