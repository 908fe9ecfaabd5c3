"""Models beside bicubic, with stand-ins for models whose figures are known beforehand."""

from __future__ import annotations

import json
import weakref

import numpy as np
import pytest
from PIL import Image

from ssrvae_tf.metrics import comparison, frechet_distance, psnr
from ssrvae_tf.metrics.comparison import compare_degradations, compare_pairs, compare_real, degradation
from ssrvae_tf.metrics.image_quality import EQUAL, Convention
from ssrvae_tf.photos.resizing import matlab_resized


def photos(*sizes, seed=0):
    """Smooth uint8 photos (H, W, 3), all different."""
    rng = np.random.default_rng(seed)
    small = [rng.integers(0, 256, (height // 8, width // 8, 3), np.uint8) for height, width in sizes]
    return [
        np.asarray(Image.fromarray(image).resize((width, height), Image.BICUBIC))
        for image, (height, width) in zip(small, sizes)
    ]


def shrunk(photo, scale):
    size = photo.shape[1] // scale, photo.shape[0] // scale
    return np.asarray(Image.fromarray(photo).resize(size, Image.BICUBIC))


class Repeat:
    """Enlarges by repeating pixels."""

    scale = 4

    def __init__(self):
        self.batches = []

    def predict(self, batch, verbose="auto"):
        self.batches.append(batch)
        return batch.repeat(self.scale, 1).repeat(self.scale, 2)


class Oracle(Repeat):
    """Knows the true photos."""

    def __init__(self, truths):
        super().__init__()
        self.truths = list(truths)

    def predict(self, batch, verbose="auto"):
        super().predict(batch)
        return np.stack([self.truths.pop(0) / 255.0 for _ in batch])


class Painter:
    """A StyleVAE from outside: paints the style's mean colour; without a style, the seed's."""

    scale = 4

    def degrade(self, hr, style=None, seed=None):
        batch, height, width, _ = hr.shape
        if style is None:
            colour = np.random.default_rng(seed).random((batch, 1, 1, 3))
        else:
            colour = np.mean(style, (1, 2), keepdims=True)
        return np.broadcast_to(colour, (batch, height // 4, width // 4, 3))


class MeanColour:
    """Features whose Frechet distance is easily foreseen."""

    frechet_name, kernel_name = "FD(colour)", "KD(colour)"

    def __call__(self, images, what=""):
        return np.mean(np.asarray(images, np.float32) / 255, (1, 2))


def test_pairs_of_every_size_are_compared_with_their_own_photo():
    truths = photos((64, 48), (64, 48), (32, 40), (64, 48))
    report = compare_pairs(Oracle(truths), truths, degradation("bicubic", 4), "oracle")
    assert report.rows["oracle"]["PSNR dB"] == EQUAL
    assert report.rows["oracle"]["SSIM"] == pytest.approx(1)


def test_figures_are_means_over_the_photos_beside_pillows_bicubic():
    truths = photos((64, 48), (32, 40))
    report = compare_pairs(Repeat(), truths, degradation("bicubic", 4), "repeat")
    lrs = [shrunk(truth, 4) for truth in truths]
    by_pillow = [Image.fromarray(lr).resize(hr.shape[1::-1], Image.BICUBIC) for lr, hr in zip(lrs, truths)]
    plain = np.mean([psnr(np.asarray(image) / 255.0, hr / 255.0) for image, hr in zip(by_pillow, truths)])
    repeated = np.mean([psnr(lr.repeat(4, 0).repeat(4, 1) / 255.0, hr / 255.0) for lr, hr in zip(lrs, truths)])
    assert report.rows["plain bicubic"]["PSNR dB"] == pytest.approx(plain, abs=0.05)
    assert report.rows["repeat"]["PSNR dB"] == pytest.approx(repeated, abs=0.05)
    assert report.rows["repeat"]["PSNR dB gain"] == pytest.approx(repeated - plain, abs=0.05)
    assert report.rows["repeat"]["PSNR dB gain"] < 0


def test_a_photo_that_all_meet_exactly_leaves_the_figures_finite(tmp_path):
    framed = np.full((64, 64, 3), 255, np.uint8)
    framed[:2] = 0
    truths = [framed, *photos((64, 64))]
    report = compare_pairs(Repeat(), truths, degradation("bicubic", 4), convention=Convention(border=12, rounded=True))
    report.write(tmp_path / "figures.json")
    json.loads((tmp_path / "figures.json").read_text(), parse_constant=pytest.fail)  # of NaN and Infinity
    assert 50 < report.rows["model"]["PSNR dB"] < report.rows["plain bicubic"]["PSNR dB"] < EQUAL


def test_a_model_called_bicubic_is_not_taken_for_the_plain_one():
    truths = photos((64, 48), (64, 48))
    report = compare_pairs(Oracle(truths), truths, degradation("bicubic", 4), "bicubic")
    assert len(report.rows) == 2 and report.rows["bicubic"]["PSNR dB"] == EQUAL


def test_the_model_gets_8_bit_photos_as_floats():
    model, truths = Repeat(), photos((64, 48))
    compare_pairs(model, truths, degradation("classical", 4))
    (batch,) = model.batches
    assert batch.dtype == np.float32 and batch.shape == (1, 16, 12, 3)
    np.testing.assert_allclose(batch * 255, np.round(batch * 255), atol=1e-4)


@pytest.mark.parametrize("kind", ["bicubic", "matlab", "classical", Painter()])
def test_a_degradation_is_repeatable(kind):
    hr = np.stack(photos((64, 64), (64, 64)))
    first = degradation(kind, 4, seed=3)(hr, 5)
    assert first.dtype == np.uint8 and first.shape == (2, 16, 16, 3)
    np.testing.assert_array_equal(first, degradation(kind, 4, seed=3)(hr, 5))
    if kind not in ("bicubic", "matlab"):
        assert (first != degradation(kind, 4, seed=4)(hr, 5)).any()
        assert (first != degradation(kind, 4, seed=3)(hr, 9)).any()


def test_classical_degradation_of_a_photo_depends_on_its_number_and_not_on_the_batch():
    hr = np.stack(photos((64, 64), (64, 64), (64, 64)))
    degrade = degradation("classical", 4)
    np.testing.assert_array_equal(degrade(hr, 0)[1:], degrade(hr[1:], 1))


def test_pairs_of_benchmarks_are_made_as_matlab_does():
    hr = np.stack(photos((64, 48)))
    np.testing.assert_array_equal(degradation("matlab", 4)(hr, 0)[0], matlab_resized(hr[0], 1 / 4))


def test_given_styles_are_applied_in_turn():
    styles = np.stack([np.full((8, 8, 3), value, np.uint8) for value in (10, 20, 30)])
    degraded = degradation(Painter(), 4, styles)(np.zeros((4, 32, 32, 3), np.uint8), 2)
    assert [int(photo.mean()) for photo in degraded] == [30, 10, 20, 30]


def test_degradations_are_measured_by_their_distance_to_real_small_photos():
    hr = photos(*[(64, 64)] * 20)
    real = [np.full((16, 16, 3), value, np.uint8) for value in range(5, 45, 2)]
    report = compare_degradations(Painter(), hr, real, [MeanColour()], styles=real, name="painter")
    assert list(report.rows) == ["bicubic", "classical", "painter, real styles", "painter, its own styles"]
    distances = {row: figures["FD(colour)"] for row, figures in report.rows.items()}
    assert distances["painter, real styles"] < 1e-3 < distances["painter, its own styles"]
    share = report.rows["classical"]["FD(colour) of bicubic's"]
    assert share == pytest.approx(distances["classical"] / distances["bicubic"])
    assert report.rows["bicubic"]["FD(colour) of bicubic's"] == 1


def test_without_styles_only_the_models_own_are_measured():
    hr, real = photos(*[(64, 64)] * 4), photos(*[(16, 16)] * 4)
    report = compare_degradations(Painter(), hr, real, [MeanColour()], name="painter")
    assert list(report.rows) == ["bicubic", "classical", "painter, its own styles"]


def test_results_on_real_photos_are_measured_by_their_distance_to_sharp_ones():
    hr = photos(*[(64, 64)] * 20)
    real = [shrunk(photo, 4) for photo in photos(*[(64, 64)] * 10, seed=1)]
    report = compare_real(Oracle(hr[:10]), real, hr[:10], [MeanColour()], "oracle")
    assert report.rows["oracle"]["FD(colour)"] == pytest.approx(0, abs=1e-6)
    assert report.rows["plain bicubic"]["FD(colour)"] > 1e-3
    assert "10 real LR photos" in report.title and "10 HR photos" in report.title


def test_the_shift_of_each_channel_is_measured():
    truths = [photo // 2 + 60 for photo in photos((64, 64), (48, 72))]

    class Reddish(Oracle):
        def predict(self, batch, verbose="auto"):
            return super().predict(batch) + np.array([2.0, 0.0, -1.0]) / 255.0

    rows = compare_pairs(Reddish(truths), truths, degradation("bicubic", 4)).rows
    shifts = [rows["model"][f"{colour} shift"] for colour in ("red", "green", "blue")]
    np.testing.assert_allclose(shifts, [2, 0, -1], atol=0.01)
    assert abs(rows["plain bicubic"]["red shift"]) < 0.2


def test_pairs_are_compared_in_the_convention_that_is_asked_for():
    truths = photos((64, 48), (32, 40))
    convention = Convention("luma", 3, True)
    report = compare_pairs(Repeat(), truths, degradation("bicubic", 4), convention=convention)
    lrs = [degradation("bicubic", 4)(truth[None], 0)[0] for truth in truths]
    made = [psnr(lr.repeat(4, 0).repeat(4, 1) / 255.0, hr / 255.0, *convention) for lr, hr in zip(lrs, truths)]
    assert report.rows["model"]["PSNR dB"] == pytest.approx(np.mean(made), abs=1e-6)
    assert "luma, border 3 cut, 8 bit" in report.title


def test_the_photos_that_lose_most_are_shown_with_their_names():
    truths = photos(*[(64, 64)] * 10)

    class Failing(Oracle):
        def predict(self, batch, verbose="auto"):
            made = super().predict(batch)
            made[6] = 1 - made[6]
            return made

    names = [f"{n}.png" for n in range(10)]
    report = compare_pairs(Failing(truths), truths, degradation("bicubic", 4), names=names)
    what, (lr, plain, result, truth) = report.pictures[0]
    assert len(report.pictures) == 8 and what.startswith("-") and "6.png" in what
    np.testing.assert_array_equal(truth, truths[6])
    np.testing.assert_array_equal(result, 255 - truth)


class Held(np.ndarray):
    __hash__ = object.__hash__


class OneByOne:
    """Photos that know how many of them were ever held at once."""

    def __init__(self, count, size):
        self.count, self.size, self.most, self.held = count, size, 0, weakref.WeakSet()

    def __iter__(self):
        for number in range(self.count):
            photo = np.full((self.size, self.size, 3), number % 256, np.uint8).view(Held)
            self.held.add(photo)
            self.most = max(self.most, len(self.held))
            yield photo


def test_neither_all_photos_nor_all_results_are_held(monkeypatch):
    monkeypatch.setattr(comparison, "_PIXELS", 10 * 16**2)
    lr, hr = OneByOne(25, 16), OneByOne(8, 64)
    seen = []

    class Watching(MeanColour):
        def __call__(self, images, what=""):
            seen.append(len(images))
            return super().__call__(images)

    report = compare_real(Repeat(), lr, hr, [Watching(), Watching()], resamples=0)
    assert "25 real LR photos, x4, to 8 HR photos" in report.title
    assert sum(seen) == 2 * (25 + 25 + 8) and max(seen) == 10 and lr.most <= 11 and hr.most <= 2


def test_results_of_a_set_are_the_same_whatever_its_batches():
    lr, hr = photos(*[(16, 16)] * 20, seed=1), photos(*[(64, 64)] * 30)
    report = compare_real(Repeat(), lr, hr, [MeanColour()], resamples=30)
    made = MeanColour()([photo.repeat(4, 0).repeat(4, 1) for photo in lr])
    wanted = frechet_distance(made, MeanColour()(hr))
    assert report.rows["model"]["FD(colour)"] == pytest.approx(wanted, rel=1e-4)
    low, high = report.intervals["model"]["FD(colour)"]
    assert low < wanted < high
    low, high = report.intervals["model"]["FD(colour) difference"]
    assert low < report.rows["model"]["FD(colour) difference"] < high


def test_identity_is_the_mean_similarity_of_each_photo_and_the_true_one():
    truths = photos((64, 48), (64, 48), (32, 40))
    report = compare_pairs(Repeat(), truths, degradation("bicubic", 4), embed=lambda images: images.mean((1, 2)) - 120)
    wanted = []
    for truth in truths:
        made = shrunk(truth, 4).repeat(4, 0).repeat(4, 1)
        a, b = made.mean((0, 1)) - 120, truth.mean((0, 1)) - 120
        wanted.append(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    assert report.rows["model"]["identity"] == pytest.approx(np.mean(wanted), abs=0.02)
    gain = report.rows["model"]["identity"] - report.rows["plain bicubic"]["identity"]
    assert report.rows["model"]["identity gain"] == pytest.approx(gain)


def by_light(photo):
    """A detector of a fake: takes what is white for a face."""
    rows, columns = np.nonzero(photo.min(-1) > 200)
    return [(columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)] if len(rows) else []


def test_faces_of_the_true_photos_are_looked_for_in_the_results():
    truths = [np.zeros((32, 32, 3), np.uint8) for _ in range(5)]
    for truth in truths[:4]:
        truth[8:24, 8:24] = 255

    class Half(Oracle):
        """Gives the first, moves the second, loses the third."""

        def predict(self, batch, verbose="auto"):
            made = super().predict(batch)
            made[1] = np.roll(made[1], 8, 1)
            made[2] = 0
            return made

    report = compare_pairs(Half(truths), truths, degradation("bicubic", 4), find=by_light)
    assert report.rows["model"]["faces found"] == 0.5 and report.rows["plain bicubic"]["faces found"] == 1
    assert report.title.endswith("4 faces in them")
    report = compare_pairs(Repeat(), truths[4:], degradation("bicubic", 4), find=by_light)
    assert "faces found" not in report.rows["model"] and report.title.endswith("no faces in them")


def test_of_results_without_a_truth_those_with_a_face_are_counted():
    small = [np.full((16, 16, 3), value, np.uint8) for value in (0, 255, 255, 0)]
    report = compare_real(Repeat(), small, photos(*[(64, 64)] * 3), [MeanColour()], resamples=0, find=by_light)
    assert report.rows["model"]["with a face"] == 0.5 and "with a face" in report.table()
