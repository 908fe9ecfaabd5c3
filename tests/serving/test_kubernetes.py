"""The manifests for Kubernetes, as far as that can be checked without one: by its schemas, and by what they name."""

from __future__ import annotations

import copy
import re
import shlex
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

import ssrvae_tf
from ssrvae_tf import config

SERVING = Path(__file__).parents[2] / "serving"
SCALE = SERVING.parent / "docs" / "scale.md"
# An old one, whose users are not to be left out, and the newest that kubernetes-validate knows.
VERSIONS = ["1.30", kubernetes_validate.latest_version()]
# Of kubeflow.org/v1's TFJob, as the models of kubeflow-training 1.9.4 have it.
TFJOB = {
    "": {"apiVersion", "kind", "metadata", "spec"},
    "spec": {"enableDynamicWorker", "runPolicy", "successPolicy", "tfReplicaSpecs"},
    "runPolicy": {
        *("activeDeadlineSeconds", "backoffLimit", "cleanPodPolicy", "managedBy"),
        *("schedulingPolicy", "suspend", "ttlSecondsAfterFinished"),
    },
    "replica": {"replicas", "restartPolicy", "template"},
}


def documents(name: str) -> list[dict]:
    return list(yaml.safe_load_all((SERVING / "kubernetes" / name).read_text()))


def by_kind(name: str, kind: str) -> dict:
    (found, *_) = [each for each in documents(name) if each["kind"] == kind]
    return found


def valid(document: dict, version: str) -> None:
    kubernetes_validate.validate(document, version, strict=True)


def pod_of(template: dict) -> dict:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, **copy.deepcopy(template)}


@pytest.fixture(scope="module")
def deployment():
    return by_kind("serving.yml", "Deployment")


@pytest.fixture(scope="module")
def containers(deployment):
    pod = deployment["spec"]["template"]["spec"]
    return {each["name"]: each for each in pod["initContainers"] + pod["containers"]}


