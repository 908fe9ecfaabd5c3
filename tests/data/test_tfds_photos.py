"""Data sets of TensorFlow Datasets: one that is on this machine, and what is told of those that are not."""

from __future__ import annotations

import os
import sys
import types

import numpy as np
import pytest

from ssrvae_tf import shards as door
from ssrvae_tf.data import sources, tfds_photos
from ssrvae_tf.errors import UserError


def face(number):
    return np.random.default_rng(number).integers(0, 256, (40 + number, 50, 3), np.uint8)


@pytest.fixture(scope="module")
def tfds(tmp_path_factory):
    """tensorflow-datasets, which knows tiny_faces by its files alone: 7 faces, and 3 of the split test."""
    os.environ["TFDS_DATA_DIR"] = str(tmp_path_factory.mktemp("tfds"))  # which is read when it is imported
    import tensorflow_datasets as tfds

    with tfds.core.registered.skip_registration():

        class TinyFaces(tfds.core.GeneratorBasedBuilder):
            VERSION = tfds.core.Version("1.0.0")

            def _info(self):
                image = tfds.features.Image(shape=(None, None, 3), encoding_format="png")
                features = tfds.features.FeaturesDict({"face": image, "name": tfds.features.Text()})
                return tfds.core.DatasetInfo(builder=self, features=features)

            def _split_generators(self, downloads):
                return {"train": self._generate_examples(range(7)), "test": self._generate_examples(range(7, 10))}

            def _generate_examples(self, numbers):
                for number in numbers:
                    yield number, {"face": face(number), "name": str(number)}

    TinyFaces().download_and_prepare()
    return tfds


@pytest.mark.parametrize(["name", "numbers"], [("", range(7)), ("@test", range(7, 10)), (":1.0.0@train[:50%]", None)])
def test_the_photos_of_a_data_set_that_is_there_are_a_set(tfds, name, numbers):
    place = f"tfds:tiny_faces{name}"
    found = sources.load(place, 32, "random")
    assert sources.listed(place, "--hr") == [(f"tiny_faces/1.0.0{name[6:] or name or '@train'}", len(found))]
    if numbers is None:
        assert len(found) == 4
    else:
        wanted = {face(number).tobytes() for number in numbers}
        assert {found.photo(number).tobytes() for number in range(len(found))} == wanted
    assert [each.name for each in found.paths] == [f"{number:08}.png" for number in range(len(found))]


def test_shards_are_written_of_a_data_set(tfds, tmp_path, capsys):
    door.write_shards("tfds:tiny_faces", str(tmp_path / "shards"))
    assert capsys.readouterr().out.startswith("7 photos in 1 shard, ")
    found = sources.load(tmp_path / "shards", 32, "random")
    assert {found.photo(number).tobytes() for number in range(7)} == {face(number).tobytes() for number in range(7)}


def error_of(place):
    with pytest.raises(UserError) as error:
        sources.listed(place, "--hr")
    assert "\n" not in str(error.value) and str(error.value).startswith(f"--hr {place}: ")
    return str(error.value)


def test_what_is_not_there_is_told_in_one_line(tfds, monkeypatch):
    assert "no split val: there are train, test: write tfds:tiny_faces@train" in error_of("tfds:tiny_faces@val")
    assert "cannot be had (Dataset no_such_faces not found." in error_of("tfds:no_such_faces")

    def unknown(*arguments):
        raise OSError(-2, "Name or service not known")

    monkeypatch.setattr(tfds_photos.socket, "getaddrinfo", unknown)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    told = error_of("tfds:lfw")
    assert "and there is no internet (Name or service not known): give a folder of photos, or shards" in told


def test_data_sets_without_photos_are_refused(tfds):
    builder = types.SimpleNamespace(info=types.SimpleNamespace(features={"text": tfds.features.Text()}))
    with pytest.raises(UserError, match="its features are text: a data set with one of kind Image is wanted"):
        tfds_photos._photo_feature(builder.info.features, "--hr tfds:texts")


@pytest.mark.parametrize("module", [None, types.ModuleType("tensorflow_datasets")])
def test_a_missing_tensorflow_datasets_is_asked_for(monkeypatch, module):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", module)
    assert "pip install 'ssrvae_tf[tfds]', or give a folder of photos" in error_of("tfds:lfw")
