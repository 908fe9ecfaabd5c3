"""Copy a run's result into the package, to be loaded by name: `python -m ssrvae_tf.pack RUN NAME`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from ssrvae_tf import command_line, config
from ssrvae_tf.errors import exit_cleanly
from ssrvae_tf.loading import places


def pack(run: Annotated[str, "RUN"], name: Annotated[str, "NAME"]) -> Path:
    """Copy a run's result into the package: its settings, without the folders of its maker, and its weights as float16.

    Args:
        run: folder of a training run.
        name: to load it by, such as faces-x4.

    Returns:
        the new folder.

    Raises:
        UserError: if `run` is no run with a result.
    """
    folder = places.find(run)
    settings = config.read(folder / places.CONFIG)
    from ssrvae_tf.loading.models import load, save_weights

    target = places.SHIPPED / name
    target.mkdir(parents=True, exist_ok=True)
    save_weights(load(folder), target / places.WEIGHTS, "float16")
    config.write(config.portable(settings), target / places.CONFIG)
    return target


def main(arguments=None) -> None:
    folder = pack(**command_line.read(pack, "ssrvae_tf.pack", arguments, positional=("run", "name")))
    size = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
    print(f"{folder}: {size:.1f} MB")


if __name__ == "__main__":
    exit_cleanly(main)
