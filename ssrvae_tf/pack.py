"""Copy a run's result into the package, to be loaded by name: `python -m ssrvae_tf.pack RUN NAME`."""

from __future__ import annotations

import argparse
from pathlib import Path

from ssrvae_tf.errors import exit_cleanly


def pack(run: str | Path, name: str) -> Path:
    """Copy a run's settings, without the folders of its maker, and its weights as float16. Gives the new folder.

    Raises:
        UserError: if `run` is no run with a result.
    """
    from ssrvae_tf import config
    from ssrvae_tf.loading import models as loading

    folder = loading.find(run)
    settings = config.read(folder / loading.CONFIG)
    target = loading.SHIPPED / name
    target.mkdir(parents=True, exist_ok=True)
    loading.save_weights(loading.load(folder), target / loading.WEIGHTS, "float16")
    config.write(config.portable(settings), target / loading.CONFIG)
    return target


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m ssrvae_tf.pack", description=__doc__)
    parser.add_argument("run", help="folder of a training run")
    parser.add_argument("name", help="to load it by, such as faces-x4")
    arguments = parser.parse_args()
    folder = pack(arguments.run, arguments.name)
    size = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
    print(f"{folder}: {size:.1f} MB")


if __name__ == "__main__":
    exit_cleanly(main)
