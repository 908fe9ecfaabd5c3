"""Put photos into TFRecord shards, for trainings on large sets or several machines.

python -m ssrvae_tf.shards DIR --out SHARDS [--size N]
"""

from __future__ import annotations

from typing import Annotated, Optional

from jsonargparse.typing import NonNegativeInt, PositiveFloat, PositiveInt

from ssrvae_tf import __version__, command_line
from ssrvae_tf.command_line import Folder
from ssrvae_tf.errors import exit_cleanly
from ssrvae_tf.terminal import saying


def write_shards(
    photos: Annotated[str, "DIR|tfds:NAME"],
    out: Folder,
    size: Optional[PositiveInt] = None,
    shard_mb: PositiveFloat = 16.0,
    seed: NonNegativeInt = 0,
) -> int:
    """Put all photos of a folder into shards, TFRecord files that `fit --hr SHARDS` reads as it reads the folder.

    Photos are shuffled, then written shard by shard, each beside and renamed. The same command goes on with what was
    interrupted. Photos that cannot be read are left out and told. JPEG, PNG and WebP stay as they are, all else becomes
    PNG.

    Args:
        photos: the folder, nested or not, or a data set of tensorflow-datasets, such as tfds:lfw.
        out: folder for the shards, on this machine or wherever TensorFlow can write, such as gs://BUCKET/faces.
        size: shrink what is larger to so many pixels on the shorter side, as fit --hr-size does, and keep it as PNG.
        shard_mb: size of a shard, about; a training holds some 16 to 32 of them in memory.
        seed: of the shuffling.

    Returns:
        0; 1 if photos were left out.

    Raises:
        UserError: if there are no photos, `out` cannot be written, or holds something else.
    """
    with saying("starting TensorFlow"):
        from ssrvae_tf.data.sharding import Sharding

    return Sharding(photos, out, size, shard_mb, seed, f"ssrvae_tf {__version__}").write()


def main(arguments: Optional[list] = None) -> int:
    return write_shards(**command_line.read(write_shards, "ssrvae_tf.shards", arguments, positional=("photos",)))


if __name__ == "__main__":
    exit_cleanly(main)
