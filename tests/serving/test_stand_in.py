"""The stand-in, against what was read off a real TensorFlow Serving 2.15.1."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import shutil
import threading
import time

import grpc
import numpy as np
import pytest
import requests
import tensorflow as tf
from stand_in_server import StandIn
from stand_in_server.json_tensors import parse_json
from stand_in_server.servables import Status as ServerStatus
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_log_pb2,
    prediction_service_pb2_grpc,
)
from tiny_saved_models import MOST_PIXELS, Bicubic, decoded, encoded, enlarged, photo, save


def post(server, path: str, document) -> tuple[int, object]:
    body = document if isinstance(document, (str, bytes)) else json.dumps(document)
    answer = requests.post(server.rest + path, data=body, timeout=30)
    return answer.status_code, answer.json()


def error(server, path: str, document) -> str:
    """The message of a 400."""
    code, answer = post(server, path, document)
    assert code == 400 and set(answer) == {"error"}
    return answer["error"]


def predict(server, document, model: str = "half"):
    code, answer = post(server, f"/v1/models/{model}:predict", document)
    assert code == 200, answer
    return answer


def b64(data: bytes) -> dict:
    return {"b64": base64.b64encode(data).decode()}


@pytest.fixture
def stubs(stand_in):
    with grpc.insecure_channel(stand_in.grpc) as channel:
        yield (
            prediction_service_pb2_grpc.PredictionServiceStub(channel),
            model_service_pb2_grpc.ModelServiceStub(channel),
        )


def request_for(model: str, signature: str = "", **inputs) -> predict_pb2.PredictRequest:
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = model, signature
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return request


@pytest.mark.parametrize(
    "method, path, code, message",
    [
        ("POST", "/v1/models/nope:predict", 404, "Servable not found for request: Latest(nope)"),
        ("POST", "/v1/models/half/versions/9:predict", 404, "Servable not found for request: Specific(half, 9)"),
        ("GET", "/v1/models/nope", 404, "Could not find any versions of model nope"),
        ("GET", "/v1/models/half/versions/9", 404, "Could not find version 9 of model half"),
        ("GET", "/v1/models/nope/metadata", 404, "Servable not found for request: Latest(nope)"),
        ("GET", "/v1/models", 400, "Missing model name in request."),
        ("PUT", "/v1/models/half:predict", 400, "Malformed request: PUT /v1/models/half:predict"),
        ("GET", "/v1/models/half:predict", 400, "Malformed request: GET /v1/models/half:predict"),
        ("POST", "/v1/models/half", 400, "Malformed request: POST /v1/models/half"),
        ("POST", "/v1/models/half:dream", 400, "Malformed request: POST /v1/models/half:dream"),
        ("POST", "/v1/models/half/labels/best:predict", 400, "Unrecognized servable version label: best"),
    ],
)
def test_urls_that_lead_nowhere(stand_in, method, path, code, message):
    answer = requests.request(method, stand_in.rest + path, data='{"instances": [1.0]}', timeout=30)
    assert (answer.status_code, answer.json()) == (code, {"error": message})


def test_beyond_v1_there_is_a_404_in_html(stand_in):
    answer = requests.get(stand_in.rest, timeout=30)
    assert answer.status_code == 404 and answer.headers["Content-Type"] == "text/html" and "404" in answer.text


def test_urls_are_read_in_any_case_and_by_version(stand_in):
    assert post(stand_in, "/V1/Models/half/Versions/1:Predict", {"instances": [1]})[0] == 200


def test_what_follows_a_question_mark_is_a_part_of_the_path(stand_in):
    answer = requests.get(f"{stand_in.rest}/v1/models/half?a=b", timeout=30)
    assert (answer.status_code, answer.json()["error"]) == (404, "Could not find any versions of model half?a=b")
    told = error(stand_in, "/v1/models/half:predict?a=b", {"instances": [1]})
    assert told == "Malformed request: POST /v1/models/half:predict?a=b"


def test_head_is_a_400_without_a_body(stand_in):
    answer = requests.head(f"{stand_in.rest}/v1/models/half", timeout=30)
    assert (answer.status_code, answer.content) == (400, b"")


def test_status_lists_strings_and_full_states(stand_in):
    answer = requests.get(f"{stand_in.rest}/v1/models/half", timeout=30).json()
    state = {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    assert answer == {"model_version_status": [state]}


def test_metadata_names_the_init_op_and_empty_defaults(stand_in):
    answer = requests.get(f"{stand_in.rest}/v1/models/half/metadata", timeout=30).json()
    assert answer["model_spec"]["name"] == "half" and answer["model_spec"]["version"] == "1"
    signatures = answer["metadata"]["signature_def"]["signature_def"]
    assert set(signatures) == {"serving_default", "__saved_model_init_op"}
    assert signatures["serving_default"]["defaults"] == {}
    x = signatures["serving_default"]["inputs"]["x"]
    assert x["dtype"] == "DT_FLOAT" and x["tensor_shape"]["dim"] == [{"size": "-1", "name": ""}]


def test_rows_are_answered_in_rows_and_columns_in_columns(stand_in):
    for given in ([1.0, 5.0], [{"x": 1.0}, {"x": 5.0}]):
        assert predict(stand_in, {"instances": given}) == {"predictions": [2.5, 4.5]}
    for given in ([1.0, 5.0], {"x": [1.0, 5.0]}):
        assert predict(stand_in, {"inputs": given}) == {"outputs": [2.5, 4.5]}


def test_an_empty_name_of_a_signature_is_the_default_one(stand_in):
    assert predict(stand_in, {"signature_name": "", "instances": [1.0]}) == {"predictions": [2.5]}


def test_several_outputs_are_objects_and_only_names_in_bytes_get_base64(stand_in):
    row = {"total": 3.0, "label": "yak", "raw_bytes": b64(b"yak")}
    assert predict(stand_in, {"instances": [{"a": 1, "b": 2}] * 2}, "several") == {"predictions": [row, row]}
    columns = {name: [value] for name, value in row.items()}
    assert predict(stand_in, {"inputs": {"a": [1], "b": [2]}}, "several") == {"outputs": columns}


def test_keys_of_objects_come_in_any_order(stand_in):
    orders = {tuple(predict(stand_in, {"inputs": {"a": [1], "b": [2]}}, "several")["outputs"]) for _ in range(60)}
    assert len(orders) > 1


def test_an_output_without_rows_comes_in_columns_only(stand_in):
    request = {"signature_name": "mean", "inputs": {"a": [1.0, 3.0], "b": [0, 0]}}
    assert predict(stand_in, request, "several") == {"outputs": 2.0}
    request = {"signature_name": "mean", "instances": [{"a": 1.0, "b": 0}]}
    assert error(stand_in, "/v1/models/several:predict", request) == "Tensor name: mean has no shape information "


def test_numbers_travel_as_on_the_real_server(stand_in):
    body = '{"instances": [NaN, Infinity, -Infinity, 16777217, 1e39, 0.2, 3]}'
    text = requests.post(f"{stand_in.rest}/v1/models/half:predict", data=body, timeout=30).text
    values = text.partition("[")[2].strip("]} \n").split(", ")
    assert values == ["NaN", "Infinity", "-Infinity", "8.38861e+06", "Infinity", "2.1", "3.5"]


def test_a_wrong_rank_is_left_to_the_graph(stand_in):
    assert predict(stand_in, {"instances": [[3.0], [4.0]]}) == {"predictions": [[3.5], [4.0]]}


@pytest.mark.parametrize(
    "document, message",
    [
        (
            {"instances": ["a"]},
            "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: "
            'JSON Value: "a" Type: String is not of expected type: float',
        ),
        (
            {"instances": [1.0, {"x": 2.0}]},
            "Expecting value/list but got object at item 1 of input list",
        ),
        (
            {"instances": [[1.0], [1.0, 2.0]]},
            "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: "
            "Expecting tensor size: 1 but got: 2",
        ),
        (
            {"instances": [[[1.0, 2.0], [3.0]]]},
            "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: "
            "Encountered list at unexpected size: 1 at level: 1 expected size: 2",
        ),
        (
            {"instances": [{"z": 1.0}]},
            "Failed to process element: 0 key: z of 'instances' list. Error: INVALID_ARGUMENT: "
            "JSON object: does not have named input: z",
        ),
        ({"inputs": {"z": 1.0}}, "Missing named input: x in 'inputs' object."),
        ({"signature_name": "nope", "instances": [1]}, 'Serving signature name: "nope" not found in signature def'),
        ({}, "Missing 'inputs' or 'instances' key"),
        ("", "JSON Parse error: The document is empty"),
        ("[1]", "JSON Value: [\n    1\n] Is not object"),
        ('{"instances": [1.0, oops]}', "JSON Parse error: Invalid value. at offset: 20"),
        ('{"instances": [1.0,', "JSON Parse error: Invalid value. at offset: 19"),
    ],
)
def test_requests_that_make_no_sense(stand_in, document, message):
    assert error(stand_in, "/v1/models/half:predict", document) == message


@pytest.mark.parametrize(
    "document, end",
    [
        ({"instances": [1], "inputs": [1]}, "expecting only one of 'inputs' or 'instances' keys to exist "),
        ({"instances": []}, "No values in 'instances' array"),
        ({"instances": 3}, "Expecting 'instances' to be an list/array"),
    ],
)
def test_requests_of_a_wrong_form_are_quoted(stand_in, document, end):
    message = error(stand_in, "/v1/models/half:predict", document)
    assert message.startswith("JSON Value: {") and message.endswith(end)


@pytest.mark.parametrize(
    "body, message",
    [
        (b"  ", "The document is empty. at offset: 2"),
        (b'{"a" 1}', "Missing a colon after a name of object member. at offset: 5"),
        (b'{"a": 1 "b"}', "Missing a comma or } after an object member. at offset: 8"),
        (b'{"a": [1 2]}', "Missing a comma or ] after an array element. at offset: 9"),
        (b'{"a": "b', "Missing a closing quotation mark in string. at offset: 8"),
        (b'{"\xc3\xa9": x}', "Invalid value. at offset: 7"),
        (b"{a: 1}", "Missing a name for object member. at offset: 1"),
        (b"{} {}", "The document root must not be followed by other values. at offset: 3"),
    ],
)
def test_errors_of_json_are_in_the_words_of_rapidjson(body, message):
    with pytest.raises(ServerStatus) as status:
        parse_json(body)
    assert status.value.message == f"JSON Parse error: {message}"


def test_images_of_any_sizes_and_formats_go_through_in_one_request(stand_in):
    images = [photo(20, 12), photo(7, 9, seed=1), photo(16, 16, seed=2)]
    data = [encoded(image, kind) for image, kind in zip(images, ("PNG", "BMP", "GIF"))]
    rows = [{"image_bytes": b64(each)} for each in data]
    answer = predict(stand_in, {"signature_name": "upscale_bytes", "instances": rows}, "ssrvae")
    results = [decoded(base64.b64decode(each["b64"])) for each in answer["predictions"]]
    assert [each.shape for each in results] == [(48, 80, 3), (36, 28, 3), (64, 64, 3)]
    np.testing.assert_array_equal(results[0], enlarged(images[0]))
    bare = predict(stand_in, {"signature_name": "upscale_bytes", "instances": [b64(each) for each in data]}, "ssrvae")
    assert bare == answer


def test_only_the_standard_alphabet_of_base64_is_taken(stand_in):
    data = next(d for d in (encoded(photo(seed=seed)) for seed in range(50)) if b"+" in base64.b64encode(d))
    row = {"b64": base64.urlsafe_b64encode(data).decode()}
    message = error(stand_in, "/v1/models/ssrvae:predict", {"signature_name": "upscale_bytes", "instances": [row]})
    assert message.endswith("INVALID_ARGUMENT: Unable to base64 decode")
    unpadded = {"b64": base64.b64encode(data).decode().rstrip("=")}
    assert predict(stand_in, {"signature_name": "upscale_bytes", "instances": [unpadded]}, "ssrvae")


@pytest.mark.parametrize(
    "data, words",
    [
        # TensorFlow 2.21 knows more formats.
        (b"nothing", r"Unknown image file format\. One of JPEG,.* PNG, GIF, BMP.* required\."),
        (encoded(photo(64, 64), "JPEG")[:300], r"jpeg::Uncompress failed\. Invalid JPEG data or crop window\."),
    ],
)
def test_an_undecodable_image_gets_the_words_of_the_op_its_function_and_its_node(stand_in, stubs, data, words):
    document = {"signature_name": "upscale_bytes", "instances": [b64(data)]}
    message = error(stand_in, "/v1/models/ssrvae:predict", document)
    node = r"\[\[\{\{function_node map_while_body_\d+\}\}\{\{node map/while/decode_image/DecodeImage\}\}\]\]"
    assert re.fullmatch(rf"{words}\n\t {node}", message)
    with pytest.raises(grpc.RpcError) as failure:
        stubs[0].Predict(request_for("ssrvae", "upscale_bytes", image_bytes=[data]))
    assert failure.value.code() == grpc.StatusCode.INVALID_ARGUMENT and failure.value.details() == message


def test_what_the_graph_refuses_is_a_400(stand_in):
    rows = [b64(encoded(np.zeros((129, 128, 3), np.uint8)))]
    document = {"signature_name": "upscale_bytes", "instances": rows}
    assert f"more than {MOST_PIXELS} pixels" in error(stand_in, "/v1/models/ssrvae:predict", document)


def test_headers_for_browsers_are_sent_only_where_asked_for(stand_in, saved_models):
    page = {"Origin": "http://page"}
    with StandIn({"half": saved_models / "half"}, cors=True) as server:
        for address, allowed in ((server.rest, "*"), (stand_in.rest, None)):
            url = f"{address}/v1/models/half"
            answers = [requests.request(method, url, headers=page, timeout=30) for method in ("GET", "OPTIONS")]
            assert [each.status_code for each in answers] == [200, 200] and not answers[1].content
            assert [each.headers.get("Access-Control-Allow-Origin") for each in answers] == [allowed] * 2
            assert requests.options(url, timeout=30).status_code == 400  # not from a page


def test_a_prediction_that_takes_too_long_is_a_504(saved_models):
    with StandIn({"slow": saved_models / "slow"}, rest_timeout_ms=100) as server:
        code, answer = post(server, "/v1/models/slow:predict", {"instances": [10**9]})
        assert (code, answer) == (504, {"error": "Timed out waiting for notification"})
        assert predict(server, {"instances": [3]}, "slow") == {"predictions": [3]}


def test_one_thread_of_rest_and_grpc_takes_what_comes_in(saved_models):
    def ask(server, path="/v1/models/slow"):
        return requests.get(server.rest + path, timeout=0.3).status_code

    def ask_grpc(server):
        with grpc.insecure_channel(server.grpc) as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            return tf.make_ndarray(stub.Predict(request_for("slow", x=np.int32([3]))).outputs["y"]).tolist()

    with StandIn({"slow": saved_models / "slow"}, threads=1) as server:
        assert ask(server, "/") == 404
        with pytest.raises(requests.ReadTimeout):
            ask(server)
        with pytest.raises(grpc.RpcError) as failure:
            ask_grpc(server)
        assert failure.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    with StandIn({"slow": saved_models / "slow"}, threads=2, rest_timeout_ms=1500) as server:
        assert ask(server) == 200 and ask_grpc(server) == [3]
        busy = threading.Thread(target=post, args=(server, "/v1/models/slow:predict", {"instances": [10**9]}))
        busy.start()
        with pytest.raises(requests.ReadTimeout):
            for _ in range(1000):  # until the other request is there
                ask(server)
        assert ask_grpc(server) == [3]
        busy.join()
        assert ask(server) == 200


def test_json_that_is_nested_too_deep_ends_the_process(saved_models):
    with StandIn({"half": saved_models / "half"}) as server:
        assert predict(server, {"instances": [1.0]}) == {"predictions": [2.5]}
        with pytest.raises(requests.ConnectionError):
            post(server, "/v1/models/half:predict", '{"instances": ' + "[" * 20_000 + "]" * 20_000 + "}")
        for _ in range(100):
            try:
                requests.get(f"{server.rest}/v1/models/half", timeout=30)
            except requests.ConnectionError:
                break
            time.sleep(0.05)
        else:
            pytest.fail("it goes on")


def test_monitoring_counts_requests(stand_in):
    predict(stand_in, {"instances": [1.0]})
    text = requests.get(f"{stand_in.rest}/monitoring/prometheus/metrics", timeout=30).text
    assert ':tensorflow:serving:request_count{model_name="half",status="OK"}' in text


def test_grpc_predicts_and_names_the_version(stubs):
    answer = stubs[0].Predict(request_for("half", x=np.float32([1.0, 5.0])))
    assert answer.model_spec.version.value == 1 and answer.model_spec.signature_name == "serving_default"
    np.testing.assert_array_equal(tf.make_ndarray(answer.outputs["y"]), [2.5, 4.5])


def test_grpc_does_not_convert_numbers(stubs):
    with pytest.raises(grpc.RpcError) as failure:
        stubs[0].Predict(request_for("half", x=np.float64([1.0])))
    told = failure.value.code().name, failure.value.details()
    assert told == ("INVALID_ARGUMENT", "Expects arg[0] to be float but double is provided")


def test_grpc_gives_only_the_outputs_asked_for(stubs):
    request = request_for("several", a=np.float32([1]), b=np.int32([2]))
    request.output_filter.append("label")
    assert list(stubs[0].Predict(request).outputs) == ["label"]
    request.output_filter[0] = "nope"
    with pytest.raises(grpc.RpcError, match="output tensor alias not found in signature: nope"):
        stubs[0].Predict(request)


@pytest.mark.parametrize(
    "request_, code, message",
    [
        (request_for("nope"), "NOT_FOUND", "Servable not found for request: Latest(nope)"),
        (request_for("half", "nope"), "FAILED_PRECONDITION", 'Serving signature key "nope" not found.'),
        (
            request_for("half"),
            "INVALID_ARGUMENT",
            "input size does not match signature: 0!=1 len({}) != len({x}). Sent extra: {}. Missing but required: {x}.",
        ),
    ],
)
def test_grpc_refuses_with_the_servers_codes(stubs, request_, code, message):
    with pytest.raises(grpc.RpcError) as failure:
        stubs[0].Predict(request_)
    assert (failure.value.code().name, failure.value.details()) == (code, message)


def test_grpc_tells_status_and_metadata(stubs):
    predictions, models = stubs
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "half"
    (version,) = models.GetModelStatus(request).model_version_status
    assert version.version == 1 and version.state == version.AVAILABLE
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "half"
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert predictions.GetModelMetadata(request).metadata["signature_def"].Unpack(signatures)
    assert "serving_default" in signatures.signature_def


def test_warm_up_requests_are_run_when_a_version_is_loaded(saved_models, tmp_path):
    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.CopyFrom(request_for("ssrvae", "upscale_bytes", image_bytes=[encoded(photo())]))
    for name, data in (("1", log.SerializeToString()), ("2", b"\xff broken")):
        shutil.copytree(saved_models / "ssrvae" / "1", tmp_path / "model" / name)
        (tmp_path / "model" / name / "assets.extra").mkdir()
        with tf.io.TFRecordWriter(str(tmp_path / "model" / name / "assets.extra/tf_serving_warmup_requests")) as file:
            file.write(data)
    shutil.move(tmp_path / "model" / "2", tmp_path / "2")
    with StandIn({"m": tmp_path / "model"}, poll_seconds=3600) as server:
        assert server.models.servable("m", None)[1].warmed_up == 1
        shutil.move(tmp_path / "2", tmp_path / "model" / "2")
        server.models.reload()
        assert states(server) == {2: "END", 1: "AVAILABLE"}


def states(server) -> dict:
    """Of each version of m."""
    answer = requests.get(f"{server.rest}/v1/models/m", timeout=30).json()["model_version_status"]
    return {int(each["version"]): each["state"] for each in answer}


def wait_for(server, wanted: dict) -> None:
    for _ in range(200):
        if (seen := states(server)) == wanted:
            return
        time.sleep(0.05)
    pytest.fail(f"{seen} after 10 s, {wanted} is wanted")


def test_an_older_version_comes_back_once_the_newer_one_is_removed(saved_models, tmp_path):
    for name in "12":
        shutil.copytree(saved_models / "half" / "1", tmp_path / "m" / name)
    with StandIn({"m": tmp_path / "m"}, poll_seconds=0.05) as server:
        assert states(server) == {2: "AVAILABLE"}
        shutil.move(tmp_path / "m" / "2", tmp_path / "2")
        wait_for(server, {2: "END", 1: "AVAILABLE"})
        assert list(states(server)) == [2, 1]
        assert predict(server, {"instances": [1.0]}, "m") == {"predictions": [2.5]}
        shutil.move(tmp_path / "2", tmp_path / "m" / "2")
        wait_for(server, {2: "AVAILABLE", 1: "END"})
        shutil.rmtree(tmp_path / "m")
        wait_for(server, {2: "END", 1: "END"})


@pytest.fixture
def broken(saved_models, tmp_path):
    """A server of m, with settings for loading; to its version 1 comes a broken version 2, then a good version 3."""

    @contextlib.contextmanager
    def start(**options):
        shutil.copytree(saved_models / "half" / "1", tmp_path / "m" / "1")
        with StandIn({"m": tmp_path / "m"}, poll_seconds=0.05, **options) as server:
            (tmp_path / "2").mkdir()
            (tmp_path / "2" / "saved_model.pb").write_bytes(b"\xff broken")
            shutil.move(tmp_path / "2", tmp_path / "m" / "2")
            while 2 not in states(server):
                time.sleep(0.01)
            shutil.copytree(saved_models / "half" / "1", tmp_path / "3")
            shutil.move(tmp_path / "3", tmp_path / "m" / "3")
            yield server

    return start


def test_a_broken_version_blocks_newer_ones_while_it_is_tried_again(broken):
    with broken(load_retries=5, retry_seconds=3600) as server:
        time.sleep(0.5)
        assert states(server) == {2: "LOADING", 1: "AVAILABLE"}
        assert predict(server, {"instances": [1.0]}, "m") == {"predictions": [2.5]}


def test_a_broken_version_is_given_up_in_the_end(broken):
    for options in ({"load_retries": 0, "retry_seconds": 3600}, {"load_retries": 2, "retry_seconds": 0.01}):
        with broken(**options) as server:
            wait_for(server, {3: "AVAILABLE", 2: "END", 1: "END"})
        shutil.rmtree(server.models._models["m"].base_path)


def test_a_new_version_replaces_the_old_one_under_load_without_a_failed_request(tmp_path):
    folder = tmp_path / "model"
    save(Bicubic(), folder / "1")
    save(Bicubic(shift=0.5), tmp_path / "next")
    image = photo()
    document = json.dumps({"signature_name": "upscale_bytes", "instances": [b64(encoded(image))]})
    old, new = enlarged(image), enlarged(image, 0.5)
    answers, ended = [], threading.Event()

    def ask(server):
        with requests.Session() as session:
            while not ended.is_set():
                answer = session.post(f"{server.rest}/v1/models/m:predict", data=document, timeout=30)
                answers.append((answer.status_code, answer.content))

    with StandIn({"m": folder}, poll_seconds=0.05) as server:
        threads = [threading.Thread(target=ask, args=(server,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        (tmp_path / "next").rename(folder / "2")
        for _ in range(600):
            answered = len({body for _, body in answers}) == 2  # the new version has, too
            if answered and 1 not in server.models._models["m"].servables:
                break
            ended.wait(0.05)
        ended.set()
        for thread in threads:
            thread.join()
        at_the_end = states(server)
        gone = requests.post(f"{server.rest}/v1/models/m/versions/1:predict", data=document, timeout=30)
    assert {code for code, _ in answers} == {200}
    images = {body: decoded(base64.b64decode(json.loads(body)["predictions"][0]["b64"])) for _, body in answers}
    seen = {index for each in images.values() for index in (0, 1) if np.array_equal(each, (old, new)[index])}
    assert seen == {0, 1} and len(images) == 2
    assert at_the_end == {2: "AVAILABLE", 1: "END"}
    assert gone.json() == {"error": "Servable not found for request: Specific(m, 1)"}
