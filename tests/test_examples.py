"""Every public name has an example in its docstring, which runs, and is on the site's page of the API."""

from __future__ import annotations

import doctest
import importlib
import inspect

import numpy as np
import pytest
import tensorflow as tf
import tiny_saved_models
from PIL import Image
from stand_in_server import StandIn
from test_docs import make_feature_model

import ssrvae_tf

ROOMS = ["ssrvae_tf", *(f"ssrvae_tf.{room}" for room in ("data", "faces", "layers", "metrics", "models", "serving"))]
NAMES = [(room, name) for room in ROOMS for name in importlib.import_module(room).__all__ if name != "__version__"]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    tiny_saved_models.save(tiny_saved_models.Bicubic(), folder / "1")
    with StandIn({"ssrvae": folder}) as started:
        yield started


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A reader's: photo.jpg and models/inception."""
    folder = tmp_path_factory.mktemp("reader")
    Image.new("RGB", (8, 6), "teal").save(folder / "photo.jpg")
    make_feature_model(str(folder / "models" / "inception"))
    return folder


@pytest.mark.parametrize("room, name", NAMES, ids=[f"{room}.{name}" for room, name in NAMES])
def test_the_example_of_a_public_name_runs(room, name, server, folder, monkeypatch):
    monkeypatch.chdir(folder)
    module = importlib.import_module(room)
    public = {each: getattr(module, each) for each in module.__all__}
    names = {"np": np, "tf": tf, "Image": Image, "ssrvae_tf": ssrvae_tf, **public}
    # A command of that name, once it was imported, takes the function's place, and can be called as it.
    what = ssrvae_tf.__getattr__(name) if inspect.ismodule(public[name]) else public[name]
    text = what.__doc__.replace("http://localhost:8501", server.rest).replace("localhost:8500", server.grpc)
    test = doctest.DocTestParser().get_doctest(text, names, f"{room}.{name}", None, None)
    assert test.examples, "no example"
    told: list[str] = []
    doctest.DocTestRunner().run(test, out=told.append)
    assert not told, "".join(told)
