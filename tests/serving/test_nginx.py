"""nginx in front of TensorFlow Serving: what it lets through, and what ends there."""

from __future__ import annotations

import gzip
import json

import nginx
import pytest
import requests
from flaky_server import FlakyServer
from stand_in_server import StandIn
from tiny_saved_models import enlarged, photo

from ssrvae_tf.serving import RestClient

NESTED = {"error": "JSON nested deeper than 16 levels is not taken"}


@pytest.fixture(scope="module")
def flaky():
    with FlakyServer((200, "{}")) as server:
        yield server


@pytest.fixture(scope="module")
def proxy(flaky):
    with nginx.before(flaky.address) as address:
        yield address


@pytest.fixture
def post(flaky, proxy):
    """Posts a body: the answer, and whether the server behind got it."""

    def post_(body, path="/v1/models/m:predict", **options):
        before = len(flaky.requests)
        answer = requests.post(proxy + path, data=body, timeout=30, **options)
        return answer, len(flaky.requests) > before

    return post_


def test_a_server_behind_it_survives_json_that_ends_its_process(saved_models):
    deep = '{"instances": ' + "[" * 20_000 + "]" * 20_000 + "}"
    with StandIn({"ssrvae": saved_models / "ssrvae"}) as server, nginx.before(server.rest) as address:
        answer = requests.post(f"{address}/v1/models/ssrvae:predict", data=deep, timeout=30)
        assert (answer.status_code, answer.json()) == (400, NESTED)
        with RestClient(address) as client:
            assert (client.upscale(photo()) == enlarged(photo())).all()
        floats = photo()[None] / 255
        with RestClient(address) as client:
            assert client.upscale(floats).shape == (1, 48, 80, 3)


@pytest.mark.parametrize(
    "body",
    [
        "[" * 17,
        '{"a":' * 17,
        '{"a": [' * 9,
        "[[], " * 17,
        '["[", ' * 17,
        '"\\"]]]" ' + "[" * 17,
        '"\\\\"' + "[" * 17,
        '"unended", "' + "x" * 100 + '\\\\\\\\"' + "[" * 17,
        b'\xc3"x"' + b"[" * 17,
        b"\0" + b"[" * 17,
        b"\xef\xbb\xbf" + b"[" * 17,
        iter([b"[" * 9, b"[" * 9]),  # in chunks
    ],
)
@pytest.mark.parametrize("path", ["/v1/models/m:predict", "//v1/models/m:predict", "/v1/../monitoring/", "/%76%31/x"])
def test_json_nested_too_deep_ends_here(post, body, path):
    if not isinstance(body, (str, bytes)):
        body = iter([b"[" * 9, b"[" * 9])  # for each path anew
    answer, passed = post(body, path)
    assert (answer.status_code, answer.json(), passed) == (400, NESTED, False)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[" * 16,
        "[]" * 100,
        '"' + "[" * 100 + '"',
        '"\\"' + "[" * 100 + '"',
        b'"\xc3' + b"[" * 100,
        "]" * 9 + "[" * 25,
    ],
)
def test_what_is_not_nested_too_deep_is_passed_on(post, body):
    assert post(body)[1]


def test_what_is_packed_ends_here(post):
    for packed in ("gzip", "GZIP", "x, gzip"):
        answer, passed = post(gzip.compress(b"[" * 20_000), headers={"Content-Encoding": packed})
        assert (answer.status_code, passed) == (415, False)


def test_what_is_too_large_ends_here(post):
    answer, passed = post(b"0" * ((32 << 20) + 1))
    assert (answer.status_code, passed) == (413, False)
    assert post(b'"' + b"0" * (30 << 20) + b'"')[1]


@pytest.mark.parametrize("path", ["/V1/models/m:predict", "/v2/models", "/v1", "/"])
def test_only_the_servers_own_paths_lead_to_it(post, path):
    answer, passed = post("{}", path)
    assert answer.status_code in (404, 405) and not passed


def test_answers_pass_as_they_are(site, stand_in):
    for path in ("/v1/models/ssrvae", "/v1/models/nope", "/v1/models/half?a=b", "/v1/models/half/metadata"):
        here, there = (requests.get(address + path, timeout=30) for address in (site, stand_in.rest))
        assert (here.status_code, json.loads(here.text)) == (there.status_code, json.loads(there.text))
    assert ":tensorflow:serving:" in requests.get(f"{site}/monitoring/prometheus/metrics", timeout=30).text


def test_pages_of_others_are_not_let_through(site):
    answer = requests.get(f"{site}/v1/models/ssrvae", headers={"Origin": "http://elsewhere"}, timeout=30)
    assert not [name for name in answer.headers if name.lower().startswith("access-control-")]
