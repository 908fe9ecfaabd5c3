from __future__ import annotations

import numpy as np
import pytest
from tiny_runs import small_style_vae

from ssrvae_tf import terminal
from ssrvae_tf.errors import UserError
from ssrvae_tf.exporting.onnx import export_onnx
from ssrvae_tf.models import SRNetwork

onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra `onnx`")


def test_any_size_gives_what_keras_gives(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(terminal, "width", lambda: 250)
    model = SRNetwork(2, 8, 1, 1, chunk=64, kernel_size=3)
    rng = np.random.default_rng(0)
    model.set_weights([value + rng.normal(0, 0.05, value.shape) for value in model.get_weights()])
    path = export_onnx(model, tmp_path / "a.onnx", detail=0.25)
    printed = capsys.readouterr()
    assert "largest difference to Keras" in printed.out
    assert printed.err.startswith(f"making {path} ..."), "a terminal says what takes so long"
    assert [each.name for each in tmp_path.iterdir()] == ["a.onnx"]
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert [each.name for each in session.get_inputs()] == ["lr"]
    assert [each.name for each in session.get_outputs()] == ["sr"]
    assert session.get_modelmeta().custom_metadata_map == {"detail": "0.25"}
    for size in ((3, 5), (20, 31)):
        lr = rng.random((2, *size, 3), np.float32)
        np.testing.assert_allclose(session.run(["sr"], {"lr": lr})[0], model.predict(lr, verbose=0), atol=1e-4)


def test_a_style_vae_a_missing_folder_and_another_suffix_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"a.keras: a name that ends in .onnx is wanted"):
        export_onnx(SRNetwork(2, 8, 0, 0), tmp_path / "a.keras")
    with pytest.raises(UserError, match="StyleVAE"):
        export_onnx(small_style_vae(), tmp_path / "a.onnx")
    with pytest.raises(UserError, match="no folder"):
        export_onnx(SRNetwork(2, 8, 0, 0), tmp_path / "gone" / "a.onnx")
