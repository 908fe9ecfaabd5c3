from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_runs import small_style_vae

from ssrvae_tf import degrade as command
from ssrvae_tf.data import bicubic
from ssrvae_tf.degrade import degrade_files
from ssrvae_tf.errors import UserError, exit_cleanly
from ssrvae_tf.inference import degrader
from ssrvae_tf.inference.degrader import Degrader
from ssrvae_tf.photos.samples import sample_photos


@pytest.fixture(scope="module")
def style():
    return small_style_vae()


def pairs(folder) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    folder = Path(folder)
    names = {path.relative_to(folder / "HR").as_posix() for path in (folder / "HR").rglob("*.png")}
    assert names == {path.relative_to(folder / "LR" / "X4").as_posix() for path in (folder / "LR").rglob("*.png")}
    return {
        name: tuple(np.asarray(Image.open(folder / part / name)) for part in ("HR", "LR/X4")) for name in sorted(names)
    }


def test_pairs_have_equal_names_and_matching_sizes(photo_folder, tmp_path, style):
    outcome = degrade_files(photo_folder, tmp_path, style, recursive=True)
    made = pairs(tmp_path)
    assert len(made) == len(outcome.written) == 12 and outcome.code == 0
    assert "more/10.png" in made
    for name, (hr, lr) in made.items():
        assert hr.shape == tuple(4 * side for side in lr.shape[:2]) + (3,) and lr.dtype == np.uint8
        (source,) = Path(photo_folder).glob(f"{name[:-4]}.*")
        photo = np.asarray(Image.open(source).convert("RGB"))
        np.testing.assert_array_equal(hr, photo[: hr.shape[0], : hr.shape[1]])


def test_the_seed_and_the_name_decide_everything(photo_folder, tmp_path, style):
    degrade_files(photo_folder, tmp_path / "a", style, seed=1)
    degrade_files(photo_folder, tmp_path / "b", style, seed=1, jobs=1)
    degrade_files(photo_folder, tmp_path / "c", style, seed=2)
    a, b, c = (pairs(tmp_path / name) for name in "abc")
    for name in a:
        np.testing.assert_array_equal(a[name][1], b[name][1])
        assert (a[name][1] != c[name][1]).any()


def test_a_job_goes_on_as_if_it_had_not_been_stopped(photo_folder, tmp_path, style):
    degrade_files(photo_folder, tmp_path, style)
    before = pairs(tmp_path)
    lost = sorted((tmp_path / "LR" / "X4").glob("*.png"))[3]
    lost.unlink()
    outcome = degrade_files(photo_folder, tmp_path, style)
    assert outcome.written == [lost] and len(outcome.skipped) == len(before) - 1
    np.testing.assert_array_equal(pairs(tmp_path)[lost.name][1], before[lost.name][1])


def test_pairs_that_other_styles_or_options_made_are_made_again(tmp_path, style, capsys):
    (tmp_path / "hr").mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 44, 3), np.uint8)).save(tmp_path / "hr" / "a.png")
    for number, folder in enumerate(("one", "two")):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (9 + number, 9), "red").save(tmp_path / folder / "0.png", compress_level=9 * number)
    rng = np.random.default_rng(1)
    other = small_style_vae()
    other.generator.set_weights([rng.normal(0, 0.05, value.shape) for value in other.generator.get_weights()])
    given = {"style": style, "seed": 0, "real": None}
    for changed in ({}, {"seed": 1}, {"style": other}, {"real": tmp_path / "one"}, {"real": tmp_path / "two"}):
        given.update(changed)
        assert len(degrade_files(tmp_path / "hr", tmp_path / "out", **given).written) == 1, changed
        assert len(degrade_files(tmp_path / "hr", tmp_path / "out", **given).skipped) == 1, changed
    assert " made otherwise, such as " in capsys.readouterr().err
    lr = tmp_path / "out" / "LR" / "X4" / "a.png"
    Image.new("RGB", (11, 10)).save(lr)
    assert degrade_files(tmp_path / "hr", tmp_path / "out", **given).unknown == [lr]


def test_variants_differ_and_each_has_its_own_hr(photo_folder, tmp_path, style):
    degrade_files(photo_folder, tmp_path, style, variants=3)
    made = pairs(tmp_path)
    assert {"00_1.png", "00_2.png", "00_3.png"} <= set(made)
    np.testing.assert_array_equal(made["00_1.png"][0], made["00_2.png"][0])
    assert (made["00_1.png"][1] != made["00_2.png"][1]).any()


def test_a_broken_photo_is_named_once_whatever_its_variants(tmp_path, style):
    for name in ("a.png", "b.png"):
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8)).save(tmp_path / name)
    (tmp_path / "b.png").write_bytes((tmp_path / "b.png").read_bytes()[:-1000])  # its head is whole
    outcome = degrade_files(tmp_path, tmp_path / "out", style, variants=3)
    assert len(outcome.written) == 3 and len(outcome.failed) == 1 and "b.png" in outcome.failed[0]


