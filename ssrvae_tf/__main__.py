# PYTHON_ARGCOMPLETE_OK
"""All commands by one name: `ssrvae COMMAND ...`, the same as `python -m ssrvae_tf.COMMAND ...`."""

from __future__ import annotations

import argparse
import importlib
import os
import sys

import argcomplete

import ssrvae_tf
from ssrvae_tf import command_line, terminal
from ssrvae_tf.errors import UserError, exit_cleanly

COMMANDS = {
    "upscale": "enlarge photos, files or whole folders",
    "app": "a page to drop photos on, in a browser",
    "fit": "train either stage on your own photos",
    "degrade": "make photos small as the real world does",
    "evaluate": "measure a model on folders of photos",
    "reproduce": "train and measure all that the paper's tables need",
    "export": "write a model for TensorFlow Serving, TFLite or ONNX",
    "pack": "copy a run's result into a small folder, to be kept or passed on",
    "shards": "put photos into TFRecord shards, for trainings on large sets or several machines",
    "demo": "upscale a photo that comes with the package",
    "upscale_beam": "enlarge collections of photos on a Beam runner",
    "degrade_beam": "degrade collections of photos on a Beam runner",
}


def parser() -> argparse.ArgumentParser:
    """Of the first word."""
    width = max(map(len, COMMANDS))
    made = argparse.ArgumentParser(
        "ssrvae",
        description="Learn how the real world degrades small faces, and super-resolve them.",
        epilog="commands:\n" + "\n".join(f"  {name:{width}}  {text}" for name, text in COMMANDS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--version", action="version", version=f"ssrvae {ssrvae_tf.__version__}")
    made.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="one of those below, each with its --help")
    return made


def main() -> int | None:
    """Run the command that the first word names, with the others."""
    completing = os.environ.get("COMP_LINE", "").split() if "_ARGCOMPLETE" in os.environ else None
    words = completing[1:] if completing else sys.argv[1:]
    name = words[0] if words else "--help"
    if name not in COMMANDS:
        argcomplete.autocomplete(parser())
        if not name.startswith("-"):
            raise UserError(f"{name}: no such command{command_line.nearest(name, COMMANDS)}")
        parser().parse_args([name])
        raise UserError(f"{name}: a command is wanted first: {', '.join(COMMANDS)}")
    if completing:
        os.environ["_ARGCOMPLETE"] = "2"  # words before those that the command itself completes
    terminal.quiet_start()
    command_line.program = "ssrvae {}"
    sys.argv[:] = [f"ssrvae {name}", *([] if completing else words[1:])]
    return importlib.import_module(f"ssrvae_tf.{name}").main()


def run() -> None:
    """The console script `ssrvae`."""
    exit_cleanly(main)


if __name__ == "__main__":
    run()
