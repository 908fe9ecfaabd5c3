"""The faces of enlarged photos as files of their own, and where they were found."""

from __future__ import annotations

import glob
import json
import os
from pathlib import Path
from typing import Sequence

from ssrvae_tf.faces import Face
from ssrvae_tf.inference.rebuilding import regions
from ssrvae_tf.photos import files as photo_files
from ssrvae_tf.photos import folders, records
from ssrvae_tf.photos.files import Photo
from ssrvae_tf.photos.folders import Item
from ssrvae_tf.photos.writing import replacing


class FaceFiles:
    """A folder of faces, `RESULT.face_1.png` and so on, and of `RESULT.json`, which tells where they are.

    Args:
        folder: of the faces.
        results: the folder that all results lie in, whose structure is kept.
        factor: side of a result / side of its photo.
    """

    def __init__(self, folder: Path, results: Path, factor: float):
        self._folder, self._results, self._factor = folder, results, factor

    def begin(self) -> None:
        """Make the folder.

        Raises:
            UserError: if nothing can be written there.
        """
        folders.check_folder(self._folder, "--faces-out")

    def lacking(self, items: list[Item], results: list[Path]) -> list[Item]:
        """Those of some results whose faces are not here, or those of an earlier result of their name."""
        chosen = set(results)
        return [item for item in items if item.target in chosen and self._lacks(item.target)]

    def _lacks(self, result: Path) -> bool:
        try:
            told = json.loads(self._place(result, ".json").read_text(encoding="utf-8"))
            files = [each["file"] for each in told["faces"]]
            there = all(self._place(result, "").with_name(name).is_file() for name in files)
            return not there or told["made"] != records.made(result)
        except (OSError, ValueError, LookupError, TypeError):  # none, or damaged
            return True

    def write(self, item: Item, photo: Photo, enlarged: Photo, faces: Sequence[Face]) -> None:
        """Write the faces of one result, which is there, and then where they are.

        Args:
            item: the photo and its result.
            photo, enlarged: what it was made of, and itself or what is resized to it.
            faces: of the photo.

        Raises:
            OSError: if they cannot be written.
        """
        height, width = photo.pixels.shape[:2]
        scale = enlarged.pixels.shape[0] / height
        told: list[dict] = []
        self._place(item.target, "").parent.mkdir(parents=True, exist_ok=True)
        for number, place in enumerate(regions(faces, height, width), 1):
            file = self._place(item.target, f".face_{number}.png")
            top, bottom, left, right = (round(at * scale) for at in (place.top, place.bottom, place.left, place.right))
            crop = Photo(enlarged.pixels[top:bottom, left:right], enlarged.profile)
            photo_files.write(crop, file, scale=self._factor / scale)
            box = [round(each, 2) for each in place.face.box]
            told.append(
                {
                    "file": file.name,
                    "score": round(place.face.score, 4),
                    "rebuilt": place.rebuilt,
                    "box": box,
                    "box_in_result": [round(each * self._factor, 2) for each in place.face.box],
                    "file_shows": [place.left, place.top, place.right, place.bottom],
                    "landmarks": [[round(x, 2), round(y, 2)] for x, y in place.face.landmarks],
                }
            )
        made = {"photo": item.source.name, "result": item.target.name, "scale": self._factor, "faces": told}
        with replacing(self._place(item.target, ".json")) as part:  # last: it tells that all is there
            part.write_text(json.dumps({**made, "made": records.made(item.target)}, indent=1), encoding="utf-8")
        names = {each["file"] for each in told}
        for path in self._place(item.target, "").parent.glob(glob.escape(item.target.name) + ".face_*.png"):
            if path.name not in names:  # of an earlier result
                path.unlink(missing_ok=True)

    def _place(self, result: Path, suffix: str) -> Path:
        inside = os.path.relpath(result.parent.resolve(), self._results.resolve())
        return self._folder / inside / (result.name + suffix)
