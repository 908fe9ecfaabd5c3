"""styleVAE's weights in an HDF5 file, under the names that Keras 2.15 gives them; Keras 3 would give them others."""

from __future__ import annotations

import os
import re
from collections import Counter
from typing import Iterator

import h5py
import keras


def write(model: keras.Model, path: str | os.PathLike) -> None:
    """Write what a use of a built StyleVAE needs."""
    with h5py.File(path, "w") as file:
        for name, variable in _named(model):
            file[name] = variable.numpy()


def read(model: keras.Model, path: str | os.PathLike) -> None:
    """Give a built StyleVAE the weights of a file, float32 or float16.

    Raises:
        ValueError: if it lacks some, holds others, or they have other shapes.
        OSError: if it is no HDF5 file.
    """
    with h5py.File(path, "r") as file:
        there = []
        file.visititems(lambda name, item: there.append(name) if isinstance(item, h5py.Dataset) else None)
        wanted = dict(_named(model))
        odd = sorted(wanted.keys() ^ {name for name in there if not name.startswith("optimizer/")})
        if odd:
            raise ValueError(f"{odd[0]} is {'missing' if odd[0] in wanted else 'not known'}")
        for name, variable in wanted.items():
            if tuple(file[name].shape) != tuple(variable.shape):
                raise ValueError(f"{name} has the shape {file[name].shape}, {tuple(variable.shape)} is wanted")
            variable.assign(file[name][()].astype("float32"))


def _named(model: keras.Model) -> Iterator[tuple[str, keras.Variable]]:
    for network in (model.encoder_lr, model.encoder_hr, model.generator):
        yield from _inside(network, f"layers/{_snake_case(network)}", set())
    yield from _inside(model.sampler, "sampler", set())


def _inside(layer: keras.layers.Layer, name: str, seen: set[int]) -> Iterator[tuple[str, keras.Variable]]:
    """The variables of a layer by name: its own by number, those of layers in it by what its attributes call these."""
    seen.add(id(layer))
    values = {key: value for key, value in sorted(vars(layer).items()) if not key.startswith("_")}
    parts = {}
    for key, value in values.items():
        if isinstance(value, (list, dict)):
            inner = [each for each in (value.values() if isinstance(value, dict) else value) if _is_layer(each)]
            numbers: Counter[str] = Counter()
            for each in inner:
                kind = _snake_case(each)
                parts[f"{key}/{kind}_{numbers[kind]}" if numbers[kind] else f"{key}/{kind}"] = each
                numbers[kind] += 1
    parts.update({key: value for key, value in values.items() if _is_layer(value)})
    of_parts = {id(variable) for each in parts.values() for variable in each.weights}
    own = [variable for variable in layer.weights if id(variable) not in of_parts]
    yield from ((f"{name}/vars/{i}", variable) for i, variable in enumerate(own))
    for key, each in parts.items():
        if id(each) not in seen:
            yield from _inside(each, f"{name}/{key}", seen)


def _is_layer(value: object) -> bool:
    return isinstance(value, keras.layers.Layer)


def _snake_case(layer: keras.layers.Layer) -> str:
    """Its class's name: ResidualBlock -> residual_block, AdaIN -> ada_in, Conv2D -> conv2d."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", type(layer).__name__)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
