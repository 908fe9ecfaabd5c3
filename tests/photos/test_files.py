from __future__ import annotations

import errno
import functools
import io
import os
import struct
import zlib

import numpy as np
import pytest
import pyvips
from PIL import Image, ImageCms
from tiny_tiffs import CMYK, WHITE_IS_ZERO, write_tiff

from ssrvae_tf.errors import UserError
from ssrvae_tf.photos import files as photo_files
from ssrvae_tf.photos.files import Photo, read, write
from ssrvae_tf.photos.samples import sample_photos


@pytest.fixture(scope="module")
def face():
    """60 wide, 50 high."""
    face = Image.open(sample_photos()[0]).convert("RGB").crop((190, 60, 250, 110))
    face.info = {}
    return face


def save_sixteen(pixels: np.ndarray, path) -> None:
    height, width, bands = pixels.shape
    space = "rgb16" if bands > 2 else "grey16"
    image = pyvips.Image.new_from_memory(pixels.tobytes(), width, height, bands, "ushort")
    image.copy(interpretation=space).write_to_file(str(path))


@functools.cache  # it tells the second when it was made
def profile(name="sRGB"):
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(name)).tobytes()


@pytest.mark.parametrize(
    "mode, name, options, channels, dtype",
    [
        ("RGB", "a.png", {}, 3, "uint8"),
        ("RGB", "a.png", {"transparency": (10, 20, 30)}, 4, "uint8"),
        ("L", "a.png", {}, 1, "uint8"),
        ("L", "a.png", {"transparency": 100}, 2, "uint8"),
        ("1", "a.png", {}, 1, "uint8"),
        ("P", "a.png", {}, 3, "uint8"),
        ("P", "a.png", {"transparency": 3}, 4, "uint8"),
        ("P", "a.gif", {}, 3, "uint8"),
        ("LA", "a.png", {}, 2, "uint8"),
        ("RGBA", "a.webp", {"lossless": True}, 4, "uint8"),
        ("RGBA", "a.tif", {}, 4, "uint8"),
        ("CMYK", "a.jpg", {}, 3, "uint8"),
        ("CMYK", "a.tif", {}, 3, "uint8"),
        ("YCbCr", "a.jpg", {}, 3, "uint8"),
        ("LAB", "a.tif", {}, 3, "uint8"),
        ("RGB", "a.bmp", {}, 3, "uint8"),
        ("F", "a.tif", {}, 1, "uint16"),
    ],
)
def test_kinds_of_pixels(face, tmp_path, mode, name, options, channels, dtype):
    image = face.convert(mode)
    if mode == "RGBA":
        image.putalpha(100)
    image.save(tmp_path / name, **options)
    pixels = read(tmp_path / name).pixels
    assert pixels.shape == (50, 60, channels) and pixels.dtype == dtype


