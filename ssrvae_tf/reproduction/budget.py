"""How much is spent on a reproduction: the sizes of all networks and the lengths of all trainings."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Dict, Iterable, Optional

import yaml

from ssrvae_tf import command_line, config
from ssrvae_tf.errors import UserError

NETWORKS = ("ssrvae", "srcnn", "edsr", "rdn", "srgan")
_SRGAN = ("adversarial", "perceptual", "learning_rate", "critic_learning_rate")


@dataclasses.dataclass
class Budget:
    """What all trainings of a reproduction share, and how much is measured.

    Args:
        fields: of `ssrvae_tf.config.FitConfig`, for both stages.
        style: more of them, for styleVAE.
        sr: more of them, for SR networks, which all have the same.
        networks: more of them, by the network's name.
        srgan: of the second half of SRGAN's steps, the first being SRResNet's: `adversarial` and `perceptual`, which
            are weights, and rates of learning.
        seeds: trainings of each variant of table 4.
        held_back: of the sharp photos, to measure with; none of them is trained on.
        lfw: at most so many of the photos for PSNR; None: all.
        resamples: of the bootstrap's.
        speed_repetitions: steps of each variant of table 4 whose time is taken.
        one_process: train and measure in the command's own process.
    """

    fields: Dict[str, Any] = dataclasses.field(default_factory=dict)
    style: Dict[str, Any] = dataclasses.field(default_factory=dict)
    sr: Dict[str, Any] = dataclasses.field(default_factory=dict)
    networks: Dict[str, Dict[str, Any]] = dataclasses.field(default_factory=dict)
    srgan: Dict[str, Any] = dataclasses.field(default_factory=dict)
    seeds: int = 3
    held_back: int = 1000
    lfw: Optional[int] = None
    resamples: int = 200
    speed_repetitions: int = 20
    one_process: bool = False

    def of_style(self, **more: Any) -> dict[str, Any]:
        """Fields of a training of stage style."""
        return _joined({"stage": "style"}, self.fields, self.style, more)

    def of_network(self, network: str, **more: Any) -> dict[str, Any]:
        """Fields of a training of stage sr."""
        return _joined({"stage": "sr", "network": network}, self.fields, self.sr, self.networks.get(network, {}), more)

    def check(self) -> None:
        """Raises UserError: in one line, for what no training would take."""
        for name in ("seeds", "resamples", "speed_repetitions", "lfw", "held_back"):
            value, least = getattr(self, name), 2 if name in ("held_back", "lfw", "resamples") else 1
            whole = isinstance(value, int) and not isinstance(value, bool)
            if not (whole and value >= least or (value is None and name == "lfw")):
                raise UserError(f"--budget: {name} is {value}: a whole number, at least {least}, is wanted")
        if not isinstance(self.one_process, bool):
            raise UserError(f"--budget: one_process is {self.one_process}: true or false is wanted")
        for name in ("fields", "style", "sr", "networks", "srgan"):
            value = getattr(self, name)
            if not isinstance(value, dict):
                raise UserError(f"--budget: {name} is {value!r}: fields are wanted, each as `name: value`")
        for given, known, where in ((self.networks, NETWORKS, "networks"), (self.srgan, _SRGAN, "srgan")):
            for name in given:
                if name not in known:
                    raise UserError(f"--budget: {where}.{name}: no such field{command_line.nearest(str(name), known)}")
        for name, value in self.networks.items():
            if not isinstance(value, dict):
                raise UserError(f"--budget: networks.{name} is {value!r}: fields are wanted, each as `name: value`")
        style = config.from_dict(self.of_style())
        for network in NETWORKS:
            settings = config.from_dict(self.of_network(network))
            if (settings.hr_size, settings.scale) != (style.hr_size, style.scale):
                raise UserError("--budget: scale and hr_size belong to `fields`, since both stages share them")
            if settings.epochs < 2:
                raise UserError(f"--budget: sr.epochs is {settings.epochs}: at least 2 are wanted, for SRGAN's halves")


def read(given: str, changes: Iterable[str] = ()) -> Budget:
    """The budget of that name or in that file.

    Args:
        changes: such as "sr.epochs=2" or "networks.edsr.baseline.blocks=4", values as in YAML.

    Raises:
        UserError: if there is none, or something in it is not a budget's.
    """
    known = {path.stem: path for path in config.folder_of_shipped().glob("reproduce/*.yaml")}
    path = Path(given) if Path(given).is_file() else known.get(given)
    if path is None:
        raise UserError(f"--budget {given}: no such file: give a YAML file, or one of {', '.join(sorted(known))}")
    values = config.read_yaml(path, "--budget")
    if not isinstance(values, dict):
        raise UserError(f"--budget {given}: {str(values)[:40]!r} is in it: fields are wanted, each as `name: value`")
    names = [field.name for field in dataclasses.fields(Budget)]
    for change in changes:
        name, equals, value = change.partition("=")
        if not equals or not name:
            raise UserError(f"--set {change}: NAME=VALUE is wanted, such as sr.epochs=4")
        try:
            _put(values, name.split("."), yaml.safe_load(value))
        except (yaml.YAMLError, TypeError, AttributeError) as error:
            raise UserError(f"--set {change}: no value for that name: see {path}") from error
    for name in values:
        if name not in names:
            raise UserError(f"--budget {given}: {name}: no such field{command_line.nearest(str(name), names)}")
    budget = Budget(**values)
    budget.check()
    return budget


def _put(values: dict, names: list[str], value: Any) -> None:
    for name in names[:-1]:
        values = values.setdefault(name, {})
    values[names[-1]] = value


def _joined(*parts: dict[str, Any]) -> dict[str, Any]:
    """Nested values, later ones before earlier ones."""
    found: dict[str, Any] = {}
    for part in parts:
        for name, value in part.items():
            both = isinstance(value, dict) and isinstance(found.get(name), dict)
            found[name] = _joined(found[name], value) if both else value
    return found
