"""Where models lie: by name, by the folder of a run or an export, or as a .keras file. Needs no TensorFlow."""

from __future__ import annotations

import os
from pathlib import Path

from ssrvae_tf import config
from ssrvae_tf.errors import UserError
from ssrvae_tf.versions import looking_for, newest

SHIPPED = Path(__file__).parents[1] / "weights"
WEIGHTS, CONFIG = "model.weights.h5", "config.yaml"
BEST = "best.weights.h5"  # beside the newest ones, in runs with a validation
KERAS = "model.keras"  # instead of both, for networks that no run can have
WANTED = (
    "give the folder of a run, a folder that python -m ssrvae_tf.export wrote, or a .keras file of a network of this "
    "package"
)


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
        with looking_for(Path(name_or_run)):
            folder = _folder(Path(name_or_run))
        return config.read(folder / CONFIG) if folder else None
    except UserError:  # whoever loads the model tells what is wrong
        return None


def _folder(given: Path) -> Path | None:
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
