"""What a page is made of, before anybody decides what it looks like."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

#: A chart as Vega-Lite describes it.
Spec: TypeAlias = dict[str, Any]

#: What a cell of a table holds; None: unknown.
Cell: TypeAlias = "str | int | float | None"


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart: ``name``, of its file; what it shows, in a sentence; and how it is drawn."""

    kind: ClassVar[str] = "figure"

    name: str
    caption: str
    spec: Spec


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a ``head``; the first column says what a row is of. ``marked``: rows that are to catch the eye."""

    kind: ClassVar[str] = "table"

    head: tuple[str, ...]
    rows: Sequence[Sequence[Cell]]
    marked: frozenset[int] = frozenset()

    def numeric(self, column: int) -> bool:
        """Whether a column holds numbers, which stand under each other by their digits."""
        cells = [row[column] for row in self.rows]
        return any(isinstance(cell, int | float) for cell in cells) and not any(isinstance(cell, str) for cell in cells)


@dataclass(frozen=True, slots=True)
class Words:
    """A paragraph; ``tone``: ``""``, ``good``, ``bad``, or ``missing``, of what is not there and how it would come."""

    kind: ClassVar[str] = "words"

    text: str
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Code:
    """Lines as they stand in a file or are typed."""

    kind: ClassVar[str] = "code"

    text: str


@dataclass(frozen=True, slots=True)
class Tiles:
    """The few figures that a reader looks for first: (what, figure, remark) each."""

    kind: ClassVar[str] = "tiles"

    tiles: tuple[tuple[str, str, str], ...]


Block: TypeAlias = Figure | Table | Words | Code | Tiles


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a page under a heading."""

    title: str
    blocks: Sequence[Block]

    @property
    def figures(self) -> list[Figure]:
        """Its charts."""
        return [block for block in self.blocks if isinstance(block, Figure)]


@dataclass(frozen=True, slots=True)
class Page:
    """A page; ``line``: what stands below its title."""

    title: str
    line: str
    sections: Sequence[Section]


def shown(value: Cell) -> str:
    """A cell as text: a dash for what is unknown, thousands apart, four digits of a fraction."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return (
        f"{value:,.4g}"
        if isinstance(value, float) and abs(value) < 1e4
        else f"{value:,.0f}"
        if isinstance(value, float)
        else value
    )
