"""Models from what `ssrvae_tf.loading.places` finds: numbers and settings only, no code."""

from __future__ import annotations

import dataclasses
import inspect
import io
import os
import tempfile
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import tensorflow as tf

from ssrvae_tf import config as configuration
from ssrvae_tf.errors import UserError, one_line
from ssrvae_tf.loading import keras_files
from ssrvae_tf.loading.places import CONFIG, WEIGHTS, Blend, chosen, detailed_of, find, keras_file, weights_of
from ssrvae_tf.loading.weight_files import check_weights
from ssrvae_tf.models import EDSR, RDN, SRCNN, SRGAN, SRNetwork, StyleVAE
from ssrvae_tf.photos.writing import replacing

# Queries of global attention held at once, where the run's settings leave it open: a photo of 256x256 would otherwise
# take 17 GB for one attention matrix.
CHUNK = 1024
_BASELINES = {"srcnn": SRCNN, "edsr": EDSR, "rdn": RDN, "srgan": SRGAN}
# Numbers in damaged settings ask for more memory than there is, or for what no operator takes.
_DAMAGE = (*keras_files.DAMAGE, MemoryError, tf.errors.OpError)


def build(settings: configuration.FitConfig) -> keras.Model:
    """A fresh model of the stage and size that `settings` asks for.

    Raises:
        UserError: if Keras is set to images with their channels first.
    """
    if keras.backend.image_data_format() != "channels_last":
        where = "in ~/.keras/keras.json, or by keras.backend.set_image_data_format"
        raise UserError(f"Keras' image_data_format is channels_first, channels_last is wanted: set it {where}")
    if settings.stage == "sr" and settings.network == "ssrvae":
        return SRNetwork(settings.scale, **dataclasses.asdict(settings.sr_network))
    if settings.stage == "sr":
        kind = _BASELINES[settings.network]
        known = inspect.signature(kind).parameters
        given = dataclasses.asdict(settings.baseline)
        return kind(settings.scale, **{name: value for name, value in given.items() if name in known})
    lr_size = settings.hr_size // settings.scale
    return StyleVAE(settings.scale, lr_size=lr_size, **dataclasses.asdict(settings.style_vae))


def load(
    name_or_run: str | os.PathLike, detail: float | None = None, detailed: str | os.PathLike | None = None
) -> keras.Model:
    """A trained SRNetwork or baseline (`.predict`) or StyleVAE (`.degrade`).

    Only numbers are read: YAML settings and an HDF5 file of weights, or a .keras file that names nothing but this
    package's classes and plain Keras layers. Whatever could run code of its own is refused. The model computes in
    Keras' global precision, float32 unless changed, whatever it was trained in.

    Args:
        name_or_run: as for `find`, or a .keras file.
        detail: of a model with two sets of weights, how much of the detailed one: 0 keeps to the photo, 1 draws most.
            None: as its maker chose.
        detailed: the second set, a model of the same architecture; then half of each, unless `detail` is given.

    Raises:
        UserError: if there is no such model, it could run code, its files are damaged or do not fit together, it takes
            more memory than there is, or `detail` is given for one set of weights.

    Examples:
        >>> model = ssrvae_tf.load("faces-x4", detail=0)
        >>> model.predict(np.zeros((1, 6, 5, 3), "float32"), verbose=0).shape
        (1, 24, 20, 3)
    """
    model = chosen(name_or_run, detail, detailed)
    return _blended(model) if isinstance(model, Blend) else _loaded(model)


def _blended(blend: Blend) -> keras.Model:
    model = _loaded(blend.model)
    faithful = model.get_weights()
    other = model if blend.detailed == blend.model else _loaded(blend.detailed)
    _check_alike(model, other, blend)
    if not keras_file(blend.detailed):
        load_weights(other, detailed_of(find(blend.detailed)))
    share = np.float32(blend.detail)
    model.set_weights([(1 - share) * few + share * many for few, many in zip(faithful, other.get_weights())])
    return model


