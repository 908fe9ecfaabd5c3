"""Photos of all kinds as 8-bit RGB."""

import numpy as np
import pytest
from PIL import Image
from two_colours import BLUE, RED, save, two_colours

from ssrvae_tf.errors import UserError
from ssrvae_tf.photos import files
from ssrvae_tf.photos.files import read_photo
from ssrvae_tf.photos.folders import find_photos


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


@pytest.mark.parametrize("kind", ["heic", "avif"])
def test_photos_of_phones_are_read(tmp_path, kind):
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.register_heif_opener()
    even = np.full((40, 60, 3), (200, 90, 30), np.uint8)
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    Image.fromarray(even).save(tmp_path / f"a.{kind}", exif=exif, quality=95)
    assert find_photos(tmp_path) == [tmp_path / f"a.{kind}"]
    photo = files.read(tmp_path / f"a.{kind}")
    assert photo.pixels.shape == (40, 60, 3) and np.abs(photo.pixels - even[0, 0].astype(int)).max() < 6
    assert b"Maker" in photo.exif
    assert read_photo(tmp_path / f"a.{kind}").shape == (40, 60, 3)


def test_a_kind_that_cannot_be_read_is_told_with_what_to_do(tmp_path):
    (tmp_path / "a.cr2").write_bytes(b"no TIFF")
    for read in (files.read, read_photo):
        with pytest.raises(UserError, match="a.cr2: cannot be read .*: make TIFF or JPEG of them by a raw converter"):
            read(tmp_path / "a.cr2")
