"""A stand-in for TensorFlow Serving 2.15, for tests only: its binary cannot be had from PyPI.

It serves folders of SavedModels over REST and gRPC as the real server does: URLs, status codes, messages, JSON,
versions that are swapped while it runs, warm-up requests. It runs a SavedModel in a session, as the real server does,
so what the graph itself refuses is refused in the same words. It lacks :classify, :regress, batching, labels and TLS.

    python tests/stand_in_server.py ssrvae=serving/models/ssrvae --rest-port 8501 --grpc-port 8500
"""

from __future__ import annotations

import argparse
import base64
import binascii
import collections
import json
import random
import re
import socket
import threading
import time
from concurrent import futures
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf.json_format import MessageToDict, MessageToJson
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_log_pb2,
    prediction_service_pb2_grpc,
)

OK, INVALID_ARGUMENT, NOT_FOUND, FAILED_PRECONDITION, UNIMPLEMENTED = 0, 3, 5, 9, 12
HTTP_CODES = {INVALID_ARGUMENT: 400, NOT_FOUND: 404, 8: 429, FAILED_PRECONDITION: 400, UNIMPLEMENTED: 501, 14: 503}
GRPC_CODES = {code.value[0]: code for code in grpc.StatusCode}
PREDICT_URL = re.compile(
    r"/v1/models/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?:(classify|regress|predict)", re.IGNORECASE
)
MODEL_URL = re.compile(r"/v1/models(?:/([^/:]+))?(?:/versions/(\d+)|/labels/([^/:]+))?(?:/(metadata))?", re.IGNORECASE)
METRICS_URL = "/monitoring/prometheus/metrics"
WARM_UP = Path("assets.extra", "tf_serving_warmup_requests")


class Status(Exception):
    """What a request ends with when it fails: a canonical code and the server's words."""

    def __init__(self, message: str, code: int = INVALID_ARGUMENT):
        super().__init__(message)
        self.code, self.message = code, message


# ---------------------------------------------------------------------------------------------------- models, versions


class Servable:
    """One version of a model, loaded into a session. Raises Status if it cannot be, or if a warm-up request fails."""

    def __init__(self, folder: Path):
        saved = saved_model_pb2.SavedModel()
        saved.ParseFromString((folder / "saved_model.pb").read_bytes())
        graph = next(each for each in saved.meta_graphs if "serve" in each.meta_info_def.tags)
        for node in graph.graph_def.node:
            if node.op == "Placeholder":  # Python's session would check shapes, the real server's does not
                node.attr["shape"].shape.Clear()
                node.attr["shape"].shape.unknown_rank = True
                node.attr.pop("_output_shapes", None)
        self.signatures = dict(graph.signature_def)
        with tf.Graph().as_default():
            self._session = tf.compat.v1.Session()
            saver = tf.compat.v1.train.import_meta_graph(graph)
            if saver is not None:
                saver.restore(self._session, str(folder / "variables" / "variables"))
        for start in self.signatures["__saved_model_init_op"].outputs.values():
            self._session.run(start.name.split(":")[0])
        self.warmed_up = self._warm_up(folder / WARM_UP)

    def signature(self, name: str):
        """Raises Status in the words of gRPC; REST looks the name up itself, and has others."""
        name = name or "serving_default"
        if name not in self.signatures:
            raise Status(f'Serving signature key "{name}" not found.', FAILED_PRECONDITION)
        return self.signatures[name]

    def run(self, name: str, inputs: dict, wanted=()) -> dict:
        signature = self.signature(name)
        extra, missing = sorted(set(inputs) - set(signature.inputs)), sorted(set(signature.inputs) - set(inputs))
        if extra or missing:
            raise Status(
                f"input size does not match signature: {len(inputs)}!={len(signature.inputs)} "
                f"len({{{','.join(sorted(inputs))}}}) != len({{{','.join(sorted(signature.inputs))}}}). "
                f"Sent extra: {{{','.join(extra)}}}. Missing but required: {{{','.join(missing)}}}.",
            )
        names = list(wanted) or list(signature.outputs)
        for each in names:
            if each not in signature.outputs:
                raise Status(
                    f"output tensor alias not found in signature: {each} "
                    f"Outputs expected to be in the set {{{','.join(sorted(signature.outputs))}}}.",
                )
        try:
            values = self._session.run(
                [signature.outputs[each].name for each in names],
                {signature.inputs[each].name: value for each, value in inputs.items()},
            )
        except tf.errors.OpError as error:
            raise Status(_words_of_the_op(error.message), error.error_code) from error
        return dict(zip(names, values))

    def _warm_up(self, path: Path) -> int:
        if not path.is_file():
            return 0
        records = list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
        for record in records:
            request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
            self.run(request.model_spec.signature_name, {k: tf.make_ndarray(v) for k, v in request.inputs.items()})
        return len(records)


