"""The command line. `load` is replaced: what it does is tested elsewhere."""

from __future__ import annotations

import errno
import os
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from flaky_server import FlakyServer
from PIL import Image
from stub_models import BicubicNetwork, BoxStyle

from ssrvae_tf import serving
from ssrvae_tf.errors import UserError, exit_cleanly
from ssrvae_tf.inference import fast_engine
from ssrvae_tf.photos import before_after, folders
from ssrvae_tf.photos import files as photo_files
from ssrvae_tf.photos.samples import sample_photos
from ssrvae_tf.serving import RequestRefused
from ssrvae_tf.upscale import main, upscale_files


@pytest.fixture(autouse=True)
def models(monkeypatch):
    known = {"faces-x4": BicubicNetwork(), "runs/x2": BicubicNetwork(scale=2), "faces-style": BoxStyle()}
    known["runs/x4"] = BicubicNetwork()

    def load(model):
        name = os.fspath(model)
        if name not in known:
            raise UserError(f"no model {name}")
        return known[name]

    monkeypatch.setattr(fast_engine, "find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "ssrvae_tf.loading.models", types.SimpleNamespace(load=load))
    monkeypatch.setattr("ssrvae_tf.upscale.identity", lambda model: getattr(model, "model", str(model)))
    return known


@pytest.fixture
def photo(tmp_path):
    """face.png, 20 wide, 30 high."""
    path = tmp_path / "face.png"
    Image.open(sample_photos()[0]).crop((170, 60, 290, 240)).resize((20, 30)).save(path, icc_profile=None)
    return path


def run(*arguments) -> int:
    with pytest.raises(SystemExit) as exit:
        exit_cleanly(lambda: main([str(argument) for argument in arguments]))
    return exit.value.code or 0


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file())


def test_the_result_lies_beside_the_photo_and_nothing_else_does(photo, capsys):
    assert run(photo) == 0
    assert names(photo.parent) == ["face.png", "face_x4.png"]
    assert Image.open(photo.parent / "face_x4.png").size == (80, 120)
    assert capsys.readouterr().out.strip() == str(photo.parent / "face_x4.png")


@pytest.mark.parametrize("suffix", [".jfif", ".JPE"])
def test_a_jpeg_of_any_name_is_kept_one(photo, suffix):
    Image.open(photo).save(photo.with_name(f"a{suffix}"), "JPEG")
    assert run(photo.with_name(f"a{suffix}")) == 0
    with Image.open(photo.with_name(f"a_x4{suffix}")) as result:
        assert result.format == "JPEG" and result.size == (80, 120)


def test_the_default_name_says_the_scale(photo):
    assert upscale_files(photo, model="runs/x2").written[0].name == "face_x2.png"
    assert upscale_files(photo, scale=2.5).written[0].name == "face_x2.5.png"


@pytest.mark.parametrize("scale, size", [(2, (40, 60)), (3, (60, 90)), (6, (120, 180))])
def test_another_scale_is_resized_to(photo, scale, size):
    assert run(photo, "--scale", scale) == 0
    assert Image.open(photo.parent / f"face_x{scale}.png").size == size


def test_out_chooses_place_and_format(photo, tmp_path):
    out = tmp_path / "results" / "big.jpg"
    assert run(photo, "--model", "runs/x2", "--out", out) == 0
    picture = Image.open(out)
    assert (picture.format, picture.size) == ("JPEG", (40, 60))


@pytest.mark.parametrize("out", ["results", "results/", "results.d/"])
def test_out_may_be_a_folder_for_one_photo(photo, tmp_path, monkeypatch, out):
    monkeypatch.chdir(tmp_path)
    assert run(photo, "--out", out) == 0
    assert names(out) == ["face_x4.png"]


