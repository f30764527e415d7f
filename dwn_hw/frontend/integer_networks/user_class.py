"""Loads the user's own class, ``--arch FILE.py:CLASS``, with the weights of a state_dict.

The file is Python and is run, because the user named it. The weights are data and stay data: they come through
:mod:`dwn_hw.frontend.checkpoints`, which executes nothing.
"""

from __future__ import annotations

import difflib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dwn_hw.errors import CheckpointError, OptionError, Problem
from dwn_hw.frontend import checkpoints
from dwn_hw.frontend.integer_networks.trained_network import LiveModel
from dwn_hw.frontend.module_state import Findings, array, arrays_of, is_module, unwrapped
from dwn_hw.frontend.pickles.standins import AnyArray, shown

_MOST_DEEP = 4

_EXAMPLE = "Say FILE.py:CLASS, as in nets.py:ConvMNIST."


def load(weights: str | os.PathLike[str], arch: str, key: str | None = None) -> LiveModel:
    """Load the network that ``arch`` (``FILE.py:CLASS``) names, with the weights of a file, for inference.

    The file holds a state_dict, or the whole module, whose class is taken from ``arch`` all the same; ``key`` says which, where
    there are several. ``CLASS`` is a class of :class:`torch.nn.Module` or a function that gives one, called without arguments.
    Raises OptionError for what is wrong with ``arch``, CheckpointError for weights that do not fit, with every name and shape
    that differs.
    """
    name = shown(Path(weights).name)
    content = checkpoints.read(weights)
    module = unwrapped(_build(arch))
    state = _state_dict(content, set(module.state_dict()), key, name)
    _fill(module, state, f"{name} as {arch.rpartition(':')[2]}")
    return LiveModel(module.eval(), f"{name}: state_dict of {arch.rpartition(':')[2]}")


def _state_dict(content: Any, wanted: set[str], key: str | None, name: str) -> dict[str, AnyArray]:
    """The arrays with the ``wanted`` names, of the one network in the file that has them, or that ``key`` names."""

    def refuse(thing: str, rule: str, got: str, remedy: str) -> CheckpointError:
        return CheckpointError(Problem(thing, rule, got, remedy))

    every = {place: arrays for place, arrays in _networks(content) if arrays}
    found = _fitting(every, wanted) or every
    told = ", ".join(shown(place or "(the top)") for place in found) or "none"
    if key is not None:
        named = [place for place in found if place == key or place.endswith(f".{key}")]
        if len(named) != 1:
            raise refuse("--key", "must name a network in the file", f"{key!r}; there are {told}", "Name one of these.")
        return found[named[0]]
    if len(found) > 1 and not _equal(list(found.values())):
        remedy = f"Say which one: --key {shown(next(place for place in found if place))}."
        raise refuse(name, "must hold one network of that class, or be told which", f"several: {told}", remedy)
    if found:
        return next(iter(found.values()))
    remedy = 'Save it with torch.save(model.state_dict(), "weights.pth").'
    raise refuse(name, "must hold a state_dict, for --arch", _instead(content), remedy)


def _fitting(every: dict[str, dict[str, AnyArray]], wanted: set[str]) -> dict[str, dict[str, AnyArray]]:
    """The networks with all ``wanted`` names, also below a root that a wrapper or a larger module puts before them."""
    sample = min(wanted, default="")
    found = {}
    for place, arrays in every.items():
        for root in sorted({name.removesuffix(sample) for name in arrays if f".{name}".endswith(f".{sample}")}):
            if all(root + name in arrays for name in wanted):
                own = {name.removeprefix(root): value for name, value in arrays.items() if name.startswith(root)}
                found[f"{place}.{root}".strip(".")] = own
    return found


def _networks(content: Any, place: str = "", depth: int = 0) -> Iterator[tuple[str, dict[str, AnyArray]]]:
    """Every module and every dictionary of arrays in a checkpoint, by its dotted place."""
    if is_module(content):
        inside = {key: array(value) for key, value in arrays_of(content).items()}
        yield place, {key: value for key, value in inside.items() if value is not None}
    elif isinstance(content, Mapping) and depth < _MOST_DEEP:
        arrays = {str(key): array(value) for key, value in content.items()}
        plain = {key: value for key, value in arrays.items() if value is not None}
        if plain and len(plain) == len(arrays):
            yield place, plain
        for key, value in content.items():
            yield from _networks(value, f"{place}.{shown(key, 40)}".strip("."), depth + 1)


