"""What the site has besides docs/: pages that lie elsewhere in the repository, and the files that pages link to.

A hook of MkDocs. Sources stay as they are, with links that work in the repository; here these become links of the site.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]
PAGES = {  # in the repository -> in the site
    "README.md": "index.md",
    "serving/README.md": "serving.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
_CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[((?:[^\[\]]|\[[^\]]*\]\([^)]*\))*)\]\(([^)\s:#]+)(#[^)\s]*)?\)")


def on_files(files, config):
    for source, page in PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    for page in list(files.documentation_pages()):
        for target in _targets(page):
            if files.get_file_from_path(_place(target)) is None and (ROOT / target).is_file():
                files.append(File.generated(config, _place(target), abs_src_path=str(ROOT / target)))
    return files


def on_page_markdown(markdown, page, config, files):
    def link(match):
        text, target, anchor = match.groups()
        found = posixpath.normpath(posixpath.join(posixpath.dirname(_source(page.file)), target))
        if (ROOT / found).is_dir():
            return text  # a site has no listings
        text = _LINK.sub(link, text)  # a picture that is a link
        place = posixpath.relpath(_place(found), posixpath.dirname(page.file.src_uri) or ".")
        return f"[{text}]({place}{anchor or ''})"

    return _outside_code(markdown, lambda text: _LINK.sub(link, text))


def _source(file) -> str:
    """Where a page lies in the repository."""
    return Path(file.abs_src_path).relative_to(ROOT).as_posix()


def _place(source: str) -> str:
    """Where in the site a file of the repository lies."""
    return PAGES.get(source) or (source[len("docs/") :] if source.startswith("docs/") else f"repository/{source}")


def _targets(page) -> set[str]:
    """Files of the repository that a page links to."""
    found = set()

    def note(text):
        found.update(target for _, target, _ in _LINK.findall(text))
        return text

    _outside_code(Path(page.abs_src_path).read_text(encoding="utf-8"), note)
    return {posixpath.normpath(posixpath.join(posixpath.dirname(_source(page)), target)) for target in found}


def _outside_code(markdown: str, change) -> str:
    done, parts = 0, []
    for block in _CODE.finditer(markdown):
        parts += [change(markdown[done : block.start()]), block[0]]
        done = block.end()
    return "".join([*parts, change(markdown[done:])])