@pytest.mark.parametrize("version", VERSIONS)
def test_what_serves_fits_the_schemas(version):
    kinds = [document["kind"] for document in documents("serving.yml")]
    assert kinds == ["Deployment", "Service", "Service", "HorizontalPodAutoscaler", "PodDisruptionBudget"]
    for document in documents("serving.yml"):
        valid(document, version)
    wrong = copy.deepcopy(documents("serving.yml")[0])
    wrong["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        valid(wrong, version)


@pytest.mark.parametrize("version", VERSIONS)
def test_what_trains_fits_the_schemas(version):
    """Kubernetes' own for the claim and the pods; TFJob's own fields by hand."""
    claim, job = documents("training.yml")
    valid(claim, version)
    assert (job["apiVersion"], job["kind"]) == ("kubeflow.org/v1", "TFJob")
    assert job.keys() <= TFJOB[""] and job["spec"].keys() <= TFJOB["spec"]
    assert job["spec"]["runPolicy"].keys() <= TFJOB["runPolicy"]
    assert job["spec"]["runPolicy"]["cleanPodPolicy"] in ("All", "Running", "None")
    for role, replica in job["spec"]["tfReplicaSpecs"].items():
        assert role in ("Chief", "Worker", "PS", "Evaluator") and replica.keys() <= TFJOB["replica"]
        assert replica["restartPolicy"] in ("Always", "OnFailure", "Never", "ExitCode")
        valid(pod_of(replica["template"]), version)


def test_each_worker_trains_where_all_of_them_do():
    claim, job = documents("training.yml")
    replica = job["spec"]["tfReplicaSpecs"]["Worker"]
    pod = replica["template"]["spec"]
    (container,) = pod["containers"]
    assert container["name"] == "tensorflow" and container["ports"][0]["name"] == "tfjob-port"
    command, *words = container["args"]
    settings = config.parse(words)
    assert command == "fit" and settings.batch_size % replica["replicas"] == 0 and not settings.max_minutes
    (volume,) = pod["volumes"]
    assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    (mount,) = container["volumeMounts"]
    assert all(path.startswith(f"{mount['mountPath']}/") for path in (settings.hr, settings.lr, settings.out))
    assert pod["securityContext"]["runAsNonRoot"]


def test_images_are_those_of_this_version_and_of_compose(containers):
    compose = yaml.safe_load((SERVING / "docker-compose.yml").read_text())["services"]
    assert {name: containers[name]["image"] for name in compose} == {
        name: each["image"] for name, each in compose.items()
    }
    job = by_kind("training.yml", "TFJob")["spec"]["tfReplicaSpecs"]["Worker"]["template"]["spec"]
    own = f"ssrvae:{ssrvae_tf.__version__}"
    assert containers["export"]["image"] == job["containers"][0]["image"] == own
    assert f"--tag {own} " in (SERVING / "Containerfile").read_text() and f"--tag {own} " in SCALE.read_text()


def test_the_server_gets_what_it_gets_from_compose_and_finds_the_model(containers):
    compose = yaml.safe_load((SERVING / "docker-compose.yml").read_text())["services"]["serving"]
    there = {word for word in compose["command"][0].split() if word.startswith("--") and "THREADS" not in word}
    given = set(containers["serving"]["args"])
    assert there <= given and {each.split("=")[0] for each in given - there} == {
        "--rest_api_num_threads",
        "--grpc_max_threads",
    }
    command, *words = containers["export"]["args"]
    base = words[words.index("--savedmodel") + 1]
    assert command == "export" and f'base_path: "{base}"' in (SERVING / "models.config").read_text()


def test_the_server_is_alive_by_the_same_question_as_in_compose(containers):
    compose = yaml.safe_load((SERVING / "docker-compose.yml").read_text())["services"]["serving"]
    asked = containers["serving"]["livenessProbe"]["exec"]["command"]
    assert asked == [word.replace("$$", "$") for word in compose["healthcheck"]["test"][1:]]


def test_nginx_asks_the_server_of_its_own_pod(containers):
    (script,) = containers["web"]["args"]
    _, change = shlex.split(script.split("&&")[0])[:2]
    _, old, new, _ = change.split("/")
    assert (SERVING / "nginx.conf").read_text().count(old) == 1
    port = containers["serving"]["args"][1].split("=")[1]
    assert new == f"127.0.0.1:{port}" and re.search(r"listen (\d+);", (SERVING / "nginx.conf").read_text())[1] == "8080"


def test_all_that_is_mounted_is_a_volume_and_its_files_go_into_the_config(deployment, containers):
    volumes = {each["name"]: each for each in deployment["spec"]["template"]["spec"]["volumes"]}
    for container in containers.values():
        assert {mount["name"] for mount in container["volumeMounts"]} <= set(volumes)
    text = " ".join(SCALE.read_text().replace("\\\n", " ").split())
    for name in ("config", "page"):
        assert f"kubectl create configmap {volumes[name]['configMap']['name']} " in text
    (made,) = re.findall(r"create configmap ssrvae-config (.*?) kubectl", text)
    files = [Path(each) for each in re.findall(r"--from-file=(\S+)", made)]
    assert all((SERVING.parent / path).is_file() for path in files)
    wanted = {Path(each).name for each in re.findall(r"/config/([\w.]+)", str(containers))} | {"nesting.js"}
    assert wanted == {path.name for path in files}


def test_services_and_the_autoscaler_name_the_pods(deployment, containers):
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    ports = {port["name"]: port["containerPort"] for each in containers.values() for port in each.get("ports", [])}
    services = [each for each in documents("serving.yml") if each["kind"] == "Service"]
    assert ports == {"grpc": 8500, "http": 8080}
    for service in services:
        assert service["spec"]["selector"] == labels
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= set(ports)
    scaler = by_kind("serving.yml", "HorizontalPodAutoscaler")["spec"]
    assert scaler["scaleTargetRef"]["name"] == deployment["metadata"]["name"] and "replicas" not in deployment["spec"]
    metric = scaler["metrics"][0]["containerResource"]
    assert metric["name"] in containers[metric["container"]]["resources"]["requests"]
    assert scaler["minReplicas"] >= 2
    assert by_kind("serving.yml", "PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == labels
