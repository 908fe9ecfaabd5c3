"""What the tests of both pipelines do."""

from __future__ import annotations

import json

THREADS = ["--direct_num_workers=2", "--direct_running_mode=multi_threading"]
PROCESSES = ["--direct_num_workers=2", "--direct_running_mode=multi_processing"]


def contents(folder) -> dict[str, bytes]:
    """Bytes by place below `folder`, dead letters left out, hidden files not."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if not name.startswith("dead_letter")}


def dead_letters(folder) -> dict[str, str]:
    """Reasons by targets."""
    (path,) = folder.glob("dead_letter-*.jsonl")
    letters = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert all(letter["path"] in letter["reason"] for letter in letters)
    return {letter["target"]: letter["reason"] for letter in letters}
