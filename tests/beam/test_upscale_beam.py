"""The pipeline on Beam's direct runner with two workers."""

from __future__ import annotations

import logging
import os
import sys

import numpy as np
import pytest
from beam_case import PROCESSES, THREADS, contents, dead_letters
from face_montages import montage
from PIL import Image
from tiny_runs import PLAIN, tiny

from ssrvae_tf import config, upscale_beam
from ssrvae_tf.errors import UserError, exit_cleanly
from ssrvae_tf.loading import models as loading
from ssrvae_tf.loading.places import Blend
from ssrvae_tf.photos import files as photo_files
from ssrvae_tf.photos import records
from ssrvae_tf.upscale import upscale_files

pytest.importorskip("apache_beam")

from apache_beam.io.filesystem import FileMetadata, MatchResult  # noqa: E402
from flaky_files import SCHEME, FlakyFileSystem  # noqa: E402

from ssrvae_tf.beam import files, handlers  # noqa: E402


def run(pattern, output, *options) -> int:
    with pytest.raises(SystemExit) as exit:
        arguments = ["--input", pattern, "--output", output, *options, *THREADS]
        exit_cleanly(lambda: upscale_beam.main([str(each) for each in arguments]))
    return exit.value.code or 0


def test_it_writes_what_the_plain_command_writes_and_loads_the_model_once_for_all_threads(
    photos, tmp_path, loads, capsys
):
    upscale_files([photos], tmp_path / "plain", recursive=True)
    loads.clear()
    assert run(f"{photos}/**", tmp_path / "out") == 0
    assert [*map(os.fspath, loads)] == ["faces-x4"] * 2  # for its scale at the start, and by the workers
    assert contents(tmp_path / "out") == contents(tmp_path / "plain")
    assert set(contents(tmp_path / "out")) == {
        "a_x4.png",
        "b_x4.jpg",
        "c d é_x4.webp",
        "more/a_x4.png",
        "more/e_x4.tif",
    }
    assert dead_letters(tmp_path / "out") == {}
    assert capsys.readouterr().out == f"5 written to {tmp_path / 'out'}\n"


def test_its_options_do_what_those_of_the_plain_command_do(photos, tmp_path, loads):
    settings = {"scale": 3.0, "format": "jpeg", "quality": 40, "strength": 0.5, "tile": 16, "overlap": 4, "batch": 2}
    upscale_files([photos], tmp_path / "plain", "runs/mine", **settings)
    options = "--scale 3 --format jpeg --quality 40 --strength 0.5 --tile 16 --overlap 4 --batch 2 --model runs/mine"
    assert run(f"{photos}/*.*", tmp_path / "out", *options.split()) == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "plain")
    assert set(loads) == {"runs/mine"}


def test_the_detail_reaches_the_workers_and_is_recorded_as_by_the_plain_command(photos, tmp_path, loads):
    upscale_files([photos], tmp_path / "plain", detail=0.25, detailed="runs/mine")
    loads.clear()
    assert run(f"{photos}/*.*", tmp_path / "out", "--detail", 0.25, "--detailed", "runs/mine") == 0
    assert loads == [Blend("faces-x4", 0.25, "runs/mine")] * 2
    assert contents(tmp_path / "out") == contents(tmp_path / "plain")
    assert '"detail": 0.25' in records.made(tmp_path / "out" / "a_x4.png")


def test_faces_alone_are_rebuilt_as_by_the_plain_command(tmp_path, loads, capsys):
    photo, _ = montage(120, 80, [(40, 40, 30)])
    (tmp_path / "photos").mkdir()
    Image.fromarray(photo).save(tmp_path / "photos" / "group.png")
    upscale_files([tmp_path / "photos"], tmp_path / "plain", faces=True, background="faces-x4-clean", strength=0.5)
    options = ["--faces", "--background", "faces-x4-clean", "--strength", "0.5"]
    assert run(f"{tmp_path}/photos/*", tmp_path / "out", *options) == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "plain")
    assert run(f"{tmp_path}/photos/*", tmp_path / "out", "--faces", "--strength", "0.5") == 0
    assert "1 result made otherwise" in capsys.readouterr().err, "now with a bicubic background"
    assert contents(tmp_path / "out") != contents(tmp_path / "plain")
    assert run(f"{tmp_path}/photos/*", tmp_path / "out", "--background", "bicubic") == 2
    assert "--background: only with --faces: add it" in capsys.readouterr().err


