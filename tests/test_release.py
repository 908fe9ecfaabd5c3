"""What stands in the way of a release."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from scripts import release

ROOT = Path(__file__).parents[1]


def git(root: Path, *words: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run(["git", *who, *words], cwd=root, check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path):
    """One of version 1.2.3, fit to be released."""
    (tmp_path / "ssrvae_tf").mkdir()
    (tmp_path / "ssrvae_tf" / "__init__.py").write_text('"""A package."""\n\n__version__ = "1.2.3"\n')
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## [1.2.3] - 2026-01-01\n\n- New.\n\n## [1.2.2]\n\nOld.\n")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "all")
    return tmp_path


def test_a_committed_version_with_an_entry_and_no_tag_may_be_released(checkout):
    assert release.hindrances(checkout) == ("1.2.3", [])


def test_a_dirty_tree_is_refused(checkout):
    (checkout / "forgotten.py").touch()
    assert release.hindrances(checkout)[1] == ["one file is not committed, such as forgotten.py: commit or remove them"]


def test_a_version_that_has_a_tag_is_refused(checkout):
    git(checkout, "tag", "v1.2.2")
    assert release.hindrances(checkout)[1] == []
    git(checkout, "tag", "v1.2.3")
    assert release.hindrances(checkout)[1] == ["the tag v1.2.3 is there: raise __version__ in ssrvae_tf/__init__.py"]


@pytest.mark.parametrize(
    ["changelog", "told"],
    [
        ("## [1.2.2]\n\nOld.\n", "says nothing under ## [1.2.3]"),
        ("## [1.2.3]\n\n## [1.2.2]\n\nOld.\n", "says nothing under ## [1.2.3]"),
        ("## [Unreleased]\n\n- More.\n\n## [1.2.3]\n\n- New.\n", "has entries under ## [Unreleased]"),
    ],
)
def test_a_version_that_the_changelog_does_not_tell_of_is_refused(checkout, changelog, told):
    (checkout / "CHANGELOG.md").write_text(changelog)
    git(checkout, "commit", "--quiet", "--all", "--message", "changed")
    (line,) = release.hindrances(checkout)[1]
    assert told in line


def test_the_changelog_tells_of_the_version_that_this_is():
    done = subprocess.run([sys.executable, ROOT / "scripts" / "release.py"], capture_output=True, text=True)
    assert "CHANGELOG.md says nothing" not in done.stderr
