from __future__ import annotations

import types

import pytest
import tensorflow as tf

from ssrvae_tf.training.checkpoints import Checkpoints


def checkpoints(folder, value: float, step: int) -> tuple[Checkpoints, tf.Variable]:
    """Of something that looks like a model, and what it holds."""
    kept = tf.Variable(value)
    stepper = types.SimpleNamespace(state=tf.train.Checkpoint(step=tf.Variable(step)), done=step)
    model = tf.train.Checkpoint(kept=kept)
    model.stepper = stepper
    return Checkpoints(folder, model, types.SimpleNamespace(values=[])), kept


@pytest.mark.parametrize("text", [b"", b"\0" * 90, b"model_checkpoint_path", None])
def test_without_the_list_of_checkpoints_a_run_goes_on_from_the_newest(text, tmp_path):
    assert Checkpoints.newest_step(tmp_path / "checkpoints") == 0
    for step in (9, 10):
        checkpoints(tmp_path, float(step), step)[0].save()
    (tmp_path / "checkpoint").unlink()
    if text is not None:
        (tmp_path / "checkpoint").write_bytes(text)
    assert Checkpoints.newest_step(tmp_path) == 10
    again, kept = checkpoints(tmp_path, 0.0, 11)
    again.restore(tmp_path)
    assert kept.numpy() == 10.0
    again.save()
    assert Checkpoints.newest_step(tmp_path) == 11
