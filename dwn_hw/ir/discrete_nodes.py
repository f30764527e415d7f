"""The nodes of networks that were trained through steps: levels, order, the mean, and the nearest vector.

These nodes belong to :mod:`dwn_hw.ir`, which has the conventions, and are named there.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from typing import ClassVar, TypeAlias

from dwn_hw.ir.edges import BIT, Edge, Format, Ints
from dwn_hw.ir.lut_nodes import Rows
from dwn_hw.ir.rules import MAX_CODE_BITS, check, check_whole


@dataclass(frozen=True, slots=True)
class MultiThreshold:
    """A step function of each number: ``out = values[c][k]``, where ``k`` of ``thresholds[c]`` are at most ``in``.

    ``thresholds``, ``values``: one row, or one for each entry ``c`` of the first axis; a row of thresholds never falls, and its
    values are one more, in any order: an interval between equal thresholds is empty, and a value may come twice. Thresholds are
    codes of the input, values codes on the grid ``2**lsb``. It is the meaning of every function of one number with few values;
    FINN and QONNX have it under this name, with values that count up.
    """

    short_name: ClassVar[str] = "levels"

    thresholds: Rows
    values: Rows
    lsb: int = 0

    def __post_init__(self) -> None:
        thing = "multi-threshold"
        check_whole(thing, "lsb", (self.lsb,), 1, None)
        check(len(self.thresholds) == len(self.values) > 0, thing, "as many rows of thresholds as of values", self)
        other = {type(number).__name__ for row in (*self.thresholds, *self.values) for number in row} - {"int"}
        check(not other, thing, "thresholds and values that are integers", ", ".join(sorted(other)))
        for row, values in zip(self.thresholds, self.values, strict=True):
            check(all(a <= b for a, b in itertools.pairwise(row)), thing, "thresholds that never fall", row[:8])
            check(len(values) == len(row) + 1, thing, f"{len(row) + 1} values for {len(row)} thresholds", len(values))
        widest = max(abs(number) for row in (*self.thresholds, *self.values) for number in row).bit_length()
        check(widest < MAX_CODE_BITS, thing, f"codes of at most {MAX_CODE_BITS} bits", f"{widest + 1}")

    def output(self, edge: Edge) -> Edge:
        """The edge after this node: one format, which holds the values of all intervals that are not empty."""
        entries = edge.shape[0] if edge.shape else 1
        rule = f"one row of thresholds, or one for each of {entries} entries"
        check(len(self.thresholds) in (1, entries), "multi-threshold", rule, len(self.thresholds))
        held = [value for row in range(len(self.values)) for value in self.reached(row)]
        return Edge(edge.shape, (Format.covering(min(held), max(held), self.lsb),))

    def reached(self, row: int) -> Ints:
        """The values of a row's intervals that are not empty, in the order of the intervals."""
        return tuple(value for _, value in self.intervals(row))

    def intervals(self, row: int) -> tuple[tuple[int | None, int], ...]:
        """The intervals of a row that are not empty: (the code at which it begins, its value), the first from None on."""
        starts: list[int | None] = [None, *self.thresholds[row]]
        pairs = zip(starts, [*self.thresholds[row], None], self.values[row], strict=True)
        return tuple((start, value) for start, end, value in pairs if start is None or start != end)

    def __str__(self) -> str:
        sizes = sorted({len(row) for row in self.thresholds})
        return f"{sizes[0]}…{sizes[-1]} thresholds" if len(sizes) > 1 else f"{sizes[0]} thresholds"


