"""The script that compares the answers of two stacks; `make stacks` runs it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope="module")
def stacks():
    path = Path(__file__).parents[1] / "scripts" / "stacks.py"
    spec = importlib.util.spec_from_file_location("stacks_script", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def differing(stacks, kept, found):
    return {name for name, most, allowed in stacks.differences(kept, found) if most > allowed}


def test_equal_answers_do_not_differ(stacks):
    kept = {"predict, a": np.ones(4), "training, sr: loss": 30 * np.ones(9), "upscale by LiteRT": np.arange(9)}
    near = {"predict, a": np.ones(4) + 9e-6, "training, sr: loss": 30 * np.ones(9) + 2e-3}
    assert differing(stacks, kept, kept) == differing(stacks, kept, {**kept, **near}) == set()


@pytest.mark.parametrize(
    "name, kept, found",
    [
        ("predict, a", np.ones(4), np.ones(4) + 2e-5),
        ("predict, a", np.ones(4), np.ones(5)),
        ("TFLite, its own", np.ones(4), np.ones(4) + 1e-9),
        ("upscale by LiteRT", np.arange(9), np.arange(9) + 1),
        ("upscale by Keras, a", np.zeros(20000), np.eye(1, 20000)[0]),
    ],
)
def test_an_answer_that_differs_is_told(stacks, name, kept, found):
    assert differing(stacks, {name: kept}, {name: found}) == {name}


def test_an_answer_that_only_one_gives_differs(stacks):
    assert differing(stacks, {"predict, a": np.ones(4)}, {"predict, b": np.ones(4)}) == {"predict, a", "predict, b"}
