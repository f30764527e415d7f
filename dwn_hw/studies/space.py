"""The space of a study: which settings of a training and of an export are tried, and with which values.

A setting has one value, several to choose among, or a range. It is said in TOML, ``bits = 8``, ``bits = [4, 8, 16]``, or
``bits = {from = 4, to = 32, log = true}``; in the tables ``train`` and ``export``, by the names of their options. Everything
that is wrong with a space is said at once.
"""

from __future__ import annotations

import dataclasses
import difflib
import itertools
import math
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from dwn_hw._json import Document, Json
from dwn_hw.errors import OptionError, Problem, in_words
from dwn_hw.exports.options import Options

#: The value of a setting; widths of layers are a tuple.
Value: TypeAlias = bool | int | float | str | tuple[int, ...]

#: The settings of an export that change what it takes, or how often it is right.
_EXPORT = (
    *("target", "encoder", "shell", "latency", "clock_mhz", "input_format", "max_drop", "optimize"),
    *("lanes", "activations", "weights"),
)

#: The names of a range, and the words for a type.
_RANGE = {"from", "to", "log"}
_WORDS = {
    "int": "whole numbers",
    "float": "numbers",
    "bool": "true or false",
    "str": "texts",
    "tuple[int, ...]": "whole numbers, or lists of them, a number for each layer",
}


@dataclass(frozen=True, slots=True)
class Choices:
    """One value, or several to choose among."""

    values: tuple[Value, ...]

    def plain(self) -> Json:
        """As JSON holds it."""
        return [list(value) if isinstance(value, tuple) else value for value in self.values]


@dataclass(frozen=True, slots=True)
class Between:
    """All numbers from ``low`` to ``high``, whole ones where both are; ``log``: as many below a mean of factors as above it."""

    low: float
    high: float
    log: bool

    @property
    def values(self) -> tuple[Value, ...]:
        """The ends."""
        return (self.low, self.high)

    def plain(self) -> Json:
        """As JSON holds it."""
        return {"from": self.low, "to": self.high, "log": self.log}


Dimension: TypeAlias = Choices | Between


@dataclass(frozen=True, slots=True)
class Space:
    """The settings of a training of a ``kind`` of network, and those of an export, with what is tried of each."""

    kind: str
    train: Mapping[str, Dimension]
    export: Mapping[str, Dimension]

    @property
    def dimensions(self) -> dict[str, Dimension]:
        """Those that have more than one value."""
        return {name: own for name, own in {**self.train, **self.export}.items() if len(set(own.values)) > 1}

    @property
    def size(self) -> float:
        """How many points there are; infinitely many where there is a range."""
        sizes = (len(own.values) if isinstance(own, Choices) else math.inf for own in self.dimensions.values())
        return math.prod(sizes)

    def points(self) -> Iterator[dict[str, Value]]:
        """All points of a space that is finite: a value for each of its :attr:`dimensions`."""
        names = list(self.dimensions)
        for values in itertools.product(*(self.dimensions[name].values for name in names)):
            yield dict(zip(names, values, strict=True))

    def point(self, plain: Mapping[str, Any]) -> dict[str, Value]:
        """A point as it was before JSON made lists of widths."""
        return {name: tuple(value) if isinstance(value, list) else value for name, value in plain.items()}

    def settings(self, point: Mapping[str, Value]) -> tuple[dict[str, Any], dict[str, Any]]:
        """What a training and what an export is asked at a point."""
        found = [
            {name: point.get(name, own.values[0]) for name, own in part.items()} for part in (self.train, self.export)
        ]
        return found[0], found[1]

    def plain(self) -> Document:
        """As JSON holds it, and :func:`parse` takes it."""
        parts = {"train": self.train, "export": self.export}
        return {name: {key: own.plain() for key, own in part.items()} for name, part in parts.items()}


