from __future__ import annotations

import os
import shutil

import numpy as np
import pytest
from tiny_runs import tiny

from ssrvae_tf.data import PhotoSet
from ssrvae_tf.errors import UserError
from ssrvae_tf.training import held_back, material
from ssrvae_tf.training.held_back import Folder


@pytest.mark.parametrize(
    ["count", "share", "least", "wanted"],
    [
        *((39, None, 4, 0), (40, None, 4, 4), (200, None, 4, 4), (1000, None, 4, 20), (9000, None, 4, 64)),
        *((40, None, 37, 0), (40, None, 36, 4)),  # as many as a batch must remain
        *((20, 0.25, 4, 5), (20, 0.01, 4, 1), (20, 0.9, 4, 0), (20, 0.0, 4, 0)),
    ],
)
def test_a_small_share_is_held_back_unless_photos_are_few(count, share, least, wanted):
    assert held_back.how_many(count, share, least) == wanted


def test_the_same_photos_are_known_wherever_they_lie_and_others_are_told(photo_folder, tmp_path):
    before = {"hr": Folder.look(str(photo_folder), "--hr")}
    moved = tmp_path / "moved"
    shutil.copytree(photo_folder, moved)
    same = {"hr": Folder.look(os.path.join(str(moved), "..", "moved", ""), "--hr")}
    assert held_back.differences(before, same) == held_back.differences({}, same) == ""
    (moved / "more" / "10.png").unlink()
    other = {"hr": Folder.look(str(moved), "--hr")}
    assert held_back.differences(before, other) == f"--hr {moved} (11 photos) in place of {photo_folder} (12)"
    assert "--lr somewhere was not given then" in held_back.differences(
        before, {**before, "lr": Folder("somewhere", 3, "x")}
    )


def test_photos_held_back_are_never_trained_on_and_stay_the_same_when_others_come(photo_folder, tmp_path):
    def split(folder, before=()):
        look = Folder.look(str(folder), "--hr")
        parts = held_back.split(PhotoSet.load(folder, 32), look, 4, list(before), seed=0)
        return look.held_back, [sorted(path.name for path in part.paths) for part in parts]

    held, (trained, kept) = split(photo_folder)
    assert len(kept) == 4 and sorted(trained + kept) == sorted(path.name for path in photo_folder.rglob("*.*"))
    assert split(photo_folder)[0] == held
    more = tmp_path / "more"
    shutil.copytree(photo_folder, more)
    for number in range(8):
        shutil.copy(photo_folder / "00.jpg", more / f"new_{number}.jpg")
    assert split(more, held)[0] == held


def test_where_one_folder_is_too_small_nothing_is_put_down_as_held_back(photo_folder, capsys):
    settings = tiny("style", photo_folder, "", lr=str(photo_folder / "more"), val=0.25)
    photos = {"hr": PhotoSet.load(photo_folder, 32), "lr": PhotoSet.load(photo_folder / "more", 8)}
    folders = {name: Folder.look(getattr(settings, name), f"--{name}") for name in photos}
    trained, kept = material.hold_back(settings, photos, folders, {})
    assert (len(trained["hr"]), kept) == (12, {}) and folders["hr"].held_back == []
    said = f"--lr {photo_folder / 'more'}: 2 photos are too few to hold some back: no validation\n"
    assert capsys.readouterr().out == said


def test_what_is_held_back_elsewhere_is_left_out(photo_folder):
    everything, some = PhotoSet.load(photo_folder, 32), PhotoSet.load(photo_folder / "more", 32)
    rest = held_back.without(everything, some)
    own = PhotoSet([np.zeros((40, 40, 3), np.uint8)] * 3, 32)  # as the package's, of which no path is kept
    assert len(held_back.without(own, some)) == 3
    assert len(some) == 2 and len(rest) == 10 and not {path.name for path in some.paths} & {p.name for p in rest.paths}


def test_a_record_survives_its_file_and_a_damaged_one_is_told(tmp_path):
    assert held_back.read(tmp_path) == {}
    folders = {"hr": Folder("faces", 3, "abc", ["a.jpg"])}
    held_back.write(tmp_path, folders)
    assert held_back.read(tmp_path) == folders
    for text in ("{", '{"hr": {"nothing": 1}}', "[]"):
        (tmp_path / held_back.PHOTOS).write_text(text)
        with pytest.raises(UserError, match="photos.json: not the photos of a run"):
            held_back.read(tmp_path)


def test_strips_of_a_photo_share_no_pixel():
    photo = np.arange(8 * 16 * 3, dtype=np.uint8).reshape(8, 16, 3)
    left, right = (part.photo(0) for part in held_back.strips(PhotoSet([photo], 4)))
    assert left.shape == (8, 12, 3) and right.shape == (8, 4, 3)
    np.testing.assert_array_equal(np.concatenate([left, right], 1), photo)
