from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from ssrvae_tf.config import from_dict
from ssrvae_tf.errors import UserError
from ssrvae_tf.reproduction import budget, parts, photo_lists
from ssrvae_tf.reproduction.building import build
from ssrvae_tf.reproduction.photo_lists import PhotoList, Place
from ssrvae_tf.reproduction.plan import Plan

PHOTOS = ("train", "sharp", "lr_train", "lr_test", "lfw", "pictures", "domain.film", "domain_test.film")


def planned(spent: budget.Budget, weights: str = "faces-x4", **changed: str) -> Plan:
    """The plan of all tables; `changed` are fingerprints of other photos."""
    given = {f"photos.{name}": Place(f"/photos/{name}", changed.get(name, "1")) for name in PHOTOS}
    given.update({"features.net": Place("/net", "1"), "peer": Place("Real-ESRGAN x4plus", "1")})
    given.update({f"weights.{weights}": Place(weights, "1"), f"style_of.{weights}": Place("faces-style", "1")})
    plan = Plan(Path("/out"), given, {})
    build(plan, spent, ["net"], [weights], True, ["film"], 5000)
    return plan


def keys(plan: Plan) -> dict[str, str]:
    return {name: part.key for name, part in plan.parts.items()}


def differing(one: Plan, other: Plan) -> set[str]:
    assert one.parts.keys() == other.parts.keys()
    return {name for name, key in keys(one).items() if keys(other)[name] != key}


@pytest.mark.parametrize("name", ["paper", "small", "tiny"])
def test_every_network_of_a_table_sees_as_many_patches(name):
    plan = planned(budget.read(name))
    spent: dict[str, int] = {}
    for part in plan.parts.values():
        if part.kind == "fit" and part.name.startswith("sr-") and "as_long_as" not in part.options:
            settings = from_dict(part.options["fields"])
            steps = settings.epochs * (settings.steps_per_epoch or 1)
            spent[part.name.replace("-first", "")] = (
                spent.get(part.name.replace("-first", ""), 0) + steps * settings.batch_size
            )
    assert len(spent) > 10 and len({*spent.values()}) == 1, spent


def test_every_variant_of_table_4_differs_in_its_attentions_and_seeds_alone():
    plan = planned(budget.read("small"))
    both = plan.parts["sr-ssrvae-bicubic"].options["fields"]
    other = plan.parts["sr-ssrvae-bicubic-local-seed2"].options["fields"]
    assert other["seed"] == 2 and other["sr_network"] == {
        **both["sr_network"],
        "global_attention": False,
        "local_attention": True,
    }
    assert {name: value for name, value in other.items() if name not in ("seed", "sr_network")} == {
        name: value for name, value in both.items() if name not in ("seed", "sr_network")
    }
    assert plan.parts["sr-ssrvae-bicubic-none-seed1-equal-time"].options["as_long_as"]["mine"] == "none"


def test_parts_come_after_what_they_need_and_whole_tables_as_early_as_they_can():
    plan = planned(budget.read("small"))
    order = list(plan.parts)
    for part in plan.parts.values():
        assert all(order.index(each) < order.index(part.name) for each in part.needs)
    assert order[:2] == ["networks", "style-both"]
    tables = [name for name in order if name.startswith("table")]
    assert tables == ["table-1", "table-2", "table-3", "table-6", "table-5", "table-4", "table-4b"]
    assert order.index("table-3") < order.index("style-domain-film") < order.index("style-none")


