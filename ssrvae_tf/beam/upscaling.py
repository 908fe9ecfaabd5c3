"""Enlarging photos, as a job for `ssrvae_tf.beam.pipeline`."""

from __future__ import annotations

import dataclasses
import logging
import os
import tempfile
from pathlib import Path

from ssrvae_tf.beam import files
from ssrvae_tf.beam.handlers import UpscaleHandler
from ssrvae_tf.beam.pipeline import Item, Job, count
from ssrvae_tf.errors import UserError
from ssrvae_tf.loading.places import Blend
from ssrvae_tf.photos import files as photo_files
from ssrvae_tf.photos import records
from ssrvae_tf.photos.folders import result_name
from ssrvae_tf.photos.formats import SUFFIXES

_LOGGER = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Upscaling(Job):
    """See `ssrvae_tf.upscale_beam.upscale_beam`.

    Attributes:
        model: by name or place, or what `ssrvae_tf.loading.places.chosen` gave.
        digest: of the model, by `ssrvae_tf.inference.identity`.
        detail: of the model, by `ssrvae_tf.loading.places.detail_of`.
        network_scale: the network's own.
        scale: of the results.
        settings: further arguments of `ssrvae_tf.upscale`.
        engine, precision: as for `ssrvae_tf.inference.fast_engine.fastest`, on each machine.
        background: of faces, as for `ssrvae_tf.upscale`.
        behind: what a result's record calls it.
    """

    output: str
    model: str | Blend
    digest: str
    detail: float | None
    network_scale: int
    scale: float
    kind: str
    quality: int
    overwrite: bool
    max_megapixels: float
    settings: dict
    engine: str = "auto"
    precision: str = "float32"
    background: str | Blend | None = None
    behind: str | None = None

    def rename(self, source, apart):
        return result_name(source, apart, self.scale, self.kind)

    def results(self, item):
        return {self._address(each): self._record(each) for each in (item, _as_png(item))}

    def handler(self):
        return UpscaleHandler(self.model, self.engine, self.precision, self.background, **self.settings)

    def read(self, item):
        with files.local_copy(item.source) as path:
            photo = photo_files.read(path, self.max_megapixels)
        if photo.note:
            _LOGGER.warning(photo.note.replace(os.fspath(path), item.source))
        height, width = (side * self.scale for side in photo.pixels.shape[:2])
        reason = photo_files.limit(SUFFIXES[Path(item.target).suffix.lower()], width, height)
        if reason and self.kind != "keep":
            raise UserError(f"{files.shown(item.source)}: {reason}: take --format png or tiff")
        return (_as_png(item) if reason else item), photo

    def write(self, done):
        item, photo = done
        address = self._address(item)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f"result{Path(item.target).suffix}")
            photo_files.write(photo, path, self.quality, self.scale / self.network_scale, self._record(item))
            files.publish(path, address)
        count("written")

    def _address(self, item):
        return f"{self.output}/{item.target}"

    def _record(self, item):
        more = {"detail": self.detail, "precision": self.precision, "background": self.behind, **self.settings}
        return records.of_result(item.target, item.size, self.digest, self.scale, self.quality, **more)


def _as_png(item: Item) -> Item:
    """What stands in for a result that its format cannot hold."""
    return dataclasses.replace(item, target=f"{item.target}.png")
