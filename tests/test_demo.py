from __future__ import annotations

import sys
import types

import numpy as np
import pytest
from PIL import Image
from stub_models import BicubicNetwork, BoxStyle

from ssrvae_tf.demo import FACE, demo, main
from ssrvae_tf.photos.samples import sample_photos


@pytest.fixture(scope="module")
def result():
    return demo(BicubicNetwork(), BicubicNetwork(shift=0.1), BoxStyle())


def test_a_network_that_does_what_bicubic_does_scores_the_same(result):
    clean = result[1][0]
    assert 20 < clean["bicubic_psnr"] < 40
    assert clean["psnr"] == pytest.approx(clean["bicubic_psnr"], abs=0.05)
    assert clean["ssim"] == pytest.approx(clean["bicubic_ssim"], abs=0.005)


def test_a_worse_network_scores_less(result):
    real = result[1][1]
    assert real["psnr"] < real["bicubic_psnr"] - 3
    assert real["ssim"] < real["bicubic_ssim"]


def test_the_sheet_ends_with_the_photo_itself(result):
    face = np.asarray(Image.open(sample_photos()[0]).crop(FACE))
    sheet = np.asarray(result[0])
    np.testing.assert_array_equal(sheet[36 : 36 + 256, -(256 + 8) : -8], face)


def test_the_command_prints_figures_and_writes_the_sheet(tmp_path, monkeypatch, capsys):
    models = {"faces-x4-clean": BicubicNetwork(), "faces-x4": BicubicNetwork(), "faces-style": BoxStyle()}
    monkeypatch.setitem(sys.modules, "ssrvae_tf.loading.models", types.SimpleNamespace(load=models.get))
    main(["--out", str(tmp_path / "demo.png")])
    assert Image.open(tmp_path / "demo.png").size[0] > 4 * 256
    out = capsys.readouterr().out
    assert out.count(" dB ") == 4 and f"wrote {tmp_path / 'demo.png'}" in out
