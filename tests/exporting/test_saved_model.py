from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from stand_in_server.servables import Servable, Status
from tiny_runs import PLAIN, small_style_vae, tiny
from tiny_saved_models import decoded, encoded, photo

from ssrvae_tf import config, load
from ssrvae_tf.errors import UserError
from ssrvae_tf.exporting import saved_model
from ssrvae_tf.exporting.saved_model import export_saved_model
from ssrvae_tf.inference.engines import SavedModelEngine
from ssrvae_tf.inference.enlarger import upscale
from ssrvae_tf.loading import models as loading
from ssrvae_tf.loading import places
from ssrvae_tf.models import EDSR, SRNetwork
from ssrvae_tf.photos.writing import machine

ROOT = Path(__file__).parents[2]
MOST = 40 * 40


def shaken(model):
    rng = np.random.default_rng(0)
    model.set_weights([value + rng.normal(0, 0.05, value.shape) for value in model.get_weights()])
    return model


@pytest.fixture(scope="module")
def network():
    tf.keras.utils.set_random_seed(0)  # a draw may have all of a picture below 0, where clipping ends gradients
    return shaken(SRNetwork(filters=8, global_blocks=1, local_blocks=1, kernel_size=3))


@pytest.fixture(scope="module")
def version(network, tmp_path_factory):
    return export_saved_model(network, tmp_path_factory.mktemp("models") / "ssrvae", max_pixels=MOST)


@pytest.fixture(scope="module")
def served(version):
    return tf.saved_model.load(str(version))


@pytest.fixture(scope="module")
def servable(version):
    return Servable(version)


@pytest.fixture(scope="module")
def style_vae():
    return small_style_vae()


@pytest.fixture(scope="module")
def style_version(style_vae, tmp_path_factory):
    return export_saved_model(style_vae, tmp_path_factory.mktemp("style"))


@pytest.fixture(scope="module")
def style_served(style_version):
    return tf.saved_model.load(str(style_version))


@pytest.fixture(scope="module")
def style_servable(style_version):
    return Servable(style_version)


@pytest.fixture
def quick(monkeypatch):
    """Exports that write a file of a graph's name: for tests of the folders around it."""
    monkeypatch.setattr(saved_model, "_write", lambda model, folder, *_: (folder / "saved_model.pb").touch())


def upscaled(served, *data):
    pngs = served.signatures["upscale_bytes"](image_bytes=tf.constant(list(data), tf.string))["sr_png_bytes"]
    return [decoded(png) for png in pngs.numpy()]


def wanted(network, image):
    sr = network.predict(image[None] / np.float32(255), verbose=0)[0]
    return np.rint(sr * 255).astype(np.uint8)


def assert_close(image, other, most=1):
    assert image.shape == other.shape
    assert np.abs(image.astype(int) - other.astype(int)).max() <= most


@pytest.mark.onednn
def test_a_float_batch_of_any_size_gives_what_predict_gives(network, served):
    for shape in ((2, 12, 20, 3), (1, 33, 7, 3)):
        lr = np.random.default_rng(1).random(shape, "float32")
        sr = served.signatures["serving_default"](lr=tf.constant(lr))["sr"].numpy()
        assert sr.shape == (shape[0], 4 * shape[1], 4 * shape[2], 3)
        np.testing.assert_allclose(sr, network.predict(lr, verbose=0), atol=1e-6)


@pytest.mark.onednn
def test_no_photos_give_no_photos(served, style_served, servable, style_servable):
    """As Python runs a graph, and as a server does."""
    nothing, no_bytes = np.zeros((0, 33, 18, 3), np.float32), np.zeros(0, object)
    for name, made in (("serving_default", (0, 132, 72, 3)), ("upscale_bytes", (0,))):
        assert_made(served.signatures[name], servable, name, no_bytes if "bytes" in name else nothing, made)
    for name, made in (("serving_default", (0, 8, 4, 3)), ("degrade", (0, 8, 4, 3)), ("degrade_bytes", (0,))):
        assert_made(style_served.signatures[name], style_servable, name, no_bytes if "bytes" in name else nothing, made)


def assert_made(function, session, name, given, shape):
    ((takes, spec),) = function.structured_input_signature[1].items()
    for results in (function(**{takes: tf.constant(given, spec.dtype)}), session.run(name, {takes: given})):
        assert [tuple(each.shape) for each in results.values()] == [shape]


