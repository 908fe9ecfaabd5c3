"""Copy a run's result into the package, to be loaded by name: `python -m ssrvae_tf.pack RUN NAME`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Optional

from jsonargparse.typing import ClosedUnitInterval

from ssrvae_tf import command_line, config
from ssrvae_tf.command_line import Folder
from ssrvae_tf.errors import exit_cleanly
from ssrvae_tf.loading import places


def pack(
    run: Annotated[str, "RUN"],
    name: Annotated[str, "NAME"],
    detailed: Optional[Folder] = None,
    detail: Optional[ClosedUnitInterval] = None,
) -> Path:
    """Copy a run's result into the package: its settings, without the folders of its maker, and its weights as float16.

    With `--detailed` there are two sets of weights, between which `--detail` of other commands chooses.

    Args:
        run: folder of a training run.
        name: to load it by, such as faces-x4; with a slash in it, a folder anywhere, such as models/mine.
        detailed: run of the same architecture that draws more detail.
        detail: how much of the detailed weights is taken by default; a half unless told.

    Returns:
        the new folder.

    Raises:
        UserError: if `run` or `detailed` is no run with a result, or the two are of different architectures.
    """
    folder = places.find(run)
    settings = config.read(folder / places.CONFIG)
    model = places.chosen(run, detail, detailed)
    from ssrvae_tf.loading.models import load, save_weights

    sets = {places.WEIGHTS: model}
    if isinstance(model, places.Blend):
        ends = [dataclasses.replace(model, detail=end) for end in (0.0, 1.0)]
        sets = dict(zip((places.WEIGHTS, places.DETAILED), ends))
    networks = {file: load(each) for file, each in sets.items()}
    target = Path(name) if "/" in name else places.SHIPPED / name
    target.mkdir(parents=True, exist_ok=True)
    for file in (places.DETAILED, places.DETAIL):  # of what had this name before
        (target / file).unlink(missing_ok=True)
    for file, network in networks.items():
        save_weights(network, target / file, "float16")
    if len(networks) > 1:
        judges = config.portable(places.settings(model.detailed) or settings).perceptual
        places.write_detail(target, model.detail, judges)
    config.write(config.portable(settings), target / places.CONFIG)
    return target


def main(arguments=None) -> None:
    folder = pack(**command_line.read(pack, "ssrvae_tf.pack", arguments, positional=("run", "name")))
    size = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
    print(f"{folder}: {size:.1f} MB")


if __name__ == "__main__":
    exit_cleanly(main)
