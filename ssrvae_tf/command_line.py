"""Command lines, made from the signature and the docstring of the function that does the work.

A parameter `max_megapixels: PositiveFloat = 100.0` is the option `--max-megapixels X`, one that is False is a flag, one
that is a list may be given several times, one without a default must be given. What the docstring says under `Args:` is
its help. jsonargparse checks the types; `Annotated[str, "DIR"]` says what stands for a value in the help.
"""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import functools
import inspect
import re
import sys
from typing import Annotated, Callable, Iterable, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import jsonargparse
from jsonargparse.typing import ClosedUnitInterval, NonNegativeInt, PositiveFloat, PositiveInt

from ssrvae_tf.errors import UserError

# How the commands are called, in their help.
program = "python -m ssrvae_tf.{}"

Folder = Annotated[str, "DIR"]
File = Annotated[str, "FILE"]
Glob = Annotated[str, "GLOB"]
_WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    PositiveInt: "a whole number, at least 1",
    NonNegativeInt: "a whole number, at least 0",
    PositiveFloat: "a number above 0",
    ClosedUnitInterval: "a number from 0 to 1",
}


class Parameter(NamedTuple):
    """What a command line can set.

    Attributes:
        kind: its type.
        default: `inspect.Parameter.empty` if it must be given.
        text: what it is.
        metavar: what stands for a value in the help.
    """

    kind: object
    default: object
    text: str
    metavar: str

    @property
    def required(self) -> bool:
        return self.default is inspect.Parameter.empty

    @property
    def help(self) -> str:
        shown = "" if self.required or self.default is None or self.default is False else f" [{self.default}]"
        return (self.text + shown).replace("%", "%%")


def read(
    function: Callable,
    module: str,
    arguments: list[str] | None = None,
    positional: tuple[str, ...] = (),
    spelled: dict[str, str] | None = None,
    rest: str | None = None,
    like: Callable | None = None,
) -> dict:
    """The arguments of `function` that a command line gives.

    Args:
        module: that `python -m` runs.
        arguments: of the command line; None: those of this process.
        positional: parameters that are given without their names, as many values as there are if it is a list.
        spelled: options that are not called as their parameters, such as {"real": "from"}.
        rest: the parameter that gets the options that are not known, with their values; None: they are an error.
        like: a function that documents what `function` does not.

    Raises:
        UserError: for an unknown, missing or ill-typed option, in one line.
        SystemExit: after --help.
    """
    known = parameters(function, like=like)
    names = {name: flag((spelled or {}).get(name, name)) for name in known}
    names.update({name: known[name].metavar for name in positional})
    parser = new_parser(module, inspect.getdoc(function).partition("\n\nArgs:")[0])
    for name, parameter in known.items():
        kind = _plain(parameter.kind)
        more = {"type": kind, "metavar": parameter.metavar}
        if name in positional:
            more = {**more, "type": get_args(kind)[0], "nargs": "+"} if get_origin(kind) is list else more
            parser.add_argument(name, help=parameter.help, **more)
            continue
        more = {**more, "required": True} if parameter.required else {**more, "default": parameter.default}
        more = {"action": "store_true"} if parameter.default is False else more
        if get_origin(kind) is list:
            more = {**more, "type": get_args(kind)[0], "nargs": "+", "action": "extend"}
        parser.add_argument(names[name], dest=name, help=parameter.help, **more)
    others = [] if rest else None
    words = checked(sys.argv[1:] if arguments is None else arguments, names.values(), others)
    values = typed(lambda: parser.parse_args(words), known, names, words).as_dict()
    return {**values, rest: others} if rest else values


def parameters(thing: Callable, prefix: str = "", like: Callable | None = None) -> dict[str, Parameter]:
    """Those of a function that have a type, or of a dataclass and of the dataclasses in it, by their dotted names.

    Args:
        like: a function that documents what `thing` does not.
    """
    hints, found = get_type_hints(thing, include_extras=True), {}
    texts = {**(_documented(like) if like else {}), **_documented(thing)}
    bare = get_type_hints(thing)  # without what `Annotated` says
    defaults = thing() if dataclasses.is_dataclass(thing) else None
    for name, each in inspect.signature(thing).parameters.items():
        kind = hints.get(name)
        if kind is None:
            continue
        if dataclasses.is_dataclass(kind):
            found.update(parameters(kind, f"{prefix}{name}."))
            continue
        default = each.default if defaults is None else getattr(defaults, name)
        found[prefix + name] = Parameter(bare[name], default, texts[name], _metavar(kind))
    return found


