from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

import numpy as np
import pytest

from ssrvae_tf.errors import UserError
from ssrvae_tf.inference import openvino_engine
from ssrvae_tf.inference.engines import KerasEngine
from ssrvae_tf.inference.enlarger import upscale
from ssrvae_tf.inference.openvino_engine import OpenVINOEngine
from ssrvae_tf.loading.openvino_files import openvino
from ssrvae_tf.models import SRNetwork

# Not by importing it, which would tell its makers.
pytestmark = pytest.mark.skipif(not find_spec("openvino"), reason="needs OpenVINO")


@pytest.fixture(scope="module")
def keras_engine():
    """A small network with all kinds of blocks, whose attention does something."""
    model = SRNetwork(4, 16, 1, 1, share=4, keep_colours=True)
    rng = np.random.default_rng(0)
    model.set_weights([value + rng.normal(0, 0.05, value.shape) for value in model.get_weights()])
    return KerasEngine(model)


@pytest.fixture(scope="module")
def file(keras_engine, tmp_path_factory):
    from ssrvae_tf.exporting.openvino import export_openvino

    return export_openvino(keras_engine._model, tmp_path_factory.mktemp("openvino") / "a.xml")


@pytest.fixture(scope="module", params=[0, 99], ids=["for all sizes", "for each"])
def opened(file, request):
    """An engine with a network for all sizes, until one comes often, or with one for each from the start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openvino_engine, "_FIRST", request.param)
        yield OpenVINOEngine(file, 4)


# One tile, several, and so many that they get a network of their own and go side by side.
@pytest.mark.parametrize("batch", [1, 3, 11])
@pytest.mark.parametrize("size", [(1, 1), (1, 5), (3, 50), (24, 40), (31, 17)])
def test_it_gives_what_keras_gives_for_photos_of_all_sizes(opened, keras_engine, size, batch):
    lr = np.random.default_rng(0).random((batch, *size, 3), np.float32)
    for _ in range(2):
        made = opened(lr)
        assert made.dtype == np.float32
        np.testing.assert_allclose(made, keras_engine(lr), atol=2e-5)


def test_threads_may_share_an_engine(opened, keras_engine):
    photos = [np.random.default_rng(i).random((1, 20 + i % 3, 24, 3), np.float32) for i in range(12)]
    with ThreadPoolExecutor(4) as threads:
        for photo, made in zip(photos, threads.map(opened, photos)):
            np.testing.assert_allclose(made, keras_engine(photo), atol=2e-5)


@pytest.mark.onednn
def test_no_photos_give_no_photos(opened):
    made = opened(np.zeros((0, 9, 8, 3), np.float32))
    assert made.shape == (0, 36, 32, 3) and made.dtype == np.float32


def test_a_photo_in_tiles_is_that_of_keras(opened, keras_engine):
    photo = np.random.default_rng(0).integers(0, 256, (70, 130, 3)).astype(np.uint8)
    made, wanted = (upscale(photo, each, tile=32).astype(int) for each in (opened, keras_engine))
    assert np.abs(made - wanted).max() <= 1


def test_only_the_networks_last_used_are_held(file, monkeypatch):
    opened = OpenVINOEngine(file, 4)
    monkeypatch.setattr(openvino_engine, "_KEPT", 2)
    for side in (9, 10, 11, 12):
        opened(np.zeros((8, side, 9, 3), np.float32))
    assert len(opened._queues) == 2


@pytest.mark.parametrize("damaged", [".xml", ".bin"])
def test_a_damaged_file_is_told_in_one_line(file, tmp_path, damaged):
    for suffix in (".xml", ".bin"):
        whole = file.with_suffix(suffix).read_bytes()
        (tmp_path / f"b{suffix}").write_bytes(whole[: len(whole) // 2] if suffix == damaged else whole)
    with pytest.raises(UserError, match="not an OpenVINO network") as caught:
        OpenVINOEngine(tmp_path / "b.xml", 4)
    assert "\n" not in str(caught.value)


def test_bfloat16_is_refused_where_the_processor_has_none(file, monkeypatch):
    monkeypatch.setattr(openvino().Core, "get_property", lambda *_: ["FP32"])
    with pytest.raises(UserError, match="--precision bfloat16: this processor"):
        OpenVINOEngine(file, 4, "bfloat16")


def test_bfloat16_is_near(file, keras_engine):
    try:
        opened = OpenVINOEngine(file, 4, "bfloat16")
    except UserError as error:
        pytest.skip(str(error))
    lr = np.random.default_rng(0).random((1, 24, 24, 3), np.float32)
    apart = np.abs(opened(lr) - keras_engine(lr))
    assert 0 < apart.mean() < 4e-3
    assert opened.precision == "bfloat16"


def test_lack_of_memory_is_a_memory_error(file, monkeypatch):
    opened = OpenVINOEngine(file, 4)
    monkeypatch.setattr(opened, "_queue", lambda *_: (_ for _ in ()).throw(RuntimeError("std::bad_alloc")))
    with pytest.raises(MemoryError, match="bad_alloc"):
        opened(np.zeros((1, 9, 8, 3), np.float32))


def test_it_tells_nobody_of_its_use_and_says_nothing(file):
    code = (
        "import sys, threading, numpy as np\n"
        "from ssrvae_tf.inference.openvino_engine import OpenVINOEngine\n"
        f"OpenVINOEngine({str(file)!r}, 4)(np.zeros((1, 9, 8, 3), np.float32))\n"
        "loaded = {'openvino_telemetry', 'tensorflow'} & {name for name, each in sys.modules.items() if each}\n"
        "assert not loaded and threading.active_count() == 1, loaded\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
