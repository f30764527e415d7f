"""Reads and writes files of samples: ``.npz`` with ``x`` or ``codes``, and optionally ``y``.

``x``: (samples, features…) in the user's own, unscaled units. ``codes``: what the port carries, (samples, features…).
``y``: (samples,) classes, as indices from 0 or as names. Nothing in a file is executed: object arrays are refused.
"""

from __future__ import annotations

import contextlib
import os
import re
import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from dwn_hw import ir
from dwn_hw.errors import DataError, Problem
from dwn_hw.ir import column_coding, evaluate
from dwn_hw.ir.codes import Encoded, encode, narrowest
from dwn_hw.ir.column_coding import Told
from dwn_hw.ir.columns import Table, TableCoding

#: What numpy and zipfile raise for files that are not what they say: a RuntimeError for an entry that is encrypted, a
#: TokenError or SyntaxError for a header that numpy tries to mend.
DAMAGE = (
    *(
        ValueError,
        LookupError,
        EOFError,
        MemoryError,
        RuntimeError,
        SyntaxError,
        TypeError,
        OverflowError,
        AttributeError,
    ),
    *(struct.error, tokenize.TokenError, zipfile.BadZipFile, zlib.error),
)


#: The samples of a whole block of the fastest emulation: parts of a file are so many, or a multiple, where they can be.
BLOCK = 16_384

#: What a compressed file may unpack to: so many times its size and a little, and at most so many bytes, or its own size.
_MOST_RATIO, _SLACK, _MOST_UNPACKED = 50, 1 << 26, 900_000_000

#: Indices of classes, or None and why there are none.
Indices: TypeAlias = tuple[npt.NDArray[np.int64] | None, list[Problem]]


@dataclass(frozen=True, slots=True)
class Samples:
    """The samples of a file: one of ``x``, ``codes`` and ``table``; ``y`` where the file has it; ``name`` for messages.

    A table becomes ``x``, and ``y``, when it is known which columns a model wants: :func:`resolved`.
    """

    x: npt.NDArray[Any] | None
    codes: npt.NDArray[Any] | None
    y: npt.NDArray[Any] | None
    name: str
    table: Table | None = None

    def __len__(self) -> int:
        array = self.codes if self.x is None else self.x
        if array is None:
            return 0 if self.table is None else len(self.table)
        return len(array)


def load(path: Path) -> Samples:
    """Read a file of samples, or raise DataError."""
    try:
        # Opened here: numpy leaves a file open that it then refuses.
        with path.open("rb") as raw, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of headers that Python 2 wrote, which read as well
            if raw.read(2) not in (b"PK", b"\x93N"):
                raise _unreadable(path, "a file of another kind")
            raw.seek(0)
            file = np.load(raw, allow_pickle=False)
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise _unreadable(path, "a single .npy array")
            entries = file.zip.infolist() if file.zip else []
            if {entry.compress_type for entry in entries} - {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
                raise _unreadable(path, "a compression that numpy does not write")
            unpacked, size = sum(entry.file_size for entry in entries), path.stat().st_size
            if unpacked > max(size, min(_MOST_RATIO * size + _SLACK, _MOST_UNPACKED)):
                got = f"{unpacked} bytes in an archive of {size}: save it uncompressed, or in several files"
                raise _unreadable(path, got)
            arrays = {name: file[name] for name in ("x", "codes", "y") if name in file}
            names = list(file)
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from None
    except DAMAGE as error:
        raise _unreadable(path, str(error).splitlines()[0] if str(error) else repr(error)) from None
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):  # numpy gives the bytes of an entry that is no array
            raise _unreadable(path, f"an entry {name} that is no array")
    return checked(arrays, path, names)


def read_array(path: Path) -> npt.NDArray[Any]:
    """The array of a ``.npy`` file, or DataError."""
    try:
        with path.open("rb") as raw, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if raw.read(6) != b"\x93NUMPY":
                raise _unreadable(path, "another beginning than an array's")
            raw.seek(0)
            return np.lib.format.read_array(raw, allow_pickle=False, max_header_size=10_000)
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from None
    except DAMAGE as error:
        raise _unreadable(path, str(error).splitlines()[0] if str(error) else repr(error)) from None


