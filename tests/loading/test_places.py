"""What is known of a model before it is loaded."""

from __future__ import annotations

from ssrvae_tf import config
from ssrvae_tf.loading import places


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
