"""The REST interface."""

from __future__ import annotations

import inspect
import json
import re
import socket
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

from google.protobuf.json_format import MessageToDict, MessageToJson
from stand_in_server.json_tensors import ProcessEnds, inputs_from_json, json_from_outputs, parse_json, shown
from stand_in_server.servables import FAILED_PRECONDITION, INVALID_ARGUMENT, NOT_FOUND, UNIMPLEMENTED, Models, Status
from tensorflow_serving.apis import get_model_metadata_pb2

HTTP_CODES = {INVALID_ARGUMENT: 400, 4: 504, NOT_FOUND: 404, 8: 429, FAILED_PRECONDITION: 400}
HTTP_CODES.update({UNIMPLEMENTED: 501, 14: 503})
PREDICT_URL = re.compile(
    r"/v1/models/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?:(classify|regress|predict)", re.IGNORECASE
)
MODEL_URL = re.compile(r"/v1/models(?:/([^/:]+))?(?:/versions/(\d+)|/labels/([^/:]+))?(?:/(metadata))?", re.IGNORECASE)
METRICS_URL = "/monitoring/prometheus/metrics"

# Fields that hold nothing are told as well; protobuf 5 calls this otherwise.
_NAMES = ("including_default_value_fields", "always_print_fields_with_no_presence")
_ALL_FIELDS = {name: True for name in _NAMES if name in inspect.signature(MessageToDict).parameters}


class _RestHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        metrics = self.path == METRICS_URL and self.server.monitoring
        if not metrics and not re.fullmatch("/v1/.*", self.path, re.IGNORECASE):
            page = "<HTML><HEAD><TITLE>404 Not Found</TITLE></HEAD><BODY><H1>Not Found</H1></BODY></HTML>"
            return self._send(404, page, "text/html")
        with self.server.turns:
            if metrics:
                return self._send(200, self._metrics(), "text/plain")
            if self.command == "OPTIONS":
                return self._send(200 if re.search("https?://", self.headers.get("Origin", "")) else 400, "")
            try:
                code, text = 200, self._v1(body)
            except Status as status:
                code, text = HTTP_CODES.get(status.code, 500), json.dumps({"error": status.message}, ensure_ascii=False)
            except ProcessEnds:
                return self.server.ended.set()
        self._send(code, text)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = _answer

    def _v1(self, body: bytes) -> str:
        url = {"POST": PREDICT_URL, "GET": MODEL_URL}.get(self.command)
        match = url and url.fullmatch(self.path)  # with what follows a question mark
        if not match:
            raise Status(f"Malformed request: {self.command} {self.path}")
        name, version, label, what = match.groups()
        name, label, version = unquote(name or ""), unquote(label or ""), int(version) if version else None
        if self.command == "POST":
            return self._predict(name, version, label, what.lower(), body)
        if not name:
            raise Status("Missing model name in request.")
        models = self.server.models
        if not what:
            return MessageToJson(models.status(name, version), **_ALL_FIELDS, preserving_proto_field_name=True)
        answer, signatures = models.metadata(name, version, label), get_model_metadata_pb2.SignatureDefMap()
        answer.metadata["signature_def"].Unpack(signatures)
        spec, definitions = (
            MessageToDict(each, **_ALL_FIELDS, preserving_proto_field_name=True)
            for each in (answer.model_spec, signatures)
        )
        return json.dumps({"model_spec": spec, "metadata": {"signature_def": definitions}})

    def _predict(self, name: str, version: int | None, label: str, what: str, body: bytes) -> str:
        if what != "predict":
            raise Status(f"This is a stand-in for TensorFlow Serving, it lacks :{what}", UNIMPLEMENTED)
        document = parse_json(body)
        chosen = document.get("signature_name", "")
        if not isinstance(chosen, str):
            wrong = "not formatted correctly. 'signature_name' key must be a string value."
            raise Status(f"JSON Value: {shown(document)} {wrong}")
        chosen = chosen or "serving_default"
        _, servable = self.server.models.servable(name, version, label)
        if chosen not in servable.signatures:
            raise Status(f'Serving signature name: "{chosen}" not found in signature def')
        rows, inputs = inputs_from_json(document, servable.signatures[chosen])
        _, outputs = self.server.models.predict(name, version, chosen, inputs, timeout_ms=self.server.timeout_ms)
        return json_from_outputs(outputs, rows)

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
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *arguments) -> None:
        pass


class RestServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def __init__(self, port: int, models: Models, cors: bool, monitoring: bool, threads: int, timeout_ms: int, ended):
        super().__init__(("127.0.0.1", port), _RestHandler)
        self.models, self.cors, self.monitoring, self.timeout_ms = models, cors, monitoring, timeout_ms
        self.turns = threading.Semaphore(threads - 1)  # one takes what comes in; others wait, however long
        self.ended = ended  # an event that ends this process
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
