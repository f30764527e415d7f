"""Group sums and the first maximum, in LUTs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dwn_hw import ir
from dwn_hw.lowering.counters import count_ones
from dwn_hw.mapped import FALSE, Builder, Netlist, table_of


def lower_group_sum(node: ir.GroupSum, before: ir.Edge, after: ir.Edge, k: int) -> Netlist:
    """A counter of each group's ones, cells named ``g0_…``."""
    builder = Builder(before.size)
    each = after.formats[0].bits
    outputs: list[int] = []
    for group, members in enumerate(node.slices(before.size)):
        wide = max(1, len(members).bit_length())
        ones = count_ones(builder, f"g{group}", [list(members), *[[] for _ in range(wide - 1)]], k)
        outputs += [*ones, *[FALSE] * (each - len(ones))][:each]
    return builder.finish(outputs)


@dataclass(frozen=True, slots=True)
class _Player:
    """Entries ``first … last`` have been compared: nets of the greatest one's value, and of its index."""

    first: int
    last: int
    value: tuple[int, ...]
    index: tuple[int, ...]

    @property
    def name(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}to{self.last}"


def lower_argmax(before: ir.Edge, after: ir.Edge, k: int) -> Netlist:
    """A tournament in which the right side must be strictly greater, so the lowest index wins a tie.

    Cells: ``right_wins_0_1``, ``best_0_1_b3``, ``index_0_1_b0``. The champion's value is never computed.
    """
    fmt = before.formats[0]
    builder = Builder(before.size * fmt.bits)
    players = [_Player(i, i, tuple(range(i * fmt.bits, (i + 1) * fmt.bits)), ()) for i in range(before.size)]
    while len(players) > 1:
        paired = [
            _match(builder, left, right, fmt.signed, k)
            for left, right in zip(players[::2], players[1::2], strict=False)
        ]
        players = paired + players[len(paired) * 2 :]
    bits = after.formats[0].bits
    return builder.finish([*players[0].index, *[FALSE] * bits][:bits])


def _match(builder: Builder, left: _Player, right: _Player, signed: bool, k: int) -> _Player:
    name = f"{left.name}_{right.name}"
    wins = greater(builder, f"right_wins_{name}", right.value, left.value, signed, k)
    choose = 0b11001010  # input 2 chooses: 1 of input 0, input 1
    value = tuple(
        builder.lut(f"best_{name}_b{i}", [a, b, wins], choose)
        for i, (a, b) in enumerate(zip(left.value, right.value, strict=True))
    )
    # Players meet in order and sides are of equal size but for the last, so the winner's side is the next index bit.
    size = left.last - left.first + 1
    wide = (size - 1).bit_length()
    sides = [tuple([*side.index, *[FALSE] * wide][:wide]) for side in (left, right)]
    index = tuple(
        builder.lut(f"index_{name}_b{i}", [a, b, wins], choose) for i, (a, b) in enumerate(zip(*sides, strict=True))
    )
    return _Player(left.first, right.last, value, (*index, wins))


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
