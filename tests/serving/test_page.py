"""The demo page in a real browser, behind nginx with the settings of serving/."""

from __future__ import annotations

import base64
import io
import re
import socket

import nginx
import numpy as np
import pytest
from flaky_server import FlakyServer
from PIL import Image
from stand_in_server import StandIn
from tiny_saved_models import MOST_PIXELS, encoded, enlarged, photo


@pytest.fixture
def open_page(chromium, site):
    """Opens the page. Whatever it does wrong fails the test, such as asking for what its policy forbids."""
    contexts, wrong = [], []

    def open_(address: str = site, **options):
        context = chromium.new_context(accept_downloads=True, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda told: wrong.append(told.text) if "Security Policy" in told.text else None)
        page.goto(address)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert wrong == []


def choose(page, data: bytes, name: str = "face.png", kind: str = "image/png"):
    page.set_input_files("#file", {"name": name, "mimeType": kind, "buffer": data})


def message(page, words: str) -> str:
    """Waits for a message that holds `words`."""
    page.wait_for_function("words => document.getElementById('message').textContent.includes(words)", arg=words)
    return page.text_content("#message")


def downloaded(page) -> Image.Image:
    page.wait_for_selector("#result:not([hidden])")
    with page.expect_download() as download:
        page.click("#download")
    with Image.open(download.value.path()) as image:
        image.load()
    image.info["name"] = download.value.suggested_filename
    return image


def test_a_chosen_photo_is_shown_before_and_after_and_can_be_kept(open_page):
    page = open_page()
    page.wait_for_selector("#state.good")
    assert page.text_content("#state") == "ready, version 1"
    image = photo(40, 30)
    choose(page, encoded(image))
    result = downloaded(page)
    assert result.info["name"] == "face_x4.png"
    np.testing.assert_array_equal(np.asarray(result.convert("RGB")), enlarged(image))
    assert re.fullmatch(r"40×30 → 160×120 in \d+\.\d s", page.text_content("#sizes"))
    assert page.text_content("#message") == ""
    sides = [page.evaluate(f"document.getElementById('{name}').naturalWidth") for name in ("before", "after")]
    assert sides == [40, 160]


def test_a_photo_may_be_dropped_or_pasted(open_page):
    page = open_page()
    make = """([event, field, data]) => {
        const bytes = Uint8Array.from(atob(data), c => c.charCodeAt(0));
        const transfer = new DataTransfer();
        transfer.items.add(new File([bytes], "dropped.png", { type: "image/png" }));
        const options = { bubbles: true, cancelable: true, [field]: transfer };
        document.body.dispatchEvent(new (event === "paste" ? ClipboardEvent : DragEvent)(event, options));
    }"""
    for index, (event, field) in enumerate((("drop", "dataTransfer"), ("paste", "clipboardData"))):
        image = photo(12 + index, 10, seed=index)
        page.evaluate(make, [event, field, base64.b64encode(encoded(image)).decode()])
        page.wait_for_function("w => document.getElementById('sizes').textContent.startsWith(w)", arg=f"{12 + index}×")
        np.testing.assert_array_equal(np.asarray(downloaded(page).convert("RGB")), enlarged(image))


def test_the_slider_is_moved_by_keys_and_tells_where_it_is(open_page):
    page = open_page()
    choose(page, encoded(photo()))
    page.wait_for_selector("#result:not([hidden])")
    split = "getComputedStyle(document.getElementById('compare')).getPropertyValue('--split')"
    assert page.evaluate(split) == "50%"
    page.focus("#slider")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.evaluate(split) == "52%"
    assert page.get_attribute("#slider", "aria-valuetext") == "52 % before, 48 % after"
    page.keyboard.press("Home")
    clip = "getComputedStyle(document.getElementById('after')).clipPath"
    assert page.evaluate(split) == "0%" and page.evaluate(clip) in ("inset(0px)", "inset(0px 0px 0px 0%)")
    box = page.locator("#compare").bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.75, box["y"] + box["height"] / 2)
    assert abs(int(page.input_value("#slider")) - 75) <= 3


