"""Looks into live modules and inert stand-ins in one way, and collects what was found wrong.

Only instance dictionaries are read (``__dict__`` and the dictionaries of parameters, buffers and submodules
in it); no attribute of a model is ever looked up through its class, so that none of its code runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from dwn_hw.errors import CheckpointError, Problem
from dwn_hw.frontend.pickles.standins import AnyArray, Array, Inert, shown

_MAX_LAYERS = 1000
_MAX_DEPTH = 20

#: The classes of modules that only pass on to their children, one after the other.
_CONTAINERS = ("Sequential", "DataParallel")

#: A position, such as ``1.0``, and the layer there.
Layer: TypeAlias = tuple[str, Any]

#: The attributes of an object, by name; whatever a file holds.
State: TypeAlias = dict[str, Any]


class Findings:
    """Collects every problem of one model, to raise them together."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.problems: list[Problem] = []

    def add(self, part: str, rule: str, got: str, remedy: str) -> None:
        """Add a problem with a ``part`` of the model, or with the whole where ``part`` is empty."""
        thing = f"{self.source}, {part}" if part else self.source
        self.problems.append(Problem(thing, rule, got, remedy))

    def error(self) -> CheckpointError:
        """All problems as one exception."""
        return CheckpointError(*self.problems)

    def stop(self) -> None:
        """Raise the problems, if there are any."""
        if self.problems:
            raise self.error()


def class_of(thing: object) -> tuple[str, str]:
    """The module and the name of the class of ``thing``, real or stood in for."""
    if isinstance(thing, Inert):
        return thing.module, thing.class_name
    return type(thing).__module__, type(thing).__name__


def full_name(thing: object) -> str:
    """The text ``module.Class`` for a message."""
    return shown(".".join(class_of(thing)))


def state_of(thing: object) -> State:
    """The attributes of a module, parameters, buffers and submodules included."""
    own = getattr(thing, "__dict__", None)
    if not isinstance(own, dict):
        return {}
    state = {key: value for key, value in own.items() if isinstance(key, str)}
    for group in ("_parameters", "_buffers", "_modules"):
        if isinstance(state.get(group), dict):
            state.update(state[group])
    return state


def is_module(thing: object) -> bool:
    """Whether something is a ``torch.nn.Module``, live or stood in for."""
    return isinstance(state_of(thing).get("_modules"), dict)


def flatten(model: object, found: Findings) -> list[Layer]:
    """The layers of nested ``Sequential``s in order, each with its position, such as ``1.0``."""
    layers: list[Layer] = []
    waiting: list[tuple[str, Any, int]] = [("", model, 0)]
    while waiting:
        position, module, depth = waiting.pop()
        children = state_of(module).get("_modules")
        if class_of(module)[1] not in _CONTAINERS or not isinstance(children, dict):
            layers.append((position, module))
        elif depth < _MAX_DEPTH:
            prefix = f"{position}." if position else ""
            inside = [(f"{prefix}{shown(name, 40)}", child, depth + 1) for name, child in children.items()]
            waiting.extend(reversed(inside))
        if depth >= _MAX_DEPTH or len(layers) > _MAX_LAYERS or len(waiting) > _MAX_LAYERS:
            rule = f"must have at most {_MAX_LAYERS} layers, nested at most {_MAX_DEPTH} deep"
            found.add("", rule, "more", "Put the layers into one torch.nn.Sequential.")
            return []
    return layers


def array(value: object) -> AnyArray | None:
    """The NumPy array of a tensor, an array, a number or a flat list of numbers; None for anything else."""
    if isinstance(value, Array):
        value = value.value
    if isinstance(value, np.ndarray | np.generic):
        return _numbers(np.asarray(value))
    if type(value) in (float, bool) or (type(value) is int and whole(value) is not None):
        return _numbers(np.asarray(value))
    if isinstance(value, list | tuple):
        plain = all(type(item) is float or whole(item) is not None for item in value)
        return _numbers(np.asarray(value)) if plain else None
    if not hasattr(type(value), "detach"):
        return None
    try:
        return _numbers(np.asarray(_from_torch(value)))
    except (TypeError, RuntimeError, ValueError):
        return None  # sparse, quantized, or on a device without data


def _from_torch(tensor: Any) -> AnyArray:
    tensor = tensor.detach().cpu()
    numbers: AnyArray = (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy()
    return numbers


def _numbers(values: AnyArray) -> AnyArray | None:
    """Numbers in native byte order; half precision as float32, which holds each of its values."""
    if values.dtype.kind not in "fiub" or values.dtype.itemsize > 8:
        return None
    return values.astype(np.float32) if values.dtype == np.float16 else values.astype(values.dtype.newbyteorder("="))


def whole(value: object) -> int | None:
    """An integer, from a Python or NumPy integer or a tensor that holds one; None for anything else."""
    if isinstance(value, bool | float | list | tuple):
        return None
    if isinstance(value, int):
        return value if abs(value) < 1 << 63 else None
    values = array(value)
    return int(values.item()) if values is not None and values.size == 1 and values.dtype.kind in "iu" else None


def flag(value: object, default: bool) -> bool:
    """The value of a switch; ``default`` for what is no switch."""
    return bool(value) if isinstance(value, bool | np.bool_) else default


def text_list(value: object) -> tuple[str, ...] | None:
    """Names, from a list, tuple or array of text or integers; None for anything else."""
    if isinstance(value, Array):
        value = value.value
    if isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype.kind in "UOiu":
        value = value.tolist()
    if not isinstance(value, list | tuple) or not all(
        isinstance(item, str) or whole(item) is not None for item in value
    ):
        return None
    return tuple(str(item) for item in value)


def mapping(value: object) -> Mapping[Any, Any]:
    """``value`` if it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}
