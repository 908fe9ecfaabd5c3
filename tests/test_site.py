"""The site that `make docs` builds: without a warning, whole without the internet, searchable from a disk."""

from __future__ import annotations

import html.parser
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parents[1]
PHONE = {"width": 390, "height": 844}


class Page(html.parser.HTMLParser):
    """Addresses and anchors of a page.

    Attributes:
        loads: what a browser fetches to show it.
        links: what a reader may follow.
        anchors: the ids that links may end in.
    """

    def __init__(self, path: Path):
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name == "id":
                self.anchors.add(value)
            elif name in ("href", "src", "srcset", "poster", "data", "action") and value:
                (self.links if tag == "a" else self.loads).append(value)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    told = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}  # the theme's, of a MkDocs to come
    done = subprocess.run(command, cwd=ROOT, env=told, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    return folder


@pytest.fixture(scope="module")
def pages(site) -> dict[Path, Page]:
    return {path: Page(path) for path in sorted(site.rglob("*.html"))}


@pytest.fixture
def open_page(chromium):
    """Opens a page of the site from the disk. Whatever it asks of a network fails the test."""
    opened, asked = [], []

    def open_(path: Path, **options):
        page = chromium.new_page(**options)
        opened.append(page)
        page.set_default_timeout(15_000)
        page.on("request", lambda request: asked.append(request.url))
        page.goto(path.as_uri())
        return page

    yield open_
    for page in opened:
        page.close()
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:", "about:"))] == []


def test_pages_are_those_of_the_repository(pages, site):
    made = {path.relative_to(site).as_posix() for path in pages}
    names = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    wanted = {re.sub(r"(README|index)\.md$", "index.md", name)[: -len(".md")] + ".html" for name in names}
    assert made == wanted | {"index.html", "serving.html", "contributing.html", "changelog.html", "404.html"}


def test_nothing_is_loaded_from_elsewhere(pages, site):
    assert [(path.name, load) for path, page in pages.items() for load in page.loads if urlsplit(load).netloc] == []
    for style in site.rglob("*.css"):
        loads = re.findall(r"""(?:url\(|@import)\s*["']?([^"')\s]+)""", style.read_text(encoding="utf-8"))
        assert [load for load in loads if urlsplit(load).netloc] == [], style


def test_links_lead_somewhere(pages, site):
    for path, page in pages.items():
        if path.name == "404.html":  # its links begin at the root of a server
            continue
        for link in page.links:
            address = urlsplit(link)
            if address.scheme or address.netloc:
                assert re.fullmatch(r"https://[\w.-]+\.[a-z]+(/[\w./#%~-]*)?", link), f"{path.name}: {link}"
                continue
            target = (path.parent / unquote(address.path)).resolve() if address.path else path
            assert target.is_file() and site in target.parents, f"{path.name}: {link}"
            if address.fragment:
                assert unquote(address.fragment) in pages[target].anchors, f"{path.name}: {link}"


def test_search_finds_a_page_without_a_server(site, open_page):
    page = open_page(site / "index.html")
    page.fill("input.md-search__input", "errata")
    page.click(".md-search-result__item a >> nth=0", timeout=60_000)  # the index is read first
    page.wait_for_url("**/method.html*")
    assert "Errata" in page.inner_text("article")


def test_pages_fit_on_a_phone(site, pages, open_page):
    page = open_page(site / "index.html", viewport=PHONE)
    for path in pages:
        page.goto(path.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], path.name


def test_every_public_name_is_on_the_page_of_the_api(pages, site):
    rooms = ("data", "faces", "layers", "metrics", "models", "serving")
    names = {name for room in rooms for name in importlib.import_module(f"ssrvae_tf.{room}").__all__}
    told = {anchor.rpartition(".")[2] for anchor in pages[site / "api.html"].anchors}
    assert names | {"load", "upscale"} <= told
