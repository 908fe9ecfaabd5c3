"""Folders of photos, and a stand-in for the network."""

from __future__ import annotations

import sys
import types

import pytest
from PIL import Image
from stub_models import BicubicNetwork

from ssrvae_tf.photos.samples import sample_photos


@pytest.fixture
def photos(tmp_path):
    """Names with a space and other letters, a subfolder, several formats, 16 bits and transparency; 20 x 30."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    face = Image.open(sample_photos()[0]).convert("RGB").crop((170, 60, 290, 240)).resize((20, 30))
    face.save(folder / "a.png")
    face.save(folder / "b.jpg")
    face.rotate(90, expand=True).save(folder / "c d é.webp")
    face.convert("RGBA").save(folder / "more" / "a.png")
    face.convert("I;16").save(folder / "more" / "e.tif")
    return folder


@pytest.fixture
def bad_photos(photos):
    """The same with three that cannot be read: no picture, nothing, half a picture."""
    whole = (photos / "a.png").read_bytes()
    (photos / "text.jpg").write_text("not a photo")
    (photos / "more" / "zero.png").touch()
    (photos / "half.png").write_bytes(whole[: len(whole) // 2])
    return photos


@pytest.fixture
def loads(monkeypatch):
    """The names of the models that have been loaded; what is loaded is bicubic interpolation."""
    names = []

    def load(model):
        names.append(model)
        return BicubicNetwork()

    monkeypatch.setitem(sys.modules, "ssrvae_tf.loading.models", types.SimpleNamespace(load=load))
    for module in ("upscale", "upscale_beam"):
        monkeypatch.setattr(f"ssrvae_tf.{module}.identity", lambda model: "the same")
    return names
