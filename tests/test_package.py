"""The names of the package itself. Imports are tried in fresh interpreters, since order is the point."""

from __future__ import annotations

import configparser
import os
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import ssrvae_tf

ROOT = Path(__file__).parent.parent
STACKS = {"tf2.15.txt": ["3.9", "3.10", "3.11"], "tf2.21.txt": ["3.12", "3.13"]}
LOG = "TF_CPP_MIN_LOG_LEVEL"
COMMAND = ["-m", "ssrvae_tf.errors"]

SETUP = """
import sys, numpy as np
sys.path.insert(0, "tests")
from stub_models import BicubicNetwork
image, network = np.zeros((6, 5, 3), np.uint8), BicubicNetwork()
"""
CALL = "assert ssrvae_tf.upscale(image, network).shape == (24, 20, 3)\n"


def run(code: str) -> None:
    result = subprocess.run([sys.executable, "-c", SETUP + code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    "code",
    [
        "import ssrvae_tf\n" + CALL,
        "import ssrvae_tf\n" + CALL + "import ssrvae_tf.upscale\n" + CALL,
        "import ssrvae_tf.upscale\n" + CALL,
        "import ssrvae_tf.upscale as module\nassert module.upscale_files\nimport ssrvae_tf\n" + CALL,
        "from ssrvae_tf.upscale import main\nimport ssrvae_tf\n" + CALL,
        "import ssrvae_tf\nfrom ssrvae_tf import upscale\nassert upscale(image, model=network).shape == (24, 20, 3)",
        "from ssrvae_tf.upscale import upscale\nimport ssrvae_tf\nassert upscale(image, network).size\n" + CALL,
    ],
)
def test_upscale_is_a_function_whatever_was_imported_before(code):
    run(code)


def test_importing_the_package_brings_no_heavy_module():
    run("before = set(sys.modules)\nimport ssrvae_tf\nassert not {'tensorflow', 'PIL'} & (set(sys.modules) - before)")


@pytest.mark.parametrize(
    "arguments, given, wanted",
    [(COMMAND, {}, "3"), (COMMAND, {LOG: "0"}, "0"), (["-c", "import ssrvae_tf"], {}, "None")],
)
def test_only_commands_silence_tensorflows_start_up_log(tmp_path, arguments, given, wanted):
    (tmp_path / "sitecustomize.py").write_text(
        f"import atexit, os\natexit.register(lambda: print(os.environ.get({LOG!r})))"
    )
    others = {name: value for name, value in os.environ.items() if name != LOG}
    result = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**others, **given, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.stdout.strip() == wanted, result.stderr


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_name"):
        ssrvae_tf.no_such_name  # noqa: B018
    assert {"load", "upscale", "__version__"} <= set(dir(ssrvae_tf))


def test_pins_are_the_versions_that_work_together():
    options = configparser.ConfigParser()
    options.read(ROOT / "setup.cfg")
    wanted = {
        "<": ["tensorflow==2.15.1", "addons==0.23.0", "probability==0.23.0", "gan==2.1.0"],
        ">=": ["tensorflow==2.21.0", "probability==0.25.0"],
    }
    for pythons, packages in wanted.items():
        for package in packages:
            name = package if package.startswith("tensorflow") else f"tensorflow-{package}"
            lines = [line.partition(" and platform_")[0] for line in options["options"]["install_requires"].split("\n")]
            assert f'{name}; python_version {pythons} "3.12"' in lines


@pytest.mark.parametrize("constraints, python", [(file, python) for file, found in STACKS.items() for python in found])
def test_constraints_name_one_version_of_all_that_is_asked_for(constraints, python):
    options = configparser.ConfigParser()
    options.read(ROOT / "setup.cfg")
    wanted = "\n".join([options["options"]["install_requires"], *options["options.extras_require"].values()])
    here = {"python_version": python, "platform_system": "Linux", "sys_platform": "linux"}

    def meant(lines):
        found = [Requirement(line) for line in lines.splitlines() if line.strip() and not line.startswith("#")]
        return [each for each in found if not each.marker or each.marker.evaluate(here)]

    found = meant((ROOT / "constraints" / constraints).read_text())
    pins = {canonicalize_name(each.name): str(each.specifier) for each in found}
    assert len(pins) == len(found) > 100
    for requirement in meant(wanted):
        pin = pins[canonicalize_name(requirement.name)]
        assert pin.startswith("==") and requirement.specifier.contains(pin[2:]), requirement


def test_what_a_system_has_no_wheel_of_is_not_asked_for_there():
    options = configparser.ConfigParser()
    options.read(ROOT / "setup.cfg")
    lines = [line for line in options["options"]["install_requires"].splitlines() if line and not line.startswith("#")]
    systems = {("Linux", "x86_64"): 1, ("Linux", "aarch64"): 0, ("Darwin", "arm64"): 1, ("Windows", "AMD64"): 0}
    for (system, machine), addons in systems.items():
        here = {"python_version": "3.11", "platform_system": system, "platform_machine": machine}
        meant = {each.name for each in map(Requirement, lines) if not each.marker or each.marker.evaluate(here)}
        assert ("tensorflow-addons" in meant) == addons
        assert {"tensorflow", "tensorflow-gan", "pyvips-binary"} <= meant


def test_the_new_stack_can_be_had_on_the_newest_python_of_the_old_one():
    command = [sys.executable, "scripts/constraints.py", "--wanted-on", "3.12"]
    wanted = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    assert {"tensorflow==2.21.0", "tensorflow-serving-api==2.21.0", "pytest>=7.4"} <= set(wanted)
    assert not [line for line in wanted if "python_version" in line or "addons" in line or "2.15" in line]
    here = {"python_version": "3.11", "platform_system": "Linux", "sys_platform": "linux"}
    lines = (ROOT / "constraints" / "tf2.21.txt").read_text().splitlines()
    found = [each for each in map(Requirement, lines) if not each.marker or each.marker.evaluate(here)]
    pins = {canonicalize_name(each.name): str(each.specifier)[2:] for each in found}
    for requirement in map(Requirement, wanted):
        assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)]), requirement
