"""Copy a run's result into a small folder, to be kept or passed on: `python -m ssrvae_tf.pack RUN DIR`."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path
from typing import Annotated, Optional

from jsonargparse.typing import ClosedUnitInterval

from ssrvae_tf import command_line, config
from ssrvae_tf.command_line import Folder
from ssrvae_tf.errors import UserError, exit_cleanly, of_the_disk, one_line
from ssrvae_tf.loading import places
from ssrvae_tf.photos.folders import check_folder
from ssrvae_tf.photos.writing import replacing

_FILES = (places.CONFIG, places.WEIGHTS, places.DETAILED, places.DETAIL)


def pack(
    run: Annotated[str, "RUN"],
    name: Folder,
    detailed: Optional[Folder] = None,
    detail: Optional[ClosedUnitInterval] = None,
) -> Path:
    """Copy a run's result into a small folder: its settings, without the folders of its maker, and its weights as
    float16. It is a model like the run. With `--detailed` there are two sets of weights, between which `--detail` of
    other commands chooses.

    Args:
        run: folder of a training run.
        name: the folder, such as models/mine: a new one, or that of a packed model, which is replaced.
        detailed: run of the same architecture that draws more detail.
        detail: how much of the detailed weights is taken by default; a half unless told.

    Returns:
        the new folder.

    Raises:
        UserError: if `run` or `detailed` is no run with a result, the two are of different architectures, their weights
            are beyond float16, or the folder holds anything else or cannot be written.
    """
    target = Path(name)
    there = {each.name for each in target.iterdir()} if target.is_dir() else set()
    # What a killed one left is hidden.
    other = min((each for each in there - {*_FILES} if not each.startswith(".")), default="")
    if other:
        raise UserError(f"{name}: holds {other}, which no packed model has: give a new folder, such as models/mine")
    if places.keras_file(run):
        raise UserError(f"{run}: a .keras file, which has no settings of a run: give the folder of a training run")
    folder = places.find(run)
    settings = config.read(folder / places.CONFIG)
    model = places.chosen(run, detail, detailed)
    from ssrvae_tf.loading.models import load, save_weights

    sets = {places.WEIGHTS: model}
    if isinstance(model, places.Blend):
        ends = [dataclasses.replace(model, detail=end) for end in (0.0, 1.0)]
        sets = dict(zip((places.WEIGHTS, places.DETAILED), ends))
    networks = {file: load(each) for file, each in sets.items()}
    check_folder(target, "pack")
    try:
        with contextlib.ExitStack() as stack:  # weights get their names once all are written
            for file, network in networks.items():
                save_weights(network, stack.enter_context(replacing(target / file)), "float16")
            for file in (places.DETAILED, places.DETAIL):  # of what had this name before
                (target / file).unlink(missing_ok=True)
            if len(networks) > 1:
                judges = config.portable(places.settings(model.detailed) or settings).perceptual
                places.write_detail(target, model.detail, judges)
            config.write(config.portable(settings), target / places.CONFIG)
    except ValueError as error:
        raise UserError(f"{run}: its weights cannot be kept ({error}): train on at a lower --learning-rate") from error
    except (OSError, RuntimeError) as error:  # of HDF5, too
        reason = of_the_disk(error) or one_line(error)
        raise UserError(f"pack {name}: cannot be written ({reason}): choose another place") from error
    return target


def main(arguments=None) -> None:
    folder = pack(**command_line.read(pack, "ssrvae_tf.pack", arguments, positional=("run", "name")))
    size = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
    print(f"{folder}: {size:.1f} MB, a model for --model {folder}")


if __name__ == "__main__":
    exit_cleanly(main)
