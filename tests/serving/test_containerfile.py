"""The container's recipe, read, not built: that takes a quarter of an hour."""

from __future__ import annotations

import fnmatch
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "serving" / "Containerfile").read_text()


def instructions() -> list[tuple[str, str]]:
    """(word, rest) of each, of all stages."""
    lines = re.sub(r"^#.*\n", "", TEXT, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
    return [tuple(line.split(maxsplit=1)) for line in lines if line.strip()]


def rests(word: str) -> list[str]:
    return [rest for each, rest in instructions() if each == word]


def test_its_words_are_known_and_its_images_pinned():
    known = "FROM ARG WORKDIR COPY RUN ENV USER ENTRYPOINT CMD HEALTHCHECK".split()
    assert {word for word, _ in instructions()} <= set(known)
    images = [rest.split()[0] for rest in rests("FROM")]
    assert len(images) == 2 and len(set(images)) == 1 and re.fullmatch(r"python:3\.11\.\d+-slim-bookworm", images[0])


def test_what_it_copies_is_there_and_let_in():
    let_in = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = [rest.split()[:-1] for rest in rests("COPY") if not rest.startswith("--from=")]
    sources = [source for words in copied for source in words]
    assert {"ssrvae_tf", "configs", "setup.cfg", "constraints/tf2.15.txt"} <= set(sources)
    for source in sources:
        path = ROOT / source
        assert path.exists(), source
        files = [each for each in path.rglob("*.*")] if path.is_dir() else [path]
        for file in files:
            name = file.relative_to(ROOT).as_posix()
            assert any(name.startswith(f"{each}/") or fnmatch.fnmatch(name, each) for each in let_in), name


def test_it_has_what_its_workers_and_exports_want():
    assert rests("ARG") == ["EXTRAS=beam,serving"]


def test_versions_are_the_constraints_and_nobody_is_root():
    installs = [part for rest in rests("RUN") for part in rest.split("&&") if "pip install" in part]
    assert all("--constraint constraints/tf2.15.txt" in part or "--no-deps" in part for part in installs)
    words = [word for word, _ in instructions()]
    assert int(rests("USER")[-1]) > 0 and words.index("USER") < words.index("ENTRYPOINT")
    assert rests("ENTRYPOINT") == ['["ssrvae"]']