def _documented(thing: Callable) -> dict[str, str]:
    """What a docstring says about each argument."""
    section, found = inspect.getdoc(thing).partition("Args:\n")[2].partition("\n\n")[0], {}
    for names, text in re.findall(r"^ {4}(\w[\w, ]*): (.+(?:\n {8}.+)*)", section, re.MULTILINE):
        found.update(dict.fromkeys(names.split(", "), " ".join(text.split())))
    return found


def new_parser(module: str, description: str, usage: str | None = None) -> jsonargparse.ArgumentParser:
    """A parser without options, that raises errors."""
    return jsonargparse.ArgumentParser(
        prog=program.format(module.partition(".")[2]),
        usage=usage,
        description=description,
        formatter_class=functools.partial(argparse.RawDescriptionHelpFormatter, max_help_position=34, width=120),
        exit_on_error=False,
        print_config=None,
    )


def checked(words: Iterable[str], known: Iterable[str], rest: list[str] | None = None) -> list[str]:
    """The words of a command line, options as `--in-full`.

    Args:
        known: all options; what is given without a name is passed over.
        rest: gets other options and their values.

    Raises:
        UserError: for an option that is not known, without `rest`.
    """
    known, kept = [each for each in known if each.startswith("--")], []
    place, words = kept, iter(words)
    for word in words:
        if word == "--":  # what comes after it are no options, whatever they begin with
            return [*kept, word, *words]
        option, equals, value = word.partition("=")
        if word.startswith("--"):
            option = flag(option[2:])
            if option in known or option == "--help":
                place, word = kept, option + equals + value
            elif rest is not None:
                place = rest
            else:
                raise UserError(f"{option}: no such option{nearest(option[2:], [each[2:] for each in known])}")
        place.append(word)
    return kept


def typed(parse: Callable, known: dict[str, Parameter], names: dict[str, str], words: list[str] | tuple = ()):
    """What `parse` gives.

    Args:
        names: what parameters are called in messages.
        words: of the command line, if there is one.

    Raises:
        UserError: one line, instead of jsonargparse's several.
    """
    try:
        return parse()
    except (jsonargparse.ArgumentError, TypeError, ValueError) as error:
        text = " ".join(str(error).split()).removeprefix("argument ")
        missing = text.partition("arguments are required: ")[2]
        key = re.search(r'Parser key "([^"]+)"', text)
        if missing:
            text = f"{', '.join(names[name] for name in missing.split(', '))}: not given: see --help"
        elif key and key[1] in known:
            name = names[key[1]]
            said = [(*word.partition("="), after) for word, after in zip(words, [*words[1:], ""])]
            given = re.findall(r"Got value: (.*)$", text)
            given += [value if equals else after for option, equals, value, after in said if option == name]
            text = f"{name}{' ' + given[-1] if given else ''}: it must be {_wanted(known[key[1]].kind)}"
        elif "unrecognized" in text and any(each.metavar == "GLOB" for each in known.values()):
            text += ": one glob is wanted: put it in quotes"
        raise UserError(text) from error


def flag(name: str) -> str:
    """The option for a parameter."""
    return "--" + name.replace("_", "-")


def nearest(given: str, names: Iterable[str]) -> str:
    """The end of a message about a name that there is not."""
    close = difflib.get_close_matches(given, names, 1, 0.5)
    return f": did you mean {close[0]}?" if close else f": there are {', '.join(names)}"


def _wanted(kind) -> str:
    """A type as it stands in a message."""
    if get_origin(kind) is Literal:
        return ("one of " if len(get_args(kind)) > 1 else "") + ", ".join(map(str, get_args(kind)))
    if get_origin(kind) is Union:
        return " or ".join(_wanted(each) for each in get_args(kind) if each is not type(None))
    if get_origin(kind) is list:
        return "a list such as [1,2,1]"
    return _WORDS.get(kind) or kind.__doc__  # of restricted numbers, given where they are made


def _metavar(kind) -> str:
    """A type as it stands in the help."""
    if get_origin(kind) is Annotated:
        return get_args(kind)[1]
    if get_origin(kind) in (Literal, Union):
        each = [each for each in get_args(kind) if each is not type(None)]
        return "|".join(map(str, each) if get_origin(kind) is Literal else map(_metavar, each))
    if get_origin(kind) is list:
        inner = _metavar(get_args(kind)[0])
        return f"[{inner},{inner},...]"
    return {bool: "true|false", str: "TEXT"}.get(kind) or ("N" if issubclass(kind, int) else "X")


def _plain(kind):
    """A type without None: on a command line, `null` is text."""
    left = tuple(each for each in get_args(kind) if each is not type(None))
    return Union[left] if get_origin(kind) is Union else kind
