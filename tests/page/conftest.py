from __future__ import annotations

import pytest
import served_app


@pytest.fixture(scope="session")
def network(tmp_path_factory):
    """A tiny network in a file."""
    return served_app.negative(tmp_path_factory.mktemp("network") / "negative.tflite")


@pytest.fixture(scope="package")
def app(network, tmp_path_factory):
    """A page with small limits. Do not end it."""
    limits = ["--max-megapixels", "6", "--max-megabytes", "1", "--max-photos", "4"]
    with served_app.App(tmp_path_factory.mktemp("app"), "--model", str(network), *limits) as each:
        yield each


@pytest.fixture
def visitors(app):
    """Lets someone new in, whose photos are removed afterwards."""
    known = []

    def new():
        known.append(app.visitor())
        return known[-1]

    yield new
    for each in known:
        for photo in each.photos():
            each.delete(each.of(photo))
        each.close()


@pytest.fixture
def visitor(visitors):
    return visitors()
