"""Two sets of weights, and what lies between them: `ssrvae_tf.load(model, detail, detailed)` and `ssrvae_tf.pack`."""

from __future__ import annotations

import dataclasses
import shutil

import numpy as np
import pytest
from tiny_runs import PLAIN, random_run, tiny, weights

from ssrvae_tf import config, load, pack
from ssrvae_tf.errors import UserError
from ssrvae_tf.inference.engines import KerasEngine, engine
from ssrvae_tf.loading import models as loading
from ssrvae_tf.loading import places
from ssrvae_tf.models import EDSR
from ssrvae_tf.photos import writing


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folders of a faithful and a detailed run of a tiny network. Do not write."""
    folder = tmp_path_factory.mktemp("runs")
    names = enumerate(("faithful", "detailed"))
    return tuple(str(random_run(folder / name, seed, sr_network=PLAIN)) for seed, name in names)


@pytest.fixture(scope="module")
def pair(runs, tmp_path_factory):
    """The two packed into one folder, the default at 0.3. Do not write."""
    return pack.pack(runs[0], f"{tmp_path_factory.mktemp('packed')}/pair", runs[1], 0.3)


def equal(model, other):
    return all(np.array_equal(a, b) for a, b in zip(model.get_weights(), other.get_weights()))


@pytest.mark.parametrize("detail", [0, 0.3, 1, None])
def test_weights_lie_between_those_of_the_two_and_meet_them_at_the_ends(runs, detail):
    model = load(runs[0], detail, runs[1])
    share = np.float32(0.5 if detail is None else detail)
    for got, few, many in zip(model.get_weights(), load(runs[0]).get_weights(), load(runs[1]).get_weights()):
        assert got.dtype == np.float32
        np.testing.assert_array_equal(got, few * (np.float32(1) - share) + many * share)
    assert equal(model, load(runs[0])) == (detail == 0) and equal(model, load(runs[1])) == (detail == 1)


def test_a_packed_pair_is_blended_in_float32_as_its_maker_chose_or_as_told(runs, pair):
    assert {path.name for path in pair.iterdir()} == {places.CONFIG, places.DETAIL, places.WEIGHTS, places.DETAILED}
    few, many = weights(pair), weights(pair, places.DETAILED)
    assert {value.dtype for value in [*few.values(), *many.values()]} == {np.dtype("float16")}
    for detail, taken in ((None, 0.3), (0.7, 0.7)):
        model, share = load(pair, detail), np.float32(taken)
        wanted = [few[name].astype("float32") * (1 - share) + many[name].astype("float32") * share for name in few]
        got = sorted(float(value.sum()) for value in model.get_weights())
        np.testing.assert_allclose(got, sorted(float(value.sum()) for value in wanted), rtol=1e-5, atol=1e-6)
    for end, run in enumerate(runs):
        for got, wanted in zip(load(pair, end).get_weights(), load(run).get_weights()):
            np.testing.assert_array_equal(got, wanted.astype("float16").astype("float32"))


def test_of_places_with_two_sets_the_faithful_and_the_detailed_one_are_taken(runs, pair):
    assert equal(load(pair, 0, runs[1]), load(pair, 0)) and equal(load(runs[0], 1, pair), load(pair, 1))


def test_a_training_starts_from_the_faithful_set(pair):
    model = loading.build(tiny("sr", "hr", "out", sr_network=PLAIN))
    loading.start_from(model, pair)
    assert equal(model, load(pair, 0))


def test_a_blend_is_a_model_like_others_and_may_be_one_end_of_another(runs, tmp_path):
    half = load(runs[0], 0.5, runs[1])
    half.save(tmp_path / "half.keras")
    assert equal(load(tmp_path / "half.keras"), half)
    assert equal(load(runs[0], 1, tmp_path / "half.keras"), half)


def test_a_pair_of_exported_versions_is_blended_not_run(tmp_path):
    EDSR(filters=8, blocks=1).save(tmp_path / places.KERAS)
    (tmp_path / "saved_model.pb").touch()
    assert isinstance(engine(places.chosen(tmp_path, 0.5, tmp_path)), KerasEngine)


@pytest.mark.parametrize(
    "changes, words",
    [
        (
            {"sr_network": {**PLAIN, "filters": 16}},
            "its filters is 16, that of .*faithful is 8: give two models of one",
        ),
        ({"sr_network": PLAIN, "scale": 2}, "its scale is 2, that of .*faithful is 4"),
        ({"sr_network": {**PLAIN, "keep_colours": True}}, "its keep_colours is True, that of .*faithful is False"),
    ],
)
def test_models_of_two_architectures_are_refused_by_the_first_difference(runs, tmp_path, changes, words):
    other = random_run(tmp_path / "other", 2, **changes)
    with pytest.raises(UserError, match=words) as caught:
        load(runs[0], 0.5, other)
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match=words):
        pack.pack(runs[0], f"{tmp_path}/packed", str(other))
    assert not (tmp_path / "packed").exists()


def test_other_kinds_of_models_are_refused(runs, tmp_path):
    EDSR(filters=8, blocks=1).save(tmp_path / "edsr.keras")
    with pytest.raises(UserError, match="its kind is EDSR, that of .*faithful is SRNetwork"):
        load(runs[0], 0.5, tmp_path / "edsr.keras")
    style = random_run(tmp_path / "style", 0, "style")
    with pytest.raises(UserError, match="a StyleVAE has no detail to choose"):
        load(style, 0.5, style)


def test_chunks_of_attention_are_no_difference(runs, tmp_path):
    other = random_run(tmp_path / "other", 1, sr_network=PLAIN)
    settings = config.read(other / places.CONFIG)
    settings.sr_network.chunk = 64
    config.write(settings, other / places.CONFIG)
    assert equal(load(runs[0], 0.5, other), load(runs[0], 0.5, runs[1]))


def test_a_damaged_second_set_is_told(pair, tmp_path):
    for file in pair.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / places.DETAILED).write_bytes(b"")
    with pytest.raises(UserError, match="detailed.weights.h5: its weights do not fit this model"):
        load(tmp_path, 0.5)


def test_packing_again_leaves_nothing_of_the_pair_before_and_a_pair_stays_one(runs, pair, tmp_path):
    name = f"{tmp_path}/packed"
    assert places.chosen(pack.pack(str(pair), name)).detail == 0.3
    assert equal(load(name, 1), load(pair, 1))
    packed = pack.pack(runs[0], name)
    assert {path.name for path in packed.iterdir()} == {places.CONFIG, places.WEIGHTS}
    with pytest.raises(UserError, match="--detail 0.5: .* has one set of weights only"):
        pack.pack(runs[0], name, detail=0.5)


def test_a_bare_name_is_a_folder_here_and_not_in_the_package(runs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(places, "SHIPPED", tmp_path / "shipped")
    pack.main([runs[0], "mine"])
    assert capsys.readouterr().out == "mine: 0.0 MB, a model for --model mine\n"
    assert not places.SHIPPED.exists() and {path.name for path in tmp_path.iterdir()} == {"mine"}
    assert load("mine").scale == 4


def test_a_folder_of_anything_else_is_left_as_it_is(runs, tmp_path):
    run = shutil.copytree(runs[0], tmp_path / "run")
    (run / "metrics.csv").write_text("epoch\n")
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    with pytest.raises(UserError, match="run: holds metrics.csv, which no packed model has: give a new folder"):
        pack.pack(str(run), str(run))
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before
    with pytest.raises(UserError, match="metrics.csv: cannot be written .*: choose another place"):
        pack.pack(runs[0], str(run / "metrics.csv"))


def test_what_cannot_be_packed_leaves_what_was_there(runs, pair, tmp_path):
    packed = pack.pack(str(pair), f"{tmp_path}/packed")
    before = {path.name: path.read_bytes() for path in packed.iterdir()}
    large = shutil.copytree(runs[1], tmp_path / "large")
    model = load(large)
    model.set_weights([value + 1e6 for value in model.get_weights()])
    loading.save_weights(model, large / places.WEIGHTS)
    with pytest.raises(UserError, match="weights cannot be kept .* is not finite in float16"):
        pack.pack(runs[0], str(packed), str(large))
    assert {path.name: path.read_bytes() for path in packed.iterdir()} == before


def test_what_a_killed_pack_left_is_in_nobodys_way(runs, tmp_path):
    (tmp_path / "packed").mkdir()
    left = tmp_path / "packed" / f".model.weights.{writing.machine()}.999999999.part.h5"
    left.write_text("half")
    packed = pack.pack(runs[0], f"{tmp_path}/packed")
    assert {path.name for path in packed.iterdir()} == {places.CONFIG, places.WEIGHTS}


def test_a_pair_says_whose_features_taught_its_detailed_set(runs, tmp_path):
    taught = shutil.copytree(runs[1], tmp_path / "taught")
    settings = dataclasses.replace(config.read(taught / places.CONFIG), init="somewhere", perceptual="/of/me/net:0.05")
    config.write(settings, taught / places.CONFIG)
    assert places.taught_by(places.chosen(runs[0], 0.5, taught)) == {"net"}
    packed = pack.pack(runs[0], f"{tmp_path}/packed", str(taught), 0.5)
    assert "/of/me" not in (packed / places.DETAIL).read_text()
    assert places.taught_by(places.chosen(packed)) == {"net"}
    assert places.taught_by(runs[0]) == set()
    (tmp_path / "latest").symlink_to(tmp_path / "net")
    config.write(dataclasses.replace(settings, perceptual=f"{tmp_path}/latest:0.05"), taught / places.CONFIG)
    assert places.taught_by(taught) == {"latest", "net"}  # judges are called by their own names