@pytest.mark.onednn
def test_bytes_of_several_sizes_and_formats_go_through_in_one_batch(network, served):
    images = [photo(20, 12), photo(8, 30, 1), photo(16, 16, 2), photo(5, 7, 3)]
    data = [encoded(images[0]), encoded(images[1], "BMP"), encoded(images[2], "JPEG"), encoded(images[3], "GIF")]
    read = [np.asarray(Image.open(io.BytesIO(each)).convert("RGB")) for each in data]
    for result, image in zip(upscaled(served, *data), read):
        assert_close(result, wanted(network, image), 2)
    assert upscaled(served) == []


def file_of(image: Image.Image, kind: str, **settings) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **settings)
    return file.getvalue()


@pytest.mark.parametrize("mode", ["L", "P", "I;16"])
def test_gray_palette_and_16_bits_become_rgb(network, served, mode):
    gray = Image.fromarray(photo(20, 12)).convert("L")
    image = Image.fromarray(np.asarray(gray, np.uint16) * 257) if mode == "I;16" else gray.convert(mode)
    (result,) = upscaled(served, file_of(image, "PNG"))
    assert_close(result, wanted(network, np.asarray(gray.convert("RGB"))))


def test_gray_and_four_channel_bitmaps_and_cmyk_jpegs_are_read(network, served):
    image = Image.fromarray(photo(20, 12))
    gray, four = file_of(image.convert("L"), "BMP"), file_of(image.convert("RGBA"), "BMP")
    first, second, third = upscaled(served, gray, four, file_of(image.convert("CMYK"), "JPEG", quality=100))
    assert_close(first, wanted(network, np.asarray(image.convert("L").convert("RGB"))))
    assert_close(second, wanted(network, np.asarray(image)))
    assert third.shape == second.shape


def test_what_is_transparent_becomes_white(network, served):
    colours = np.dstack([photo(20, 12), np.full((12, 20), 255, np.uint8)])
    colours[:, :10, 3] = 0
    (result,) = upscaled(served, file_of(Image.fromarray(colours), "PNG"))
    flat = colours[..., :3].copy()
    flat[:, :10] = 255
    assert_close(result, wanted(network, flat))


def test_the_first_picture_of_an_animation_is_taken(network, served):
    first, second = (Image.fromarray(photo(20, 12, seed)) for seed in (0, 1))
    data = file_of(first, "GIF", save_all=True, append_images=[second])
    (result,) = upscaled(served, data)
    assert_close(result, wanted(network, np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))), 2)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF"])
def test_too_many_pixels_are_refused_in_a_sentence(served, kind):
    sentence = f"photo of 100x50 pixels, at most {MOST} pixels are taken: send a smaller one or tiles"
    with pytest.raises(tf.errors.InvalidArgumentError, match=sentence):
        upscaled(served, encoded(photo(100, 50), kind))


def test_the_size_is_read_before_the_pixels(served):
    """A header that promises more than memory holds, and nothing behind it."""
    png = bytearray(encoded(photo(20, 12)))
    png[16:24] = (60_000).to_bytes(4, "big") * 2
    jpeg = encoded(photo(20, 12), "JPEG")
    at = jpeg.index(b"\xff\xc0") + 5
    jpeg = jpeg[:at] + (60_000).to_bytes(2, "big") * 2 + jpeg[at + 4 :]
    for data in (bytes(png), jpeg):
        with pytest.raises(tf.errors.InvalidArgumentError, match="photo of 60000x60000 pixels"):
            upscaled(served, data)


@pytest.mark.parametrize("data", [b"", b"hello", b"\x89PN", b"RIFF0000WEBPVP8 "])
def test_other_bytes_are_refused_in_a_sentence(served, data):
    with pytest.raises(tf.errors.InvalidArgumentError, match="not a JPEG, PNG, GIF or BMP: send one of these"):
        upscaled(served, data)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF"])
@pytest.mark.parametrize("length", [9, 20, 100])
def test_truncated_photos_are_refused(served, kind, length):
    with pytest.raises(tf.errors.InvalidArgumentError):
        upscaled(served, encoded(photo(20, 12), kind)[:length])


def test_a_version_is_loaded_as_the_model_that_it_is_from(network, version):
    assert {path.name for path in version.iterdir()} >= {
        "saved_model.pb",
        "variables",
        *(places.CONFIG, places.WEIGHTS),
    }
    lr = np.random.default_rng(1).random((1, 9, 11, 3), "float32")
    for folder in (version, version.parent):
        loaded = load(folder)
        assert {**loaded.get_config(), "chunk": None} == network.get_config()
        np.testing.assert_allclose(loaded(lr), network(lr), atol=1e-6)


