"""One stand-in server for each test process, and SavedModels for tests that start their own."""

from __future__ import annotations

import nginx
import pytest
import tiny_saved_models
from stand_in_server import StandIn


@pytest.fixture(scope="session")
def saved_models(tmp_path_factory):
    """A folder of models, by name, each with a version 1. Do not write."""
    folder = tmp_path_factory.mktemp("models")
    tiny_saved_models.save(tiny_saved_models.Bicubic(), folder / "ssrvae" / "1")
    tiny_saved_models.save(tiny_saved_models.HalfPlusTwo(), folder / "half" / "1")
    tiny_saved_models.save(tiny_saved_models.Several(), folder / "several" / "1")
    tiny_saved_models.save(tiny_saved_models.Slow(), folder / "slow" / "1")
    return folder


@pytest.fixture(scope="session")
def stand_in(saved_models):
    """Serves all of `saved_models`. Do not stop."""
    with StandIn({path.name: path for path in saved_models.iterdir()}) as server:
        yield server


@pytest.fixture(scope="session")
def site(stand_in):
    """The address of nginx in front of `stand_in`, as serving/docker-compose.yml has it."""
    with nginx.before(stand_in.rest) as address:
        yield address
