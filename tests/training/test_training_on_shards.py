"""Trainings whose photos lie in shards."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from tiny_runs import PLAIN, tiny, weights

from ssrvae_tf.errors import UserError
from ssrvae_tf.shards import write_shards
from ssrvae_tf.training.run import fit


def test_a_run_on_shards_that_stops_goes_on_to_the_weights_of_an_unbroken_one(photo_folder, tmp_path, capsys):
    write_shards(str(photo_folder), str(tmp_path / "shards"), shard_mb=0.1)
    more = {"style": "bicubic", "lr": None, "val": 0.25, "sr_network": PLAIN}
    broken, whole = (tiny("sr", tmp_path / "shards", tmp_path / name, **more) for name in ("broken", "whole"))
    fit(dataclasses.replace(broken, max_minutes=1e-9))  # ends after the first step
    fit(broken)
    assert "going on after step 1 of 6" in capsys.readouterr().out
    fit(whole)
    got, wanted = weights(tmp_path / "broken"), weights(tmp_path / "whole")
    assert got.keys() == wanted.keys()
    for key, value in wanted.items():
        np.testing.assert_array_equal(got[key], value, err_msg=key)
    photos = json.loads((tmp_path / "whole" / "photos.json").read_text())["hr"]
    names = {path.relative_to(photo_folder).as_posix() for path in photo_folder.rglob("*.*")}
    assert photos["count"] == 12 and len(photos["held_back"]) == 3 and set(photos["held_back"]) < names

    for path in (tmp_path / "shards").glob("*.tfrecord"):
        path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match="cannot be read .*: write the shards anew") as error:
        fit(dataclasses.replace(whole, out=str(tmp_path / "other"), val=0))
    assert "\n" not in str(error.value)
