"""What README.md, docs/ and serving/ tell a reader to type is typed here, in a folder like the reader's.

Training commands get options appended that make them tiny; of `reproduce` all is looked at and planned, and nothing
done, which tests/reproduction does. Left out are:
`make` and `source` (the tests would start themselves; targets and paths are checked), `pip`, `jupyter` and
`tensorboard` (they fetch or never end; the names are checked), the fetching of the FID's network (a stand-in takes its
place), `pack` by a name (it writes into the package), `app` (it never ends), and training and Beam's `--runner` on
several machines (they are not there): of these the options are parsed.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import json
import os
import re
import runpy
import shlex
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest
import tensorflow as tf
from PIL import Image
from tiny_reproduction import Colours

import ssrvae_tf
from ssrvae_tf import app, command_line, config
from ssrvae_tf.exporting.openvino import export_openvino
from ssrvae_tf.exporting.tflite import export_tflite
from ssrvae_tf.loading import models as loading
from ssrvae_tf.loading import places
from ssrvae_tf.models import EDSR
from ssrvae_tf.photos.samples import sample_photos

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), ROOT / "serving" / "README.md"]
NAMES = [str(path.relative_to(ROOT)) for path in DOCUMENTS]
# What serving/README.md says needs a server: tests/serving/test_serving_readme.py types it.
TYPED_HERE = [name for name in NAMES if name != "serving/README.md"]
COMMAND = r"(?!app\b)\w+"
IN_PACKAGE = re.compile(rf"(?:python -m ssrvae_tf\.|ssrvae )({COMMAND})((?:(?! --runner ).)*)")

TINY = """
    --steps-per-epoch 1 --batch-size 2 --hr-size 32 --patch-size 32 --precision float32 --style-vae.filters 8
    --style-vae.latent-dim 8 --style-vae.encoder-strides [2,1] --sr-network.filters 8 --sr-network.global-blocks 1
    --sr-network.local-blocks 1 --baseline.filters 8 --baseline.blocks 1 --baseline.layers-per-block 1
"""


original_load = loading.load
loaded_once = functools.lru_cache(maxsize=None)(original_load)


def quick_load(name, *detail, **more):
    """`load`, each of the package's own models once only: building them takes longer than using them here."""
    once = os.fspath(name) in places.shipped()
    return (loaded_once if once else original_load)(name, *detail, **more)


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)


def commands(path: Path) -> list[str]:
    """Commands of the document's bash blocks, without comments."""
    lines = "\n".join(blocks(path, "bash")).replace("\\\n", " ").splitlines()
    return [line for line in (re.sub(r"(^|\s)#.*", "", line).strip() for line in lines) if line]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A reader's folder, the current one: faces/, small_faces/ and others, photo.jpg and a feature model."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", sys.argv[:])
    monkeypatch.setattr(loading, "load", quick_load)
    monkeypatch.setattr("tensorflow_hub.load", lambda address: published_inception)
    monkeypatch.setattr("ssrvae_tf.reproduction.work.go_through", lambda *given: {})
    photos = [Image.open(path).convert("RGB") for path in sample_photos()]
    sizes = {"faces": 128, "lfw": 128, "scenes": 96, "small_faces": 40, "small_faces_test": 40, "film": 24}
    for name, size in sizes.items():
        (tmp_path / name).mkdir()
        for i in range(6):
            left, top = 60 + 40 * i, 30 * i
            piece = photos[i % 2].crop((left, top, left + 128, top + 128)).resize((size, size), Image.BICUBIC)
            stem = f"{'frame' if i < 4 else 'test'}_{i}" if name == "film" else i
            piece.save(tmp_path / name / f"{stem}.jpg", quality=60)
    photos[0].crop((180, 40, 244, 88)).resize((32, 24)).save("photo.jpg")
    return tmp_path


def make_feature_model(path: str) -> None:
    module = Colours()
    tf.saved_model.save(module, path, {"serving_default": module.features, "levels": module.levels})


def published_inception(images):
    return {"pool_3": tf.reduce_mean(images, (1, 2), keepdims=True), "logits": images}


