"""How the columns of a table become features: rules that a checkpoint and an export carry, and tables as files have them.

A column of numbers is a feature, in which a missing value becomes a stated number. A column of categories is a feature of 0 and
1 for each category, called ``color=red``; of two categories the second alone has one. A category that is none of them gives
zeros, as does a missing one, unless ``?``, which is what missing is called, is a category itself. A category that reads as a
number is called by that number, so that ``7``, ``7.0`` and ``07`` are one; white space is one blank between words, and none at
the ends.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

#: What a missing category is called.
MISSING = "?"

#: What stands for a missing value in text, without white space around it.
MISSING_TEXTS = frozenset(("", MISSING, "NA", "<NA>", "N/A", "n/a", "NaN", "nan", "NAN", "null", "NULL"))

#: The most characters of a name or a category.
MOST_TEXT = 200

#: The form of a number that takes the place of a missing one: what Python writes of a finite float.
_NUMBER = re.compile(r"-?\d{1,310}(\.\d{1,330})?(e[+-]?\d{1,3})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Column:
    """A column by its ``name``: of numbers, where a missing one becomes the number that ``fill`` says, or of ``categories``."""

    name: str
    fill: str | None = None
    categories: tuple[str, ...] | None = None

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the features that it becomes, in order."""
        return tuple(f"{self.name}={category}" for category in self.coded) if self.categories else (self.name,)

    @property
    def coded(self) -> tuple[str, ...]:
        """The categories that have a feature: the second of two, else all; none of numbers."""
        own = self.categories or ()
        return own[1:] if len(own) == 2 else own


