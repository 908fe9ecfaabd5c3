"""Run notebooks and store their outputs in them: python scripts/run_notebooks.py notebooks/*.ipynb

Each runs in a folder of its own, on this Python, with this checkout's package. Nothing of stderr is stored: progress
bars, TensorFlow's log.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent


def execute(path: Path, folder: Path):
    """The notebook at `path` with fresh outputs, run in `folder`. An error in a cell is raised.

    Sets PYTHONPATH and JUPYTER_PATH for this process and its kernels: whatever kernels are installed, `python3` is the
    running interpreter.
    """
    kernel = folder / "jupyter" / "kernels" / "python3"
    kernel.mkdir(parents=True)
    start = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernel / "kernel.json").write_text(json.dumps({"argv": start, "display_name": "Python 3", "language": "python"}))
    os.environ["JUPYTER_PATH"] = str(folder / "jupyter")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    notebook = nbformat.read(path, 4)
    work = folder / "work"
    work.mkdir()
    NotebookClient(notebook, timeout=900, kernel_name="python3", resources={"metadata": {"path": str(work)}}).execute()
    return notebook


def tidy(notebook) -> None:
    """Keep what a reader wants to see, and nothing that differs from run to run."""
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({})
        kept = []
        for output in cell.get("outputs", []):
            if output.output_type == "stream" and output.name == "stderr":
                continue
            if output.output_type == "stream" and kept and kept[-1].output_type == "stream":
                kept[-1].text += output.text
                continue
            if "data" in output:
                output.data = {kind: output.data[kind] for kind in ("image/png", "text/plain") if kind in output.data}
            kept.append(output)
        if "outputs" in cell:
            cell.outputs = kept


def main() -> None:
    for path in map(Path, sys.argv[1:]):
        with tempfile.TemporaryDirectory() as folder:
            notebook = execute(path, Path(folder))
        tidy(notebook)
        nbformat.write(notebook, path)
        print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