@pytest.mark.parametrize(
    "mode, name, wanted",
    [
        ("L", "a.png", "L"),
        ("I;16", "a.png", "I;16"),
        ("RGBA", "a.png", "RGBA"),
        ("LA", "a.png", "LA"),
        ("CMYK", "a.jpg", "RGB"),
        ("RGB", "a.WEBP", "RGB"),
        ("P", "a.gif", "RGB"),
        ("RGB", "a.ppm", "RGB"),
    ],
)
def test_kinds_of_photos(tmp_path, mode, name, wanted):
    if mode == "I;16":
        Image.fromarray(np.full((5, 6), 30001, np.uint16)).save(tmp_path / name)
    else:
        Image.new("RGB", (6, 5), (200, 60, 10)).convert(mode).save(tmp_path / name)
    (result,) = upscale_files(tmp_path / name).written
    assert result.suffix == (".png" if name in ("a.gif", "a.ppm") else os.path.splitext(name)[1])
    picture = Image.open(result)
    assert (picture.mode, picture.size) == (wanted, (24, 20))
    if mode == "I;16":
        assert (np.asarray(picture) == 30001).all()


@pytest.mark.parametrize(
    "kind, suffix, format",
    [("jpeg", ".jpg", "JPEG"), ("jpg", ".jpg", "JPEG"), ("webp", ".webp", "WEBP"), ("tif", ".tif", "TIFF")],
)
def test_a_format_for_all(photo, kind, suffix, format):
    assert run(photo, "--format", kind) == 0
    assert Image.open(photo.with_name(f"face_x4{suffix}")).format == format


def test_quality_is_that_of_the_file(photo, tmp_path):
    sizes = []
    for quality in (30, 95):
        run(photo, "--out", tmp_path / f"{quality}.jpg", "--quality", quality)
        sizes.append((tmp_path / f"{quality}.jpg").stat().st_size)
    assert sizes[0] < sizes[1] / 2


def test_a_kept_format_that_cannot_hold_the_result_gives_way_to_png(tmp_path, capsys):
    Image.new("RGB", (5000, 3)).save(tmp_path / "wide.webp", lossless=True)
    assert run(tmp_path / "wide.webp") == 0
    assert names(tmp_path) == ["wide.webp", "wide_x4.webp.png"]
    assert "20000x12 is too large for webp" in capsys.readouterr().err
    assert run(tmp_path / "wide.webp") == 0
    assert "wide_x4.webp.png is there already" in capsys.readouterr().out
    assert run(tmp_path / "wide.webp", "--format", "webp") == 1


@pytest.fixture
def folder(tmp_path, photo):
    """in/: a.png, a.jpg, deep/b c.png, deep/é.png and three bad ones."""
    inside = tmp_path / "in"
    (inside / "deep").mkdir(parents=True)
    for name in ("a.png", "a.jpg", "deep/b c.png", "deep/é.png"):
        Image.open(photo).save(inside / name)
    (inside / "text.jpg").write_text("no photo")
    (inside / "zero.png").write_bytes(b"")
    (inside / "cut.png").write_bytes(photo.read_bytes()[:700])
    return inside


GOOD = ["a_x4.jpg", "a_x4.png", "deep/b c_x4.png", "deep/é_x4.png"]


def test_a_folder_keeps_its_structure_and_bad_files_do_not_stop_it(folder, tmp_path, capsys):
    assert run(folder, "--recursive", "--out", tmp_path / "out") == 1
    assert names(tmp_path / "out") == GOOD
    printed = capsys.readouterr()
    assert printed.out == f"4 written to {tmp_path / 'out'}, 3 failed\n"
    errors = printed.err.splitlines()
    assert len([line for line in errors if line.startswith("error: ")]) == 3
    assert all(any(name in line for line in errors) for name in ("text.jpg", "zero.png", "cut.png"))


def test_a_second_run_makes_only_what_is_missing(folder, tmp_path, capsys, models):
    run(folder, "--recursive", "--out", tmp_path / "out")
    (tmp_path / "out" / "a_x4.png").unlink()
    kept = tmp_path / "out" / "a_x4.jpg"
    before = kept.stat().st_mtime_ns
    models["faces-x4"].batches.clear()
    assert run(folder, "--recursive", "--out", tmp_path / "out") == 1
    assert len(models["faces-x4"].batches) == 1 and kept.stat().st_mtime_ns == before
    assert "1 written" in capsys.readouterr().out
    run(folder, "--recursive", "--out", tmp_path / "out", "--overwrite")
    assert kept.stat().st_mtime_ns > before


