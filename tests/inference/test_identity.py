"""What tells networks apart."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from ssrvae_tf.errors import UserError
from ssrvae_tf.inference.engines import ServerEngine
from ssrvae_tf.inference.identity import identity
from ssrvae_tf.loading import places
from ssrvae_tf.loading.places import SHIPPED


class Network:
    def __init__(self, *values):
        self.values = values

    def get_weights(self):
        return [np.float32(value) for value in self.values]


def client(version):
    answer = SimpleNamespace(address="http://host", model="ssrvae", version=version)
    answer.upscale = lambda image: image.repeat(2, 0).repeat(2, 1)
    return answer


def test_weights_tell_not_what_a_model_is_called(tmp_path):
    for name in ("one", "two/1"):
        shutil.copytree(SHIPPED / "faces-x4", tmp_path / name)
    (tmp_path / "one" / "config.yaml").write_text((tmp_path / "one" / "config.yaml").read_text() + "# moved")
    names = ["faces-x4", tmp_path / "one", str(tmp_path / "two")]
    assert len({identity(name) for name in names}) == 1
    assert len({identity(name) for name in ("faces-x4", "faces-x4-clean", "faces-style")}) == 3
    with pytest.raises(UserError, match="no such model"):
        identity("faces-x5")


def test_a_run_is_told_by_the_weights_that_are_loaded_from_it(tmp_path):
    shutil.copytree(SHIPPED / "faces-x4", tmp_path / "run")
    (tmp_path / "run" / places.BEST).write_bytes(b"best")
    before = identity(tmp_path / "run")
    (tmp_path / "run" / places.WEIGHTS).write_bytes(b"newer, but no better")
    assert identity(tmp_path / "run") == before
    (tmp_path / "run" / places.BEST).write_bytes(b"better")
    assert identity(tmp_path / "run") != before


def test_files_of_networks_are_told_by_their_bytes(tmp_path):
    (tmp_path / "a.tflite").write_bytes(b"one")
    version = tmp_path / "models" / "2"
    (version / "variables").mkdir(parents=True)
    (version / "saved_model.pb").write_bytes(b"graph")
    numbers = version / "variables" / "variables.data-00000-of-00001"
    numbers.write_bytes(b"numbers")
    before = [identity(tmp_path / name) for name in ("a.tflite", "models", "models/2")]
    assert before[0] != before[1] == before[2]
    numbers.write_bytes(b"NUMBERS")
    (tmp_path / "a.tflite").write_bytes(b"two")
    assert not {identity(tmp_path / name) for name in ("a.tflite", "models")} & {*before}


def test_models_in_memory_are_told_by_their_numbers_and_those_of_servers_by_their_names():
    assert identity(Network([1, 2], 3)) == identity(Network([1, 2], 3)) != identity(Network([1, 2], 4))
    assert identity(ServerEngine(client(1))) == identity(ServerEngine(client(1))) != identity(ServerEngine(client(2)))


def test_both_sets_of_a_pair_tell_it_and_the_detail_does_not(tmp_path):
    for name in ("pair", "other"):
        (tmp_path / name).mkdir()
        for file in (places.CONFIG, places.WEIGHTS, places.DETAILED):
            (tmp_path / name / file).write_text(file)
    pair, other = tmp_path / "pair", tmp_path / "other"
    assert identity(pair) == identity(other) == identity(places.chosen(pair, 0.7))
    (other / places.DETAILED).write_text("another")
    assert len({identity(pair), identity(other), identity(places.chosen(pair, 0.5, other))}) == 2
    (other / places.DETAILED).unlink()
    assert identity(other) not in (identity(pair), identity(places.chosen(other, 0.5, pair)))