@pytest.mark.parametrize("suffix, channels", [(".png", n) for n in (1, 2, 3, 4)] + [(".tif", n) for n in (1, 3, 4)])
def test_sixteen_bits_come_and_go_unchanged(tmp_path, suffix, channels):
    pixels = np.random.default_rng(0).integers(0, 65536, (21, 34, channels), np.uint16)
    save_sixteen(pixels, tmp_path / f"a{suffix}")
    photo = read(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(photo.pixels, pixels)
    np.testing.assert_array_equal(read(write(photo, tmp_path / f"b{suffix}")).pixels, pixels)


def test_sixteen_bit_gray_with_alpha_becomes_colour_in_a_tiff_that_others_can_read(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 65536, (21, 34, 2), np.uint16)
    back = read(write(Photo(pixels), tmp_path / "a.tif")).pixels
    np.testing.assert_array_equal(back, pixels[..., [0, 0, 0, 1]])


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_every_kind_can_be_written_in_every_format(tmp_path, dtype, channels, suffix):
    top = np.iinfo(dtype).max
    pixels = np.tile(np.linspace(0.2, 0.8, 40)[:, None, None] * top, (1, 30, channels)).astype(dtype)
    back = read(write(Photo(pixels), tmp_path / f"a{suffix}")).pixels
    assert back.shape[:2] == (40, 30)
    colour = pixels[..., :1] / top
    if suffix == ".jpg" and channels % 2 == 0:  # on white
        colour = colour * colour + 1 - colour
    np.testing.assert_allclose(back[..., 0] / np.iinfo(back.dtype).max, colour[..., 0], atol=0.03)


def test_orientation_is_applied_and_other_metadata_kept(face, tmp_path):
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Maker"
    face.save(tmp_path / "a.jpg", exif=exif, dpi=(300, 300), icc_profile=profile())
    photo = read(tmp_path / "a.jpg")
    assert photo.pixels.shape == (60, 50, 3)
    for suffix in (".jpg", ".png", ".webp"):
        picture = Image.open(write(photo, tmp_path / f"b{suffix}"))
        assert picture.size == (50, 60)
        assert picture.getexif().get(0x0112, 1) == 1 and picture.getexif()[0x010F] == "Maker"
        assert picture.info["icc_profile"] == profile()
        assert suffix == ".webp" or picture.info["dpi"][0] == pytest.approx(300, abs=0.1)


@pytest.mark.parametrize("before", [b"IDAT", b"IEND"])
@pytest.mark.parametrize("orientation", [1, 3, 5, 6, 9])
def test_orientation_of_a_png_of_sixteen_bits_is_applied(tmp_path, orientation, before):
    pixels = np.random.default_rng(0).integers(0, 65535, (4, 6, 3), np.uint16)
    save_sixteen(pixels, tmp_path / "a.png")
    about = Image.Exif()
    about[0x0112] = orientation
    chunk = b"eXIf" + about.tobytes()[6:]
    chunk = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    file = (tmp_path / "a.png").read_bytes()
    at = file.index(before) - 4
    (tmp_path / "a.png").write_bytes(file[:at] + chunk + file[at:])
    turned = {3: pixels[::-1, ::-1], 5: pixels.swapaxes(0, 1), 6: np.rot90(pixels, -1)}.get(orientation, pixels)
    np.testing.assert_array_equal(read(tmp_path / "a.png").pixels, turned)


def test_a_photo_without_metadata_gets_none(face, tmp_path):
    face.save(tmp_path / "a.png")
    picture = Image.open(write(read(tmp_path / "a.png"), tmp_path / "b.png"))
    assert not picture.getexif() and "icc_profile" not in picture.info


def test_cmyk_is_converted_and_leaves_its_profile(face, tmp_path):
    face.convert("CMYK").save(tmp_path / "a.jpg", quality=100, icc_profile=b"no profile at all")
    photo = read(tmp_path / "a.jpg")
    assert photo.profile is None
    assert np.abs(photo.pixels.astype(int) - np.asarray(face)).mean() < 4


def test_the_layers_of_a_psd_are_no_frames(face, tmp_path):
    layer = struct.pack(">4iH", 0, 0, 1, 1, 0) + b"8BIMnorm" + bytes([255, 0, 0, 0]) + struct.pack(">I", 0)
    layers = struct.pack(">h", 2) + 2 * layer
    layers = struct.pack(">II", len(layers) + 4, len(layers)) + layers
    head = b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, face.height, face.width, 8, 3) + bytes(8)
    planes = b"".join(each.tobytes() for each in face.split())
    (tmp_path / "a.psd").write_bytes(head + layers + bytes(2) + planes)
    assert getattr(Image.open(tmp_path / "a.psd"), "n_frames", 1) == 2
    photo = read(tmp_path / "a.psd")
    assert not photo.note and np.array_equal(photo.pixels, np.asarray(face))


def test_of_an_animation_the_first_frame_is_taken_with_a_word(face, tmp_path):
    other = Image.new("RGB", face.size)
    face.save(tmp_path / "a.webp", save_all=True, append_images=[other, face], lossless=True)
    photo = read(tmp_path / "a.webp")
    assert "3 frames" in photo.note
    assert np.abs(photo.pixels[..., :3].astype(int) - np.asarray(face)).max() <= 1


SIXTEEN = np.random.default_rng(0).integers(0, 65536, (20, 30, 4), np.uint16)


@pytest.mark.parametrize(
    "pixels, wanted",
    [
        (SIXTEEN[..., :2], SIXTEEN[..., :2]),
        (SIXTEEN[..., 0].astype(np.uint32) * 65537, SIXTEEN[..., :1]),
        (SIXTEEN[..., :3].astype(np.uint32) * 65537, SIXTEEN[..., :3]),
        ((SIXTEEN[..., 0] / 65535).astype(np.float32), SIXTEEN[..., :1]),
        ((SIXTEEN[..., :3] / 65535).astype(np.float32), SIXTEEN[..., :3]),
        ((SIXTEEN[..., :3] / 257).astype(np.float32), SIXTEEN[..., :3]),
        (SIXTEEN[..., 0].astype(np.float32), SIXTEEN[..., :1]),
        ((SIXTEEN[..., 0] / 65535 + 0.04).astype(np.float32), np.minimum(SIXTEEN[..., :1] + 2621.4, 65535)),
    ],
)
def test_tiffs_of_any_numbers(tmp_path, pixels, wanted):
    found = read(write_tiff(tmp_path / "a.tif", pixels)).pixels
    assert photo_files.measure(tmp_path / "a.tif") == (30, 20) and found.dtype == np.uint16
    np.testing.assert_allclose(found, wanted, atol=1)


