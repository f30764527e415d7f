"""Turns constant matrices into graphs of adders: sums of shifted inputs, with what they have in common built once.

A weight ±2**s costs no adder, only a place in a sum; a layer of n inputs and m outputs has up to n·m places, and each sum of k
costs k − 1 adders. Two places that meet in several sums, with the same distance and the same relative sign, are one sum
shared by all. The pair that meets most often becomes an adder, again and again, until none meets twice (Hartley, "Subexpression
sharing in filters using canonic signed digit multipliers", 1996); what is left of each sum is added up as a tree of least
depth. Of pairs that meet equally often, which one comes first is a matter of taste: three are tried (:data:`TASTES`), and the
graph of the fewest full adders is taken.

Pure integers: nothing here knows of networks or of Verilog.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from dwn_hw.ir.edges import Format

#: A place in a sum: (term, shift, sign).
Digit: TypeAlias = tuple[int, int, int]

#: Two places of a sum, as they may meet in others: (term, later term, the later's shift − the other's, product of the signs).
Pair: TypeAlias = tuple[int, int, int, int]

#: The rules for which of the pairs that meet most often is built first: that of the newest terms, which makes longer sums; the
#: narrowest; or the one that saves most full adders, by the bits that both terms reach.
TASTES = ("newest", "narrowest", "overlap")

#: The bounds (lowest, highest) of a term's value.
Range: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Adder:
    """The term ``(left << left_shift) + sign · (right << right_shift)``, of terms by number; one of the shifts is 0."""

    left: int
    left_shift: int
    right: int
    right_shift: int
    sign: int


@dataclass(frozen=True, slots=True)
class Output:
    """A sum of the matrix: ``term << shift``, or 0 without a term."""

    term: int | None
    shift: int = 0


@dataclass(frozen=True, slots=True)
class Graph:
    """A graph of adders. Terms are numbered: the inputs, the ``constants``, then the ``adders``, which read terms before them.

    ``ranges`` and ``levels`` have one entry a term: what its value may be, and how many adders one above the other it needs.
    """

    inputs: int
    constants: tuple[int, ...]
    adders: tuple[Adder, ...]
    outputs: tuple[Output, ...]
    ranges: tuple[Range, ...]
    levels: tuple[int, ...]

    @property
    def depth(self) -> int:
        """The number of adders on the longest way."""
        return max((self.levels[out.term] for out in self.outputs if out.term is not None), default=0)

    def format(self, term: int) -> Format:
        """The narrowest format that holds a term."""
        return Format.covering(*self.ranges[term])

    def evaluate(self, values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The outputs (samples, outputs) for inputs ``values`` (samples, inputs)."""
        terms = [*values.T, *(np.full(len(values), c) for c in self.constants)]
        for a in self.adders:
            terms.append((terms[a.left] << a.left_shift) + a.sign * (terms[a.right] << a.right_shift))
        zero = np.zeros(len(values), np.int64)
        return np.stack([zero if o.term is None else terms[o.term] << o.shift for o in self.outputs], axis=1)

    def bits(self) -> int:
        """The number of full adders: for each adder, the bits of its sum that both operands reach."""
        return sum(self.width(index) for index in range(len(self.adders)))

    def width(self, index: int) -> int:
        """The full adders of one adder. Low bits that one operand alone has are wires, unless that operand is subtracted."""
        adder, term = self.adders[index], self.inputs + len(self.constants) + index
        return self.format(term).bits - adder.right_shift - (adder.left_shift if adder.sign > 0 else 0)


def share(weights: npt.NDArray[np.int64], biases: Sequence[int], inputs: Sequence[Range], slack: int = 1) -> Graph:
    """The graph of ``weights @ x + biases``; ``weights``: (outputs, inputs), ``inputs``: the range of each.

    A weight that is no power of two has several places, those of its canonic signed digits. ``slack``: how many adders the
    longest way may have more than it must, in exchange for sharing.
    """
    graphs = [_share(weights.tolist(), biases, inputs, slack, taste) for taste in TASTES]
    return min(graphs, key=lambda graph: (graph.bits(), len(graph.adders)))


