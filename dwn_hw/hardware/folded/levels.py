"""Levels behind a sum: a search for the interval that it lies in, over thresholds of its own grid.

What rounds and clamps before a :class:`~dwn_hw.ir.MultiThreshold` is monotone, so each of its thresholds is one of the sum. The
middle one is taken off with the bias: whether the sum reaches it is a sign. The others are searched, one comparison for each
halving, with thresholds that count from the middle one; so channels with the same thresholds share them, whatever their bias.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field, replace
from functools import cached_property

from dwn_hw import ir
from dwn_hw.hardware.block_ram import Memory
from dwn_hw.hardware.folded.pointwise import Pointwise
from dwn_hw.ir import Format, Ints

#: The most bits of a table that stands in LUTs rather than in block RAM: 32 LUTs of six inputs.
MOST_IN_LUTS = 2048

#: A row of numbers for each output channel, or one for all.
Rows = tuple[Ints, ...]


@dataclass(frozen=True, slots=True)
class Levels:
    """The levels of a step. ``thresholds``: those of the sums, counted from the row's root; ``values``: one more in each row."""

    roots: Ints
    thresholds: Rows
    values: Rows

    def then(self, node: ir.Relu | ir.Quantize, lsb: int) -> Levels:
        """These levels and ``node`` after them as one. ``node`` reads numbers on the grid ``2**lsb``."""
        function = Pointwise().then(node, lsb)
        assert function is not None, "a node alone composes"
        return replace(self, values=tuple(tuple(map(function.apply, row)) for row in self.values))

    @property
    def depth(self) -> int:
        """The comparisons that find an interval."""
        return max(len(row) for row in self.thresholds).bit_length()


def make_levels(node: ir.MultiThreshold, post: Pointwise, span: tuple[int, int]) -> Levels:
    """The levels of sums within ``span``, each with its bias, of which ``node`` reads what ``post`` makes."""
    low, high = span
    numbers = range(low, high + 1)
    found: dict[int, int] = {}
    rows, values = [], []
    for thresholds, own in zip(node.thresholds, node.values, strict=True):
        for threshold in thresholds:
            if threshold not in found:
                found[threshold] = low + bisect_left(numbers, threshold, key=post.apply)
        # One threshold there is at least, and be it out of reach.
        rows.append([found[threshold] for threshold in thresholds] or [high + 1])
        values.append(own if thresholds else own * 2)
    roots = tuple(row[len(row) // 2] for row in rows)
    relative = tuple(tuple(t - root for t in row) for row, root in zip(rows, roots, strict=True))
    return Levels(roots, _shared(relative), _shared(tuple(values)))


def _shared(rows: Rows) -> Rows:
    return rows[:1] if len(set(rows)) == 1 else rows


@dataclass(frozen=True, eq=False)
class LevelTables:
    """The tables of all steps' levels together. ``steps``: of each step its levels, if any, and the row of its first bias.

    ``compared``: the format of a sum from which its root was taken off; ``values``: that of the values.
    """

    steps: tuple[tuple[Levels | None, int], ...] = field(repr=False)
    compared: Format
    written: Format

    @cached_property
    def depth(self) -> int:
        """The comparisons that find an interval in any of the tables; 0 where no step has levels."""
        return max((levels.depth for levels, _ in self.steps if levels), default=0)

    @property
    def registers(self) -> int:
        """The registers that the search takes behind the first comparison: two for each further one, one for the value."""
        return 2 * self.depth - 1 if self.depth else 0

    @cached_property
    def _thresholds(self) -> dict[Rows, int]:
        return _placed([levels.thresholds for levels, _ in self.steps if levels])

    @cached_property
    def _values(self) -> dict[Rows, int]:
        return _placed([levels.values for levels, _ in self.steps if levels])

    def rows(self, kind: str) -> tuple[list[bool], list[int]]:
        """Of each step, for ``thresholds`` or ``values``: whether all channels share a row; from a bias' row to the row here."""
        placed = self._thresholds if kind == "thresholds" else self._values
        shared, offsets = [], []
        for levels, first in self.steps:
            own: Rows = getattr(levels, kind) if levels else ((),)
            shared.append(len(own) == 1)
            offsets.append(placed[own] - first * (len(own) > 1) if levels else 0)
        return shared, offsets

    def row_count(self, kind: str) -> int:
        """The rows of the tables of ``thresholds`` or ``values``, each of all intervals."""
        return sum(map(len, self._thresholds if kind == "thresholds" else self._values))

    @cached_property
    def memories(self) -> dict[str, tuple[Memory, Ints]]:
        """The tables by name, with their content: ``levels1`` for the second comparison, …, and ``values``.

        The index within a row are the comparisons made before, the first one the highest bit.
        """
        if not self.depth:
            return {}
        width, mask = self.compared.bits, (1 << self.compared.bits) - 1
        tables: dict[str, list[int]] = {f"levels{i}": [] for i in range(1, self.depth)}
        for row in _joined(self._thresholds):
            full = self._padded(row, self.compared.low, self.compared.high)
            for i in range(1, self.depth):
                apart = 1 << self.depth - i
                tables[f"levels{i}"] += [full[apart // 2 - 1 + k * apart] & mask for k in range(1 << i)]
        found = {name: (_table(width, rows), tuple(rows)) for name, rows in tables.items()}
        bits = self.written.bits
        values = [
            value & (1 << bits) - 1 for row in _joined(self._values) for value in self._padded(row, row[0], row[-1], 1)
        ]
        return found | {"values": (_table(bits, values), tuple(values))}

    def _padded(self, row: Ints, before: int, after: int, more: int = 0) -> Ints:
        """A row as long as the longest can be, its middle where theirs is: ``before`` is always reached, ``after`` never."""
        missing = (1 << self.depth) - 1 + more - len(row)
        return (before,) * (missing // 2) + row + (after,) * (missing - missing // 2)


def _table(bits: int, rows: list[int]) -> Memory:
    return Memory(bits, len(rows), block=bits * len(rows) > MOST_IN_LUTS)


def _placed(tables: list[Rows]) -> dict[Rows, int]:
    """Where each of different tables begins when they stand one after the other."""
    places: dict[Rows, int] = {}
    end = 0
    for table in tables:
        if table not in places:
            places[table] = end
            end += len(table)
    return places


def _joined(places: dict[Rows, int]) -> list[Ints]:
    return [row for table in places for row in table]


def ends(levels: Levels, span: tuple[int, int]) -> tuple[int, int]:
    """``span`` with the roots taken off, and a number more, which no sum reaches."""
    return span[0] - max(levels.roots), span[1] - min(levels.roots) + 1