def test_tiffs_whose_zero_is_white(tmp_path):
    found = read(write_tiff(tmp_path / "a.tif", SIXTEEN[..., 0], WHITE_IS_ZERO)).pixels
    np.testing.assert_array_equal(found, 65535 - SIXTEEN[..., :1])


@pytest.mark.parametrize("space", ["lab", "labs"])
@pytest.mark.parametrize("colours", [((150, 100, 40), (250, 100, 40)), ((20, 60, 200), (90, 200, 30))])
def test_lab_of_sixteen_bits_and_floats(tmp_path, space, colours):
    pixels = np.tile(np.array(colours, np.uint8), (5, 4, 1))
    image = pyvips.Image.new_from_memory(pixels.tobytes(), 8, 5, 3, "uchar").copy(interpretation="srgb")
    image.colourspace(space).write_to_file(str(tmp_path / "a.tif"))
    photo = read(tmp_path / "a.tif")
    assert photo.pixels.dtype == np.uint16
    np.testing.assert_allclose(photo.pixels / 257, pixels, atol=1)


def test_sixteen_bit_cmyk(tmp_path):
    found = read(write_tiff(tmp_path / "a.tif", np.full((5, 6, 4), [0, 0, 0, 65535], np.uint16), CMYK)).pixels
    assert found.shape == (5, 6, 3) and found.max() < 20_000


@pytest.mark.parametrize("pixels", [SIXTEEN[..., 0] * np.float32(1e6), SIXTEEN[..., 0].astype(np.int16)])
def test_numbers_of_no_known_range_are_refused(tmp_path, pixels):
    with pytest.raises(
        UserError, match=r"a.tif: cannot be read \(it holds numbers from .*: convert it to 8 or 16 bits"
    ):
        read(write_tiff(tmp_path / "a.tif", pixels))


def test_a_gray_that_is_transparent_in_a_png_of_sixteen_bits(tmp_path):
    gray = SIXTEEN[..., 0].copy()
    gray[3, 4] = 777
    Image.fromarray(gray).save(tmp_path / "a.png", transparency=777)
    pixels = read(tmp_path / "a.png").pixels
    np.testing.assert_array_equal(pixels[..., 0], gray)
    np.testing.assert_array_equal(pixels[..., 1] == 0, gray == 777)


@pytest.mark.parametrize("pixels", [SIXTEEN, SIXTEEN[..., 0], SIXTEEN[..., :3] / np.float32(65535)])
@pytest.mark.parametrize("part", [0.99, 0.6])
def test_truncated_tiffs_are_refused(tmp_path, pixels, part):
    path = write_tiff(tmp_path / "a.tif", pixels)
    path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])
    with pytest.raises(UserError, match="a.tif: cannot be read .*(truncated|not large enough)"):
        read(path)


def test_a_file_that_has_changed_is_read_anew(tmp_path):
    for pixels in (SIXTEEN, SIXTEEN[::-1]):
        write_tiff(tmp_path / "a.tif", pixels)
        np.testing.assert_array_equal(read(tmp_path / "a.tif").pixels, pixels)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_names_in_no_encoding(tmp_path, suffix):
    for name, end in ((b"caf\xe9", suffix), (b"deep\xe9", ".tif")):
        path = tmp_path / os.fsdecode(name + end.encode())
        write(Photo(SIXTEEN if end == ".tif" else np.full((5, 6, 3), 90, np.uint8)), path)
        assert read(write(read(path), path.with_suffix(".png"))).pixels.shape[:2] in [(5, 6), (20, 30)]


def test_long_names(tmp_path):
    path = tmp_path / ("脸" * 83 + ".png")  # 253 bytes; a name beside it has some more
    assert read(write(Photo(SIXTEEN), path)).pixels.shape == SIXTEEN.shape
    with pytest.raises(UserError, match="cannot be read .*File name too long"):
        read(tmp_path / ("脸" * 90 + ".png"))


