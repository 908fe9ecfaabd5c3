"""What serving/README.md tells a reader to type, typed against the stand-in in a folder that holds photo.jpg.

Its bash blocks run whole, but for `docker` (parsed; what it mounts is checked) and `export` (see test_configs.py).
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import browser
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tiny_saved_models import photo

ROOT = Path(__file__).parents[2]
README = (ROOT / "serving" / "README.md").read_text()
EXPORT = "python -m ssrvae_tf.export faces-x4 --savedmodel serving/models/ssrvae"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def block(language: str, words: str) -> str:
    """The one block that holds `words`."""
    (found,) = [each for each in blocks(language) if words in each]
    return found


@pytest.fixture
def folder(tmp_path, monkeypatch):
    Image.fromarray(photo(40, 30)).save(tmp_path / "photo.jpg", quality=95)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def here(stand_in, site):
    """Puts the addresses of nginx and the stand-in in place of those in the document."""

    def replace(text: str) -> str:
        text = text.replace("http://localhost:8501", site)
        return text.replace("localhost:8500", stand_in.grpc)

    return replace


def bash(script: str) -> str:
    """Runs a block, with `python` being this one; its output."""
    for program in ("bash", "curl"):
        if (program == "bash" or f"{program} " in script) and shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    environment["PYTHONPATH"] = str(ROOT)
    result = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, timeout=200, env=environment
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def assert_enlarged(path: Path) -> None:
    with Image.open(path) as result:
        assert result.size == (160, 120) and result.format == "PNG"
        wanted = Image.open("photo.jpg").resize(result.size, Image.BICUBIC)
        assert np.abs(np.asarray(result, float) - np.asarray(wanted, float)).mean() < 4


def test_every_block_is_tested():
    tested = {"bash": 8, "python": 3, "js": 1}
    assert {language: len(blocks(language)) for language in tested} == tested
    assert len(re.findall(r"^```\w", README, re.MULTILINE)) == sum(tested.values())


def test_curl_asks_for_the_status(folder, here):
    assert '"state": "AVAILABLE"' in bash(here(block("bash", "curl --silent http://localhost:8501/v1/models/ssrvae\n")))


def test_curl_enlarges(folder, here):
    bash(here(block("bash", "request.json")))
    assert_enlarged(folder / "photo_x4.png")


def test_curl_asks_for_metrics(folder, here):
    assert ":tensorflow:serving:" in bash(here(block("bash", "/monitoring/")))


@pytest.mark.parametrize("words", ["import requests", "import grpc", "import GrpcClient"])
def test_python_enlarges(folder, here, words):
    exec(compile(here(block("python", words)), "serving/README.md", "exec"), {"__name__": "block"})
    assert_enlarged(folder / "photo_x4.png")


def test_javascript_enlarges_in_node(folder, here):
    if shutil.which("node") is None:
        pytest.skip("node is not installed; a browser runs the same in the next test")
    caller = """
const { readFile, writeFile } = require("node:fs/promises");
(async () => {
  const result = await upscale(new Blob([await readFile("photo.jpg")]));
  await writeFile("photo_x4.png", new Uint8Array(await result.arrayBuffer()));
})();
"""
    (folder / "upscale.js").write_text(here(block("js", "upscale")) + caller)
    result = subprocess.run(["node", "upscale.js"], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    assert_enlarged(folder / "photo_x4.png")


def test_javascript_enlarges_in_a_page_under_the_same_address(folder, site):
    server, instead = re.search(r'"(http.*)"; // ("")', block("js", "upscale")).groups()
    script = block("js", "upscale").replace(f'"{server}"', instead)
    with browser.chromium() as chromium:
        page = chromium.new_page()
        page.goto(site)
        values = page.evaluate(
            f"""async (photo) => {{
                {script}
                const result = await upscale(new Blob([Uint8Array.from(photo)]));
                return Array.from(new Uint8Array(await result.arrayBuffer()));
            }}""",
            list((folder / "photo.jpg").read_bytes()),
        )
    (folder / "photo_x4.png").write_bytes(bytes(values))
    assert_enlarged(folder / "photo_x4.png")


@pytest.mark.slow
def test_the_command_enlarges(folder, here):
    bash(here(block("bash", "ssrvae_tf.upscale")))
    assert_enlarged(folder / "photo_x4.png")


@pytest.mark.slow
def test_the_export_lies_where_the_server_looks_for_it(folder):
    assert block("bash", "ssrvae_tf.export") == f"{EXPORT}\n"
    bash(EXPORT)
    version = folder / "serving" / "models" / "ssrvae" / "1"
    signatures = tf.saved_model.load(str(version)).signatures
    for name, takes, gives in re.findall(r"^\| `(\w+)` \| `(\w+)` .* \| `(\w+)` ", README, re.MULTILINE):
        assert list(signatures[name].structured_input_signature[1]) == [takes]
        assert list(signatures[name].structured_outputs) == [gives]


def test_docker_is_told_what_is_there():
    compose = shlex.split(block("bash", "docker compose"))
    assert (ROOT / compose[compose.index("--file") + 1]).is_file()
    run = shlex.split(block("bash", "docker run"))
    mounted, there, mode = run[run.index("-v") + 1].split(":")
    assert (mounted, there, mode) == ("$PWD/serving/models", "/models", "ro")
    assert f"$PWD/{EXPORT.split()[-1]}" == f"{mounted}/{run[run.index('-e') + 1].removeprefix('MODEL_NAME=')}"
    image = re.search(r"tensorflow/serving:[\d.]+", (ROOT / "serving" / "docker-compose.yml").read_text())[0]
    assert run[-2:] == [image, "--max_num_load_retries=0"]


def test_nginx_takes_as_much_as_is_named():
    settings = (ROOT / "serving" / "nginx.conf").read_text()
    (most,) = set(re.findall(r"client_(?:max_body|body_buffer)_size (\d+)m;", settings))
    (deepest,) = re.findall(r"DEEPEST = (\d+)", (ROOT / "serving" / "nesting.js").read_text())
    told = " ".join(README.split())
    assert f"requests of up to {most} MB" in told and f"nested more than {deepest} deep" in told


def test_the_page_takes_as_many_pixels_as_are_named():
    script = (ROOT / "serving" / "demo" / "app.js").read_text()
    height, width = map(int, re.search(r"MOST_PIXELS = (\d+) \* (\d+)", script).groups())
    assert f"{height * width:,} pixels ({width}x{height})" in README
