"""OpenVINO, which runs networks on x86 processors, from files of numbers without code."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import cast


def openvino() -> ModuleType:
    """The module, without what tells its makers of each use.

    That, openvino-telemetry, forks in a thread, which can leave NumPy's own threads waiting forever. Where it cannot be
    imported OpenVINO does without.

    Raises:
        ImportError, OSError: if it is not installed, or does not load on this machine.
    """
    cast(dict, sys.modules).setdefault("openvino_telemetry", None)  # which refuses its import
    import openvino as module

    return module