@dataclass(frozen=True, slots=True)
class Sort:
    """Numbers in order along an axis of a sample, from the least or, ``descending``, from the greatest; ``keep`` of them remain.

    ``keep`` 0 keeps all. With fewer it is a top-k, of the greatest if ``descending``. Equal numbers cannot be told apart, so no
    order of theirs is stated.

    Of several ``axes`` the numbers are sorted along each by itself. What comes of the first axis then stands before what comes
    of the next, the least of these axes and all behind it made one: (…, h, w) along the last and the one before it gives
    (…, h·w + h·w), rows in order and behind them columns in order. It is the sort of "rows ⊕ columns" of Ramapuram & Webb,
    arXiv:1905.03658.

    With ``levels``, rising values on the grid ``2**lsb``, numbers come as words with a bit for each level but the lowest, the
    lowest first: whether it is reached. Each bit is put in order by itself, and what is left leaves as the value of its level,
    which is found by halving, the middle bit first. (The idea of sorting in unary is that of Najafi et al., TVLSI 2018.)
    """

    short_name: ClassVar[str] = "sort"

    axes: Ints = (0,)
    keep: int = 0
    descending: bool = False
    levels: Ints = ()
    lsb: int = 0

    def __post_init__(self) -> None:
        check(isinstance(self.axes, tuple), "sort", "a tuple of axes", self.axes)
        check_whole("sort", "axes", self.axes, len(self.axes), 0)
        check(len(set(self.axes)) == len(self.axes), "sort", "no axis twice", self.axes)
        check_whole("sort", "keep", (self.keep,), 1, 0)
        check(isinstance(self.descending, bool), "sort", "descending is true or false", self.descending)
        check_whole("sort", "levels and lsb", (*self.levels, self.lsb), len(self.levels) + 1, None)
        rising = all(a < b for a, b in itertools.pairwise(self.levels))
        check(rising and len(self.levels) != 1, "sort", "levels that rise, two at least or none", self.levels[:8])
        widest = max(map(abs, self.levels), default=0).bit_length()
        check(widest < MAX_CODE_BITS, "sort", f"codes of at most {MAX_CODE_BITS} bits", f"{widest + 1}")

    def output(self, edge: Edge) -> Edge:
        """The edge after this node."""
        rank = len(edge.shape)
        check(max(self.axes) < rank, "sort", f"axes of 0…{rank - 1}", self.axes)
        check(len(edge.formats) == 1, "sort", "numbers of one format", edge)
        if self.levels:
            word = Format(len(self.levels) - 1)
            check(edge.formats == (word,), "sort", f"words of {word.bits} bits, {word}", edge.formats[0])
            edge = replace(edge, formats=(Format.covering(self.levels[0], self.levels[-1], self.lsb),))
        fewest = min(edge.shape[axis] for axis in self.axes)
        check(self.keep <= fewest, "sort", f"at most the {fewest} numbers that there are", f"keep {self.keep}")
        shapes = [(*edge.shape[:axis], self.keep or edge.shape[axis], *edge.shape[axis + 1 :]) for axis in self.axes]
        if len(shapes) == 1:
            return replace(edge, shape=shapes[0])
        joined = min(self.axes)
        return replace(edge, shape=(*edge.shape[:joined], sum(math.prod(shape[joined:]) for shape in shapes)))

    def __str__(self) -> str:
        order = "descending" if self.descending else "ascending"
        along = f"{'axis' if len(self.axes) == 1 else 'axes'} {', '.join(map(str, self.axes))}"
        of_levels = f" of {len(self.levels)} levels" if self.levels else ""
        return f"{along}, {order}{of_levels}" + (f", the first {self.keep}" if self.keep else "")


@dataclass(frozen=True, slots=True)
class CompareToMean:
    """Whether each number is at least the mean of all numbers of the sample, as a bit: ``n · in >= Σ in``, exactly."""

    short_name: ClassVar[str] = "mean"

    def output(self, edge: Edge) -> Edge:
        """The edge after this node."""
        check(len({fmt.lsb for fmt in edge.formats}) == 1, "compare to mean", "numbers on one grid", edge)
        widest = max(fmt.bits for fmt in edge.formats) + edge.size.bit_length() + 1
        check(widest <= MAX_CODE_BITS, "compare to mean", f"sums of at most {MAX_CODE_BITS} bits", widest)
        return Edge(edge.shape, (BIT,))

    def __str__(self) -> str:
        return "n·x >= Σx"


@dataclass(frozen=True, slots=True)
class Codebook:
    """The vector that each number is the index of: ``out[…] = values[min(in, rows − 1)]``, along a last axis of its own.

    ``values``: a row of codes for each index, on the grid ``2**lsb``; rows are of one length. An index has just the bits that
    they take; above the last row, which of three rows with two bits may be, it gives the last. Behind an ``ArgMax`` it is
    vector quantisation: of ``‖x − c‖²`` the part that tells vectors apart is ``‖c‖² − 2·x·c``, which a ``Dense`` gives.
    """

    short_name: ClassVar[str] = "codebook"

    values: Rows
    lsb: int = 0

    def __post_init__(self) -> None:
        check_whole("codebook", "lsb", (self.lsb,), 1, None)
        sizes = sorted({len(row) for row in self.values})
        check(len(sizes) == 1 and sizes[0] > 0, "codebook", "rows of one length, at least one", sizes)
        for row in self.values:
            check_whole("codebook", "values", row, len(row), None)
        widest = max(abs(value) for row in self.values for value in row).bit_length()
        check(widest < MAX_CODE_BITS, "codebook", f"codes of at most {MAX_CODE_BITS} bits", f"{widest + 1}")

    def output(self, edge: Edge) -> Edge:
        """The edge after this node."""
        index = Format.covering(0, len(self.values) - 1)  # and no wider: a table for all codes of it is made
        rule, got = f"indices of {len(self.values)} rows, {index}", ", ".join(sorted(map(str, edge.formats)))
        check(set(edge.formats) == {index}, "codebook", rule, got)
        held = [value for row in self.values for value in row]
        return Edge((*edge.shape, len(self.values[0])), (Format.covering(min(held), max(held), self.lsb),))

    def __str__(self) -> str:
        return f"{len(self.values)} rows of {len(self.values[0])}"


#: The nodes of networks that were trained through steps.
DiscreteNode: TypeAlias = MultiThreshold | Sort | CompareToMean | Codebook