def checked(arrays: dict[str, npt.NDArray[Any]], path: Path, names: list[str]) -> Samples:
    """The arrays ``x`` or ``codes``, and ``y``, as samples; or DataError. ``names``: all that the file holds, for the message."""
    if ("x" in arrays) == ("codes" in arrays):
        remedy = "Save it with numpy.savez(path, x=samples), samples in your own, unscaled units."
        got = f"{', '.join(names[:8]) or 'none'}{', …' if len(names) > 8 else ''}"
        if any(name.endswith("data.pkl") for name in names):
            got = "a model"
        raise DataError(Problem(str(path), "one of the arrays x and codes", got, remedy))
    samples = Samples(arrays.get("x"), arrays.get("codes"), arrays.get("y"), path.name)
    first = samples.codes if samples.x is None else samples.x
    if first is None or first.ndim < 1 or len(first) == 0:
        raise DataError(Problem(str(path), "at least one sample", "none", "Give a file that holds samples."))
    if samples.y is not None and (problem := shape_problem(samples.y, len(samples), str(path))):
        raise DataError(problem)
    return samples


def shape_problem(y: npt.NDArray[Any], count: int, thing: str) -> Problem | None:
    """Why classes are none, whatever the network: they are not one a sample, or neither numbers nor text."""
    if y.shape != (count,):
        remedy = "Save y.argmax(axis=1)." if y.ndim == 2 and len(y) == count and y.shape[1] > 1 else "Save y again."
        return Problem(thing, f"y of shape ({count},), one class a sample", f"{y.shape}", remedy)
    if y.dtype.kind not in "iufbUS":
        return Problem(thing, "y of numbers or of names, one class a sample", f"{y.dtype}", "Save y again.")
    return None


def _unreadable(path: Path, got: str) -> DataError:
    return DataError(Problem(str(path), "an .npz file of samples", got, "Save it with numpy.savez(path, x=samples)."))


def with_classes(samples: Samples, coding: TableCoding | None = None) -> Samples:
    """The samples with the classes of a table as ``y``, and its other columns as ``table``. Raises DataError."""
    if samples.table is None or samples.y is not None:
        return samples
    at = column_coding.label_column(samples.table, coding, samples.name)
    if at is None:
        return samples
    y = samples.table.columns[at]
    texts = ["" if text is None else text for text in y.tolist()] if y.dtype.kind == "O" else []
    return replace(samples, y=np.array(texts) if texts else y, table=samples.table.without([at]))


def resolved(samples: Samples, coding: TableCoding | None) -> tuple[Samples, Told]:
    """The samples with a table as ``x``, by the ``coding`` of a model, or as numbers where it has none; and what was done.

    Raises DataError with every reason why it cannot be. Samples without a table are returned as they are.
    """
    found = with_classes(samples, coding)
    if found.table is None:
        return found, Told()
    if coding is None:
        return replace(found, x=column_coding.numbers(found.table, found.name), table=None), Told(len(found))
    x, told = column_coding.code(coding, found.table, found.name)
    return replace(found, x=x, table=None), told


def labelled(samples: Samples, classes: int, names: tuple[str, ...]) -> Samples:
    """The samples with ``y`` as indices of ``classes``, in which text is the name of a class. Raises DataError with every reason.

    ``names``: those of the classes in order, or none. Samples without ``y`` are returned as they are.
    """
    if samples.y is None:
        return samples
    found, problems = class_indices(samples.y, len(samples), classes, names, samples.name)
    if found is None:
        raise DataError(*problems)
    return replace(samples, y=found)


