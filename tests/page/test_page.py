"""The page of `ssrvae app` in a real browser."""

from __future__ import annotations

import base64
import io
import time

import numpy as np
import pytest
from PIL import Image
from served_app import file_of, picture

from ssrvae_tf.photos.samples import sample_photos

BEFORE, AFTER = (200, 120, 40), (55, 135, 215)
REFUSAL = "the server responded with a status of 400"  # what Chromium says itself about bad files


@pytest.fixture
def open_page(chromium, app):
    """Opens the page for someone new. Errors in it fail the test, as does whatever it asks for elsewhere."""
    contexts, wrong = [], []

    def open_(**options):
        context = chromium.new_context(accept_downloads=True, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(180_000)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "console",
            lambda told: wrong.append(told.text) if told.type == "error" and REFUSAL not in told.text else None,
        )
        page.on(
            "request", lambda asked: asked.url.startswith((app.address, "blob:", "data:")) or wrong.append(asked.url)
        )
        page.goto(app.address)
        page.wait_for_function("() => document.getElementById('model').options.length > 0")
        return page

    yield open_
    for context in contexts:
        for page in context.pages:
            page.click("#remove-all") if page.is_visible("#remove-all") else None
            page.wait_for_selector("#all", state="hidden")
        context.close()
    assert wrong == []


def choose(page, *files: tuple[str, bytes]):
    given = [{"name": name, "mimeType": "image/png", "buffer": data} for name, data in files]
    page.set_input_files("#file", given)


