"""What only one of the two stacks has."""

from __future__ import annotations

import contextlib

import pytest

from ssrvae_tf.compat import old_stack

NOT_HERE = "the new stack has no"  # of which nothing can be installed there


@contextlib.contextmanager
def asked_for(package: str):
    """`package`; without it a test is skipped."""
    with old_stack(package) as module:
        if module is None:
            pytest.skip(f"{NOT_HERE} {package}")
        yield module
