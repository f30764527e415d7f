"""``interface.json``: an :class:`dwn_hw.hardware.interface.Interface` as a JSON document, and back, strictly.

The document has the fields of the interface under their names and in their order. Two things are otherwise: the settings of
the kind of hardware stand beside the other keys, and ``kind`` says whose they are.
"""

from __future__ import annotations

import dataclasses
import functools
import types
from collections.abc import Mapping
from typing import Any, Union, get_args, get_origin, get_type_hints

from dwn_hw.hardware.interface import Interface, Settings
from dwn_hw.hardware.shell_facts import SHELLS

#: The settings of each kind of hardware.
_SETTINGS: dict[str, type[Settings]] = {kind.kind: kind for kind in get_args(Settings)}

#: Of what is wrong with a document, so much is said.
_SHOWN = 5

#: What a value of JSON is called.
_NAMES: dict[type, str] = {str: "a string", int: "an integer", bool: "true or false"}


def to_json(interface: Interface) -> dict[str, Any]:
    """As plain values, in the order of the document."""
    document: dict[str, Any] = {}
    for field in _shown(interface):
        value = getattr(interface, field.name)
        if field.name == "shell":
            document["kind"] = interface.kind
        document |= _plain(value) if field.name == "settings" else {field.name: _plain(value)}
    return document


def _shown(record: Any) -> list[dataclasses.Field[Any]]:
    """The fields that are in the document: one with the default None is left out where it is None."""
    fields = dataclasses.fields(record)
    return [field for field in fields if field.default is not None or getattr(record, field.name) is not None]


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in _shown(value)}
    return [_plain(each) for each in value] if isinstance(value, tuple) else value


def from_json(document: object) -> Interface:
    """The interface that a document says. Raises ValueError that names every key which is missing, unknown or of a wrong
    type: ``no input.features[2].step``.
    """
    if not isinstance(document, dict):
        raise ValueError("no object of JSON")
    settings = _one_of(document, "kind", _SETTINGS)
    wrapper = _one_of(document, "shell", {name: shell.wrapper for name, shell in SHELLS.items()})
    own, general = dict(_keys(settings)), dict(_keys(Interface))
    del general["settings"], general["wrapper"]
    if wrapper is not None:
        general["wrapper"] = _Key(wrapper)
    faults = _faults_of_object(general | own | {"kind": _Key(str)}, document, "")
    if faults:
        more = f" and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        raise ValueError(", ".join(faults[:_SHOWN]) + more)
    return Interface(settings=settings(**_values(own, document)), **_values(general, document))


@dataclasses.dataclass(frozen=True, slots=True)
class _Key:
    """What stands at a key: the type of its value, which is never null where it ``may_lack``."""

    type: Any
    may_lack: bool = False


@functools.cache
def _keys(record: type) -> Mapping[str, _Key]:
    """The keys of the object that a dataclass is written as."""
    hints, keys = get_type_hints(record), {}
    for field in dataclasses.fields(record):
        may_lack = field.default is None
        keys[field.name] = _Key(_not_null(hints[field.name]) if may_lack else hints[field.name], may_lack)
    return keys


def _one_of(document: Mapping[str, object], key: str, known: Mapping[str, Any]) -> Any:
    """What the name at a key stands for."""
    name = document.get(key)
    if key not in document:
        raise ValueError(f"no {key}")
    if not isinstance(name, str) or name not in known:
        raise ValueError(f"{key} {_shortly(name)}, which is none of {', '.join(known)}")
    return known[name]


def _faults_of_object(keys: Mapping[str, _Key], found: Mapping[str, object], where: str) -> list[str]:
    """What keeps an object from having these keys and no others, each fault beginning with its place."""
    faults = []
    for name, key in keys.items():
        if name in found:
            faults += _faults(key.type, found[name], f"{where}{name}")
        elif not key.may_lack:
            faults.append(f"no {where}{name}")
    return faults + [f"{where}{name}, which is unknown" for name in found if name not in keys]


def _faults(wanted: Any, value: object, where: str) -> list[str]:
    """What keeps a value from being of a type."""
    if dataclasses.is_dataclass(wanted) and isinstance(wanted, type):
        if not isinstance(value, dict):
            return [f"{where} {_shortly(value)}, which is no object"]
        return _faults_of_object(_keys(wanted), value, f"{where}.")
    if get_origin(wanted) is tuple:
        if not isinstance(value, list):
            return [f"{where} {_shortly(value)}, which is no list"]
        each = get_args(wanted)[0]
        return [fault for i, entry in enumerate(value) for fault in _faults(each, entry, f"{where}[{i}]")]
    if _is_optional(wanted):
        return [] if value is None else _faults(_not_null(wanted), value, where)
    return [] if type(value) is wanted else [f"{where} {_shortly(value)}, which is not {_NAMES[wanted]}"]


def _values(keys: Mapping[str, _Key], found: Mapping[str, object]) -> dict[str, Any]:
    """The values of an object without faults, as what they are in an interface."""
    return {name: _value(key.type, found[name]) for name, key in keys.items() if name in found}


def _value(wanted: Any, value: Any) -> Any:
    if dataclasses.is_dataclass(wanted) and isinstance(wanted, type):
        return wanted(**_values(_keys(wanted), value))
    if get_origin(wanted) is tuple:
        return tuple(_value(get_args(wanted)[0], entry) for entry in value)
    return value


def _is_optional(wanted: Any) -> bool:
    return get_origin(wanted) in (Union, types.UnionType) and type(None) in get_args(wanted)


def _not_null(wanted: Any) -> Any:
    return next(kind for kind in get_args(wanted) if kind is not type(None))


def _shortly(value: object) -> str:
    text = repr(value)
    return text if len(text) < 40 else f"{text[:36]} ..."
