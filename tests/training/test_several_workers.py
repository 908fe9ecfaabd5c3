"""Several workers, each a process of this machine."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from tiny_runs import AFTER_A_STEP, broken_off, options, run, tiny, weights

from ssrvae_tf.shards import write_shards

# Trains in this process alone, which has two devices.
_TWO_DEVICES = """
import sys
import tensorflow as tf
from ssrvae_tf import errors, fit
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
sys.argv[1:] = {arguments!r}
errors.exit_cleanly(fit.main)
"""


@pytest.fixture
def environments():
    """What makes a process one of two workers. Their ports stay reserved, and TensorFlow may use them all the same."""
    with contextlib.ExitStack() as stack:
        reserved = [stack.enter_context(socket.socket()) for _ in range(2)]
        for each in reserved:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            each.bind(("localhost", 0))
        cluster = {"worker": [f"localhost:{each.getsockname()[1]}" for each in reserved]}
        tasks = [{"cluster": cluster, "task": {"type": "worker", "index": index}} for index in range(2)]
        yield [{"TF_CONFIG": json.dumps(task), "TF_GRPC_REUSE_PORT": "true"} for task in tasks]


@pytest.mark.slow
@pytest.mark.timeout(2700)  # four processes of TensorFlow, one after the other or in twos, on whatever machine
@pytest.mark.parametrize(["stage", "killed"], [("sr", 1), ("style", 0)])
def test_two_workers_of_which_one_is_killed_end_at_the_weights_of_one_process(
    stage, killed, environments, photo_folder, tmp_path
):
    # Where a gradient is 0, as of biases before AdaIN, Adam makes steps of its rounding.
    more = {"checkpoint_steps": 2, "learning_rate": 1e-3 if stage == "sr" else 1e-4}
    photos = photo_folder
    if stage == "sr":
        photos = tmp_path / "shards"
        write_shards(str(photo_folder), str(photos), shard_mb=0.1)
    settings, alone = (tiny(stage, photos, tmp_path / name, **more) for name in ("two", "one"))
    command = [sys.executable, "-m", "ssrvae_tf.fit"]

    def worker(index, dies):
        environment = environments[index]
        if dies:
            return broken_off(settings, signal.SIGKILL, AFTER_A_STEP, at=4, **environment)
        return run([*command, *options(settings)], **environment)

    with ThreadPoolExecutor() as pool:
        first = [*pool.map(worker, range(2), [index == killed for index in range(2)])]
        assert first[killed].returncode == -signal.SIGKILL, first[killed].stderr
        left = first[1 - killed]
        assert left.returncode == 2 and "Traceback" not in left.stderr, left.stderr
        assert "another worker is gone: start all of them again, with the same commands" in left.stderr
        for again in pool.map(worker, range(2), [False, False]):
            assert again.returncode == 0, again.stderr
            # An epoch ended at 3; the next checkpoint is due where the kill is.
            assert re.search("going on after step [34] of 6", again.stdout)

    # Each worker has noise of its own, as each device has.
    code = _TWO_DEVICES.format(arguments=options(alone))
    done = run([sys.executable, "-c", code] if stage == "style" else [*command, *options(alone)])
    assert done.returncode == 0, done.stderr
    got, wanted = weights(settings.out), weights(alone.out)
    assert got.keys() == wanted.keys() and len(wanted) > 10
    for name, value in wanted.items():
        np.testing.assert_allclose(got[name], value, rtol=0, atol=1e-5, err_msg=name)