def read(path: Path) -> Mapping[str, Any]:
    """The space in a TOML file, not yet looked at. Raises OptionError."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        remedy = "Give a file with the tables [train] and [export]."
        raise OptionError(Problem(str(path), "a space in TOML", in_words(error), remedy)) from None


def known(kind: str) -> dict[str, dict[str, str]]:
    """The names of the settings that a space may have, in ``train`` and in ``export``, each with the type of its values."""
    from dwn_hw.nn import recipes

    recipes.settings(kind)  # refuses a kind that is unknown
    train = {field.name: str(field.type) for field in dataclasses.fields(recipes.KINDS[kind])}
    train.pop("seed")
    types = {field.name: str(field.type).removesuffix(" | None") for field in dataclasses.fields(Options)}
    return {"train": {**train, "budget_lut": "int"}, "export": {name: types[name] for name in _EXPORT}}


def parse(said: Mapping[str, Any], kind: str | None = None) -> Space:
    """The space that was said, of a ``kind`` of networks (None: the one that it says, else ``dwn``).

    Raises OptionError with everything that keeps it from being one; whether the values are good, :mod:`check_space` knows.
    """
    train = said.get("train", {})
    own = train.get("kind", "dwn") if isinstance(train, Mapping) else "dwn"
    chosen = kind or str(own)
    names, problems = known(chosen), []
    parts: dict[str, dict[str, Dimension]] = {"train": {}, "export": {}}
    if kind and isinstance(train, Mapping) and train.get("kind", kind) != kind:
        problems.append(Problem("kind", "one of --kind and the space's", f"{kind} and {own}", "Leave one of them out."))
    for part, settings in said.items():
        if part not in parts or not isinstance(settings, Mapping):
            problems.append(Problem(str(part), "the tables [train] and [export]", _told(settings), "Move it into one."))
            continue
        for name, values in settings.items():
            if part == "train" and name == "kind":
                continue
            found = _dimension(f"{part}.{name}", name, values, names[part], names)
            if isinstance(found, Problem):
                problems.append(found)
            else:
                parts[part][name] = found
    if problems:
        raise OptionError(*problems)
    return Space(chosen, parts["train"], parts["export"])


def _dimension(
    thing: str, name: str, said: Any, types: Mapping[str, str], all_names: Mapping[str, Mapping[str, str]]
) -> Dimension | Problem:
    if name not in types:
        return _unknown(thing, name, types, all_names)
    kind = types[name]
    if isinstance(said, Mapping):
        return _range(thing, said, kind)
    given = said if isinstance(said, list | tuple) else [said]
    rule = f"{_WORDS[kind]}, one or several"
    if not given:
        return Problem(thing, rule, "an empty list", "Give a value, or leave it out.")
    values = [_value(value, kind) for value in given]
    odd = [_told(value) for value, found in zip(given, values, strict=True) if found is None]
    if odd:
        return Problem(thing, rule, ", ".join(odd[:5]), "Mend these.")
    return Choices(tuple(dict.fromkeys(value for value in values if value is not None)))


def _unknown(thing: str, name: str, types: Mapping[str, str], all_names: Mapping[str, Mapping[str, str]]) -> Problem:
    if name == "seed":
        return Problem(thing, "no setting of a space", "seed", "Say --seed; each trial has its own, made of it.")
    if other := next((part for part, names in all_names.items() if name in names), None):
        return Problem(thing, f"a setting of [{other}]", "in the other table", f"Move it to [{other}].")
    near = ", ".join(difflib.get_close_matches(name, types, 3, 0.5))
    remedy = f"Did you mean {near}?" if near else f"Known: {', '.join(types)}."
    return Problem(thing, "a setting that is known", repr(name), remedy)


def _range(thing: str, said: Mapping[str, Any], kind: str) -> Dimension | Problem:
    rule = "a range {from = 4, to = 32}, with log = true where factors count"
    own = "int" if kind.startswith("tuple") else kind
    if own not in ("int", "float"):
        return Problem(thing, f"{_WORDS[kind]}, one or several", "a range", "Give a list.")
    if strange := sorted(map(str, said.keys() - _RANGE)):
        return Problem(thing, rule, f"{', '.join(strange)} as well", "Leave that out.")
    low, high, log = (_value(said.get("from"), own), _value(said.get("to"), own), said.get("log", False))
    if not isinstance(low, int | float) or not isinstance(high, int | float) or not isinstance(log, bool):
        return Problem(thing, f"{rule}, of {_WORDS[own]}", _told(dict(said)), "Give both ends.")
    if low >= high or (log and low <= 0):
        above = " above 0" if log and low <= 0 else ""
        return Problem(thing, f"a range from less to more{above}", f"{low:g} to {high:g}", "Mend its ends.")
    return Between(low, high, log)


def _value(given: Any, kind: str) -> Value | None:
    """A value of a type, or None where it is none."""
    match kind:
        case "bool":
            return given if isinstance(given, bool) else None
        case "str":
            return given if isinstance(given, str) and given else None
        case "int":
            return given if isinstance(given, int) and not isinstance(given, bool) else None
        case "float":
            good = isinstance(given, int | float) and not isinstance(given, bool) and math.isfinite(given)
            return float(given) if good else None
        case _:
            widths = tuple(given) if isinstance(given, list | tuple) else (given,)
            whole = all(isinstance(width, int) and not isinstance(width, bool) for width in widths)
            return widths if widths and whole else None


def _told(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:58]}…"


def of_texts(given: Mapping[str, tuple[str, ...]], kind: str) -> dict[str, Any]:
    """A space of options that were repeated, ``4``, ``8`` or a range ``4..32`` or ``4..32:log``, in the form of TOML."""
    types = known(kind)
    found: dict[str, Any] = {"train": {}, "export": {}}
    for name, texts in given.items():
        part = "export" if name in types["export"] else "train"
        read = [_of_text(text, types[part].get(name, "str")) for text in texts]
        if read:
            found[part][name] = read[0] if len(read) == 1 and isinstance(read[0], dict) else read
    return {part: settings for part, settings in found.items() if settings}


def varies(space: Mapping[str, Any]) -> bool:
    """Whether some setting of a space, in the form of TOML, has several values."""
    values = [own for settings in space.values() for own in settings.values()]
    return any(isinstance(own, Mapping) or len(own) > 1 for own in values)


def _of_text(text: str, kind: str) -> Any:
    """What a text says, for a setting of a type; what cannot be read stays a text, and is refused as that."""
    ends, _, how = text.partition(":")
    low, dots, high = ends.partition("..")
    if dots and how in ("", "log") and not kind.startswith("str"):
        return {"from": _number(low), "to": _number(high)} | ({"log": True} if how else {})
    if kind.startswith("tuple"):
        return [_number(width) for width in text.split(",")]
    if kind == "bool":
        return {"yes": True, "no": False}.get(text, text)
    return text if kind == "str" else _number(text)


def _number(text: str) -> Any:
    for read_as in (int, float):
        try:
            return read_as(text)
        except ValueError:
            continue
    return text
