"""What the command lines of both pipelines share."""

from __future__ import annotations

import argparse


class OneGlob(argparse.Action):
    """An option that takes one glob. Where the shell has made names of it, the others would pass for Beam's options."""

    def __init__(self, option_strings, dest, **more):
        super().__init__(option_strings, dest, nargs="+", **more)

    def __call__(self, parser, namespace, values, option_string=None):
        if len(values) > 1:
            parser.error(f"{option_string} {' '.join(values[:2])} ...: one glob is wanted: put it in quotes")
        setattr(namespace, self.dest, values[0])
