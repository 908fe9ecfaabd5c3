"""The plan of a reproduction: parts that need each other, each known by all that it depends on.

A value "@name" in a part's options is what the plan knows by that name: photos, a network, or another part, which then
must be finished first.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, Iterator

from ssrvae_tf.errors import UserError
from ssrvae_tf.photos.writing import replacing
from ssrvae_tf.reproduction.photo_lists import Place, digest

DONE = "done.json"
RUN = "run"  # in a training's folder, that of the run


@dataclasses.dataclass(frozen=True)
class Part:
    """A training, a measurement or a table.

    Attributes:
        name: in the plan.
        kind: of `ssrvae_tf.reproduction.parts.KINDS`.
        options: all that it is told, with paths for the names.
        key: of all that it depends on.
        folder: of what it leaves.
        needs: names of other parts.
        work: how long it takes, in seconds of nobody's machine, to be compared with others of the plan.
        like: parts of one such word take times in proportion to their work.
    """

    name: str
    kind: str
    options: dict
    key: str
    folder: str
    needs: list
    work: float
    like: str

    def finished(self) -> dict | None:
        """{"seconds": that it took, "result": what it leaves}, if it is finished."""
        try:
            found = json.loads(Path(self.folder, DONE).read_text())
            return found if found["key"] == self.key and "seconds" in found and "result" in found else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def finish(self, result: dict, seconds: float) -> None:
        """Put down what it leaves.

        Args:
            seconds: that it took; a training that was gone on with knows better.
        """
        found = {"name": self.name, "key": self.key, "seconds": result.get("seconds", seconds), "result": result}
        with replacing(Path(self.folder, DONE)) as part:
            part.write_text(json.dumps(found, indent=1) + "\n")


class Plan:
    """Parts in the order in which they are to be done.

    Args:
        out: folder of all results.
        places: what parts may use, by name.
        about: what the report says of the whole.
    """

    def __init__(self, out: Path, places: dict[str, Place], about: dict):
        self.out, self.places, self.about = Path(out), dict(places), about
        self.parts: dict[str, Part] = {}

    def add(self, name: str, kind: str, options: dict, work: float, like: str = "", version: int = 1) -> str:
        """Plan a part, unless it is there. Returns "@name".

        Args:
            version: another one repeats all such parts, for when what they do has changed.

        Raises:
            UserError: if another part of that name is there, whose figures would be taken for its own.
        """
        names = sorted(set(_names(options)))
        keys = {each: self.places[each].fingerprint for each in names}
        key = digest([kind, version, json.dumps(options, sort_keys=True), sorted(keys.items())])
        if name in self.parts and self.parts[name].key != key:
            text = f"{name}: another part of the plan is called so: rename the folder"
            raise UserError(f"{text} that --weights or --domain gives, after which it is called")
        if name not in self.parts:
            folder = self.out / "parts" / f"{name}-{key[:10]}"
            self.places[name] = Place(str(folder / RUN if kind == "fit" else folder), key)
            needs, told = [each for each in names if each in self.parts], _put(options, self.places)
            self.parts[name] = Part(name, kind, told, key, str(folder), needs, work, like or kind)
        return f"@{name}"

    def write(self) -> Path:
        """Put it down for other processes, where no other plan is."""
        parts = [dataclasses.asdict(part) for part in self.parts.values()]
        content = json.dumps({"out": str(self.out), "about": self.about, "parts": parts}, indent=1) + "\n"
        path = self.out / "plans" / f"{digest(content)}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part:
            part.write_text(content)
        return path

    @classmethod
    def read(cls, path: Path) -> Plan:
        content = json.loads(Path(path).read_text())
        plan = cls(Path(content["out"]), {}, content["about"])
        plan.parts = {values["name"]: Part(**values) for values in content["parts"]}
        return plan


def _names(value: Any) -> Iterator[str]:
    if isinstance(value, str) and value.startswith("@"):
        yield value[1:]
    elif isinstance(value, (dict, list, tuple)):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _names(each)


def _put(value: Any, places: dict[str, Place]) -> Any:
    """`value` with paths for names."""
    if isinstance(value, str):
        return places[value[1:]].path if value.startswith("@") else value
    if isinstance(value, dict):
        return {name: _put(each, places) for name, each in value.items()}
    return [_put(each, places) for each in value] if isinstance(value, (list, tuple)) else value
