"""Making pairs, as a job for `ssrvae_tf.beam.pipeline`."""

from __future__ import annotations

import dataclasses
import logging
import os
import tempfile
from pathlib import Path, PurePosixPath

from ssrvae_tf.beam import files
from ssrvae_tf.beam.handlers import DegradeHandler
from ssrvae_tf.beam.pipeline import Job, count
from ssrvae_tf.inference.degrader import chance, read_sharp
from ssrvae_tf.photos import files as photo_files
from ssrvae_tf.photos import records
from ssrvae_tf.photos.files import Photo
from ssrvae_tf.photos.folders import pair_name

_LOGGER = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Degrading(Job):
    """See `ssrvae_tf.degrade_beam.degrade_beam`.

    Attributes:
        digest: of the StyleVAE, by `ssrvae_tf.inference.identity`.
        real: a glob that all workers know.
        looks: of the photos that it matches, by `ssrvae_tf.photos.records.of_photos`.
        scale: HR side / LR side.
    """

    output: str
    style: str
    digest: str
    real: str | None
    looks: str | None
    scale: int
    variants: int
    seed: int
    overwrite: bool
    max_megapixels: float

    def rename(self, source, apart):
        return pair_name(source, apart)

    def items(self, item):
        if self.variants == 1:
            return [item]
        place = PurePosixPath(item.target)
        numbers = range(1, self.variants + 1)
        targets = [place.with_name(f"{place.stem}_{number}{place.suffix}").as_posix() for number in numbers]
        return [dataclasses.replace(item, target=name, number=number) for name, number in zip(targets, numbers)]

    def results(self, item):
        made = records.of_pair(item.size, self.digest, self.looks, item.inside, item.number, self.seed)
        return {self._address(item, "LR", f"X{self.scale}"): made}

    def handler(self):
        return DegradeHandler(self.style, self.real)

    def read(self, item):
        with files.local_copy(item.source) as path:
            photo = read_sharp(path, self.scale, self.max_megapixels)
        if photo.note:
            _LOGGER.warning(photo.note.replace(os.fspath(path), item.source))
        return item, (photo, chance(item.inside, item.number, self.seed))

    def write(self, done):
        item, (sharp, small) = done
        # A pair is whole where its LR file is, so that comes last.
        addresses = {self._address(item, "HR"): "", **self.results(item)}
        for pixels, (address, made) in zip((sharp, small), addresses.items()):
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, f"pair{PurePosixPath(item.target).suffix}")
                photo_files.write(Photo(pixels), path, made=made)
                files.publish(path, address)
        count("written")

    def _address(self, item, *folders):
        return "/".join([self.output, *folders, item.target])