def test_styles_are_taken_from_real_photos(photo_folder, tmp_path, style):
    (tmp_path / "real").mkdir()
    real = np.random.default_rng(0).integers(0, 255, (9, 11, 3), np.uint8)
    Image.fromarray(real).save(tmp_path / "real" / "a.png")
    (tmp_path / "real" / "bad.png").write_text("no photo")
    degrade_files(photo_folder, tmp_path / "out", style, real=tmp_path / "real")
    _, lr = pairs(tmp_path / "out")["00.png"]
    hr = pairs(tmp_path / "out")["00.png"][0]
    degrader = Degrader(style)
    distance = [
        np.abs(degrader(hr, code, 0).astype(int) - lr).mean() for code in (degrader.code(real), np.ones((1, 6)))
    ]
    assert distance[0] < distance[1] / 2


class Tint:
    """Shrinks, and makes all redder and less blue."""

    scale, lr_size, noise_channels = 4, 8, 1

    def degrade(self, hr, style, seed, noise):
        return bicubic(hr, 4) + [0.06, 0.0, -0.04]


@pytest.mark.parametrize("side", [48, 200])
def test_what_is_degraded_keeps_its_mean_colour(side):
    with Image.open(sample_photos()[0]) as photo:
        hr = np.asarray(photo.convert("RGB").crop((150, 50, 150 + side, 50 + side)))
    made = Degrader(Tint())(hr, np.zeros((1, 1)), 5)
    np.testing.assert_allclose(made.mean((0, 1)), hr.mean((0, 1)), atol=0.5)


def test_a_large_photo_is_of_one_piece(style):
    """Tiles agree with what the photo is where the style leaves it alone: no edge where tiles meet."""
    hr = np.random.default_rng(0).integers(0, 255, (200, 264, 3), np.uint8)
    degrader = Degrader(style)
    made = degrader(hr, degrader.draw_code(3), 5)
    assert made.shape == (50, 66, 3)
    np.testing.assert_array_equal(made, degrader(hr, degrader.draw_code(3), 5))
    plain = np.asarray(bicubic(hr / 255.0, 4)) * 255
    rest = np.abs(np.diff(made - plain, axis=1)).mean((0, 2))
    assert rest.max() < 3 * np.median(rest)


def test_photos_of_all_sizes_share_one_trace(style, monkeypatch):
    calls, degrade = [], style.degrade
    monkeypatch.setattr(style, "degrade", lambda *given, **more: calls.append(1) or degrade(*given, **more))
    degrader = Degrader(style)
    for height, width in ((32, 32), (40, 36), (36, 200)):
        made = degrader(np.zeros((height, width, 3), np.uint8), np.ones((1, 6)), 0)
        assert made.shape == (height // 4, width // 4, 3)
    assert len(calls) == 1


def test_a_bad_file_and_one_too_small_are_named_and_the_rest_is_done(tmp_path, style, monkeypatch, capsys):
    (tmp_path / "hr").mkdir()
    Image.new("RGB", (40, 33), "red").save(tmp_path / "hr" / "good.png")
    Image.new("RGB", (3, 40)).save(tmp_path / "hr" / "thin.png")
    (tmp_path / "hr" / "bad.jpg").write_text("no photo")
    monkeypatch.setattr(degrader, "load_degrader", lambda _: Degrader(style))
    with pytest.raises(SystemExit) as exit:
        exit_cleanly(lambda: command.main(["--hr", str(tmp_path / "hr"), "--out", str(tmp_path / "out")]))
    assert exit.value.code == 1 and list(pairs(tmp_path / "out")) == ["good.png"]
    errors = capsys.readouterr().err
    assert "bad.jpg: cannot be read" in errors and "thin.png: 3x40, at least 4x4 is wanted" in errors


def test_pairs_in_the_folder_of_the_photos_are_not_degraded_again(tmp_path, style):
    Image.new("RGB", (40, 36), "red").save(tmp_path / "a.png")
    for _ in range(2):
        degrade_files(tmp_path, tmp_path, style, recursive=True)
    assert list(pairs(tmp_path)) == ["a.png"]


def test_photos_are_not_overwritten_by_their_own_pairs(tmp_path, style):
    (tmp_path / "HR").mkdir()
    Image.new("RGB", (41, 36), "red").save(tmp_path / "HR" / "a.png")
    with pytest.raises(UserError, match="--hr is one of them"):
        degrade_files(tmp_path / "HR", tmp_path, style)
    assert Image.open(tmp_path / "HR" / "a.png").size == (41, 36)


def test_swapped_folders_are_noticed(photo_folder, tmp_path, style):
    (tmp_path / "small").mkdir()
    Image.new("RGB", (20, 20)).save(tmp_path / "small" / "a.png")
    with pytest.raises(UserError, match="--hr and --from: photos of --hr are smaller"):
        degrade_files(tmp_path / "small", tmp_path / "out", style, real=photo_folder)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments, words",
    [({"hr": "gone"}, "no such folder"), ({"style": "faces-x4"}, "StyleVAE"), ({"out": ""}, "--out: an empty name")],
)
def test_a_users_mistake_is_an_error(photo_folder, tmp_path, arguments, words):
    with pytest.raises(UserError, match=words):
        degrade_files(**{"hr": photo_folder, "out": tmp_path, "style": "faces-style", **arguments})
