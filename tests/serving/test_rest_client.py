"""RestClient, against the stand-in and against servers that fail."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import sys
import time

import pytest
from flaky_server import FlakyServer
from serving_client_case import ServingClientCase
from tiny_saved_models import encoded, photo

from ssrvae_tf import serving
from ssrvae_tf.errors import UserError
from ssrvae_tf.serving import GrpcClient, RequestRefused, RestClient, ServerAway, ServingError, rest_client

ANSWER = json.dumps({"predictions": [{"b64": "AAAA"}]})
BUSY = json.dumps({"error": "The batch scheduling queue is full"})


def ask(server: FlakyServer, **options) -> list[bytes]:
    with RestClient(server.address, **options) as client:
        return client.upscale_bytes([b"any"])


@pytest.fixture
def quiet_port():
    """A port where connections are neither taken nor refused at once: its queue is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        with socket.create_connection(listener.getsockname()):
            yield listener.getsockname()[1]


@pytest.fixture
def closed_port():
    with socket.socket() as taken:  # bound, so that nobody else gets it, but not listened on
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


class TestRestClient(ServingClientCase):
    INVALID, NOT_FOUND, UNKNOWN_SIGNATURE = 400, 404, 400
    NO_SIGNATURE = 'Serving signature name: "nope" not found in signature def'

    def make(self, server, **options):
        return RestClient(server.rest, **options)

    def test_a_server_that_is_away_is_asked_again_and_then_given_up(self, closed_port):
        with RestClient(f"http://127.0.0.1:{closed_port}", retries=2) as client:
            started = time.monotonic()
            self.assert_away(lambda: client.upscale(photo()), "no server answers there .Connection refused.")
            assert 0.4 < time.monotonic() - started < 5
            assert not client.ready()

    def test_a_name_that_nobody_has_is_told(self):
        with RestClient("http://nobody.invalid:8501", retries=0) as client:
            self.assert_away(lambda: client.upscale(photo()), "no server answers there")


@pytest.mark.parametrize("code", [429, 503])
def test_a_busy_server_is_asked_again_after_growing_pauses(code):
    with FlakyServer((code, BUSY), (code, BUSY), (code, BUSY), (200, ANSWER)) as server:
        assert ask(server) == [b"\0\0\0"]
    first, second, third = [later - earlier for earlier, later in zip(server.requests, server.requests[1:])]
    assert first < second < third and second > 0.4 and third > 0.9


def test_a_server_that_stays_busy_is_quoted():
    with FlakyServer((503, BUSY)) as server, pytest.raises(RequestRefused, match=r"\(503\): The batch .* is full"):
        ask(server, retries=1)
    assert len(server.requests) == 2


def test_a_server_that_ran_out_of_time_is_away_and_asked_again():
    timed_out = (504, json.dumps({"error": "Timed out waiting for notification"}))
    with FlakyServer(timed_out, (200, ANSWER)) as server:
        assert ask(server) == [b"\0\0\0"]
    with FlakyServer(timed_out) as server:
        with pytest.raises(ServerAway, match=r"away or too slow \(504: Timed out waiting for notification\): start it"):
            ask(server, retries=1)
    assert len(server.requests) == 2


def test_a_proxy_without_its_server_is_away_and_asked_again():
    with FlakyServer((502, "<html>"), (200, ANSWER)) as server:
        assert ask(server) == [b"\0\0\0"]
    with FlakyServer((502, "<html>")) as server:
        with RestClient(server.address, retries=0) as client:
            with pytest.raises(ServerAway, match=r"\(502: Bad Gateway\)"):
                client.upscale_bytes([b"any"])
            assert not client.ready()


@pytest.mark.parametrize("code", [400, 404, 500])
def test_a_refusal_is_not_repeated(code):
    with FlakyServer((code, json.dumps({"error": "No."}))) as server:
        with pytest.raises(RequestRefused, match=rf"the server refused the request \({code}\): No\.$"):
            ask(server)
    assert len(server.requests) == 1


def test_a_timeout_is_not_repeated():
    with FlakyServer((200, 3)) as server:
        with pytest.raises(ServerAway, match="no answer within 0.3 s"):
            ask(server, timeout=0.3)
    assert len(server.requests) == 1


def test_a_timeout_while_connecting_is_not_repeated(quiet_port):
    with RestClient(f"http://127.0.0.1:{quiet_port}", timeout=0.3) as client:
        started = time.monotonic()
        with pytest.raises(ServerAway, match="no answer within 0.3 s"):
            client.upscale_bytes([b"any"])
    assert time.monotonic() - started < 1


def test_a_request_may_take_longer_to_send_than_a_server_to_be_found(monkeypatch):
    monkeypatch.setattr(rest_client, "_TO_CONNECT", 0.3)
    with FlakyServer((503, BUSY), (200, ANSWER), pause=0.05) as server, RestClient(server.address) as client:
        started = time.monotonic()
        assert client.upscale_bytes([bytes(18_000_000)]) == [b"\0\0\0"]
    assert server.requests[0] - started > 0.9, "it was not slow"


def test_an_answer_that_breaks_off_is_not_asked_for_again():
    with FlakyServer((0, "")) as server:
        with pytest.raises(ServerAway, match="closed connection without response"):
            ask(server)
    assert len(server.requests) == 1


