"""Reads tables: ``.csv`` and ``.tsv`` (also ``.gz``), ``.parquet``, ``.arff``, and columns in memory, all as a :class:`Table`.

A column whose entries are all numbers, or stand for missing ones, is one of numbers; every other is one of text. So is one that
says it holds categories, whatever these look like: a dictionary in Parquet, a nominal attribute of ARFF, a data frame's type for
them. Nothing is executed.
"""

from __future__ import annotations

import csv
import gzip
import io
import math
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dwn_hw import toolchain
from dwn_hw.errors import DataError, Problem, in_words
from dwn_hw.frontend import read_arff
from dwn_hw.ir import column_coding, sample_stream
from dwn_hw.ir.column_coding import Told
from dwn_hw.ir.columns import Table, TableCoding, cleaned, number, shortly
from dwn_hw.ir.sample_files import Samples, resolved, with_classes
from dwn_hw.ir.sample_stream import Stream

#: The endings of the names of tables.
ENDINGS = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet", ".arff")

#: The types of columns of data frames that say they hold categories.
_CATEGORIES = ("category", "categorical", "enum")

#: The bytes that a compressed table may unpack to.
_MOST_UNPACKED = 900_000_000

AnyArray = npt.NDArray[Any]


def read(path: Path, label: str | None = None) -> Table:
    """The table in a file, by its name's ending. Raises DataError; ToolError where a library is missing."""
    name = path.name.lower()
    named = None if label is None else cleaned(label)
    if name.endswith(".parquet"):
        return _parquet(path, named)
    if name.endswith(".arff"):
        return read_arff.read(path, named)
    return _text(path, "\t" if ".tsv" in name[-7:] else ",", named)


def _refused(path: Path, rule: str, got: str, remedy: str = "Save it again.") -> DataError:
    return DataError(Problem(str(path), rule, got, remedy))


def _text(path: Path, delimiter: str, label: str | None) -> Table:
    """The columns of text, with or without a line of names."""
    rule = "a table, one sample a line"
    remedy = "Save it with numpy.savez(path, x=samples, y=classes)."
    try:
        with _opened(path) as file:
            rows = [row for row in csv.reader(file, delimiter=delimiter, strict=True) if row]
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise _refused(path, rule, in_words(error), remedy) from None
    if not rows:
        raise _refused(path, rule, "no line", remedy)
    if len(rows[0]) == 1 and delimiter == "," and ";" in rows[0][0]:
        raise _refused(path, "columns separated by commas", "semicolons", "Save it with commas, or as .tsv with tabs.")
    has_names = any(number(cleaned(entry)) is None for entry in rows[0])
    body, width, first = rows[has_names:], len(rows[0]), 1 + has_names
    for line, row in enumerate(body, first):
        if len(row) != width:
            raise _refused(path, f"{width} entries on every line", f"{len(row)} on line {line}", "Mend that line.")
    columns = tuple(_column([cleaned(row[index]) for row in body]) for index in range(width))
    return Table(_names(rows[0]) if has_names else None, columns, label, first, "line")


def _opened(path: Path) -> io.TextIOBase:
    """The text of a file, unpacked where it is packed."""
    if path.name.lower().endswith(".gz"):
        with gzip.open(path) as file:
            data = file.read(_MOST_UNPACKED + 1)
        if len(data) > _MOST_UNPACKED:
            raise OSError(f"more than {_MOST_UNPACKED} bytes when unpacked")
        return io.StringIO(data.decode("utf-8-sig"), newline="")
    return path.open(newline="", encoding="utf-8-sig")


def _names(given: Iterable[str]) -> tuple[str, ...]:
    """The names of columns, cleaned; one without is called as pandas does."""
    return tuple(cleaned(name) or f"Unnamed: {index}" for index, name in enumerate(given))


def _column(texts: Sequence[str | None]) -> AnyArray:
    """Cleaned entries as numbers, if all are or are missing; else as text."""
    values = []
    for text in texts:
        value = math.nan if text is None else number(text)
        if value is None:
            return text_column(texts)
        values.append(value)
    return np.array(values, np.float64)


def text_column(entries: Sequence[Any]) -> AnyArray:
    """Texts, and None for what is missing, as a column of a table."""
    column = np.empty(len(entries), object)
    column[:] = entries
    return column


def of_columns(columns: Any, name: str) -> Table:
    """The table of columns in memory: a mapping of names to arrays, a data frame, or a structured array. Raises DataError."""
    titles = columns.dtype.names if isinstance(columns, np.ndarray) else list(getattr(columns, "columns", columns))
    arrays: list[AnyArray] = []
    for title in titles:
        values = columns[title]
        declared = str(getattr(values, "dtype", "")).lower() in _CATEGORIES
        values = values.to_numpy() if hasattr(values, "to_numpy") else np.asarray(values)
        arrays.append(_in_memory(np.asarray(values), str(title), name, declared))
    counts = {len(array) for array in arrays}
    if len(counts) != 1:
        got = "no column" if not counts else f"{min(counts)} to {max(counts)}"
        raise DataError(
            Problem(name, "columns of as many entries each", got, "Give an entry of each for every sample.")
        )
    return Table(_names(map(str, titles)), tuple(arrays))


def is_columns(x: Any) -> bool:
    """Whether something in memory is a table by its columns: a mapping, a data frame, or a structured array."""
    if isinstance(x, np.ndarray):
        return x.dtype.names is not None
    return isinstance(x, Mapping) or (hasattr(x, "columns") and hasattr(x, "__getitem__") and hasattr(x, "to_numpy"))


