"""What differs between the stacks, and that nothing else looks which one it is."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import keras
import pytest

from ssrvae_tf import compat
from ssrvae_tf.errors import UserError

PACKAGE = Path(compat.__file__).parent
VERSION_TEST = re.compile(
    r"version_info|parse_version|(keras|tf|tensorflow)\.__version__ *[\[.<>=!]|[<>=!] *(keras|tf)\.__version__"
    r"|(import|from) tensorflow_(addons|gan)|hasattr\((keras|tf),"
)


def test_one_short_module_alone_knows_which_stack_it_is():
    assert len(Path(compat.__file__).read_text().splitlines()) < 80
    looking = [path for path in PACKAGE.rglob("*.py") if VERSION_TEST.search(path.read_text())]
    assert looking == [Path(compat.__file__)]


def test_a_run_goes_on_with_the_keras_that_began_it_only():
    other = "2.15.0" if keras.__version__ >= "3" else "3.15.1"
    words = f"runs/a: it was begun with Keras {other}, .* Keras {keras.__version__} cannot .* --init runs/a and another"
    with pytest.raises(UserError, match=words):
        compat.check_going_on({"keras": other}, "runs/a")
    for versions in ({"keras": keras.__version__}, {}):
        compat.check_going_on(versions, "runs/a")


def test_another_of_keras_backends_is_told(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    with pytest.raises(ImportError, match="^Keras runs on torch: set KERAS_BACKEND=tensorflow before it is imported$"):
        runpy.run_path(compat.__file__)


def test_where_there_is_no_addons_what_it_does_is_done_without(monkeypatch):
    monkeypatch.setattr(compat.importlib.util, "find_spec", lambda name: None)
    with compat.old_stack("tensorflow_addons") as found:
        assert found is None