def _words_of_the_op(message: str) -> str:
    """Without what Python adds: the first line, then where it happened."""
    lines = message.replace("Graph execution error:", "", 1).strip().splitlines()
    return "\n".join([lines[0], *[line for line in lines[1:] if "[[{{node" in line]])


class Model:
    """All versions under a base path; the newest is served, `reload` swaps."""

    def __init__(self, name: str, base_path: Path):
        self.name, self.base_path = name, Path(base_path)
        self.servables, self.states = {}, {}  # by version
        self.reload()

    def reload(self) -> None:
        folders = [path.parent for path in self.base_path.glob("*/saved_model.pb") if path.parent.name.isdigit()]
        folder = max(folders, key=lambda path: int(path.name), default=None)
        if folder is None or int(folder.name) in self.states:
            return
        newest = int(folder.name)
        self.states[newest] = ("LOADING", OK, "")
        try:
            servable = Servable(folder)
        except Exception as error:  # whatever it is, the versions that work go on
            self.states[newest] = ("END", getattr(error, "code", 13), str(error))
            return
        self.servables = {newest: servable}  # only now does the old one go; requests that run on it end on it
        self.states.update({each: ("END", *state[1:]) for each, state in self.states.items() if each != newest})
        self.states[newest] = ("AVAILABLE", OK, "")


class Models:
    def __init__(self, base_paths: dict):
        self._models = {name: Model(name, path) for name, path in base_paths.items()}
        self.requests = collections.Counter()  # by model, and whether it was answered

    def reload(self) -> None:
        for model in self._models.values():
            model.reload()

    def servable(self, name: str, version: int | None, label: str = "") -> tuple[int, Servable]:
        if label:
            raise Status(f"Unrecognized servable version label: {label}")
        servables = self._models[name].servables if name in self._models else {}
        for number, servable in servables.items():
            if version in (None, number):
                return number, servable
        wanted = f"Latest({name})" if version is None else f"Specific({name}, {version})"
        raise Status(f"Servable not found for request: {wanted}", NOT_FOUND)

    def status(self, name: str, version: int | None) -> get_model_status_pb2.GetModelStatusResponse:
        states = dict(self._models[name].states) if name in self._models else {}
        if not states:
            raise Status(f"Could not find any versions of model {name}", NOT_FOUND)
        if version is not None and version not in states:
            raise Status(f"Could not find version {version} of model {name}", NOT_FOUND)
        answer = get_model_status_pb2.GetModelStatusResponse()
        for number in sorted(states, reverse=True) if version is None else [version]:
            state, code, message = states[number]
            entry = answer.model_version_status.add(version=number, state=state)
            entry.status.error_code, entry.status.error_message = code, message
        return answer

    def metadata(self, name: str, version: int | None, label: str = ""):
        number, servable = self.servable(name, version, label)
        answer = get_model_metadata_pb2.GetModelMetadataResponse()
        answer.model_spec.name, answer.model_spec.version.value = name, number
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for each, signature in servable.signatures.items():
            signatures.signature_def[each].CopyFrom(signature)
        answer.metadata["signature_def"].Pack(signatures)
        return answer

    def predict(self, name: str, version: int | None, signature: str, inputs: dict, wanted=()) -> tuple[int, dict]:
        number, servable = self.servable(name, version)
        try:
            outputs = servable.run(signature, inputs, wanted)
        except Status:
            self.requests[name, "INVALID_ARGUMENT"] += 1
            raise
        self.requests[name, "OK"] += 1
        return number, outputs


# -------------------------------------------------------------------------------------------------------- JSON, tensors


def parse_json(body: bytes) -> dict:
    """As RapidJSON parses it, which takes NaN and Infinity, with its messages."""
    if not body:
        raise Status("JSON Parse error: The document is empty")
    try:
        document = json.loads(body.decode("utf-8", "surrogateescape"))
    except json.JSONDecodeError:
        raise Status(f"JSON Parse error: {_rapidjson_error(body)}") from None
    if not isinstance(document, dict):
        raise Status(f"JSON Value: {_shown(document)} Is not object")
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
        raise Status(f"JSON Value: {_shown(document)} {only}")
    if not both:
        raise Status("Missing 'inputs' or 'instances' key")
    if "inputs" in document:
        return False, _from_columns(document["inputs"], infos)
    if not isinstance(document["instances"], list):
        raise Status(f"JSON Value: {_shown(document)} Excepting 'instances' to be an list/array")
    if not document["instances"]:
        raise Status(f"JSON Value: {_shown(document)} No values in 'instances' array")
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
                f"Failed to process element: {index} of 'instances' list. JSON object: {_shown(row)} "
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
                    f"JSON Value: {_shown(item)} found at incorrect level: {level + 1} in the JSON DOM. "
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
    type_name = types_pb2.DataType.Name(dtype).removeprefix("DT_").lower()
    raise Status(f"JSON Value: {_shown(value)} Type: {json_type} is not of expected type: {type_name}")


