from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest

from ssrvae_tf.beam import places
from ssrvae_tf.photos.folders import Source, pair_name, plan, result_name


@pytest.mark.parametrize(
    "pattern, root",
    [
        ("gs://bucket/faces/*.jpg", "gs://bucket/faces/"),
        ("gs://bucket/fa?es/a.jpg", "gs://bucket/"),
        ("/faces/**", "/faces/"),
        ("/faces/[ab]/*.jpg", "/faces/"),
        ("/faces/a.jpg", "/faces/"),
        ("*.jpg", ""),
    ],
)
def test_the_root_is_what_comes_before_the_first_wildcard(pattern, root):
    assert places.root_of(pattern) == root


@pytest.mark.parametrize(
    "address, place",
    [
        ("gs://b/faces/a/b.jpg", "a/b.jpg"),
        ("gs://b/faces//b.jpg", "b.jpg"),
        ("gs://b/faces/../../b.jpg", "b.jpg"),
        ("gs://elsewhere/b.jpg", "b.jpg"),
    ],
)
def test_no_place_leads_out_of_the_folder_of_results(address, place):
    assert places.inside(address, "gs://b/faces/") == place


def upscaled(source, apart):
    return result_name(source, apart, 4, "png")


@pytest.mark.parametrize("rename", [upscaled, pair_name])
def test_results_are_named_apart_by_families_as_by_all_names_at_once(rename):
    parts = ["a", "A", "a_x4", "a_2", ".png", ".PNG", ".jpg", ".png_x4", ".png_2"]
    rng = random.Random(0)
    for _ in range(200):
        names = {"".join(rng.choices(parts[:4]) + rng.choices(parts[4:], k=rng.choice([1, 2]))) for _ in range(8)}
        everything = sorted(f"{folder}/{name}" for folder in ("x", "y") for name in names)
        found = {}
        for _, family in itertools.groupby(sorted(everything, key=places.family_of), places.family_of):
            family = sorted(family)
            found.update(zip(family, places.targets(family, rename)))
        assert len({target.casefold() for target in found.values()}) == len(everything)
        at_once = plan([Source(Path(name), Path(name)) for name in everything], Path("/output"), rename)
        assert [f"/output/{found[name]}" for name in everything] == [str(item.target) for item in at_once]
