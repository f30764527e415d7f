"""Learns from the training samples of a table how its columns become features: categories, what fills missing numbers.

The rules, in :mod:`dwn_hw.ir.columns` what they mean: a column with text in it, of truth values, or that is named as one of
categories, has the categories that the training samples have; numbers by size, text by the alphabet, missing last. Of two
categories the rarer one has the feature, so that a thermometer finds both. A missing number becomes the median of the training
samples. Too many categories, decimal commas, and names that do not tell columns or features apart are refused, all at once.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from dwn_hw.errors import DataError, Problem
from dwn_hw.ir import columns
from dwn_hw.ir.column_coding import DECIMAL_COMMA, near
from dwn_hw.ir.columns import MISSING, Column, Table, TableCoding, as_categories, as_numbers, number, shortly

#: The most categories of a column.
MOST_CATEGORIES = 64

#: From so many samples on, whole numbers that all differ and follow each other look like a count of the samples.
_LEAST_COUNTED = 20

#: The most problems and warnings that are said.
_MOST = 20


@dataclass(frozen=True, slots=True)
class AskedColumns:
    """What a user says of the columns of a table: those of ``categorical`` numbers, and those to be ``ignored``."""

    categorical: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()


@dataclass(slots=True)
class _Learning:
    """A table (without its column of classes) of which the samples ``rows`` are trained on; what was found wrong, or odd."""

    table: Table
    rows: npt.NDArray[np.intp]
    thing: str
    asked: AskedColumns
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def refuse(self, rule: str, got: str, remedy: str) -> None:
        self.problems.append(Problem(self.thing, rule, got, remedy))


def learn(
    table: Table, rows: npt.NDArray[np.intp], label: str | None, asked: AskedColumns, thing: str
) -> tuple[TableCoding, list[str]]:
    """The coding of a ``table`` without its column of classes ``label``, by the training samples at ``rows``; and warnings.

    Raises DataError with every reason why there is none.
    """
    cleaned = (tuple(map(columns.cleaned, names)) for names in (asked.categorical, asked.ignored))
    work = _Learning(table, rows, thing, AskedColumns(*cleaned))
    _check_asked(work, label)
    kept = [index for index, title in enumerate(table.titles) if title not in work.asked.ignored]
    for name, count in Counter(table.titles[index] for index in kept).items():
        if count > 1:
            remedy = "Rename them, or leave all of that name out with --ignore-column."
            work.refuse("names that tell columns apart", f"{count} columns {shortly(name)}", remedy)
    found = [column for index in kept if (column := _column(work, index))]
    coding = TableCoding(tuple(found), label)
    if not found and not work.problems:
        work.refuse("a column to learn from, beside the classes", "none", "Give one, or ignore fewer.")
    if not work.problems:
        for fault in columns.faults(coding):
            work.refuse("columns whose names can be kept", fault, "Rename it, or leave it out with --ignore-column.")
    if work.problems:
        more = len(work.problems) - _MOST
        rest = [Problem(thing, "a table to learn from", f"{more} more problems", "Mend the first.")] if more > 0 else []
        raise DataError(*work.problems[:_MOST], *rest)
    return coding, _few(work.warnings)


def _few(warnings: list[str]) -> list[str]:
    more = len(warnings) - _MOST
    return warnings if more <= 0 else [*warnings[:_MOST], f"{more} more columns are constant, counts, or mixed"]


def _check_asked(work: _Learning, label: str | None) -> None:
    """Refuse names of no column, of the classes, or asked for two things."""
    titles = work.table.titles
    for option, names in (("--categorical", work.asked.categorical), ("--ignore-column", work.asked.ignored)):
        for name in names:
            if name == label:
                work.refuse(f"a column of features, for {option}", f"{shortly(name)}, the classes", "Leave it out.")
            elif name not in titles:
                got = f"{shortly(name)}; near it: {near(name, titles)}"
                work.refuse(f"a column of that name, for {option}", got, "Name one of the columns.")
    for name in sorted(set(work.asked.categorical) & set(work.asked.ignored)):
        work.refuse("--categorical or --ignore-column", f"both for {shortly(name)}", "Leave one out.")


def _column(work: _Learning, index: int) -> Column | None:
    """The rule of a column, or None where it has a problem."""
    name, whole = work.table.titles[index], work.table.columns[index]
    if whole.dtype.kind == "O" or whole.dtype.kind == "b" or name in work.asked.categorical:
        return _of_categories(work, name, whole)
    values = whole[work.rows].astype(np.float64)
    known = values[np.isfinite(values)]
    if not len(known):
        _refuse_empty(work, name)
        return None
    if len(known) == len(values) and (known == known[0]).all():
        _warn_constant(work, name, f"{known[0]:g}")
    elif _counts(values):
        work.warnings.append(
            f"column {shortly(name)} counts the samples, {known.min():g} to {known.max():g}, each once: if it names them, it "
            "tells nothing of others; leave it out with --ignore-column"
        )
    return Column(name, fill=columns.number_text(float(np.median(known))))


def _refuse_empty(work: _Learning, name: str) -> None:
    remedy = "Leave it out with --ignore-column."
    work.refuse(f"a value in column {shortly(name)}", "none in the training samples", remedy)


def _warn_constant(work: _Learning, name: str, value: str) -> None:
    work.warnings.append(
        f"column {shortly(name)} is {value} in all training samples, and says nothing: leave it out with --ignore-column"
    )


def _counts(values: npt.NDArray[np.float64]) -> bool:
    """Whether whole numbers look like a count of the samples: all differ, and they are nearly one apart, or rise in order."""
    if len(values) < _LEAST_COUNTED or not np.isfinite(values).all() or not (values == np.floor(values)).all():
        return False
    apart = np.diff(np.sort(values))
    return bool((apart > 0).all() and (np.median(apart) <= 1 or (np.diff(values) > 0).all()))


def _of_categories(work: _Learning, name: str, whole: npt.NDArray[Any]) -> Column | None:
    texts = as_categories(whole)
    counts = Counter(texts[row] for row in work.rows.tolist())
    numbers = [text for text in counts if _value(text) is not None]
    words = [text for text in counts if _value(text) is None and text != MISSING]
    if words and all(DECIMAL_COMMA.fullmatch(text) for text in words) and name not in work.asked.categorical:
        got = f"{shortly(words[0])} in column {shortly(name)} ({sum(counts[text] for text in words)} such)"
        work.refuse(
            "numbers with decimal points", got, "Write points for commas, or say --categorical for that column."
        )
        return None
    if set(counts) == {MISSING}:
        _refuse_empty(work, name)
        return None
    if len(counts) > MOST_CATEGORIES or len(counts) >= len(work.rows):
        _refuse_many(work, name, whole, texts, len(counts))
        return None
    if len(counts) == 1:
        _warn_constant(work, name, shortly(next(iter(counts))))
    if numbers and words and name not in work.asked.categorical:
        work.warnings.append(
            f"column {shortly(name)} has numbers and text ({shortly(words[0])}): all are taken as categories, {len(counts)} in "
            "all"
        )
    ordered = sorted(counts, key=_order)
    if len(ordered) == 2:
        ordered.sort(key=lambda text: -counts[text])  # the rarer one last: it has the feature
    return Column(name, categories=tuple(ordered))


def _value(category: str) -> float | None:
    """The number that a category is, or None."""
    value = number(category)
    return None if value is None or not math.isfinite(value) else value


def _order(category: str) -> tuple[bool, bool, float, str]:
    """By which categories are sorted: numbers by size, text by the alphabet, missing last."""
    value = _value(category)
    return category == MISSING, value is None, 0.0 if value is None else value, category


def _refuse_many(work: _Learning, name: str, whole: npt.NDArray[Any], texts: list[str], count: int) -> None:
    samples, told = len(work.rows), ", ".join(shortly(text) for text in list(dict.fromkeys(texts))[:3])
    got = f"{count} among {samples} samples in column {shortly(name)} ({told}, …)"
    remedy = f"Leave it out with --ignore-column {shortly(name)}."
    odd = as_numbers(whole)[1].tolist()
    # Numbers that their file declares to be categories are text, and not odd.
    if whole.dtype.kind != "O":
        remedy = f"Leave --categorical {shortly(name)} out, or the column with --ignore-column."
    elif not odd:
        remedy = f"Save it as numbers, or leave it out with --ignore-column {shortly(name)}."
    elif len(odd) < len(texts) / 2:
        where = work.table.place(odd[0])
        remedy += (
            f" If it holds numbers, mend {len(odd)} entries that are none, as {shortly(whole[odd[0]])} on {where}."
        )
    most = f"at most {MOST_CATEGORIES} categories, and fewer than samples"
    work.refuse(most, got, remedy)
