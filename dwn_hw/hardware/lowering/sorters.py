"""Lowers sorting to a network of comparators, in words or in LUTs, or to counts of ones, whichever takes the fewest LUTs.

Three ways are built and counted:

* *Words*: a comparison and two choices for each comparator, for the tool's carry chains.
* *Slices*: the same in LUTs. Bits below the highest are compared in slices; what chooses a bit also sees both highest bits, and
  so finds out by itself who wins.
* *Levels*: of numbers of few bits, or that come as words of levels. Entry ``j`` of what is sorted reaches a level if enough of
  the numbers do, which is a function of their bits at that level alone: of up to a LUT's inputs one LUT, of more a count of
  ones. A number is the count of the levels that it reaches. (The idea is that of sorting in unary, Najafi et al., TVLSI 2018,
  with counts for its networks.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias, TypeVar

import numpy as np

from dwn_hw import ir
from dwn_hw.hardware import cell_cost, sorting_networks
from dwn_hw.hardware.families import Family
from dwn_hw.hardware.lowering.absorb import absorb
from dwn_hw.hardware.lowering.popcount_carries import count_ones
from dwn_hw.hardware.lowering.shannon import shannon
from dwn_hw.hardware.lowering.vote import greater
from dwn_hw.hardware.lut_netlist import LutBuilder, LutNetlist
from dwn_hw.hardware.split_netlist import Logic
from dwn_hw.hardware.word_netlist import Output, WordBuilder, WordNetlist
from dwn_hw.ir.truth_tables import table_of

#: The most levels of LUTs that a comparator of slices may have: a carry chain is faster from there on. Where a tool maps LUTs
#: again, which makes more of deep ones, fewer.
_DEEPEST, _DEEPEST_PORTABLE = 4, 2

#: The most bits of a number that is sorted by levels, of which there are then 15.
_FEW = 4

_Item = TypeVar("_Item")

#: The nets of a number, LSB first.
_Bits: TypeAlias = Sequence[int]


def lower_sort(
    node: ir.Sort, name: str, before: ir.Edge, after: ir.Edge, family: Family, by: str = sorting_networks.SIZE
) -> Logic:
    """Lower a sort to what takes the fewest LUTs of ``family``. ``by``: what its networks are chosen by."""
    fmt = before.formats[0]
    choices: list[Logic] = [] if node.levels else [sort_words(node, name, before, after, by)]
    for k in range(family.lut_inputs, family.cell_inputs + 1):
        deepest = _DEEPEST_PORTABLE if family.portable else _DEEPEST
        if not node.levels and _levels_of_slices(fmt.bits, k) <= deepest:
            choices.append(sort_slices(node, name, before, k, by))
        if node.levels or fmt.bits <= _FEW:
            choices.append(sort_levels(node, name, before, after, k))
    return min(choices, key=lambda logic: (cell_cost.sites(family, logic), logic.depth()))


def _along(node: ir.Sort, edge: ir.Edge, row: Callable[[str, list[int]], Sequence[_Item]], name: str) -> list[_Item]:
    """What ``row`` makes of the numbers of each row along each axis, in the order of the edge behind the sort."""
    numbers = np.arange(edge.size).reshape(edge.shape)
    joined = edge.shape[: min(node.axes)]
    made: list[_Item] = []
    places = []
    for axis in node.axes:
        across = np.moveaxis(numbers, axis, -1)
        rows, first = across.reshape(-1, across.shape[-1]).tolist(), len(made)
        for i, entries in enumerate(rows):
            made += row(name if len(rows) == 1 else f"{name}_a{axis}_r{i}", entries)
        place = np.arange(first, len(made)).reshape(*across.shape[:-1], -1)
        places.append(np.moveaxis(place, -1, axis).reshape(*joined, -1))
    return [made[i] for i in np.concatenate(places, axis=-1).reshape(-1).tolist()]


def _through(
    node: ir.Sort,
    by: str,
    numbers: Iterable[_Item],
    exchange: Callable[[int, _Item, _Item, tuple[bool, bool]], tuple[_Item, _Item]],
) -> list[_Item]:
    """What comes out of the best network for numbers, whose comparator ``i`` is ``exchange(i, first, second, what is read)``."""
    wires = list(numbers)
    network = sorting_networks.best(len(wires), node.keep or len(wires), by)
    for i, ((a, b), read) in enumerate(zip(network.comparators, network.read(), strict=True)):
        wires[a], wires[b] = exchange(i, wires[a], wires[b], read)
    return wires[: network.keep]


def sort_words(
    node: ir.Sort, name: str, before: ir.Edge, after: ir.Edge, by: str = sorting_networks.SIZE
) -> WordNetlist:
    """Lower a sort to words: a comparison and two choices for each comparator of a network, which is chosen ``by``."""
    build = WordBuilder(before.flat_formats())

    def row(name: str, numbers: list[int]) -> list[int]:
        def exchange(i: int, one: int, other: int, read: tuple[bool, bool]) -> tuple[int, int]:
            rises = build.greater(f"{name}_rises{i}", one, other)
            sides = (one, other) if node.descending else (other, one)
            first = build.mux(f"{name}_first{i}", rises, *sides) if read[0] else one
            return first, build.mux(f"{name}_second{i}", rises, *sides[::-1]) if read[1] else other

        return _through(node, by, numbers, exchange)

    terms = _along(node, before, row, name)
    return build.finish([Output(term, 0, after.formats[0]) for term in terms])


def sort_slices(node: ir.Sort, name: str, before: ir.Edge, k: int, by: str = sorting_networks.SIZE) -> LutNetlist:
    """Lower a sort to LUTs of ``k`` inputs: a comparison by slices, and a choice of each bit, for each comparator."""
    builder, fmt = LutBuilder(before.bits), before.formats[0]

    def row(name: str, numbers: list[int]) -> list[_Bits]:
        def exchange(i: int, one: _Bits, other: _Bits, read: tuple[bool, bool]) -> tuple[_Bits, _Bits]:
            wins = _Comparison(builder, f"{name}_{i}", one, other, fmt.signed, k)
            sides = (node.descending, not node.descending)
            first, second = (
                wins.choose(f"{name}_{side}{i}", greatest) if needed else []
                for side, greatest, needed in zip(("first", "second"), sides, read, strict=True)
            )
            return first, second

        return _through(node, by, _split(numbers, fmt.bits), exchange)

    return absorb(builder.finish([bit for bits in _along(node, before, row, name) for bit in bits]), k)


def _split(numbers: Iterable[int], bits: int) -> list[_Bits]:
    return [range(number * bits, (number + 1) * bits) for number in numbers]


def _levels_of_slices(bits: int, k: int) -> int:
    """The levels of LUTs of a comparator: the slices below what :class:`_Comparison` sees at once, and the choice."""
    below, first, more = bits - _seen(bits, k), k // 2, (k - 1) // 2
    return 1 + (below > 0) + max(0, -(-(below - first) // more))


def _seen(bits: int, k: int) -> int:
    """The highest bits of both numbers that the LUT which chooses a bit sees beside that bit and the verdict of those below."""
    return bits if 2 * bits <= k else max(0, (k - 3) // 2)


class _Comparison:
    """Two numbers of one width and the verdict of their lower bits, from which each bit of the greater or lesser is one LUT."""

    def __init__(self, builder: LutBuilder, name: str, one: _Bits, other: _Bits, signed: bool, k: int) -> None:
        self.builder, self.one, self.other, self.signed = builder, one, other, signed
        low = len(one) - _seen(len(one), k)
        below = greater(builder, f"{name}_wins", one[:low], other[:low], signed and low == len(one), k) if low else None
        self.verdict = [] if below is None else [below]
        self.high = [*one[low:], *other[low:]]

    def choose(self, name: str, greatest: bool) -> list[int]:
        """The nets of the greater number, or of the lesser."""
        return [self._bit(f"{name}_b{i}", i, greatest) for i in range(len(self.one))]

    def _bit(self, name: str, index: int, greatest: bool) -> int:
        inputs = [self.one[index], self.other[index], *self.verdict, *self.high]
        high = len(self.high) // 2
        flip = (1 << high >> 1) if self.signed else 0

        def chosen(address: int) -> int:
            bits, rest = address & 3, address >> 2
            won = bool(self.verdict) and bool(rest & 1)
            rest >>= len(self.verdict)
            one, other = (rest & (1 << high) - 1) ^ flip, rest >> high ^ flip
            first = one > other or (one == other and won)
            return bits >> (first != greatest) & 1

        # Bits that are also among the highest come twice, which the builder folds.
        return self.builder.lut(name, inputs, table_of(len(inputs), chosen))


def sort_levels(node: ir.Sort, name: str, before: ir.Edge, after: ir.Edge, k: int) -> LutNetlist:
    """Lower a sort to LUTs of ``k`` inputs: how many numbers reach each level says how many of the sorted ones do.

    Numbers that come as words of levels have these as their bits; others are read.
    """
    builder, fmt = LutBuilder(before.bits), before.formats[0]
    codes: Sequence[int] = node.levels or range(fmt.low, fmt.high + 1)
    code = _code_of_level if node.levels else _code_of_parity

    def row(name: str, numbers: list[int]) -> list[_Bits]:
        size = len(numbers)
        counts = [place + 1 if node.descending else size - place for place in range(node.keep or size)]
        words, reached = _split(numbers, fmt.bits), []
        for level in range(1, len(codes)):
            if node.levels:
                bits = [nets[level - 1] for nets in words]
            else:
                table = table_of(fmt.bits, lambda address, level=level: _value(address, fmt) - fmt.low >= level)
                bits = [builder.lut(f"{name}_x{i}_ge{level}", nets, table) for i, nets in enumerate(words)]
            # A sign is the inverse of level 0, where all bits turn: so that level is made as its inverse.
            inverse = fmt.signed and level == -fmt.low
            reached.append(at_least(builder, f"{name}_l{level}", bits, counts, k, inverse))
        return [
            [code(builder, f"{name}_y{j}_b{bit}", entry, bit, codes, k) for bit in range(after.formats[0].bits)]
            for j, entry in enumerate(zip(*reached, strict=True))
        ]

    return absorb(builder.finish([bit for bits in _along(node, before, row, name) for bit in bits]), k)


def _value(address: int, fmt: ir.Format) -> int:
    return address - ((address >> fmt.bits - 1) << fmt.bits if fmt.signed else 0)


def _code_of_parity(
    builder: LutBuilder, name: str, reached: Sequence[int], bit: int, codes: Sequence[int], k: int
) -> int:
    """The net of a bit of the code of the highest level reached: it turns at some of the levels."""
    rest = [net for net, code in zip(reached, codes[1:], strict=True) if (code ^ code - 1) >> bit & 1]
    start = codes[0] >> bit & 1 ^ (codes[0] < 0)
    while len(rest) > k:
        inner = builder.lut(f"{name}_p{len(rest)}", rest[:k], table_of(k, lambda address: address.bit_count() & 1))
        rest = [*rest[k:], inner]
    return builder.lut(name, rest, table_of(len(rest), lambda address: (address.bit_count() & 1) ^ start))


def _code_of_level(
    builder: LutBuilder, name: str, reached: Sequence[int], bit: int, codes: Sequence[int], k: int
) -> int:
    """The net of a bit of the code of the level that is found by halving."""
    if len(reached) <= k:
        return builder.lut(
            name, reached, table_of(len(reached), lambda address: codes[_level(address, len(reached))] >> bit & 1)
        )
    middle = len(reached) // 2
    low, high = (
        _code_of_level(builder, f"{name}{side}", nets, bit, own, k)
        for side, nets, own in (
            ("l", reached[:middle], codes[: middle + 1]),
            ("h", reached[middle + 1 :], codes[middle + 1 :]),
        )
    )
    return builder.lut(name, [low, high, reached[middle]], 0b11001010)  # input 2 chooses: 1 of input 0, input 1


def _level(address: int, count: int) -> int:
    """The level, of ``count`` above the lowest, that the bits of an address lead to, the middle one asked first."""
    if not count:
        return 0
    middle = count // 2
    if address >> middle & 1:
        return middle + 1 + _level(address >> middle + 1, count - middle - 1)
    return _level(address, middle)


def at_least(
    builder: LutBuilder, name: str, bits: Sequence[int], counts: Iterable[int], k: int, inverse: bool = False
) -> list[int]:
    """For each of ``counts`` the net that says whether at least so many of ``bits`` are 1, or its ``inverse``."""
    if len(bits) <= k:
        inputs, weights = list(bits), [1] * len(bits)
    else:
        columns = [list(bits), *([] for _ in range(len(bits).bit_length() - 1))]
        inputs = count_ones(builder, name, columns, k, 0, 0, False)
        weights = [1 << i for i in range(len(inputs))]

    def reached(count: int) -> int:
        def holds(address: int) -> bool:
            return (sum(weight for i, weight in enumerate(weights) if address >> i & 1) >= count) != inverse

        return shannon(builder, f"{name}_n{count}", inputs, table_of(len(inputs), holds), k)

    return [reached(count) for count in counts]
