"""The table and the JSON file of figures."""

from __future__ import annotations

import json
from pathlib import Path

from ssrvae_tf.metrics import Report


def report():
    rows = {
        "bicubic": {"PSNR dB": 29.216, "SSIM": 0.9},
        "a-long-name": {"PSNR dB": 32, "SSIM": 0.95, "SSIM gain": 0.05},
    }
    return Report("2 photos", {"PSNR dB": 2, "SSIM": 4, "SSIM gain": 4}, rows, {"hr": Path("faces")})


def test_the_table_is_aligned_and_shows_what_is_missing_as_a_dash():
    assert report().table().split("\n") == [
        "2 photos",
        "             PSNR dB    SSIM  SSIM gain",
        "bicubic        29.22  0.9000          -",
        "a-long-name    32.00  0.9500    +0.0500",
    ]


def test_json_holds_every_figure_unrounded(tmp_path):
    path = tmp_path / "new" / "figures.json"
    report().write(path)
    content = json.loads(path.read_text())
    assert content["rows"] == report().rows
    assert content["settings"] == {"hr": "faces"}
