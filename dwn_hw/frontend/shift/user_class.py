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

import torch

from dwn_hw.errors import CheckpointError, OptionError, Problem
from dwn_hw.frontend import checkpoints
from dwn_hw.frontend.module_state import Findings, array
from dwn_hw.frontend.pickles.standins import AnyArray, shown
from dwn_hw.frontend.shift.trained_shift import ShiftModel

#: The keys under which a wrapper of a whole checkpoint keeps the state_dict.
_WRAPPERS = ("state_dict", "model_state_dict", "model", "net")

#: What torch.nn.DataParallel puts before every name.
_PARALLEL = "module."

_EXAMPLE = "Say FILE.py:CLASS, as in nets.py:ConvMNIST."


def load(weights: str | os.PathLike[str], arch: str) -> ShiftModel:
    """Load the network that ``arch`` (``FILE.py:CLASS``) names, with the weights of a ``.pt`` or ``.pth`` file, for inference.

    ``CLASS`` is a class of :class:`torch.nn.Module` or a function that gives one, called without arguments. Raises OptionError
    for what is wrong with ``arch``, CheckpointError for weights that do not fit, with every name and shape that differs.
    """
    name = shown(Path(weights).name)
    state = _state_dict(checkpoints.read(weights), name)
    module = _build(arch)
    _fill(module, state, f"{name} as {arch.rpartition(':')[2]}")
    return ShiftModel(module.eval(), f"{name}: state_dict of {arch.rpartition(':')[2]}")


def _state_dict(content: Any, name: str) -> dict[str, AnyArray]:
    """The arrays by name, out of whatever wraps them."""
    for key in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    arrays = {str(key): array(value) for key, value in content.items()} if isinstance(content, Mapping) else {}
    found = {key: value for key, value in arrays.items() if value is not None}
    if not found or len(found) != len(arrays):
        other = sorted(set(arrays) - set(found))
        got = f"entries that are no tensors ({', '.join(map(shown, other[:3]))})" if found else "no tensors"
        remedy = 'Save it with torch.save(model.state_dict(), "weights.pth").'
        raise CheckpointError(Problem(name, "must hold a state_dict, for --arch", got, remedy))
    if all(key.startswith(_PARALLEL) for key in found):
        found = {key.removeprefix(_PARALLEL): value for key, value in found.items()}
    return found


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
