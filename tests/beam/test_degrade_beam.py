"""The pipeline on Beam's direct runner with two workers."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from beam_case import PROCESSES, THREADS, contents, dead_letters
from PIL import Image
from tiny_runs import tiny

from ssrvae_tf import config, degrade_beam
from ssrvae_tf.degrade import degrade_files
from ssrvae_tf.errors import UserError, exit_cleanly
from ssrvae_tf.loading import models as loading
from ssrvae_tf.photos.samples import sample_photos

pytest.importorskip("apache_beam")


@pytest.fixture(scope="module")
def style(tmp_path_factory):
    """The folder of a StyleVAE whose weights make styles and noise visible: fresh ones hide them."""
    folder = tmp_path_factory.mktemp("run")
    settings = tiny("style", "hr", folder)
    config.write(settings, folder / "config.yaml")
    model = loading.build(settings)
    model.build_networks()
    rng = np.random.default_rng(0)
    model.set_weights([value + rng.normal(0, 0.05, value.shape) for value in model.get_weights()])
    loading.save_weights(model, folder / "model.weights.h5")
    return folder


@pytest.fixture
def small(tmp_path):
    """A folder of real small photos; one in a folder, one broken, one no photo by its name, one hidden."""
    folder = tmp_path / "small"
    (folder / "b").mkdir(parents=True)
    for number, name in enumerate(("a.png", "b/c.jpg", "b-d.png", ".e.png")):
        left = 60 + 40 * number
        Image.open(sample_photos()[1]).convert("RGB").crop((left, 50, left + 18, 68)).save(folder / name)
    (folder / "broken.jpg").write_text("no photo")
    (folder / "notes.txt").write_text("no photo")
    return folder


def run(pattern, output, *options) -> int:
    with pytest.raises(SystemExit) as exit:
        arguments = ["--hr", pattern, "--output", output, *options, *THREADS]
        exit_cleanly(lambda: degrade_beam.main([str(each) for each in arguments]))
    return exit.value.code or 0


def test_it_makes_the_pairs_that_the_plain_command_makes(photos, small, style, tmp_path, capsys):
    degrade_files(photos, tmp_path / "plain", style, small, variants=2, seed=7, recursive=True)
    options = ["--style", style, "--from", f"{small}/**", "--variants", 2, "--seed", 7]
    assert run(f"{photos}/**", tmp_path / "out", *options) == 0
    made = contents(tmp_path / "out")
    assert made == contents(tmp_path / "plain")
    assert {"HR/a_1.png", "LR/X4/a_1.png", "LR/X4/more/e_2.png"} < set(made) and len(made) == 20
    assert made["LR/X4/a_1.png"] != made["LR/X4/a_2.png"] != made["LR/X4/more/a_2.png"]
    degrade_files(photos, tmp_path / "drawn", style, variants=2, seed=7)
    assert made["LR/X4/a_1.png"] != contents(tmp_path / "drawn")["LR/X4/a_1.png"], "styles do not come from photos"
    assert dead_letters(tmp_path / "out") == {}
    assert capsys.readouterr().out == f"10 written to {tmp_path / 'out'}\n"


def test_bad_files_become_dead_letters_and_a_second_run_does_only_what_is_left(bad_photos, style, tmp_path, capsys):
    out = tmp_path / "out"
    Image.new("RGB", (3, 9)).save(bad_photos / "narrow.png")
    degrade_files(bad_photos, tmp_path / "plain", style, recursive=True)
    assert run(f"{bad_photos}/**", out, "--style", style) == 1
    assert contents(out) == contents(tmp_path / "plain")
    letters = dead_letters(out)
    assert set(letters) == {"text.png", "more/zero.png", "half.png", "narrow.png"}
    assert letters["narrow.png"] == f"{bad_photos}/narrow.png: 3x9, at least 4x4 is wanted: remove it"

    for path in (out / "HR/a.png", out / "LR/X4/b.png"):  # a pair is whole where its LR file is
        path.unlink()
    os.utime(out / "LR/X4/more/e.png", (1, 1))
    capsys.readouterr()
    assert run(f"{bad_photos}/**", out, "--style", style) == 1
    assert capsys.readouterr().out.startswith(f"1 written to {out}, 4 were there before, 4 failed: see ")
    assert (out / "LR/X4/more/e.png").stat().st_mtime == 1
    assert run(f"{bad_photos}/a.png", out, "--style", style, "--overwrite") == 0
    assert contents(out) == contents(tmp_path / "plain")


def test_pairs_of_other_styles_are_made_again(photos, small, style, tmp_path, capsys):
    for options in ([], ["--from", f"{small}/**"]):
        for made, there in ((3, ""), (0, ", 3 were there before")):
            assert run(f"{photos}/*", tmp_path / "out", "--style", style, *options) == 0
            assert capsys.readouterr().out == f"{made} written to {tmp_path / 'out'}{there}\n"


def test_no_two_photos_share_a_pair(photos, style, tmp_path):
    Image.open(photos / "a.png").save(photos / "a.jpg")
    assert run(f"{photos}/*", tmp_path, "--style", style) == 0
    assert {path.name for path in Path(tmp_path, "LR", "X4").iterdir()} == {
        "a.jpg.png",
        "a.png.png",
        "b.png",
        "c d é.png",
    }


@pytest.mark.parametrize(
    "options, words",
    [
        (["--from", "{small}/*.txt"], "no photos found"),
        (["--from", "{small}/*.gif"], "no file matches"),
        (["--style", "runs/none"], "no such model"),
        (["--sed", "7"], "--sed: no such option"),
    ],
)
def test_a_mistake_ends_in_one_line(photos, small, style, tmp_path, capsys, options, words):
    options = ["--style", style, *(option.format(small=small) for option in options)]
    assert run(f"{photos}/*", tmp_path / "out", *options) == 2
    assert words in capsys.readouterr().err.splitlines()[-1]


def test_without_beam_one_line_says_how_to_get_it(photos, monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(UserError, match=r"pip install 'ssrvae_tf\[beam\]'"):
        degrade_beam.degrade_beam(f"{photos}/*", "out")


@pytest.mark.slow
def test_two_processes_do_what_the_plain_command_does(bad_photos, small, style, tmp_path):
    degrade_files(bad_photos, tmp_path / "plain", style, small, recursive=True)
    out, from_ = str(tmp_path / "out"), f"{small}/**"
    outcome = degrade_beam.degrade_beam(f"{bad_photos}/**", out, PROCESSES, str(style), from_)
    assert (outcome.written, outcome.dead, outcome.code) == (5, 3, 1)
    assert contents(tmp_path / "out") == contents(tmp_path / "plain")