@pytest.mark.parametrize(
    "first, then, difference",
    [
        ("", "--strength 0.7", "strength 1.0, now 0.7"),
        ("", "--tile 16", "tile auto, now 16"),
        ("--tile 16", "--tile 16 --overlap 4", "overlap 8, now 4"),
        ("--scale 2 --model runs/x2", "--scale 2 --model runs/x4", "model runs/x2, now runs/x4"),
        ("--detailed runs/x4", "--detailed runs/x4 --detail 1", "detail 0.5, now 1.0"),
        ("--format jpeg", "--format jpeg --quality 40", "quality 95, now 40"),
        ("--scale 2", "--scale 3", "scale 2.0, now 3.0"),
    ],
)
def test_results_that_other_options_made_are_made_again(photo, tmp_path, capsys, first, then, difference):
    out = tmp_path / ("result.jpg" if "jpeg" in first else "result.png")
    run(photo, "--out", out, *first.split())
    before = out.read_bytes()
    assert run(photo, "--out", out, *then.split()) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [str(out)] * 2 and out.read_bytes() != before
    told = printed.err.splitlines()[-1]
    assert told == f"1 result made otherwise, such as {out} ({difference}): made again"
    assert run(photo, "--out", out, *then.split()) == 0
    assert "is there already" in capsys.readouterr().out


def test_the_engine_is_told_and_recorded_and_another_makes_nothing_again(photo, monkeypatch, capsys):
    run(photo)
    assert capsys.readouterr().err.startswith("faces-x4 at detail 0.8: Keras, float32")
    result = photo.with_name("face_x4.png")
    assert b'computed_by="Keras, float32"' in photo_files.packet(result)
    before = result.read_bytes()
    assert run(photo, "--engine", "litert") == 0 and result.read_bytes() == before


@pytest.mark.parametrize("option", ["--engine keras", "--precision bfloat16"])
def test_a_server_computes_by_itself(photo, capsys, option):
    assert run(photo, "--server", "http://localhost:1", *option.split()) == 2
    told = "error: --server: it computes by itself: leave --engine and --precision out\n"
    assert capsys.readouterr().err == told


def test_the_result_of_another_photo_of_that_name_is_made_again(photo, capsys):
    run(photo)
    Image.open(photo).rotate(90, expand=True).save(photo)
    assert run(photo) == 0 and Image.open(photo.with_name("face_x4.png")).size == (120, 80)


def test_options_that_change_no_pixel_make_nothing_again(photo, models, capsys):
    run(photo)
    models["faces-x4"].batches.clear()
    assert run(photo, *"--quality 40 --batch 2 --jobs 1 --engine keras --format png --strength 1".split()) == 0
    assert models["faces-x4"].batches == [] and "is there already" in capsys.readouterr().out


def test_results_that_do_not_say_what_made_them_stay(photo, capsys):
    result = photo.with_name("face_x4.png")
    Image.new("RGB", (80, 120)).save(result)
    before = result.read_bytes()
    assert run(photo, "--strength", 0.3) == 0 and result.read_bytes() == before
    told = f"1 result without a word of what made it, such as {result}: left alone; --overwrite makes all anew\n"
    assert capsys.readouterr().err == told
    assert run(photo, "--overwrite") == 0 and result.read_bytes() != before


def test_one_format_for_two_photos_of_one_name_makes_two_results(folder, tmp_path):
    run(folder, "--out", tmp_path / "out", "--format", "png")
    assert names(tmp_path / "out") == ["a.jpg_x4.png", "a.png_x4.png"]


def test_results_beside_photos_are_not_enlarged_again(folder):
    for _ in range(2):
        run(folder, "--recursive", "--compare")
    made = [name for name in names(folder) if "_x4" in name and "compare" not in name]
    sheets = [name for name in names(folder / "compare_x4") if name != "before_after.html"]
    assert made == GOOD and sheets == [f"{name}.jpg" for name in GOOD]