def test_bad_files_become_dead_letters_and_all_others_are_done(bad_photos, tmp_path, loads, capsys):
    out = tmp_path / "out"
    assert run(f"{bad_photos}/**", out) == 1
    assert len(contents(out)) == 5
    letters = dead_letters(out)
    assert set(letters) == {"text_x4.jpg", "more/zero_x4.png", "half_x4.png"}
    assert letters["text_x4.jpg"].startswith(f"{bad_photos}/text.jpg: cannot be read (not a photo that Pillow reads)")
    assert letters["more/zero_x4.png"] == f"{bad_photos}/more/zero.png: an empty file: repair or remove it"
    assert capsys.readouterr().out == f"5 written to {out}, 3 failed: see {out}/dead_letter-*.jsonl\n"


def test_photos_that_fail_in_the_network_or_cannot_be_written_are_dead_letters(photos, tmp_path, loads, monkeypatch):
    def upscale(pixels, model, **settings):
        if pixels.shape[:2] == (20, 30):
            raise MemoryError
        return np.repeat(np.repeat(pixels, 4, 0), 4, 1)

    monkeypatch.setattr(handlers, "upscale", upscale)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "more").touch()  # where a folder is wanted
    assert run(f"{photos}/**", tmp_path / "out") == 1
    letters = dead_letters(tmp_path / "out")
    assert set(letters) == {"c d é_x4.webp", "more/a_x4.png", "more/e_x4.tif"}
    assert letters["c d é_x4.webp"] == f"{photos}/c d é.webp: needs more memory than there is"
    assert "FileExistsError" in letters["more/a_x4.png"]
    assert set(contents(tmp_path / "out")) == {"a_x4.png", "b_x4.jpg", "more"}


def test_names_in_no_encoding_and_as_long_as_names_can_be_are_names(tmp_path, loads):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in (os.fsdecode(b"caf\xe9.png"), f"{'é' * 120}.png"):
        Image.new("RGB", (8, 8)).save(folder / "new.png")
        (folder / "new.png").rename(folder / name)
    upscale_files([folder], tmp_path / "plain")
    bad = folder / os.fsdecode(b"bad\xe9.png")
    bad.touch()
    assert run(f"{folder}/*", tmp_path / "out") == 1
    assert contents(tmp_path / "out") == contents(tmp_path / "plain")
    reason = f"{folder}/bad\\udce9.png: an empty file: repair or remove it"
    assert dead_letters(tmp_path / "out") == {"bad\\udce9_x4.png": reason}


def test_a_result_that_cannot_be_looked_at_is_a_dead_letter(photos, tmp_path, loads):
    (tmp_path / "out" / "a_x4.png").mkdir(parents=True)
    assert run(f"{photos}/*", tmp_path / "out") == 1
    assert set(contents(tmp_path / "out")) == {"b_x4.jpg", "c d é_x4.webp"}
    assert "Is a directory" in dead_letters(tmp_path / "out")["a_x4.png"]


def test_run_again_it_does_what_was_left_and_nothing_else(bad_photos, tmp_path, loads, capsys):
    out = tmp_path / "out"
    assert run(f"{bad_photos}/**", out) == 1
    (out / "b_x4.jpg").unlink()
    for name in ("a_x4.png", "more/a_x4.png"):
        os.utime(out / name, (1, 1))
    for name in ("text.jpg", "more/zero.png", "half.png"):
        (bad_photos / name).write_bytes((bad_photos / "a.png").read_bytes())
    capsys.readouterr()
    assert run(f"{bad_photos}/**", out) == 0
    assert capsys.readouterr().out == f"4 written to {out}, 4 were there before\n"
    assert (out / "a_x4.png").stat().st_mtime == 1
    assert dead_letters(out) == {}, "those of the first time are out of date"
    assert run(f"{bad_photos}/a.png", out, "--overwrite") == 0
    assert (out / "a_x4.png").stat().st_mtime != 1 and (out / "more/a_x4.png").stat().st_mtime == 1


