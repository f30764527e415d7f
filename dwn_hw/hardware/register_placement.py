"""Chooses where the registers go by a delay model, before any tool has run, so that the latency is known beforehand.

The parts of a design stand in a row. Registers can stand after every level of LUTs of every part
(:mod:`dwn_hw.hardware.split_netlist`); of all placements with as many registers as asked, or with as few as meet a
clock, the one with the shortest longest path is taken, and of those the one with the fewest flip-flops. The last
register always follows the last part, so that outputs come from flip-flops.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from dwn_hw.hardware import cell_cost, split_netlist
from dwn_hw.hardware.families import Family
from dwn_hw.hardware.lut_netlist import Lut
from dwn_hw.hardware.split_netlist import Logic
from dwn_hw.hardware.word_netlist import Operation
from dwn_hw.ir import Ints


@dataclass(frozen=True, slots=True)
class Registers:
    """The registers of one part. ``inside``: the levels, short of the last, behind which registers stand; ``after``: whether some
    stand behind the part.
    """

    inside: Ints = ()
    after: bool = False

    @property
    def count(self) -> int:
        """The clocks from the part's inputs to what follows it."""
        return len(self.inside) + self.after


@dataclass(frozen=True, slots=True)
class _Place:
    """A place for registers after level ``level`` of part ``part``, where they take ``width`` flip-flops."""

    part: int
    level: int
    last: bool
    width: int


class Placer:
    """Chooses the registers of ``netlists`` in a row, under the delays of a family.

    ``captured``: a register always follows the first part, and what the second one reads are flip-flops behind it.
    """

    def __init__(self, netlists: Sequence[Logic], family: Family, captured: bool = False) -> None:
        self.netlists = tuple(netlists)
        self.places = tuple(place for part, netlist in enumerate(netlists) for place in _places(part, netlist))
        #: ``reach[s][t]``: nanoseconds from registers at place ``s - 1`` (0: the input port) to those at place ``t``.
        self.reach = _reach(self.netlists, self.places, family, captured)
        #: The fewest registers that there are.
        self.least = min(2, len(netlists)) if captured else 0

    def after_each_part(self) -> tuple[Registers, ...]:
        """The placement with a register after every part."""
        return (Registers(after=True),) * len(self.netlists)

    def best(self, latency: int) -> tuple[Registers, ...]:
        """The best placement of ``latency`` registers, of which there may be 0 to ``len(places)``."""
        if latency == 0:
            return (Registers(),) * len(self.netlists)
        limits = sorted({ns for start, row in enumerate(self.reach) for ns in row[start:]})
        low, high = 0, len(limits) - 1
        while low < high:
            middle = (low + high) // 2
            fewest = self._fewest(limits[middle])
            if fewest is not None and fewest <= latency:
                high = middle
            else:
                low = middle + 1
        return self._cheapest(limits[low], latency)

    def meeting(self, period: float) -> tuple[Registers, ...] | None:
        """The placement of the fewest registers that keep every path within ``period`` nanoseconds, or None if none does."""
        fewest = self._fewest(period)
        return None if fewest is None else self._cheapest(period, fewest)

    def period(self, registers: Sequence[Registers]) -> float:
        """The delay of the longest path, from register or port to register or port, in nanoseconds."""
        return max(delay for *_, delay in self.delays(registers))

    def delays(self, registers: Sequence[Registers]) -> list[tuple[int, int, float]]:
        """Between each two places of registers or ports: the part and the level that the later one follows, and nanoseconds."""
        chosen = [i for i, place in enumerate(self.places) if _stands(registers, place)]
        ends = [*chosen, *([len(self.places) - 1] if not chosen or chosen[-1] != len(self.places) - 1 else [])]
        pairs = zip([0, *(i + 1 for i in ends)], ends, strict=False)
        return [(self.places[end].part, self.places[end].level, self.reach[start][end]) for start, end in pairs]

    def shortest_period(self) -> float:
        """The delay of the longest path with a register at every place, in nanoseconds."""
        return max(self.reach[i][i] for i in range(len(self.places)))

    def _fewest(self, period: float) -> int | None:
        start = count = 0
        while start < len(self.places):
            reached = [end for end in range(start, len(self.places)) if self.reach[start][end] <= period]
            if not reached:
                return None
            start, count = reached[-1] + 1, count + 1
        return count

    def _cheapest(self, period: float, count: int) -> tuple[Registers, ...]:
        """The placement of exactly ``count`` registers with no path longer than ``period`` nanoseconds and the fewest flip-flops.

        Of equal ones it is that of the later registers.
        """

        @functools.cache
        def least(start: int, left: int) -> tuple[int, Ints]:
            """The flip-flops and the places from a register before place ``start`` on."""
            found: tuple[int, Ints] = (1 << 60, ())
            last = len(self.places) - 1
            for end in [last] if left == 1 else range(last - left + 1, start - 1, -1):
                if self.reach[start][end] <= period:
                    cost, behind = least(end + 1, left - 1) if left > 1 else (0, ())
                    found = min(found, (cost + self.places[end].width, (end, *behind)), key=lambda option: option[0])
            return found

        _, chosen = least(0, count)
        picked = [self.places[i] for i in chosen]
        return tuple(
            Registers(
                tuple(place.level for place in picked if place.part == part and not place.last),
                any(place.part == part and place.last for place in picked),
            )
            for part in range(len(self.netlists))
        )


