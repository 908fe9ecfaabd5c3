"""Make a file of constraints from what pip finds for each Python: prints it.

    extras=.[beam,dev,heif,notebooks,onnx,peers,serving]
    python3.9 -m pip install --dry-run --ignore-installed --report 3.9.json -c constraints/tf2.15.txt "$extras"
    ...
    python scripts/constraints.py 3.9.json 3.10.json 3.11.json > constraints/tf2.15.txt

A report is made in a fresh virtual environment of its Python. Leave `-c` out, or lines of the file, for newer versions.
"""

from __future__ import annotations

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


if __name__ == "__main__":
    found = [json.loads(Path(path).read_text()) for path in sys.argv[1:]]
    print(*lines({each["environment"]["python_version"]: versions(each) for each in found}), sep="\n")