def test_results_of_another_scale_or_format_are_not_enlarged_again(photo):
    photo.with_name("face_x3.png").write_bytes(photo.read_bytes())  # no result, whatever it is called
    results = ["face_x4.png", "face_x3_x4.png"]
    for options, suffix in (([], "_x4.png"), (["--scale", 2], "_x2.png"), (["--format", "jpeg"], "_x4.jpg")):
        assert run(photo.parent, *options) == 0
        results += [f"face{suffix}", f"face_x3{suffix}"]
        assert names(photo.parent) == sorted({"face.png", "face_x3.png", *results})
    assert run(photo.with_name("face_x2.png")) == 0 and photo.with_name("face_x2_x4.png").exists(), "it was asked for"


def test_results_in_the_folder_of_the_photos_are_not_enlarged_again(folder):
    for _ in range(2):
        run(folder, "--out", folder, "--format", "png")
    made = [name for name in names(folder) if "_x4" in name]
    assert made == ["a.jpg_x4.png", "a.png_x4.png"]


def test_a_sheet_that_is_named_is_a_photo(photo, tmp_path):
    run(photo, "--compare")
    for sheet in ("compare_x4", "compare_x4/*.jpg", "compare_x4/face_x4.png.jpg"):
        assert run(tmp_path / sheet, "--out", tmp_path / "out", "--overwrite") == 0
        assert names(tmp_path / "out") == ["face_x4.png_x4.jpg"]
    assert run(tmp_path / "**" / "*.png.jpg", "--out", tmp_path / "other") == 2


def test_names_in_no_encoding_and_too_long_ones_do_not_stop_the_others(folder, tmp_path, capsys):
    (folder / "a.png").rename(folder / os.fsdecode(b"a\xe9.png"))
    assert run(folder / ("x" * 256), folder, "--out", tmp_path / "out", "--compare") == 1
    assert b"a\xe9_x4.png" in os.listdir(os.fsencode(tmp_path / "out"))
    assert "File name too long" in capsys.readouterr().err


def test_what_holds_no_photo_does_not_stop_the_others(photo, capsys):
    assert run(photo, photo.parent / "*.tiff") == 1
    assert photo.with_name("face_x4.png").exists()
    assert "*.tiff: no file matches" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_in_does_not_stop_the_others(folder, photo, monkeypatch, capsys):
    check = folders.check_folder

    def refused(place, option):
        if place == folder:
            raise UserError(f"{place}: cannot be written")
        check(place, option)

    monkeypatch.setattr(folders, "check_folder", refused)
    assert run(folder / "a.png", photo) == 1
    assert photo.with_name("face_x4.png").exists() and "in: cannot be written" in capsys.readouterr().err


def test_a_folder_in_the_place_of_a_result_is_told(photo, tmp_path, capsys):
    (tmp_path / "out" / "face_x4.png").mkdir(parents=True)
    assert run(photo, "--out", tmp_path / "out") == 1
    assert "face_x4.png: cannot be written (Is a directory)" in capsys.readouterr().err


def test_an_empty_word_among_others_is_told(photo, capsys):
    assert run(photo, "") == 1
    assert "error: .: a folder, a photo is wanted" in capsys.readouterr().err
    assert names(photo.parent) == ["face.png", "face_x4.png"]


def test_no_folder_is_made_for_a_photo_that_is_not_there(tmp_path):
    assert run(tmp_path / "gone" / "a.png") == 1
    assert not (tmp_path / "gone").exists()


def test_a_page_on_a_full_disk_is_told_in_a_line(photo, monkeypatch, capsys):
    write, calls = before_after.Comparisons.write_page, []

    def full(self):
        calls.append(1)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(self)

    monkeypatch.setattr(before_after.Comparisons, "write_page", full)
    assert run(photo, "--compare") == 1
    assert "before_after.html: cannot be written (No space left on device)" in capsys.readouterr().err


def test_a_missing_file_does_not_stop_the_others(photo, capsys):
    assert run(photo.with_name("gone.png"), photo) == 1
    assert photo.with_name("face_x4.png").exists()
    printed = capsys.readouterr()
    assert "gone.png: no such file" in printed.err
    assert printed.out == "1 written beside the photos, 1 failed\n"


