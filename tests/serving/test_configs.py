"""The files that docker compose and TensorFlow Serving read, as far as that can be checked without either."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
import yaml
from flaky_server import FlakyServer
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format, wrappers_pb2
from stand_in_server import StandIn
from stand_in_server.rest import METRICS_URL
from tensorflow_serving.config import model_server_config_pb2

SERVING = Path(__file__).parents[2] / "serving"
# Flags of tensorflow_model_server 2.15 that are used here. It does not start for one that it does not know.
FLAGS = {
    "batching_parameters_file",
    "enable_batching",
    "grpc_max_threads",
    "max_num_load_retries",
    "model_config_file",
    "monitoring_config_file",
    "port",
    "rest_api_num_threads",
    "rest_api_port",
    "rest_api_timeout_in_ms",
}


@pytest.fixture
def services():
    return yaml.safe_load((SERVING / "docker-compose.yml").read_text())["services"]


def mounts(service) -> dict:
    """What lies where in the container -> (path here, mode)."""
    parts = [each.split(":") for each in service["volumes"]]
    return {there: (SERVING / here, mode) for here, there, mode in parts}


def flags(text: str) -> dict:
    return dict(word.removeprefix("--").split("=", 1) for word in shlex.split(text))


def test_models_config_is_what_the_server_reads():
    config = model_server_config_pb2.ModelServerConfig()
    text_format.Parse((SERVING / "models.config").read_text(), config)
    (model,) = config.model_config_list.config
    assert (model.name, model.base_path, model.model_platform) == ("ssrvae", "/models/ssrvae", "tensorflow")
    assert model.model_version_policy.latest.num_versions == 1
    wrong = (SERVING / "models.config").read_text().replace("base_path", "base_bath")
    with pytest.raises(text_format.ParseError, match='has no field named "base_bath"'):
        text_format.Parse(wrong, model_server_config_pb2.ModelServerConfig())


def batching_parameters():
    """An empty BatchingParameters with those of its fields that are used here: tensorflow-serving-api lacks it."""
    file = descriptor_pb2.FileDescriptorProto(name="batching.proto", package="here")
    file.dependency.append(wrappers_pb2.DESCRIPTOR.name)
    message = file.message_type.add(name="BatchingParameters")
    numbers = ["max_batch_size", "max_execution_batch_size", "batch_timeout_micros"]
    numbers += ["max_enqueued_batches", "num_batch_threads"]
    kinds = {**dict.fromkeys(numbers, "Int64Value"), "enable_large_batch_splitting": "BoolValue"}
    for number, (name, kind) in enumerate(kinds.items(), 1):
        message.field.add(name=name, number=number, label=1, type=11, type_name=f".google.protobuf.{kind}")
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    # The latter is that of protobuf 3, with which Python 3.9 ends up.
    made = getattr(message_factory, "GetMessageClass", None) or message_factory.MessageFactory(pool).GetPrototype
    return made(pool.FindMessageTypeByName("here.BatchingParameters"))()


def test_batching_config_splits_large_requests_and_says_how_large_they_may_be():
    config = text_format.Parse((SERVING / "batching.config").read_text(), batching_parameters())
    assert len(config.ListFields()) == len(config.DESCRIPTOR.fields)
    # The server refuses a request of more than max_batch_size, whether it may split it or not.
    most, together = config.max_batch_size.value, config.max_execution_batch_size.value
    assert config.enable_large_batch_splitting.value and together < most
    assert most <= config.max_enqueued_batches.value * together, "its parts would not fit into the queue"
    readme = " ".join((SERVING / "README.md").read_text().split())
    assert f"{together} photos at most are run together" in readme and f"more than {most} are refused" in readme


def test_monitoring_config_opens_the_page_that_the_readme_names():
    text = (SERVING / "monitoring.config").read_text()
    assert re.search(r'prometheus_config \{\s*enable: true\s*path: "(.*)"\s*\}', text).group(1) == METRICS_URL
    assert METRICS_URL in (SERVING / "README.md").read_text()


def test_the_image_has_the_version_of_a_tensorflow_and_every_image_one(services):
    # The older one: it loads what either writes, as `make stacks` sees.
    pins = re.findall(r"^ +tensorflow==([\d.]+);", (SERVING.parent / "setup.cfg").read_text(), re.MULTILINE)
    assert services["serving"]["image"] == f"tensorflow/serving:{min(pins)}"
    assert all(re.search(r":\d+\.\d+\.\d+", service["image"]) for service in services.values())


def test_all_that_is_mounted_is_there_and_read_only(services):
    for service in services.values():
        for there, (here, mode) in mounts(service).items():
            assert mode == "ro", there
            assert here.exists() or there == "/models"  # which the export makes


@pytest.fixture
def started(services, tmp_path):
    """Starts the server as its container does, with these variables set; a program that prints stands in for it."""
    (tmp_path / "tensorflow_model_server").write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
    (tmp_path / "tensorflow_model_server").chmod(0o755)
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")

    def start(**variables):
        (script,) = services["serving"]["command"]
        # What compose puts in place of variables.
        script = re.sub(r"\$\{(\w+):-(.*?)\}", lambda match: variables.get(match[1], match[2]), script)
        command = [*services["serving"]["entrypoint"], script.replace("$$", "$")]
        environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)

    return start


def test_the_servers_options_are_known_and_name_what_is_mounted(services, started):
    (batching,) = re.findall(r'SSRVAE_OPTIONS="(--.*)"', (SERVING / "README.md").read_text())
    given = flags(started(SSRVAE_OPTIONS=batching).stdout)
    assert set(given) == FLAGS
    for name in ("model_config_file", "monitoring_config_file", "batching_parameters_file"):
        assert given[name] in mounts(services["serving"])
    assert given["max_num_load_retries"] == "0", "a broken version would hold up newer ones"


@pytest.mark.parametrize("variables, at_once", [({}, 16), ({"SSRVAE_THREADS": "1"}, 1), ({"SSRVAE_THREADS": "40"}, 40)])
def test_as_many_requests_run_at_once_as_are_asked_for(started, variables, at_once):
    given = flags(started(**variables).stdout)
    assert given["rest_api_num_threads"] == given["grpc_max_threads"] == str(at_once + 1)


@pytest.mark.parametrize("threads", ["0", "-3", "many"])
def test_a_number_of_threads_that_is_none_is_told_in_a_line(started, threads):
    ended = started(SSRVAE_THREADS=threads)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == f"SSRVAE_THREADS={threads}: 1 or more is wanted\n"


def test_only_the_needed_ports_are_open_and_to_this_machine_only(services):
    ports = [port for service in services.values() for port in service["ports"]]
    prefix = "${SSRVAE_BIND:-127.0.0.1}:"
    assert sorted(port.removeprefix(prefix) for port in ports) == ["8080:8080", "8500:8500", "8501:8080"]
    assert all(port.startswith(prefix) for port in ports)
    # REST is reached through nginx only.
    assert [port for port in services["serving"]["ports"] if not port.endswith(":8500")] == []


def test_nginx_finds_what_is_mounted_and_the_server(services):
    settings = (SERVING / "nginx.conf").read_text()
    paths = set(re.findall(r"(?:root|from) (/[^;]*)", settings))
    assert paths | {"/etc/nginx/nginx.conf"} == set(mounts(services["web"]))
    assert re.findall(r"set \$serving (\w+):(\d+);", settings) == [("serving", "8501")]


def test_every_service_is_limited_and_watched(services):
    for service in services.values():
        assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}
        assert service["healthcheck"]["test"][0] == "CMD" and service["restart"] == "unless-stopped"


def test_the_limits_suit_any_machine_and_can_be_set(services):
    readme = (SERVING / "README.md").read_text()
    for service in services.values():
        # Docker does not start what may take more CPUs than there are; 0 is no limit.
        assert float(re.sub(r"\$\{\w+:-(.*)\}", r"\1", service["deploy"]["resources"]["limits"]["cpus"])) <= 1
    for name, value in services["serving"]["deploy"]["resources"]["limits"].items():
        variable = re.fullmatch(r"\$\{(\w+):-\w+\}", value)[1]
        assert variable == {"cpus": "SSRVAE_CPUS", "memory": "SSRVAE_MEMORY"}[name] and f"`{variable}=" in readme


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_the_health_check_tells_a_server_from_others_even_while_all_its_threads_are_at_work(services, saved_models):
    kind, *command = services["serving"]["healthcheck"]["test"]
    assert kind == "CMD" and "127.0.0.1/8500" in command[-1]

    def healthy(address: str) -> bool:
        *start, script = command
        script = script.replace("$$", "$").replace("127.0.0.1/8500", address.replace(":", "/")).replace("-t 4", "-t 1")
        return subprocess.run([*start, script], timeout=20, capture_output=True).returncode == 0

    for threads in (17, 1):  # where there is one, none is left for requests
        with StandIn({"half": saved_models / "half"}, threads=threads) as server:
            assert healthy(server.grpc)
    assert not healthy(server.grpc)
    with FlakyServer((200, "")) as other:
        assert not healthy(other.address.removeprefix("http://"))
    with socket.create_server(("127.0.0.1", 0)) as silent:  # such as a process that hangs
        assert not healthy("{}:{}".format(*silent.getsockname()))
