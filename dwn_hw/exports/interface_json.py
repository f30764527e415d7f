"""``interface.json``: an :class:`dwn_hw.hardware.interface.Interface` as a JSON document, and back, strictly.

The document has the fields of the interface under their names and in their order. Two things are otherwise: the settings of
the kind of hardware stand beside the other keys, and ``kind`` says whose they are.
"""

from __future__ import annotations

import dataclasses
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
    kind = _one_of(document, "kind", _SETTINGS)
    wrapper = _one_of(document, "shell", {name: shell.wrapper for name, shell in SHELLS.items()})
    own = {field.name for field in dataclasses.fields(kind)}
    document = {key: value for key, value in document.items() if key != "kind"}
    grouped = {key: value for key, value in document.items() if key not in own}
    grouped["settings"] = {key: value for key, value in document.items() if key in own}
    hints = get_type_hints(Interface) | {"settings": kind, "wrapper": wrapper}
    faults = [text.replace("settings.", "") for text in _faults_of_record(Interface, grouped, "", hints)]
    if "settings" in document:
        faults.append("settings, which is unknown")
    if faults:
        more = f" and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        raise ValueError(", ".join(faults[:_SHOWN]) + more)
    found: Interface = _record(Interface, grouped, hints)
    return found


def _one_of(document: Mapping[str, object], key: str, known: Mapping[str, Any]) -> Any:
    """What the name at a key stands for."""
    name = document.get(key)
    if key not in document:
        raise ValueError(f"no {key}")
    if not isinstance(name, str) or name not in known:
        raise ValueError(f"{key} {_shortly(name)}, which is none of {', '.join(known)}")
    return known[name]


def _faults(wanted: Any, value: object, where: str) -> list[str]:
    """What keeps a value from being of a type, each beginning with its place."""
    if dataclasses.is_dataclass(wanted):
        if not isinstance(value, dict):
            return [f"{where} {_shortly(value)}, which is no object"]
        return _faults_of_record(wanted, value, f"{where}.", get_type_hints(wanted))
    if get_origin(wanted) is tuple:
        if not isinstance(value, list):
            return [f"{where} {_shortly(value)}, which is no list"]
        each = get_args(wanted)[0]
        return [fault for i, entry in enumerate(value) for fault in _faults(each, entry, f"{where}[{i}]")]
    if _is_optional(wanted):
        return [] if value is None else _faults(_inner(wanted), value, where)
    return [] if type(value) is wanted else [f"{where} {_shortly(value)}, which is not {_NAMES[wanted]}"]


def _faults_of_record(wanted: Any, value: Mapping[str, object], where: str, hints: Mapping[str, Any]) -> list[str]:
    faults = []
    fields = {field.name: field for field in dataclasses.fields(wanted)}
    for name, field in fields.items():
        may_lack = field.default is None
        if name not in value:
            faults += [] if may_lack and (hints[name] is None or _is_optional(hints[name])) else [f"no {where}{name}"]
        elif hints[name] is None or (may_lack and value[name] is None):
            faults.append(f"{where}{name} {_shortly(value[name])}, which must not be there")
        else:
            faults += _faults(hints[name], value[name], f"{where}{name}")
    return faults + [f"{where}{name}, which is unknown" for name in value if name not in fields]


def _record(wanted: Any, value: Mapping[str, Any], hints: Mapping[str, Any]) -> Any:
    return wanted(**{name: _built(hints[name], entry) for name, entry in value.items()})


def _built(wanted: Any, value: Any) -> Any:
    """A value without faults as its type."""
    if dataclasses.is_dataclass(wanted):
        return _record(wanted, value, get_type_hints(wanted))
    if get_origin(wanted) is tuple:
        return tuple(_built(get_args(wanted)[0], entry) for entry in value)
    if _is_optional(wanted):
        return None if value is None else _built(_inner(wanted), value)
    return value


def _is_optional(wanted: Any) -> bool:
    return get_origin(wanted) in (Union, types.UnionType) and type(None) in get_args(wanted)


def _inner(wanted: Any) -> Any:
    return next(kind for kind in get_args(wanted) if kind is not type(None))


def _shortly(value: object) -> str:
    text = repr(value)
    return text if len(text) < 40 else f"{text[:36]} ..."
