"""A reproduction small enough for tests: a handful of pieces of the package's photos, feature networks of a line."""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf
from PIL import Image

from ssrvae_tf.photos.samples import sample_photos

# Folder: (photos, side of the piece of a photo, side of the file).
_FOLDERS = {"hr": (10, 100, 56), "lr": (8, 90, 14), "lr_test": (6, 90, 13), "lfw": (4, 110, 60), "film": (4, 70, 12)}


class Colours(tf.Module):
    """Means and deviations of each channel, and, for a perceptual loss, the picture itself at two sizes."""

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.float32, name="images")])
    def features(self, images):
        return {"features": tf.concat(tf.nn.moments(images, (1, 2)), -1)}

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.float32, name="images")])
    def levels(self, images):
        return {"level_1": images, "level_2": tf.nn.avg_pool2d(images, 2, 2, "SAME")}


def make_folders(root: Path) -> None:
    """hr/, lr/, lr_test/, lfw/ and film/: pieces of photos, no two alike."""
    photos = [Image.open(path).convert("RGB") for path in sample_photos()]
    for shift, (name, (count, side, size)) in enumerate(_FOLDERS.items()):
        (root / name).mkdir(parents=True)
        for i in range(count):
            left, top = 40 + 23 * (i + 3 * shift) % 300, (17 * i + 31 * shift) % 300
            piece = photos[i % 2].crop((left, top, left + side, top + side))
            piece.resize((size, size), Image.BICUBIC).save(root / name / f"{i}.png")


def make_judges(root: Path) -> None:
    """colours/ and levels/, which gives levels as well."""
    module = Colours()
    tf.saved_model.save(module, str(root / "colours"), {"serving_default": module.features})
    both = {"serving_default": module.features, "levels": module.levels}
    tf.saved_model.save(module, str(root / "levels"), both)


def options(root: Path, **more: str) -> list[str]:
    """Of the command, of all that `make_folders` and `make_judges` made; `more` are others, or of other values."""
    folders = {"hr": "hr", "lr": "lr", "lr_test": "lr_test", "lfw": "lfw", "out": "out"}
    given = {name: [str(root / folder)] for name, folder in folders.items()}
    given["features"] = [str(root / "colours"), str(root / "levels")]
    given.update({"budget": ["tiny"], "weights": ["none"], **{name: [value] for name, value in more.items()}})
    return [word for name, values in given.items() for word in (f"--{name.replace('_', '-')}", *values)]