def test_a_version_is_readable_by_the_servers_user(version, tmp_path):
    (tmp_path / "folder").mkdir()
    assert version.stat().st_mode == (tmp_path / "folder").stat().st_mode


def test_the_graph_can_be_trained_through(served):
    lr = tf.random.stateless_uniform((1, 8, 8, 3), [0, 1])
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(served.signatures["serving_default"](lr=lr)["sr"])
    gradients = tape.gradient(loss, list(served.signatures["serving_default"].variables))
    assert gradients and all(each is not None for each in gradients)
    assert all(tf.reduce_max(tf.abs(each)) > 0 for each in gradients)


def test_settings_of_the_run_are_kept_without_its_folders(tmp_path):
    settings = tiny("sr", "/photos", tmp_path / "run", sr_network=PLAIN, learning_rate=0.007)
    (tmp_path / "run").mkdir()
    config.write(settings, tmp_path / "run" / places.CONFIG)
    loading.save_weights(loading.build(settings), tmp_path / "run" / places.WEIGHTS)
    version = export_saved_model(load(tmp_path / "run"), tmp_path / "models", files_from=tmp_path / "run")
    kept = config.read(version / places.CONFIG)
    assert (kept.learning_rate, kept.hr, kept.lr, kept.out) == (0.007, None, None, None)


def test_a_network_without_settings_is_kept_as_a_keras_file(tmp_path):
    network = shaken(EDSR(filters=8, blocks=1))
    version = export_saved_model(network, tmp_path)
    lr = np.random.default_rng(1).random((1, 9, 11, 3), "float32")
    for place in (version, version / "model.keras", tmp_path):
        loaded = load(place)
        assert isinstance(loaded, EDSR)
        np.testing.assert_allclose(loaded(lr), network(lr), atol=1e-6)


def test_versions_follow_each_other_and_the_newest_stay(quick, tmp_path):
    (tmp_path / "notes").mkdir()
    assert [export_saved_model(None, tmp_path).name for _ in range(3)] == ["1", "2", "3"]
    assert {path.name for path in tmp_path.iterdir()} == {"notes", "2", "3"}
    assert export_saved_model(None, tmp_path, version=7, keep=1).name == "7"
    assert {path.name for path in tmp_path.iterdir()} == {"notes", "7"}
    assert export_saved_model(None, tmp_path, version=5, keep=1).name == "5", "the one written stays"
    assert {path.name for path in tmp_path.iterdir()} == {"notes", "5", "7"}
    with pytest.raises(UserError, match="7: that version is there already"):
        export_saved_model(None, tmp_path, version=7)


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        tf.errors.ResourceExhaustedError(None, None, "/a/long/way" * 50 + "; No space left on device"),
    ],
)
def test_nothing_stays_of_an_export_that_fails(error, tmp_path, monkeypatch):
    def full(*arguments):
        raise error

    monkeypatch.setattr(saved_model, "_write_source", full)
    with pytest.raises(UserError, match=r"models/1: cannot be written \(No space left on device\)"):
        export_saved_model(SRNetwork(**PLAIN), tmp_path / "models")
    assert list((tmp_path / "models").iterdir()) == []


