import os

import numpy as np
import pytest
from two_colours import save, two_colours

from ssrvae_tf.data import PhotoSet, photo_set, sources
from ssrvae_tf.errors import UserError
from ssrvae_tf.photos.folders import check_not_swapped


def test_fit_shrinks_the_shorter_side_and_keeps_the_longer_whole(tmp_path):
    save(tmp_path / "wide.png", 80, 40)
    save(tmp_path / "tall.png", 33, 99)
    photos = PhotoSet.load(tmp_path, 20)
    assert [photo.shape for photo in photos.photos] == [(60, 20, 3), (20, 40, 3)]


def test_random_keeps_the_photo_as_it_is(tmp_path):
    save(tmp_path / "x.png", 80, 40)
    photos = PhotoSet.load(tmp_path, 20, crop="random")
    np.testing.assert_array_equal(photos.photo(0), np.asarray(two_colours(80, 40)))


def test_small_photos_are_skipped_by_name_or_enlarged(tmp_path, capsys):
    save(tmp_path / "big.png", 40, 32)
    save(tmp_path / "small.png", 12, 16)
    photos = PhotoSet.load(tmp_path, 32)
    assert len(photos) == 1 and photos.skipped[0][0] == tmp_path / "small.png"
    assert "small.png: 12x16, must be at least 32 pixels" in capsys.readouterr().err
    photos = PhotoSet.load(tmp_path, 32, upsample=True)
    assert [photo.shape for photo in photos.photos] == [(32, 40, 3), (43, 32, 3)]
    assert capsys.readouterr().err == ""


def test_unreadable_files_are_skipped_and_the_first_five_named(tmp_path, capsys):
    for number in range(7):
        (tmp_path / f"bad{number}.jpg").write_text("hello")
    save(tmp_path / "good.png")
    photos = PhotoSet.load(tmp_path, 32, what="--hr")
    text = capsys.readouterr().err
    assert len(photos) == 1 and len(photos.skipped) == 7
    assert f"--hr {tmp_path}: skipped 7 of 8 files" in text
    assert "bad4.jpg" in text and "bad5.jpg" not in text and "and 2 more" in text


def test_pipes_and_links_that_lead_nowhere_are_skipped(tmp_path, capsys):
    save(tmp_path / "a.png", 40, 40)
    os.mkfifo(tmp_path / "pipe.jpg")  # whose reading would wait for ever
    os.symlink(tmp_path / "nowhere", tmp_path / "link.jpg")
    assert len(PhotoSet.load(tmp_path, 20)) == 1 and len(sources.listed(tmp_path, "--hr")) == 3
    check_not_swapped(sources.some(tmp_path, "--hr"), sources.some(tmp_path, "--lr"))
    text = capsys.readouterr().err
    assert "link.jpg: cannot be read (" in text and "pipe.jpg: cannot be read (a device or a pipe, not a file)" in text


def test_too_few_photos_say_how_many_and_what_to_do(tmp_path):
    for number in range(3):
        save(tmp_path / f"{number}.png")
    expected = f"--hr {tmp_path}: 3 usable photos, batch size is 16: add photos or lower --batch-size"
    with pytest.raises(UserError) as error:
        PhotoSet.load(tmp_path, 32, minimum=16)
    assert str(error.value) == expected
    with pytest.raises(UserError, match="no usable photos"):
        PhotoSet.load(tmp_path, 64)


def test_folders_are_joined_in_order(tmp_path):
    for name in ("b/1.png", "a/2.png", "a/1.png"):
        save(tmp_path / name, 40, 32 + len(name) + ("2" in name))
    photos = PhotoSet.load([tmp_path / "b", tmp_path / "a"], 32, crop="random")
    assert [photo.shape[0] for photo in photos.photos] == [39, 39, 40]


def test_photos_beyond_the_memory_limit_are_read_again_and_are_the_same(tmp_path):
    for number in range(4):
        save(tmp_path / f"{number}.png", 50 + number, 40)
    held, read = PhotoSet.load(tmp_path, 20), PhotoSet.load(tmp_path, 20, memory_limit_mb=0)
    assert not any(isinstance(photo, np.ndarray) for photo in read.photos)
    for number in range(4):
        np.testing.assert_array_equal(held.photo(number), read.photo(number))


def test_photos_take_a_share_of_the_memory_that_is_free(tmp_path, monkeypatch):
    for number in range(4):
        save(tmp_path / f"{number}.png", 50, 40)  # 6,000 bytes each

    monkeypatch.setattr(photo_set, "free_memory", lambda: 3 * 2 * 6000)
    photos = PhotoSet.load(tmp_path, 20, crop="random").photos
    assert [isinstance(photo, np.ndarray) for photo in photos] == [True, True, False, False]
