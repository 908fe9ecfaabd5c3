"""The notebooks run from top to bottom, and hold the pictures of such a run."""

from __future__ import annotations

import base64
import configparser
import io
import os
import runpy
import shlex
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from PIL import Image

nbformat = pytest.importorskip("nbformat", reason="needs the extra `notebooks`")
pytest.importorskip("nbclient", reason="needs the extra `notebooks`")
pytest.importorskip("ipykernel", reason="needs the extra `notebooks`")

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
NAMES = [path.name for path in NOTEBOOKS]


def pictures(notebook) -> list[tuple]:
    """(number of the cell, size) of every picture in the outputs."""
    found = []
    for number, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                picture = Image.open(io.BytesIO(base64.b64decode(output.data["image/png"])))
                found.append((number, picture.size))
    return found


def test_all_notebooks_are_there_and_in_the_readme():
    names = ["01_quick_start", "02_train_on_your_photos", "03_watch_a_training", "04_your_own_network", "05_deploy"]
    assert NAMES == [f"{name}.ipynb" for name in names]
    readme = (ROOT / "README.md").read_text()
    assert [name for name in NAMES if f"](notebooks/{name})" not in readme] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_the_first_cell_installs_the_package_where_it_is_not_there(path, monkeypatch):
    from IPython.core.interactiveshell import InteractiveShell

    cell = next(cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code").source
    shell, asked = InteractiveShell(), []
    shell.register_magic_function(asked.append, "line", "pip")
    assert shell.run_cell(cell).success and asked == []
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert shell.run_cell(cell).success
    wanted = Requirement(shlex.split(asked[0])[-1])
    options = configparser.ConfigParser()
    options.read(ROOT / "setup.cfg")
    assert wanted.name == "ssrvae_tf" and wanted.extras <= set(options["options.extras_require"])


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_a_notebook_runs_and_draws_the_pictures_that_are_stored_in_it(path, tmp_path, monkeypatch):
    for name in ("JUPYTER_PATH", "PYTHONPATH"):  # `execute` sets them: take that back afterwards
        monkeypatch.setenv(name, os.environ.get(name, ""))
    execute = runpy.run_path(str(ROOT / "scripts" / "run_notebooks.py"))["execute"]
    drawn = pictures(execute(path, tmp_path))
    assert drawn and drawn == pictures(nbformat.read(path, 4)), "run scripts/run_notebooks.py"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_what_is_stored_is_of_one_run_and_small(path):
    notebook = nbformat.read(path, 4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    kinds = {output.output_type for cell in cells for output in cell.outputs}
    assert "error" not in kinds
    assert path.stat().st_size < 1_250_000


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_nothing_stored_names_folders_of_the_machine_it_ran_on(path):
    outputs = [output for cell in nbformat.read(path, 4).cells for output in cell.get("outputs", [])]
    text = "".join(output.get("text", "") for output in outputs)
    assert not [place for place in ("/home/", "/root/", "/Users/", "/tmp/", "site-packages") if place in text]
