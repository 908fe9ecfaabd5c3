"""Where models lie: by name, by the folder of a run or an export, or as a .keras file. Needs no TensorFlow."""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path
from typing import Any

import yaml

from ssrvae_tf import config
from ssrvae_tf.errors import UserError
from ssrvae_tf.photos.writing import replacing
from ssrvae_tf.versions import looking_for, newest

SHIPPED = Path(__file__).parents[1] / "weights"
DEFAULT = "faces-x4"  # enlarges photos unless told
DEFAULT_STYLE = config.FitConfig.style  # degrades them, as in trainings
WEIGHTS, CONFIG = "model.weights.h5", "config.yaml"
BEST = "best.weights.h5"  # beside the newest ones, in runs with a validation
KERAS = "model.keras"  # instead of both, for networks that no run can have
DETAILED = "detailed.weights.h5"  # beside WEIGHTS: a second set, of the same architecture, that draws more detail
DETAIL = "detail.yaml"  # says how much of it is taken unless told or, without it, was taken by an export
WILDCARDS = re.compile(r"\[.*\]|\\")  # in a place's name; there TensorFlow finds no checkpoints
HALF = 0.5  # of two sets that are given without saying how much: their mean keeps most of what either is better at
WANTED = (
    "give the folder of a run, a folder that python -m ssrvae_tf.export wrote, or a .keras file of a network of this "
    "package"
)


@dataclasses.dataclass(frozen=True)
class Blend(os.PathLike):
    """A model between two sets of weights of one architecture: (1 - detail) * faithful + detail * detailed.

    "Network interpolation" of ESRGAN (arXiv 1809.00219, section 3.4). As a path it is that of the faithful set, which
    has the settings.

    Attributes:
        model: place of the faithful set.
        detail: from 0 to 1.
        detailed: place of the detailed set; the same one, where a folder holds both.
    """

    model: str
    detail: float
    detailed: str

    def __fspath__(self) -> str:
        return self.model

    def __str__(self) -> str:
        return f"{self.model} at detail {self.detail:g}"

    @property
    def files(self) -> list[Path]:
        """Those that hold the numbers of the two."""
        return [file_of(self.model), keras_file(self.detailed) or detailed_of(find(self.detailed))]


def chosen(model: Any, detail: float | None = None, detailed: str | os.PathLike | None = None) -> Any:
    """The model that is meant: a `Blend` where there are two sets of weights, else `model` as it is.

    Args:
        model: whatever `ssrvae_tf.upscale` takes, or a `Blend`.
        detail: how much of the detailed set, from 0 to 1; None: what its folder says, or a half with `detailed`.
        detailed: place of the detailed set, if not that of `model`. Of a place with two sets, it is its detailed one.

    Raises:
        UserError: if `detail` is out of range, or there is nothing to blend.
    """
    options = {"--detail": detail, "--detailed": detailed}
    given = " ".join(f"{option} {value}" for option, value in options.items() if value is not None)
    if detail is not None and not 0 <= detail <= 1:
        raise UserError(f"--detail {detail}: it must be a number from 0 to 1")
    if not isinstance(model, (str, os.PathLike)) or isinstance(model, Blend):
        if given:
            raise UserError(f"{given}: for models by name or folder: give it to ssrvae_tf.load, or leave it out")
        return model
    if detailed is not None:
        return Blend(os.fspath(model), HALF if detail is None else float(detail), os.fspath(detailed))
    folder = _folder(Path(model))
    if folder and (folder / DETAILED).is_file():
        return Blend(os.fspath(model), (_said(folder) or 0.0) if detail is None else float(detail), os.fspath(model))
    if given:
        before = folder and _said(folder)
        if before is not None:
            said = f"{given}: {model} has the detail of its export, {before:g}"
            raise UserError(f"{said}: export it again, or leave this out")
        if not (folder or Path(model).exists()):
            find(model)  # says that there is none
        raise UserError(f"{given}: {model} has one set of weights only: add --detailed RUN, or leave it out")
    return model


def detail_of(model: Any) -> float | None:
    """How much of a detailed set a model takes, or took when it was exported; None where there is one set only.

    Args:
        model: what `chosen` gave.
    """
    if isinstance(model, Blend):
        return model.detail
    if not isinstance(model, (str, os.PathLike)):
        return None
    folder = _folder(Path(model))
    return _said(folder) if folder else None


def write_detail(folder: Path, detail: float, perceptual: str | None = None) -> None:
    """Put down in a model's folder how much of the detailed set is taken unless told, or was taken by an export.

    Args:
        perceptual: what the detailed set was trained with, as in `ssrvae_tf.config.FitConfig`.
    """
    found = {"detail": float(detail), **({"perceptual": perceptual} if perceptual else {})}
    with replacing(folder / DETAIL) as part:
        part.write_text(yaml.safe_dump(found))


