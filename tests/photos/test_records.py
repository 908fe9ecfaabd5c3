"""Results that remember what made them."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from ssrvae_tf.photos import files, records
from ssrvae_tf.photos.files import Photo

RECORD = records.record(model="a1\"<&>'é", strength=0.7, tile="auto")
GRAY = np.full((8, 9, 3), 128, np.uint8)
PACKET = (
    b'<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    b'xmlns:dc="http://purl.org/dc/elements/1.1/" dc:title="Face"/></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
)


@pytest.mark.parametrize("xmp", [None, PACKET])
@pytest.mark.parametrize(
    "suffix, dtype",
    [(".jpg", "uint8"), (".webp", "uint8")]
    + [(".png", d) for d in ("uint8", "uint16")]
    + [(".tif", d) for d in ("uint8", "uint16")],
)
def test_a_record_comes_back_from_every_format(tmp_path, suffix, dtype, xmp):
    path = files.write(Photo(GRAY.astype(dtype), xmp=xmp), tmp_path / f"a{suffix}", made=RECORD)
    assert records.made(path) == RECORD
    packet = files.read(path).xmp
    assert xmp is None or b'dc:title="Face"' in packet
    (found,) = [each for each in ET.fromstring(packet).iter() if "{urn:ssrvae_tf:}made" in each.attrib]
    assert found.attrib["{urn:ssrvae_tf:}made"] == RECORD, "other programs can read it"


def test_what_holds_no_record_or_is_no_photo_has_none(tmp_path):
    Image.fromarray(GRAY).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_text("no photo")
    files.write(Photo(GRAY, xmp=PACKET), tmp_path / "c.png")
    assert [records.made(tmp_path / name) for name in ("a.png", "b.png", "c.png", "gone.png")] == [None] * 4


def test_a_result_that_is_enlarged_again_has_one_record(tmp_path):
    first = files.read(files.write(Photo(GRAY, xmp=PACKET), tmp_path / "a.png", made=RECORD))
    second = files.read(files.write(first, tmp_path / "b.png", made="{}"))
    assert records.made(tmp_path / "b.png") == "{}" and second.xmp.count(b"ssrvae_tf:made") == 1
    assert b'dc:title="Face"' in second.xmp


def test_a_picture_that_another_program_has_saved_is_no_longer_ours():
    packet = records.with_record(PACKET, RECORD)
    assert records.find(packet) == RECORD
    assert records.find(ET.tostring(ET.fromstring(packet))) is None


@pytest.mark.parametrize("packet", [b"\xff\xfe<\0x\0", b"<other/>"])
def test_a_packet_that_is_not_understood_stays_as_it_is(packet):
    assert records.with_record(packet, RECORD) == packet


def test_a_record_does_not_push_a_packet_out_of_a_jpeg(tmp_path):
    packet = PACKET.replace(b"Face", b"F" * 59_600)
    assert files.read(files.write(Photo(GRAY, xmp=packet), tmp_path / "a.jpg", made=RECORD)).xmp == packet
    assert records.made(files.write(Photo(GRAY, xmp=packet), tmp_path / "a.png", made=RECORD)) == RECORD


def test_the_result_of_more_pixels_than_pillow_opens_has_its_record(tmp_path):
    path = files.write(Photo(np.zeros((15_000, 15_000, 1), np.uint8)), tmp_path / "a.png", made=RECORD)
    assert records.made(path) == RECORD


def test_what_differs_is_told():
    now = records.record(model="b2", strength=1.0, tile="auto")
    assert records.difference(records.record(model="b2", strength=0.7, tile="auto"), now) == "strength 0.7, now 1.0"
    assert records.difference("no JSON", now) == records.difference("[]", now) == "another record"


def test_what_computed_a_result_lies_beside_its_record(tmp_path):
    photo = Photo(np.zeros((4, 5, 3), np.uint8), computed_by='a "runtime", float32')
    path = files.write(photo, tmp_path / "a.png", made=RECORD)
    assert records.made(path) == RECORD
    assert b'computed_by="a &quot;runtime&quot;, float32"' in files.packet(path)
    again = records.with_record(files.packet(path), RECORD, "another")
    assert records.find(again) == RECORD and again.count(b"computed_by") == 1


def test_lower_precisions_are_part_of_a_record_and_float32_need_not_be_told():
    options = ("a.png", 7, "b2", 4, 95, "auto", 8, 1.0)
    whole, low = records.of_result(*options), records.of_result(*options, precision="bfloat16")
    assert "precision" not in whole and whole == records.of_result(*options, precision="float32")
    assert records.difference(whole, low) == "precision float32, now bfloat16"
    assert records.difference(low, whole) == "precision bfloat16, now float32"
