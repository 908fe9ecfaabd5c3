"""Photos in, batches out."""

from ssrvae_tf.data.batches import sr_batches, style_batches
from ssrvae_tf.data.degradations import bicubic, classical, recoloured, wide
from ssrvae_tf.data.photo_set import PhotoSet

__all__ = ["PhotoSet", "bicubic", "classical", "recoloured", "sr_batches", "style_batches", "wide"]