def _check_alike(model: keras.Model, other: keras.Model, blend: Blend) -> None:
    """Raises UserError: if the two are not of one architecture, or no SR networks."""
    if isinstance(model, StyleVAE):
        raise UserError(f"{blend.model}: a StyleVAE has no detail to choose: leave --detail and --detailed out")
    mine, its = ({"kind": type(each).__name__, **each.get_config()} for each in (model, other))
    for name, value in mine.items():
        if name not in ("name", "chunk") and its.get(name) != value:
            raise UserError(
                f"--detailed {blend.detailed}: its {name} is {its.get(name)}, that of {blend.model} is {value}: "
                "give two models of one architecture"
            )


def _loaded(name_or_run: str | os.PathLike) -> keras.Model:
    """The model with its only weights, or the faithful ones of two sets."""
    file = keras_file(name_or_run)
    if file:
        return _from_keras(file)
    folder = find(name_or_run)
    try:
        settings = configuration.read(folder / CONFIG)
        network = dataclasses.replace(settings.sr_network, chunk=settings.sr_network.chunk or CHUNK)
        model = build(dataclasses.replace(settings, sr_network=network))
        if isinstance(model, StyleVAE):
            model.build_networks()
    except _DAMAGE as error:
        text = f"{folder / CONFIG}: no network can be built from it ({one_line(error)})"
        raise UserError(f"{text}: restore the file, or take another folder") from error
    load_weights(model, weights_of(folder))
    return model


def _from_keras(path: Path) -> keras.Model:
    keras_files.check_keras_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            check_weights(io.BytesIO(archive.read(WEIGHTS)), path)
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except _DAMAGE as error:
        text = f"{path}: it is damaged, or of another version ({one_line(error)})"
        raise UserError(f"{text}: save it again") from error


def load_weights(model: keras.Model, path: str | os.PathLike) -> None:
    """Give a model the weights of a file, float32 or float16.

    Raises:
        UserError: if the file is damaged, belongs to a model of another shape, or leads to other files.
    """
    try:
        check_weights(path)
        model.load_weights(os.fspath(path))
    except _DAMAGE as error:
        fit = f"{path}: its weights do not fit this model ({one_line(error)})"
        raise UserError(f"{fit}: give a run of the same settings") from error


def start_from(model: keras.Model, name_or_run: str | os.PathLike) -> None:
    """Give a model the weights of another of the same settings, by what `load` takes.

    Raises:
        UserError: if there is none, or it is another kind of model.
    """
    file = keras_file(name_or_run)
    if not file:
        return load_weights(model, weights_of(find(name_or_run)))
    other = _from_keras(file)
    if isinstance(model, StyleVAE):
        model.build_networks()
    shapes = [[weight.shape for weight in each.weights] for each in (other, model)]
    if type(other) is not type(model) or shapes[0] != shapes[1]:
        here = f"{type(model).__name__} of these settings"
        raise UserError(
            f"{file}: its {type(other).__name__} does not fit the {here}: give a model of the same settings"
        )
    model.set_weights(other.get_weights())


def save_weights(model: keras.Model, path: str | os.PathLike, dtype: str = "float32") -> None:
    """Write what is needed for use, not for training, beside and renamed.

    Args:
        dtype: "float32", or "float16" for half the size.

    Raises:
        ValueError: if a weight is beyond float16.
        OSError: if it cannot be written.
    """
    file = io.BytesIO()  # HDF5 would not survive a disk that is full
    with tempfile.TemporaryDirectory() as folder:
        whole = os.path.join(folder, "whole.weights.h5")
        model.save_weights(whole)
        with h5py.File(whole) as source, h5py.File(file, "w") as target:
            for name in set(source) - {"optimizer"}:
                _copy(source[name], target, name, dtype)
    with replacing(Path(path)) as part:
        part.write_bytes(file.getbuffer())


def _copy(item: h5py.Group | h5py.Dataset, target: h5py.Group, name: str, dtype: str) -> None:
    if isinstance(item, h5py.Group):
        group = target.create_group(name)
        for inner, value in item.items():
            _copy(value, group, inner, dtype)
        return
    with np.errstate(over="ignore"):
        target[name] = item[()].astype(dtype)
    if not np.isfinite(target[name][()]).all():
        raise ValueError(f"{item.name} is not finite in {dtype}")
