"""Reads samples of whatever file: ``.npz``, ``.npy``, ``.csv``, ``.tsv``, ``.parquet``, ``.pt``, ``.safetensors``, idx.

All become :class:`~dwn_hw.ir.sample_files.Samples`, with the same checks. Files with names for their arrays hold ``x`` or
``codes``, and ``y``; a table has the classes in a column named ``y``, ``label``, ``class`` or ``target``, and features in the
others; an idx file of images has the classes in the file of labels beside it, if one is there. Nothing in a file is executed.
"""

from __future__ import annotations

import csv
import difflib
import gzip
import itertools
import os
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dwn_hw import toolchain
from dwn_hw.errors import CheckpointError, DataError, Problem, in_words
from dwn_hw.frontend import checkpoints
from dwn_hw.frontend.module_state import array
from dwn_hw.frontend.pickles.standins import AnyArray, Array, shown
from dwn_hw.ir import sample_files, sample_stream
from dwn_hw.ir.sample_files import Samples
from dwn_hw.ir.sample_stream import Stream

#: The names of a column of classes.
CLASSES = ("y", "label", "labels", "class", "target")

#: The bytes that a compressed idx file may unpack to.
_MOST_UNPACKED = 900_000_000

#: The types of an idx file's numbers, by the third byte of its magic.
_IDX = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}

_SAVE = "Save it with numpy.savez(path, x=samples, y=classes)."


def load(path: str | os.PathLike[str], label: str | None = None) -> Samples:
    """Read a file of samples by its name's ending, or raise DataError; ToolError where a library is missing.

    ``label``: the column of classes of a table, where it has none of the usual names.
    """
    path = Path(path)
    name = path.name.lower()
    if label is not None and not name.endswith((".csv", ".tsv", ".parquet")):
        raise _refused(path, "a table, for --label", "a file of arrays", "Leave --label out: classes are y.")
    if name.endswith((".csv", ".tsv")):
        found = _table(path, "\t" if name.endswith(".tsv") else ",", label)
    elif name.endswith(".parquet"):
        found = _parquet(path, label)
    elif name.endswith((".pt", ".pth", ".safetensors")):
        found = _tensors(path)
    elif name.endswith(".npy"):
        found = {"x": sample_files.read_array(path)}
    elif "-idx" in name or ".idx" in name or name.endswith("ubyte.gz"):
        found = _idx_with_labels(path)
    else:
        return sample_files.load(path)
    return sample_files.checked(found, path, list(found))


def stream(path: str | os.PathLike[str]) -> Stream:
    """The samples of a file part by part: of a large ``.npy``, ``.npz`` or ``.parquet`` so that only a part is in memory."""
    path = Path(path)
    name, found = path.name.lower(), None
    if path.is_file() and path.stat().st_size:
        kinds = {".npy": sample_stream.of_npy, ".npz": sample_stream.of_npz, ".parquet": _parquet_stream}
        found = next((kind(path) for ending, kind in kinds.items() if name.endswith(ending)), None)
    return found or Stream.of(load(path))


def _refused(path: Path, rule: str, got: str, remedy: str = _SAVE) -> DataError:
    return DataError(Problem(str(path), rule, got, remedy))


def _table(path: Path, delimiter: str, label: str | None = None) -> dict[str, AnyArray]:
    """The columns of text: numbers, with or without a line of names."""
    rule = "a table of numbers, one sample a line"
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file, delimiter=delimiter, strict=True) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _refused(path, rule, in_words(error)) from None
    if not rows:
        raise _refused(path, rule, "no line")
    names = None if all(map(_is_number, rows[0])) else [name.strip() for name in rows[0]]
    body = rows[1:] if names is not None else rows
    width = len(rows[0])
    first = 1 + (names is not None)
    for line, row in enumerate(body, first):
        if len(row) != width:
            raise _refused(path, f"{width} entries on every line", f"{len(row)} on line {line}", "Mend that line.")
    labels = _label_column(path, names, label)
    features = [index for index in range(width) if index != labels]
    found = {"x": _numbers(path, body, features, names, first)}
    if labels is not None:
        column = [row[labels].strip() for row in body]
        found["y"] = np.array([float(text) for text in column] if all(map(_is_number, column)) else column)
    return found


def _label_column(path: Path, names: Sequence[str] | None, label: str | None = None) -> int | None:
    """The column of classes, by its name: ``label``, or one of :data:`CLASSES`."""
    if label is not None:
        if label in (names or ()):
            return list(names or ()).index(label)
        near = difflib.get_close_matches(label, names or (), 3, 0.3) or list(names or ())[:3]
        told = ", ".join(shown(name, 40) for name in near) or "none: the first line holds numbers"
        raise _refused(
            path, "a column of that name, for --label", f"{label!r}; near it: {told}", "Name one of the columns."
        )
    known = [index for index, name in enumerate(names or ()) if name.lower() in CLASSES]
    if len(known) > 1:
        told = ", ".join(shown((names or ())[index]) for index in known)
        raise _refused(path, "one column of classes", told, "Leave the others out, or rename them.")
    return known[0] if known else None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _numbers(
    path: Path, rows: list[list[str]], features: list[int], names: Sequence[str] | None, first: int
) -> AnyArray:
    """The features (samples, features) as float64, or the first entry that is no number."""
    try:
        return np.array([[float(row[index]) for index in features] for row in rows], np.float64)
    except ValueError:
        line, index = next((i, k) for i, row in enumerate(rows) for k in features if not _is_number(row[k]))
        column = shown(names[index]) if names else str(index)
        got = f"{rows[line][index][:40]!r} on line {line + first}, column {column}"
        remedy = "Fill or drop it; a column of classes is named y, label, class or target."
        raise _refused(path, "numbers alone, and classes in a column of that name", got, remedy) from None


