"""Faces are given, so the detector is not asked: what it finds is tested in tests/faces."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from face_montages import montage
from stub_models import BicubicNetwork

import ssrvae_tf
from ssrvae_tf.errors import UserError
from ssrvae_tf.faces import Face
from ssrvae_tf.inference import rebuilding
from ssrvae_tf.inference.enlarger import upscale
from ssrvae_tf.photos.resizing import resized


class Marker(BicubicNetwork):
    """Adds a chequerboard that no local mean sees: where it is seen, this network has been."""

    def strength(self, batch) -> float:
        return 0.1

    def predict(self, batch, verbose="auto"):
        made = super().predict(batch)
        rows, columns = np.indices(made.shape[1:3])
        return made + self.strength(batch) * ((rows + columns) % 2 * 2 - 1)[..., None]


class MarkerBySize(Marker):
    """The larger the face, the stronger the mark: faces of different sizes are told apart."""

    def strength(self, batch) -> float:
        return batch.shape[1] / 1000


def face(x, y, side) -> Face:
    box = (x - side / 2, y - side / 2, x + side / 2, y + side / 2)
    return Face(box, 0.9, ((x, y),) * 6)


def gray(height, width, level=0.5) -> np.ndarray:
    return np.full((height, width, 3), level, np.float32)


def mark(result: np.ndarray) -> np.ndarray:
    """How much of the marker's result there is at each pixel, from 0 to 1."""
    rows, columns = np.indices(result.shape[:2])
    return (result[..., 0] - 0.5) * ((rows + columns) % 2 * 2 - 1) / 0.1


def test_the_face_is_the_networks_and_the_rest_plain_bicubic():
    photo, _ = montage(100, 90, [(50, 45, 20)])
    result = upscale(photo, Marker(), faces=[face(50, 45, 20)])
    plain = np.clip(np.rint(resized(photo.astype(np.float32), 400, 360)), 0, 255)
    rows, columns = (np.indices((360, 400)) + 0.5) / 4
    away = np.hypot(rows - 45, columns - 50)
    difference = np.abs(result - plain).max(-1)
    assert difference[away > 20].max() <= 1
    assert np.median(difference[away < 10]) == pytest.approx(25.5, abs=3)


@pytest.mark.parametrize("shape", [(5, 7), (64, 9), (65, 70), (200, 3)])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_without_a_face_the_photo_is_bicubic_to_the_last_row(shape, channels):
    photo = np.random.default_rng(0).random((*shape, channels), np.float32)
    if channels in (2, 4):
        photo[..., -1] = 0.5 + photo[..., -1] / 2
    result = upscale(photo, BicubicNetwork(), faces=[])
    np.testing.assert_allclose(result, np.clip(resized(photo, 4 * shape[1], 4 * shape[0]), 0, 1), atol=1e-6)


def test_the_share_of_the_network_falls_without_a_step():
    share = mark(upscale(gray(80, 80), Marker(), faces=[face(40, 40, 30)]))
    assert share[160, 160] == pytest.approx(1, abs=1e-3) and share[160, 5] == pytest.approx(0, abs=1e-3)
    steps = np.abs(np.diff(share, axis=1))
    # A cosine over 0.4 of 30 pixels, of 4 each: its steepest step is pi / 2 / 48.
    assert steps.max() < 1.1 * np.pi / 2 / 48


def test_colours_are_the_photos_where_the_network_shifts_them():
    photo, _ = montage(90, 90, [(45, 45, 24)])
    shifted = upscale(photo, BicubicNetwork(shift=0.1), faces=[face(45, 45, 24)])
    plain = upscale(photo, BicubicNetwork(), faces=[])
    inside = np.s_[140:220, 140:220]
    assert np.abs(shifted[inside].astype(int) - plain[inside]).mean() < 1.5


