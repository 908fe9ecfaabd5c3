from __future__ import annotations

import re
import sys

import numpy as np
import pytest
from tiny_runs import PLAIN, random_run, run, small_style_vae, tiny

from ssrvae_tf import config, export, load
from ssrvae_tf.errors import UserError
from ssrvae_tf.exporting.saved_model import export_saved_model
from ssrvae_tf.loading import models as loading
from ssrvae_tf.loading import places
from ssrvae_tf.models import EDSR


@pytest.fixture
def folder(tmp_path):
    """Of a run."""
    settings = tiny("sr", tmp_path / "photos", tmp_path / "run", sr_network=PLAIN, learning_rate=0.007)
    (tmp_path / "run").mkdir()
    config.write(settings, tmp_path / "run" / places.CONFIG)
    loading.save_weights(loading.build(settings), tmp_path / "run" / places.WEIGHTS)
    return tmp_path / "run"


def test_a_run_becomes_a_version_and_a_line_says_so(folder, tmp_path, capsys):
    base = tmp_path / "models"
    export.main([str(folder), "--savedmodel", str(base)])
    assert re.fullmatch(rf"{base}/1: \d+\.\d MB in \d+ s\n", capsys.readouterr().out)
    assert config.read(base / "1" / places.CONFIG).learning_rate == 0.007
    export.main([str(base), "--savedmodel", str(base), "--version", "5", "--keep", "1"])
    assert [path.name for path in base.iterdir()] == ["5"]


def test_a_keras_file_and_a_style_vae_are_exported(tmp_path):
    EDSR(filters=8, blocks=1).save(tmp_path / "edsr.keras")
    (version,) = export.export(str(tmp_path / "edsr.keras"), str(tmp_path / "edsr"))
    assert (version / "model.keras").is_file()
    style = export_saved_model(small_style_vae(), tmp_path / "style")
    (again,) = export.export(str(style), str(tmp_path / "style"))
    assert again.name == "2"


def test_one_detail_is_written_and_said(folder, tmp_path, capsys):
    detailed = random_run(tmp_path / "detailed", 1, sr_network=PLAIN)
    (version,) = export.export(str(folder), str(tmp_path / "models"), detail=0.25, detailed=str(detailed))
    wanted = load(folder, 0.25, detailed).get_weights()
    assert all(map(np.array_equal, load(version).get_weights(), wanted))
    with pytest.raises(UserError, match="has the detail of its export, 0.25: export it again"):
        export.main([str(version), "--tflite", str(tmp_path / "a.tflite"), "--detail", "1"])
    export.main([str(version), "--tflite", str(tmp_path / "a.tflite")])
    assert b"(quantization: none, detail: 0.25)" in (tmp_path / "a.tflite").read_bytes()


def test_no_such_model_is_told(tmp_path):
    with pytest.raises(UserError, match="nowhere: no such model"):
        export.main(["nowhere", "--savedmodel", str(tmp_path / "models")])
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    "option", [["--version", "3"], ["--keep", "3"], ["--max-pixels", "9"]], ids=lambda each: each[0]
)
def test_options_of_a_saved_model_need_one(tmp_path, option):
    with pytest.raises(UserError, match=f"{option[0]}: for a SavedModel only: add --savedmodel DIR"):
        export.main(["faces-x4", "--tflite", str(tmp_path / "a.tflite"), *option])


@pytest.mark.parametrize(
    "option", [["--fixed-size", "64x64"], ["--quantize", "float16"], ["--calibrate", "faces"]], ids=lambda each: each[0]
)
def test_options_of_a_tflite_file_need_one(tmp_path, option):
    with pytest.raises(UserError, match=f"{option[0]}: for a TFLite file only: add --tflite FILE"):
        export.main(["nowhere", "--savedmodel", str(tmp_path / "models"), *option])


@pytest.mark.slow
def test_a_mistake_is_one_line_and_exit_code_2(tmp_path):
    result = run([sys.executable, "-m", "ssrvae_tf.export", "nowhere", "--savedmodel", str(tmp_path / "models")])
    assert result.returncode == 2 and result.stdout == ""
    assert re.fullmatch(r"error: nowhere: no such model: .*\n", result.stderr)
