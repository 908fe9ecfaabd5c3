"""JSON into tensors and back, with the words of the real server's json_tensor.cc."""

from __future__ import annotations

import base64
import binascii
import json
import random
import re

import numpy as np
import tensorflow as tf
from stand_in_server.servables import Status, type_name


class ProcessEnds(Exception):
    """What the real server does not survive."""


def parse_json(body: bytes) -> dict:
    """As RapidJSON parses it, which takes NaN and Infinity, with its messages.

    Raises:
        ProcessEnds: where it is nested too deep. The real server's parser, too, calls itself for each level; its stack
            ends at some 20,000, Python's at some 1,000.
    """
    if not body:
        raise Status("JSON Parse error: The document is empty")
    try:
        document = json.loads(body.decode("utf-8", "surrogateescape"))
    except RecursionError:
        raise ProcessEnds from None
    except json.JSONDecodeError:
        raise Status(f"JSON Parse error: {_rapidjson_error(body)}") from None
    if not isinstance(document, dict):
        raise Status(f"JSON Value: {shown(document)} Is not object")
    return document


def _rapidjson_error(body: bytes) -> str:
    text = body.decode("latin-1")  # so that offsets are in bytes
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        kind, offset = error.msg, error.pos
    open_brackets = re.sub(r'"(?:[^"\\]|\\.)*"|[^\[\]{}]', "", text[:offset])
    while re.search(r"\[\]|{}", open_brackets):
        open_brackets = re.sub(r"\[\]|{}", "", open_brackets)
    in_object = open_brackets.endswith("{")
    known = {
        "Expecting value": "Invalid value." if text.strip() else "The document is empty.",
        "Expecting property name": "Missing a name for object member.",
        "Illegal trailing comma": "Missing a name for object member." if in_object else "Invalid value.",
        "Expecting ':'": "Missing a colon after a name of object member.",
        "Expecting ','": f"Missing a comma or {'}' if in_object else ']'} after an "
        f"{'object member' if in_object else 'array element'}.",
        "Unterminated string": "Missing a closing quotation mark in string.",
        "Invalid control": "Invalid encoding in string.",
        "Invalid \\": "Invalid escape character in string.",
        "Extra data": "The document root must not be followed by other values.",
    }
    words = next(words for start, words in known.items() if kind.startswith(start))
    offset = len(body) if kind.startswith("Unterminated") or not text.strip() else offset
    return f"{words} at offset: {offset}"


def inputs_from_json(document: dict, signature) -> tuple[bool, dict]:
    """-> whether the request was in rows, and arrays by input name."""
    both, infos = {"instances", "inputs"} & set(document), signature.inputs
    if len(both) == 2:
        only = "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist "
        raise Status(f"JSON Value: {shown(document)} {only}")
    if not both:
        raise Status("Missing 'inputs' or 'instances' key")
    if "inputs" in document:
        return False, _from_columns(document["inputs"], infos)
    if not isinstance(document["instances"], list):
        raise Status(f"JSON Value: {shown(document)} Expecting 'instances' to be an list/array")
    if not document["instances"]:
        raise Status(f"JSON Value: {shown(document)} No values in 'instances' array")
    return True, _from_rows(document["instances"], infos)


def _from_columns(value, infos) -> dict:
    if not isinstance(value, dict) or _is_base64(value):
        if len(infos) > 1:
            raise Status(
                "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
                "tensorinfo_map",
            )
        value = {next(iter(infos)): value}
    for name in infos:
        if name not in value:
            raise Status(f"Missing named input: {name} in 'inputs' object.")
    return {name: _tensor(value[name], infos[name].dtype) for name in infos}


def _from_rows(rows: list, infos) -> dict:
    def named(row):
        return isinstance(row, dict) and not _is_base64(row)

    if not isinstance(rows[0], dict) and len(infos) > 1:
        raise Status(
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
            "tensorinfo_map",
        )
    found = {name: [] for name in infos}
    for index, row in enumerate(rows):
        if named(row) != named(rows[0]):
            wanted, got = ("object", "list") if named(rows[0]) else ("value/list", "object")
            raise Status(f"Expecting {wanted} but got {got} at item {index} of input list")
        for name, value in row.items() if named(row) else [(next(iter(infos)), row)]:
            try:
                if name not in infos:
                    raise Status(f"JSON object: does not have named input: {name}")
                found[name].append(_tensor(value, infos[name].dtype))
                _check_alike(found[name][0], found[name][-1])
            except Status as error:
                key = f" key: {name}" if named(row) else ""
                raise Status(
                    f"Failed to process element: {index}{key} of 'instances' list. "
                    f"Error: INVALID_ARGUMENT: {error.message}",
                ) from None
        if named(row) and set(row) != set(infos):
            raise Status(
                f"Failed to process element: {index} of 'instances' list. JSON object: {shown(row)} "
                f"keys must be equal to: {','.join(sorted(infos))}",
            )
    return {name: np.stack(values) for name, values in found.items()}


