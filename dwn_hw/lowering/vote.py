"""Group sums and the first maximum, in LUTs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dwn_hw import ir
from dwn_hw.lowering.absorb import absorb
from dwn_hw.lowering.counters import count_ones, plan
from dwn_hw.lowering.functions import shannon
from dwn_hw.lowering.stored import Structure, place, structures
from dwn_hw.mapped import FALSE, Builder, Netlist, table_of


def lower_group_sum(node: ir.GroupSum, before: ir.Edge, after: ir.Edge, k: int) -> Netlist:
    """A counter of each group's ones, cells named ``g0_…``."""
    builder = Builder(before.size)
    each = after.formats[0].bits
    outputs: list[int] = []
    for group, members in enumerate(node.slices(before.size)):
        ones = _count(builder, f"g{group}", members, k)
        outputs += [*ones, *[FALSE] * (each - len(ones))][:each]
    return absorb(builder.finish(outputs), k)


def _count(builder: Builder, name: str, members: Sequence[int], k: int) -> list[int]:
    """The sum of bits: by a stored structure where one is smaller than what the search for a counter finds."""
    wide = max(1, len(members).bit_length())
    columns = [list(members), *[[] for _ in range(wide - 1)]]
    cost = sum(step.cost for step in plan(tuple(len(column) for column in columns), k))
    for found in structures("count", k):
        if found.shape == (len(members),) and len(found.netlist.cells) < cost:
            return place(builder, found.netlist, members, f"{name}_")
    return count_ones(builder, name, columns, k)


def lower_argmax(before: ir.Edge, after: ir.Edge, k: int) -> Netlist:
    """The smallest of a tournament and of the stored structures that are large enough."""
    fmt = before.formats[0]
    bits = after.formats[0].bits
    choices = [absorb(tournament(before, after, k), k)]
    for found in structures("argmax", k):
        entries, wide = found.shape
        if entries >= before.size and wide >= fmt.bits and not fmt.signed:
            builder = Builder(before.size * fmt.bits)
            nets = [range(i * fmt.bits, (i + 1) * fmt.bits) for i in range(before.size)]
            choices.append(_fitted(builder, found, [*nets, *[()] * (entries - before.size)], wide, bits, k))
    return _smallest(choices)


def lower_vote(node: ir.GroupSum, before: ir.Edge, after: ir.Edge, k: int) -> Netlist:
    """Group sum and first maximum as one netlist, from the bits that are counted to the index.

    The smallest of the two after each other, and of the stored structures that are large enough.
    """
    sums = node.output(before)
    builder = Builder(before.size)
    slices = node.slices(before.size)
    counts = place(builder, lower_group_sum(node, before, sums, k), range(before.size))
    longest = max(len(members) for members in slices)
    choices = [absorb(builder.finish(place(builder, lower_argmax(sums, after, k), counts)), k)]
    for found in structures("vote", k):
        groups, wide = found.shape
        if groups >= len(slices) and wide >= longest:
            padding = [()] * (groups - len(slices))
            choices.append(_fitted(Builder(before.size), found, [*slices, *padding], wide, after.formats[0].bits, k))
    return _smallest(choices)


def _fitted(
    builder: Builder, found: Structure, entries: Sequence[Sequence[int]], wide: int, outputs: int, k: int
) -> Netlist:
    """A stored structure whose entries have ``wide`` bits, on entries of at most so many; the rest is zero."""
    inputs = [net for entry in entries for net in [*entry, *[FALSE] * wide][:wide]]
    return absorb(builder.finish([*place(builder, found.netlist, inputs), *[FALSE] * outputs][:outputs]), k)


def _smallest(choices: Sequence[Netlist]) -> Netlist:
    return min(choices, key=lambda netlist: len(netlist.cells))


#: Input 2 chooses: 1 of input 0, input 1.
_CHOOSE = 0b11001010


@dataclass(frozen=True, slots=True)
class _Player:
    """Entries ``first … last`` have been compared: nets of the greatest one's value, and of its index.

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


def tournament(before: ir.Edge, after: ir.Edge, k: int) -> Netlist:
    """A tournament in which the right side must be strictly greater, so the lowest index wins a tie.

    Cells: ``right_wins_0_1``, ``best_0_1_b3``, ``index_0_1_b0``. The champion's value is never computed, and the final compares
    the sides of its players with each other and chooses among the verdicts where that is cheaper than choosing values first.
    """
    fmt = before.formats[0]
    builder = Builder(before.size * fmt.bits)
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


def _compare(builder: Builder, right: _Player, left: _Player, signed: bool, k: int) -> int:
    return greater(builder, f"right_wins_{left.name}_{right.name}", right.value, left.value, signed, k)


def _final(builder: Builder, left: _Player, right: _Player, signed: bool, k: int) -> int:
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


def _meet(builder: Builder, left: _Player, right: _Player, wins: int) -> _Player:
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


def greater(builder: Builder, name: str, a: Sequence[int], b: Sequence[int], signed: bool, k: int) -> int:
    """``a > b`` for numbers of one width, LSB first: slices of both and the verdict below, from the low bits up."""
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
