"""Writes and reads a network as one ``.safetensors`` file: arrays plus a JSON header, versioned, with a digest.

The header is derived from the dataclasses of :mod:`dwn_hw.ir`, so a new node needs nothing here. Integers that
come in bulk (:data:`ir.Ints`, :data:`ir.Rows`) become arrays; everything else is JSON. The same network gives the
same bytes. Nothing in such a file can be executed; what it says is checked again when the network is built.

Layout
    metadata key ``dwn_hw``: ``{"format": 1, "digest": …, "input": {…}, "nodes": [{"kind": "LutLayer", …}], …}``.
    A field of type ``Ints`` of node 3 is the array ``3.tables``; of type ``Rows``, the arrays ``3.wires`` (all rows
    end to end) and ``3.wires.sizes``. Integers wider than 63 bits are little-endian rows of bytes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any, TypeAlias, get_args, get_type_hints

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from dwn_hw import _json, ir
from dwn_hw.errors import ExportError, InputError, Problem, in_words
from dwn_hw.ir.columns import Column, TableCoding
from dwn_hw.ir.rules import is_whole

#: The version of the format, one higher whenever an older reader would misunderstand a newer file.
FORMAT = 1

Arrays: TypeAlias = dict[str, npt.NDArray[Any]]

#: The JSON header of a file, or the fields of one node in it.
Header: TypeAlias = dict[str, Any]

_KINDS: dict[str, type[ir.Node]] = {kind.__name__: kind for kind in get_args(ir.Node)}


def dumps(network: ir.Network) -> bytes:
    """Write the network to the bytes of a safetensors file."""
    header, arrays = _encode(network)
    header["digest"] = _digest(header, arrays)
    # One metadata key only: safetensors does not keep several in a fixed order.
    return safetensors.numpy.save(arrays, {"dwn_hw": _canonical(header)})


def loads(raw: bytes, name: str = "network") -> ir.Network:
    """Read a network from such bytes. Raises ExportError when ``raw`` is not such a file, or was changed."""
    try:
        arrays = safetensors.numpy.load(raw)
        header = _json.parse(metadata(raw)["dwn_hw"])
        digest = header.pop("digest")
        if header["format"] != FORMAT:
            remedy = "Export the model again with this version, or install the version that wrote it."
            newer = ", which is newer" if is_whole(header["format"]) and header["format"] > FORMAT else ""
            got = f"format {header['format']!r}{newer}"
            raise ExportError(Problem(name, f"network format {FORMAT} is read", got, remedy))
        if digest != _digest(header, arrays):
            remedy = "Export the model again."
            raise ExportError(Problem(name, f"its content has the digest {digest}", _digest(header, arrays), remedy))
        return _decode(header, arrays)
    except InputError:
        raise
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        remedy = "Give the network.safetensors of an export directory."
        raise ExportError(Problem(name, "a frozen network", in_words(error), remedy)) from None


def save(network: ir.Network, path: Path) -> None:
    """Write the network to ``path``."""
    path.write_bytes(dumps(network))


def load(path: Path) -> ir.Network:
    """Read a network from ``path``."""
    try:
        return loads(path.read_bytes(), str(path))
    except OSError as error:
        remedy = "Give an export directory that dwn-hw wrote."
        raise ExportError(Problem(str(path), "a readable file", str(error.strerror), remedy)) from None


def digest(network: ir.Network) -> str:
    """The 16 hex digits that identify the network: its nodes, formats, names and notes."""
    return _digest(*_encode(network))


def _encode(network: ir.Network) -> tuple[Header, Arrays]:
    arrays: Arrays = {}
    nodes = [{"kind": type(node).__name__, **_fields(node, f"{i}.", arrays)} for i, node in enumerate(network.nodes)]
    header = {
        "format": FORMAT,
        "input": _port(network.input),
        "nodes": nodes,
        "class_names": network.class_names,
        "feature_names": network.feature_names,
        "notes": network.notes,
    }
    if network.table is not None:  # only then, so that other networks keep their digests
        header["table"] = dataclasses.asdict(network.table)
    # Through JSON once, so that what is digested is what a reader will see.
    return json.loads(_canonical(header)), arrays


def _decode(header: Header, arrays: Arrays) -> ir.Network:
    source = dict(header["input"])
    formats = tuple(ir.Format(**fmt) for fmt in source.pop("formats"))
    rounding = source.pop("rounding", ir.NEAREST)
    port = ir.Input(formats=formats, rounding=rounding, **{name: tuple(value) for name, value in source.items()})
    nodes = []
    for index, fields in enumerate(header["nodes"]):
        kind = _KINDS[fields.pop("kind")]
        nodes.append(kind(**_unfields(kind, fields, f"{index}.", arrays)))
    notes = tuple((name, text) for name, text in header["notes"])
    table = _table(header["table"]) if "table" in header else None
    return ir.Network(port, tuple(nodes), tuple(header["class_names"]), tuple(header["feature_names"]), notes, table)


def _table(fields: Header) -> TableCoding:
    """The coding of a table; the network checks what it says."""

    def column(name: Any, fill: Any, categories: Any) -> Column:
        if not isinstance(categories, list | None):
            raise ValueError(f"categories {categories!r:.40} of a column, which are no list")
        return Column(name, fill, None if categories is None else tuple(categories))

    return TableCoding(tuple(column(**each) for each in fields["columns"]), fields["label"])


def _port(port: ir.Input) -> Header:
    """The port's fields; how it rounds only where that is not to the nearest, as files from before there was a choice."""
    fields = dataclasses.asdict(port)
    return fields if port.rounding != ir.NEAREST else {k: v for k, v in fields.items() if k != "rounding"}