def _equal(states: list[dict[str, AnyArray]]) -> bool:
    """Whether all hold the same arrays: one network, saved twice."""
    first = states[0]
    return all(own.keys() == first.keys() and all(np.array_equal(own[k], first[k]) for k in own) for own in states[1:])


def _instead(content: Any) -> str:
    """What a file holds in place of a network."""
    entries = content if isinstance(content, Mapping) else {}
    other = [shown(key) for key, value in entries.items() if array(value) is None]
    return f"entries that are no tensors ({', '.join(other[:3])})" if len(other) < len(entries) else "no tensors"


def _build(arch: str) -> torch.nn.Module:
    file, _, name = arch.rpartition(":")
    if not file or not name.isidentifier():
        raise OptionError(Problem("--arch", "a file and a class", repr(arch), _EXAMPLE))
    path = Path(file)
    if not path.is_file():
        raise OptionError(Problem("--arch", "a file that exists", shown(file), _EXAMPLE))
    made = _run(f"{name}() of {path.name}", _named(_import(path), name, path))
    if not isinstance(made, torch.nn.Module):
        got = f"{name}, which gives a {type(made).__name__}"
        raise OptionError(Problem("--arch", "a class of torch.nn.Module, or a function that gives one", got, _EXAMPLE))
    return made


def _import(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"dwn_hw_arch_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise OptionError(Problem("--arch", "a Python file", path.name, _EXAMPLE))
    module = importlib.util.module_from_spec(spec)
    loader = spec.loader
    with _beside(path):
        _run(path.name, lambda: loader.exec_module(module))
    return module


@contextmanager
def _beside(path: Path) -> Iterator[None]:
    """Let the file import what lies beside it."""
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


def _run(what: str, action: Callable[[], Any]) -> Any:
    """Run code of the user: whatever it raises is a problem of that file."""
    try:
        return action()
    except Exception as error:  # noqa: BLE001 - any exception that their code may raise
        got = f"{type(error).__name__}: {shown(str(error))}"
        remedy = (
            "Mend it; dwn_hw.nn has LinearShift, Conv2dShift, LinearShiftQ and Conv2dShiftQ under upstream's names."
        )
        if isinstance(error, TypeError) and "argument" in str(error):
            remedy = "Name a class or function that needs no arguments: def mine(): return Net(10)."
        raise OptionError(Problem(f"--arch, {what}", "must run without an error", got, remedy)) from None


def _named(module: Any, name: str, path: Path) -> Any:
    """The class or function ``name`` of the user's module; else an error names those that are there."""
    if callable(getattr(module, name, None)):
        return getattr(module, name)
    own = [
        key
        for key, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, torch.nn.Module) and value.__module__ == module.__name__
    ]
    nearest = difflib.get_close_matches(name, own, n=3, cutoff=0.4) or own[:5]
    remedy = f"Nearest: {', '.join(nearest)}." if nearest else "It holds no class of torch.nn.Module."
    raise OptionError(Problem("--arch", f"a class of {path.name}", repr(name), remedy))


def _fill(module: torch.nn.Module, state: dict[str, AnyArray], thing: str) -> None:
    """Load the weights, or list every one that does not fit."""
    wanted = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    found = Findings(thing)
    remedy = "Name the class that the weights were trained with, with the same arguments."
    for key in sorted(set(wanted) - set(state)):
        near = difflib.get_close_matches(key, sorted(set(state) - set(wanted)), n=1)
        hint = f" The file has {near[0]}." if near else ""
        found.add(key, f"must be in the file, of shape {wanted[key]}", "no such name", remedy + hint)
    for key in sorted(set(state) - set(wanted)):
        found.add(shown(key), "must belong to a layer of the class", f"an array of shape {state[key].shape}", remedy)
    for key in sorted(set(state) & set(wanted)):
        if state[key].shape != wanted[key]:
            found.add(key, f"must be of shape {wanted[key]}", f"{state[key].shape}", remedy)
    found.stop()
    module.load_state_dict({key: torch.from_numpy(value.copy()) for key, value in state.items()})
