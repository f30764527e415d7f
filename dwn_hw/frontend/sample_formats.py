"""Reads samples of whatever file: tables (``.csv``, ``.tsv``, ``.parquet``, ``.arff``), ``.npz``, ``.npy``, ``.pt``,
``.safetensors``, idx.

All become :class:`~dwn_hw.ir.sample_files.Samples`, with the same checks. Files with names for their arrays hold ``x`` or
``codes``, and ``y``; a table has the classes in a column named ``y``, ``label``, ``class`` or ``target``, and features in the
others; an idx file of images has the classes in the file of labels beside it, if one is there. Nothing in a file is executed.
"""

from __future__ import annotations

import gzip
import itertools
import os
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from dwn_hw.errors import CheckpointError, DataError, Problem, in_words
from dwn_hw.frontend import checkpoints, table_files
from dwn_hw.frontend.module_state import array
from dwn_hw.frontend.pickles.standins import AnyArray, Array, shown
from dwn_hw.ir import sample_files, sample_stream
from dwn_hw.ir.columns import TableCoding
from dwn_hw.ir.sample_files import Samples
from dwn_hw.ir.sample_stream import Stream

#: The bytes that a compressed idx file may unpack to.
_MOST_UNPACKED = 900_000_000

#: The types of an idx file's numbers, by the third byte of its magic.
_IDX = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}

_SAVE = "Save it with numpy.savez(path, x=samples, y=classes)."


def load(path: str | os.PathLike[str], label: str | None = None) -> Samples:
    """The samples of a file as numbers, a table by the order of its columns: for models that know no names of columns.

    Raises as :func:`read`; and DataError for a table with text or missing values beside its classes.
    """
    return sample_files.resolved(read(path, label), None)[0]


def read(path: str | os.PathLike[str], label: str | None = None) -> Samples:
    """Read a file of samples by its name's ending, or raise DataError; ToolError where a library is missing. A table stays one.

    ``label``: the column of classes of a table, where it has none of the usual names.
    """
    path = Path(path)
    name = path.name.lower()
    if name.endswith(table_files.ENDINGS):
        return _tabled(Samples(None, None, None, path.name, table_files.read(path, label)), path)
    if name.endswith((".pt", ".pth", ".safetensors")):
        found = _tensors(path)
    elif name.endswith(".npy"):
        found = {"x": sample_files.read_array(path)}
    elif "-idx" in name or ".idx" in name or name.endswith("ubyte.gz"):
        found = _idx_with_labels(path)
    else:
        return _of_arrays(sample_files.load(path), path, label)
    return _of_arrays(sample_files.checked(found, path, list(found)), path, label)


def _tabled(samples: Samples, path: Path) -> Samples:
    """Samples that are a table, or a DataError where it is empty."""
    if not len(samples):
        raise DataError(Problem(str(path), "at least one sample", "none", "Give a file that holds samples."))
    return samples


def _of_arrays(samples: Samples, path: Path, label: str | None) -> Samples:
    """Samples of arrays: a structured array, or one of text, is a table."""
    x = samples.x
    if x is not None and table_files.is_columns(x) and x.ndim == 1:
        table = replace(table_files.of_columns(x, samples.name), label=label)
        return replace(samples, x=None, table=table)
    if label is not None:
        raise _refused(path, "a table, for --label", "a file of arrays", "Leave --label out: classes are y.")
    if x is not None and x.dtype.kind in "US" and x.ndim == 2:
        return replace(samples, x=None, table=table_files.of_texts(x, samples.name))
    return samples


def stream(path: str | os.PathLike[str], coding: TableCoding | None = None) -> Stream:
    """The samples of a file part by part: of a large ``.npy``, ``.npz`` or ``.parquet`` so that only a part is in memory.

    A table becomes features by the ``coding`` of a model, or as numbers where it has none.
    """
    path = Path(path)
    name, found = path.name.lower(), None
    if path.is_file() and path.stat().st_size:
        if name.endswith(".parquet"):
            found = table_files.parquet_stream(path, coding)
        kinds = {".npy": sample_stream.of_npy, ".npz": sample_stream.of_npz}
        found = found or next((kind(path) for ending, kind in kinds.items() if name.endswith(ending)), None)
    return found or Stream.of(*sample_files.resolved(read(path), coding))


def _refused(path: Path, rule: str, got: str, remedy: str = _SAVE) -> DataError:
    return DataError(Problem(str(path), rule, got, remedy))


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
