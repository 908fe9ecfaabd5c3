"""What is known of a model before it is loaded."""

from __future__ import annotations

import pytest

from ssrvae_tf import config
from ssrvae_tf.errors import UserError
from ssrvae_tf.loading import places
from ssrvae_tf.loading.places import Blend, chosen, detail_of


def test_settings_of_a_name_and_of_a_run_are_known_without_weights(tmp_path):
    assert (places.settings("faces-x4").stage, places.settings("faces-x4").scale) == ("sr", 4)
    assert places.settings("faces-style").stage == "style"
    config.write(config.FitConfig(scale=2), tmp_path / places.CONFIG)
    assert places.settings(tmp_path).scale == 2 and places.settings(str(tmp_path)).scale == 2


def test_the_newest_exported_version_tells_settings(tmp_path):
    for version, scale in (("9", 2), ("10", 8)):
        (tmp_path / version).mkdir()
        config.write(config.FitConfig(scale=scale), tmp_path / version / places.CONFIG)
    assert places.settings(tmp_path).scale == 8


def test_where_nothing_can_be_known_whoever_loads_the_model_tells_why(tmp_path):
    (tmp_path / places.CONFIG).write_text("stage: [")
    for name in (tmp_path, tmp_path / "gone", "faces-x5", "a.tflite", "x" * 300):
        assert places.settings(name) is None


@pytest.fixture
def pair(tmp_path):
    """A folder of two sets of weights, which are not looked at."""
    config.write(config.FitConfig(), tmp_path / places.CONFIG)
    for name in (places.WEIGHTS, places.DETAILED):
        (tmp_path / name).touch()
    return str(tmp_path)


def test_two_sets_are_blended_as_their_folder_says_unless_one_is_told(pair, tmp_path):
    assert chosen(pair) == Blend(pair, 0.0, pair), "the faithful one, where the folder does not say"
    places.write_detail(tmp_path, 0.4)
    assert chosen(pair) == Blend(pair, 0.4, pair)
    assert chosen(tmp_path, 0) == Blend(pair, 0.0, pair)
    assert chosen(chosen(pair, 0.7)).detail == 0.7
    assert Blend(pair, 0.4, pair).files == [tmp_path / places.WEIGHTS, tmp_path / places.DETAILED]


def test_of_two_models_half_of_each_is_taken_unless_told(pair):
    assert chosen("faces-x4", detailed="runs/other") == Blend("faces-x4", 0.5, "runs/other")
    assert chosen("faces-x4", 1, pair) == Blend("faces-x4", 1.0, pair)
    assert chosen("faces-x4-clean", 0.2, pair).files[1] == places.detailed_of(places.find(pair))


def test_one_set_stays_what_it_is():
    model = object()
    assert chosen("faces-x4-clean") == "faces-x4-clean" and chosen(model) is model and chosen("nowhere") == "nowhere"
    assert detail_of("faces-x4-clean") is detail_of(model) is detail_of("nowhere") is None


@pytest.mark.parametrize(
    "model, detail, detailed, words",
    [
        ("faces-x4-clean", 0.5, None, "--detail 0.5: faces-x4-clean has one set of weights only: add --detailed RUN"),
        ("faces-x4-clean", 1.5, None, "--detail 1.5: it must be a number from 0 to 1"),
        ("faces-x4-clean", float("nan"), "faces-x4-clean", "it must be a number from 0 to 1"),
        ("nowhere", 0.5, None, "nowhere: no such model"),
        (object(), None, "faces-x4", "--detailed faces-x4: for models by name or folder: give it to ssrvae_tf.load"),
        (Blend("a", 0.5, "b"), 0.1, None, "--detail 0.1: for models by name or folder"),
    ],
)
def test_a_detail_that_is_of_no_use_is_refused(model, detail, detailed, words):
    with pytest.raises(UserError, match=words):
        chosen(model, detail, detailed)


def test_an_export_has_the_detail_that_it_was_made_with(pair, tmp_path):
    (tmp_path / places.DETAILED).unlink()
    places.write_detail(tmp_path, 0.4)
    assert chosen(pair) == pair and detail_of(pair) == 0.4
    with pytest.raises(UserError, match="has the detail of its export, 0.4: export it again, or leave this out"):
        chosen(pair, 0.5)


@pytest.mark.parametrize("text", ["", "detail: 2", "detail: much", "[", "0.5"])
def test_a_damaged_detail_is_told(pair, tmp_path, text):
    (tmp_path / places.DETAIL).write_text(text)
    with pytest.raises(UserError, match="detail.yaml: `detail: X`, with X from 0 to 1, is wanted"):
        chosen(pair)
