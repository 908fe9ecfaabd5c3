import os

import numpy as np
import pytest
from PIL import Image

from ssrvae_tf.data import PhotoSet, find_photos, read_photo
from ssrvae_tf.errors import UserError

RED, BLUE = (200, 20, 10), (10, 20, 200)


def two_colours(width=40, height=32):
    """Left half red, right half blue."""
    pixels = np.empty((height, width, 3), np.uint8)
    pixels[:, : width // 2], pixels[:, width // 2 :] = RED, BLUE
    return Image.fromarray(pixels)


def save(path, width=40, height=32, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    two_colours(width, height).save(path, **options)
    return path


def test_photos_are_found_nested_and_sorted(tmp_path):
    wanted = [save(tmp_path / name) for name in ("a/b/1.PNG", "a/2.jpeg", "b.webp")]
    save(tmp_path / ".hidden.png")
    save(tmp_path / ".thumbnails" / "1.png")
    (tmp_path / "notes.txt").write_text("not a photo")
    assert find_photos(tmp_path) == sorted(wanted)


def test_a_link_that_leads_back_up_ends(tmp_path):
    photo = save(tmp_path / "a" / "1.png")
    os.symlink(tmp_path, tmp_path / "a" / "up")
    assert find_photos(tmp_path) == [photo]


def test_a_missing_folder_a_file_and_an_empty_folder_are_named(tmp_path):
    with pytest.raises(UserError, match="--lr .*absent: no such folder"):
        find_photos(tmp_path / "absent", "--lr")
    with pytest.raises(UserError, match="a file, not a folder"):
        find_photos(save(tmp_path / "x.png"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no photos found"):
        find_photos(tmp_path / "empty")


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "CMYK"])
def test_colour_modes_read_as_rgb(tmp_path, mode):
    path = tmp_path / ("x.tif" if mode == "CMYK" else "x.png")
    image = two_colours().quantize(8) if mode == "P" else two_colours().convert(mode)
    image.save(path)
    photo = read_photo(path)
    assert photo.shape == (32, 40, 3) and photo.dtype == np.uint8
    assert np.abs(photo[5, 5].astype(int) - RED).max() < 30 and np.abs(photo[5, 35].astype(int) - BLUE).max() < 30


@pytest.mark.parametrize("mode, dtype, top", [("L", np.uint8, 255), ("I;16", np.uint16, 65535), ("F", np.float32, 1.0)])
def test_gray_photos_of_any_depth_read_alike(tmp_path, mode, dtype, top):
    values = np.linspace(0, 1, 30 * 20).reshape(20, 30)
    path = tmp_path / ("x.tif" if mode == "F" else "x.png")
    Image.fromarray((values * top).astype(dtype)).save(path)
    photo = read_photo(path)
    assert photo.shape == (20, 30, 3)
    assert np.abs(photo - 255 * values[..., None]).max() <= 1


def test_black_and_white_reads_as_0_and_255(tmp_path):
    Image.fromarray(np.eye(8, dtype=bool)).save(tmp_path / "x.png")
    np.testing.assert_array_equal(read_photo(tmp_path / "x.png")[..., 0], 255 * np.eye(8))


def test_transparent_parts_become_white(tmp_path):
    image = two_colours().convert("RGBA")
    image.putalpha(Image.fromarray(np.repeat([[0, 255]], 20, 1).repeat(32, 0).astype(np.uint8)))
    image.save(tmp_path / "x.png")
    photo = read_photo(tmp_path / "x.png")
    assert (photo[:, :20] == 255).all() and (photo[:, 20:] == BLUE).all()


def test_exif_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter: the stored left is the top
    save(tmp_path / "x.jpg", exif=exif, quality=95)
    photo = read_photo(tmp_path / "x.jpg")
    assert photo.shape == (40, 32, 3)
    assert photo[5, 16, 0] > 150 > photo[35, 16, 0]


def test_broken_files_are_named(tmp_path):
    (tmp_path / "text.jpg").write_text("hello")
    whole = save(tmp_path / "x.png").read_bytes()
    (tmp_path / "half.png").write_bytes(whole[: len(whole) // 2])
    for name in ("text.jpg", "half.png", "absent.jpg"):
        with pytest.raises(UserError, match=name):
            read_photo(tmp_path / name)


def test_a_large_jpeg_is_decoded_smaller_but_never_too_small(tmp_path):
    save(tmp_path / "x.jpg", 800, 640)
    height, width = read_photo(tmp_path / "x.jpg", at_least=150).shape[:2]
    assert (height, width) == (160, 200)


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