def test_hidden_colours_do_not_reach_what_is_seen():
    photo = np.concatenate([gray(60, 60), np.ones((60, 60, 1), np.float32)], -1)
    photo[:, :20] = (0, 0, 0, 0)
    result = upscale(photo, BicubicNetwork(), faces=[face(30, 30, 24)])
    assert np.abs(result[:, 88:, :3] - 0.5).max() < 0.01


@pytest.mark.parametrize("dtype, most", [(np.uint8, 255), (np.uint16, 65535), (np.float32, 1)])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_kinds_of_photos(dtype, most, channels):
    photo = np.full((40, 40, channels), most // 2 if most > 1 else 0.5, dtype)
    photo[..., 3:] = most
    result = upscale(photo, Marker(), faces=[face(20, 20, 12)])
    assert result.dtype == dtype and result.shape == (160, 160, channels)
    colours = result[..., :1] if channels < 3 else result[..., :3]
    assert np.ptp(colours[60:100, 60:100].astype(float)) == pytest.approx(0.2 * most, rel=0.02)
    assert (np.ptp(result[..., colours.shape[-1] :].astype(float), (0, 1)) == 0).all()
    assert np.ptp(result[:20, :20].astype(float), (0, 1)).max() == 0


def test_another_background():
    result = upscale(gray(60, 60), BicubicNetwork(), faces=[face(30, 30, 12)], background=Marker())
    share = mark(result)
    assert share[20, 20] == pytest.approx(1, abs=0.01) and share[120, 120] == pytest.approx(0, abs=0.01)


def test_a_background_of_another_scale_is_refused():
    with pytest.raises(UserError, match="it enlarges 2 times, the faces' network 4 times"):
        upscale(gray(20, 20), BicubicNetwork(), faces=[], background=BicubicNetwork(scale=2))


def test_faces_that_meet_share_what_is_between_in_any_order():
    faces = [face(30, 40, 24), face(50, 40, 20), face(40, 58, 16)]
    shares = [
        mark(upscale(gray(84, 80), MarkerBySize(), faces=list(some)))
        for some in ([faces[0]], [faces[1]], [faces[2]], *itertools.permutations(faces))
    ]
    alone, together = shares[:3], shares[3:]
    for other in together[1:]:
        np.testing.assert_allclose(other, together[0], atol=1e-4)
    for own, (x, y) in zip(alone, ((30, 40), (50, 40), (40, 58))):
        assert together[0][4 * y, 4 * x] == pytest.approx(own[4 * y, 4 * x], rel=0.05)
    between = together[0][160, 162]
    assert alone[1][160, 200] < between < alone[0][160, 120]
    assert np.abs(np.diff(together[0], axis=1)).max() < 0.1


@pytest.mark.parametrize("x, y", [(0, 0), (60, 0), (30, 44), (-3, 20)])
def test_a_face_at_the_edge(x, y):
    share = mark(upscale(gray(45, 61), Marker(), faces=[face(x, y, 20)]))
    assert share[min(max(4 * y, 0), 179), min(max(4 * x, 0), 243)] == pytest.approx(1, abs=0.02)


def test_faces_beyond_the_photo_and_those_that_are_too_large_stay_as_they_are():
    photo = gray(50, 50)
    result = upscale(photo, Marker(), faces=[face(-200, 20, 20), face(25, 25, rebuilding._LARGEST + 1)])
    assert np.ptp(result) < 1e-5


def fine_and_coarse() -> tuple[np.ndarray, np.ndarray]:
    """A face of 130 pixels as it is, and one that was enlarged from 32."""
    fine, _ = montage(300, 300, [(150, 150, 130)])
    return fine, resized(resized(fine, 75, 75), 300, 300)


def test_a_large_face_is_shrunk_only_if_nothing_is_lost():
    sizes = []
    for photo in fine_and_coarse():
        network = BicubicNetwork()
        upscale(photo, network, faces=[face(150, 150, 130)], tile=400)
        sizes.append(network.batches[-1].shape[1])
    assert sizes[0] > 260 and sizes[1] < 150


def test_a_shrunk_face_keeps_its_place():
    _, photo = fine_and_coarse()
    result = upscale(photo, BicubicNetwork(), faces=[face(150, 150, 130)])
    plain = upscale(photo, BicubicNetwork(), faces=[])
    assert np.abs(result.astype(int) - plain).max() < 12


def test_forty_faces_of_all_sizes_one_at_a_time():
    places = [face(25 + 40 * (index % 8), 25 + 40 * (index // 8), 12 + index % 5 * 4) for index in range(40)]
    network = Marker()
    share = mark(upscale(gray(210, 340), network, faces=places))
    assert all(share[int(4 * p.box[1]) + 20, int(4 * p.box[0]) + 20] > 0.9 for p in places)
    assert max(batch.shape[0] * batch.shape[1] for batch in network.batches) < 100


def test_they_are_found_in_a_batch_of_photos(monkeypatch):
    monkeypatch.setattr(rebuilding, "find_faces", lambda photo, report: [face(10 + photo[0, 0, 0] // 128 * 20, 20, 8)])
    results = upscale(np.stack([gray(40, 40, 0.1), gray(40, 40, 0.9)]), Marker(), faces=True)
    left, right = results[0] - 0.1, results[1] - 0.9
    assert np.abs(left[80, 40]).max() > 0.05 > np.abs(left[80, 120]).max()
    assert np.abs(right[80, 120]).max() > 0.05 > np.abs(right[80, 40]).max()


def test_faces_of_one_photo_are_not_those_of_another():
    with pytest.raises(ValueError, match="faces of one photo are given with 2 photos"):
        upscale(np.zeros((2, 9, 9, 3), np.uint8), BicubicNetwork(), faces=[face(4, 4, 3)])


def test_a_real_face_is_found_and_rebuilt_through_the_public_name():
    photo, ((left, top, right, bottom),) = montage(120, 100, [(60, 50, 30)])
    told = []
    result = ssrvae_tf.upscale(photo, Marker(), faces=True, progress=lambda done, of: told.append((done, of)))
    change = np.abs(result.astype(int) - upscale(photo, BicubicNetwork(), faces=[])).mean(-1)
    assert change[200 - 20 : 200 + 20, 240 - 20 : 240 + 20].mean() > 15
    assert change[:20].max() == 0
    assert told == sorted(told) and told[-1] == (400, 400) and len(told) > 3


def test_progress_goes_by_what_the_background_and_each_face_cost():
    told = []
    faces = [face(60, 60, 40), face(160, 60, 20)]  # 80x80 and 40x40 pixels, by the network
    upscale(gray(900, 200), Marker(), faces=faces, progress=lambda done, of: told.append(done / of))
    background = 900 * 200 / 30  # as much as so many
    strips = [share for share in told if share <= background / (background + 8000)]
    assert len(strips) > 2, "the background is told of as it goes"
    assert sorted({round(share, 2) for share in told})[-2:] == [round((background + 6400) / (background + 8000), 2), 1]
    assert told == sorted(told)


def test_progress_goes_on_within_a_large_face():
    told = []
    upscale(gray(220, 220), Marker(), faces=[face(110, 110, 100)], progress=lambda done, of: told.append(done / of))
    assert sum(220 * 220 / 30 / (220 * 220 / 30 + 200 * 200) + 0.01 < share < 0.99 for share in told) > 2


def test_memory_that_runs_out_for_a_face_makes_its_tiles_smaller():
    class Small(Marker):
        def predict(self, batch, verbose="auto"):
            if batch.shape[1] > 40:
                raise MemoryError
            return super().predict(batch)

    share = mark(upscale(gray(120, 120), Small(), faces=[face(60, 60, 50)]))
    assert share[240, 240] == pytest.approx(1, abs=0.05)
