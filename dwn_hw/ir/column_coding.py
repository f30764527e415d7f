"""Makes features of a table by the rules of :mod:`dwn_hw.ir.columns`: columns are found by name, in any order.

Of a table without names the columns are taken in order. A table may also hold the features themselves, under their names, or, of
other names or none, as many numbers as there are features.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from dwn_hw.errors import DataError, Problem
from dwn_hw.ir.arrays import Floats
from dwn_hw.ir.columns import MISSING, Column, Table, TableCoding, as_categories, as_numbers, shortly

#: A number with a decimal comma.
DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")

#: The names of a column of classes, where none is said.
CLASSES = ("y", "label", "labels", "class", "target")

#: So many problems of one table are said at most, and so many of its columns.
_MOST, _SHOWN = 20, 8

#: More than this share of samples in categories that training did not see is suspicious, of so many samples at least.
_UNSEEN, _LEAST = 0.5, 16

Counts = dict[str, "Counter[str]"]


@dataclass(slots=True)
class Told:
    """What was done with tables on their way in, counted over all their parts."""

    samples: int = 0
    ignored: dict[str, None] = field(default_factory=dict)
    filled: Counter[str] = field(default_factory=Counter)
    unseen: Counts = field(default_factory=dict)
    doubts: list[str] = field(default_factory=list)

    def clear(self) -> None:
        """Forget all."""
        self.samples = 0
        for counts in (self.ignored, self.filled, self.unseen, self.doubts):
            counts.clear()

    def add(self, other: Told) -> None:
        """Add what was done with another part."""
        self.samples += other.samples
        self.ignored |= other.ignored
        self.filled += other.filled
        for name, counts in other.unseen.items():
            self.unseen.setdefault(name, Counter()).update(counts)
        self.doubts += [text for text in other.doubts if text not in self.doubts]

    def notes(self) -> list[str]:
        """What a person should know, a sentence each."""
        found = []
        if self.ignored:
            found.append(f"left out, as the model knows no such column: {_listed(list(self.ignored))}")
        if self.filled:
            told = [f"{shortly(name)} {count}" for name, count in self.filled.items()]
            found.append(f"missing values that became the stated number: {', '.join(told[:_SHOWN])}{_more(told)}")
        for name, counts in list(self.unseen.items())[:_SHOWN]:
            if kinds := [shortly(text) for text in counts]:
                some = f"{', '.join(kinds[:3])}{', …' if len(kinds) > 3 else ''}"
                found.append(
                    f"column {shortly(name)}: {counts.total()} values that training did not see ({some}), zeros"
                )
        return found

    def warnings(self) -> list[str]:
        """Why a table is likely not of the kind that the model was trained on."""
        found = list(self.doubts)
        for name, counts in self.unseen.items():
            if self.samples >= _LEAST and counts.total() > _UNSEEN * self.samples:
                some = ", ".join(shortly(text) for text, _ in counts.most_common(3))
                found.append(
                    f"{counts.total()} of {self.samples} samples have categories in column {shortly(name)} that training did not "
                    f"see ({some}): they are likely spelled otherwise"
                )
        return found


def _listed(names: Sequence[str]) -> str:
    return ", ".join(shortly(name) for name in names[:_SHOWN]) + _more(names)


def _more(items: Sequence[str]) -> str:
    return f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""


def label_column(table: Table, coding: TableCoding | None, thing: str) -> int | None:
    """The column of classes: as the user says, as the coding says, or by its name. Raises DataError for a name that is none."""
    names = table.names or ()
    if table.label is not None:
        at = [index for index, name in enumerate(names) if name == table.label]
        if len(at) == 1:
            return at[0]
        got = (
            f"several {shortly(table.label)}" if at else f"{shortly(table.label)}; near it: {near(table.label, names)}"
        )
        raise DataError(Problem(thing, "a column of that name, for --label", got, "Name one of the columns."))
    if coding is not None and names.count(coding.label or "") == 1:
        return names.index(coding.label or "")
    features = {column.name for column in coding.columns} if coding is not None else set()
    known = [index for index, name in enumerate(names) if name.lower() in CLASSES and name not in features]
    if len(known) > 1:
        told = ", ".join(names[index] for index in known)
        remedy = "Leave the others out, or rename them; `dwn-hw train` takes --label."
        raise DataError(Problem(thing, "one column of classes", told, remedy))
    return known[0] if known else None


def near(name: str, names: Sequence[str]) -> str:
    """The names that are nearest to one, or some, or that there are none."""
    close = difflib.get_close_matches(name, names, 3, 0.3) or list(names)[:3]
    return ", ".join(shortly(each) for each in close) or "none: there is no line of names"


def numbers(table: Table, thing: str) -> npt.NDArray[Any]:
    """The columns in order as numbers (samples, columns), or the first entry that is none, as a DataError."""
    columns = [as_numbers(column)[0] if column.dtype.kind == "O" else column for column in table.columns]
    for title, column, values in zip(table.titles, table.columns, columns, strict=True):
        bad = np.flatnonzero(np.isnan(values)).tolist() if values.dtype.kind == "f" else []
        if bad:
            entry: object = column[bad[0]]
            got = shortly(entry) if isinstance(entry, str) else "a missing value"
            rule = "numbers alone, and classes in a column of that name"
            remedy = "Fill or drop it; a column of classes is named y, label, class or target."
            raise DataError(Problem(thing, rule, f"{got} on {table.place(bad[0])}, column {title[:40]}", remedy))
    if not columns:
        raise DataError(Problem(thing, "columns of numbers", "none beside the classes", "Give features."))
    return np.stack(columns, axis=1)


def code(coding: TableCoding, table: Table, thing: str) -> tuple[Floats, Told]:
    """The features (samples, features) of a table without its column of classes. Raises DataError with every reason."""
    wanted = [column.name for column in coding.columns]
    names, told = table.names, Told(len(table))
    if names is None:
        as_columns = len(table.columns) == len(wanted)
        if as_columns and (wanted == list(table.titles) or len(wanted) != len(coding.feature_names)):
            return _coded(coding, table, range(len(wanted)), thing, told), told
        return _in_order(coding, table, thing), told
    found = Counter(names)
    if all(found[name] == 1 for name in wanted):
        told.ignored = dict.fromkeys(name for name in names if name not in wanted)
        return _coded(coding, table, [names.index(name) for name in wanted], thing, told), told
    features = coding.feature_names
    if all(found[name] == 1 for name in features):
        told.ignored = dict.fromkeys(name for name in names if name not in features)
        at = [names.index(name) for name in features]
        return numbers(_picked(table, at), thing).astype(np.float64), told
    if not any(found[name] for name in wanted) and len(names) == len(features):
        told.doubts = [f"no column has a name that the model knows: taken in order ({_listed(wanted)} are known)"]
        return _in_order(coding, table, thing), told
    raise DataError(*_unlike(wanted, names, thing))


def _unlike(wanted: Sequence[str], names: Sequence[str], thing: str) -> list[Problem]:
    """Why the columns that a model wants are not in a table."""
    found, problems = Counter(names), []
    for name in wanted:
        if not found[name]:
            got = f"none; near it: {near(name, names)}"
            problems.append(
                Problem(thing, f"a column {shortly(name)}, as the model was trained on", got, "Add or rename it.")
            )
        elif found[name] > 1:
            problems.append(
                Problem(thing, f"one column {shortly(name)}", f"{found[name]}", "Rename or drop the others.")
            )
    if len(problems) > _MOST:
        rest = f"{len(problems) - _MOST} more columns missing"
        problems[_MOST:] = [Problem(thing, "the columns that the model was trained on", rest, "Add or rename them.")]
    return problems


def _picked(table: Table, at: Sequence[int]) -> Table:
    names = None if table.names is None else tuple(table.names[index] for index in at)
    return Table(names, tuple(table.columns[index] for index in at), table.label, table.first, table.unit)


def _in_order(coding: TableCoding, table: Table, thing: str) -> Floats:
    """The features as they are, of a table that holds as many numbers."""
    features, columns = len(coding.feature_names), len(coding.columns)
    if len(table.columns) != features:
        either = f"{features} features" if features == columns else f"{columns} columns, or {features} features"
        remedy = "Give a first line with the names of the columns that the model was trained on."
        raise DataError(Problem(thing, f"{either} in order", f"{len(table.columns)} without names", remedy))
    return numbers(table, thing).astype(np.float64)


def _coded(coding: TableCoding, table: Table, at: Sequence[int], thing: str, told: Told) -> Floats:
    x = np.empty((len(table), len(coding.feature_names)), np.float64)
    problems: list[Problem] = []
    first = 0
    for column, index in zip(coding.columns, at, strict=True):
        after = first + len(column.feature_names)
        if column.categories is None:
            x[:, first], problem = _numbers(column, table, index, thing, told)
            problems += [problem] if problem else []
        else:
            x[:, first:after] = _categories(column, table.columns[index], told)
        first = after
    if problems:
        raise DataError(*problems[:_MOST])
    return x


def _numbers(column: Column, table: Table, index: int, thing: str, told: Told) -> tuple[Floats, Problem | None]:
    """A column of numbers with what is missing filled, or why it is none."""
    raw = table.columns[index]
    values, odd = as_numbers(raw)
    missing = np.isnan(values)
    if len(odd):
        commas = all(DECIMAL_COMMA.fullmatch(raw[i]) for i in odd)
        remedy = "Write decimal points." if commas else "Mend it, or leave it empty for a missing value."
        return values, _refused(
            thing, column, "numbers", shortly(raw[odd[0]]), table.place(int(odd[0])), len(odd), remedy
        )
    bad = np.flatnonzero(np.isinf(values))
    if len(bad):
        got, remedy = f"{values[bad[0]]}", "Mend it, or leave it empty for a missing value."
        return values, _refused(thing, column, "finite numbers", got, table.place(int(bad[0])), len(bad), remedy)
    if missing.any():
        told.filled[column.name] += int(missing.sum())
        values[missing] = float(column.fill or "nan")
    return values, None


def _refused(thing: str, column: Column, rule: str, got: str, where: str, count: int, remedy: str) -> Problem:
    more = f" ({count} such)" if count > 1 else ""
    return Problem(thing, f"{rule} in column {shortly(column.name)}", f"{got} on {where}{more}", remedy)


def _categories(column: Column, raw: npt.NDArray[Any], told: Told) -> npt.NDArray[np.bool_]:
    """A column of categories as 0 and 1 (samples, features of the column)."""
    known = column.categories or ()
    index = {text: at for at, text in enumerate(known)}
    texts = as_categories(raw)
    at = np.array([index.get(text, -1) for text in texts], np.int64)
    strange = Counter(texts[i] for i in np.flatnonzero(at < 0).tolist())
    if strange:
        shown = Counter({"a missing value" if text == MISSING else text: count for text, count in strange.items()})
        told.unseen.setdefault(column.name, Counter()).update(shown)
    coded = np.array([index[text] for text in column.coded], np.int64)
    return np.asarray(at[:, None] == coded[None, :])
