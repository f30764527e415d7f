"""One combinational component a node of the network.

Every part has one input port ``x`` and one output port ``y``, both plain bit vectors: entry ``i`` of an edge lies at
bits ``[Σ widths below i +: width]``, the first entry lowest. Latency 0; the core puts the registers.
"""

from __future__ import annotations

from typing import Any, TypeAlias, assert_never

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from dwn_hw.ir import ArgMax, Edge, GroupSum, LutLayer, Network, Node, Thermometer
from dwn_hw.rtl.cells import add_lut, at_least, count_ones, greater, leave_unused


def width(edge: Edge) -> int:
    """Bits of an edge as a vector."""
    return sum(fmt.bits for fmt in edge.flat_formats())


class Part(wiring.Component):  # type: ignore[misc]  # amaranth ships no types
    """A node as combinational hardware."""

    x: Signal
    y: Signal

    def __init__(self, name: str, before: Edge, after: Edge) -> None:
        self.name, self.before, self.after = name, before, after
        super().__init__({"x": In(width(before)), "y": Out(width(after))})

    def entries(self) -> list[Value]:
        """The input vector cut into the edge's entries."""
        cut, low = [], 0
        for fmt in self.before.flat_formats():
            cut.append(self.x[low : low + fmt.bits])
            low += fmt.bits
        return cut


class Encoder(Part):
    """Thermometer: each bit one comparison of a code with a constant, named ``f03_ge_117``."""

    def __init__(self, node: Thermometer, name: str, before: Edge, after: Edge) -> None:
        self.node = node
        super().__init__(name, before, after)

    def elaborate(self, platform: object) -> Module:
        """Comparators, one for each different threshold of a feature."""
        m = Module()
        digits = max(2, len(str(len(self.node.thresholds) - 1)))
        bits: list[Any] = []
        idle: list[Any] = []
        for feature, (row, fmt, code) in enumerate(
            zip(self.node.thresholds, self.before.flat_formats(), self.entries(), strict=True)
        ):
            prefix = f"f{feature:0{digits}}_ge_"
            made: dict[int, Any] = {}
            for threshold in row:
                name = f"{prefix}{'m' * (threshold < 0)}{abs(threshold)}"
                if threshold in made:
                    # A buffer: an output port that is read inside its module looks like a loop to Verilator.
                    bits.append(add_lut(m, f"{name}_again{len(bits)}", [made[threshold]], 0b10))
                    continue
                made[threshold] = at_least(m, name, [*code], threshold - fmt.low, flip_top=fmt.signed)
                bits.append(made[threshold])
            idle += [*code[: _zeros_below(row, fmt.low, fmt.bits)]]
        m.d.comb += self.y.eq(Cat(*bits))
        leave_unused(m, idle)
        return m


def _zeros_below(row: tuple[int, ...], lowest: int, bits: int) -> int:
    """How many low bits of a code no comparison reads."""
    real = [t - lowest for t in row if 0 < t - lowest < 1 << bits]
    return min(((t & -t).bit_length() - 1 for t in real), default=bits)


class Luts(Part):
    """A layer of LUTs, one ``dwn_lut`` a neuron, named ``l0_n017``."""

    def __init__(self, node: LutLayer, name: str, before: Edge, after: Edge) -> None:
        self.node = node
        super().__init__(name, before, after)

    def elaborate(self, platform: object) -> Module:
        """One instance a neuron."""
        m = Module()
        digits = max(3, len(str(len(self.node.tables) - 1)))
        neurons = [
            add_lut(m, f"{self.name}_n{j:0{digits}}", [self.x[wire] for wire in wires], table)
            for j, (wires, table) in enumerate(zip(self.node.wires, self.node.tables, strict=True))
        ]
        m.d.comb += self.y.eq(Cat(*neurons))
        read = {wire for wires in self.node.wires for wire in wires}
        leave_unused(m, [self.x[i] for i in range(self.before.size) if i not in read])
        return m


class PopCount(Part):
    """Group sums: a counter of each group's ones, named ``g0_…``."""

    def __init__(self, node: GroupSum, name: str, before: Edge, after: Edge) -> None:
        self.node = node
        super().__init__(name, before, after)

    def elaborate(self, platform: object) -> Module:
        """One counter a group."""
        m = Module()
        each = self.after.formats[0].bits
        counts = []
        for group, members in enumerate(self.node.slices(self.before.size)):
            ones = count_ones(m, f"g{group}", [self.x[i] for i in members])
            counts.append(Cat(*ones)[:each] if len(ones) >= each else Cat(*ones, *[0] * (each - len(ones))))
        m.d.comb += self.y.eq(Cat(*counts))
        return m


class FirstMax(Part):
    """Argmax: a tournament in which the right side must be strictly greater, so the lowest index wins a tie."""

    def __init__(self, node: ArgMax, name: str, before: Edge, after: Edge) -> None:
        self.node = node
        super().__init__(name, before, after)

    def elaborate(self, platform: object) -> Module:
        """A balanced tree of comparators and multiplexers."""
        m = Module()
        players: list[_Player] = [(str(i), value, Const(i)) for i, value in enumerate(self.entries())]
        while len(players) > 1:
            pairs = zip(players[::2], players[1::2], strict=False)
            odd = players[len(players) // 2 * 2 :]
            players = [self._match(m, left, right) for left, right in pairs] + odd
        m.d.comb += self.y.eq(players[0][2])
        return m

    def _match(self, m: Module, left: _Player, right: _Player) -> _Player:
        name = f"{left[0]}_{right[0]}"
        wins = greater(m, f"right_wins_{name}", [*right[1]], [*left[1]], self.before.formats[0].signed)
        index = Signal(len(right[2]), name=f"index_{name}")
        best = Signal(len(left[1]), name=f"best_{name}")
        m.d.comb += [index.eq(Mux(wins, right[2], left[2])), best.eq(Mux(wins, right[1], left[1]))]
        return f"{left[0].split('to')[0]}to{right[0].split('to')[-1]}", best, index


#: In the tournament: which entries it has beaten (``2to3``), its value, its index.
_Player: TypeAlias = tuple[str, Value, Value]


def make_part(node: Node, name: str, before: Edge, after: Edge) -> Part:
    """The component of one node."""
    match node:
        case Thermometer():
            return Encoder(node, name, before, after)
        case LutLayer():
            return Luts(node, name, before, after)
        case GroupSum():
            return PopCount(node, name, before, after)
        case ArgMax():
            return FirstMax(node, name, before, after)
        case _:
            assert_never(node)


def make_parts(network: Network) -> tuple[Part, ...]:
    """The components of all nodes, in order."""
    edges = network.edges()
    return tuple(
        make_part(node, name, before, after)
        for node, name, before, after in zip(network.nodes, network.names(), edges, edges[1:], strict=False)
    )
