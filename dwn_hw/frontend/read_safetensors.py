"""Reads a ``.safetensors`` file of a model: its arrays by name, with what its metadata or a JSON file beside it says.

The format holds arrays and text alone. Thresholds and a scaler are arrays in it (``thermometer.thresholds``, ``scaler.mean``,
``scaler.scale``), or numbers in JSON, which are float64. Settings are entries of the metadata, or of ``config.json`` or
``NAME.json`` in the same folder. It sorts its arrays, so that their order says nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import safetensors

from dwn_hw import _json
from dwn_hw.errors import CheckpointError, Problem, in_words
from dwn_hw.frontend.pickles.standins import AnyArray, TorchType, shown, storage_values
from dwn_hw.ir import serialize

_TYPES = {
    "F64": "f8", "F32": "f4", "F16": "f2", "BF16": "bf16", "I64": "i8", "I32": "i4", "I16": "i2", "I8": "i1",
    "U64": "u8", "U32": "u4", "U16": "u2", "U8": "u1", "BOOL": "?",
}  # fmt: skip

#: Entries that stand beside a model, and are no settings.
_BESIDE = (
    "config", "thermometer", "thresholds", "encoder", "scaler", "mean", "std", "scale", "classes", "class_names",
    "feature_names", "randperm",
)  # fmt: skip

_MOST_TEXT = 1 << 24


def is_safetensors(data: bytes) -> bool:
    """Whether the first bytes are a safetensors file's: the length of a header, and the header."""
    return data[8:9] == b"{" and int.from_bytes(data[:8], "little") < len(data)


def content(data: bytes, path: Path) -> dict[str, Any]:
    """The checkpoint as a dictionary: ``state_dict``, and the entries of its metadata and of a JSON file beside it."""
    name = shown(path.name)
    try:
        said = serialize.metadata(data)
        found = safetensors.deserialize(data)  # type: ignore[no-untyped-call]
        # In the order of their names: the library gives another one each time.
        arrays = {key: _array(key, about) for key, about in sorted(found, key=lambda entry: entry[0])}
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        remedy = "It is cut short or damaged: copy or save it again."
        raise CheckpointError(Problem(name, "must be a readable safetensors file", in_words(error), remedy)) from None
    if "dwn_hw" in said:
        remedy = "Give the trained model; `dwn-hw verify` and the like take the export directory."
        raise CheckpointError(Problem(name, "must be a trained model", "the frozen network of an export", remedy))
    entries: dict[str, Any] = {"state_dict": arrays}
    _add(entries, {key: _value(text) for key, text in said.items() if key != "format"})
    for file in (path.with_suffix(".json"), path.with_name("config.json")):
        if file.is_file():
            _add(entries, _document(file))
            break
    return entries


def _array(name: str, about: dict[str, Any]) -> AnyArray:
    if about["dtype"] not in _TYPES:
        raise ValueError(f"array {shown(name)} of type {shown(about['dtype'])}")
    values = storage_values(bytes(about["data"]), TorchType(about["dtype"], _TYPES[about["dtype"]]))
    return values.reshape(about["shape"])


def _add(entries: dict[str, Any], said: dict[str, Any]) -> None:
    """Add what metadata or a file says: what stands beside a model under its name, the rest as settings."""
    settings = {key: value for key, value in said.items() if key not in _BESIDE}
    entries.update({key: _numbers(said[key]) for key in _BESIDE if key in said})
    if settings:
        entries["settings"] = {**entries.get("settings", {}), **settings}


def _value(text: Any) -> Any:
    """The value of an entry of the metadata, which are all text: JSON where it is JSON."""
    try:
        return _json.parse(text)
    except (ValueError, RecursionError):
        return text


def _numbers(value: Any) -> Any:
    """Lists of numbers, nested or in a dictionary, as arrays."""
    if isinstance(value, dict):
        return {key: _numbers(item) for key, item in value.items()}
    if isinstance(value, list) and any(isinstance(item, list | float) for item in value):
        try:
            return np.asarray(value, np.float64)
        except (ValueError, TypeError):
            return value
    return value


def _document(file: Path) -> dict[str, Any]:
    remedy = "Mend it, or move it away."
    try:
        if file.stat().st_size > _MOST_TEXT:
            raise ValueError(f"more than {_MOST_TEXT} bytes")
        found = _json.parse(file.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(Problem(shown(file.name), "must be readable JSON", in_words(error), remedy)) from None
    if not isinstance(found, dict):
        got = type(found).__name__
        raise CheckpointError(Problem(shown(file.name), "must be a JSON object", got, remedy))
    return found
