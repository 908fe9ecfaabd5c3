"""What `ssrvae app` answers, whom, and what it leaves behind."""

from __future__ import annotations

import io
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import psutil
import pytest
import requests
from PIL import Image, ImageCms
from served_app import App, file_of, picture

from ssrvae_tf import app as door
from ssrvae_tf import page
from ssrvae_tf.errors import UserError
from ssrvae_tf.loading import places
from ssrvae_tf.photos.samples import sample_photos
from ssrvae_tf.upscale import upscale_files

STATIC = Path(page.__file__).parent / "static"
SMALL = file_of(picture())
LARGE = file_of(Image.new("RGB", (2000, 1200), "gray"), "JPEG")  # for what is to be caught at work


PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def described(image: Image.Image) -> bytes:
    """A JPEG with a profile and EXIF data."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "maker", 6
    return file_of(image, "JPEG", exif=exif.tobytes(), icc_profile=PROFILE, quality=90)


def deep() -> bytes:
    values = np.linspace(0, 65535, 20 * 16).astype(np.uint16).reshape(16, 20)
    return file_of(Image.fromarray(values))


@pytest.mark.parametrize(
    "name, made, result",
    [
        ("my face é.jpg", lambda: described(picture()), "my face é_x4.jpg"),
        ("deep.png", deep, "deep_x4.png"),
        ("clear.webp", lambda: file_of(picture().convert("RGBA"), "WEBP", lossless=True), "clear_x4.webp"),
        ("palette.gif", lambda: file_of(picture().convert("P"), "GIF"), "palette_x4.png"),
    ],
)
def test_a_result_is_that_of_the_command_line_to_the_byte(visitor, network, tmp_path, name, made, result):
    answer = visitor.result_of(made(), name, strength=0.7)
    told = re.fullmatch("attachment; filename(?:\\*=utf-8''|=\")(.*?)\"?", answer.headers["content-disposition"])
    assert told and unquote(told[1]) == result
    photo = tmp_path / name
    photo.write_bytes(made())
    (file,) = upscale_files(photo, model=str(network), strength=0.7).written
    assert answer.content == file.read_bytes()


def test_only_faces_go_through_the_network_where_that_is_asked_for(visitor, network, tmp_path):
    image = Image.open(sample_photos()[0]).convert("RGB").resize((256, 256))
    answer = visitor.result_of(file_of(image), "astronaut.png", faces="only")
    (tmp_path / "astronaut.png").write_bytes(file_of(image))
    (file,) = upscale_files(tmp_path / "astronaut.png", model=str(network), faces=True).written
    assert answer.content == file.read_bytes()
    (photo,) = visitor.photos()
    assert len(photo["result"]["faces"]) == 1 and photo["settings"]["faces"]


def test_what_a_photo_says_of_itself_is_kept(visitor):
    answer = visitor.result_of(described(picture()), "face.jpg")
    with Image.open(io.BytesIO(answer.content)) as image:
        assert (image.format, image.size) == ("JPEG", (120, 160)), "upright"
        assert image.getexif()[0x010F] == "maker" and image.getexif().get(0x0112, 1) == 1
        assert image.info["icc_profile"] == PROFILE


def test_what_is_looked_at_is_cut_into_tiles(visitor):
    data = file_of(picture(200, 40))
    photo = visitor.until(visitor.bring(data).json(), "done")
    before, after = photo["result"]["before"], photo["result"]["after"]
    assert before == {"width": 200, "height": 40, "levels": 1} and after == {"width": 800, "height": 160, "levels": 2}

    def tile(side, place):
        answer = visitor.get(visitor.of(photo, side, f"{place}.jpg"))
        return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB")).astype(int)

    whole = np.asarray(picture(200, 40)).astype(int)
    assert np.abs(tile("before", "0/0_0") - whole).mean() < 4
    assert tile("after", "0/0_0").shape == (80, 400, 3)
    right = tile("after", "1/1_0")
    assert right.shape == (160, 800 - 512, 3)
    assert np.abs(right - (255 - whole.repeat(4, 0).repeat(4, 1)[:, 512:])).mean() < 6
    for place in ("after/2/0_0.jpg", "after/1/2_0.jpg", "after/1/0_0.png", "photo/0/0_0.jpg", "after/../photo.png"):
        assert visitor.get(visitor.of(photo, place)).status_code == 404


@pytest.mark.parametrize("turned", [False, True], ids=["as it is", "as phones store it"])
def test_faces_are_shown_by_themselves_before_and_after(visitor, turned):
    image = Image.new("RGB", (448, 256))
    image.paste(Image.open(sample_photos()[0]).convert("RGB").resize((256, 256)), (192, 0))
    data, exif = file_of(image), Image.Exif()
    if turned:
        exif[0x0112] = 6
        data = file_of(image.transpose(Image.Transpose.ROTATE_90), exif=exif)
    photo = visitor.until(visitor.bring(data).json(), "done")
    ((left, top, right, bottom),) = photo["result"]["faces"]
    left, right = (448 * share / 256 - 0.75 for share in (left, right))  # in shares of the astronaut
    assert left < 0.38 < 0.50 < right and top < 0.16 < 0.31 < bottom and right - left < 0.4, "the eyes, the chin"
    sides = [visitor.get(visitor.of(photo, f"{side}-0", "0", "0_0.jpg")) for side in ("before", "after")]
    before, after = (np.asarray(Image.open(io.BytesIO(each.content)).resize((32, 32))).astype(int) for each in sides)
    assert np.abs(before + after - 255).mean() < 8
    assert visitor.get(visitor.of(photo, "before-99", "0", "0_0.jpg")).status_code == 404


def test_progress_is_told_and_a_photo_can_be_given_up_and_done_again(visitor, app):
    photo = visitor.bring(LARGE, "large.jpg").json()
    first = visitor.until(photo, "running")
    while not first["seconds_left"]:
        first = visitor.until(photo, "running")
    assert 0 < first["share"] < 1 and first["stage"] == "Enlarging" and 0 < first["seconds_left"] < 600
    later = first
    while later["share"] == first["share"]:
        later = visitor.until(photo, "running")
    assert later["share"] > first["share"]
    assert visitor.post(visitor.of(photo, "cancel")).json()["state"] == "cancelled"
    assert app.workers() == [], "nothing goes on with it"
    assert visitor.get(visitor.of(photo, "result")).status_code == 404

    small = visitor.bring(SMALL).json()
    visitor.until(small, "done")
    other = visitor.post(visitor.of(small, "again"), params={"strength": 0}).json()
    assert other["settings"]["strength"] == 0 and other["name"] == "face.png"
    visitor.until(other, "done")
    results = [visitor.get(visitor.of(each, "result")).content for each in (small, other)]
    assert results[0] != results[1]


def test_two_people_take_turns_and_see_their_own_only(app, visitors):
    visitor, other = visitors(), visitors()
    visitor.result_of(SMALL)
    (worker,) = app.workers()
    worker.suspend()
    first = [visitor.bring(SMALL, f"{number}.png").json() for number in range(3)]
    visitor.until(first[0], "running")
    second = other.bring(SMALL, "mine.png").json()
    assert [photo["ahead"] for photo in visitor.photos()[2:]] == [2, 3], "after the other's"
    assert [(photo["name"], photo["ahead"]) for photo in other.photos()] == [("mine.png", 1)]
    worker.resume()
    other.until(second, "done")
    visitor.until(first[2], "done")
    assert len(visitor.photos()) == 4
    for photo, who in ((second, visitor), (first[1], other)):
        for address in ("result", "before/0/0_0.jpg", "after/0/0_0.jpg"):
            assert who.get(who.of(photo, address)).status_code == 404
        assert who.post(who.of(photo, "cancel")).status_code == 404
        assert who.post(who.of(photo, "again")).status_code == 404
        assert who.delete(who.of(photo)).status_code == 404
    assert other.get(other.of(second, "result")).status_code == 200


def cut_short() -> bytes:
    data = file_of(picture(200, 200), "JPEG", quality=95)
    return data[: len(data) // 2]


def bomb() -> bytes:
    """A small file of many pixels."""
    return file_of(Image.new("1", (30_000, 30_000)))


@pytest.mark.parametrize(
    "made, message",
    [
        (lambda: b"", "a.jpg: an empty file: repair or remove it"),
        (lambda: b"hello", "a.jpg: cannot be read (not a photo that Pillow reads): repair or remove it"),
        (cut_short, "a.jpg: cannot be read (image file is truncated"),
        (bomb, "a.jpg: 30000x30000 is 900 megapixels, the limit is 6: "),
        (lambda: SMALL + bytes(1_100_000), "a.jpg: the file is larger than 1 MB: send a smaller one"),
        (lambda: file_of(picture(), "EPS"), "a.jpg: cannot be read (EPS is no kind of photo): send a JPEG or PNG"),
    ],
)
def test_a_bad_file_is_told_in_one_line_and_the_next_is_done(app, visitor, made, message):
    answer = visitor.bring(made(), "../../a.jpg")
    told = answer.json()
    if answer.status_code == 201:  # known by its end only
        told = visitor.until(told, "failed")
        visitor.delete(visitor.of(told))
    else:
        assert answer.status_code == 400 and visitor.photos() == []
    assert told["error"].startswith(message) and "\n" not in told["error"]
    assert app.kept() == []
    assert visitor.result_of(SMALL).status_code == 200


def test_a_body_of_no_announced_length_is_limited_too(app, visitor):
    try:
        answer = visitor.bring((bytes(100_000) for _ in range(100)), "a.jpg")
        assert answer.status_code == 400 and "larger than 1 MB" in answer.json()["error"]
    except requests.ConnectionError:  # it hung up while more was sent
        pass
    assert app.kept() == []


def test_nothing_stays_of_a_photo_that_is_broken_off(app, visitor):
    host, port = app.address.removeprefix("http://").split(":")
    cookie = "; ".join(f"{each.name}={each.value}" for each in visitor.cookies)
    with socket.create_connection((host, int(port))) as line:
        head = f"POST /photos?name=a.png HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nContent-Length: 1000\r\n\r\n"
        line.sendall(head.encode() + SMALL[:100])
        while not app.kept():
            time.sleep(0.01)
    end = time.monotonic() + 60
    while app.kept():
        assert time.monotonic() < end
        time.sleep(0.05)
    assert visitor.photos() == []


def test_nobody_has_more_photos_than_the_limit(visitor):
    photos = [visitor.bring(SMALL).json() for _ in range(4)]
    answer = visitor.bring(SMALL)
    assert answer.status_code == 400 and answer.json()["error"] == "there are 4 photos already: remove some first"
    assert visitor.post(visitor.of(photos[0], "again")).status_code == 400
    visitor.delete(visitor.of(photos[0]))
    assert visitor.bring(SMALL).status_code == 201


@pytest.mark.parametrize(
    "settings", [{"strength": "2"}, {"strength": "nan"}, {"strength": "x"}, {"model": "/etc/passwd"}]
)
def test_settings_that_are_not_offered_are_refused(app, visitor, settings):
    answer = visitor.bring(SMALL, **settings)
    assert answer.status_code == 400 and answer.json()["error"] and app.kept() == []


def test_weights_are_those_named_and_those_shipped_with_their_detail(visitor, network):
    models = visitor.get(f"{visitor.address}/options").json()["models"]
    assert models == [
        {"model": str(network), "detail": None},
        {"model": "faces-x4", "detail": 0.8},
        {"model": "faces-x4-clean", "detail": None},
    ]


def test_weights_that_were_packed_do_not_take_the_place_of_the_usual_ones(tmp_path, monkeypatch):
    shipped = shutil.copytree(places.SHIPPED, tmp_path / "weights")
    shutil.copytree(shipped / "faces-x4-clean", shipped / "a-first")
    monkeypatch.setattr(places, "SHIPPED", shipped)
    assert [*door._models([])] == ["faces-x4", "a-first", "faces-x4-clean"]


@pytest.mark.parametrize(
    "host, code", [("localhost", 200), ("LOCALHOST:1", 200), ("[::1]:5", 200), ("192.168.1.5", 200)]
)
def test_the_page_goes_by_localhost_and_numbers(app, host, code):
    assert requests.get(app.address, headers={"Host": host}).status_code == code


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "", "[", "a b"])
def test_other_names_are_refused_so_that_none_can_be_made_to_lead_here(app, host):
    answer = requests.get(app.address, headers={"Host": host})
    assert answer.status_code in (400, 421) and not answer.cookies


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_other_sites_can_do_nothing_in_a_visitors_name(app, visitor, headers):
    photo = visitor.bring(SMALL).json()
    visitor.headers.update(headers)
    refused = [
        visitor.bring(SMALL),
        visitor.post(visitor.of(photo, "cancel")),
        visitor.post(visitor.of(photo, "again")),
        visitor.delete(visitor.of(photo)),
    ]
    if "Sec-Fetch-Site" in headers:
        refused += [visitor.get(visitor.of(photo, "result")), visitor.get(f"{app.address}/photos")]
        assert visitor.get(app.address, headers={"Sec-Fetch-Mode": "navigate"}).status_code == 200, "by a link"
    assert [each.status_code for each in refused] == [403] * len(refused)
    for name in headers:
        del visitor.headers[name]
    assert [each["key"] for each in visitor.photos()] == [photo["key"]]


def test_without_a_session_there_is_nothing(app):
    for headers in ({}, {"Cookie": f"ssrvae_{app.address.rpartition(':')[2]}=guessed"}):
        for address in ("photos", "options"):
            answer = requests.get(f"{app.address}/{address}", headers=headers)
            assert answer.status_code == 403 and answer.json()["error"]
        assert requests.post(f"{app.address}/photos", data=SMALL, headers=headers).status_code == 403


@pytest.mark.parametrize(
    "path",
    [
        "/static/../server.py",
        "/static/%2e%2e/server.py",
        "/static/..%2fserver.py",
        "/static//etc/passwd",
        "/static/",
        "/..%2f..%2fetc%2fpasswd",
        "/photos/..%2f..%2f..%2fetc%2fpasswd/result",
        "/photos/../../etc/passwd",
    ],
)
def test_no_address_leads_to_a_file_of_the_machine(app, visitor, path):
    host, port = app.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as line:  # clients tidy addresses up
        cookie = "; ".join(f"{each.name}={each.value}" for each in visitor.cookies)
        line.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: line.recv(1 << 16), b""))
    assert answer.startswith(b"HTTP/1.1 40") and b"import" not in answer and b"root:" not in answer


def test_what_a_photo_is_called_is_no_place(app, visitor):
    answer = visitor.result_of(SMALL, "/etc/../..\\evil\r\nSet-Cookie: a=b\x00.png")
    assert "Set-Cookie" not in answer.headers
    assert "filename" in answer.headers["content-disposition"] and ".." not in answer.headers["content-disposition"]
    assert visitor.photos()[0]["name"] == "evilSet-Cookie: a=b.png"


def test_answers_tell_browsers_to_ask_nobody_else_and_keep_nothing(app, visitor):
    photo = visitor.until(visitor.bring(SMALL).json(), "done")
    for address in (app.address, f"{app.address}/static/page.js", visitor.of(photo, "result"), f"{app.address}/none"):
        headers = visitor.get(address).headers
        assert "default-src 'none'" in headers["content-security-policy"] and headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff" and headers["x-frame-options"] == "DENY"
        assert "access-control-allow-origin" not in headers
    answer = requests.get(app.address)
    (cookie,) = answer.cookies
    assert "HttpOnly" in answer.headers["set-cookie"] and "SameSite=lax" in answer.headers["set-cookie"]
    assert len(cookie.value) >= 32


def test_the_pages_files_name_no_other_place():
    text = "".join(path.read_text(encoding="utf-8") for path in STATIC.iterdir())
    assert set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"')]*", text)) == {"http://www.w3.org/2000/svg"}


def test_the_process_that_enlarges_may_die(app, visitor):
    photo = visitor.bring(LARGE, "large.jpg").json()
    visitor.until(photo, "running")
    while not app.workers():
        time.sleep(0.05)
    for each in app.workers():
        each.kill()
    told = visitor.until(photo, "failed")["error"]
    assert told.startswith("large.jpg: the process that enlarges photos has ended") and "\n" not in told
    assert visitor.result_of(SMALL).status_code == 200


def test_photos_go_when_they_are_removed_or_their_page_was_closed_long_ago(network, tmp_path):
    with App(tmp_path, "--model", str(network), "--keep-minutes", "0.05") as app, app.visitor() as visitor:
        (private,) = tmp_path.iterdir()
        assert os.name != "posix" or private.stat().st_mode & 0o077 == 0
        photo = visitor.until(visitor.bring(SMALL).json(), "done")
        assert app.kept() == [photo["key"]]
        assert visitor.delete(visitor.of(photo)).status_code == 204
        assert app.kept() == [] == visitor.photos()
        photo = visitor.until(visitor.bring(SMALL).json(), "done")
        end = time.monotonic() + 60
        while app.kept():
            assert time.monotonic() < end
            time.sleep(0.2)
        assert visitor.get(visitor.of(photo, "result")).status_code == 403
        shutil.rmtree(private)  # as by what clears temporary files
        visitor.get(app.address)
        answer = visitor.bring(SMALL)
        assert answer.status_code == 400 and answer.json()["error"].startswith("face.png: cannot be kept here (No such")
        worker = app.workers()
        assert app.ended_by(signal.SIGTERM) == (143, "")
        assert list(tmp_path.iterdir()) == [] and not any(each.is_running() for each in worker)


def test_nothing_stays_after_ctrl_c_nor_after_the_start_that_follows_a_kill(network, tmp_path):
    options = ["--model", str(network)]
    with App(tmp_path, *options) as app, app.visitor() as visitor:
        visitor.until(visitor.bring(LARGE).json(), "running")
        while not app.workers():
            time.sleep(0.05)
        workers = app.workers()
        app.ended_by(signal.SIGKILL)
        assert len(list(tmp_path.glob("ssrvae_app.*"))) == 1
        assert psutil.wait_procs(workers, timeout=120)[1] == [], "it ends by itself"
    other = tmp_path / "ssrvae_app.00000000.999999.x"  # of another machine
    other.mkdir()
    with App(tmp_path, *options) as app, app.visitor() as visitor:
        assert len(list(tmp_path.glob("ssrvae_app.*"))) == 2
        visitor.bring(LARGE)
        assert app.ended_by(signal.SIGINT) == (130, "stopped\n")
    assert list(tmp_path.iterdir()) == [other]


def said(*arguments: str) -> str:
    with pytest.raises(UserError) as error:
        door.main(["--no-browser", *arguments])
    return str(error.value)


def test_mistakes_are_told_before_anything_is_served(network, tmp_path, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert said("--port", str(port)).startswith(
            f"--port {port}: Address already in use: choose another, or --port 0"
        )
    assert said("--host", "203.0.113.1", "--port", "0").startswith("--host 203.0.113.1: ")
    assert said("--host", "192.168..1", "--port", "0").startswith("--host 192.168..1: ")
    assert said("--model", "runs/none").startswith("runs/none: no such model: ")
    assert said("--model", str(tmp_path / "none.tflite")).startswith(
        f"--model {tmp_path / 'none.tflite'}: cannot be read"
    )
    assert said("--model", "faces-style").startswith("--model faces-style: it degrades photos: ")
    assert said("--port", "70000") == "--port 70000: it must be a whole number from 0 to 65535"
    monkeypatch.setattr(door, "find_spec", lambda name: None if name == "uvicorn" else name)
    assert said() == 'the page needs starlette and uvicorn: pip install "ssrvae-tf[app]"'


def test_the_server_itself_needs_no_tensorflow():
    code = "import sys; from ssrvae_tf.page import server; assert not {'tensorflow', 'numpy', 'PIL'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