def test_table_5_compares_no_more_real_faces_than_degraded_ones(tmp_path):
    spent = budget.read("tiny")
    options = planned(spent).parts["features-lr_train"].options
    for number in range(spent.held_back + 3):
        Image.new("RGB", (9, 9), (number, 0, 0)).save(tmp_path / f"{number}.png")
    seen = list(parts._judged({**options, "lr": str(tmp_path)}))
    assert len(seen) == spent.held_back and seen[0].shape == (options["size"] // options["scale"],) * 2 + (3,)
    options = planned(spent).parts["features-lr_test"].options
    assert len(list(parts._judged({**options, "lr": str(tmp_path)}))) == spent.held_back + 3


def test_a_changed_option_changes_the_keys_of_what_depends_on_it_and_no_others():
    before = planned(budget.read("small"))
    assert differing(before, planned(budget.read("small"))) == set()
    longer = differing(before, planned(budget.read("small", ["style.epochs=11"])))
    assert {"style-both", "style-mi", "sr-ssrvae-styled", "sr-edsr-styled", "sr-ssrvae-domain-film"} <= longer
    assert not {"sr-edsr-bicubic", "table-4", "features-edsr-bicubic-lr_test", "lr-lfw-clean"} & longer
    measured = differing(before, planned(budget.read("small"), lr_test="2"))
    assert {"features-edsr-bicubic-lr_test", "lr-lfw-styled", "table-2"} <= measured
    assert not [name for name in measured if name.startswith(("sr-", "style-"))]
    resampled = differing(before, planned(budget.read("small", ["resamples=300"])))
    assert resampled == {name for name in before.parts if name.startswith("table")}


@pytest.mark.parametrize("name", ["bicubic", "x4plus", "edsr-bicubic"])
def test_weights_whose_name_is_taken_do_not_get_the_figures_of_what_has_it(name):
    with pytest.raises(UserError, match="another part of the plan is called so: rename the folder that --weights"):
        planned(budget.read("tiny"), weights=name)


def test_a_plan_is_read_back_as_it_was_written(tmp_path):
    plan = planned(budget.read("tiny"))
    plan.out = tmp_path
    again = Plan.read(plan.write())
    assert (again.parts, again.out, again.about) == (plan.parts, plan.out, plan.about)


def test_only_a_result_of_this_key_is_one(tmp_path):
    plan = Plan(tmp_path, {}, {})
    plan.add("a", "degrade", {"by": "bicubic"}, 1.0)
    part = plan.parts["a"]
    Path(part.folder).mkdir(parents=True)
    assert part.finished() is None
    part.finish({"photos": 3}, 2.5)
    assert part.finished()["seconds"] == 2.5 and part.finished()["result"] == {"photos": 3}
    done = Path(part.folder, "done.json")
    done.write_text(json.dumps({**json.loads(done.read_text()), "key": "another"}))
    assert part.finished() is None
    done.write_text("{")
    assert part.finished() is None


def test_photos_are_held_back_by_chance_but_always_the_same(tmp_path):
    photos = PhotoList(tmp_path, [tmp_path / f"{i}.png" for i in range(40)])
    for path in photos.paths:
        path.write_bytes(b"1")
    train, sharp = photo_lists.divided(photos, 10)
    assert len(sharp.paths) == 10 and {*train.paths, *sharp.paths} == {*photos.paths}
    assert photo_lists.divided(photos, 10) == (train, sharp) != photo_lists.divided(photos, 10, seed=1)
    place = photo_lists.linked(sharp, tmp_path / "links")
    found = photo_lists.find(place.path, "--hr")
    assert found.fingerprint() == place.fingerprint == sharp.fingerprint()
    assert {*found.names()} == {*sharp.names()} and photo_lists.linked(sharp, tmp_path / "links") == place
    sharp.paths[0].write_bytes(b"another photo of that name")
    assert sharp.fingerprint() != place.fingerprint


def test_on_a_disk_without_links_photos_are_copied_once(tmp_path, monkeypatch):
    def refuse(self, target):
        raise OSError("no links here")

    copied, copy = [], shutil.copy2
    monkeypatch.setattr(Path, "symlink_to", refuse)
    monkeypatch.setattr(shutil, "copy2", lambda path, target: copied.append(path.name) or copy(path, target))
    photos = PhotoList(tmp_path, [tmp_path / "a.png", tmp_path / "b.png"])
    for path in photos.paths:
        path.write_bytes(b"photo")
    photo_lists.linked(photos, tmp_path / "copies")
    (tmp_path / "copies" / "b.png").write_bytes(b"pho")  # as a process left it that was killed
    photo_lists.linked(photos, tmp_path / "copies")
    assert copied == ["a.png", "b.png", "b.png"]


@pytest.mark.parametrize("name", ["a.BMP", "a.pgm"])
def test_photos_that_are_not_compressed_are_told_apart_by_more_than_their_size(name, tmp_path):
    photos = PhotoList(tmp_path, [tmp_path / name, tmp_path / "b.jpg"])
    for path in photos.paths:
        path.write_bytes(b"one")
    before = photos.fingerprint()
    photos.paths[0].write_bytes(b"two")
    assert photos.fingerprint() != before


def test_a_glob_takes_photos_alone(tmp_path):
    for name in ("film_1.PNG", "film_2.txt", "film_3.json"):
        (tmp_path / name).touch()
    assert photo_lists.find(str(tmp_path / "film_*"), "--domain").names() == ["film_1.PNG"]


def test_names_in_no_encoding_and_links_to_nothing_are_no_trouble(tmp_path):
    paths = [tmp_path / os.fsdecode(b"caf\xe9.png"), tmp_path / "gone.png", tmp_path / "gone.bmp"]
    paths[0].write_bytes(b"1")
    for path in paths[1:]:
        path.symlink_to(tmp_path / "nowhere")
    photos = PhotoList(tmp_path, paths)
    assert photos.fingerprint() == photos.fingerprint()
    assert sum(len(part.paths) for part in photo_lists.divided(photos, 1)) == 3


@pytest.mark.parametrize(
    ["given", "name"], [("a/film_*", "film"), ("a/film/", "film"), ("a/*.png", "a"), ("a/imfdbsq_*.png", "imfdbsq")]
)
def test_a_kind_of_faces_is_called_as_its_photos_are(given, name):
    assert photo_lists.name_of(given) == name
