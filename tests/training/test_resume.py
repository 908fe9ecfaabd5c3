from __future__ import annotations

import csv
import dataclasses
import signal

import numpy as np
import pytest
from tiny_runs import AFTER_A_STEP, BEFORE_A_RENAME, PLAIN, broken_off, tiny, weights

from ssrvae_tf.training.run import fit


def rows(folder):
    with open(folder / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["sr", "style"])
def test_a_run_that_was_interrupted_and_killed_ends_at_the_weights_of_an_unbroken_one(
    stage, photo_folder, tmp_path, capsys
):
    broken, whole = tmp_path / "broken", tmp_path / "whole"
    settings = tiny(stage, photo_folder, broken)

    ctrl_c = broken_off(settings, signal.SIGINT, AFTER_A_STEP, at=2)
    assert ctrl_c.returncode == 130, ctrl_c.stderr
    assert "saved after step 2 of 6; the same command goes on" in ctrl_c.stderr
    assert "Traceback" not in ctrl_c.stderr
    assert not (broken / "metrics.csv").exists()  # a row is a whole epoch

    # Renames: settings, then weights and metrics of epoch 1, then the weights of epoch 2, written but not yet in place.
    killed = broken_off(settings, signal.SIGKILL, BEFORE_A_RENAME, at=4)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert [row["epoch"] for row in rows(broken)] == ["1"]

    fit(settings)
    assert "going on after step 3 of 6" in capsys.readouterr().out
    fit(tiny(stage, photo_folder, whole))
    got, wanted = weights(broken), weights(whole)
    assert got.keys() == wanted.keys() and len(wanted) > 10
    for name, value in wanted.items():
        np.testing.assert_allclose(got[name], value, rtol=0, atol=1e-6, err_msg=name)
    assert [row["epoch"] for row in rows(broken)] == ["1", "2"]
    # The first epoch's means are of its rest only; the second epoch is the same.
    last, expected = (list(map(float, rows(folder)[1].values())) for folder in (broken, whole))
    np.testing.assert_allclose(last, expected, rtol=1e-4, atol=1e-5)
    assert not [path for path in broken.rglob("*part*")]


def test_a_finished_run_says_so_and_more_epochs_go_on(photo_folder, tmp_path, capsys):
    settings = tiny("sr", photo_folder, tmp_path / "run", epochs=1, sr_network=PLAIN)
    fit(settings)
    before = weights(tmp_path / "run")
    fit(settings)
    assert "all 1 epochs are done; raise --epochs to go on" in capsys.readouterr().out
    after = weights(tmp_path / "run")
    assert all(np.array_equal(after[name], value) for name, value in before.items())
    fit(dataclasses.replace(settings, epochs=2, steps_per_epoch=None))
    assert "going on after step 3 of 6" in capsys.readouterr().out
    assert [row["epoch"] for row in rows(tmp_path / "run")] == ["1", "2"]
