from __future__ import annotations

import csv
import dataclasses
import json
import signal

import keras
import numpy as np
import pytest
from tiny_runs import AFTER_A_STEP, BEFORE_A_RENAME, PLAIN, broken_off, tiny, weights

from ssrvae_tf.errors import UserError
from ssrvae_tf.training.run import fit


def rows(folder, name="metrics.csv"):
    with open(folder / name, newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
@pytest.mark.parametrize(
    ["stage", "number", "code", "renames"], [("sr", signal.SIGINT, 130, 8), ("style", signal.SIGTERM, 143, 7)]
)
def test_a_run_that_was_interrupted_and_killed_ends_at_the_weights_of_an_unbroken_one(
    stage, number, code, renames, photo_folder, tmp_path, capsys
):
    broken, whole = tmp_path / "broken", tmp_path / "whole"
    more = {"val": 0.25, "checkpoint_steps": 2, "log_steps": 1}
    settings = tiny(stage, photo_folder, broken, **more)

    stopped = broken_off(settings, number, AFTER_A_STEP, at=1)
    assert stopped.returncode == code, stopped.stderr
    assert "saved after step 1 of 6; the same command goes on" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert not (broken / "metrics.csv").exists()  # a row is a whole epoch

    # Renames: settings, photos, steps.csv of before; weights at steps 2, 3 and 4; at 3, where an epoch ends, its row
    # and stage sr's best. The last weights are not yet in their place.
    killed = broken_off(settings, signal.SIGKILL, BEFORE_A_RENAME, at=renames + 1)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert [row["epoch"] for row in rows(broken)] == ["1"]

    fit(settings)
    assert "going on after step 4 of 6" in capsys.readouterr().out
    fit(tiny(stage, photo_folder, whole, **more))
    for name in ("model.weights.h5", "best.weights.h5") if stage == "sr" else ("model.weights.h5",):
        got, wanted = weights(broken, name), weights(whole, name)
        assert got.keys() == wanted.keys() and len(wanted) > 10
        for key, value in wanted.items():
            np.testing.assert_allclose(got[key], value, rtol=0, atol=1e-6, err_msg=key)
    assert [row["epoch"] for row in rows(broken)] == ["1", "2"]
    # The means over an epoch's steps are of its rest only; what is measured at its end is the same.
    for got, expected in zip(rows(broken), rows(whole)):
        measured = [name for name in expected if name.startswith(("val_", "sheet_"))]
        assert any(name.startswith("val_") for name in measured)
        numbers = [[float(row[name]) for name in measured] for row in (got, expected)]
        np.testing.assert_allclose(*numbers, rtol=1e-4, atol=1e-5)
    steps = [rows(folder, "steps.csv") for folder in (broken, whole)]
    assert [row["step"] for row in steps[0]] == [row["step"] for row in steps[1]] == list("123456")
    for got, expected in zip(*steps):
        names = expected.keys() - {"examples_per_second"}
        numbers = [[float(row[name]) for name in names] for row in (got, expected)]
        np.testing.assert_allclose(*numbers, rtol=1e-3, atol=1e-5)
    assert not [path for path in broken.rglob("*part*")]


def test_a_finished_run_says_so_and_more_epochs_go_on(photo_folder, tmp_path, capsys):
    settings = tiny("sr", photo_folder, tmp_path / "run", epochs=1, sr_network=PLAIN)
    fit(settings)
    before = weights(tmp_path / "run")
    fit(settings)
    assert "all 1 epochs are done; raise --epochs to go on" in capsys.readouterr().out
    after = weights(tmp_path / "run")
    assert all(np.array_equal(after[name], value) for name, value in before.items())

    versions = tmp_path / "run" / "versions.json"
    own = versions.read_text()
    versions.write_text(json.dumps({**json.loads(own), "keras": "2.15.0" if keras.__version__ >= "3" else "3.15.1"}))
    with pytest.raises(UserError, match=f"begun with Keras .* start .* --init {versions.parent}"):
        fit(dataclasses.replace(settings, epochs=2, steps_per_epoch=None))
    versions.write_text(own)
    fit(dataclasses.replace(settings, epochs=2, steps_per_epoch=None))
    assert "going on after step 3 of 6" in capsys.readouterr().out
    assert [row["epoch"] for row in rows(tmp_path / "run")] == ["1", "2"]


def test_a_finished_run_is_not_done_with_other_photos(photo_folder, tmp_path, capsys):
    settings = tiny("sr", photo_folder / "more", tmp_path / "run", epochs=1, batch_size=2, sr_network=PLAIN, lr=None)
    fit(settings)
    other = dataclasses.replace(settings, hr=str(photo_folder))
    with pytest.raises(UserError) as error:
        fit(other)
    told = f"all 1 epochs are done, with other photos: --hr {photo_folder} (12 photos) in place of {settings.hr} (2)"
    assert told in str(error.value) and f"(--init {tmp_path / 'run'} starts from its weights)" in str(error.value)
    capsys.readouterr()
    fit(dataclasses.replace(other, epochs=2, steps_per_epoch=None))
    assert f"going on with other photos: --hr {photo_folder} (12 photos)" in capsys.readouterr().out


def test_an_adversarial_training_that_stops_goes_on_with_both_players(photo_folder, tmp_path, capsys):
    start = tiny("sr", photo_folder, tmp_path / "start", epochs=1, steps_per_epoch=1, sr_network=PLAIN)
    fit(start)
    more = {"init": str(tmp_path / "start"), "adversarial": 0.1, "val": 0.25, "sr_network": PLAIN, "log_steps": 1}
    broken, whole = (tiny("sr", photo_folder, tmp_path / name, **more) for name in ("broken", "whole"))
    fit(dataclasses.replace(broken, max_minutes=1e-9))  # ends after the first step
    fit(broken)
    assert "going on after step 1 of 6" in capsys.readouterr().out
    fit(whole)
    got, wanted = weights(tmp_path / "broken"), weights(tmp_path / "whole")
    for key, value in wanted.items():
        np.testing.assert_allclose(got[key], value, rtol=0, atol=1e-6, err_msg=key)
    for got, wanted in zip(*(rows(tmp_path / name, "steps.csv") for name in ("broken", "whole"))):
        for name in ("critic", "adversarial", "matching", "drift"):
            assert float(got[name]) == pytest.approx(float(wanted[name]), rel=1e-4)
    # Detail costs PSNR, so the newest weights are the result, not those of the best validation.
    assert not (tmp_path / "whole" / "best.weights.h5").exists()