def _hints(kind: type[ir.Node]) -> dict[str, object]:
    """The types of a node's fields; class variables are no fields."""
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


def _fields(node: ir.Node, prefix: str, arrays: Arrays) -> Header:
    scalars: Header = {}
    for name, hint in _hints(type(node)).items():
        value = getattr(node, name)
        if hint == ir.Ints:
            arrays[prefix + name] = _to_array(value)
        elif hint == ir.Rows:
            arrays[prefix + name] = _to_array([item for row in value for item in row])
            arrays[prefix + name + ".sizes"] = _to_array([len(row) for row in value])
        else:
            scalars[name] = value
    return scalars


def _unfields(kind: type[ir.Node], scalars: Header, prefix: str, arrays: Arrays) -> Header:
    values = dict(scalars)
    for name, hint in _hints(kind).items():
        if hint == ir.Ints:
            values[name] = _from_array(arrays[prefix + name])
        elif hint == ir.Rows:
            flat, rows, start = _from_array(arrays[prefix + name]), [], 0
            for size in _from_array(arrays[prefix + name + ".sizes"]):
                if size < 0:
                    raise ValueError(f"{prefix}{name}: a row of {size} entries")
                rows.append(flat[start : start + size])
                start += size
            if start != len(flat):
                raise ValueError(f"{prefix}{name}: rows of {start} entries in all, {len(flat)} stored")
            values[name] = tuple(rows)
    return values


def _to_array(values: list[int] | ir.Ints) -> npt.NDArray[Any]:
    widest = max((value.bit_length() for value in values), default=0)
    if widest < 64:
        wide = np.array(values, np.int64)
        low, high = (int(wide.min()), int(wide.max())) if len(wide) else (0, 0)
        kind = np.result_type(np.min_scalar_type(low), np.min_scalar_type(high))
        return wide.astype(kind if kind.kind in "iu" else np.int64)  # numpy joins int8 and uint64 to float64
    length = -(-widest // 8)
    return np.frombuffer(b"".join(v.to_bytes(length, "little") for v in values), np.uint8).reshape(len(values), length)


def _from_array(array: npt.NDArray[Any]) -> ir.Ints:
    if array.dtype.kind not in "iu" or array.ndim not in (1, 2):
        raise ValueError(f"an array of {array.dtype} of {array.ndim} axes where integers are stored")
    if array.ndim == 1:
        return tuple(array.tolist())
    return tuple(int.from_bytes(row.tobytes(), "little") for row in array.astype(np.uint8))


def _digest(header: Header, arrays: Arrays) -> str:
    state = hashlib.sha256(_canonical(header).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        state.update(f"{name} {array.dtype.str} {array.shape}".encode())
        state.update(array.tobytes())
    return state.hexdigest()[:16]


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def metadata(raw: bytes) -> dict[str, str]:
    """The text by name in the header of a safetensors file; empty where there is none. Raises ValueError for no such header."""
    length = int.from_bytes(raw[:8], "little")
    header: dict[str, dict[str, str]] = _json.parse(raw[8 : 8 + length].decode())
    return header.get("__metadata__", {})
