from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import tensorflow as tf
from PIL import Image
from tiny_reproduction import make_folders, make_judges, options
from tiny_runs import run

from ssrvae_tf import reproduce
from ssrvae_tf.errors import UserError

ROOT = Path(__file__).parents[2]
# Runs the command and kills itself at the moment when a file, the `at`-th of that name, is to take its place. Nothing
# is traced, which would take longer than all the rest.
_KILLED = """
import os, pathlib, sys
import tensorflow as tf
from ssrvae_tf import errors, reproduce
tf.config.run_functions_eagerly(True)
replace, seen = os.replace, []

def replace_or_die(source, target):
    seen.extend([1] * (pathlib.Path(target).name == {name!r}))
    if len(seen) == {at}:
        os.kill(os.getpid(), {number})
    replace(source, target)

os.replace = replace_or_die
errors.exit_cleanly(lambda: reproduce.main({arguments!r}))
"""


@contextlib.contextmanager
def untraced():
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)


def killed(arguments: list[str], name: str, at: int) -> subprocess.CompletedProcess:
    number = int(signal.SIGKILL)
    code = _KILLED.format(arguments=arguments, name=name, at=at, number=number)
    done = run([sys.executable, "-c", code])
    assert done.returncode == -number, done.stderr
    return done


def finished(out: Path) -> dict[str, float]:
    """When each part of it was done, by the name of its folder."""
    return {path.parent.name: path.stat().st_mtime for path in out.glob("parts/*/done.json")}


def names(folders) -> set[str]:
    return {folder.rpartition("-")[0] for folder in folders}


class Sources(HTMLParser):
    """Addresses that a page asks for."""

    def __init__(self, text: str):
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found += [value for name, value in attrs if name in ("src", "href")]


@pytest.mark.slow
def test_a_reproduction_killed_twice_ends_with_all_tables_and_another_option_repeats_what_depends_on_it(
    tmp_path, capsys
):
    make_folders(tmp_path)
    make_judges(tmp_path)
    out = tmp_path / "out"
    given = options(tmp_path, domain=str(tmp_path / "film"), domain_test=str(tmp_path / "lr_test" / "[0-2].png"))

    # The first process ends in the second training, at the end of its second epoch; the next one, when it is measured.
    killed(given, "model.weights.h5", at=3)
    begun = finished(out)
    assert names(begun) == {
        "networks",
        "style-both",
        "lr-lfw-styled",
        "psnr-bicubic-styled",
        "features-bicubic-lr_test",
    }
    killed(given, "done.json", at=2)
    first = finished(out)
    assert names(first) == {*names(begun), "sr-srcnn-bicubic"} and {name: first[name] for name in begun} == begun
    assert "going on after step 1 of 2" in (next(out.glob("parts/sr-srcnn-*")) / "log.txt").read_text()

    with untraced():
        assert reproduce.main(given) == 0
    told = capsys.readouterr().out
    assert "[7 of " in told and " left\n" in told and told.endswith(f"{out / 'report.html'}\n")
    whole = finished(out)
    assert {name: whole[name] for name in first} == first, "a finished part was repeated"
    assert not [path for path in out.rglob("*.part*")]
    report = (out / "REPORT.md").read_text()
    tables = json.loads((out / "figures.json").read_text())
    assert [table["title"].split(":")[0] for table in tables] == [
        *(f"Table {number}" for number in (1, 2, 3, 6, 5, 4)),
        "Table 4, at equal time",
    ]
    assert "Not there yet" not in report and report.count("| **") == sum(len(table["claims"]) for table in tables) > 30
    page = (out / "report.html").read_text()
    assert all(re.match("data:image/(png|webp);base64,", source) for source in Sources(page).found)
    assert len(Sources(page).found) == 6 == len(list((out / "pictures").iterdir()))
    claims = [claim for table in tables for claim in table["claims"]]
    assert all(each["low"] <= each["value"] <= each["high"] for claim in claims for each in claim["evidence"])

    with untraced():
        assert reproduce.main([*given, "--set", "networks.edsr.baseline.blocks=2"]) == 0
    again = finished(out)
    assert {name: again[name] for name in whole} == whole
    assert names(again.keys() - whole.keys()) == {
        *("sr-edsr-bicubic", "sr-edsr-styled", "psnr-edsr-bicubic-styled", "psnr-edsr-styled-styled"),
        *("features-edsr-bicubic-lr_test", "features-edsr-styled-lr_test", "table-1", "table-2", "table-3", "pictures"),
    }

    capsys.readouterr()
    assert reproduce.main(given) == 0  # the tables of before are still there
    assert finished(out) == again and "[" not in capsys.readouterr().out


