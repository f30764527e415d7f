"""Finds the network in a checkpoint, by the user's ``--key`` or by what it holds; several are refused by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dwn_hw.frontend.module_state import Findings, array, class_of, flatten, is_module, state_of
from dwn_hw.frontend.pickles.standins import shown

_TABLES = re.compile(r"(?:.*\.)?luts")

#: Keys under which a model or a state_dict is expected when nothing in it tells, as in a network without a LUT layer.
_MODULES = ("model", "net", "network")
_STATES = ("state_dict", "model_state_dict", "model")

_MOST_DEEP = 4


@dataclass(frozen=True, slots=True)
class Picked:
    """A ``network`` (a module, or a dictionary of arrays of which those that start with ``root`` are its own), and what stands
    ``beside`` it, of which ``used`` are the network itself. ``name``: by which ``--key`` finds it.
    """

    network: Any
    beside: dict[Any, Any]
    used: frozenset[Any]
    root: str = ""
    name: str = ""


def pick(content: Mapping[Any, Any], key: str | None, found: Findings) -> Picked | None:
    """The network of a checkpoint, or None where there is none. Raises CheckpointError for several, or for a key of none."""
    if key is not None:
        picked = _at(content, key, {}) or _root_at(content, key, found)
        if picked is None:
            told = ", ".join(_known(content)) or "none"
            found.add(
                "--key", "must name a network in the checkpoint", f"{key!r}; there are {told}", "Name one of these."
            )
            raise found.error()
        return replace(picked, name=key)
    candidates = [name for name, value in content.items() if _holds(value)]
    if len(candidates) > 1 and not _alike([content[name] for name in candidates]):
        told = ", ".join(shown(name, 40) for name in candidates)
        remedy = f"Say which one: --key {shown(candidates[0], 40)}."
        found.add("", "must hold one network, or be told which", f"several: {told}", remedy)
        raise found.error()
    candidates.sort(key=lambda name: not is_module(content[name]))
    candidates += [name for name in _MODULES if is_module(content.get(name))]
    candidates += [name for name in _STATES if isinstance(content.get(name), Mapping)]
    if not candidates:
        deeper = [name for name in _known(content) if "." in name]
        if deeper:
            told = ", ".join(deeper)
            found.add("", "must hold its network at the top", f"deeper ones: {told}", f"Say --key {deeper[0]}.")
            raise found.error()
        return None
    # Copies of one network, if there are any, are the network as well.
    same = frozenset(name for name in candidates if _holds(content[name])) | {candidates[0]}
    return Picked(content[candidates[0]], dict(content), same, name=shown(candidates[0], 40))


def _at(content: Mapping[Any, Any], key: str, beside: dict[Any, Any]) -> Picked | None:
    """The module or dictionary at a dotted key; what stands beside it on each level, the innermost last."""
    beside = {**beside, **content}
    if is_module(content.get(key)) or isinstance(content.get(key), Mapping):
        return Picked(content[key], beside, frozenset({key}))
    for name, value in content.items():
        inner = state_of(value)["_modules"] if is_module(value) else value
        if isinstance(name, str) and isinstance(inner, Mapping) and key.startswith(f"{name}."):
            around = {k: v for k, v in beside.items() if k != name}
            if is_module(value):  # its other parts are not what stands beside it
                inside = _at(inner, key.removeprefix(f"{name}."), {})
                return inside and Picked(inside.network, around, frozenset())
            found = _at(inner, key.removeprefix(f"{name}."), around)
            root = key.removeprefix(f"{name}.") + "."
            if found is None and any(isinstance(k, str) and k.startswith(root) for k in inner):
                found = Picked(inner, beside, frozenset({name}), root)
            if found is not None:
                return found
    return None


def _root_at(content: Mapping[Any, Any], key: str, found: Findings) -> Picked | None:
    """The arrays below a name, in the one state_dict that has such."""
    root = f"{key}."
    with_root = [
        name
        for name, value in content.items()
        if isinstance(value, Mapping) and any(isinstance(k, str) and k.startswith(root) for k in value)
    ]
    if len(with_root) > 1:
        told = ", ".join(shown(name, 40) for name in with_root)
        found.add("--key", "must name one network", f"{key!r} in {told}", f"Say --key {shown(with_root[0], 40)}.{key}.")
        raise found.error()
    if with_root:
        return Picked(content[with_root[0]], dict(content), frozenset(with_root), root)
    inside = any(isinstance(k, str) and k.startswith(root) and _TABLES.fullmatch(k) for k in content)
    return Picked(content, {}, frozenset(), root) if inside else None


def _known(content: Mapping[Any, Any], prefix: str = "", depth: int = 0) -> list[str]:
    """The dotted names of all networks in a checkpoint, roots of names in a state_dict among them."""
    names: list[str] = []
    for key, value in content.items() if depth < _MOST_DEEP else ():
        name = prefix + shown(key, 40)
        if _holds(value):
            names.append(name)
        elif isinstance(value, Mapping):
            names += _known(value, f"{name}.", depth + 1)
    return names[:20]


def _holds(value: Any) -> bool:
    """Whether something is a network with a LUT layer: a module, or arrays by name."""
    if is_module(value):
        return any(class_of(module)[1] == "LUTLayer" for _, module in flatten(value, Findings("")))
    return isinstance(value, Mapping) and any(isinstance(key, str) and _TABLES.fullmatch(key) for key in value)


def _alike(networks: list[Any]) -> bool:
    """Whether all hold the same tables and wires in the same order: one network, saved twice."""
    first, *others = (_tables(network) for network in networks)
    return all(len(own) == len(first) and all(map(np.array_equal, own, first)) for own in others)


def _tables(network: Any) -> list[Any]:
    """Each layer's tables and mapping, as arrays."""
    if not is_module(network):
        last = ("luts", "mapping", "weights")
        return [
            array(value) for key, value in network.items() if isinstance(key, str) and key.rpartition(".")[2] in last
        ]
    found = []
    for _, module in flatten(network, Findings("")):
        state = state_of(module)
        if class_of(module)[1] == "LUTLayer":
            mapping = state.get("mapping")
            wires = mapping if array(mapping) is not None else state_of(mapping).get("weights")
            found += [array(wires), array(state.get("luts"))]
    return found