@dataclass(frozen=True, slots=True)
class TableCoding:
    """The ``columns`` of a table that become features, in the order of these, and the column of classes, if one is known."""

    columns: tuple[Column, ...]
    label: str | None = None

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of all features, in order."""
        return tuple(name for column in self.columns for name in column.feature_names)

    @property
    def bits(self) -> tuple[bool, ...]:
        """Whether each feature is 0 or 1 and nothing else."""
        return tuple(column.categories is not None for column in self.columns for _ in column.feature_names)


def faults(coding: TableCoding, features: int | None = None) -> list[str]:
    """What keeps a coding, of whatever origin, from being one for so many features, if that is known."""
    found = [fault for column in coding.columns for fault in _of_column(column)]
    if coding.label is not None and (fault := _of_text(coding.label)):
        found.append(f"the column of classes {fault}")
    if found:
        return found
    names = [column.name for column in coding.columns]
    for what, all_of_it in (("column", names), ("feature", coding.feature_names)):
        twice = [name for name, count in Counter(all_of_it).items() if count > 1]
        found += [f"two {what}s {shortly(name)}" for name in twice]
    if coding.label in names:
        found.append(f"a feature of the column of classes {shortly(coding.label)}")
    count = len(coding.feature_names)
    if count == 0 or features not in (None, count):
        found.append(f"columns of {count} features" + (f", where there are {features}" if features else ""))
    return found


def _of_column(column: Column) -> list[str]:
    if fault := _of_text(column.name):
        return [f"a column {fault}"]
    name, categories = shortly(column.name), column.categories
    if (column.fill is None) == (categories is None):
        return [f"column {name} without one of a number for what is missing, and categories"]
    if categories is None:
        text = column.fill
        good = isinstance(text, str) and _NUMBER.fullmatch(text) and math.isfinite(float(text))
        return [] if good else [f"column {name} with {shortly(text)} for what is missing, which is no finite number"]
    if not categories:
        return [f"column {name} without a category"]
    found = [f"column {name} with a category {fault}" for text in categories if (fault := _of_text(text))]
    if not found and len(set(categories)) < len(categories):
        found.append(f"column {name} with a category twice")
    if not found and any(category(text) != text for text in categories):
        found.append(f"column {name} with a category that reads otherwise: a number, or what stands for a missing one")
    return found


def _of_text(text: object) -> str:
    """What is wrong with a name, in words behind "a column"; nothing where it is one."""
    if not isinstance(text, str):
        return f"called {shortly(text)}, which is no text"
    if not text or len(text) > MOST_TEXT:
        return f"of {len(text)} characters, where 1 to {MOST_TEXT} are allowed"
    if cleaned(text) != text or not text.isprintable():
        return f"called {shortly(text)}, with characters that are no text, or white space too much"
    return ""


def shortly(text: object) -> str:
    """Something from a file as it may stand in a message: in quotes, short, on one line."""
    told = repr(text)
    return told if len(told) <= 42 else f"{told[:40]}…{told[0]}"


def cleaned(text: str) -> str:
    """A name or a category with one blank for all white space between words, and none at the ends."""
    return " ".join(text.split())


def number(text: str) -> float | None:
    """The number that a text is, or None; NaN for what stands for a missing value."""
    if text in MISSING_TEXTS:
        return math.nan
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None


def number_text(value: float) -> str:
    """A finite number in as few digits as tell it from all others."""
    return str(int(value)) if value.is_integer() and abs(value) < 1e16 else repr(value)


def category(text: str) -> str:
    """The category that a cleaned text is: a number by its shortest form, :data:`MISSING` for what stands for a missing one."""
    value = number(text)
    if value is None or math.isinf(value):
        return text
    return MISSING if math.isnan(value) else number_text(value)


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A table as a file has it. ``columns``: an array (samples,) each, of numbers (NaN: missing), truth values, or cleaned text
    (of dtype object; None: missing).

    ``names``: of the columns, cleaned; None where the file has none. ``label``: the column of classes that the user names.
    ``first`` and ``unit``: what the first sample is called in messages, ``line 2``.
    """

    names: tuple[str, ...] | None
    columns: tuple[npt.NDArray[Any], ...]
    label: str | None = None
    first: int = 1
    unit: str = "row"

    def __len__(self) -> int:
        return len(self.columns[0]) if self.columns else 0

    @property
    def titles(self) -> tuple[str, ...]:
        """The names of the columns, or their places, from 0."""
        return self.names if self.names is not None else tuple(map(str, range(len(self.columns))))

    def place(self, sample: int) -> str:
        """Where a sample stands."""
        return f"{self.unit} {self.first + sample}"

    def rows(self, at: slice) -> Table:
        """Some of the samples."""
        first = self.first + (at.start or 0)
        return Table(self.names, tuple(column[at] for column in self.columns), self.label, first, self.unit)

    def without(self, indices: Sequence[int]) -> Table:
        """The table without some columns."""
        kept = [index for index in range(len(self.columns)) if index not in indices]
        names = None if self.names is None else tuple(self.names[index] for index in kept)
        return Table(names, tuple(self.columns[index] for index in kept), self.label, self.first, self.unit)


def as_numbers(column: npt.NDArray[Any]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.intp]]:
    """A column as numbers (NaN: missing), and the samples that are none, where that stands for NaN as well."""
    if column.dtype.kind != "O":
        return column.astype(np.float64), np.empty(0, np.intp)
    found = [math.nan if text is None else number(text) for text in column.tolist()]
    odd = np.array([index for index, value in enumerate(found) if value is None], np.intp)
    return np.array([math.nan if value is None else value for value in found], np.float64), odd


def as_categories(column: npt.NDArray[Any]) -> list[str]:
    """The category of each sample."""
    if column.dtype.kind == "f":
        known, inverse = np.unique(column.astype(np.float64), return_inverse=True)
        texts = [MISSING if math.isnan(value) else category(repr(value)) for value in known.tolist()]
        return [texts[index] for index in inverse.reshape(-1).tolist()]
    if column.dtype.kind != "O":  # whole numbers, and truth values by their names
        return [str(value) for value in column.tolist()]
    known_texts = {text: MISSING if text is None else category(text) for text in dict.fromkeys(column.tolist())}
    return [known_texts[text] for text in column.tolist()]
