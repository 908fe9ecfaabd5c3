from __future__ import annotations

from types import SimpleNamespace

import pytest

from ssrvae_tf.reproduction import report


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """Writes tables of runs, {"NAME/FILE": lines}, and gives what is drawn of them: [(curves, title, axes)]."""
    seen = []
    monkeypatch.setattr(report, "_plot", lambda curves, title, *axes: seen.append((curves, title, axes)))

    def draw(tables: dict[str, str]):
        parts = {}
        for name, lines in tables.items():
            run, _, file = name.partition("/")
            folder = tmp_path / run / report.RUN
            folder.mkdir(parents=True, exist_ok=True)
            (folder / file).write_text(lines)
            parts[run] = SimpleNamespace(kind="fit", folder=str(tmp_path / run))
        report._curves(SimpleNamespace(parts=parts))
        return seen

    return draw


def test_losses_by_step_do_not_stand_among_psnr_by_epoch(drawn):
    tables = {
        "sr-edsr-bicubic/metrics.csv": "epoch,val_psnr\n1,30.5\n2,31\n",
        "sr-rdn-bicubic/steps.csv": "step,loss\n50,0.1\n",
    }
    ((curves, title, axes),) = drawn(tables)
    assert curves == {"sr-edsr-bicubic": [(1.0, 30.5), (2.0, 31.0)]}
    assert title == "Learning curves: bicubic pairs" and axes == ("epoch", "PSNR of photos held back, dB")


def test_without_a_validation_the_axes_are_those_of_the_losses(drawn):
    ((curves, _, axes),) = drawn(
        {"style-both/steps.csv": "step,transfer\n1,0.5\n", "style-both/metrics.csv": "epoch,kl\n1,3\n"}
    )
    assert curves == {"style-both": [(1.0, 0.5)]} and axes == ("step", "transfer")


def test_a_name_with_a_pipe_stays_in_its_cell(tmp_path):
    rows = [{"name": "my|weights", "PSNR of a|b": "30.1"}]
    claims = [{"text": "my|weights beats bicubic", "verdict": "held", "paper": "", "evidence": []}]
    made = {"title": "Table 1", "about": "", "columns": ["PSNR of a|b"], "rows": rows, "claims": claims, "figures": {}}
    done = SimpleNamespace(kind="table_1", folder="", name="table-1", finished=lambda: {"result": made, "seconds": 1})
    about = {"budget": {}, "name": "small", "photos": {"of a|b": 3}}
    path = report.write(SimpleNamespace(parts={"table-1": done}, out=tmp_path, about=about))
    lines = [line for line in path.read_text().splitlines() if line.startswith("|") and "a|b" in line.replace("\\", "")]
    assert len(lines) == 2 and all(r"a\|b" in line and line.count(" | ") == 1 for line in lines)
    assert r"| my\|weights | 30.1 |" in path.read_text()
    assert r"| Table 1 | my\|weights beats bicubic | **held** |" in path.read_text()
