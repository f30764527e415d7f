"""Finds which combinations of bits occur behind a thermometer.

Bits of one feature are monotone: that says all there is to say of thermometer bits. Bits behind LUTs are looked at in *cases*: a
case is a level of each feature (how many of its thresholds the code reaches), and what a bit is in many cases is one integer, bit
``c`` of it for case ``c``. Bits that have no feature in common are independent of each other; for those that have, all cases
of their features are counted through if they are few.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterator, Sequence

import numpy as np

from dwn_hw import ir
from dwn_hw.ir.truth_tables import variable

#: The most cases of some features that are counted through.
MAX_CASES = 1 << 14

#: The number of random cases, which show quickly what occurs for certain.
SAMPLES = 1 << 12

#: A threshold of a feature: (feature, threshold).
Place = tuple[int, int]


class Cases:
    """Follows a thermometer and the layers behind it; asked about bits of the edge behind the last layer."""

    def __init__(self, node: ir.Thermometer) -> None:
        #: What each bit compares, if it is a comparison itself; in ``support``, all comparisons that each bit depends on.
        self.places: list[Place | None] = []
        self.support: list[frozenset[Place]] = []
        self._layers: list[ir.LutLayer] = []
        self._thresholds: list[Place] = [(feature, t) for feature, row in enumerate(node.thresholds) for t in row]
        self.places += self._thresholds
        self.support += [frozenset([place]) for place in self._thresholds]
        levels = {feature: sorted(set(row)) for feature, row in enumerate(node.thresholds)}
        rng = np.random.default_rng(0)
        drawn = {feature: rng.integers(0, len(row) + 1, SAMPLES) for feature, row in levels.items()}
        self._columns = [_pack(drawn[feature] > levels[feature].index(t)) for feature, t in self._thresholds]

    def add(self, layer: ir.LutLayer) -> None:
        """Go on behind ``layer``."""
        luts = list(zip(layer.wires, layer.tables, strict=True))
        columns = self._columns
        self._columns = [_lookup(table, [columns[w] for w in row], (1 << SAMPLES) - 1) for row, table in luts]
        self.places = [self.places[row[0]] if layer.is_wire(j) else None for j, row in enumerate(layer.wires)]
        self.support = [frozenset().union(*(self.support[wire] for wire in row)) for row in layer.wires]
        self._layers.append(layer)

    def seen(self, wires: ir.Ints) -> int:
        """The addresses of ``wires``, as a table, that some random case gives: all of them occur."""
        return _addresses([self._columns[wire] for wire in wires], (1 << SAMPLES) - 1)

    def occurring(self, wires: ir.Ints) -> int:
        """The addresses of ``wires``, as a table, that may occur: no other ever does."""
        every = (1 << (1 << len(wires))) - 1
        occur = every
        for i, j in self._implications(wires):
            occur &= ~(variable(i, len(wires)) & ~variable(j, len(wires)))
        if self._layers:
            slots = [variable(slot, len(wires)) for slot in range(len(wires))]
            for together in self._dependent(wires):
                found = self._count_through([wires[slot] for slot in together])
                parts = _split([slots[slot] for slot in together], every)
                occur &= functools.reduce(operator.or_, (p for a, p in enumerate(parts) if found >> a & 1))
        return occur

    def _implications(self, wires: ir.Ints) -> list[tuple[int, int]]:
        """The pairs of slots of which the first, if set, implies the second: its threshold of the same feature is no lower."""
        places = [(slot, place) for slot, wire in enumerate(wires) if (place := self.places[wire])]
        return [(i, j) for i, a in places for j, b in places if i != j and a[0] == b[0] and a[1] >= b[1]]

    def _dependent(self, wires: ir.Ints) -> Iterator[list[int]]:
        """The slots of bits that have features in common, two or more together."""
        groups: list[tuple[list[int], set[int]]] = []
        for slot, wire in enumerate(wires):
            slots, features = [slot], {feature for feature, _ in self.support[wire]}
            for group in [group for group in groups if group[1] & features]:
                groups.remove(group)
                slots, features = slots + group[0], features | group[1]
            groups.append((slots, features))
        return (slots for slots, _ in groups if len(slots) > 1)

    def _count_through(self, wires: Sequence[int]) -> int:
        """The addresses of ``wires`` that occur when all cases of their features are tried; all if the cases are too many."""
        levels: dict[int, list[int]] = {}
        for feature, threshold in sorted(frozenset().union(*(self.support[wire] for wire in wires))):
            levels.setdefault(feature, []).append(threshold)
        count = 1
        for row in levels.values():
            count *= len(row) + 1
        if count > MAX_CASES:
            return (1 << (1 << len(wires))) - 1
        known: dict[tuple[int, int], int] = {}
        case, period = np.arange(count), 1
        column: dict[Place, int] = {}
        for feature, row in levels.items():
            level = case // period % (len(row) + 1)
            period *= len(row) + 1
            column |= {(feature, threshold): _pack(level > rank) for rank, threshold in enumerate(row)}

        def value(depth: int, bit: int) -> int:
            if depth == 0:
                return column[self._thresholds[bit]]
            if (depth, bit) not in known:
                layer = self._layers[depth - 1]
                inputs = [value(depth - 1, wire) for wire in layer.wires[bit]]
                known[depth, bit] = _lookup(layer.tables[bit], inputs, (1 << count) - 1)
            return known[depth, bit]

        return _addresses([value(len(self._layers), wire) for wire in wires], (1 << count) - 1)


def _pack(cases: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> int:
    return int.from_bytes(np.packbits(cases, bitorder="little").tobytes(), "little")


def _split(columns: Sequence[int], every: int) -> list[int]:
    """The cases that give each address of the columns."""
    parts = [every]
    for column in columns:
        parts = [part & ~column for part in parts] + [part & column for part in parts]
    return parts


def _lookup(table: int, columns: Sequence[int], every: int) -> int:
    parts = _split(columns, every)
    return functools.reduce(operator.or_, (part for address, part in enumerate(parts) if table >> address & 1), 0)


def _addresses(columns: Sequence[int], every: int) -> int:
    return sum(1 << address for address, part in enumerate(_split(columns, every)) if part)