def of_texts(x: AnyArray, name: str) -> Table:
    """The table of an array of text (samples, columns), without names."""
    return Table(None, tuple(_in_memory(x[:, index], str(index), name) for index in range(x.shape[1])))


def _in_memory(values: AnyArray, title: str, name: str, declared: bool = False) -> AnyArray:
    """A column of numbers, of truth values, or of text, from whatever holds them; of text where it is ``declared`` to hold
    categories.
    """
    rule, remedy = "columns of numbers, truth values or text, one entry a sample", "Leave it out, or convert it."
    if values.ndim != 1 or values.dtype.kind not in "iufbOUS":
        got = f"shape {values.shape}" if values.ndim != 1 else f"{values.dtype}"
        raise DataError(Problem(name, rule, f"{got} in column {shortly(title)}", remedy))
    if values.dtype.kind in "iufb" and not declared:
        return values
    entries = values.tolist()
    try:
        texts = [_entry(entry) for entry in entries]
    except (TypeError, UnicodeDecodeError) as error:
        got = in_words(error) if isinstance(error, UnicodeDecodeError) else str(error)
        raise DataError(Problem(name, rule, f"{got} in column {shortly(title)}", remedy)) from None
    return text_column(texts) if declared else _column(texts)


def _entry(entry: Any) -> str | None:
    """An entry as text; None for what is missing in some library."""
    if entry is None or type(entry).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(entry, bytes):
        return cleaned(entry.decode())
    if isinstance(entry, float | np.floating):
        return None if np.isnan(entry) else repr(float(entry))
    if isinstance(entry, str | int | np.bool_ | np.integer):
        return cleaned(str(entry))
    raise TypeError(f"an entry of type {type(entry).__name__}")


def _parquet(path: Path, label: str | None) -> Table:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise toolchain.missing("pyarrow") from None
    try:
        table = parquet.read_table(path)
        names = _names(table.column_names)
        found = [_array(table.column(index)) for index in range(len(names))]
    except (OSError, ValueError, ArrowException) as error:
        raise _refused(path, "a Parquet file of numbers and text", in_words(error)) from None
    columns = tuple(_in_memory(array, name, str(path), d) for name, (array, d) in zip(names, found, strict=True))
    return Table(names, columns, label)


def _array(column: Any) -> tuple[AnyArray, bool]:
    """A column of Arrow's, and whether it is one with a dictionary, which is decoded: its nulls would become the last word."""
    has_dictionary = str(column.type).startswith("dictionary")
    decoded = column.cast(column.type.value_type) if has_dictionary else column
    return decoded.to_numpy(zero_copy_only=False), has_dictionary


def parquet_stream(path: Path, coding: TableCoding | None) -> Stream | None:
    """A large Parquet file in batches of rows, as features by the ``coding`` of a model; None for a smaller one."""
    if path.stat().st_size <= sample_stream.LARGE:
        return None
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise toolchain.missing("pyarrow") from None
    rule, told = "a Parquet file of numbers and text", Told()
    try:
        file = parquet.ParquetFile(path)
        plain, rows = file.schema_arrow.names, file.metadata.num_rows
        names = _names(plain)
        labels = column_coding.label_column(Table(names, ()), coding, str(path))
        y = None if labels is None else _array(file.read([plain[labels]]).column(0))
    except (OSError, ValueError, ArrowException) as error:
        raise _refused(path, rule, in_words(error)) from None
    classes = None if y is None else _in_memory(y[0], names[labels or 0], str(path), y[1])
    if classes is not None:
        classes = with_classes(Samples(None, None, None, path.name, Table(("y",), (classes,)))).y
    others = [index for index in range(len(names)) if index != labels]

    def parts() -> Iterator[tuple[int, Samples]]:
        first = 0
        told.clear()
        try:
            wanted = [plain[index] for index in others]
            for batch in file.iter_batches(sample_stream.rows_at_once(8 * len(others)), columns=wanted):
                held = [_array(batch.column(name)) for name in wanted]
                kept = tuple(names[index] for index in others)
                columns = tuple(
                    _in_memory(array, name, str(path), d) for name, (array, d) in zip(kept, held, strict=True)
                )
                # The classes are out already: no other column is taken for them.
                samples = Samples(
                    None, None, np.zeros(batch.num_rows), path.name, Table(kept, columns, None, 1 + first)
                )
                found, done = resolved(samples, coding)
                told.add(done)
                yield first, Samples(found.x, None, None, path.name)
                first += batch.num_rows
        except (OSError, ArrowException) as error:
            raise _refused(path, rule, in_words(error)) from None

    return Stream(rows, classes, path.name, parts, told)


def samples_of(x: Any | None, y: npt.ArrayLike | None = None, name: str = "x") -> Samples | None:
    """Samples in memory: an array (samples, features…) or columns by name, with their classes (samples,); None for None."""
    if x is None:
        return None
    classes = None if y is None else np.asarray(y)
    if classes is not None and classes.dtype.kind == "O" and all(isinstance(each, str) for each in classes.flat):
        classes = classes.astype("U")  # as data frames hold text
    if is_columns(x):
        return Samples(None, None, classes, name, of_columns(x, name))
    return Samples(np.asarray(x), None, classes, name)