def class_indices(y: npt.NDArray[Any], count: int, classes: int, names: tuple[str, ...], thing: str) -> Indices:
    """The classes (count,) as indices from 0, from whole numbers of any type or from names; or why they are none."""

    def refused(rule: str, got: str, remedy: str) -> Indices:
        return None, [Problem(thing, rule, got, remedy)]

    if problem := shape_problem(y, count, thing):
        return None, [problem]
    if y.dtype.kind in "US":
        return _named(y.astype("U"), names, refused)
    rule = f"y of whole numbers from 0 to {classes - 1}"
    whole = np.isfinite(y) & (y == np.floor(y)) if y.dtype.kind == "f" else np.ones(count, bool)
    if not whole.all():
        odd = y[~whole]
        return refused(rule, f"{odd[0]} ({len(odd)} such)", "Save the number of each class.")
    if names and all(re.fullmatch(r"-?\d+", name) for name in names):  # classes that are called by numbers
        return _named(y.astype(np.int64).astype("U"), names, refused)
    outside = y[(y < 0) | (y >= classes)]
    if not len(outside):
        return y.astype(np.int64), []
    if y.min() == 1 and y.max() == classes:
        return refused(rule, f"1 to {classes}: numbers from 1", "Save y - 1.")
    return refused(rule, f"{outside[0]} ({len(outside)} such)", "Number the classes as the model does.")


def _named(y: npt.NDArray[Any], names: tuple[str, ...], refused: Callable[[str, str, str], Indices]) -> Indices:
    """The index of each name."""
    index = {name: at for at, name in enumerate(names)}
    known, inverse = np.unique(y, return_inverse=True)
    strange = [str(name) for name in known if str(name) not in index]
    if not names:
        remedy = "Save the number of each class, from 0, or the model with class_names."
        return refused("y of numbers where the model names no classes", f"text, as {str(known[0])[:40]!r}", remedy)
    if strange:
        told = ", ".join(repr(name[:40]) for name in strange[:3])
        return refused(
            f"y of the model's classes ({', '.join(names[:8])})", told, "Name the classes as the model does."
        )
    return np.array([index[str(name)] for name in known], np.int64)[inverse.reshape(-1)], []


def to_codes(samples: Samples, network: ir.Network) -> Encoded:
    """The codes (samples, *input shape) of a file's samples for this network. Raises DataError."""
    samples, _ = resolved(samples, network.table)
    if samples.codes is not None:
        codes = samples.codes
        if codes.ndim >= 2 and codes[0].size == network.input.edge.size:
            codes = codes.reshape(len(codes), *network.input.shape)
        evaluate.check_range(network, codes)
        return Encoded(codes.astype(narrowest(network.input.edge.formats), copy=False), 0, 0)
    assert samples.x is not None
    encoded = encode(network.input, samples.x)
    return Encoded(encoded.codes.reshape(-1, *network.input.shape), encoded.rounded, encoded.saturated)


def check_out(path: Path, endings: Sequence[str] = (".npz",)) -> None:
    """Raise DataError unless a file of predictions may be written there: known before the work, not after it."""
    got, place = "", path.resolve()
    if not place.parent.is_dir():
        got = f"no directory {path.parent}"
    elif place.exists() and not place.is_file():
        got = "a directory" if place.is_dir() else "a device"
    elif not os.access(place.parent, os.W_OK | os.X_OK):
        got = f"no permission to write in {path.parent}"
    if got:
        raise DataError(Problem(str(path), "a writable file", got, "Choose another -o."))
    if path.suffix and path.suffix.lower() not in endings:  # without one it is an .npz
        rule = f"a name that ends in {' or '.join(endings)}"
        raise DataError(Problem(str(path), rule, path.suffix, "Choose another -o."))


def save_predictions(path: Path, network: ir.Network, codes: npt.NDArray[Any], scores: Any, y: Any) -> None:
    """Write ``codes``, ``scores`` (what the last node before a class index gave; None: unknown) and ``y`` (the class)."""
    arrays = {"codes": _narrow(codes)}
    if network.classifies:
        arrays |= ({} if scores is None else {"scores": _narrow(scores)}) | {"y": _narrow(y)}
    else:
        arrays["scores"] = _narrow(y)
    check_out(path)
    path = path.resolve()  # what a link leads to is written, not the link
    partial = path.parent / f"{path.name}.partial"
    try:
        with partial.open("wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # the stub takes **kwds for options
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise DataError(Problem(str(path), "a writable file", f"{error.strerror}", "Choose another -o.")) from None


def _narrow(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if not array.size:
        return array
    kind = np.result_type(np.min_scalar_type(int(array.min())), np.min_scalar_type(int(array.max())))
    return array.astype(kind if kind.kind in "iu" else np.int64)  # numpy joins int8 and uint64 to float64
