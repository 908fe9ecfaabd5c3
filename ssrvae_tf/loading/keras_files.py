"""Whether a .keras file may be loaded. Keras imports what such a file names, and calls it."""

from __future__ import annotations

import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

import keras

from ssrvae_tf.errors import UserError, one_line
from ssrvae_tf.loading.places import WANTED

# More members would be unpacked, and weights as .npz may hold pickles.
_MEMBERS = {"metadata.json", "config.json", "model.weights.h5"}
_LARGEST = 2**24  # bytes of a member, unpacked; weights may have more, but hardly pack
_RATIO = 20  # of the weights to the whole file
_PACKAGE = "ssrvae_tf>"
_BUILT_IN = {
    "keras.layers": {"InputLayer", "Conv2D", "Dense", "Add", "Concatenate", "ReLU", "PReLU", "BatchNormalization"},
    "keras.initializers": {"Zeros", "Ones", "Constant", "GlorotUniform", "HeNormal", "VarianceScaling"},
    "keras.optimizers": {"Adam"},
}

# What damaged files of models raise, by where the damage is; RuntimeError also of encrypted and deeply nested ones.
DAMAGE = (OSError, ValueError, TypeError, LookupError, AttributeError, RuntimeError)


def check_keras_file(path: Path) -> None:
    """Let a .keras file through that names this package's classes and plain layers only.

    Raises:
        UserError: if it names anything else, which Keras would import and call, or is no .keras file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            others = sorted(set(archive.namelist()) - _MEMBERS)
            _check_sizes(archive, path)
            config = json.loads(archive.read("config.json"))
    except (*DAMAGE, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise UserError(f"{path}: not a .keras file ({one_line(error)}): {WANTED}") from error
    if others:
        raise UserError(f"{path}: it holds {others[0]}, which may run code: not loaded; {WANTED}")
    top = config.get("registered_name") if isinstance(config, dict) else None
    if not isinstance(top, str) or not top.startswith(_PACKAGE):
        raise UserError(f"{path}: not a network of this package: {WANTED}")
    # Keras reads no `compile_config` of the model itself: it is loaded without being compiled.
    try:
        _check({name: value for name, value in config.items() if name != "compile_config"}, path)
    except RecursionError as error:
        raise UserError(f"{path}: not a network of this package, its parts are nested too deep: {WANTED}") from error


def _check_sizes(archive: zipfile.ZipFile, path: Path) -> None:
    for member in archive.infolist():
        packs = member.filename.endswith(".json")
        most = _LARGEST if packs else max(_LARGEST, _RATIO * path.stat().st_size)
        if member.file_size > most:
            raise UserError(
                f"{path}: its {member.filename} unpacks to {member.file_size / 1e6:.0f} MB: not loaded; {WANTED}"
            )


def _check(value: Any, path: Path) -> None:
    """Look at all that `value` holds, since Keras deserializes nested parts as well."""
    if isinstance(value, dict):
        if "class_name" in value and not _known(value):
            name = value.get("registered_name") or value["class_name"]
            raise UserError(
                f"{path}: it names {str(name)[:60]!r} of {str(value.get('module'))[:60]!r}, which may run code: not "
                f"loaded; {WANTED}"
            )
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            _check(each, path)


def _known(value: dict) -> bool:
    registered, module, name = (value.get(key) for key in ("registered_name", "module", "class_name"))
    if isinstance(registered, str) and registered.startswith(_PACKAGE):
        # Keras imports `module` for what is not registered.
        return keras.saving.get_registered_object(registered) is not None and name == registered[len(_PACKAGE) :]
    plain = isinstance(name, str) and registered in (None, name)
    return plain and isinstance(module, str) and name in _BUILT_IN.get(module, ())