def _is_base64(value) -> bool:
    return isinstance(value, dict) and set(value) == {"b64"} and isinstance(value["b64"], str)


def _from_base64(value: dict) -> bytes:
    if not _is_base64(value):
        raise Status(f"JSON Value: {_shown(value)} not formatted correctly for base64 data")
    text = re.sub(r"\s", "", value["b64"])
    bare = text.rstrip("=")  # padding is optional, but not half of it
    try:
        if len(text) - len(bare) not in (0, -len(bare) % 4):
            raise binascii.Error
        return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise Status("Unable to base64 decode") from None


def _shown(value) -> str:
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


# ----------------------------------------------------------------------------------------------------------- REST, gRPC


class _RestHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = urlsplit(self.path).path
        if path == METRICS_URL and self.server.monitoring:
            return self._send(200, self._metrics(), "text/plain")
        if not re.fullmatch("/v1/.*", path, re.IGNORECASE):
            page = "<HTML><HEAD><TITLE>404 Not Found</TITLE></HEAD><BODY><H1>Not Found</H1></BODY></HTML>"
            return self._send(404, page, "text/html")
        try:
            with self.server.turns:
                text = self._v1(path, body)
            self._send(200, text)
        except Status as status:
            self._send(HTTP_CODES.get(status.code, 500), json.dumps({"error": status.message}, ensure_ascii=False))

    # Preflights are refused like any other method: what the real server says to them is not on the list of facts, and
    # nothing of this project may need one.
    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = _answer

    def _v1(self, path: str, body: bytes) -> str:
        url = {"POST": PREDICT_URL, "GET": MODEL_URL}.get(self.command)
        match = url and url.fullmatch(path)
        if not match:
            raise Status(f"Malformed request: {self.command} {path}")
        name, version, label, what = match.groups()
        name, label, version = unquote(name or ""), unquote(label or ""), int(version) if version else None
        if self.command == "POST":
            return self._predict(name, version, label, what.lower(), body)
        if not name:
            raise Status("Missing model name in request.")
        models = self.server.models
        if not what:
            return MessageToJson(
                models.status(name, version), including_default_value_fields=True, preserving_proto_field_name=True
            )
        answer, signatures = models.metadata(name, version, label), get_model_metadata_pb2.SignatureDefMap()
        answer.metadata["signature_def"].Unpack(signatures)
        spec, definitions = (
            MessageToDict(each, including_default_value_fields=True, preserving_proto_field_name=True)
            for each in (answer.model_spec, signatures)
        )
        return json.dumps({"model_spec": spec, "metadata": {"signature_def": definitions}})

    def _predict(self, name: str, version: int | None, label: str, what: str, body: bytes) -> str:
        if what != "predict":
            raise Status(f"This is a stand-in for TensorFlow Serving, it lacks :{what}", UNIMPLEMENTED)
        document = parse_json(body)
        chosen = document.get("signature_name", "serving_default")
        if not isinstance(chosen, str):
            wrong = "not formatted correctly. 'signature_name' key must be a string value."
            raise Status(f"JSON Value: {_shown(document)} {wrong}")
        _, servable = self.server.models.servable(name, version, label)
        if chosen not in servable.signatures:
            raise Status(f'Serving signature name: "{chosen}" not found in signature def')
        rows, inputs = inputs_from_json(document, servable.signatures[chosen])
        return json_from_outputs(self.server.models.predict(name, version, chosen, inputs)[1], rows)

    def _metrics(self) -> str:
        lines = ["# TYPE :tensorflow:serving:request_count counter"]
        for (model, status), count in self.server.models.requests.items():
            lines.append(f':tensorflow:serving:request_count{{model_name="{model}",status="{status}"}} {count}')
        return "\n".join(lines) + "\n"

    def _send(self, code: int, text: str, kind: str = "application/json") -> None:
        data = text.encode("utf-8", "surrogateescape")
        self.send_response(code, HTTPStatus(code).phrase)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        if self.server.cors:
            self.send_header("Access-Control-Allow-Origin", "*")
            self.send_header("Access-Control-Allow-Methods", "POST, GET")
            self.send_header("Access-Control-Allow-Headers", "Content-Type")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments) -> None:
        pass