def test_strength_and_tiles_reach_the_network(photo, models):
    models["faces-x4"].shift = 0.2
    run(photo, "--tile", 16, "--overlap", 4, "--batch", 2, "--strength", 0.5)
    assert all(max(batch.shape[1:3]) <= 16 for batch in models["faces-x4"].batches)
    result = np.asarray(Image.open(photo.with_name("face_x4.png")), float)
    plain = np.asarray(Image.open(photo).resize((80, 120), Image.BICUBIC), float)
    middle = (plain > 20) & (plain < 220)
    assert np.abs(result - plain)[middle].mean() == pytest.approx(0.5 * 0.2 * 255, abs=2)


def test_compare_writes_a_folder_of_sheets_with_a_page(tmp_path):
    Image.open(sample_photos()[0]).convert("RGB").resize((300, 260)).save(tmp_path / "a.png")
    assert run(tmp_path / "a.png", "--compare", "--out", tmp_path / "b.jpg") == 0
    sheets = ["b_compare/b.jpg.detail.jpg", "b_compare/b.jpg.jpg"]
    assert names(tmp_path) == [
        "a.png",
        "b.jpg",
        "b_compare/b.jpg.detail.jpg",
        "b_compare/b.jpg.jpg",
        "b_compare/before_after.html",
    ]
    assert [Image.open(tmp_path / sheet).width for sheet in sheets] == [2 * 512, 2 * 1024]


def test_sheets_of_results_that_are_there_are_drawn_without_the_network(folder, tmp_path, models, capsys):
    out = tmp_path / "out"
    run(folder, "--recursive", "--out", out)
    models["faces-x4"].batches.clear()
    capsys.readouterr()
    assert run(folder, "--recursive", "--out", out, "--compare") == 1
    printed = capsys.readouterr()
    assert printed.out == f"0 written to {out}, 4 were there before, 3 failed\n"
    assert f"before and after: {out}/compare_x4/before_after.html" in printed.err.splitlines()
    assert models["faces-x4"].batches == []
    assert sorted(names(out / "compare_x4")) == sorted(["before_after.html", *(f"{name}.jpg" for name in GOOD)])
    models["faces-x4"].shift = 0.3
    sheet = out / "compare_x4" / "a_x4.png.jpg"
    for options in ([], ["--compare"]):
        before = np.asarray(Image.open(sheet), int)
        run(folder / "a.png", "--out", f"{out}/", "--strength", 0.9, *options)
    assert (np.asarray(Image.open(sheet)) - before)[36:, 80:].mean() > 20, "it was the sheet of another result"


