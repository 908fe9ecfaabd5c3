"""Photos of a data set of TensorFlow Datasets: `tfds:lfw`, `tfds:celeb_a@test`, `tfds:lfw:0.1.1@train[:80%]`.

tensorflow-datasets is not needed for anything else, and is not installed unasked. It fetches a data set that is not
there (`TFDS_DATA_DIR`), for which it needs the internet.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any, Iterator

from ssrvae_tf.data.photo_set import PhotoSet
from ssrvae_tf.errors import UserError, one_line
from ssrvae_tf.photos.files import Encoded

_PREFIX = "tfds:"
_INSTEAD = "give a folder of photos, or shards that ssrvae shards wrote elsewhere"
_SOURCE = "storage.googleapis.com"  # where data sets are from first of all


def is_name(place: str | os.PathLike) -> bool:
    return isinstance(place, str) and place.startswith(_PREFIX)


def listed(place: str, what: str) -> list[tuple[str, int]]:
    """[(name, version and split of the data set, number of its photos)].

    Raises:
        UserError: if it cannot be had, in one line that says why.
    """
    builder, split = _builder(place, what)
    return [(f"{builder.info.full_name}@{split}", builder.info.splits[split].num_examples)]


def load(
    place: str,
    size: int,
    crop: str = "fit",
    minimum: int = 1,
    what: str = "--hr",
    progress: bool = False,
    upsample: bool = False,
) -> PhotoSet:
    """As `PhotoSet.load`; what does not fit into memory as pixels stays there as it is encoded."""
    files = list(photos(place, what))
    paths = [Path(place, file.name) for file in files]
    return PhotoSet.of_files(files, paths, f"{what} {place}".strip(), size, crop, minimum, progress, upsample)


def photos(place: str, what: str) -> Iterator[Encoded]:
    """The photos as the data set has them, encoded, in its own order, named by their numbers.

    Raises:
        UserError: as `listed`.
    """
    builder, split = _builder(place, what)
    feature = _photo_feature(builder.info.features, f"{what} {place}".strip())
    import tensorflow_datasets as tfds

    # One file after the other, so that each photo has its number on any machine.
    config = tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False)
    decoders = {feature: tfds.decode.SkipDecoding()}
    data = builder.as_dataset(split=split, shuffle_files=False, decoders=decoders, read_config=config)
    kind = builder.info.features[feature].encoding_format or "png"
    for number, example in enumerate(data):
        yield Encoded(f"{number:08}.{kind}", example[feature].numpy())


def _builder(place: str, what: str) -> tuple[Any, str]:
    """(what tensorflow-datasets makes of the name, prepared; the split)."""
    label = f"{what} {place}".strip()
    try:
        import tensorflow_datasets as tfds

        make = tfds.builder  # which is not there where what it needs is too new or too old
    except (ImportError, AttributeError) as error:
        raise UserError(
            f"{label}: tensorflow-datasets cannot be loaded ({one_line(error)}): pip install 'ssrvae_tf[tfds]', or "
            "give a folder of photos"
        ) from error
    name, _, split = place[len(_PREFIX) :].partition("@")
    split = split or "train"
    try:
        builder = make(name)
        if not builder.is_prepared():
            _check_internet(f"{label}: not in {builder.data_dir}")
            builder.download_and_prepare()
    except UserError:
        raise
    except Exception as error:  # of the registry, of the network, of archives: of any kind
        raise UserError(f"{label}: cannot be had ({one_line(error)}): {_INSTEAD}") from error
    try:
        builder.info.splits[split]
    except Exception as error:
        there = list(builder.info.splits)
        raise UserError(
            f"{label}: no split {split}: there are {', '.join(there)}: write {_PREFIX}{name}@{there[0]}"
        ) from error
    return builder, split


def _check_internet(label: str) -> None:
    """Raises UserError where no name is known, at once: TensorFlow Datasets would try for minutes."""
    if any(name.lower() in ("http_proxy", "https_proxy", "all_proxy") for name in os.environ):
        return
    try:
        socket.getaddrinfo(_SOURCE, 443)
    except OSError as error:
        raise UserError(f"{label}, and there is no internet ({error.strerror}): {_INSTEAD}") from error


def _photo_feature(features: Any, label: str) -> str:
    """The one that is a photo: `image`, or the only one of that kind."""
    import tensorflow_datasets as tfds

    found = [name for name, feature in features.items() if isinstance(feature, tfds.features.Image)]
    if "image" in found or len(found) == 1:
        return "image" if "image" in found else found[0]
    raise UserError(f"{label}: its features are {', '.join(features)}: a data set with one of kind Image is wanted")
