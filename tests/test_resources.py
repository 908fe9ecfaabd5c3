from __future__ import annotations

import psutil
import pytest

from ssrvae_tf import resources


class Machine:
    available = 9_000


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    ["most", "wanted"], [("4000", 2_300), ("1000", 0), ("64000", 9_000), ("9223372036854771712", 9_000), ("max", 9_000)]
)
def test_a_container_has_what_it_may_take_and_no_more_than_the_machine(version, most, wanted, tmp_path, monkeypatch):
    limit, taken, figures, files = resources._LIMITS[2 - version]
    (tmp_path / "memory").mkdir()
    for name, text in ((limit, most), (taken, "2000"), (figures, f"active_file 50\n{files} 300")):
        (tmp_path / name).write_text(f"{text}\n")
    monkeypatch.setattr(resources, "_GROUPS", tmp_path)
    monkeypatch.setattr(psutil, "virtual_memory", Machine)
    assert resources.free_memory() == wanted


def test_without_control_groups_the_machine_alone_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(resources, "_GROUPS", tmp_path)
    monkeypatch.setattr(psutil, "virtual_memory", Machine)
    assert resources.free_memory() == 9_000


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    ["time", "wanted"], [("150000", 2), ("300000", 3), ("10000", 1), ("6400000", 8), ("-1", 8), ("max", 8)]
)
def test_a_container_has_as_many_processors_as_its_time_is_worth(version, time, wanted, tmp_path, monkeypatch):
    names = resources._TIMES[2 - version]
    (tmp_path / "cpu").mkdir()
    for name, text in zip(names, (f"{time} 100000",) if version == 2 else (time, "100000")):
        (tmp_path / name).write_text(f"{text}\n")
    monkeypatch.setattr(resources, "_GROUPS", tmp_path)
    monkeypatch.setattr(resources.os, "sched_getaffinity", lambda _: range(8), raising=False)
    monkeypatch.setattr(resources.os, "cpu_count", lambda: 8)
    assert resources.processors() == wanted and resources.is_limited() == (wanted < 8)


def test_only_the_processors_that_a_process_may_run_on_count(tmp_path, monkeypatch):
    monkeypatch.setattr(resources, "_GROUPS", tmp_path)
    monkeypatch.setattr(resources.os, "sched_getaffinity", lambda _: {3, 5}, raising=False)
    monkeypatch.setattr(resources.os, "cpu_count", lambda: 8)
    assert resources.processors() == 2 and resources.is_limited()