def test_all_is_reached_by_keys_and_has_a_name(open_page):
    page = open_page()
    choose(page, encoded(photo()))
    page.wait_for_selector("#result:not([hidden])")
    page.evaluate("document.activeElement.blur()")
    reached = []
    for _ in range(4):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id"))
    assert reached == ["file", "slider", "download", "check"]
    for role, name in (("slider", "Where before ends"), ("link", "Download"), ("button", "Check")):
        assert page.get_by_role(role, name=name).count() == 1
    assert page.get_by_role("img", name="Before").count() == page.get_by_role("img", name="After").count() == 1


def test_photos_are_upright_and_white_where_they_are_transparent(open_page):
    page = open_page()
    image = photo(40, 24)
    file, turned = io.BytesIO(), Image.Exif()
    turned[0x0112] = 6  # a quarter turn to the right
    Image.fromarray(image).save(file, "JPEG", exif=turned.tobytes(), quality=95)
    choose(page, file.getvalue(), "turned.jpg", "image/jpeg")
    result = downloaded(page)
    assert result.size == (96, 160) and result.info["name"] == "turned_x4.png"
    wanted = np.rot90(enlarged(image), -1).astype(int)
    assert np.abs(np.asarray(result.convert("RGB")) - wanted).mean() < 8

    choose(page, encoded(np.zeros((10, 10, 4), np.uint8)), "clear.png")
    page.wait_for_function("() => document.getElementById('sizes').textContent.startsWith('10×10')")
    assert np.asarray(downloaded(page).convert("RGB")).min() == 255


def test_a_file_that_is_no_photo_is_told(open_page):
    page = open_page()
    choose(page, b"hello", "notes.txt", "text/plain")
    assert message(page, "notes.txt") == "notes.txt is not a photo that this browser can read. Choose a JPEG or a PNG."
    assert page.get_attribute("#message", "class") == "message bad" and page.is_hidden("#result")
    choose(page, encoded(photo()))
    page.wait_for_selector("#result:not([hidden])")
    assert page.text_content("#message") == ""


def test_a_photo_that_is_too_large_is_not_sent(open_page):
    with FlakyServer((200, "{}")) as server, nginx.before(server.address) as address:
        page = open_page(address)
        page.wait_for_selector("#state.bad")
        before = len(server.requests)
        choose(page, encoded(np.zeros((600, 500, 3), np.uint8)))
        words = "500×600 are 300,000 pixels, at most 65,536 are taken. Cut out the face, or shrink it."
        assert message(page, "too large") == f"face.png is too large: {words}"
        assert len(server.requests) == before


def test_a_refusal_is_told_in_the_servers_words(open_page):
    page = open_page()
    choose(page, encoded(np.zeros((129, 128, 3), np.uint8)))
    told = message(page, "The server refused (400): ")
    assert f"the image has more than {MOST_PIXELS} pixels, send a smaller one" in told


def test_a_server_that_is_away_is_told_and_found_once_it_is_there(open_page, saved_models):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with nginx.before(f"http://127.0.0.1:{port}") as address:
            page = open_page(address)
            page.wait_for_selector("#state.bad")
            choose(page, encoded(photo()))
            told = "TensorFlow Serving does not answer. Is it running? It may be starting."
            assert message(page, "does not answer") == told == page.text_content("#state")
            taken.close()
            with StandIn({"ssrvae": saved_models / "ssrvae"}, rest_port=port):
                page.click("text=Check")
                page.wait_for_selector("#state.good")
                choose(page, encoded(photo()))
                page.wait_for_selector("#result:not([hidden])")
    page.click("text=Check")
    page.wait_for_selector("#state.bad")
    assert page.text_content("#state") == "Where this page came from, nothing answers any more. Is it running?"


def test_a_photo_that_takes_too_long_is_told(open_page, site):
    page = open_page()
    answer(page, site, 504, '{"error": "Timed out waiting for notification"}')
    choose(page, encoded(photo()))
    assert message(page, "120 s") == "The server gave no answer within 120 s. Try a smaller photo."


def test_something_else_behind_the_page_and_a_missing_model_are_told(open_page, saved_models):
    with StandIn({"half": saved_models / "half"}) as server, nginx.before(server.rest) as address:
        page = open_page(address)
        page.wait_for_function("() => document.getElementById('state').textContent.includes('(404)')")
        assert "Could not find any versions of model ssrvae" in page.text_content("#state")
    with FlakyServer((200, "<html>")) as server, nginx.before(server.address) as address:
        page = open_page(address)
        page.wait_for_selector("#state.bad")
        assert "is not TensorFlow Serving" in page.text_content("#state")


