"""Photos in shards: written, read, and trained on as those of the folder."""

from __future__ import annotations

import itertools
import json
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from ssrvae_tf import shards as door
from ssrvae_tf.data import PhotoSet, shards, sources, sr_batches, style_batches
from ssrvae_tf.errors import UserError


def write(photos, out, **more):
    return door.write_shards(str(photos), str(out), **more)


@pytest.fixture(scope="module")
def sharded(photo_folder, tmp_path_factory):
    """The photos of `photo_folder` in seven shards. Do not write."""
    out = tmp_path_factory.mktemp("sharded") / "shards"
    assert write(photo_folder, out, shard_mb=0.1) == 0
    return out


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_shards_are_tfrecords_that_hold_each_photo_as_it_is(photo_folder, sharded):
    manifest = json.loads((sharded / "manifest.json").read_text())
    names = [each["file"] for each in manifest["shards"]]
    assert sorted([*names, "manifest.json"]) == sorted(path.name for path in sharded.iterdir())
    assert len(names) > 4 and manifest["photos"] == 12 and manifest["made_by"].startswith("ssrvae_tf ")
    found = {}
    for record in tf.data.TFRecordDataset([str(sharded / name) for name in names]).as_numpy_iterator():
        features = tf.train.Example.FromString(record).features.feature
        (name,), (data,) = features["name"].bytes_list.value, features["image"].bytes_list.value
        found[name.decode()] = data
        with Image.open(photo_folder / name.decode()) as photo:
            assert [features[side].int64_list.value[0] for side in ("width", "height")] == [*photo.size]
    assert found == {path.relative_to(photo_folder).as_posix(): path.read_bytes() for path in photo_folder.rglob("*.*")}
    assert sum(each["bytes"] for each in manifest["shards"]) == manifest["bytes"]


@pytest.mark.parametrize("crop", ["fit", "random"])
def test_a_set_of_shards_is_that_of_the_folder(photo_folder, sharded, crop):
    ours, theirs = (sources.load(place, 32, crop) for place in (sharded, photo_folder))
    assert isinstance(ours, shards.ShardedPhotos) and len(ours) == len(theirs) == 12
    by_name = {path.relative_to(photo_folder).as_posix(): theirs.photo(i) for i, path in enumerate(theirs.paths)}
    for number, path in enumerate(ours.paths):
        np.testing.assert_array_equal(ours.photo(number), by_name[path[len(f"{sharded}/") :]])
    assert sources.listed(sharded, "--hr") == sorted(sources.listed(photo_folder, "--hr"))


def test_what_is_too_small_is_left_out_by_the_manifest_alone(photo_folder, sharded, capsys):
    ours = sources.load(sharded, 165)
    assert len(ours) == len(PhotoSet.load(photo_folder, 165)) < 12
    assert "below 165 pixels" in capsys.readouterr().err
    assert len(sources.load(sharded, 500, upsample=True)) == 12
    with pytest.raises(UserError, match="12 usable photos, batch size is 16: add photos or lower --batch-size"):
        sources.load(sharded, 32, minimum=16)


def batches(photos, start=0, count=6, **more):
    data = sr_batches(photos, 32, 4, 4, 1, "bicubic", start_step=start, **more)
    return [[part.numpy() for part in batch] for batch in itertools.islice(data, count)]


def test_batches_are_those_of_seed_and_step_wherever_one_begins_and_whatever_fits_into_memory(sharded):
    whole = batches(sources.load(sharded, 32, "random"))
    later = batches(shards.ShardedPhotos.open(sharded, 32, "random", memory_limit_mb=0), 3, 3)
    for got, wanted in zip(later, whole[3:]):
        for one, other in zip(got, wanted):
            np.testing.assert_array_equal(one, other)
    seen = {array.tobytes() for batch in whole for array in batch[1]}
    assert len(seen) == 24