def test_the_page_of_a_second_job_shows_the_first_too(folder, tmp_path):
    for name in ("a.png", "a.jpg"):
        run(folder / name, "--compare", "--out", f"{tmp_path / 'out'}/")
    page = (tmp_path / "out" / "compare_x4" / "before_after.html").read_text()
    assert '[["a_x4.jpg", 0], ["a_x4.png", 0]]' in page


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["text.d"], "no photos found"),
        (["*.tiff"], "no file matches"),
        (["face.png", "--model", "faces-x5"], "faces-x5"),
        (["face.png", "--model", "faces-style"], "degrades photos"),
        (["face.png", "--model", "gone.tflite"], "no such file"),
        (["face.png", "--out", "a.xyz"], "cannot write .xyz"),
        (["face.png", "--out", ""], "an empty name"),
        (["face.png", "--out", "face.png"], "the photo itself"),
        (["face.png", "--out", "face.png/deep/"], "cannot be written"),
        (["face.png", "--out", "note"], "a file is there"),
        (["face.png", "note", "--out", "a.png"], "one file for several"),
        (["face.png", "--out", "a.png", "--format", "jpeg"], "leave one of them out"),
        (["face.png", "--device", "gpu:9"], "no such device"),
    ],
)
def test_a_users_mistake_is_one_line(photo, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(photo.parent)
    Path("note").write_text("hello")
    Path("text.d").mkdir()
    before = names(photo.parent)
    assert run(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ") and captured.err.count("\n") == 1
    assert words in captured.err
    assert names(photo.parent) == before


@pytest.mark.parametrize(
    "options",
    [
        ["--scale", "inf"],
        ["--scale", "nan"],
        ["--scale", "1e9"],
        ["--tile", "8"],
        ["--tile", "x"],
        ["--strength", "2"],
        ["--detail", "2"],
        ["--detail", "0.5", "--model", "runs/x4"],
        ["--detail", "0.5", "--server", "http://host"],
        ["--quality", "0"],
        ["--jobs", "0"],
        ["--size"],
    ],
)
def test_options_of_no_use_are_refused(photo, capsys, options):
    assert run(photo, *options) == 2
    assert "Traceback" not in capsys.readouterr().err and names(photo.parent) == ["face.png"]


def test_a_full_disk_ends_the_job_with_a_word(folder, tmp_path, monkeypatch, capsys):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(photo_files, "write", full)
    assert run(folder, "--out", tmp_path / "out") == 1
    assert "No space left on device: stopped; the same command goes on" in capsys.readouterr().err


def test_large_photos_are_refused_until_the_limit_is_lifted(photo, capsys):
    assert run(photo, "--max-megapixels", 0.0005) == 1
    assert "--max-megapixels lifts it" in capsys.readouterr().err
    assert run(photo, "--max-megapixels", 1) == 0


class Doubler:
    """In the place of a client: enlarges by repeating, refuses what is wider than 16, and notes what it was told."""

    def __init__(self, url, **options):
        self.told = (url, options)
        self.address, self.model, self.version = url, options.get("model"), options.get("version")

    def upscale(self, image):
        if image.shape[1] > 24:
            raise RequestRefused(self.told[0], 400, "too large")
        return image.repeat(2, 0).repeat(2, 1)


@pytest.fixture
def clients(monkeypatch):
    """Those that were made."""
    made = []
    monkeypatch.setattr(serving, "client", lambda url, **options: made.append(Doubler(url, **options)) or made[-1])
    return made


def test_photos_that_a_server_refuses_are_named(photo, clients, capsys):
    for name in ("wide.png", "wider.png"):
        Image.new("RGB", (40, 10)).save(photo.with_name(name))
    Image.new("RGB", (10, 10)).save(photo.with_name("small.png"))
    assert run(photo.parent, "--server", "http://host", "--out", photo.parent / "out", "--tile", 300) == 1
    refused = "http://host: the server refused the request (400): too large"
    names_ = ("face.png", "wide.png", "wider.png")
    assert capsys.readouterr().err.splitlines() == [f"error: {photo.with_name(each)}: {refused}" for each in names_]
    assert names(photo.parent / "out") == ["small_x2.png"]


def test_a_photo_that_names_itself_is_not_named_twice(folder, capsys):
    run(folder, "--out", folder.parent / "out")
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 3 and all(line.count(".jpg") + line.count(".png") == 1 for line in errors)


@pytest.mark.parametrize(
    "given, options",
    [
        ([], {}),
        (["--model", "faces-style"], {"model": "faces-style", "version": None}),
        (["--model", "other:12"], {"model": "other", "version": 12}),
    ],
)
def test_the_model_on_a_server_may_be_named(photo, clients, given, options):
    assert run(photo, "--server", "grpc://host:1", "--tile", 16, "--overlap", 4, *given) == 0
    assert [each.told for each in clients] == [("grpc://host:1", options)]


def test_a_model_that_the_server_lacks_is_told_in_its_words(photo, capsys):
    with FlakyServer((404, '{"error": "Servable not found for request: Latest(nope)"}')) as server:
        assert run(photo, "--server", server.address, "--model", "nope") == 2
    refused = "the server refused the request (404): Servable not found for request: Latest(nope)"
    assert capsys.readouterr().err == f"error: {server.address}: {refused}\n"


@pytest.mark.parametrize("model", ["", ":1", "a:", "a:b", "a:-1", "a:1:2", f"a:{'9' * 30}"])
def test_what_names_no_model_of_a_server_is_told(photo, capsys, model):
    assert run(photo, "--server", "http://host", "--model", model) == 2
    assert "NAME or NAME:VERSION of a model there is wanted" in capsys.readouterr().err


@pytest.mark.parametrize("host", ["a..b", "a" * 300])
def test_a_server_whose_name_cannot_be_one_is_told_in_a_line(photo, capsys, host):
    assert run(photo, "--server", f"http://{host}:8501") == 2
    captured = capsys.readouterr().err
    assert captured.startswith(f"error: http://{host}:8501: no server answers there") and captured.count("\n") == 1