def answer(page, address: str, code: int, body: str):
    """From now on all that the page asks of `address` is answered so."""
    page.route(f"{address}/v1/**", lambda route: route.fulfill(status=code, body=body))


@pytest.mark.parametrize("body", ['{"a": 1}', "[]", "null", '"x"', '{"predictions": 1, "model_version_status": {}}'])
def test_json_of_something_else_is_told(open_page, site, body):
    page = open_page()
    page.wait_for_selector("#state.good")
    answer(page, site, 200, body)
    page.click("text=Check")
    page.wait_for_selector("#state.bad")
    choose(page, encoded(photo()))
    told = "What answers under v1/ is not TensorFlow Serving. Check what is behind this page."
    assert message(page, "What answers") == told == page.text_content("#state")


@pytest.mark.parametrize("predictions", ["[]", "[1.0]", '[{"b64": "!!"}]', "[null]"])
def test_an_answer_without_an_image_is_told(open_page, site, predictions):
    page = open_page()
    page.wait_for_selector("#state.good")
    answer(page, site, 200, f'{{"predictions": {predictions}}}')
    choose(page, encoded(photo()))
    assert message(page, "holds no image").startswith("The server's answer holds no image.")


@pytest.mark.parametrize("body", ['{"x": 1}', "null", "[]"])
def test_a_refusal_without_a_reason_is_told(open_page, site, body):
    page = open_page()
    answer(page, site, 500, body)
    choose(page, encoded(photo()))
    assert message(page, "refused") == "The server refused (500): it gave no reason"


def test_of_two_photos_the_later_one_is_shown(open_page):
    page = open_page()
    page.route("**/*:predict", lambda route: page.wait_for_timeout(500) or route.continue_(), times=1)
    choose(page, encoded(photo(16, 16)))
    choose(page, encoded(photo(20, 12)))
    page.wait_for_function("() => document.getElementById('sizes').textContent.startsWith('20×12')")
    page.wait_for_timeout(700)
    assert page.text_content("#sizes").startswith("20×12") and page.text_content("#message") == ""


def test_the_photo_goes_to_the_pages_own_server_whatever_a_link_says(open_page, site):
    with FlakyServer((200, '{"predictions": []}')) as elsewhere:
        page = open_page(f"{site}/?server={elsewhere.address}#server={elsewhere.address}")
        page.evaluate("address => localStorage.setItem('server', address)", elsewhere.address)  # as the page once did
        page.reload()
        page.wait_for_selector("#state.good")
        choose(page, encoded(photo()))
        np.testing.assert_array_equal(np.asarray(downloaded(page).convert("RGB")), enlarged(photo()))
        assert elsewhere.requests == []


def test_the_page_may_ask_nobody_else(chromium, site):
    with FlakyServer((200, "")) as elsewhere:
        page = chromium.new_page()
        page.goto(site)
        tried = """async (address) => {
            const image = new Image();
            image.src = address;
            const script = document.createElement("script");
            script.src = address;
            document.head.append(script);
            const options = { method: "POST", body: "photo", mode: "no-cors" };
            return await fetch(address, options).catch((error) => error.name);
        }"""
        with page.expect_console_message(lambda told: "connect-src 'self'" in told.text):
            assert page.evaluate(tried, elsewhere.address) == "TypeError"
        page.wait_for_timeout(200)
        page.close()
        assert elsewhere.requests == []


def test_nothing_is_fetched_from_elsewhere(open_page, site):
    page = open_page()
    page.wait_for_selector("#state.good")
    asked = []
    page.on("request", lambda request: asked.append((request.method, request.url)))
    page.reload()
    page.wait_for_selector("#state.good")
    choose(page, encoded(photo()))
    page.wait_for_selector("#result:not([hidden])")
    model = f"{site}/v1/models/ssrvae"
    files = [("GET", f"{site}/{name}") for name in ("", "style.css", "app.js")]
    over_network = [each for each in asked if not each[1].startswith(("blob:", "data:"))]
    assert over_network == [*files, ("GET", model), ("POST", f"{model}:predict")]


def test_the_page_fits_a_phone(open_page):
    page = open_page(viewport={"width": 320, "height": 640})
    choose(page, encoded(photo(60, 40)))
    page.wait_for_selector("#result:not([hidden])")
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