def test_photos_above_four_times_the_limit_are_refused_and_upscale_halves_its_tiles(version):
    served = SavedModelEngine(version)
    side = int((4 * MOST) ** 0.5)
    lr = np.zeros((1, side, side + 1, 3), np.float32)
    with pytest.raises(MemoryError, match=rf"photo of\] \[{side}\] \[x\] \[{side + 1}\] \[pixels refused"):
        served(lr)
    assert served(lr[:, :, :-1]).shape == (1, 4 * side, 4 * side, 3)
    image = photo(side - 7, side - 7)  # gets a border of 4 pixels
    halved = upscale(image, served, tile=side + 1)
    np.testing.assert_array_equal(halved, upscale(image, served, tile=(side - 7) // 2))


@pytest.mark.onednn
@pytest.mark.parametrize("alone", [200, 1000])
def test_a_large_batch_gives_the_same_photo_by_photo(monkeypatch, tmp_path, alone):
    monkeypatch.setattr(saved_model, "_TOGETHER", 200)
    monkeypatch.setattr(saved_model, "_ALONE", alone)
    network = shaken(SRNetwork(**PLAIN))
    served = SavedModelEngine(export_saved_model(network, tmp_path))
    lr = np.random.default_rng(0).random((3, 9, 10, 3)).astype(np.float32)
    np.testing.assert_allclose(served(lr), network(lr), atol=1e-5)
    assert served(lr[:0]).shape == (0, 36, 40, 3)


@pytest.mark.parametrize(
    "shape",
    [(1, 8, 8, 1), (1, 8, 8, 6), (8, 8, 3), (8,), (1, 1, 8, 8, 3), (1, 0), (1, 0, 8, 3), (1, 8, 0, 3), (0, 8, 0, 3)],
)
def test_a_wrong_shape_is_named(servable, shape):
    named = ", ".join(map(str, shape))
    with pytest.raises(Status, match=rf"\[shape \({named}\): \(B, H, W, 3\) is wanted, H and W not 0\]"):
        servable.run("serving_default", {"lr": np.zeros(shape, np.float32)})


@pytest.mark.parametrize("shape", [(), (1, 1)])
def test_encoded_photos_that_are_no_list_are_told(servable, shape):
    image_bytes = np.full(shape, encoded(photo()), object)
    with pytest.raises(Status, match="a list of encoded photos is wanted"):
        servable.run("upscale_bytes", {"image_bytes": image_bytes})


def test_large_requests_wait_for_each_other_and_give_the_same(monkeypatch, tmp_path):
    monkeypatch.setattr(saved_model, "_ALONE", 200)
    network = shaken(SRNetwork(**PLAIN))
    batches = [np.random.default_rng(side).random((1, side, 20, 3), np.float32) for side in (9, 12, 15)]
    signature = tf.saved_model.load(str(export_saved_model(network, tmp_path))).signatures["serving_default"]
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(lambda lr: signature(lr=tf.constant(lr))["sr"], batches * 4))
    for wanted, sr in zip([network(lr) for lr in batches] * 4, results):
        np.testing.assert_allclose(sr, wanted, atol=1e-5)


def test_one_at_a_time_is_what_it_says_and_goes_on_after_an_error():
    inside, most = [], []

    def note(value):
        inside.append(value)
        most.append(len(inside))
        time.sleep(0.02)
        inside.remove(value)
        if value % 3 == 0:
            raise ValueError("this one fails")
        return value

    @tf.function(input_signature=[tf.TensorSpec([], tf.int32)])
    def run(value):
        return saved_model._one_at_a_time(lambda: tf.py_function(note, [value], tf.int32))

    def attempt(value):
        try:
            return int(run(tf.constant(value)))
        except tf.errors.InvalidArgumentError:
            return None

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(attempt, range(12))) == [None if value % 3 == 0 else value for value in range(12)]
    assert most == [1] * 12


def test_who_gives_up_while_he_waits_or_works_holds_up_nobody():
    started = threading.Event()

    def work(seconds):
        started.set()
        time.sleep(float(seconds))
        return seconds

    with tf.Graph().as_default(), tf.compat.v1.Session() as session, ThreadPoolExecutor(1) as pool:
        seconds = tf.compat.v1.placeholder(tf.float32, [])
        result = saved_model._one_at_a_time(lambda: tf.py_function(work, [seconds], tf.float32))

        def run(value, timeout=0):
            options = tf.compat.v1.RunOptions(timeout_in_ms=timeout)
            return float(session.run(result, {seconds: value}, options))

        first = pool.submit(run, 1.0)
        assert started.wait(30)
        with pytest.raises(tf.errors.DeadlineExceededError):  # while it waits for the first
            run(0.0, timeout=100)
        assert first.result() == 1.0
        with pytest.raises(tf.errors.DeadlineExceededError):  # while it holds the lock
            run(1.0, timeout=100)
        assert run(0.0, timeout=30_000) == 0.0


def test_numbered_folders_without_a_model_stay(quick, tmp_path):
    for year in ("2021", "2022", "2023"):
        (tmp_path / year).mkdir()
        (tmp_path / year / "photo.jpg").write_text("")
    (tmp_path / "2024").write_text("")
    assert export_saved_model(None, tmp_path, keep=1).name == "2025"
    assert export_saved_model(None, tmp_path, keep=1).name == "2026"
    assert {path.name for path in tmp_path.iterdir()} == {"2021", "2022", "2023", "2024", "2026"}


def test_an_old_version_may_be_a_link(quick, tmp_path):
    elsewhere = export_saved_model(None, tmp_path / "elsewhere")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "1").symlink_to(elsewhere)
    export_saved_model(None, tmp_path / "models", keep=1)
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["2"]
    assert (elsewhere / "saved_model.pb").is_file()


