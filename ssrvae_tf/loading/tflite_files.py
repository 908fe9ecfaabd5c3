"""The TFLite interpreter: LiteRT's where it is installed, twice as fast here as the one that TensorFlow still has."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

from ssrvae_tf.errors import UserError
from ssrvae_tf.resources import processors


def interpreter(path: str | os.PathLike) -> Any:
    """An interpreter for a `.tflite` file, on all processor cores.

    Raises:
        UserError: if it has operators that are not built in: TensorFlow's own among them read and write files.
        ValueError: if it is no such file.
    """
    file = Path(path).read_bytes()  # once: what is run is what was checked
    names = _custom_operators(file)
    if names:
        raise UserError(
            f"{path}: its operators {', '.join(names)} are not TFLite's own and may reach files: not loaded; take a "
            "file that python -m ssrvae_tf.export wrote"
        )
    return trusted_interpreter(file)


def trusted_interpreter(file: bytes) -> Any:
    """An interpreter for what a `.tflite` file holds, on all processor cores.

    For files that an installed package brings: they are not checked, which takes TensorFlow.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        import tensorflow as tf

        Interpreter = tf.lite.Interpreter
    return Interpreter(model_content=file, num_threads=processors())


def _custom_operators(file: bytes) -> list[str]:
    from tensorflow.lite.tools import flatbuffer_utils

    custom = flatbuffer_utils.schema_fb.BuiltinOperator.CUSTOM
    try:
        # All of it is read, since TensorFlow's interpreter crashes on files that are cut short.
        codes = flatbuffer_utils.convert_bytearray_to_object(bytearray(file)).operatorCodes or []
    except (struct.error, ValueError, TypeError, LookupError, AttributeError, OverflowError, MemoryError) as error:
        raise ValueError(f"damaged: {error}") from error
    found = [each for each in codes if each.customCode or custom in (each.builtinCode, each.deprecatedBuiltinCode)]
    return sorted({repr((each.customCode or b"?").decode(errors="replace"))[:60] for each in found})