class _RestServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def __init__(self, port: int, models: Models, cors: bool, monitoring: bool, threads: int):
        super().__init__(("127.0.0.1", port), _RestHandler)
        self.models, self.cors, self.monitoring = models, cors, monitoring
        self.turns = threading.Semaphore(threads)  # others wait, however long
        self._connections = set()

    def process_request(self, request, address):
        self._connections.add(request)
        super().process_request(request, address)

    def shutdown_request(self, request):
        self._connections.discard(request)
        super().shutdown_request(request)

    def stop(self) -> None:
        self.shutdown()
        self.server_close()
        for connection in list(self._connections):  # kept alive, they would go on being answered
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it has just ended by itself

    def handle_error(self, request, address) -> None:
        pass  # a client that left early


def _version(spec) -> int | None:
    return spec.version.value if spec.HasField("version") else None


def _ending_in_its_status(method):
    def answer(self, request, context):
        try:
            return method(self, request)
        except Status as status:
            return context.abort(GRPC_CODES[status.code], status.message)

    return answer


class _PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, models: Models):
        self._models = models

    @_ending_in_its_status
    def Predict(self, request):
        if not request.HasField("model_spec"):
            raise Status("Missing ModelSpec")
        spec = request.model_spec
        _, servable = self._models.servable(spec.name, _version(spec), spec.version_label)
        servable.signature(spec.signature_name)
        inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
        version, outputs = self._models.predict(
            spec.name, _version(spec), spec.signature_name, inputs, request.output_filter
        )
        answer = predict_pb2.PredictResponse()
        answer.model_spec.name, answer.model_spec.version.value = spec.name, version
        answer.model_spec.signature_name = spec.signature_name or "serving_default"
        for name, value in outputs.items():
            answer.outputs[name].CopyFrom(tf.make_tensor_proto(value))
        return answer

    @_ending_in_its_status
    def GetModelMetadata(self, request):
        if not request.metadata_field:
            raise Status("GetModelMetadataRequest must specify at least one metadata_field")
        spec = request.model_spec
        return self._models.metadata(spec.name, _version(spec), spec.version_label)


class _ModelService(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, models: Models):
        self._models = models

    @_ending_in_its_status
    def GetModelStatus(self, request):
        return self._models.status(request.model_spec.name, _version(request.model_spec))


class StandIn:
    """A running server; `with StandIn({"ssrvae": folder}) as server:`.

    Args:
        base_paths: by model name, the folder whose integer subfolders are its versions. The newest is served.
        cors, monitoring: --rest_api_enable_cors_support, and Prometheus' page as by serving/monitoring.config.
        poll_seconds: how often to look for new versions; the real server's default is 1.
        rest_port, grpc_port: 0 takes free ones.
        threads: --rest_api_num_threads and --grpc_max_threads. Over REST, further requests wait; over gRPC they end at
            once, in RESOURCE_EXHAUSTED, for which the real server says "Server Threadpool Exhausted".

    Attributes:
        rest: "http://127.0.0.1:PORT".
        grpc: "127.0.0.1:PORT".
    """

    def __init__(
        self, base_paths: dict, cors=True, monitoring=True, poll_seconds=0.1, rest_port=0, grpc_port=0, threads=16
    ):
        self.models = Models(base_paths)
        self._rest = _RestServer(rest_port, self.models, cors, monitoring, threads)
        self.rest = f"http://127.0.0.1:{self._rest.server_address[1]}"
        options = [(f"grpc.max_{way}_message_length", -1) for way in ("receive", "send")]
        options += [("grpc.so_reuseport", 0)]  # or two processes share a port, and each gets some of the requests
        self._grpc = grpc.server(futures.ThreadPoolExecutor(threads), options=options, maximum_concurrent_rpcs=threads)
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(_PredictionService(self.models), self._grpc)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(_ModelService(self.models), self._grpc)
        self.grpc = f"127.0.0.1:{self._grpc.add_insecure_port(f'127.0.0.1:{grpc_port}')}"
        self._grpc.start()
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=self._rest.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True),
            threading.Thread(target=self._poll, args=(poll_seconds,), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def _poll(self, seconds: float) -> None:
        while not self._stopped.wait(seconds):
            self.models.reload()

    def stop(self) -> None:
        self._stopped.set()
        self._rest.stop()
        self._grpc.stop(None).wait()
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> StandIn:
        return self

    def __exit__(self, *exception) -> None:
        self.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description="A stand-in for TensorFlow Serving, for tests.")
    parser.add_argument("models", metavar="NAME=FOLDER", nargs="+")
    parser.add_argument("--rest-port", type=int, default=8501)
    parser.add_argument("--grpc-port", type=int, default=8500)
    options = parser.parse_args()
    base_paths = dict(each.split("=", 1) for each in options.models)
    with StandIn(base_paths, poll_seconds=1, rest_port=options.rest_port, grpc_port=options.grpc_port) as server:
        print(f"stand-in for TensorFlow Serving: REST {server.rest}, gRPC {server.grpc}; Ctrl-C ends it", flush=True)
        try:
            while True:
                time.sleep(1)
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()
