"""The columns of a table and the features that they become, in words: for ``FEATURES.md`` and for the C header."""

from __future__ import annotations

from collections.abc import Callable

from dwn_hw.ir.columns import MISSING, Column, TableCoding

#: How many categories of a column are named in a comment.
_NAMED = 12


def to_markdown(coding: TableCoding | None, cell: Callable[[str], str]) -> list[str]:
    """The section of ``FEATURES.md``; ``cell`` makes a name harmless in a table. Nothing where there are no columns."""
    if coding is None:
        return []
    label = "" if coding.label is None else f" Column {cell(coding.label)} holds the classes."
    lines = [
        "## Columns",
        "",
        f"The model was trained on a table, whose columns are found by name, in any order.{label}",
        "A category's feature is 1 for samples of that category and 0 for others. A value that is none of the categories gives 0",
        f"in all features of its column, and so does a missing one, unless `{MISSING}`, as missing is called, is listed.",
        "A category that reads as a number is called by that number (`7`, `7.0` and `07` are one).",
        "",
        "| column | holds | missing | features |",
        "| --- | --- | --- | --- |",
    ]
    first = 0
    for column in coding.columns:
        last = first + len(column.feature_names) - 1
        where = f"{first}" if last == first else f"{first} to {last}"
        lines.append(f"| {cell(column.name)} | {_holds(column, cell)} | {_missing(column)} | {where} |")
        first = last + 1
    return [*lines, ""]


def _holds(column: Column, cell: Callable[[str], str]) -> str:
    if column.categories is None:
        return "numbers"
    told = ", ".join(cell(text) for text in column.categories)
    return f"{told}: 1 for {cell(column.coded[0])}" if len(column.coded) < len(column.categories) else told


def _missing(column: Column) -> str:
    if column.categories is None:
        return f"{column.fill}"
    return "a category" if MISSING in column.categories else "0"


def to_comment(coding: TableCoding | None) -> list[str]:
    """Lines for a comment in C, of ASCII without anything that ends a comment. Nothing where there are no columns."""
    if coding is None:
        return []
    lines = [
        "/* Features by the columns of the table that the model was trained on; 1 for a category, 0 for all others."
    ]
    first = 0
    for column in coding.columns:
        if column.categories is None:
            lines.append(f"   {first} {_harmless(column.name)}: a number; {column.fill} where it is missing")
        else:
            own = [_harmless(text) for text in column.coded[:_NAMED]]
            more = f", and {len(column.coded) - _NAMED} more (FEATURES.md)" if len(column.coded) > _NAMED else ""
            lines.append(f"   {first} {_harmless(column.name)}: is it {', '.join(own)}{more}")
        first += len(column.feature_names)
    return [*lines, "*/"]


def _harmless(text: str) -> str:
    """A name in a comment of C: what begins or ends one, or a line, is written as an escape, as is what is not ASCII."""
    plain = text.encode("unicode_escape").decode("ascii")
    return plain.replace("*/", "*\\x2f").replace("/*", "/\\x2a").replace("??/", "??\\x2f")