def _check_alike(first: np.ndarray, other: np.ndarray) -> None:
    if first.size != other.size:
        raise Status(f"Expecting tensor size: {first.size} but got: {other.size}")
    if first.shape != other.shape:
        shapes = [f"[{','.join(map(str, array.shape))}]" for array in (first, other)]
        raise Status(f"Expecting shape {shapes[0]} but got: {shapes[1]}")


def _tensor(value, dtype: int) -> np.ndarray:
    shape, first = [], value
    while isinstance(first, list):
        shape.append(len(first))
        first = first[0] if first else None
    values = []

    def fill(item, level):
        if not isinstance(item, list):
            if level != len(shape):
                raise Status(
                    f"JSON Value: {shown(item)} found at incorrect level: {level + 1} in the JSON DOM. "
                    f"Expected at level: {len(shape)}",
                )
            values.append(_scalar(item, dtype))
            return
        if level >= len(shape):
            raise Status(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
        if len(item) != shape[level]:
            raise Status(
                f"Encountered list at unexpected size: {len(item)} at level: {level} expected size: {shape[level]}",
            )
        for each in item:
            fill(each, level + 1)

    fill(value, 0)
    kind = tf.dtypes.as_dtype(dtype).as_numpy_dtype
    with np.errstate(over="ignore"):  # 1e39 becomes infinity, as on the real server
        array = np.empty(len(values), kind)
        array[:] = values
    return array.reshape(shape)


def _scalar(value, dtype: int):
    kind = tf.dtypes.as_dtype(dtype)
    if kind == tf.string and isinstance(value, dict):
        return _from_base64(value)
    if kind == tf.string and isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if (kind.is_floating and number) or (kind.is_integer and number and isinstance(value, int)):
        return value
    if kind == tf.bool and isinstance(value, bool):
        return value
    json_type = "Null" if value is None else str(value) if isinstance(value, bool) else "Number"
    json_type = {str: "String", list: "Array", dict: "Object"}.get(type(value), json_type)
    raise Status(f"JSON Value: {shown(value)} Type: {json_type} is not of expected type: {type_name(dtype)}")


def _is_base64(value) -> bool:
    return isinstance(value, dict) and set(value) == {"b64"} and isinstance(value["b64"], str)


def _from_base64(value: dict) -> bytes:
    if not _is_base64(value):
        raise Status(f"JSON Value: {shown(value)} not formatted correctly for base64 data")
    text = re.sub(r"\s", "", value["b64"])
    bare = text.rstrip("=")  # padding is optional, but not half of it
    try:
        if len(text) - len(bare) not in (0, -len(bare) % 4):
            raise binascii.Error
        return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise Status("Unable to base64 decode") from None


def shown(value) -> str:
    return json.dumps(value, indent=4, ensure_ascii=False)


def json_from_outputs(outputs: dict, rows: bool) -> str:
    names = random.sample(list(outputs), len(outputs))  # the order of keys varies on the real server
    texts = {name: _written(outputs[name], name.endswith("_bytes")) for name in names}
    if not rows:
        whole = {name: _joined(texts[name]) for name in names}
        return f'{{"outputs": {whole[names[0]] if len(names) == 1 else _object(whole)}}}'
    sizes = [len(text) if isinstance(text, list) else None for text in texts.values()]
    for name, size in zip(names, sizes):
        if size is None:
            raise Status(f"Tensor name: {name} has no shape information ")
        if size != sizes[0]:
            raise Status(f"Tensor name: {name} has inconsistent batch size: {size} expecting: {sizes[0]}")
    items = [{name: _joined(texts[name][row]) for name in names} for row in range(sizes[0])]
    written = [item[names[0]] if len(names) == 1 else _object(item) for item in items]
    return f'{{"predictions": [{", ".join(written)}]}}'


def _object(texts: dict) -> str:
    return "{" + ", ".join(f"{json.dumps(name)}: {text}" for name, text in texts.items()) + "}"


def _written(values: np.ndarray, as_bytes: bool):
    """Nested lists of JSON texts."""
    if getattr(values, "ndim", 0):
        return [_written(each, as_bytes) for each in values]
    if isinstance(values, bytes) and as_bytes:
        return json.dumps({"b64": base64.b64encode(values).decode()})
    if isinstance(values, bytes):
        return json.dumps(values.decode("utf-8", "surrogateescape"), ensure_ascii=False)
    return _decimal(values) if np.issubdtype(values.dtype, np.floating) else json.dumps(values.item())


def _joined(text) -> str:
    return f"[{', '.join(map(_joined, text))}]" if isinstance(text, list) else text


def _decimal(value: np.floating) -> str:
    if not np.isfinite(value):
        return "NaN" if np.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    text = f"{value:g}"
    if value.dtype.type(text) != value:
        text = f"{value:.{9 if value.dtype == np.float32 else 17}g}"
    return text if "." in text or "e" in text else text + ".0"