def test_what_killed_exports_left_is_removed(quick, tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    here, elsewhere = machine(), "0" * 8
    left = [f".1.{here}.{dead.pid}.part", f".1.{here}.{os.getpid()}.part", f".1.{here}.{dead.pid}.old"]
    left.append(f".1.{elsewhere}.{os.getpid()}.part")
    others = {f".3.{here}.{os.getppid()}.part", f".3.{elsewhere}.{os.getpid()}.part", f".git.{here}.1.part"}
    for name in (*left, *others):
        (tmp_path / name).mkdir()
    os.utime(tmp_path / left[-1], (1, 1))  # long ago; another container's export is at work on the other
    export_saved_model(None, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"1", *others}


def test_exports_at_the_same_time_get_a_version_each(quick, tmp_path, monkeypatch):
    def write(model, folder, *_):
        for each in (folder, tmp_path / "1", tmp_path / "2"):
            each.mkdir(exist_ok=True)
            (each / "saved_model.pb").touch()

    monkeypatch.setattr(saved_model, "_write", write)
    assert export_saved_model(None, tmp_path).name == "3"
    assert {path.name for path in tmp_path.iterdir()} == {"2", "3"}


@pytest.mark.parametrize("name", ["version", "max_pixels"])
def test_numbers_above_int64_are_told(tmp_path, name):
    with pytest.raises(UserError, match=f"{name} {2**63}: at most {2**63 - 1} is wanted"):
        export_saved_model(None, tmp_path, **{name: 2**63})


def test_the_largest_number_is_taken_and_none_follows(quick, tmp_path):
    export_saved_model(None, tmp_path, version=2**63 - 1, max_pixels=2**63 - 1)
    with pytest.raises(UserError, match=f"{2**63 - 1} is there, and servers take at most {2**63 - 1}: rename it"):
        export_saved_model(None, tmp_path)


@pytest.mark.parametrize("settings", [{"keep": 0}, {"version": 0}, {"max_pixels": -1}])
def test_numbers_below_1_are_told(tmp_path, settings):
    with pytest.raises(UserError, match="at least 1"):
        export_saved_model(None, tmp_path, **settings)


def test_a_file_in_the_folders_place_is_told(tmp_path):
    (tmp_path / "models").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        export_saved_model(SRNetwork(**PLAIN), tmp_path / "models")


@pytest.mark.onednn
def test_a_style_vae_degrades_in_another_style_each_time(style_served):
    signatures = style_served.signatures
    hr = np.random.default_rng(1).random((2, 35, 41, 3), "float32")
    for name in ("serving_default", "degrade"):
        first, second = (signatures[name](hr=tf.constant(hr))["lr"].numpy() for _ in range(2))
        assert first.shape == (2, 8, 10, 3) and first.min() >= 0 and first.max() <= 1
        assert np.abs(first - second).max() > 1e-3
    data = [encoded(photo(33, 20)), encoded(photo(16, 18), "JPEG")]
    results = signatures["degrade_bytes"](image_bytes=tf.constant(data))["lr_png_bytes"].numpy()
    assert [decoded(each).shape for each in results] == [(5, 8, 3), (4, 4, 3)]
    with pytest.raises(tf.errors.InvalidArgumentError, match="at least 4 pixels"):
        signatures["degrade"](hr=tf.zeros((1, 3, 8, 3)))


def test_a_style_vae_is_loaded_back(style_vae, style_version):
    hr = np.random.default_rng(1).random((1, 32, 32, 3), "float32")
    one, other = (model.degrade(hr, seed=3).numpy() for model in (load(style_version), style_vae))
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_all_places_say_the_same_number_of_pixels():
    height, width = map(
        int, re.search(r"MOST_PIXELS = (\d+) \* (\d+)", (ROOT / "serving/demo/app.js").read_text()).groups()
    )
    assert height * width == saved_model.MAX_PIXELS
    for document in ("serving/README.md", "docs/deployment.md"):
        assert f"{saved_model.MAX_PIXELS:,} pixels" in (ROOT / document).read_text()


def test_a_network_of_the_default_width_is_compact(tmp_path):
    network = SRNetwork(global_blocks=2, local_blocks=2)
    version = export_saved_model(network, tmp_path)
    assert (version / "saved_model.pb").stat().st_size < 800_000, "each block is there once"
    assert sum(path.stat().st_size for path in version.rglob("*") if path.is_file()) < 9 * network.count_params() + 1e6
