"""What the command lines share."""

from __future__ import annotations

import argparse


class Parser(argparse.ArgumentParser):
    """Keeps the lines of its description, and takes options by their whole names only.

    Args:
        module: that `python -m` runs.
        description: shown by --help.
    """

    def __init__(self, module: str, description: str):
        formatter = argparse.RawDescriptionHelpFormatter
        super().__init__(f"python -m {module}", description=description, formatter_class=formatter, allow_abbrev=False)

    def add(self, option: str, metavar: str, text: str, **more) -> None:
        """An option with a value. `text` is its help."""
        self.add_argument(option, metavar=metavar, help=text, **more)

    def flag(self, option: str, text: str) -> None:
        """An option without one."""
        self.add_argument(option, action="store_true", help=text)