def _share(weights: list[list[int]], biases: Sequence[int], inputs: Sequence[Range], slack: int, taste: str) -> Graph:
    sums = [_places(row) for row in weights]
    starts = [bias if bias else None for bias in biases]
    build = _Build(inputs, starts)
    depths = [build.least_depth(places, start) for places, start in zip(sums, starts, strict=True)]
    _Sharing(build, sums, starts, max(depths) + slack, taste).run()
    return build.graph(tuple(build.total(places, start) for places, start in zip(sums, starts, strict=True)))


def digits(weight: int) -> list[tuple[int, int]]:
    """The canonic signed digits of an integer: (shift, sign), no two of them side by side.

    >>> digits(7), digits(-4)
    ([(0, -1), (3, 1)], [(2, -1)])
    """
    found, shift = [], 0
    while weight:
        if weight & 1:
            sign = 2 - (weight & 3)
            found.append((shift, sign))
            weight -= sign
        weight >>= 1
        shift += 1
    return found


def _places(row: Iterable[int]) -> set[Digit]:
    return {(term, shift, sign) for term, weight in enumerate(row) for shift, sign in digits(weight)}


class _Build:
    """The terms of a graph that is being built."""

    def __init__(self, inputs: Sequence[Range], starts: Sequence[int | None]) -> None:
        # From 0 a sum is taken that sharing has left with negative places alone.
        self.constants = tuple(sorted({0} | {start for start in starts if start is not None}))
        self.inputs, self.adders = len(inputs), list[Adder]()
        self.ranges = [*inputs, *((c, c) for c in self.constants)]
        self.levels = [0] * len(self.ranges)

    def adder(self, left: Digit, right: Digit) -> int:
        """Add a term for left ± right, with the left one taken as positive and the lower shift as 0."""
        (a, p, s), (b, q, t) = left, right
        low = min(p, q)
        self.adders.append(Adder(a, p - low, b, q - low, s * t))
        (a_low, a_high), (b_low, b_high) = (
            (lo << x - low, hi << x - low) for (lo, hi), x in ((self.ranges[a], p), (self.ranges[b], q))
        )
        b_low, b_high = (b_low, b_high) if s == t else (-b_high, -b_low)
        self.ranges.append((a_low + b_low, a_high + b_high))
        self.levels.append(1 + max(self.levels[a], self.levels[b]))
        return len(self.ranges) - 1

    def least_depth(self, places: Iterable[Digit], start: int | None) -> int:
        """The fewest levels that a sum of these places needs, by Kraft's inequality."""
        need = sum(1 << self.levels[term] for term, _, _ in places) + (start is not None)
        return max(need - 1, 0).bit_length()

    def total(self, places: Iterable[Digit], start: int | None) -> Output:
        """Add up places as a tree of least depth: the two shallowest first, and of those the narrowest."""
        leaves = list(places)
        if start is None and leaves and max(sign for _, _, sign in leaves) < 0:
            start = 0
        if start is not None:
            leaves.append((self.inputs + self.constants.index(start), 0, 1))
        queue = [(self._cost(leaf), leaf) for leaf in leaves]
        heapq.heapify(queue)
        while len(queue) > 1:
            (_, first), (_, second) = heapq.heappop(queue), heapq.heappop(queue)
            if (first[2], -first[1]) < (second[2], -second[1]):  # the positive one on the left
                first, second = second, first
            made = (self.adder(first, second), min(first[1], second[1]), first[2])
            heapq.heappush(queue, (self._cost(made), made))
        if not queue:
            return Output(None)
        term, shift, _ = queue[0][1]
        return Output(term, shift)

    def _cost(self, digit: Digit) -> tuple[int, int, int]:
        term, shift, _ = digit
        return self.levels[term], Format.covering(*self.ranges[term]).bits + shift, term

    def graph(self, outputs: tuple[Output, ...]) -> Graph:
        """The graph of all terms, whether or not an output needs them."""
        return Graph(self.inputs, self.constants, tuple(self.adders), outputs, tuple(self.ranges), tuple(self.levels))