def test_a_network_that_cannot_judge_ends_it_before_anything_is_trained(tmp_path):
    make_folders(tmp_path)
    make_judges(tmp_path)
    tf.saved_model.save(tf.Module(), str(tmp_path / "nothing"))
    with pytest.raises(UserError, match=f"^--features {tmp_path / 'nothing'}: its serving_default takes"):
        reproduce.main(options(tmp_path, features=str(tmp_path / "nothing")))
    assert not list(tmp_path.glob("out/parts/style-*"))


def test_photos_that_nothing_can_be_measured_on_end_it_before_anything_is_trained(tmp_path):
    make_folders(tmp_path)
    make_judges(tmp_path)
    for path in (tmp_path / "lfw").iterdir():
        Image.open(path).resize((40, 40)).save(path)
    with pytest.raises(UserError, match=f"^--lfw {tmp_path / 'lfw'}: 0 usable photos, at least 2 wanted"):
        reproduce.main(options(tmp_path))
    assert not list(tmp_path.glob("out/parts/style-*"))


def test_networks_of_one_name_are_not_taken_for_one(tmp_path):
    with pytest.raises(UserError, match="--weights faces-x4: a second one of the name faces-x4: rename"):
        reproduce._weights(["faces-x4", "faces-x4"], 4)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "saved_model.pb").touch()
        (tmp_path / f"of-{name}").mkdir()
        (tmp_path / f"of-{name}" / "latest").symlink_to(tmp_path / name)
    found = reproduce._judges([str(tmp_path / f"of-{name}" / "latest") for name in ("one", "two")])
    assert {name: Path(place.path).name for name, place in found.items()} == {"one": "one", "two": "two"}


@pytest.mark.parametrize(
    ["change", "told"],
    [
        ({"hr": "nowhere"}, "--hr nowhere: no such folder"),
        ({"features": "lr"}, "--features lr: no saved_model.pb: give the folder of a SavedModel"),
        ({"budget": "smal"}, "--budget smal: no such file: give a YAML file, or one of paper, small, tiny"),
        ({"set": "sr.epocs=3"}, "epocs: no such field: did you mean epochs?"),
        ({"set": "sr.epochs"}, "--set sr.epochs: NAME=VALUE is wanted"),
        ({"set": "resamples=1"}, "--budget: resamples is 1: a whole number, at least 2, is wanted"),
        ({"set": "seeds=0"}, "--budget: seeds is 0: a whole number, at least 1, is wanted"),
        ({"set": "networks.edsr=3"}, "--budget: networks.edsr is 3: fields are wanted, each as `name: value`"),
        ({"budget": "list.yaml"}, "--budget list.yaml: '[]' is in it: fields are wanted, each as `name: value`"),
        ({"set": "held_back=9"}, "10 photos, of which the budget holds 9 back: at least 4 must be left"),
        ({"out": "lr/made"}, "--out lr/made: lies in --lr lr, whose photos its pictures would be among"),
        ({"lr_test": "lr"}, "--lr and --lr-test share 8 photos, such as "),
        ({"weights": "faces-x5"}, "faces-x5: no such model"),
        ({"weights": "faces-style"}, "--weights faces-style: no network that enlarges by 4"),
        ({"domain": "film"}, "--domain and --domain-test: one of each"),
        ({"domain": "film", "domain_test": "film/[0-1].png"}, "share 2 photos"),
        ({"domain": "film", "domain_test": "film/x*"}, "--domain-test film/x*: no photo matches"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_line_before_anything_is_trained(change, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_folders(tmp_path)
    for name in ("colours", "levels"):
        Path(name).mkdir()
        Path(name, "saved_model.pb").touch()
    Path("list.yaml").write_text("[]")
    monkeypatch.setattr("ssrvae_tf.reproduction.work.go_through", lambda *given: pytest.fail("it was begun"))
    with pytest.raises(UserError) as error:
        reproduce.main(options(Path(), **change))
    assert told in str(error.value) and "\n" not in str(error.value)