@pytest.mark.parametrize("stage", ["sr", "style"])
def test_workers_read_their_part_of_each_batch_only(sharded, stage):
    def made(share, count=3):
        photos = sources.load(sharded, 32, "random")
        read, number = [], photos.number
        photos.number = lambda index, *more: (read.append(index), number(index, *more))[1]
        if stage == "sr":
            data = sr_batches(photos, 32, 4, 4, 1, "bicubic", share=share)
        else:
            data = style_batches(photos, photos, 32, 4, 4, 1, synthetic=False, share=share)
        found = [tf.nest.flatten(batch) for batch in itertools.islice(data, count)]
        return found, {index % 4 // 2 for index in read}

    whole, readers = made((0, 1))
    assert readers == {0, 1}
    for worker in range(2):
        found, readers = made((worker, 2))
        assert readers == {worker}
        own = slice(2 * worker, 2 * worker + 2)
        for one, other in zip(tf.nest.flatten(found), tf.nest.flatten(whole)):
            np.testing.assert_array_equal(one[own], other[own])


def test_the_same_command_goes_on_where_it_was_broken_off(photo_folder, sharded, tmp_path, capsys):
    out = tmp_path / "shards"
    shutil.copytree(sharded, out)
    names = sorted(path.name for path in out.glob("*.tfrecord"))
    plan = {"plan": json.loads((out / "manifest.json").read_text())["plan"]}
    (out / "manifest.json").unlink()
    (out / "plan.json").write_text(json.dumps(plan))
    (out / names[1]).unlink()
    (out / names[2]).write_bytes((out / names[2]).read_bytes()[:-1])
    (out / f".{names[3]}.part").write_bytes(b"half")
    kept = (out / names[0]).stat().st_mtime_ns
    assert write(photo_folder, out, shard_mb=0.1) == 0
    assert {**files(out), f".{names[3]}.part": b""} == {**files(sharded), f".{names[3]}.part": b""}
    assert (out / names[0]).stat().st_mtime_ns == kept
    assert "were there before" in capsys.readouterr().out
    before = files(out)
    assert write(photo_folder, out, shard_mb=0.1) == 0
    assert files(out) == before and "12 of them were there before" in capsys.readouterr().out


def test_broken_photos_are_left_out_and_told_again_each_time(photo_folder, tmp_path, capsys):
    photos, out = tmp_path / "photos", tmp_path / "shards"
    shutil.copytree(photo_folder, photos)
    whole = (photos / "00.jpg").read_bytes()
    (photos / "half.jpg").write_bytes(whole[: len(whole) // 2])
    (photos / "text.png").write_text("no photo")
    (photos / "zero.jpg").write_bytes(b"")
    os.mkfifo(photos / "pipe.png")
    os.symlink(photos / "nowhere.png", photos / "link.png")
    Image.open(photos / "01.png").convert("CMYK").save(photos / "cmyk.tif")
    assert write(photos, out) == 1
    said = capsys.readouterr()
    assert said.err.count("\n") == 5 and all(f"{name}: " in said.err for name in ("half.jpg", "link.png"))
    assert "pipe.png: cannot be read (a device or a pipe, not a file)" in said.err
    unknown = "cannot be read (not a photo that Pillow reads)"
    assert all(f"{name}: {unknown}" in said.err for name in ("text.png", "zero.jpg"))
    assert said.out.startswith("13 photos in 1 shard, ") and said.out.endswith(", 5 left out\n")
    assert write(photos, out) == 1 and capsys.readouterr().err == said.err
    ours = sources.load(out, 32, "random")
    (tif,) = [number for number, path in enumerate(ours.paths) if path.endswith("cmyk.tif")]
    wanted = PhotoSet.load(photos, 32, "random")
    (number,) = [number for number, path in enumerate(wanted.paths) if path.name == "cmyk.tif"]
    np.testing.assert_array_equal(ours.photo(tif), wanted.photo(number))


def test_photos_shrunk_for_a_size_are_those_that_a_training_of_that_size_sees(photo_folder, tmp_path):
    write(photo_folder, tmp_path / "shards", size=48)
    ours, theirs = sources.load(tmp_path / "shards", 48), sources.load(photo_folder, 48)
    assert {photo.tobytes() for photo in map(ours.photo, range(12))} == {photo.tobytes() for photo in theirs.photos}
    assert (tmp_path / "shards").stat() and sum(map(len, files(tmp_path / "shards").values())) < 200_000


def test_any_filesystem_of_tensorflow_will_do(photo_folder):
    assert write(photo_folder, "ram://some/shards", shard_mb=0.1) == 0
    ours = sources.load("ram://some/shards", 32)
    assert len(ours) == 12 and ours.photo(3).shape[0] >= 32
    assert sources.listed("ram://some/shards", "--hr") == sorted(sources.listed(photo_folder, "--hr"))


@pytest.mark.parametrize(
    ["damage", "told"],
    [
        (lambda out: (out / "manifest.json").write_text("{}"), "manifest.json is damaged"),
        (lambda out: (out / "manifest.json").write_text("[1"), "manifest.json is damaged"),
        (lambda out: next(out.glob("*.tfrecord")).unlink(), "cannot be read"),
        (lambda out: next(out.glob("*.tfrecord")).write_bytes(b"x" * 100), "cannot be read"),
    ],
)
def test_damage_is_told_in_one_line(sharded, tmp_path, damage, told):
    out = tmp_path / "shards"
    shutil.copytree(sharded, out)
    damage(out)
    with pytest.raises(UserError, match=told) as error:
        photos = sources.load(out, 32)
        [photos.photo(number) for number in range(len(photos))]
    assert "\n" not in str(error.value) and str(out) in str(error.value)


def test_a_shard_that_could_not_be_read_once_is_asked_for_again(sharded, tmp_path):
    out = tmp_path / "shards"
    shutil.copytree(sharded, out)
    photos, (shard, *_) = sources.load(out, 32), sorted(out.glob("*.tfrecord"))
    whole = shard.read_bytes()
    shard.unlink()
    with pytest.raises(UserError, match="cannot be read"):
        photos.photo(0)
    shard.write_bytes(whole)
    assert photos.photo(0).shape[0] >= 32


@pytest.mark.parametrize(
    ["photos", "out", "told"],
    [
        (None, "nowhere://shards", "--out nowhere://shards: cannot be written"),
        ("missing", "out", "missing: no such folder"),
        (None, "full", "--out full: not empty, and no shards"),
        (None, "other", "--out other: holds shards of other photos"),
    ],
)
def test_what_cannot_be_written_is_told_in_one_line(photo_folder, tmp_path, monkeypatch, photos, out, told):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "manifest.json").write_text('{"plan": "another"}')
    with pytest.raises(UserError, match=told) as error:
        write(photos or photo_folder, out)
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="--hr ram://empty: no manifest.json there"):
        sources.load("ram://empty", 32)