class _Sharing:
    """The places of all sums, and how often each pair of them meets."""

    def __init__(
        self, build: _Build, sums: list[set[Digit]], starts: Sequence[int | None], depth: int, taste: str
    ) -> None:
        self.build, self.sums, self.starts, self.depth, self.taste = build, sums, starts, depth, taste
        self.counts = Counter[Pair]()
        self.readers = defaultdict[int, set[int]](set)  # the sums that have a place of a term
        for index, places in enumerate(sums):
            ordered = sorted(places)
            for i, place in enumerate(ordered):
                self.readers[place[0]].add(index)
                self.counts.update(_pair(other, place) for other in ordered[:i])
        self.queue = [self._entry(pair) for pair, count in self.counts.items() if count > 1]
        heapq.heapify(self.queue)

    def run(self) -> None:
        """Build the pair that meets most often, as long as one meets twice."""
        while self.queue:
            entry = heapq.heappop(self.queue)
            pair = entry[-1]
            if self.counts[pair] < 2:
                continue
            fresh = self._entry(pair)
            if fresh != entry:  # it meets more or less often by now
                heapq.heappush(self.queue, fresh)
                continue
            self._build(pair)

    def _entry(self, pair: Pair) -> tuple[int, int, int, Pair]:
        """A pair's entry in the queue, whose least entry is built first."""
        a, b, distance, _ = pair
        count = self.counts[pair]
        one, other = (Format.covering(*self.build.ranges[term]).bits for term in (a, b))
        match self.taste:
            case "newest":
                return -count, -b, -a, pair
            case "narrowest":
                return -count, max(one, other) + abs(distance), max(self.build.levels[a], self.build.levels[b]), pair
            case _:
                both = min(one, other + distance) - max(0, distance)
                return -count * max(1, both), -count, -b, pair

    def _build(self, pair: Pair) -> None:
        a, b, distance, sign = pair
        level = 1 + max(self.build.levels[a], self.build.levels[b])
        chosen = [
            (index, first, second)
            for index in sorted(self.readers[a] & self.readers[b])
            for first, second in self._meetings(index, pair)
        ]
        chosen = self._shallow(chosen, level)
        if len(chosen) < 2:
            self.counts[pair] = 0  # it would make sums too deep, or meets itself only
            return
        term = self.build.adder((a, max(0, -distance), 1), (b, max(0, distance), sign))
        for index, first, second in chosen:
            self._remove(index, first)
            self._remove(index, second)
            self._add(index, (term, min(first[1], second[1]), first[2]))

    def _meetings(self, index: int, pair: Pair) -> list[tuple[Digit, Digit]]:
        """The places of a pair in a sum; no place belongs to two of them."""
        a, b, distance, sign = pair
        places, used, found = self.sums[index], set[Digit](), []
        for first in sorted(place for place in places if place[0] == a):
            second = (b, first[1] + distance, first[2] * sign)
            if second in places and first not in used and second not in used:
                used |= {first, second}
                found.append((first, second))
        return found

    def _shallow(self, chosen: list[tuple[int, Digit, Digit]], level: int) -> list[tuple[int, Digit, Digit]]:
        """The part of the ``chosen`` meetings after which each sum still fits into the depth."""
        kept, gone = [], defaultdict[int, int](int)
        for index, first, second in chosen:
            more = (1 << level) - sum(1 << self.build.levels[place[0]] for place in (first, second))
            need = sum(1 << self.build.levels[term] for term, _, _ in self.sums[index])
            if need + gone[index] + more + (self.starts[index] is not None) <= 1 << self.depth:
                gone[index] += more
                kept.append((index, first, second))
        return kept

    def _remove(self, index: int, place: Digit) -> None:
        places = self.sums[index]
        places.remove(place)
        self.counts.subtract(_pair(place, other) for other in places)
        if not any(other[0] == place[0] for other in places):
            self.readers[place[0]].discard(index)

    def _add(self, index: int, place: Digit) -> None:
        for other in self.sums[index]:
            pair = _pair(place, other)
            self.counts[pair] += 1
            if self.counts[pair] > 1:
                heapq.heappush(self.queue, self._entry(pair))
        self.sums[index].add(place)
        self.readers[place[0]].add(index)


def _pair(one: Digit, other: Digit) -> Pair:
    (a, p, s), (b, q, t) = (one, other) if one < other else (other, one)
    return a, b, q - p, s * t
