"""From a signature and a docstring to a command line."""

from __future__ import annotations

import subprocess
import sys
from typing import Annotated, List, Literal, Optional, Union

import pytest
from jsonargparse.typing import NonNegativeInt, PositiveFloat, PositiveInt, restricted_number_type

from ssrvae_tf import command_line
from ssrvae_tf.command_line import Folder, Glob
from ssrvae_tf.errors import UserError

Side = restricted_number_type("Side", int, (">=", 12), docstring="a whole number, at least 12")


def work(
    inputs: Annotated[List[str], "INPUT"],
    out: Folder,
    flags=(),
    real: Optional[Folder] = None,
    max_megapixels: PositiveFloat = 100.0,
    tile: Union[Literal["auto"], Side] = "auto",
    kind: Literal["keep", "png"] = "keep",
    seed: NonNegativeInt = 0,
    jobs: PositiveInt = 2,
    recursive: bool = False,
):
    """Do work.

    More about it.

    Args:
        inputs: photos, folders
            and globs.
        out: of the results.
        flags: of others.
        real: small ones, 100 % real.
        max_megapixels: larger ones are refused.
        tile, kind: both are documented: here.
        seed: of chance.
        jobs: threads.
        recursive: folders in folders, too.

    Raises:
        UserError: never.
    """


def read(words: str, **more):
    return command_line.read(work, "ssrvae_tf.module", words.split(), ("inputs",), {"real": "from"}, **more)


def test_what_is_not_given_is_as_in_the_signature():
    wanted = {"max_megapixels": 100.0, "tile": "auto", "kind": "keep", "seed": 0, "jobs": 2, "recursive": False}
    assert read("a.png --out b") == {"inputs": ["a.png"], "out": "b", "real": None, **wanted}


def test_values_have_the_types_of_the_signature_and_null_is_a_name():
    found = read("--out b --from=null --max-megapixels 3 --tile 20 --kind png --seed 0 --recursive a 12")
    assert (found["out"], found["real"], found["inputs"]) == ("b", "null", ["a", "12"])
    assert (found["max_megapixels"], found["tile"], found["kind"], found["recursive"]) == (3.0, 20, "png", True)
    assert read("--tile 16 --out b --tile auto a")["tile"] == "auto"


@pytest.mark.parametrize(
    "words, message",
    [
        ("a", "--out: not given: see --help"),
        ("", "INPUT, --out: not given: see --help"),
        ("a --out", "--out: expected one argument"),
        ("a --out b --max-megapixel 3", "--max-megapixel: no such option: did you mean max-megapixels?"),
        ("a --out b --ou c", "--ou: no such option: did you mean out?"),
        ("a --out b --real c", "--real: no such option: there are out, from,"),
        ("a --out b --put c", "--put: no such option: did you mean out?"),
        ("a --out b --jobs 0", "--jobs 0: it must be a whole number, at least 1"),
        ("a --out b --jobs=two", "--jobs two: it must be a whole number, at least 1"),
        ("a --out b --jobs 3 --jobs=two", "--jobs two: it must be a whole number, at least 1"),
        ("a --out b --seed -1", "--seed -1: it must be a whole number, at least 0"),
        ("a --out b --max-megapixels 0", "--max-megapixels 0: it must be a number above 0"),
        ("a --out b --tile 8", "--tile 8: it must be auto or a whole number, at least 12"),
        ("a --out b --kind gif", "--kind gif: it must be one of keep, png"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_came_and_what_is_wanted(words, message):
    with pytest.raises(UserError) as error:
        read(words)
    assert str(error.value).startswith(message) and "\n" not in str(error.value)


def test_what_follows_two_dashes_is_no_option():
    assert read("--out b -- -a.png --out --jobs=0")["inputs"] == ["-a.png", "--out", "--jobs=0"]


def test_help_is_the_docstring(capsys):
    with pytest.raises(SystemExit) as end:
        read("--help")
    text = " ".join(capsys.readouterr().out.split())
    assert end.value.code == 0 and "usage: python -m ssrvae_tf.module" in text
    assert "Do work. More about it. positional" in text and "Raises" not in text
    assert "INPUT photos, folders and globs." in text and "--out DIR of the results." in text
    assert "--from DIR small ones, 100 % real." in text and "--recursive folders in folders, too." in text
    assert "--tile auto|N both are documented: here. [auto]" in text and "--seed N of chance. [0]" in text


def test_options_of_others_are_handed_on_with_their_values():
    found = read("a --runner Flink --out b --temp=x --jobs 3", rest="flags")
    assert (found["flags"], found["jobs"], found["inputs"]) == (["--runner", "Flink", "--temp=x"], 3, ["a"])


def test_a_glob_that_the_shell_has_replaced_is_told():
    def globbed(hr: Glob):
        """Work.

        Args:
            hr: photos.
        """

    with pytest.raises(UserError, match="unrecognized arguments: b.png: one glob is wanted: put it in quotes"):
        command_line.read(globbed, "ssrvae_tf.module", ["--hr", "a.png", "b.png"])


def test_another_function_may_document_what_is_the_same():
    def alike(out: Folder, jobs: PositiveInt = 2):
        """As `work`."""

    assert command_line.parameters(alike, like=work)["jobs"].text == "threads."


def test_a_list_is_an_option_that_may_be_repeated():
    def several(hr: Annotated[List[str], "NAME=DIR"], lr: Optional[List[str]] = None):
        """Do work.

        Args:
            hr: folders.
            lr: more of them.
        """

    found = command_line.read(several, "ssrvae_tf.module", ["--hr", "a=b", "--hr=c=d"])
    assert found == {"hr": ["a=b", "c=d"], "lr": None}
    with pytest.raises(UserError, match="--hr: not given"):
        command_line.read(several, "ssrvae_tf.module", [])


def test_what_libraries_run_into_when_python_ends_is_not_shown_what_goes_wrong_before_is():
    lines = """
from ssrvae_tf.errors import exit_cleanly

class Odd:
    def __init__(self, when):
        self.when = when

    def __del__(self):
        raise TypeError(self.when)

late = Odd("at the end")
exit_cleanly(lambda: Odd("before") and None)
"""
    done = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True)
    assert done.returncode == 0 and "TypeError: before" in done.stderr and "at the end" not in done.stderr