def test_exif_of_a_tiff_is_kept(face, tmp_path):
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Maker", 6
    exif.get_ifd(0x8769)[0x829A] = 0.25
    exif[0x8769] = exif.get_ifd(0x8769)
    face.save(tmp_path / "a.tif", exif=exif)
    photo = read(tmp_path / "a.tif")
    assert photo.pixels.shape == (60, 50, 3)
    found = Image.open(write(photo, tmp_path / "b.jpg")).getexif()
    assert found[0x010F] == "Maker" and found.get(0x0112, 1) == 1 and found.get_ifd(0x8769)[0x829A] == 0.25
    assert 273 not in found, "where the TIFF's pixels lay"


def test_xmp_is_kept_and_says_upright(face, tmp_path):
    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="6" dc:title="Face"/></x:xmpmeta>'
    face.save(tmp_path / "a.jpg", xmp=packet)
    photo = read(tmp_path / "a.jpg")
    for suffix in (".jpg", ".png", ".webp", ".tif"):
        assert b'tiff:Orientation="1" dc:title="Face"' in read(write(photo, tmp_path / f"b{suffix}")).xmp, suffix


def test_what_a_png_says_after_its_pixels_is_kept(face, tmp_path):
    about = Image.Exif()
    about[0x010E] = "Face"
    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a dc:title="Face"/></x:xmpmeta>'
    face.save(tmp_path / "a.png")
    file = (tmp_path / "a.png").read_bytes()
    chunks = [b"iTXtXML:com.adobe.xmp\0\0\0\0\0" + packet, b"eXIf" + about.tobytes()[6:]]
    late = [struct.pack(">I", len(each) - 4) + each + struct.pack(">I", zlib.crc32(each)) for each in chunks]
    (tmp_path / "a.png").write_bytes(file[:-12] + b"".join(late) + file[-12:])
    photo = read(tmp_path / "a.png")
    assert photo.xmp == packet and Image.open(write(photo, tmp_path / "b.png")).getexif()[0x010E] == "Face"
    with Image.open(tmp_path / "a.png") as image:
        assert photo_files.of_image(image).xmp == packet


def gray_profile(gamma: float) -> bytes:
    """Of the grays of a display."""
    white = struct.pack(">3i", 63190, 65536, 54061)
    name = b"desc" + struct.pack(">II", 0, 5) + b"gray\0" + bytes(79)
    curve = b"curv" + struct.pack(">IIH", 0, 1, int(256 * gamma))
    tags, table, body = {b"desc": name, b"wtpt": b"XYZ " + bytes(4) + white, b"kTRC": curve}, b"", b""
    for kind, content in tags.items():
        table += kind + struct.pack(">II", 132 + 12 * len(tags) + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    head = struct.pack(">I4xI4s4s4s12x4s28x", 132 + len(table) + len(body), 2 << 24, b"mntr", b"GRAY", b"XYZ ", b"acsp")
    return head + white + bytes(48) + struct.pack(">I", len(tags)) + table + body


@pytest.mark.parametrize(
    "suffix, kind, channels", [(".webp", "uint8", 1), (".webp", "uint16", 2), (".tif", "uint16", 2)]
)
def test_grays_that_become_colour_are_those_of_their_profile(tmp_path, suffix, kind, channels):
    top = np.iinfo(kind).max
    pixels = np.full((8, 9, channels), top, kind)
    pixels[..., 0] = top // 5
    result = read(write(Photo(pixels, gray_profile(1.0)), tmp_path / f"a{suffix}", quality=100))
    shown = 1.055 * 0.2 ** (1 / 2.4) - 0.055  # sRGB's of a fifth of the light
    np.testing.assert_allclose(result.pixels[4, 4, :3] / np.iinfo(result.pixels.dtype).max, shown, atol=0.01)
    assert result.profile[16:20] == b"RGB "
    damaged = read(write(Photo(pixels, b"no profile"), tmp_path / f"b{suffix}", quality=100))
    np.testing.assert_allclose(damaged.pixels[4, 4, :3] / np.iinfo(damaged.pixels.dtype).max, 0.2, atol=0.01)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
def test_resolution_is_kept_without_exif(face, tmp_path, suffix):
    face.save(tmp_path / "a.jpg", dpi=(300, 300))
    picture = Image.open(write(read(tmp_path / "a.jpg"), tmp_path / f"b{suffix}"))
    assert picture.info["dpi"][0] == pytest.approx(300, abs=0.1)


@pytest.mark.parametrize("damage", [b"Exif\0\0rubbish", b"Exif\0\0II*\0\x08\0\0\0\xff\xff\1", b"Exif\0\0"])
def test_damaged_exif_is_left_out(face, tmp_path, damage):
    file = io.BytesIO()
    face.save(file, "JPEG", quality=100)
    segment = b"\xff\xe1" + (len(damage) + 2).to_bytes(2, "big") + damage
    (tmp_path / "a.jpg").write_bytes(file.getvalue()[:2] + segment + file.getvalue()[2:])
    photo = read(tmp_path / "a.jpg")
    assert photo.exif is None and photo.pixels.shape == (50, 60, 3)


def test_what_cannot_be_read_is_named_with_the_reason(face, tmp_path):
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "empty.png").write_bytes(b"")
    face.save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:2000])
    save_sixteen(np.random.default_rng(0).integers(0, 65536, (90, 90, 3), np.uint16), tmp_path / "fine.png")
    (tmp_path / "cut16.png").write_bytes((tmp_path / "fine.png").read_bytes()[:20000])
    reasons = {
        "text.jpg": "not a photo",
        "empty.png": "an empty file",
        "cut.png": "truncated",
        "cut16.png": "truncated",
        "missing.png": "no such file",
        ".": "a folder",
    }
    for name, reason in reasons.items():
        with pytest.raises(UserError, match=f"(?i){reason}") as caught:
            read(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value) and "\n" not in str(caught.value)


