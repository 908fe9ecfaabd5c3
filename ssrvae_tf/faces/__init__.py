"""Where the faces of a photo are."""

from ssrvae_tf.faces.finding import Face, find_faces

__all__ = ["Face", "find_faces"]