def test_results_that_other_options_made_are_made_again_and_those_without_a_record_stay(
    photos, tmp_path, loads, capsys, monkeypatch
):
    out = tmp_path / "out"
    assert run(f"{photos}/**", out) == 0
    Image.new("RGB", (80, 120)).save(out / "a_x4.png")
    assert run(f"{photos}/*", out, "--strength", 0.5) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines()[1] == f"2 written to {out}, 1 were there before"
    assert printed.err.splitlines()[-2:] == [
        "2 results made otherwise: made again",
        "1 result without a word of what made it: left alone; --overwrite makes all anew",
    ]
    monkeypatch.setattr(upscale_beam, "identity", lambda model: "another")
    assert run(f"{photos}/**", out) == 0
    assert capsys.readouterr().out == f"4 written to {out}, 1 were there before\n"


def test_no_two_photos_share_a_result_and_results_are_not_taken_for_photos(photos, tmp_path, loads):
    Image.open(photos / "a.png").save(photos / "a.jpg")
    out = photos / "results"
    for _ in range(2):
        assert run(f"{photos}/**", out, "--format", "png") == 0
    assert set(contents(out)) == {
        "a.png_x4.png",
        "a.jpg_x4.png",
        "b_x4.png",
        "c d é_x4.png",
        "more/a_x4.png",
        "more/e_x4.png",
    }


def test_what_a_format_cannot_hold_is_written_as_png_or_is_a_dead_letter(photos, tmp_path, loads, monkeypatch):
    monkeypatch.setitem(photo_files._LONGEST, "webp", 100)
    for code in (0, 0):  # again, and it is found
        assert run(f"{photos}/*.webp", tmp_path / "out") == code
        assert set(contents(tmp_path / "out")) == {"c d é_x4.webp.png"}
    assert run(f"{photos}/*.webp", tmp_path / "as_told", "--format", "webp") == 1
    assert dead_letters(tmp_path / "as_told")["c d é_x4.webp"].endswith("take --format png or tiff")


def test_a_note_about_an_animation_names_the_photo(tmp_path, loads, caplog):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    with caplog.at_level(logging.WARNING):
        assert run(tmp_path / "*.gif", tmp_path / "out") == 0
    assert f"{tmp_path}/moving.gif: 2 frames or pages: only the first is taken" in caplog.text
    assert set(contents(tmp_path / "out")) == {"moving_x4.png"}


@pytest.fixture
def flaky(monkeypatch):
    monkeypatch.setattr(files, "FIRST_WAIT", 0.01)
    FlakyFileSystem.attempts.clear()
    monkeypatch.setattr(FlakyFileSystem, "stumbles", 1)
    return FlakyFileSystem


def test_what_fails_for_a_while_on_another_filesystem_is_tried_again(photos, tmp_path, loads, flaky):
    flaky.stumbles = 2
    upscale_files([photos], tmp_path / "plain", recursive=True)
    for _ in range(2):
        assert run(f"{SCHEME}{photos}/**", f"{SCHEME}{tmp_path}/out", "--overwrite") == 0
        assert contents(tmp_path / "out") == contents(tmp_path / "plain")
    assert {what for what, _ in flaky.attempts} == {"match", "open", "create", "rename", "exists"}


