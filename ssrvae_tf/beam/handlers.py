"""The networks as Beam's RunInference takes them. Each process loads its own, once.

They are not shared between processes: the numbers of a network take a few megabytes, while each tile would have to be
sent there and back. Photos go one by one: they have all sizes, are cut into batches of tiles anyway, and what is wrong
with one of a batch would make dead letters of all.
"""

from __future__ import annotations

import dataclasses
import threading

from apache_beam.ml.inference.base import ModelHandler

from ssrvae_tf.beam import files, places
from ssrvae_tf.errors import UserError
from ssrvae_tf.inference.degrader import degraded, load_degrader
from ssrvae_tf.inference.engines import computed_by
from ssrvae_tf.inference.enlarger import background_engine, upscale
from ssrvae_tf.inference.fast_engine import fastest
from ssrvae_tf.loading.places import Blend
from ssrvae_tf.photos import records
from ssrvae_tf.photos.files import read_photo
from ssrvae_tf.photos.folders import suffixes


class _PhotoHandler(ModelHandler):
    def batch_elements_kwargs(self):
        return {"max_batch_size": 1}


class UpscaleHandler(_PhotoHandler):
    """Photos -> photos, enlarged by the network's scale.

    Args:
        model: a name, a run, an exported SavedModel or a `.tflite` file, which each machine must have, or what
            `ssrvae_tf.loading.places.chosen` made of it.
        engine, precision: as for `ssrvae_tf.inference.fast_engine.fastest`.
        background: of faces, as for `ssrvae_tf.upscale`, likewise on each machine.
        settings: further arguments of `ssrvae_tf.upscale`.
    """

    def __init__(
        self,
        model: str | Blend,
        engine: str = "auto",
        precision: str = "float32",
        background: str | Blend | None = None,
        **settings,
    ):
        super().__init__()
        self._model, self._asked, self._background = model, (engine, precision), background
        self._settings = settings

    def load_model(self):
        # Unless one engine is asked for, what is there: many processes at once would each make files.
        network = _OneAtATime(fastest(self._model, 0, *self._asked))
        behind = background_engine(self._background, 0, network.scale, *self._asked)
        return _Networks(network, behind and _OneAtATime(behind))

    def run_inference(self, batch, model, inference_args=None):
        by, how = computed_by(model.network), {"background": model.behind, **self._settings}
        made = (upscale(photo.pixels, model.network, **how) for photo in batch)
        return [dataclasses.replace(photo, pixels=pixels, computed_by=by) for photo, pixels in zip(batch, made)]

    def get_num_bytes(self, batch):
        return sum(photo.pixels.nbytes for photo in batch)


@dataclasses.dataclass
class _Networks:
    """An engine, and that of what is around faces, if there is one."""

    network: _OneAtATime
    behind: _OneAtATime | None


class _OneAtATime:
    """An engine for several threads: TFLite knows one only, and the others are quickest with all cores for a tile."""

    def __init__(self, engine):
        self.scale, self.fixed_size = engine.scale, engine.fixed_size
        self.runtime, _, self.precision = computed_by(engine).partition(", ")
        self.parallel = getattr(engine, "parallel", False)
        self._engine, self._lock = engine, threading.Lock()

    def __call__(self, lr):
        with self._lock:
            return self._engine(lr)


class DegradeHandler(_PhotoHandler):
    """(sharp photo, seed by `chance`) -> (sharp pixels, degraded pixels), both (H, W, 3) uint8.

    Args:
        style: a StyleVAE by run or name, which each machine must have.
        real: a glob of real small photos that styles are taken from; None: the StyleVAE draws them.
    """

    def __init__(self, style: str, real: str | None):
        super().__init__()
        self._style, self._real = style, real

    def load_model(self):
        return _Styled(load_degrader(self._style), [*style_photos(self._real)] if self._real else None)

    def run_inference(self, batch, model, inference_args=None):
        return [
            (photo.pixels, degraded(photo.pixels, model.degrader, seed, model.styles, _read)) for photo, seed in batch
        ]

    def get_num_bytes(self, batch):
        return sum(photo.pixels.nbytes for photo, _ in batch)


@dataclasses.dataclass
class _Styled:
    """A Degrader and where its styles come from."""

    degrader: object
    styles: list[str] | None


def style_photos(pattern: str) -> dict[str, int]:
    """Addresses of the photos that a glob matches, with their bytes, in the order that `ssrvae_tf.degrade` finds them
    in a folder.

    Raises:
        UserError: if there is none.
    """
    root = places.root_of(pattern)

    def parts(address):
        return places.inside(address, root).split("/")

    found = [
        (address, size)
        for address, size in files.matching(pattern, "--from").items()
        if f".{address.rpartition('.')[2].lower()}" in suffixes() and not any(p.startswith(".") for p in parts(address))
    ]
    if not found:
        raise UserError(f"--from {pattern}: no photos found: give a glob of photos (jpg, png, webp, ...)")
    return dict(sorted(found, key=lambda each: parts(each[0])))


def style_photos_digest(pattern: str) -> str:
    """What `ssrvae_tf.degrade` says of the same photos in a folder."""
    root = places.root_of(pattern)
    return records.of_photos((places.inside(address, root), size) for address, size in style_photos(pattern).items())


def _read(address):
    with files.local_copy(address) as path:
        return read_photo(path)
