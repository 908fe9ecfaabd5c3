"""The pipelines on a runner of other processes: Beam's local job service, and workers that a pool starts."""

from __future__ import annotations

import pytest
from beam_case import contents
from tiny_runs import PLAIN, random_run

from ssrvae_tf.degrade import degrade_files
from ssrvae_tf.upscale import upscale_files

pytest.importorskip("apache_beam")

from benchmarks.beam_workers import portable_runner  # noqa: E402
from ssrvae_tf import degrade_beam, upscale_beam  # noqa: E402


@pytest.mark.slow
def test_both_pipelines_do_on_a_job_service_what_the_plain_commands_do(bad_photos, photos, tmp_path, capsys):
    model = str(random_run(tmp_path / "sr", 0, sr_network=PLAIN))
    style = str(random_run(tmp_path / "style", 1, "style"))
    upscale_files([bad_photos], tmp_path / "plain", model, recursive=True)
    degrade_files(photos / "more", tmp_path / "pairs", style)
    with portable_runner(workers=2) as options:
        outcome = upscale_beam.upscale_beam(f"{bad_photos}/**", str(tmp_path / "out"), options, model)
        assert (outcome.written, outcome.dead, outcome.code) == (5, 3, 1)
        options[-1] = "--direct_num_workers=1"
        outcome = degrade_beam.degrade_beam(f"{photos}/more/e.tif", str(tmp_path / "beam"), options, style)
    assert contents(tmp_path / "out") == contents(tmp_path / "plain")
    assert outcome.written == 1
    wanted = {name: data for name, data in contents(tmp_path / "pairs").items() if name.endswith("e.png")}
    assert contents(tmp_path / "beam") == wanted and len(wanted) == 2
