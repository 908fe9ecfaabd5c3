"""Shared by all tests: quiet TensorFlow, small folders of photos, and a browser."""

from __future__ import annotations

import os
import tempfile

# Before TensorFlow is imported anywhere.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # several test processes may share one

import browser
import numpy as np
import pytest
from PIL import Image
from stacks import NOT_HERE

from ssrvae_tf.photos.samples import sample_photos

# Skips that nothing which can be installed would end.
_UNAVOIDABLE = ("SSRVAE_DATA", NOT_HERE, "--precision bfloat16: this processor")
# What a user's jobs keep must neither help nor harm the tests.
_CACHE = tempfile.TemporaryDirectory()
os.environ["XDG_CACHE_HOME"] = _CACHE.name


@pytest.fixture(scope="session")
def photo_folder(tmp_path_factory):
    """12 crops of the shipped photos as PNG and JPEG, 160x160 to 191x175, the last two in a subfolder. Do not write."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "more").mkdir()
    for index in range(12):
        with Image.open(sample_photos()[index % 2]) as photo:
            side = 160 + index
            left, top = 60 + 17 * index, 13 * index
            right, lower = left + side + (20 if index > 5 else 0), top + side + index % 5
            crop = photo.convert("RGB").crop((left, top, right, lower))
        name = f"{index:02}.{'png' if index % 3 else 'jpg'}"
        crop.save((folder / "more" if index >= 10 else folder) / name)
    return folder


@pytest.fixture
def small_folder(tmp_path):
    """Six small photos of 20x20 to 40x30."""
    folder = tmp_path / "small"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(6):
        size = (20 + 2 * i, 20 + 4 * i, 3)
        Image.fromarray(rng.integers(0, 256, size, np.uint8)).save(folder / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def chromium():
    with browser.chromium() as each:
        yield each


def _skipped(config) -> list[str]:
    """The reasons of all tests that were skipped; nothing in the processes that run them for another one."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    reports = reporter.stats.get("skipped", []) if reporter else []
    return [report.longrepr[2].replace("Skipped: ", "") for report in reports]


def _avoidable(reasons: list[str]) -> list[str]:
    """Those that are failures in continuous integration: what is missing could be installed."""
    in_ci = os.environ.get("CI") == "true"
    return sorted({reason for reason in reasons if in_ci and not reason.startswith(_UNAVOIDABLE)})


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session):
    if _avoidable(_skipped(session.config)):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter, config):
    reasons = _skipped(config)
    terminalreporter.write_line(f"{len(reasons)} tests were skipped")
    for reason in sorted(set(reasons)):
        terminalreporter.write_line(f"  {reasons.count(reason)}: {reason}")
    if _avoidable(reasons):
        terminalreporter.write_line(f"in CI these may not be: {'; '.join(_avoidable(reasons))}", red=True)
