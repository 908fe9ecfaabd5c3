"""Files of weights that would be filled from other files, wherever weights are read."""

from __future__ import annotations

import os
import re
import zipfile

import h5py
import numpy as np
import pytest
from tiny_runs import PLAIN, tiny

from ssrvae_tf import config
from ssrvae_tf.errors import UserError
from ssrvae_tf.loading import models, places
from ssrvae_tf.loading.weight_files import check_weights
from ssrvae_tf.models import EDSR


def external_storage(file, name, item, secret):
    file.create_dataset(name, item.shape, item.dtype, external=[(os.fspath(secret), 0, h5py.h5f.UNLIMITED)])


def external_storage_in_two_files(file, name, item, secret):
    bytes_ = item.size * item.dtype.itemsize
    file.create_dataset(name, item.shape, item.dtype, external=[(f"{secret}2", 0, 4), (str(secret), 0, bytes_ - 4)])


def external_link(file, name, item, secret):
    file[name] = h5py.ExternalLink(f"{secret}.h5", "/")


def external_link_to_a_group(file, name, item, secret):
    group = name.split("/")[0]
    del file[group]
    file[group] = h5py.ExternalLink(f"{secret}.h5", "/")


def soft_link(file, name, item, secret):
    file["way/out"] = h5py.ExternalLink(f"{secret}.h5", "/")
    file[name] = h5py.SoftLink("/way/out")


def virtual_dataset(file, name, item, secret):
    layout = h5py.VirtualLayout(item.shape, item.dtype)
    layout[...] = h5py.VirtualSource(f"{secret}.h5", "data", item.shape, item.dtype)
    file.create_virtual_dataset(name, layout)


WAYS = [
    external_storage,
    external_storage_in_two_files,
    external_link,
    external_link_to_a_group,
    soft_link,
    virtual_dataset,
]


def led_out(path, way, secret):
    """Puts another file's numbers in place of one of the weights."""
    with h5py.File(path, "a") as file:
        found = {}
        file.visititems(lambda name, item: found.update({name: item}) if isinstance(item, h5py.Dataset) else None)
        name, item = min(found.items())
        shape = np.empty(item.shape, item.dtype)
        del file[name]
        way(file, name, shape, secret)


@pytest.fixture
def secret(tmp_path):
    (tmp_path / "secret").write_bytes(b"secret" * 10_000)
    return tmp_path / "secret"


@pytest.fixture
def run(tmp_path):
    """The folder of a run, with weights."""
    settings = tiny("sr", "hr", tmp_path / "run", sr_network=PLAIN)
    (tmp_path / "run").mkdir()
    config.write(settings, tmp_path / "run" / "config.yaml")
    models.save_weights(models.build(settings), tmp_path / "run" / "model.weights.h5")
    return tmp_path / "run"


def refusal(call) -> str:
    with pytest.raises(UserError) as refused:
        call()
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("way", WAYS)
def test_a_run_that_leads_to_other_files_is_neither_loaded_nor_started_from(run, secret, way):
    weights = run / "model.weights.h5"
    led_out(weights, way, secret)
    other = models.build(config.read(run / "config.yaml"))
    before = other.get_weights()
    for call in (lambda: models.load(run), lambda: models.start_from(other, run)):
        assert re.match(rf"{weights}: its '.*' (is a link|lies in another file): not loaded", refusal(call))
    assert all(map(np.array_equal, before, other.get_weights()))


@pytest.mark.parametrize("way", [external_storage, external_link, virtual_dataset])
def test_a_keras_file_that_leads_to_other_files_is_not_loaded(tmp_path, secret, way):
    path = tmp_path / "edsr.keras"
    EDSR(filters=8, blocks=1).save(path)
    models.load(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    (tmp_path / "weights").write_bytes(members["model.weights.h5"])
    led_out(tmp_path / "weights", way, secret)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {**members, "model.weights.h5": (tmp_path / "weights").read_bytes()}.items():
            archive.writestr(name, content)
    assert refusal(lambda: models.load(path)).startswith(f"{path}: its '")


def test_what_would_be_read_otherwise_is_the_other_file(tmp_path, secret):
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        file["vars/0"] = np.zeros(6, np.uint8)
    check_weights(tmp_path / "weights.h5")
    led_out(tmp_path / "weights.h5", external_storage, secret)
    with h5py.File(tmp_path / "weights.h5") as file:
        assert file["vars/0"][()].tobytes() == b"secret"


def test_a_damaged_part_is_told(run):
    with h5py.File(run / "model.weights.h5") as file:
        found = []
        file.visititems(lambda name, item: found.append(h5py.h5o.get_info(item.id).addr))
    content = bytearray((run / "model.weights.h5").read_bytes())
    for address in (found[0], found[-1]):  # of a group and of a dataset
        (run / "model.weights.h5").write_bytes(content[:address] + b"\xff" * 8 + content[address + 8 :])
        assert "its weights do not fit this model" in refusal(lambda: models.load(run))


def test_groups_in_a_circle_are_looked_at_once(tmp_path):
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        file["a/b"] = np.zeros(3)
        file["a/c"] = file["/"]
    check_weights(tmp_path / "weights.h5")
    with h5py.File(tmp_path / "weights.h5", "a") as file:
        file["a/d\x1b[31m\n" + "e" * 500] = h5py.ExternalLink("elsewhere", "/")
    told = refusal(lambda: check_weights(tmp_path / "weights.h5"))
    assert "\x1b" not in told and len(told) < 400


def test_shipped_weights_keep_to_themselves():
    for name in places.shipped():
        check_weights(places.find(name) / places.WEIGHTS)
