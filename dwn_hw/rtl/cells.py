"""How each family's cells are instantiated: LUTs, wide multiplexers, carry chains.

Every ``lut`` gives (instance name, instance) pairs; the last LUT or multiplexer drives the wire. Address LSB first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from amaranth.hdl import Cat, Const, Instance, Signal

from dwn_hw.mapped import CARRY, LUT, SUM, Netlist, cofactors

Placed: TypeAlias = Iterator[tuple[str, Instance]]


@dataclass(frozen=True, slots=True)
class Cells:
    """``lut(name, inputs, table, output)``; ``primitives``: names of the modules, as a regular expression."""

    lut: Callable[[str, Sequence[Any], int, Any], Placed]
    primitives: str


def _portable(name: str, inputs: Sequence[Any], table: int, output: Any) -> Placed:
    n = len(inputs)
    yield f"lut_{name}", Instance("dwn_lut", p_WIDTH=n, p_LUT=Const(table, 1 << n), i_A=Cat(*inputs), o_Y=output)


def _numbered(out: str) -> Callable[[str, Sequence[Any], int, Any], Placed]:
    """LUT1 … LUT6 with pins I0 … I5."""

    def lut(name: str, inputs: Sequence[Any], table: int, output: Any) -> Placed:
        n = len(inputs)
        pins = {f"i_I{i}": bit for i, bit in enumerate(inputs)} | {f"o_{out}": output}
        yield f"lut_{name}", Instance(f"LUT{n}", p_INIT=Const(table, 1 << n), **pins)

    return lut


def _of_four(cell: str, parameter: str, pins: str, out: str) -> Callable[[str, Sequence[Any], int, Any], Placed]:
    """One cell of four inputs for any number up to that: the pins left over are 0."""

    def lut(name: str, inputs: Sequence[Any], table: int, output: Any) -> Placed:
        tied = {f"i_{pin}": bit for pin, bit in zip(pins.split(), [*inputs, *[Const(0, 1)] * 4], strict=False)}
        yield (
            f"lut_{name}",
            Instance(cell, **{f"p_{parameter}": Const(table, 16), f"o_{out}": output}, **tied),
        )

    return lut


def _behind_muxes(
    lut: Callable[[str, Sequence[Any], int, Any], Placed], muxes: dict[int, Callable[[Any, Any, Any, Any], Instance]]
) -> Callable[[str, Sequence[Any], int, Any], Placed]:
    """More inputs than a LUT has: both cofactors of the last input, and the multiplexer of that size that joins them."""

    def cell(name: str, inputs: Sequence[Any], table: int, output: Any) -> Placed:
        n = len(inputs)
        if n not in muxes:
            yield from lut(name, inputs, table, output)
            return
        halves = []
        for value, half in enumerate(cofactors(table, n, n - 1)):
            halves.append(Signal(name=f"{name}_{n - 1}is{value}"))
            yield from cell(f"{name}_{n - 1}is{value}", inputs[:-1], half, halves[-1])
        low, high = halves
        yield f"mux_{name}", muxes[n](low, high, inputs[-1], output)

    return cell


def _pfumx(low: Any, high: Any, select: Any, output: Any) -> Instance:
    return Instance("PFUMX", i_ALUT=high, i_BLUT=low, i_C0=select, o_Z=output)


def _l6mux21(low: Any, high: Any, select: Any, output: Any) -> Instance:
    return Instance("L6MUX21", i_D0=low, i_D1=high, i_SD=select, o_Z=output)


def _mux2_lut(size: int) -> Callable[[Any, Any, Any, Any], Instance]:
    return lambda low, high, select, output: Instance(f"MUX2_LUT{size}", i_I0=low, i_I1=high, i_S0=select, o_O=output)


#: By target; :data:`dwn_hw.families.FAMILIES` says what fits in one cell.
CELLS = {
    "generic": Cells(_portable, "dwn_lut"),
    "xc7": Cells(_numbered("O"), r"LUT\d|CARRY4"),
    "ecp5": Cells(
        _behind_muxes(_of_four("LUT4", "INIT", "A B C D", "Z"), {5: _pfumx, 6: _l6mux21}), "LUT4|PFUMX|L6MUX21"
    ),
    "ice40": Cells(_of_four("SB_LUT4", "LUT_INIT", "I0 I1 I2 I3", "O"), "SB_LUT4"),
    "gowin": Cells(_behind_muxes(_numbered("F"), {5: _mux2_lut(5), 6: _mux2_lut(6)}), r"LUT\d|MUX2_LUT\d"),
}


#: (net of the LUT's output, net of the sum, net of the carry above); None for one that nothing reads.
Site: TypeAlias = tuple[int, int | None, int | None]


@dataclass(frozen=True, slots=True)
class CarryBlock:
    """Up to four sites of a chain, in one CARRY4. ``entering``: the net of the carry below; ``first``: of its chain."""

    name: str
    sites: tuple[Site, ...]
    entering: int
    first: bool
    o: Any
    co: Any

    def nets(self) -> dict[int, Any]:
        """The bit that each net which it drives is."""
        bits = (
            (site[which], pin[i]) for i, site in enumerate(self.sites) for which, pin in ((1, self.o), (2, self.co))
        )
        return {net: bit for net, bit in bits if net is not None}

    def unread(self, read: set[int]) -> list[Any]:
        """Bits of its outputs that are not among the nets ``read`` outside of it."""
        used = {(which, i) for i, site in enumerate(self.sites) for which in (1, 2) if site[which] in read}
        return [pin[i] for which, pin in ((1, self.o), (2, self.co)) for i in range(4) if (which, i) not in used]

    def instance(self, netlist: Netlist, nets: Sequence[Any]) -> Instance:
        """``nets``: the bit of every net."""
        zero = Const(0, 1)
        none = [zero] * (4 - len(self.sites))
        own = [-1 if carry is None else netlist.cells[carry - netlist.inputs].inputs[1] for *_, carry in self.sites]
        return Instance(
            "CARRY4",
            i_CYINIT=nets[self.entering] if self.first else zero,
            i_CI=zero if self.first else nets[self.entering],
            i_S=Cat(*(nets[lut] for lut, *_ in self.sites), *none),
            i_DI=Cat(*(nets[net] if net >= 0 else zero for net in own), *none),
            o_O=self.o,
            o_CO=self.co,
        )


def read_outside(netlist: Netlist, blocks: Sequence[CarryBlock]) -> set[int]:
    """Nets that something reads other than as the carry within a block."""
    read = {net for cell in netlist.cells if cell.kind == LUT for net in cell.inputs} | set(netlist.outputs)
    read |= {net for cell in netlist.cells if cell.kind != LUT for net in cell.inputs[:-1]}
    return read | {block.entering for block in blocks}


def carry_blocks(netlist: Netlist) -> Iterator[CarryBlock]:
    """The carry chains of a netlist, four sites each.

    A site is known by its LUT's output: the sum and the carry that read it belong together, and a chain goes on where a
    carry is read by another site.
    """
    sums, carries = (
        {cell.inputs[0]: netlist.inputs + i for i, cell in enumerate(netlist.cells) if cell.kind == kind}
        for kind in (SUM, CARRY)
    )
    found = [*sums.items(), *carries.items()]
    above = {netlist.cells[net - netlist.inputs].inputs[-1]: lut for lut, net in found}
    for head in sorted(net for net in above if net not in carries.values()):
        sites: list[Site] = []
        carry: int | None = head
        while carry is not None and carry in above:
            lut = above[carry]
            carry = carries.get(lut)
            sites.append((lut, sums.get(lut), carry))
        cell = netlist.cells[next(net for net in sites[0][1:] if net is not None) - netlist.inputs]
        chain = cell.name.rpartition("_")[0]
        entering = head
        for start in range(0, len(sites), 4):
            name = f"{chain}_{start // 4}"
            own = tuple(sites[start : start + 4])
            pins = (Signal(4, name=f"{name}_{pin}") for pin in ("o", "co"))
            yield CarryBlock(name, own, entering, start == 0, *pins)
            entering = own[-1][2] if own[-1][2] is not None else -1
