"""The coding of a table as plain values, as a checkpoint and a report hold it, and back, whatever the file says.

``{"columns": [{"name": "age", "fill": 37.0}, {"name": "color", "categories": ["blue", "red", "?"]}], "label": "kind"}``
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from dwn_hw._json import Document
from dwn_hw.frontend.module_state import Findings, full_name, text_list
from dwn_hw.frontend.pickles.standins import shown
from dwn_hw.ir import columns
from dwn_hw.ir.columns import Column, TableCoding

_RULE = 'must be {"columns": [{"name": …, "fill": a number} or {"name": …, "categories": […]}, …], "label": …}'
_REMEDY = "Save it as docs/checkpoints.md says, or leave it out."


def plain(coding: TableCoding) -> Document:
    """The coding as plain values; ``fill`` is a number here."""
    return {
        "columns": [
            {"name": column.name, "fill": float(column.fill)}
            if column.fill is not None
            else {"name": column.name, "categories": list(column.categories or ())}
            for column in coding.columns
        ],
        "label": coding.label,
    }


def read(stored: Any, found: Findings, features: int | None = None) -> TableCoding | None:
    """The coding that plain values say (of so many features, if that is known), or None; all that is wrong goes to ``found``. A
    coding itself is checked alike.
    """
    coding = stored if stored is None or isinstance(stored, TableCoding) else _coding(stored, found)
    if coding is None:
        return None
    wrong = columns.faults(coding, features)
    for fault in wrong[:5]:
        found.add("table", "columns that become the features of the model", shown(fault, 200), _REMEDY)
    return None if wrong else coding


def _coding(stored: Any, found: Findings) -> TableCoding | None:
    entries = stored.get("columns") if isinstance(stored, Mapping) else None
    label = stored.get("label") if isinstance(stored, Mapping) else None
    if not isinstance(entries, list | tuple) or not isinstance(label, str | None):
        found.add("table", _RULE, full_name(stored if entries is None else label), _REMEDY)
        return None
    read_back = [_column(entry) for entry in entries]
    odd = [index for index, column in enumerate(read_back) if column is None]
    if odd:
        found.add("table", _RULE, f"another column {odd[0]} ({len(odd)} such)", _REMEDY)
        return None
    return TableCoding(tuple(column for column in read_back if column is not None), label)


def _column(entry: Any) -> Column | None:
    """A column, or None for what is none."""
    if not isinstance(entry, Mapping) or not isinstance(name := entry.get("name"), str):
        return None
    said = {key for key in entry if entry[key] is not None} - {"name"}
    fill, categories = entry.get("fill"), entry.get("categories")
    if said == {"categories"} and isinstance(categories, list | tuple) and (names := text_list(categories)) is not None:
        return Column(name, categories=names)
    if said == {"fill"} and isinstance(fill, int | float) and not isinstance(fill, bool) and math.isfinite(fill):
        return Column(name, fill=columns.number_text(float(fill)))
    return None
