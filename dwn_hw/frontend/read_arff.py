"""Reads dense ARFF files, Weka's and OpenML's form of a table: attributes with their kinds, and a line of values a sample.

A nominal attribute, whose values are listed in braces, is a column of categories also where they look like numbers. Values and
names may stand in quotes, with backslashes before what would end them; ``?`` is a missing value; ``%`` begins a comment.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dwn_hw.errors import DataError, Problem, in_words
from dwn_hw.ir.columns import Table, cleaned, number, shortly

#: A value with the comma or the end behind it: in quotes of either kind, or plain.
_VALUE = re.compile(r"""\s*(?:'((?:[^'\\]|\\.)*+)'|"((?:[^"\\]|\\.)*+)"|([^,'"]*+))\s*(,|$)""")

#: The line of an attribute: its name, in quotes or plain, and its kind.
_ATTRIBUTE = re.compile(r"""@attribute\s+(?:'((?:[^'\\]|\\.)*+)'|"((?:[^"\\]|\\.)*+)"|([^\s'"{]+))\s*(\S.*)""", re.I)

#: Kinds of attributes whose values are numbers.
_NUMBERS = ("numeric", "real", "integer")

_RULE = "a dense ARFF file: @attribute lines, @data, a line of values a sample"


def read(path: Path, label: str | None = None) -> Table:
    """The table in a file; ``label``: the column of classes. Raises DataError that names the line."""
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise _refused(path, in_words(error)) from None
    told = [
        (at, line.strip()) for at, line in enumerate(lines, 1) if line.strip() and not line.lstrip().startswith("%")
    ]
    begin = next((index for index, (_, line) in enumerate(told) if line.lower().split()[0] == "@data"), None)
    if begin is None:
        raise _refused(path, "no @data")
    attributes = [_attribute(path, at, line) for at, line in told[:begin] if line.lower().startswith("@attribute")]
    rows = [_row(path, at, line, len(attributes)) for at, line in told[begin + 1 :]]
    if not attributes or not rows:
        raise _refused(path, "no attribute" if not attributes else "no sample behind @data")
    names = tuple(name for name, _ in attributes)
    columns = tuple(
        _column(path, name, kind, [row[index] for row in rows]) for index, (name, kind) in enumerate(attributes)
    )
    return Table(names, columns, label, 1, "sample")


def _refused(path: Path, got: str, remedy: str = "Save it again, or as .csv with a line of names.") -> DataError:
    return DataError(Problem(str(path), _RULE, got, remedy))


def _plain(parts: Iterable[str | None]) -> str:
    """The text of a name or a value, whichever way it was written."""
    quoted_once, quoted_twice, plain = parts
    quoted = quoted_once if quoted_once is not None else quoted_twice
    return cleaned((plain or "") if quoted is None else re.sub(r"\\(.)", r"\1", quoted))


def _attribute(path: Path, at: int, line: str) -> tuple[str, str]:
    """The name and the kind of an attribute; ``nominal`` where its values are listed."""
    match = _ATTRIBUTE.fullmatch(line)
    kind = "" if match is None else match[4].lower()
    if match is None or not (kind.startswith("{") or kind.split()[0] in (*_NUMBERS, "string", "date")):
        remedy = "Its kind must be numeric, real, integer, string, date, or categories in braces."
        raise _refused(path, f"{shortly(line)} on line {at}", remedy)
    return _plain(match.groups()[:3]), "nominal" if kind.startswith("{") else kind.split()[0]


def _row(path: Path, at: int, line: str, width: int) -> list[str]:
    """The values of a sample."""
    if line.startswith("{"):
        raise _refused(path, f"a sparse sample on line {at}", "Save it dense: all values of each sample, in order.")
    values: list[str] = []
    place = 0
    while True:
        match = _VALUE.match(line, place)
        if match is None:
            raise _refused(path, f"{shortly(line[place:])} on line {at}, which is no value", "Mend its quotes.")
        values.append(_plain(match.groups()[:3]))
        place = match.end()
        if not match[4]:
            break
    if len(values) != width:
        raise _refused(path, f"{len(values)} values on line {at}, of {width} attributes", "Mend that line.")
    return values


def _column(path: Path, name: str, kind: str, texts: list[str]) -> npt.NDArray[Any]:
    """The values of an attribute: numbers, or text."""
    if kind not in _NUMBERS:
        column = np.empty(len(texts), object)
        column[:] = texts
        return column
    values = [number(text) for text in texts]
    if None in values:
        at = values.index(None)
        raise _refused(
            path, f"{shortly(texts[at])} in sample {at + 1} of the numbers {shortly(name)}", "Mend that value."
        )
    return np.array(values, np.float64)
