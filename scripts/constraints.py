"""Make a file of constraints from what pip finds for each Python: prints it.

    extras=.[app,beam,dev,docs,heif,notebooks,onnx,peers,serving,tfds]
    python3.9 -m pip install --dry-run --ignore-installed --report 3.9.json -c constraints/tf2.15.txt "$extras"
    ...
    python scripts/constraints.py 3.9.json 3.10.json 3.11.json > constraints/tf2.15.txt

For the new stack likewise, on Python 3.12 and 3.13 with constraints/tf2.21.txt; and on 3.11, where setup.cfg asks for
the old one, with what it asks for on 3.12:

    python3.11 scripts/constraints.py --wanted-on 3.12 > wanted.txt
    python3.11 -m pip install --dry-run --ignore-installed --report 3.11.json -c constraints/tf2.21.txt -r wanted.txt

A report is made in a fresh virtual environment of its Python. Leave `-c` out, or lines of the file, for newer versions.
"""

from __future__ import annotations

import configparser
import json
import re
import sys
from pathlib import Path


def versions(report: dict) -> dict[str, str]:
    """The version of each package of a report, without that of this one."""
    found = [each["metadata"] for each in report["install"]]
    names = {re.sub(r"[-_.]+", "-", each["name"]).lower(): each["version"] for each in found}
    return {name: version for name, version in names.items() if name != "ssrvae-tf"}


def lines(reports: dict[str, dict[str, str]]) -> list[str]:
    """Constraints, with the Pythons that they are for where not all agree.

    Args:
        reports: Python's version -> package -> version.
    """
    made = []
    for name in sorted({name for report in reports.values() for name in report}):
        pythons: dict[str, list[str]] = {}
        for python, report in reports.items():
            if name in report:
                pythons.setdefault(report[name], []).append(python)
        for version, where in pythons.items():
            marker = " or ".join(f'python_version == "{python}"' for python in where)
            made.append(f"{name}=={version}" + (f"; {marker}" if len(where) < len(reports) else ""))
    return made


def wanted_on(python: str) -> list[str]:
    """What setup.cfg asks for there, with all extras, to be installed on another Python."""
    options = configparser.ConfigParser()
    options.read(Path(__file__).parents[1] / "setup.cfg")
    asked = [options["options"]["install_requires"], *options["options.extras_require"].values()]
    found = []
    for line in "\n".join(asked).split("\n"):
        wanted, _, marker = line.partition(";")
        version = re.fullmatch(r' *python_version (<|>=) "3\.(\d+)"( and platform_.*)?', marker)
        if version:
            older = int(python.split(".")[1]) < int(version[2])
            found += [wanted.strip()] if older == (version[1] == "<") else []
        elif wanted and not line.startswith("#"):
            found.append(line)
    return sorted(set(found))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--wanted-on"]:
        print(*wanted_on(sys.argv[2]), sep="\n")
    else:
        found = [json.loads(Path(path).read_text()) for path in sys.argv[1:]]
        print(*lines({each["environment"]["python_version"]: versions(each) for each in found}), sep="\n")
