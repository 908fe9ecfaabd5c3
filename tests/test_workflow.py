"""What runs at GitHub: as far as that can be seen without it."""

from __future__ import annotations

import configparser
import os
import re
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"


def jobs() -> dict:
    return yaml.safe_load(WORKFLOW.read_text())["jobs"]


def commands(job: dict) -> str:
    return "\n".join(step.get("run", "") for step in job["steps"])


def schema_says(path: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_the_workflow_fits_githubs_schema(tmp_path):
    done = schema_says(WORKFLOW)
    assert done.returncode == 0, done.stdout
    (tmp_path / "ci.yml").write_text(WORKFLOW.read_text().replace("runs-on:", "run-on:"))
    assert schema_says(tmp_path / "ci.yml").returncode == 1


def test_it_calls_what_continuous_integration_runs_elsewhere():
    assert ".ci/run" in commands(jobs()["whole"]).splitlines()
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    wanted = set(re.findall(r"3\.\d+", (ROOT / ".ci" / "run").read_text()))
    image = jobs()["whole"]["container"]
    assert wanted <= {image.partition(":")[2].partition("-")[0], *re.findall(r"3\.\d+", commands(jobs()["whole"]))}


def test_its_pythons_are_those_that_the_package_names():
    options = configparser.ConfigParser()
    options.read(ROOT / "setup.cfg")
    named = re.findall(r"Python :: (3\.\d+)", options["metadata"]["classifiers"])
    assert jobs()["pythons"]["strategy"]["matrix"]["python"] == named
    for name, constraints in (("3.11", "tf2.15"), ("3.12", "tf2.21")):
        line = {"python": name, "constraints": f"constraints/{constraints}.txt"}
        assert line in jobs()["elsewhere"]["strategy"]["matrix"]["include"]


def test_it_installs_what_the_tests_want_of_the_system():
    wanted = re.findall(r"[\w/.]+:([a-z-]+)", re.search(r"for pair in (.*?);", (ROOT / ".ci/run").read_text(), re.S)[1])
    assert len(wanted) == 5 and set(wanted) <= set(commands(jobs()["pythons"]).split())


def test_what_it_names_of_this_repository_is_there():
    for job in jobs().values():
        for path in re.findall(r"(?:tests|constraints)/[\w./]+", commands(job)):
            assert (ROOT / path).exists(), path
        for target in re.findall(r"^make ([a-z -]+)", commands(job), re.MULTILINE):
            makefile = (ROOT / "Makefile").read_text()
            assert all(re.search(rf"^{name}:", makefile, re.MULTILINE) for name in target.split())
