"""The table and the JSON file of figures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

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


def test_intervals_stand_beside_their_figures():
    each = report()
    each.intervals = {"a-long-name": {"PSNR dB": (31.5, 32.5), "SSIM gain": (-0.01, 0.11)}}
    assert each.table().split("\n")[-1] == "a-long-name  32.00 [31.50, 32.50]  0.9500  +0.0500 [-0.0100, +0.1100]"


def test_a_table_that_is_too_wide_is_turned():
    each = report()
    each.digits = {**each.digits, **dict.fromkeys(("a figure with a long name" * 3, "another one" * 7), 1)}
    title, head, first, *_ = each.table().split("\n")
    assert head.split() == ["bicubic", "a-long-name"] and first.split() == ["PSNR", "dB", "29.22", "32.00"]


def test_reports_of_the_same_methods_stand_beside_each_other():
    other = Report("4 pairs", {"FD": 1}, {"bicubic": {"FD": 3.0}}, {"seed": 1}, {"bicubic": {"FD": (2, 4)}})
    both = report().beside(other)
    assert both.title == "2 photos; 4 pairs" and both.rows["bicubic"] == {"PSNR dB": 29.216, "SSIM": 0.9, "FD": 3.0}
    assert both.intervals == {"bicubic": {"FD": (2, 4)}} and list(both.digits)[-1] == "FD"


def test_pictures_are_drawn_beside_the_figures(tmp_path):
    each = report()
    each.pictures, each.columns = [("a", (np.zeros((4, 4, 3), np.uint8), None))], ("LR", "truth")
    assert each.write(tmp_path / "figures.json") == [tmp_path / "figures.json", tmp_path / "figures.png"]
    assert Image.open(tmp_path / "figures.png").width > 2 * 256
