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

#: The classes of modules that only pass on to their one child: for several devices, compiled, or averaged over steps.
WRAPPERS = ("DataParallel", "DistributedDataParallel", "OptimizedModule", "AveragedModel")

#: The classes of modules that only pass on to their children, one after the other.
_CONTAINERS = ("Sequential", *WRAPPERS)

#: Text that says a switch, as command lines and files of settings do.
_SWITCHES = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}

#: A position, such as ``1.0``, and the layer there.
Layer: TypeAlias = tuple[str, Any]

#: The attributes of an object, by name; whatever a file holds.
State: TypeAlias = dict[str, Any]


class Findings:
    """Collects every problem of one model, to raise them together; and what was assumed, and what was not used."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.problems: list[Problem] = []
        self.assumed: list[str] = []
        self.unused: list[str] = []

    def assume(self, what: str) -> None:
        """Note what the model does not say, and what is taken in its place."""
        self.assumed.append(what)

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


def unwrapped(model: Any) -> Any:
    """The module inside wrappers that only pass on to it (:data:`WRAPPERS`), or what is no wrapper as it is."""
    while class_of(model)[1] in WRAPPERS and isinstance(children := state_of(model).get("_modules"), dict):
        if len(children) != 1:
            return model
        (model,) = children.values()
    return model


def arrays_of(model: object) -> dict[str, Any]:
    """The parameters and buffers of a module by name, as its ``state_dict()`` has them."""
    found: dict[str, Any] = {}
    waiting: list[tuple[str, object, int]] = [("", model, 0)]
    while waiting:
        prefix, module, depth = waiting.pop()
        own = getattr(module, "__dict__", {})
        hidden = own.get("_non_persistent_buffers_set") or ()
        for group in ("_parameters", "_buffers"):
            for name, value in mapping(own.get(group)).items():
                if value is not None and name not in hidden:
                    found[f"{prefix}{name}"] = value
        if depth < _MAX_DEPTH and len(waiting) < _MAX_LAYERS:
            waiting += [(f"{prefix}{n}.", child, depth + 1) for n, child in mapping(own.get("_modules")).items()]
    return found


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


def switch(value: object) -> bool | None:
    """A switch, from whatever says one: a boolean of any library, 0 or 1, a tensor with one of them, or a word; else None."""
    if isinstance(value, str):
        return _SWITCHES.get(value.strip().lower())
    values = array(value)
    if values is None or values.size != 1 or values.item() not in (0, 1):
        return None
    return bool(values.item())


def settings(value: object) -> dict[Any, Any] | None:
    """The names and values of settings: a dictionary, a namespace, a dataclass, or a configuration of OmegaConf's; else None."""
    if isinstance(value, Mapping):
        return {key: _plain_setting(item) for key, item in value.items()}
    state = state_of(value)
    if isinstance(value, type) or not state or "_modules" in state:
        return None
    inside = state.get("_content")  # of OmegaConf's, which keeps each value in a node of its own
    if isinstance(inside, dict):
        return {key: _plain_setting(item) for key, item in inside.items()}
    return {key: _plain_setting(item) for key, item in state.items() if not key.startswith("__")}


def _plain_setting(value: object) -> Any:
    state = state_of(value)
    if "_val" in state:
        return state["_val"]
    if isinstance(inside := state.get("_content"), list):
        return [_plain_setting(item) for item in inside]
    return value


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
