"""Models as numbered SavedModels for TensorFlow Serving, each whole or not there."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from pathlib import Path
from typing import Callable

import keras
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from ssrvae_tf import config as configuration
from ssrvae_tf.compat import plain
from ssrvae_tf.config import FitConfig, SRNetworkSettings, StyleVAESettings
from ssrvae_tf.errors import UserError, of_the_disk, one_line
from ssrvae_tf.exporting.networks import with_chunk
from ssrvae_tf.exporting.photo_bytes import decode, encode
from ssrvae_tf.exporting.warmup import example_photos, write_warmup
from ssrvae_tf.inference.engines import TOO_LARGE
from ssrvae_tf.loading import places
from ssrvae_tf.loading.models import CHUNK, save_weights
from ssrvae_tf.models import SRNetwork, StyleVAE
from ssrvae_tf.models.empty_batches import of_any_batch
from ssrvae_tf.models.style_vae import LossWeights
from ssrvae_tf.photos.writing import is_left, machine
from ssrvae_tf.terminal import saying
from ssrvae_tf.versions import KEPT, LAST, numbered, taken

MAX_PIXELS = 65_536  # of a photo as bytes: attention's time grows with the square of it, to half a minute on two cores
_ALONE = 2**13  # pixels of a batch, or a photo, beyond which it waits for its turn
_TOGETHER = 2**16  # pixels of a batch that goes through the network in one piece: 16 photos of 64x64, some 0.6 GB

_GRAPH = "saved_model.pb"
_IMAGES = (None, None, None, 3)
_BYTES = tf.TensorSpec([None], tf.string, name="image_bytes")


def export_saved_model(
    model: keras.Model,
    base: str | os.PathLike,
    version: int | None = None,
    keep: int = KEPT,
    max_pixels: int = MAX_PIXELS,
    files_from: str | os.PathLike | None = None,
    detail: float | None = None,
) -> Path:
    """Write a model as the next version in a folder that TensorFlow Serving watches.

    An SR network gets the signatures `serving_default`, `lr` (B, H, W, 3) float32 in [0, 1] -> `sr` (B, scale H,
    scale W, 3) in [0, 1], and `upscale_bytes`, `image_bytes` (B,) -> `sr_png_bytes` (B,), strings, each photo of any
    size. A StyleVAE gets `degrade`, also as `serving_default`, `hr` -> `lr`, and `degrade_bytes`, `image_bytes` ->
    `lr_png_bytes`; sides are cut to multiples of the scale, and styles drawn at random.

    Beside the graph lie config.yaml and model.weights.h5, or model.keras where the model has no settings of a run, so
    that `ssrvae_tf.load` gives the model back, and warm-up requests for the server.

    Args:
        model: an SR network or a StyleVAE.
        base: the folder of all versions; made if it is missing.
        version: number of this one; None: the greatest there and 1, whatever has that name.
        keep: this many of the newest versions stay, and in any case the one just written. Numbered folders without a
            SavedModel are not versions: they stay.
        max_pixels: larger photos are refused by the signatures that take bytes, and those of four times as many by
            `serving_default` of an SR network.
        files_from: run folder or shipped name that `model` is from: its settings of the training are kept. None writes
            the model's own, and otherwise those that a training has unless told.
        detail: that the model's weights were blended at, by `ssrvae_tf.load`: put down in detail.yaml.

    Returns:
        the folder of the version.

    Raises:
        UserError: if the version is there, a number is too small or too large, or the folder cannot be written.
    """
    base = Path(base)
    for name, value in (("version", version), ("keep", keep), ("max_pixels", max_pixels)):
        if value is not None and value < 1:
            raise UserError(f"{name} {value}: at least 1 is wanted")
        if value is not None and value > LAST:
            raise UserError(f"{name} {value}: at most {LAST} is wanted")
    there = taken(base)
    is_next, version = version is None, version or max(there, default=0) + 1
    if version > LAST:
        raise UserError(f"{base}: {max(there)} is there, and servers take at most {LAST}: rename it, or give a version")
    target = base / str(version)
    if version in there:
        raise UserError(f"{target}: that version is there already: choose another number, or leave it out for the next")
    part = base / f".{version}.{machine()}.{os.getpid()}.part"  # servers look at numbers only
    try:
        _remove_unfinished(base)
        part.mkdir(parents=True)
        with saying(f"making {target}"):
            _write(model, part, base.resolve().name, max_pixels, files_from)
            if detail is not None:
                places.write_detail(part, detail)
        target = _named(part, target, is_next)
        _remove_old(base, target, keep)
    except (OSError, tf.errors.OpError) as error:
        reason = of_the_disk(error) or getattr(error, "strerror", None) or one_line(error)
        raise UserError(f"{target}: cannot be written ({reason}): choose another folder") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return target


def _write(model, folder: Path, name: str, max_pixels: int, files_from) -> None:
    keeper = tf.Module()
    if isinstance(model, StyleVAE):
        model = model.for_inference()
        kept, signatures = _degrader(model, max_pixels)
    else:
        # All rows of a large photo's attention would exhaust a server.
        model = with_chunk(model, model.get_config().get("chunk") or CHUNK)
        kept, signatures = model.weights, _upscaler(model, max_pixels)
    keeper.kept = [plain(variable) for variable in kept]
    # Not the Keras model itself: its layers' own functions, and gradients, would be traced and saved as well.
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    tf.saved_model.save(keeper, os.fspath(folder), signatures, options)
    _forget_gradients(folder / _GRAPH)
    _write_source(model, folder, files_from)
    write_warmup(folder, name, {each: _example(function) for each, function in signatures.items()})


def _forget_gradients(path: Path) -> None:
    """Take the names of gradients that were not saved out of a graph: who loads it would be warned of each of them, and
    could not train through it. Without the names, TensorFlow derives the gradients."""
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    for graph in (each.graph_def for each in saved.meta_graphs):
        for nodes in (graph.node, *(function.node_def for function in graph.library.function)):
            for node in nodes:
                node.attr.pop("_gradient_op_type", None)
    path.write_bytes(saved.SerializeToString(deterministic=True))


def _upscaler(model, max_pixels: int) -> dict[str, Callable]:
    @tf.function(input_signature=[tf.TensorSpec(_IMAGES, tf.float32, name="lr")])
    def network(lr):
        return model(lr, training=False)

    @tf.function(input_signature=[tf.TensorSpec(_IMAGES, tf.float32, name="lr")])
    def serving_default(lr):
        lr = _photos(lr)
        batch, height, width = tf.unstack(tf.shape(lr, tf.int64)[:3])
        most = min(4 * max_pixels, tf.int64.max)
        wrong = [
            "photo of",
            height,
            "x",
            width,
            f"{TOO_LARGE}: at most {most} are taken: send smaller ones, or tiles",
        ]
        with tf.control_dependencies([tf.debugging.Assert(height * width <= most, wrong)]):
            lr = tf.identity(lr)

        # A server runs as many requests at once as it has threads, and batches are what clients put together: memory is
        # bounded whatever these are.
        pixels = batch * height * width
        pieces = tf.where(pixels <= _TOGETHER, tf.constant(1, tf.int64), batch)
        photos = tf.reshape(lr, [pieces, batch // pieces, height, width, 3])

        @tf.function
        def whole():
            return tf.map_fn(network, photos, parallel_iterations=1)

        sr = tf.cond(pixels <= _ALONE, whole, lambda: _one_at_a_time(whole))
        return {"sr": tf.reshape(sr, [batch, *tf.unstack(tf.shape(sr, tf.int64)[2:4]), 3])}

    @tf.function(input_signature=[_BYTES])
    def upscale_bytes(image_bytes):
        def one(data):
            return encode(serving_default(decode(data, max_pixels)[None])["sr"][0])

        return {"sr_png_bytes": _each(one, image_bytes)}

    return {"serving_default": serving_default, "upscale_bytes": upscale_bytes}


def _photos(images: tf.Tensor) -> tf.Tensor:
    """`images`, but an error unless they are (B, H, W, 3)."""

    def fits(shape):
        return (shape[3] == 3) & tf.reduce_all(shape[1:] > 0)

    return _of_rank(images, 4, "(B, H, W, 3) is wanted, H and W not 0", fits)


def _of_rank(tensor: tf.Tensor, rank: int, wanted: str, fits: Callable = lambda shape: True) -> tf.Tensor:
    """`tensor`, but an error unless it has that rank and its shape fits.

    Servers feed whatever they are sent, and what is said of a wrong shape further on, nobody understands.
    """
    shape = tf.shape(tf.raw_ops.PlaceholderWithDefault(input=tensor, shape=None))  # else taken for what it should be
    numbers = tf.strings.reduce_join(tf.strings.as_string(shape), separator=", ")
    right = tf.cond(tf.equal(tf.size(shape), rank), lambda: fits(shape), lambda: False)
    with tf.control_dependencies([tf.debugging.Assert(right, [tf.strings.join(["shape (", numbers, "): ", wanted])])]):
        return tf.identity(tensor)


def _one_at_a_time(part: Callable[[], tf.Tensor]) -> tf.Tensor:
    """A part of a graph that runs in one request at a time; the others wait for their turn."""
    lock = tf.raw_ops.MutexLock(mutex=tf.raw_ops.MutexV2(shared_name="ssrvae_tf"))
    with tf.control_dependencies([lock]):
        result = part()
    with tf.control_dependencies([result]):
        unlock = tf.raw_ops.ConsumeMutexLock(mutex_lock=lock)
    with tf.control_dependencies([unlock]):
        return tf.identity(result)


def _degrader(model: StyleVAE, max_pixels: int) -> tuple[list[tf.Variable], dict[str, Callable]]:
    """What `degrade` uses, and its signatures."""

    @tf.function(input_signature=[tf.TensorSpec(_IMAGES, tf.float32, name="hr")])
    def degrade(hr):
        hr = _photos(hr)
        sides = tf.shape(hr)[1:3] // model.scale * model.scale
        message = f"both sides must be at least {model.scale} pixels: send a larger photo"
        with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(sides > 0), [message])]):
            hr = tf.identity(hr)
        lr = of_any_batch(model.degrade, hr[:, : sides[0], : sides[1]], sides // model.scale, least=model.scale)
        return {"lr": lr}

    @tf.function(input_signature=[_BYTES])
    def degrade_bytes(image_bytes):
        def one(data):
            return encode(degrade(decode(data, max_pixels)[None])["lr"][0])

        return {"lr_png_bytes": _each(one, image_bytes)}

    used = [*model.encoder_hr.weights, *model.generator.weights, *model.sampler.weights]
    return used, {"serving_default": degrade, "degrade": degrade, "degrade_bytes": degrade_bytes}


def _each(function: Callable, image_bytes: tf.Tensor) -> tf.Tensor:
    image_bytes = _of_rank(image_bytes, 1, "a list of encoded photos is wanted")
    # One after the other: memory is then that of the largest photo.
    return tf.map_fn(function, image_bytes, parallel_iterations=1, fn_output_signature=tf.string)


def _example(function) -> dict:
    (spec,) = function.input_signature
    return {spec.name: example_photos() if spec is _BYTES else np.full((1, 32, 32, 3), 0.5, np.float32)}


def _write_source(model, folder: Path, files_from) -> None:
    """What `ssrvae_tf.load` reads."""
    if files_from is not None:
        settings = configuration.read(places.find(files_from) / places.CONFIG)
    else:
        settings = _settings(model)
    if settings:
        configuration.write(configuration.portable(settings), folder / places.CONFIG)
        save_weights(model, folder / places.WEIGHTS)
        return
    bare = type(model).from_config(model.get_config())  # without the optimizer of a training
    bare.set_weights(model.get_weights())
    bare.save(folder / places.KERAS)


def _settings(model) -> FitConfig | None:
    """Those of a run that would have such a model, if there can be one."""
    own = {name: value for name, value in model.get_config().items() if name not in ("name", "scale")}
    if isinstance(model, StyleVAE):
        lr_size, weights = own.pop("lr_size"), LossWeights(**own.pop("weights"))
        networks = StyleVAESettings(**own, weights=weights)
        return FitConfig(stage="style", scale=model.scale, hr_size=lr_size * model.scale, style_vae=networks)
    if isinstance(model, SRNetwork):
        return FitConfig(stage="sr", scale=model.scale, sr_network=SRNetworkSettings(**own))
    return None


def _named(part: Path, target: Path, is_next: bool) -> Path:
    """Give a version its name; if it is the next one, that after those that other exports have written meanwhile."""
    while True:
        try:
            os.replace(part, target)
            return target
        except OSError:
            if not (is_next and target.exists()):
                raise
        target = target.with_name(str(int(target.name) + 1))


def _remove_old(base: Path, written: Path, keep: int) -> None:
    versions = [each for each in numbered(base) if (each / _GRAPH).is_file()]
    for old in versions[keep:]:
        if old != written:
            # Out of the server's sight first, so that it never sees half a version.
            hidden = base / f".{old.name}.{machine()}.{os.getpid()}.old"
            with contextlib.suppress(FileNotFoundError):  # another export has removed it
                os.replace(old, hidden)
                _remove(hidden)


def _remove_unfinished(base: Path) -> None:
    """What killed exports left half written or half removed."""
    for each in base.glob(".*.*.*.*"):
        made = re.fullmatch(r"\.\d+\.([0-9a-f]{8})\.(\d+)\.(part|old)", each.name)
        # A process that ran before may have had the number of this one.
        own = made and (made[1], int(made[2])) == (machine(), os.getpid())
        with contextlib.suppress(FileNotFoundError):  # another export has removed it
            if made and (own or is_left(each, made[1], int(made[2]))):
                _remove(each, ignore_errors=True)


def _remove(version: Path, ignore_errors: bool = False) -> None:
    """A version's folder; of a link to one, the link alone."""
    if version.is_symlink():
        version.unlink()
    else:
        shutil.rmtree(version, ignore_errors)