def wait_for_shade(page, across: float, shade: tuple[int, int, int]):
    """Until that is seen in the viewer, so far across it."""
    end = time.monotonic() + 120
    while True:
        seen = np.asarray(Image.open(io.BytesIO(page.locator("#viewer").screenshot())).convert("RGB")).astype(int)
        found = seen[seen.shape[0] // 4, int(across * seen.shape[1])]
        if np.abs(found - shade).max() < 8:
            return
        assert time.monotonic() < end, found


def test_a_photo_is_dropped_watched_compared_and_kept(open_page):
    page = open_page(viewport={"width": 1000, "height": 900})
    data = file_of(Image.new("RGB", (2000, 1000), BEFORE), "JPEG")
    make = """data => {
        const bytes = Uint8Array.from(atob(data), c => c.charCodeAt(0));
        const transfer = new DataTransfer();
        transfer.items.add(new File([bytes], "dropped.jpg", { type: "image/jpeg" }));
        document.body.dispatchEvent(new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: transfer }));
    }"""
    page.evaluate(make, base64.b64encode(data).decode())
    told = r"/^Enlarging: \d+ %, \d+ (s|min) left$/.test(document.querySelector('.told')?.textContent)"
    page.wait_for_function(f"() => {told} && document.querySelector('progress').value > 0")
    page.wait_for_selector("#looked-at:not([hidden])")
    assert page.text_content("#sizes") == "2000×1000 → 8000×4000"
    wait_for_shade(page, 0.25, BEFORE)
    wait_for_shade(page, 0.75, AFTER)
    handle = page.locator("#handle")
    box, frame = handle.bounding_box(), page.locator("#viewer").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(frame["x"] + 0.9 * frame["width"], box["y"] + 40, steps=3)
    page.mouse.up()
    wait_for_shade(page, 0.75, BEFORE)
    handle.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert handle.get_attribute("aria-valuetext") == "2 % before, 98 % after"

    largest = "Math.max(...[...document.querySelectorAll('.layer img')].map(each => each.naturalWidth))"
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    fitted = float(page.text_content("#zoom").split()[0])
    page.mouse.move(frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2)
    page.mouse.wheel(0, -2000)
    page.wait_for_function(f"() => parseFloat(document.getElementById('zoom').textContent) > {1.5 * fitted}")
    page.click("#full")
    page.wait_for_function("() => document.getElementById('zoom').textContent === '100 %'")
    page.wait_for_function("() => [...document.querySelectorAll('.layer img')].every(each => each.naturalWidth)")
    assert page.evaluate(largest) <= 512 and len(asked) < 60, "only tiles, and only those that are seen"
    assert any("/after/4/" in each for each in asked), "of the full size"
    for button, zoom in (("#in", 150), ("#out", 100)):
        page.click(button)
        page.wait_for_function(f"() => document.getElementById('zoom').textContent === '{zoom} %'")
    place = "document.querySelector('#after img').style.left"
    before = page.evaluate(place)
    page.locator("#viewer").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function(f"() => {place} !== '{before}'")
    before = page.evaluate(place)
    frame = page.locator("#viewer").bounding_box()  # it has scrolled
    page.mouse.move(frame["x"] + 300, frame["y"] + 200)
    page.mouse.down()
    page.mouse.move(frame["x"] + 360, frame["y"] + 200, steps=2)
    page.mouse.up()
    page.wait_for_function(f"() => {place} !== '{before}'")
    page.keyboard.press("0")
    page.wait_for_function(f"() => parseFloat(document.getElementById('zoom').textContent) === {fitted}")

    with page.expect_download() as download:
        page.click("#download")
    assert download.value.suggested_filename == "dropped_x4.jpg"
    with Image.open(download.value.path()) as image:
        assert (image.format, image.size) == ("JPEG", (8000, 4000))


def test_several_photos_good_and_bad_are_listed_and_stay_when_the_page_is_loaded_again(open_page):
    page = open_page()
    choose(
        page,
        ("one.png", file_of(picture())),
        ("bad.png", b"hello"),
        ("none.png", b""),
        ("two.png", file_of(picture(16, 20))),
    )
    page.wait_for_function("() => document.querySelectorAll('#photos li.done').length === 2")
    told = [each.split(": ")[0] for each in page.locator("#messages p").all_text_contents()]
    assert sorted(told) == ["bad.png", "none.png"]
    page.reload()
    page.wait_for_function("() => document.querySelectorAll('#photos li.done').length === 2")
    assert page.locator(".name").all_text_contents() == ["one.png", "two.png"]
    page.get_by_role("button", name="Look: two.png").click()
    assert page.text_content("#looked-at-title") == "two.png"
    page.fill("#strength", "0.5")
    page.check("#only-faces")
    page.get_by_role("button", name="Again with these settings: two.png").click()
    page.wait_for_function("() => document.querySelectorAll('#photos li.done').length === 3")
    assert "strength 0.5, only the faces" in page.locator(".told").all_text_contents()[2]
    page.get_by_role("button", name="Remove: one.png").click()
    page.wait_for_function("() => document.querySelectorAll('#photos li').length === 2")


def test_what_is_compared_stays_when_another_photo_is_done(open_page):
    page = open_page()
    done = "() => document.querySelectorAll('#photos li.done').length === {}"
    choose(page, ("one.png", file_of(picture())))
    page.wait_for_function(done.format(1))
    choose(page, ("two.png", file_of(picture(2000, 1000))))
    page.locator("#handle").press("ArrowRight")
    page.wait_for_function(done.format(2))
    assert page.text_content("#looked-at-title") == "one.png"
    choose(page, ("three.png", file_of(picture(16, 20))))
    page.wait_for_function(done.format(3))
    assert page.text_content("#looked-at-title") == "three.png"
    page.get_by_role("button", name="Remove: one.png").click()
    choose(page, ("four.png", file_of(picture(2000, 1000))), ("five.png", file_of(picture())))
    page.locator("#handle").press("ArrowRight")
    page.get_by_role("button", name="Remove: three.png").click()
    page.wait_for_function(done.format(3))
    assert page.text_content("#looked-at-title") == "five.png", "what was compared is gone"


def test_of_too_many_photos_the_first_are_taken_and_the_others_named(open_page):
    page, held = open_page(), []

    def hold(route):
        if route.request.method == "GET" and not held:
            held.append(route)
        else:
            route.continue_()

    page.route("**/photos", hold)
    choose(page, *((f"{number}.png", file_of(picture())) for number in range(6)))
    page.wait_for_function("() => document.querySelectorAll('#messages p').length === 2")
    told = page.locator("#messages p").all_text_contents()
    assert told == [f"{number}.png: there are 4 photos already: remove some first" for number in (4, 5)]
    second = page.locator("#photos li").nth(1).element_handle()
    (late,) = held
    late.fulfill(json=late.fetch().json()[:1])  # from before there was a second
    page.wait_for_timeout(300)
    assert second.evaluate("each => each.isConnected")
    assert page.locator(".name").all_text_contents() == ["0.png", "1.png", "2.png", "3.png"]


def test_all_is_reached_by_keys_and_has_a_name(open_page):
    page = open_page()
    choose(page, ("face.png", file_of(picture())))
    page.wait_for_selector("#looked-at:not([hidden])")
    page.evaluate("document.activeElement.blur()")
    reached = []
    for _ in range(17):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.textContent"))
    actions = ["Look", "Download", "Again with these settings", "Remove"]
    viewer = ["viewer", "handle", "out", "in", "fit", "full", "download"]
    assert reached == ["file", "model", "strength", "only-faces", "remove-all", *actions, *viewer, reached[-1]]
    nameless = """() => [...document.querySelectorAll("button, a, input, select, [role]:not([role=status])")]
        .filter((each) => !(each.getAttribute("aria-label") || each.labels?.length || each.textContent.trim()))
        .map((each) => each.outerHTML)"""
    assert page.evaluate(nameless) == []


def test_a_face_that_is_chosen_is_looked_at_in_its_place(open_page):
    page = open_page(viewport={"width": 1000, "height": 900})
    choose(page, ("astronaut.png", file_of(Image.open(sample_photos()[0]).convert("RGB").resize((256, 256)))))
    page.wait_for_selector("#looked-at:not([hidden])")
    assert page.text_content("#faces-title") == "One face found"
    page.wait_for_function("() => [...document.querySelectorAll('.face img')].every(each => each.naturalWidth)")
    page.wait_for_function("() => parseFloat(document.getElementById('zoom').textContent) > 0")
    fitted = float(page.text_content("#zoom").split()[0])
    page.get_by_role("button", name="Face 1, before and after").click()
    page.wait_for_function(f"() => parseFloat(document.getElementById('zoom').textContent) > {1.5 * fitted}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_a_phone_in_light_and_in_the_dark(open_page, scheme):
    page = open_page(viewport={"width": 320, "height": 640}, color_scheme=scheme)
    choose(page, (f"{'long' * 20}.png", file_of(picture())))
    page.wait_for_selector("#looked-at:not([hidden])")
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, paper[4:-1].split(","))) > 380) == (scheme == "light")


def test_names_are_shown_as_they_are(open_page):
    page = open_page()
    name = "<img src=x onerror=alert(1)>.png"
    choose(page, (name, file_of(picture())))
    page.wait_for_selector("#looked-at:not([hidden])")
    assert page.text_content("#looked-at-title") == name == page.locator(".name").text_content()
