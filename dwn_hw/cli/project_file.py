"""The project file, ``dwn-hw.toml``: what commands in its folder need not be told again.

At its top stand what several commands share (:data:`SHARED`); a table that is called as a command is, ``[export]``, holds options
of that one by their names, ``clock-mhz = 50``. The command line wins. What only a person at the keyboard may say
(:data:`TYPED`), a file is not asked for.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from dwn_hw.errors import OptionError, Problem

NAME = "dwn-hw.toml"

#: What several commands share, and which parameter of which command it is.
SHARED: dict[str, dict[str, str]] = {
    "table": {"train": "samples", "sweep": "table", "fit": "table"},
    "model": {"train": "out", "export": "model", "check": "model"},
    "data": {
        **dict.fromkeys(("export", "check", "verify", "report", "compare", "explain"), "data_file"),
        **dict.fromkeys(("predict", "run"), "samples"),
    },
    "directory": {
        "export": "out",
        **dict.fromkeys(
            ("verify", "prove", "predict", "synth", "build", "program", "run", "board-sim", "explain"), "directory"
        ),
        "report": "directories",
    },
    "board": dict.fromkeys(("export", "check", "build", "program", "fit"), "board"),
}

#: Options that are refused in a file: they run code that stands beside it, or are about one call.
TYPED = {
    "arch": "it runs a file",
    "trust_edited": "it runs Verilog that somebody changed",
    **dict.fromkeys(("as_json", "quiet", "debug", "resume"), "it is about one call"),
}

#: Of each command, values of its parameters.
Defaults = dict[str, dict[str, Any]]

_REMEDY = "docs/project-file.md lists what may stand there."


def find(asked: Path | None) -> Path | None:
    """The file that is meant: the one asked for, or that of the present folder, if there is one."""
    return asked if asked is not None else path if (path := Path(NAME)).is_file() else None


def read(path: Path, commands: Mapping[str, click.Command]) -> Defaults:
    """What the file says, as defaults of each command's parameters; paths are from the file's folder.

    Raises OptionError with everything that is wrong in it.
    """
    try:
        said = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise OptionError(Problem(str(path), "a file in TOML", str(error.strerror), "Check the path.")) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise OptionError(Problem(str(path), "a file in TOML", str(error), "Mend it, or move it away.")) from None
    defaults: Defaults = {}
    problems = []
    for command, name, value in _settings(said):
        table = f"[{command}] " if command else ""
        thing = f"{path.name}: {table}{name}"
        try:
            places = SHARED[_known(name, SHARED)] if command is None else {_known(command, commands): name}
            for of, called in places.items():
                parameter = _parameter(commands[of], called, command is None)
                defaults.setdefault(of, {})[str(parameter.name)] = _value(parameter, value, path.parent)
        except _Refused as refused:
            problems.append(Problem(thing, refused.rule, refused.got, refused.remedy))
    if problems:
        raise OptionError(*problems)
    return defaults


def taken(context: click.Context) -> list[str]:
    """What a command takes from the project file, ``--board icebreaker``, in words."""
    return [
        f"{parameter.opts[-1] if isinstance(parameter, click.Option) else parameter.human_readable_name} {_shown(value)}"
        for parameter in context.command.params
        if context.get_parameter_source(str(parameter.name)) is click.core.ParameterSource.DEFAULT_MAP
        and (value := context.params.get(str(parameter.name))) is not None
    ]


class _Refused(Exception):
    """The rule that a setting breaks, what was got, and the remedy."""

    def __init__(self, rule: str, got: str, remedy: str = _REMEDY) -> None:
        super().__init__(rule)
        self.rule, self.got, self.remedy = rule, got, remedy


def _settings(said: Mapping[str, Any]) -> Iterator[tuple[str | None, str, Any]]:
    """(command, None for what several share; name; value) of each setting."""
    for name, value in said.items():
        if isinstance(value, dict):
            yield from ((name, option, inside) for option, inside in value.items())
        else:
            yield None, name, value


def _known(name: str, names: Collection[str]) -> str:
    if name in names:
        return name
    near = difflib.get_close_matches(name, names, 3)
    raise _Refused(f"one of {', '.join(sorted(names))}", "an unknown name", _did_you_mean(near))


def _did_you_mean(near: list[str]) -> str:
    return f"Did you mean {' or '.join(near)}?" if near else _REMEDY


def _parameter(command: click.Command, name: str, shared: bool) -> click.Parameter:
    """The parameter of ``command`` that a file calls ``name``: as the long option, or, of what is shared, as Python does."""
    if shared:
        return next(each for each in command.params if each.name == name)
    options = {opt.removeprefix("--"): each for each in command.params for opt in each.opts if opt.startswith("--")}
    found = options.get(name.replace("_", "-"))
    if found is None:
        near = difflib.get_close_matches(name.replace("_", "-"), options, 3)
        raise _Refused(f"an option of {command.name}", "no such option", _did_you_mean(near))
    if why := TYPED.get(str(found.name)):
        raise _Refused(f"not in a file: {why}", repr(name), f"Say {found.opts[-1]} on the command line.")
    return found


def _value(parameter: click.Parameter, value: Any, folder: Path) -> Any:
    """The value as the command line would give it."""
    several = parameter.nargs == -1 or bool(getattr(parameter, "multiple", False))
    if several:
        return tuple(_value_of_one(parameter, one, folder) for one in (value if isinstance(value, list) else [value]))
    if isinstance(value, list):  # 1000,500
        value = ",".join(map(str, value))
    return _value_of_one(parameter, value, folder)


def _value_of_one(parameter: click.Parameter, value: Any, folder: Path) -> Any:
    flag = bool(getattr(parameter, "is_flag", False))
    text = isinstance(parameter.type, click.Path | click.Choice) or parameter.type is click.STRING
    if isinstance(value, bool) != flag or not isinstance(value, str if text else str | int | float):
        kind = "true or false" if flag else "text" if text else "a number or text"
        raise _Refused(kind, f"{value!r}", f"Write it as {kind}.")
    if isinstance(parameter.type, click.Path):
        return str(folder / value)
    try:
        parameter.type.convert(value, parameter, None)
    except click.BadParameter as error:
        raise _Refused(f"what {parameter.opts[-1]} takes", error.message.rstrip("."), "Mend it.") from None
    return value


def _shown(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
