"""See whether a version may be released, before it is built: `make release` does both. Nothing is uploaded.

Prints the version. Refuses a tree with changes that are not committed, a version whose tag is there already, one that
CHANGELOG.md says nothing about, and entries there that are of no version yet.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def hindrances(root: Path) -> tuple[str, list[str]]:
    """(the version of the checkout `root`, why it may not be released, a line each)."""

    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", root, *words], check=True, capture_output=True, text=True).stdout.strip()

    version = re.search(r'^__version__ = "(.+)"', (root / "ssrvae_tf/__init__.py").read_text(), re.MULTILINE)[1]
    found = []
    changed = git("status", "--porcelain").splitlines()
    if changed:
        number = "one file is" if len(changed) == 1 else f"{len(changed)} files are"
        some = f"{number} not committed, such as {changed[0].split(maxsplit=1)[1]}"
        found.append(f"{some}: commit or remove them")
    if git("tag", "--list", f"v{version}"):
        found.append(f"the tag v{version} is there: raise __version__ in ssrvae_tf/__init__.py")
    parts = re.split(r"^## \[(.+?)\].*$", (root / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    entries = {name: text.strip() for name, text in zip(parts[1::2], parts[2::2])}
    if not entries.get(version):
        found.append(f"CHANGELOG.md says nothing under ## [{version}]: tell what is new")
    if entries.get("Unreleased"):
        found.append(f"CHANGELOG.md has entries under ## [Unreleased]: put them under ## [{version}]")
    return version, found


if __name__ == "__main__":
    version, found = hindrances(ROOT)
    for line in found:
        print(f"error: {line}", file=sys.stderr)
    if found:
        sys.exit(2)
    print(version)
