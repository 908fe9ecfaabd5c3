"""Where the faces of a photo are."""

from ssrvae_tf.faces.finding import Face as Face
from ssrvae_tf.faces.finding import find_faces as find_faces