def test_of_a_raw_file_no_thumbnail_is_taken_but_what_to_do_is_told(face, tmp_path):
    face.save(tmp_path / "a.NEF", "TIFF")
    (tmp_path / "b.raf").write_bytes(b"FUJIFILM")
    for name in ("a.NEF", "b.raf"):
        with pytest.raises(UserError, match=rf"{name}: cannot be read \(a raw file\): make TIFF or JPEG of them"):
            read(tmp_path / name)
    with pytest.raises(UserError, match="c.cr2: no such file"):
        read(tmp_path / "c.cr2")


def test_large_photos_are_refused_before_they_are_decoded_unless_the_limit_is_lifted(tmp_path):
    Image.new("1", (20_000, 10_000)).save(tmp_path / "a.png")  # beyond Pillow's own limit, too
    with pytest.raises(UserError, match=r"200 megapixels, the limit is 100: .* --max-megapixels"):
        read(tmp_path / "a.png")
    assert photo_files.measure(tmp_path / "a.png", 500) == (20_000, 10_000)
    assert Image.MAX_IMAGE_PIXELS == 89_478_485


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_text("old")

    def fails(self, target, kind, **options):
        raise pyvips.Error("unable to call pngsave")

    monkeypatch.setattr(pyvips.Image, "write_to_target", fails)
    with pytest.raises(OSError, match="pngsave"):
        write(Photo(np.zeros((4, 4, 3), np.uint8)), tmp_path / "a.png")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"] and (tmp_path / "a.png").read_text() == "old"


def test_a_failed_write_says_what_the_system_says(tmp_path):
    with pytest.raises(OSError) as caught:
        write(Photo(np.zeros((4, 4, 3), np.uint8)), tmp_path / "nowhere" / "a.png")
    assert caught.value.errno == errno.ENOENT


def test_resizing_on_the_way(tmp_path):
    pixels = np.full((40, 60, 4), 200, np.uint8)
    picture = Image.open(write(Photo(pixels), tmp_path / "a.png", scale=0.5))
    assert picture.size == (30, 20) and picture.mode == "RGBA"
    assert np.abs(np.asarray(picture).astype(int) - 200).max() <= 1


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("scale", [0.5, 1.5])
def test_resizing_with_transparency_gives_the_colours_that_it_gives_without(tmp_path, dtype, channels, scale):
    top = np.iinfo(dtype).max
    pixels = np.random.default_rng(0).integers(top // 4, top * 3 // 4, (40, 60, channels), dtype)
    opaque, plain = pixels.copy(), pixels[..., :-1]
    opaque[..., -1] = top
    photos = (opaque, plain)
    found, wanted = (read(write(Photo(each), tmp_path / "a.png", scale=scale)).pixels.astype(float) for each in photos)
    difference = found[..., :-1] - wanted
    assert np.abs(difference).max() <= 1
    assert abs(difference.mean()) < (0.1 if dtype == "uint8" else 0.6), "libvips itself cuts 16 bits off"
    even = np.full_like(pixels, 0.7 * top)
    assert (read(write(Photo(even), tmp_path / "b.png", scale=scale)).pixels == even[0, 0]).all()


def test_shrunk_for_looking_is_eight_bit_colour_on_white():
    photo = Photo(np.dstack([np.full((300, 150), 20000, np.uint16), np.zeros((300, 150), np.uint16)]))
    small = photo_files.shrunk(photo, 100)
    assert small.shape == (100, 50, 3) and small.dtype == np.uint8 and small.min() >= 254
