from __future__ import annotations

import pytest

from ssrvae_tf import memory


class Machine:
    available = 9_000


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    ["most", "wanted"], [("4000", 2_300), ("1000", 0), ("64000", 9_000), ("9223372036854771712", 9_000), ("max", 9_000)]
)
def test_a_container_has_what_it_may_take_and_no_more_than_the_machine(version, most, wanted, tmp_path, monkeypatch):
    limit, taken, figures, files = memory._LIMITS[2 - version]
    (tmp_path / "memory").mkdir()
    for name, text in ((limit, most), (taken, "2000"), (figures, f"active_file 50\n{files} 300")):
        (tmp_path / name).write_text(f"{text}\n")
    monkeypatch.setattr(memory, "_GROUPS", tmp_path)
    monkeypatch.setattr(memory.psutil, "virtual_memory", Machine)
    assert memory.free_memory() == wanted


def test_without_control_groups_the_machine_alone_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_GROUPS", tmp_path)
    monkeypatch.setattr(memory.psutil, "virtual_memory", Machine)
    assert memory.free_memory() == 9_000
