from __future__ import annotations

import pytest

from ssrvae_tf.errors import UserError
from ssrvae_tf.training.records import Table


def test_rows_after_the_restored_one_are_cut_and_new_columns_join(tmp_path):
    path = tmp_path / "metrics.csv"
    table = Table(path, 0)
    assert not path.exists()
    table.add({"epoch": 1, "loss": 0.5})
    table.add({"epoch": 2, "loss": 0.25, "psnr": 20.0})
    assert path.read_text().split() == ["epoch,loss,psnr", "1,0.5,", "2,0.25,20.0"]
    again = Table(path, 1)
    assert path.read_text().split()[1:] == ["1,0.5,"] and again.column("psnr") == {}
    again.add({"epoch": 2, "loss": 0.125, "psnr": 21.0})
    assert path.read_text().split()[1:] == ["1,0.5,", "2,0.125,21.0"]
    assert Table(path, 9).column("psnr") == again.column("psnr") == {2: 21.0}
    assert [each.name for each in tmp_path.iterdir()] == ["metrics.csv"]


def test_a_row_that_a_killed_run_left_half_written_is_cut(tmp_path):
    path = tmp_path / "steps.csv"
    path.write_bytes(b"step,loss\r\n10,0.5\r\n20,0.25\r\n3")
    again = Table(path, 30)
    assert again.column("loss") == {10: 0.5, 20: 0.25} == Table(path, 30).column("loss")
    again.add({"step": 30, "loss": 0.125})
    assert path.read_bytes() == b"step,loss\r\n10,0.5\r\n20,0.25\r\n30,0.125\r\n"


def test_a_run_that_was_killed_before_its_first_row_goes_on_again_and_again(tmp_path):
    path = tmp_path / "steps.csv"
    for left in (b"st", b"step,loss\r\n10,0.5\r\n"):
        path.write_bytes(left)
        for _ in range(3):
            assert Table(path, 0).rows == []
    table = Table(path, 0)
    table.add({"step": 1, "loss": 0.5})
    assert path.read_text().split() == ["step,loss", "1,0.5"] and Table(path, 1).column("loss") == {1: 0.5}


def test_a_row_is_added_without_writing_the_others_again(tmp_path):
    path = tmp_path / "steps.csv"
    table = Table(path, 0)
    table.add({"step": 1, "loss": 0.5, "rate": 0.1})
    first = path.stat().st_ino
    table.add({"step": 2, "loss": 0.25})
    assert path.stat().st_ino == first and path.read_text().split() == ["step,loss,rate", "1,0.5,0.1", "2,0.25,"]


@pytest.mark.parametrize("text", [b"epoch;loss\n1;0,5\n", b"\0\0\0\n\0\0", b"\xff\xfe\n\xff", b"\n\n1,2\n"])
def test_damaged_figures_are_told_and_stay(text, tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_bytes(text)
    with pytest.raises(UserError, match="metrics.csv: not the figures of a run: restore the file, or move it away"):
        Table(path, 9)
    assert path.read_bytes() == text
