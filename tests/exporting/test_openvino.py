from __future__ import annotations

import sys
from importlib.util import find_spec

import pytest
from tiny_runs import small_style_vae

from ssrvae_tf.errors import UserError
from ssrvae_tf.exporting import networks
from ssrvae_tf.exporting.openvino import export_openvino
from ssrvae_tf.exporting.tflite import export_tflite
from ssrvae_tf.loading import openvino_files
from ssrvae_tf.models import EDSR


@pytest.mark.skipif(not find_spec("openvino"), reason="needs OpenVINO")
def test_two_files_are_written_once_they_agree_with_keras(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(networks, "_MOST", -1.0)
    with pytest.raises(UserError, match=r"a.xml: it differs from Keras by .*: not written"):
        export_openvino(EDSR(2, 8, 1), tmp_path / "a.xml")
    assert not list(tmp_path.iterdir())
    monkeypatch.undo()

    def full(*given):
        raise RuntimeError("basic_ios::clear: iostream error")  # all that OpenVINO says

    monkeypatch.setattr(openvino_files.openvino(), "serialize", full)
    with pytest.raises(UserError, match=r"a.xml: cannot be written \(basic_ios"):
        export_openvino(EDSR(2, 8, 1), tmp_path / "a.xml")
    assert not list(tmp_path.iterdir())
    monkeypatch.undo()
    assert export_openvino(EDSR(2, 8, 1), tmp_path / "a.xml") == tmp_path / "a.xml"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.bin", "a.xml"]
    printed = capsys.readouterr()
    assert printed.out.startswith("largest difference to Keras") and not printed.err


@pytest.mark.skipif(not find_spec("openvino"), reason="needs OpenVINO")
@pytest.mark.parametrize("export, name", [(export_openvino, "a.xml"), (export_tflite, "a.tflite")])
def test_the_file_is_there_though_nobody_reads_what_is_printed(export, name, tmp_path, monkeypatch):
    def gone(*given, **more):
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr("builtins.print", gone)
    with pytest.raises(BrokenPipeError):
        export(EDSR(2, 8, 1), tmp_path / name)
    assert (tmp_path / name).is_file()


def test_what_cannot_be_written_is_refused(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="ends in .xml"):
        export_openvino(EDSR(2, 8, 1), tmp_path / "a.bin")
    with pytest.raises(UserError, match="StyleVAE"):
        export_openvino(small_style_vae(), tmp_path / "a.xml")
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(UserError, match="pip install openvino"):
        export_openvino(EDSR(2, 8, 1), tmp_path / "a.xml")