def _places(part: int, netlist: Logic) -> list[_Place]:
    inside = [_Place(part, level, False, width) for level, width in enumerate(split_netlist.widths(netlist), 1)]
    return [*inside, _Place(part, netlist.depth(), True, netlist.output_bits)]


def _stands(registers: Sequence[Registers], place: _Place) -> bool:
    own = registers[place.part]
    return own.after if place.last else place.level in own.inside


def _reach(netlists: Sequence[Logic], places: Sequence[_Place], family: Family, captured: bool) -> list[list[float]]:
    """The longest paths between places, in nanoseconds, as :attr:`Placer.reach` has them.

    The parts are taken as one netlist whose cells know the place that they stand before.
    """
    cells, first = _flatten(netlists, places, family, captured)
    fixed = [place.part == 0 and place.last for place in places].index(True) if captured else len(places)
    readers: dict[int, int] = {}
    for _, inputs, *_ in cells:
        for net in inputs:
            readers[net] = readers.get(net, 0) + 1
    delay = family.delay
    route = {net: delay.route(count) for net, count in readers.items()}
    rows = []
    for start in range(len(places)):
        arrival: dict[int, float] = {}
        row = [0.0] * len(places)
        for i, (slot, inputs, through, wired) in enumerate(cells):
            if slot >= start:
                # Within a chain there are no wires. No inputs: constants from the part before.
                came = (arrival.get(net, delay.register) + wired * route[net] for net in inputs)
                ns = max(came, default=0.0) + through
                arrival[first + i] = ns
                row[slot] = max(row[slot], ns)
        # A path that ends earlier is no shorter for a later register; without cells there is still the wire.
        for end in range(start, len(places)):
            row[end] = max(row[end], row[end - 1] if end > start else delay.register + delay.wire)
            if start <= fixed < end:
                row[end] = math.inf
        rows.append(row)
    return rows


def _flatten(
    netlists: Sequence[Logic], places: Sequence[_Place], family: Family, captured: bool
) -> tuple[list[tuple[int, Ints, float, int]], int]:
    """The cells of all parts: for each the place that it stands before, its input nets, its delay, and whether wires lead to it.

    Beside them, the net of the first one. Between parts flow bits, which a part of words takes together: a word is as late as the
    latest of its bits, and each of them as late as the word.
    """
    slot = {(place.part, place.level): i for i, place in enumerate(places)}
    flip_flops = range(netlists[0].inputs, netlists[0].inputs + captured * sum(n.inputs for n in netlists[1:2]))
    first = flip_flops.stop
    cells: list[tuple[int, Ints, float, int]] = []
    entering = [net for net in range(netlists[0].inputs) for _ in range(netlists[0].bits(net))]
    for part, netlist in enumerate(netlists):
        level = split_netlist.levels(netlist)
        bits = iter(entering)
        number = [tuple(next(bits) for _ in range(netlist.bits(net))) for net in range(netlist.inputs)]
        own: Sequence[Lut | Operation] = netlist.cells
        for i, cell in enumerate(own):
            number.append((first + len(cells),))
            inputs = tuple(dict.fromkeys(n for net in cell.reads for n in number[net] if n >= 0))
            cells.append((slot[part, level[netlist.inputs + i]], inputs, cell_cost.through(family, cell), cell.levels))
        entering = []
        for net, width in zip(netlist.outputs, netlist.output_widths, strict=True):
            nets = number[net] if net >= 0 else (net,)
            entering += [*nets, *nets[-1:] * width][:width]
        if captured and part == 0:
            entering = list(flip_flops)
    return cells, first
