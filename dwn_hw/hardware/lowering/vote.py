"""Lowers group sums and the first maximum to LUTs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dwn_hw import ir
from dwn_hw.hardware.lowering.absorb import absorb
from dwn_hw.hardware.lowering.popcount_carries import count_ones, luts
from dwn_hw.hardware.lowering.shannon import shannon
from dwn_hw.hardware.lowering.stored_structures import place, structures
from dwn_hw.hardware.lut_netlist import LutBuilder, LutNetlist
from dwn_hw.ir.truth_tables import FALSE, table_of


def lower_group_sum(
    node: ir.GroupSum, before: ir.Edge, after: ir.Edge, k: int, chain_inputs: int = 0, *, quick: bool = False
) -> LutNetlist:
    """Lower group sums to a counter of each group's ones, with cells named ``g0_…``. ``quick``: in milliseconds.

    A member of negative weight counts as its inverse, which a compressor's table takes in: −w·x is w·(1 − x) − w.
    """
    builder = LutBuilder(before.size)
    fmt = after.formats[0]
    outputs: list[int] = []
    for serial, group in enumerate(node.split(before.size)):
        # In two's complement a sum has the whole width; counts from 0 up have what they need.
        wide = fmt.bits if fmt.signed else max(1, group.high.bit_length())
        columns: list[list[int]] = [[] for _ in range(wide)]
        for net, weight in zip(group.members, group.weights, strict=True):
            literal = net if weight > 0 else builder.lut(f"g{serial}_not{net}", [net], 0b01)
            for bit in range(min(wide, abs(weight).bit_length())):
                columns[bit] += [literal] * (abs(weight) >> bit & 1)
        ones = _count(builder, f"g{serial}", columns, k, group.low, chain_inputs, quick)
        outputs += [*ones, *[FALSE] * (fmt.bits - wide)]
    return builder.finish(outputs)


def _count(
    builder: LutBuilder, name: str, columns: list[list[int]], k: int, constant: int, chain_inputs: int, quick: bool
) -> list[int]:
    """Build the sum of columns and a constant; of bits alone by a stored structure, if that takes fewer LUTs."""
    ones, *higher = columns
    if not constant and not any(higher):
        cost = luts(tuple(map(len, columns)), k, 0, chain_inputs, quick)
        for found in structures("count", k):
            if found.shape == (len(ones),) and len(found.netlist.cells) < cost:
                return place(builder, found.netlist, ones, f"{name}_")
    return count_ones(builder, name, columns, k, constant, chain_inputs, quick)


#: The truth table of a multiplexer: input 2 chooses input 1 where it is 1, else input 0.
_CHOOSE = 0b11001010


@dataclass(frozen=True, slots=True)
class _Player:
    """The winner among the entries ``first … last``: the nets of its value, and of its index.

    ``sides``: the two that met to give it, and the net that says whether the right one won.
    """

    first: int
    last: int
    value: tuple[int, ...]
    index: tuple[int, ...]
    sides: tuple[_Player, _Player, int] | None = None

    @property
    def name(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}to{self.last}"


def lower_argmax(before: ir.Edge, after: ir.Edge, k: int) -> LutNetlist:
    """Lower an argmax to a tournament, or to a stored structure that is large enough, if that takes fewer LUTs."""
    fmt, bits = before.formats[0], after.formats[0].bits
    choices = [absorb(tournament(before, after, k), k)]
    for found in structures("argmax", k):
        entries, wide = found.shape
        if entries >= before.size and wide >= fmt.bits and not fmt.signed:
            builder = LutBuilder(before.size * fmt.bits)
            inputs = [FALSE] * (entries * wide)
            for i in range(before.size):
                inputs[i * wide : i * wide + fmt.bits] = range(i * fmt.bits, (i + 1) * fmt.bits)
            index = [*place(builder, found.netlist, inputs), *[FALSE] * bits][:bits]
            choices.append(absorb(builder.finish(index), k))
    return min(choices, key=lambda netlist: len(netlist.cells))


def tournament(before: ir.Edge, after: ir.Edge, k: int) -> LutNetlist:
    """Build a tournament in which the right side must be strictly greater, so the lowest index wins a tie.

    Cells: ``right_wins_0_1``, ``best_0_1_b3``, ``index_0_1_b0``. The champion's value is never computed, and the final compares
    the sides of its players with each other and chooses among the verdicts where that is cheaper than choosing values first.
    """
    fmt = before.formats[0]
    builder = LutBuilder(before.size * fmt.bits)
    players = [_Player(i, i, tuple(range(i * fmt.bits, (i + 1) * fmt.bits)), ()) for i in range(before.size)]
    while len(players) > 1:
        pairs = list(zip(players[::2], players[1::2], strict=False))
        if len(players) == 2:
            left, right = players
            paired = [_meet(builder, left, right, _final(builder, left, right, fmt.signed, k))]
        else:
            paired = [_meet(builder, a, b, _compare(builder, b, a, fmt.signed, k)) for a, b in pairs]
        players = paired + players[len(pairs) * 2 :]
    bits = after.formats[0].bits
    return builder.finish([*players[0].index, *[FALSE] * bits][:bits])


def _compare(builder: LutBuilder, right: _Player, left: _Player, signed: bool, k: int) -> int:
    return greater(builder, f"right_wins_{left.name}_{right.name}", right.value, left.value, signed, k)


def _final(builder: LutBuilder, left: _Player, right: _Player, signed: bool, k: int) -> int:
    """The net that says whether ``right`` wins, when nobody asks for the winner's value."""
    sides: list[tuple[_Player, ...]] = [p.sides[:2] if p.sides else (p,) for p in (left, right)]
    chosen = [player.sides[2] for player in (left, right) if player.sides]
    width = len(left.value)
    slices = max(1, -(-(2 * width - 1) // (k - 1)))
    if len(sides[0]) * len(sides[1]) * slices + 1 >= slices + width * len(chosen):
        return _compare(builder, right, left, signed, k)
    verdicts = [_compare(builder, b, a, signed, k) for b in sides[1] for a in sides[0]]
    # Address, from the low end: the verdicts, then which of the left's sides won, then which of the right's.
    count = len(verdicts)
    table = table_of(count + len(chosen), lambda a: a >> (a >> count) & 1)
    return shannon(builder, f"right_wins_{left.name}_{right.name}", [*verdicts, *chosen], table, k)


def _meet(builder: LutBuilder, left: _Player, right: _Player, wins: int) -> _Player:
    name = f"{left.name}_{right.name}"
    value = tuple(
        builder.lut(f"best_{name}_b{i}", [a, b, wins], _CHOOSE)
        for i, (a, b) in enumerate(zip(left.value, right.value, strict=True))
    )
    # Players meet in order and sides are of equal size but for the last, so the winner's side is the next index bit.
    size = left.last - left.first + 1
    wide = (size - 1).bit_length()
    sides = [tuple([*side.index, *[FALSE] * wide][:wide]) for side in (left, right)]
    index = tuple(
        builder.lut(f"index_{name}_b{i}", [a, b, wins], _CHOOSE) for i, (a, b) in enumerate(zip(*sides, strict=True))
    )
    return _Player(left.first, right.last, value, (*index, wins), (left, right, wins))


def greater(builder: LutBuilder, name: str, a: Sequence[int], b: Sequence[int], signed: bool, k: int) -> int:
    """Build ``a > b`` for numbers of one width, LSB first: slices of both and the verdict below, from the low bits up."""
    verdict: list[int] = []
    low = 0
    while low < len(a):
        width = min((k - len(verdict)) // 2, len(a) - low)
        last = low + width == len(a)
        flip, mask, below = (signed and last) << (width - 1), (1 << width) - 1, len(verdict)

        def wins(address: int, width: int = width, flip: int = flip, mask: int = mask, below: int = below) -> bool:
            rest = address >> below
            return ((rest & mask) ^ flip) + (address & below) > ((rest >> width) ^ flip)

        inputs = [*verdict, *a[low : low + width], *b[low : low + width]]
        verdict = [builder.lut(name if last else f"{name}_from{low}", inputs, table_of(len(inputs), wins))]
        low += width
    return verdict[0]