def run_module(name: str, arguments: list[str]) -> None:
    """As `python -m NAME ARGUMENTS`, in this process: importing TensorFlow anew each time takes minutes."""
    sys.argv[:] = [name, *arguments]
    try:
        runpy.run_module(name, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        assert not end.code, f"{name} {' '.join(arguments)} ended with {end.code}"


def of_the_package(name: str) -> list:
    return [match for match in map(IN_PACKAGE.fullmatch, commands(ROOT / name)) if match]


@pytest.mark.slow
@pytest.mark.parametrize("name", filter(of_the_package, TYPED_HERE))
def test_commands_of_the_package_run_and_leave_what_they_name(name, folder):
    ran = of_the_package(name)
    for network in ("models/inception", "models/efficientnet"):
        make_feature_model(network)
    for command, rest in (match.groups() for match in ran):
        if command.endswith("_beam"):
            pytest.importorskip("apache_beam")
        arguments = shlex.split(rest)
        given = dict(zip(arguments, arguments[1:]))
        if command == "fit" and arguments != ["--help"]:
            arguments += TINY.split() + ["--epochs", "2" if "--epochs" in given else "1"]
        if command == "reproduce":
            arguments += ["--set", "held_back=2", "fields.batch_size=2"]
        run_module(f"ssrvae_tf.{command}", arguments)
        for out in {"--out", "--output"} & set(given):
            assert Path(given[out]).exists(), rest
        if command == "fit" and "--epochs" in given:
            assert len(Path(given["--out"], "metrics.csv").read_text().splitlines()) == 3, "it did not go on"


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in TYPED_HERE if blocks(ROOT / name, "python")])
def test_python_blocks_run_each_on_its_own(name, folder):
    for source in blocks(ROOT / name, "python"):
        if 'Interpreter("faces.tflite"' in source:
            export_tflite(EDSR(4, 8, 1), "faces.tflite")
        if '"faces.xml"' in source:
            export_openvino(EDSR(4, 8, 1), "faces.xml")
        exec(compile(source, name, "exec"), {"__name__": "block"})


@pytest.mark.parametrize("name", [*TYPED_HERE, "CONTRIBUTING.md"])
def test_other_commands_name_what_is_there(name):
    """What cannot be run here: see the module's docstring."""
    for command in commands(ROOT / name):
        if IN_PACKAGE.fullmatch(command):
            continue
        words = shlex.split(command)
        if words[0] == "make":
            given = {word.partition("=")[0] for word in words[1:]}  # targets and variables
            assert given <= set(re.findall(r"^([\w-]+)(?::| \?=)", (ROOT / "Makefile").read_text(), re.MULTILINE))
        elif words[0] == "source":
            assert f"VENV := {words[1].split('/')[0]}" in (ROOT / "Makefile").read_text()
        elif words[:2] == ["jupyter", "lab"]:
            assert list((ROOT / words[2]).glob("*.ipynb"))
        elif words[0] == "tensorboard":
            scripts = importlib.metadata.distribution("tensorboard").entry_points
            assert "tensorboard" in {each.name for each in scripts} and words[1] == "--logdir"
        elif words[0].startswith("TF_CONFIG="):
            worker = json.loads(words[0].split("=", 1)[1])
            assert set(worker) == {"cluster", "task"} and worker["task"]["index"] < len(worker["cluster"]["worker"])
            assert words[1:4] == ["python", "-m", "ssrvae_tf.fit"]
            config.parse(words[4:])
        elif words[0] == "export":
            assert words[1].startswith("TFHUB_CACHE_DIR=")
        elif "--runner" in words:
            pipeline_options = pytest.importorskip("apache_beam.options.pipeline_options")
            flags = importlib.import_module(words[2]).parse(words[3:])["flags"]
            known = set(pipeline_options.PipelineOptions([]).get_all_options())
            assert {flag[2:] for flag in flags if flag.startswith("-")} <= known
        elif words[:2] == ["ssrvae", "app"]:
            command_line.read(app.serve, "ssrvae_tf.app", words[2:])
        else:
            assert words[0] == "pip", f"{name}: nothing checks `{command}`"
            wheels = [word.partition("[")[0] for word in words if ".whl" in word]
            assert set(wheels) <= {f"ssrvae_tf-{ssrvae_tf.__version__}-py3-none-any.whl"}


@pytest.mark.parametrize("name", [*NAMES, "CHANGELOG.md", "CONTRIBUTING.md"])
def test_links_and_pictures_are_there(name):
    text = re.sub(r"^```.*?^```", "", (ROOT / name).read_text(), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        path = (ROOT / name).parent / unquote(target) if target else ROOT / name
        assert path.exists(), f"{name}: {link}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
            known = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in known, f"{name}: {link}"


def test_every_document_is_linked_from_the_readme():
    readme = (ROOT / "README.md").read_text()
    assert [name for name in NAMES[1:] if f"]({name})" not in readme] == []


def test_fields_and_figures_that_the_documents_name_exist():
    text = "".join((ROOT / name).read_text() for name in ("README.md", "docs/method.md", "docs/training.md"))
    fields = set(config.flat(config.resolved(config.FitConfig(stage="sr"))))
    fields |= set(config.flat(config.resolved(config.FitConfig(stage="style"))))
    named = set(re.findall(r"`((?:style_vae|sr_network)\.[\w.]+)`", text))
    assert named and named <= fields, named - fields
    options = {word.lstrip("-").replace("-", "_") for word in re.findall(r"`(--[a-z][\w-]*)`", text)}
    assert options <= fields | {"config", "help"}, options
