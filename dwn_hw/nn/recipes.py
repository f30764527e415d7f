"""The kinds of networks that are trained, and the recipe of each: which settings there are, and what they are by default."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy.typing as npt

from dwn_hw.errors import OptionError, Problem
from dwn_hw.nn import gate_recipe, recipe, shift_recipe
from dwn_hw.nn.gate_recipe import GateRecipe
from dwn_hw.nn.recipe import Recipe
from dwn_hw.nn.shift_recipe import ShiftRecipe

#: Every recipe, for a ``match`` that mypy checks to be complete.
AnyRecipe: TypeAlias = Recipe | GateRecipe | ShiftRecipe

#: The kinds by name; the first is the default.
KINDS: dict[str, type[AnyRecipe]] = {"dwn": Recipe, "shift": ShiftRecipe, "difflogic-like": GateRecipe}


def settings(kind: str) -> tuple[str, ...]:
    """The names of a kind's settings. Raises OptionError for a kind that is unknown."""
    if kind not in KINDS:
        near = ", ".join(difflib.get_close_matches(kind, KINDS, 3, 0.3)) or "none"
        rule = f"one of {', '.join(KINDS)}"
        raise OptionError(Problem("--kind", rule, f"{kind!r}; near it: {near}", "Choose one of them."))
    return tuple(field.name for field in dataclasses.fields(KINDS[kind]))


def for_data(kind: str, x: npt.NDArray[Any], classes: int, asked: Mapping[str, Any]) -> AnyRecipe:
    """The recipe of a kind for samples ``x`` (samples, features) of so many classes: as ``asked``, the rest (None) by rule."""
    given = {name: value for name, value in asked.items() if value is not None}
    _check(kind, given)
    made = KINDS[kind]
    if made is ShiftRecipe:
        return shift_recipe.for_data(x, classes, given)
    if made is GateRecipe:
        return gate_recipe.for_data(x, classes, given)
    return recipe.for_data(x, classes, **given)


def _check(kind: str, given: Mapping[str, Any]) -> None:
    """Refuse what the kind has not, with what is near it and which kinds have it."""
    known = settings(kind)
    problems = []
    for name in sorted(given.keys() - set(known)):
        owners = [other for other in KINDS if name in settings(other)]
        near = ", ".join(difflib.get_close_matches(name, known, 3, 0.3)) or "none"
        got = f"{name!r}; near it: {near}"
        remedy = f"It belongs to --kind {' or '.join(owners)}." if owners else f"Known: {', '.join(known)}."
        problems.append(Problem(f"--kind {kind}", "no such setting of a recipe", got, remedy))
    if problems:
        raise OptionError(*problems)


def kind_of(given: AnyRecipe) -> str:
    """The kind of a recipe."""
    return next(kind for kind, made in KINDS.items() if type(given) is made)


def plain(given: AnyRecipe) -> dict[str, Any]:
    """A recipe as plain values, its kind first."""
    fields = ((name, getattr(given, name)) for name in settings(kind_of(given)))
    return {"kind": kind_of(given)} | {k: list(v) if isinstance(v, tuple) else v for k, v in fields}


def differences(stored: Mapping[str, Any], other: AnyRecipe) -> list[str]:
    """What differs between a recipe as :func:`plain` stored it and another, in words."""
    now = plain(other)
    first = str(stored.get("kind", "dwn"))
    if first != now["kind"]:
        return [f"kind {first} and {now['kind']}"]
    names = [*now, *(name for name in stored if name not in now)]
    pairs = ((name, _shown(stored, name), _shown(now, name)) for name in names if name != "kind")
    return [f"{name} {before} and {after}" for name, before, after in pairs if before != after]


def _shown(values: Mapping[str, Any], name: str) -> Any:
    value = values.get(name, "none")
    return tuple(value) if isinstance(value, list) else value
