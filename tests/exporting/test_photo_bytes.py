from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tiny_saved_models import photo

from ssrvae_tf.exporting.photo_bytes import decode

MOST = 40 * 40


@tf.function(input_signature=[tf.TensorSpec([], tf.string)])
def decoded(data):
    return decode(data, MOST)


def read(data: bytes) -> np.ndarray:
    return np.rint(decoded(tf.constant(data)).numpy() * 255).astype(int)


def file_of(image: Image.Image, kind: str, **settings) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **settings)
    return file.getvalue()


def as_pillow(data: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(data)).convert("RGBA")
    return np.asarray(Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB"), int)


@pytest.mark.parametrize("transparent", [False, True])
@pytest.mark.parametrize("colours", [2, 4, 16, 64])
def test_palettes_of_all_sizes_are_read_as_pillow_does(colours, transparent):
    image = Image.fromarray(photo(21, 12)).quantize(colours)
    data = file_of(image, "PNG", **({"transparency": 1} if transparent else {}))
    assert np.abs(read(data) - as_pillow(data)).max() <= 1


def test_a_black_and_white_png_is_read_as_pillow_does():
    data = file_of(Image.fromarray(photo(21, 12)).convert("1"), "PNG")
    np.testing.assert_array_equal(read(data), as_pillow(data))


def gif(screen: int, pictures: list[tuple[int, bytes]], before: bytes = b"") -> bytes:
    """A GIF whose pictures say their sides themselves; `bytes` are their blocks."""
    data = b"GIF89a" + struct.pack("<HH", screen, screen) + b"\x80\0\0" + b"\0\0\0\xff\xff\xff" + before
    for side, blocks in pictures:
        data += b"," + struct.pack("<HHHH", 0, 0, side, side) + b"\0\x02" + blocks
    return data + b";"


def test_a_gif_whose_picture_is_larger_than_its_screen_is_not_unpacked():
    with pytest.raises(tf.errors.InvalidArgumentError, match="photo of 60000x60000 pixels"):
        read(gif(10, [(60_000, b"\x02\x4c\x01\0")]))


def test_later_pictures_of_a_gif_are_not_unpacked():
    one = (1, b"\x02\x44\x01\0")  # clear, 0, end
    np.testing.assert_array_equal(read(gif(1, [one])), [[[0, 0, 0]]])
    np.testing.assert_array_equal(read(gif(1, [one, (60_000, one[1])])), [[[0, 0, 0]]])


def test_comments_of_a_gif_are_skipped_but_not_without_end():
    picture = [(1, b"\x02\x44\x01\0")]
    comment = b"!\xfe\x05,hi!,\x01,\0"
    assert read(gif(1, picture, 3 * comment)).shape == (1, 1, 3)
    with pytest.raises(tf.errors.InvalidArgumentError, match="GIF of too many blocks: send it as PNG"):
        read(gif(1, picture, b"!\xfe" + 5000 * b"\x01a" + b"\0"))


def test_colours_of_a_bmp_are_read_off_its_palette():
    for colours in (200, 256):
        data = file_of(Image.fromarray(photo(21, 12)).quantize(colours), "BMP")
        assert data[28] == 8
        np.testing.assert_array_equal(read(data), as_pillow(data))


@pytest.mark.parametrize("change", [{28: 1}, {28: 4}, {28: 16}, {30: 1}, {14: 12}], ids=str)
def test_bitmaps_of_other_kinds_are_refused_in_a_sentence(change):
    data = bytearray(file_of(Image.fromarray(photo(21, 12)), "BMP"))
    for at, value in change.items():
        data[at] = value
    with pytest.raises(tf.errors.InvalidArgumentError, match="BMP of another kind than 8, 24 or 32 bits"):
        read(bytes(data))
