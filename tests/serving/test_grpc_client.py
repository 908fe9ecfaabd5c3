"""GrpcClient, against the stand-in and against servers that fail."""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from concurrent import futures

import grpc
import numpy as np
import pytest
import tensorflow as tf
from serving_client_case import ServingClientCase
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc
from tiny_saved_models import photo

from ssrvae_tf.errors import UserError
from ssrvae_tf.serving import GrpcClient, RequestRefused, ServerAway, ServingError


class FlakyService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Ends request n in the nth of `codes`, saying `words`, and answers when there are no more."""

    def __init__(self, *codes, output="sr_png_bytes", seconds=0.0, size=3, words="it is\nso"):
        self.codes, self.output, self.seconds, self.size, self.words = list(codes), output, seconds, size, words
        self.requests = []

    def Predict(self, request, context):
        self.requests.append(time.monotonic())
        time.sleep(self.seconds)
        if self.codes:
            context.abort(self.codes.pop(0), self.words)
        answer = predict_pb2.PredictResponse()
        answer.outputs[self.output].CopyFrom(tf.make_tensor_proto([b"\0" * self.size]))
        return answer

    def __enter__(self):
        options = [(f"grpc.max_{way}_message_length", -1) for way in ("send", "receive")]
        self._server = grpc.server(futures.ThreadPoolExecutor(4), options=options)
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(self, self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()
        return self

    def __exit__(self, *exception):
        self._server.stop(None).wait()


def ask(server: FlakyService, **options) -> list[bytes]:
    with GrpcClient(server.address, **options) as client:
        return client.upscale_bytes([b"any"])


class TestGrpcClient(ServingClientCase):
    INVALID, NOT_FOUND, UNKNOWN_SIGNATURE = "INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION"
    NO_SIGNATURE = 'Serving signature key "nope" not found.'

    def make(self, server, **options):
        return GrpcClient(server.grpc, **options)

    def test_a_server_that_is_away_is_given_up(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            with GrpcClient(f"127.0.0.1:{taken.getsockname()[1]}", retries=1) as client:
                self.assert_away(lambda: client.upscale(photo()), "the server is away or busy .*refused")
                assert not client.ready()

    def test_a_server_that_starts_meanwhile_is_found(self, saved_models):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
        service = FlakyService()
        server = grpc.server(futures.ThreadPoolExecutor(4))
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(service, server)

        def start():
            assert server.add_insecure_port(f"127.0.0.1:{port}") == port
            server.start()

        timer = threading.Timer(0.3, start)
        timer.start()
        try:
            with GrpcClient(f"127.0.0.1:{port}", retries=4) as client:
                assert client.upscale_bytes([b"any"]) == [b"\0\0\0"]
        finally:
            timer.join()
            server.stop(None).wait()


def test_an_unavailable_server_is_asked_again_after_pauses():
    away = grpc.StatusCode.UNAVAILABLE
    with FlakyService(away, away, away) as server:
        assert ask(server) == [b"\0\0\0"]
    assert len(server.requests) == 4 and server.requests[-1] - server.requests[0] > 0.1


def test_large_requests_are_repeated_as_small_ones_are():
    with FlakyService(grpc.StatusCode.UNAVAILABLE) as server, GrpcClient(server.address) as client:
        assert client.upscale_bytes([bytes(1 << 20)]) == [b"\0\0\0"]
    assert len(server.requests) == 2


def test_without_retries_nothing_is_repeated():
    with (
        FlakyService(grpc.StatusCode.UNAVAILABLE) as server,
        pytest.raises(ServerAway, match="away or busy .it is so."),
    ):
        ask(server, retries=0)
    assert len(server.requests) == 1


BUSY = grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("words", ["Server Threadpool Exhausted", ""])
def test_a_server_without_a_free_thread_is_asked_until_it_has_one(words):
    # more often than gRPC itself would
    with FlakyService(*[BUSY] * 5, words=words) as server:
        assert ask(server, retries=1) == [b"\0\0\0"]
    pauses = np.diff(server.requests)
    assert len(server.requests) == 6 and pauses[0] >= 0.125 and pauses[4] >= 2


def test_a_server_that_stays_busy_is_given_up_in_time():
    start = time.monotonic()
    with FlakyService(*[BUSY] * 100, words="Server Threadpool Exhausted") as server:
        with pytest.raises(ServerAway, match=r"was busy for 1 s \(Server Threadpool Exhausted\): send fewer"):
            ask(server, timeout=1)
    assert time.monotonic() - start < 5 and len(server.requests) > 1


@pytest.mark.parametrize(
    "words", ["Received message larger than max (9 vs. 4)", "OOM when allocating tensor with shape[9]"]
)
def test_what_a_server_cannot_hold_is_not_repeated(words):
    with FlakyService(BUSY, words=words) as server, pytest.raises(RequestRefused, match="RESOURCE_EXHAUSTED"):
        ask(server)
    assert len(server.requests) == 1


def test_without_retries_a_busy_server_has_refused():
    with FlakyService(BUSY) as server, pytest.raises(RequestRefused, match="RESOURCE_EXHAUSTED"):
        ask(server, retries=0)
    assert len(server.requests) == 1


@pytest.mark.parametrize("code", ["INVALID_ARGUMENT", "NOT_FOUND", "INTERNAL"])
def test_a_refusal_is_not_repeated(code):
    with FlakyService(grpc.StatusCode[code]) as server:
        with pytest.raises(RequestRefused, match=rf"the server refused the request \({code}\): it is so$"):
            ask(server)
    assert len(server.requests) == 1


def test_a_timeout_is_not_repeated():
    with FlakyService(seconds=1) as server, pytest.raises(ServerAway, match="no answer within 0.3 s"):
        ask(server, timeout=0.3)
    assert len(server.requests) == 1


def test_answers_may_be_larger_than_grpcs_own_limit():
    with FlakyService(size=5 << 20) as server:
        assert len(ask(server)[0]) == 5 << 20
        with GrpcClient(server.address) as client:
            assert client.upscale_bytes([np.random.default_rng(0).bytes(5 << 20)])


def test_an_answer_without_the_output_is_told():
    with FlakyService(output="other") as server, pytest.raises(ServingError, match="holds no sr_png_bytes"):
        ask(server)


ADDRESSES = ["http://localhost:8500", "localhost", "", ":8500", "localhost:port", "localhost:0", "localhost:99999"]
ADDRESSES += ["localhost:²", f"localhost:{'9' * 5000}"]


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_that_is_none_is_told(address):
    with pytest.raises(UserError, match="HOST:PORT is wanted"):
        GrpcClient(address)


def test_an_address_may_end_in_a_slash(stand_in):
    with GrpcClient(f"{stand_in.grpc}/") as client:
        assert client.address == stand_in.grpc and client.ready()


def test_a_closed_client_says_so(stand_in):
    client = GrpcClient(stand_in.grpc)
    client.close()
    for call in (lambda: client.upscale(photo()), client.ready):
        with pytest.raises(ServingError, match="this client is closed .*: make another$"):
            call()


@pytest.mark.parametrize("missing", ["grpc", "tensorflow_serving.apis"])
def test_a_missing_package_is_told_with_what_to_install(monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(UserError, match=r'is missing: pip install "ssrvae_tf\[serving\]"') as error:
        GrpcClient("localhost:8500")
    assert "\n" not in str(error.value)


def test_a_server_with_tls_is_reached_by_credentials():
    with GrpcClient("localhost:8500", credentials=grpc.ssl_channel_credentials(), retries=0, timeout=2) as client:
        assert not client.ready()


def test_the_retries_that_grpc_is_told_are_those_it_makes():
    from ssrvae_tf.serving.grpc_client import _options

    policy = json.loads(dict(_options(9))["grpc.service_config"])["methodConfig"][0]["retryPolicy"]
    assert policy["maxAttempts"] == 5