def test_connections_are_used_again():
    with FlakyServer((200, ANSWER)) as server, RestClient(server.address) as client:
        for _ in range(5):
            client.upscale_bytes([b"any"])
    assert (len(server.requests), server.connections) == (5, 1)


@pytest.mark.parametrize(
    "body, words",
    [
        ("<html>hello</html>", "is not TensorFlow Serving"),
        ("[]", "is not TensorFlow Serving"),
        ('{"outputs": 1}', "is not TensorFlow Serving"),
        ('{"predictions": [1.0]}', "holds no sr_png_bytes"),
        ('{"predictions": [{"b64": "?"}]}', "holds no sr_png_bytes"),
        ('{"predictions": []}', "1 images were sent, 0 came back"),
        ("[" * 100_000, "is not TensorFlow Serving"),
        ('{"predictions": %s}' % ("9" * 5000), "is not TensorFlow Serving|holds no sr_png_bytes"),
    ],
)
def test_an_answer_that_makes_no_sense_is_told(body, words):
    with FlakyServer((200, body)) as server, pytest.raises(ServingError, match=words):
        ask(server)


def test_an_answer_of_another_size_is_told():
    body = json.dumps({"predictions": [{"b64": base64.b64encode(encoded(photo(30, 20))).decode()}]})
    with FlakyServer((200, body)) as server, RestClient(server.address) as client:
        with pytest.raises(ServingError, match="20x12 was sent, 30x20 came back"):
            client.upscale(photo(20, 12))
    with FlakyServer((200, ANSWER)) as server, RestClient(server.address) as client:
        with pytest.raises(ServingError, match="is not an image"):
            client.upscale(photo())


def test_what_is_quoted_back_whole_is_cut():
    with FlakyServer((400, json.dumps({"error": "start " + "x" * 5000 + " end"}))) as server:
        with pytest.raises(RequestRefused) as refused:
            ask(server)
    assert len(str(refused.value)) < 600 and "start x" in str(refused.value) and str(refused.value).endswith("x end")


@pytest.mark.parametrize("address", ["ftp://host", "http://", "http://host:port", "http://host:1?a=b", ""])
def test_an_address_that_is_none_is_told(address):
    with pytest.raises(UserError, match="http://HOST:PORT is wanted"):
        RestClient(address)


@pytest.mark.parametrize("host, fault", [("a..b", "empty"), ("a" * 300, "too long")])
def test_a_host_that_cannot_be_one_is_told(host, fault):
    with RestClient(f"http://{host}:8501", retries=0) as client:
        told = rf"^http://{host}:8501: no server answers there \(label (empty or too long|{fault})\)"
        with pytest.raises(ServerAway, match=told):
            client.upscale_bytes([b"any"])
        assert not client.ready()


def test_an_address_may_lack_the_scheme_and_have_a_path(stand_in):
    with RestClient(stand_in.rest.removeprefix("http://") + "/") as client:
        assert client.ready()
    with RestClient("https://host/models") as client:
        assert client.address == "https://host/models"


def test_a_password_goes_to_the_server_and_nowhere_else():
    with FlakyServer((401, "")) as server, RestClient(server.address.replace("//", "//me:secret@")) as client:
        with pytest.raises(RequestRefused) as error:
            client.upscale(photo())
    assert str(error.value).startswith(f"{server.address}: the server refused the request (401)")
    assert server.headers["Authorization"] == "Basic " + base64.b64encode(b"me:secret").decode()


def test_the_scheme_of_an_address_chooses_the_client(stand_in):
    for url, kind in ((stand_in.rest, RestClient), (f"grpc://{stand_in.grpc}", GrpcClient)):
        with serving.client(f"{url}/", version="1") as client:
            assert type(client) is kind and client.ready() and client.upscale(photo()).shape == (48, 80, 3)


def test_a_port_that_speaks_grpc_is_told(stand_in):
    with RestClient(f"http://{stand_in.grpc}", retries=0) as client:
        with pytest.raises(ServerAway, match="there .what does is not HTTP.: start it, or check the port$"):
            client.upscale_bytes([b"any"])


def test_what_a_terminal_would_obey_is_not_printed():
    with FlakyServer((400, json.dumps({"error": "red \x1b[31mor\0not\r\u202e"}))) as server:
        with pytest.raises(RequestRefused, match=r": red \[31mor not$"):
            ask(server)


SETTINGS = [{"timeout": value} for value in (0, 1e7, float("inf"), float("nan"))]
SETTINGS += [{"retries": -1}, {"version": -1}, {"version": 2**63}, {"version": "x"}]


@pytest.mark.parametrize("options", SETTINGS)
@pytest.mark.parametrize("make, address", [(RestClient, "http://localhost:8501"), (GrpcClient, "localhost:8500")])
def test_settings_out_of_range_are_told(make, address, options):
    with pytest.raises(ValueError, match="timeout|version|invalid literal"):
        make(address, **options)


def test_the_longest_timeout_is_one_that_sockets_take(stand_in):
    for url in (stand_in.rest, f"grpc://{stand_in.grpc}"):
        with serving.client(url, timeout=1_000_000) as client:
            assert client.ready()


def test_importing_the_clients_brings_neither_tensorflow_nor_grpc():
    code = "import sys, ssrvae_tf.serving; assert not {'tensorflow', 'grpc'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