def taught_by(model: Any) -> set[str]:
    """Names of the networks on whose features a model was trained, or its detailed set: they are no judges of it.

    Args:
        model: what `chosen` gave.
    """
    found = []
    for place in {os.fspath(model), *([model.detailed] if isinstance(model, Blend) else [])}:
        trained, folder = settings(place), _folder(Path(place))
        found += [trained.perceptual] if trained else []
        found += [_put_down(folder).get("perceptual")] if folder else []
    paths = [Path(each.rpartition(":")[0]) for each in found if each]
    return {name for path in paths for name in (path.name, path.resolve().name)}  # a link's, and its own


def _said(folder: Path) -> float | None:
    if not (folder / DETAIL).is_file():
        return None
    try:
        detail = float(_put_down(folder)["detail"])
        if 0 <= detail <= 1:
            return detail
    except (ValueError, TypeError, LookupError):
        pass
    raise UserError(f"{folder / DETAIL}: `detail: X`, with X from 0 to 1, is wanted: restore the file")


def _put_down(folder: Path) -> dict[str, Any]:
    """What `write_detail` put down; nothing, if there is no such file or it is damaged."""
    try:
        found = yaml.safe_load((folder / DETAIL).read_text())
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) else {}


def shipped() -> list[str]:
    """Names of the sets of weights that come with the package."""
    return sorted(path.parent.name for path in SHIPPED.glob(f"*/{CONFIG}"))


def find(name_or_run: str | os.PathLike) -> Path:
    """The folder that holds a model's settings and weights.

    Args:
        name_or_run: a shipped name, the folder of a run or of an exported version, or the folder of all exported
            versions, of which the newest is taken.

    Raises:
        UserError: if it is none of these.
    """
    given = Path(name_or_run)
    with looking_for(given):
        folder = _folder(given)
        if folder and not (folder / WEIGHTS).is_file():
            raise UserError(f"{folder}: no {WEIGHTS} yet: let its first epoch end")
        if folder:
            return folder
        _refuse(given)
    names = ", ".join(shipped()) or "(none shipped)"
    raise UserError(f"{name_or_run}: no such model: give the --out folder of a run, or one of {names}")


def weights_of(folder: Path) -> Path:
    """The file of weights in a folder that `find` gave: the best ones, of a run that knows them."""
    return folder / (BEST if (folder / BEST).is_file() else WEIGHTS)


def detailed_of(folder: Path) -> Path:
    """The file of the more detailed weights in a folder that `find` gave; of the only ones, where it has one set."""
    return folder / DETAILED if (folder / DETAILED).is_file() else weights_of(folder)


def file_of(model: str | os.PathLike) -> Path:
    """The file that holds a model's numbers, without what `detailed_of` gives.

    Raises:
        UserError: as of `find`.
    """
    return keras_file(model) or weights_of(find(model))


def keras_file(path: str | os.PathLike) -> Path | None:
    """The .keras file that `path` is, or that lies in this exported version or in the newest one; None without one.

    Raises:
        UserError: if `path` cannot be looked for, such as a name that is too long.
    """
    path = Path(path)
    with looking_for(path):
        folder = path if (path / KERAS).is_file() else newest(path, KERAS)
        return folder / KERAS if folder else path if path.suffix == ".keras" and path.is_file() else None


def settings(name_or_run: str | os.PathLike) -> config.FitConfig | None:
    """What a model was trained as, without a look at its weights; None where that cannot be known so."""
    try:
        folder = _folder(Path(name_or_run))
        return config.read(folder / CONFIG) if folder else None
    except UserError:  # whoever loads the model tells what is wrong
        return None


def _folder(given: Path) -> Path | None:
    with looking_for(given):
        places = (given, newest(given, CONFIG), SHIPPED / given)
        return next((folder for folder in places if folder and (folder / CONFIG).is_file()), None)


def _refuse(path: Path) -> None:
    """Say why a file or folder that is not one of ours is not loaded.

    Raises:
        UserError: if there is anything at `path`, other than a folder without a model.
    """
    if path.is_file():
        raise UserError(f"{path}: such a file may run code of its own when it is loaded: not loaded; {WANTED}")
    for name in ("saved_model.pb", "saved_model.pbtxt"):
        if (path / name).is_file() or any(path.glob(f"[0-9]*/{name}")):
            raise UserError(
                f"{path}: a SavedModel without our settings and weights beside it, whose graph may do anything: not "
                f"loaded; {WANTED}"
            )
