"""The page of comparisons, in a real browser."""

from __future__ import annotations

import json
import os
import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from ssrvae_tf.photos import files
from ssrvae_tf.photos.before_after import Comparisons
from ssrvae_tf.photos.files import Photo

SMALL = Photo(np.full((4, 6, 3), 60, np.uint8))
LARGE = Photo(np.full((16, 24, 3), 200, np.uint8))


def compared(folder, names) -> Comparisons:
    """Results and their sheets, written by several threads at once."""
    sheets = Comparisons(folder / "sheets", folder)
    sheets.begin()

    def write(name):
        (folder / name).parent.mkdir(exist_ok=True)
        sheets.write(files.write(LARGE, folder / name), SMALL, LARGE)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, names))
    sheets.write_page()
    return sheets


def listed(sheets: Comparisons) -> list[str]:
    return [name for name, _ in json.loads(re.search(r"const PHOTOS = (.*?);", sheets.page.read_text())[1])]


def test_every_photo_is_on_the_page_once_however_many_threads_write(tmp_path):
    names = [f"{number:03}.png" for number in range(130)]
    assert listed(compared(tmp_path, names)) == names


def test_what_has_no_result_any_more_is_not_on_the_page(tmp_path):
    sheets = compared(tmp_path, ["a.png", "b.png"])
    (tmp_path / "a.png").unlink()
    sheets.write_page()
    assert listed(sheets) == ["b.png"]


@pytest.fixture
def open_page(chromium):
    """Opens a page from the disk. Errors in it fail the test, as does whatever it asks for elsewhere."""
    wrong, pages = [], []

    def open_(path):
        page = chromium.new_page()
        pages.append(page)
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda asked: asked.url.startswith(path.parent.as_uri()) or wrong.append(asked.url))
        page.goto(path.as_uri())
        return page

    yield open_
    for page in pages:
        page.close()
    assert wrong == []


def test_the_page_shows_sheets_with_sliders(tmp_path, open_page):
    name = "deep é/it's #1 100% <b>.png"
    page = open_page(compared(tmp_path, [name]).page)
    assert page.text_content("h2") == name
    page.wait_for_function("document.querySelector('.half').style.backgroundImage")
    box = page.locator(".pair").bounding_box()
    assert box["width"] / box["height"] == pytest.approx(24 / 16, rel=0.01)

    def red(share: float) -> int:
        """Of the pixel so far across the picture."""
        shot = tmp_path / "shot.png"
        page.locator(".pair").screenshot(path=shot)
        pixels = files.read(shot).pixels
        return int(pixels[len(pixels) // 4, int(share * pixels.shape[1]), 0])

    assert abs(red(0.25) - 60) < 4 and abs(red(0.75) - 200) < 4, "bicubic on the left, ours on the right"
    page.get_by_label("from bicubic to ours").fill("10")
    assert abs(red(0.25) - 200) < 4
    page.get_by_label("from bicubic to ours").fill("90")
    assert abs(red(0.75) - 60) < 4


def test_ten_thousand_photos_are_shown_a_few_at_a_time(tmp_path, open_page):
    sheets = compared(tmp_path, ["0000.png"])
    whole = tmp_path / "sheets" / "0000.png.jpg"
    for number in range(1, 10_000):
        os.link(tmp_path / "0000.png", tmp_path / f"{number:04}.png")
        os.link(whole, tmp_path / "sheets" / f"{number:04}.png.jpg")
    page = open_page(sheets.write_page())

    def shown():
        return page.locator("h2").all_text_contents()

    assert shown() == [f"{number:04}.png" for number in range(10)]
    assert page.text_content("#pages") == "1000 (10000 photos)" and page.is_disabled("#back")
    page.click("#on")
    assert shown()[0] == "0010.png"
    page.fill("#page", "1000")
    page.press("#page", "Enter")
    assert shown()[-1] == "9999.png" and page.is_disabled("#on")
    page.reload()
    assert shown()[-1] == "9999.png", "the address tells the page"
    page.fill("#part", "123.PNG")
    assert shown() == [f"{number}123.png" for number in range(10)]
    page.fill("#part", "none")
    assert shown() == [] and page.text_content("#pages") == "1 (0 photos)"