def _parquet(path: Path, label: str | None = None) -> dict[str, AnyArray]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise toolchain.missing("pyarrow") from None
    try:
        table = parquet.read_table(path)
        names = table.column_names
        columns = [table.column(index).to_numpy(zero_copy_only=False) for index in range(len(names))]
    except (OSError, ValueError, ArrowException) as error:
        raise _refused(path, "a Parquet file of numbers", in_words(error)) from None
    labels = _label_column(path, names, label)
    others = [index for index in range(len(names)) if index != labels]
    odd = [shown(names[index]) for index in others if columns[index].dtype.kind not in "iufb"]
    if odd or not others:
        raise _refused(path, "columns of numbers", f"{', '.join(odd[:5]) or 'none'} of another type")
    found = {"x": np.stack([columns[index] for index in others], axis=1)}
    if labels is not None:
        y = columns[labels]
        found["y"] = y.astype("U") if y.dtype.kind == "O" else y
    return found


def _parquet_stream(path: Path) -> Stream | None:
    """A large Parquet file in batches of rows; None for a smaller one."""
    if path.stat().st_size <= sample_stream.LARGE:
        return None
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise toolchain.missing("pyarrow") from None
    try:
        file = parquet.ParquetFile(path)
        names, rows = file.schema_arrow.names, file.metadata.num_rows
        labels = _label_column(path, names)
        y = None if labels is None else file.read([names[labels]]).column(0).to_numpy()
    except (OSError, ValueError, ArrowException) as error:
        raise _refused(path, "a Parquet file of numbers", in_words(error)) from None
    others = [name for index, name in enumerate(names) if index != labels]

    def parts() -> Iterator[tuple[int, Samples]]:
        first = 0
        try:
            for batch in file.iter_batches(sample_stream.rows_at_once(8 * len(others)), columns=others):
                columns = [batch.column(name).to_numpy(zero_copy_only=False) for name in others]
                odd = [
                    shown(name) for name, column in zip(others, columns, strict=True) if column.dtype.kind not in "iufb"
                ]
                if odd:
                    raise _refused(path, "columns of numbers", f"{', '.join(odd[:5])} of another type")
                yield first, Samples(np.stack(columns, axis=1), None, None, path.name)
                first += batch.num_rows
        except (OSError, ArrowException) as error:
            raise _refused(path, "a Parquet file of numbers", in_words(error)) from None

    return Stream(rows, y if y is None or y.dtype.kind != "O" else y.astype("U"), path.name, parts)


def _tensors(path: Path) -> dict[str, AnyArray]:
    """Tensors under the names of an ``.npz``, or a tensor of samples alone."""
    try:
        content = checkpoints.read(path)
    except CheckpointError as error:
        raise DataError(*error.problems) from None
    if isinstance(content, dict) and path.suffix == ".safetensors":
        content = {**content.pop("state_dict"), **content}
    alone = array(content)
    if alone is not None:
        return {"x": alone}
    entries = content if isinstance(content, dict) else {}
    found = {name: _plain(entries[name]) for name in ("x", "codes", "y") if name in entries}
    odd = [name for name, values in found.items() if values is None]
    if not found or odd:
        got = ", ".join(shown(name, 30) for name in itertools.islice(odd or entries, 8)) or "none"
        got = "a model" if {"state_dict", "model", "layers"} & set(entries) else got
        raise _refused(path, "tensors x (or codes) and y, or one of samples", got, "Save {'x': samples, 'y': classes}.")
    return {name: values for name, values in found.items() if values is not None}


def _plain(value: Any) -> AnyArray | None:
    """The array of a tensor, or of a list of names of classes."""
    if isinstance(value, Array):
        value = list(value.value) if isinstance(value.value, tuple) else value.value
    if isinstance(value, list | tuple) and value and all(isinstance(item, str) for item in value):
        return np.array(value)
    return array(value)


def _idx_with_labels(path: Path) -> dict[str, AnyArray]:
    """Images as MNIST has them, and the labels beside them: the same name, with ``labels`` and ``idx1`` in it."""
    found = {"x": _idx(path)}
    beside = path.with_name(path.name.replace("images", "labels").replace("idx3", "idx1"))
    if beside != path and beside.is_file():
        found["y"] = _idx(beside)
    return found


def _idx(path: Path) -> AnyArray:
    rule = "an idx file"
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
        with gzip.open(path) if packed else path.open("rb") as file:
            data = file.read(_MOST_UNPACKED + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise _refused(path, rule, in_words(error)) from None
    if len(data) > _MOST_UNPACKED:
        raise _refused(path, f"an idx file of at most {_MOST_UNPACKED} bytes", "more")
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in _IDX or not 1 <= data[3] <= 4:
        raise _refused(path, rule, "another beginning")
    extents = [int(number) for number in np.frombuffer(data, ">u4", data[3], 4)] if len(data) >= 4 + 4 * data[3] else []
    dtype, count = np.dtype(_IDX[data[2]]), int(np.prod(extents, dtype=object)) if extents else -1
    if count * dtype.itemsize != len(data) - 4 - 4 * data[3]:
        raise _refused(path, f"{count} numbers, as its beginning says", f"{len(data)} bytes", "Copy it again.")
    values = np.frombuffer(data, dtype, count, 4 + 4 * data[3]).reshape(extents)
    return values.astype(dtype.newbyteorder("="))