def test_what_fails_for_good_is_tried_no_more_than_a_few_times(photos, tmp_path, loads, flaky):
    target = f"{SCHEME}{tmp_path}/out/a_x4.png"
    flaky.stumbles = 0
    flaky.attempts["rename", target] = -1000  # always fails
    assert run(f"{SCHEME}{photos}/*.png", f"{SCHEME}{tmp_path}/out") == 1
    assert flaky.attempts["rename", target] == files.TRIES - 1000
    assert set(dead_letters(tmp_path / "out")) == {"a_x4.png"}
    assert contents(tmp_path / "out") == {}, "parts are left"


def test_entries_for_folders_hide_no_photos(photos, tmp_path, loads, flaky, monkeypatch):
    def match(self, patterns, limits=None):  # as of a bucket
        (found,) = matched(self, patterns)
        photos_and_folder = [FileMetadata(f"{SCHEME}{photos}/", 0), *found.metadata_list]
        return [MatchResult(patterns[0], photos_and_folder[: limits and limits[0]])]

    flaky.stumbles, matched = 0, flaky.match
    monkeypatch.setattr(flaky, "match", match)
    assert run(f"{SCHEME}{photos}/*.png", tmp_path / "out") == 0
    assert set(contents(tmp_path / "out")) == {"a_x4.png"}


@pytest.mark.parametrize(
    "pattern, options, words",
    [
        ("*.gif", [], "no file matches"),
        ("", [], "a folder"),
        ("*.png", ["--qualty", "3"], "--qualty: no such option"),
        ("*.png", ["--model", "runs/none"], "no such model"),
        ("*.png", ["--runner", "NoSuch"], "Unexpected pipeline runner: NoSuch"),
        ("nowhere://*.png", [], "cannot be listed"),
        ("*.png", ["--output", "nowhere://out"], "--output nowhere://out: cannot be reached"),
    ],
)
def test_a_mistake_ends_in_one_line(photos, tmp_path, capsys, pattern, options, words):
    pattern = pattern if ":" in pattern else f"{photos}/{pattern}".rstrip("/")
    assert run(pattern, tmp_path / "out", *options) == 2
    assert words in capsys.readouterr().err.splitlines()[-1]


def test_results_do_not_go_where_the_photos_are(photos, capsys):
    assert run(f"{photos}/*.png", photos) == 2
    assert capsys.readouterr().err.startswith(f"error: --output {photos}: the folder of --input: choose another one")


def test_a_folder_by_another_name_is_the_folder_of_the_photos(photos, tmp_path, capsys):
    (tmp_path / "link").symlink_to(photos)
    assert run(f"{photos}/*", tmp_path / "link") == 2
    assert "choose another one" in capsys.readouterr().err


def test_a_glob_that_the_shell_has_replaced_is_refused(photos):
    with pytest.raises(UserError, match="one glob is wanted: put it in quotes"):
        upscale_beam.main(["--input", f"{photos}/a.png", f"{photos}/b.jpg", "--output", "out"])


def test_without_beam_one_line_says_how_to_get_it(photos, monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(UserError, match=r"pip install 'ssrvae_tf\[beam\]'"):
        upscale_beam.upscale_beam(f"{photos}/*", "out")


@pytest.mark.slow
def test_two_processes_do_what_the_plain_command_does(bad_photos, tmp_path, capfd):
    settings = tiny("sr", "hr", tmp_path / "run", sr_network=PLAIN)
    (tmp_path / "run").mkdir()
    config.write(settings, tmp_path / "run" / "config.yaml")
    loading.save_weights(loading.build(settings), tmp_path / "run" / "model.weights.h5")
    outcome = upscale_files([bad_photos], tmp_path / "plain", tmp_path / "run", recursive=True)
    assert len(outcome.failed) == 3
    pattern, out = f"{bad_photos}/**", str(tmp_path / "out")
    result = upscale_beam.upscale_beam(pattern, out, PROCESSES, str(tmp_path / "run"))
    assert (result.written, result.dead, result.code) == (5, 3, 1)
    assert contents(tmp_path / "out") == contents(tmp_path / "plain")
    assert set(dead_letters(tmp_path / "out")) == {"text_x4.jpg", "more/zero_x4.png", "half_x4.png"}
