"""docs/results/: pictures and figures of one run, and failures that nobody chose."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_runs import PLAIN, random_run

from scripts import gallery
from ssrvae_tf import load, pack, upscale
from ssrvae_tf.errors import UserError
from ssrvae_tf.photos.resizing import resized

RESULTS = Path(__file__).parents[1] / gallery.OUT


def bicubic(lr):
    return resized(lr, 4 * lr.shape[1], 4 * lr.shape[0])


def nearest(lr):
    return lr.repeat(4, 0).repeat(4, 1)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A small gallery, of which nearest neighbours are judged. Do not write."""
    folder = tmp_path_factory.mktemp("results")
    upscalers = {"bicubic": bicubic, "nearest": nearest}
    gallery.make(folder, upscalers, "nearest", "About.", gallery.CASES[:3], ("clean", "noise 10"))
    return folder


def rows(text):
    """(name, dB of bicubic, dB of what is judged) of each row of a table."""
    found = re.findall(r"^\| ([^|]+) \| ([\d.]+) \| ([\d.]+) \|$", text, re.MULTILINE)
    return [(name, float(first), float(second)) for name, first, second in found]


def test_failures_are_the_rows_that_gain_least(made):
    before, failures = (made / "README.md").read_text().split("## Failures")
    shown, worst = rows(before), rows(failures)
    assert len(shown) == 6 and len(worst) == 4 and set(worst) <= set(shown)
    gains = [round(judged - plain, 2) for _, plain, judged in worst]
    assert "`nearest` lies below bicubic in" in failures
    assert gains == sorted(round(judged - plain, 2) for _, plain, judged in shown)[:4]


def test_each_group_has_a_sheet_of_all_upscalers(made):
    text = (made / "README.md").read_text()
    sheets = re.findall(r"!\[LR, bicubic, nearest, truth\]\((\w+\.webp)\)", text)
    assert sheets == ["faces_of_16_pixels.webp", "faces_of_32_pixels.webp", "failures.webp"]
    sizes = [Image.open(made / name).size for name in sheets]
    assert len({width for width, _ in sizes}) == 1 and sizes[0][1] > sizes[1][1]
    assert {file.name for file in made.iterdir()} == {"README.md", *sheets}


def test_what_is_too_large_for_a_repository_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(gallery, "_MOST", 1000)
    with pytest.raises(UserError, match="at most 0.001 are wanted"):
        gallery.make(tmp_path, {"bicubic": bicubic}, "bicubic", "", gallery.CASES[:1], ("clean",))


def test_of_two_sets_of_weights_both_ends_and_the_default_are_shown(tmp_path):
    runs = [str(random_run(tmp_path / name, seed, sr_network=PLAIN)) for seed, name in enumerate("ab")]
    pair = str(pack.pack(runs[0], f"{tmp_path}/pair", runs[1], 0.25))
    upscalers, judged, about = gallery.ours(pair)
    assert [*upscalers] == ["detail 0", "detail 0.25", "detail 1"] and judged == "detail 0.25"
    lr = gallery.CASES[0].truth()[:16, :16]
    for detail in (0, 0.25, 1):
        assert np.array_equal(upscalers[f"detail {detail:g}"](lr), upscale(lr, load(pair, detail)))
    assert about.endswith("unless told at detail 0.25.")


def test_the_page_in_the_repository_is_of_these_cases_and_small():
    text = (RESULTS / "README.md").read_text()
    for case in gallery.CASES:
        for way in gallery.WAYS:
            assert f"| {case.name} {case.side}, {way} |" in text
    assert sum(file.stat().st_size for file in RESULTS.iterdir()) < 2_000_000
