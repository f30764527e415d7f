"""Instantiates each family's cells: LUTs, wide multiplexers, carry chains.

Every ``lut`` gives (instance name, instance) pairs; the last LUT or multiplexer drives the wire. Address LSB first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from amaranth.hdl import Cat, Const, Instance, Signal

from dwn_hw.hardware.lut_netlist import CARRY, LUT, SUM, Lut, LutNetlist
from dwn_hw.ir.truth_tables import FALSE, cofactors, invert_input

Placed: TypeAlias = Iterator[tuple[str, Instance]]


@dataclass(frozen=True, slots=True)
class Cells:
    """A family's cells: ``lut(name, inputs, table, output)``; ``primitives``: names of the modules, as a regular expression."""

    lut: Callable[[str, Sequence[Any], int, Any], Placed]
    primitives: str


def _portable(name: str, inputs: Sequence[Any], table: int, output: Any) -> Placed:
    n = len(inputs)
    yield f"lut_{name}", Instance("dwn_lut", p_WIDTH=n, p_LUT=Const(table, 1 << n), i_A=Cat(*inputs), o_Y=output)


def _numbered(out: str) -> Callable[[str, Sequence[Any], int, Any], Placed]:
    """Cells LUT1 … LUT6 with pins I0 … I5."""

    def lut(name: str, inputs: Sequence[Any], table: int, output: Any) -> Placed:
        n = len(inputs)
        pins = {f"i_I{i}": bit for i, bit in enumerate(inputs)} | {f"o_{out}": output}
        yield f"lut_{name}", Instance(f"LUT{n}", p_INIT=Const(table, 1 << n), **pins)

    return lut


def _of_four(cell: str, parameter: str, pins: str, out: str) -> Callable[[str, Sequence[Any], int, Any], Placed]:
    """One cell of four inputs for any number of inputs up to that: the pins left over are 0."""

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
    """Cells of more inputs than a LUT has: both cofactors of the last input, and the multiplexer of that size that joins them."""

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


#: The cells of each target; :data:`dwn_hw.hardware.families.FAMILIES` says what fits in one cell.
CELLS = {
    "generic": Cells(_portable, "dwn_lut"),
    "xc7": Cells(_numbered("O"), r"LUT\d(?:_2)?|CARRY4"),
    "ecp5": Cells(
        _behind_muxes(_of_four("LUT4", "INIT", "A B C D", "Z"), {5: _pfumx, 6: _l6mux21}), "LUT4|PFUMX|L6MUX21"
    ),
    "ice40": Cells(_of_four("SB_LUT4", "LUT_INIT", "I0 I1 I2 I3", "O"), "SB_LUT4"),
    "gowin": Cells(_behind_muxes(_numbered("F"), {5: _mux2_lut(5), 6: _mux2_lut(6)}), r"LUT\d|MUX2_LUT\d"),
}


#: A site of a carry chain: (net of the LUT's output, net of the sum, net of the carry above); None for one that nothing reads.
#: Without a LUT, a site passes the carry below to its sum.
Site: TypeAlias = tuple[int | None, int | None, int | None]


@dataclass(frozen=True, slots=True)
class Shared:
    """A LUT6_2: ``inputs``, six nets, I0 first; ``table`` of all six is O6, its lower half O5."""

    inputs: tuple[int, ...]
    table: int

    def instance(self, nets: Sequence[Any], output: Any, half: Any) -> Instance:
        """The instance of the cell. ``nets``: the bit of every net; ``output`` is O6, ``half`` O5."""
        pins = {f"i_I{i}": nets[net] if net >= 0 else Const(0, 1) for i, net in enumerate(self.inputs)}
        return Instance("LUT6_2", p_INIT=Const(self.table, 64), o_O6=output, o_O5=half, **pins)


@dataclass(frozen=True, slots=True)
class CarryBlock:
    """Up to four sites of a chain, in one CARRY4. ``entering``: the net of the carry below; ``below``: CO of the block below,
    if there is one. ``front``: the LUT in front of the first site of a chain, ``half``: its second output.

    A carry that enters a slice comes by the pin (AX) that site 0 has for its own bit. So there that bit comes from the LUT's
    second output, O5, which knows five of its inputs; :func:`shared` says why that is enough. And of a site's sum and carry one
    only leaves the slice: a carry that something else reads is the sum of a site more, whose S is 0.
    """

    name: str
    sites: tuple[Site, ...]
    entering: int
    below: Any
    front: Shared | None
    o: Any
    co: Any
    half: Any

    def nets(self) -> dict[int, Any]:
        """The bit of each net that the block drives; for a carry that leaves, the sum."""
        bits = (
            (site[which], pin[i]) for i, site in enumerate(self.sites) for which, pin in ((1, self.o), (2, self.co))
        )
        return {net: bit for net, bit in bits if net is not None}

    def unread(self, read: set[int]) -> list[Any]:
        """The bits of the block's outputs that are not among the nets ``read`` outside of it."""
        leaving = {total for lut, total, _ in self.sites if lut is None}
        used = {(1, i) for i, (_, total, _) in enumerate(self.sites) if total in read}
        used |= {(2, i) for i, (*_, carry) in enumerate(self.sites) if carry in read - leaving}
        return [pin[i] for which, pin in ((1, self.o), (2, self.co)) for i in range(4) if (which, i) not in used]

    def instance(self, netlist: LutNetlist, nets: Sequence[Any]) -> Instance:
        """The instance of the block. ``nets``: the bit of every net."""
        zero = Const(0, 1)
        own = [own_bit(netlist, site) for site in self.sites]
        bits = [nets[net] if net >= 0 else zero for net in own]
        none = [zero] * (4 - len(self.sites))
        return Instance(
            "CARRY4",
            i_CYINIT=nets[self.entering] if self.below is None else zero,
            i_CI=zero if self.below is None else self.below[3],
            i_S=Cat(*(zero if lut is None else nets[lut] for lut, *_ in self.sites), *none),
            i_DI=Cat(*([self.half, *bits[1:]] if self.front else bits), *none),
            o_O=self.o,
            o_CO=self.co,
        )


def own_bit(netlist: LutNetlist, site: Site) -> int:
    """The net of the bit that a site adds itself, or FALSE."""
    carry = site[2]
    return FALSE if carry is None else netlist.cells[carry - netlist.inputs].inputs[1]


def shared(netlist: LutNetlist, cell: Lut, own: int) -> Shared | None:
    """Give ``cell``, whose output is ``S``, a second output that is the bit ``own`` wherever ``S`` is 0; None if it cannot.

    That is all a site asks: where S is 1 it passes the carry below. The second output is S for own = 0, and does not depend on
    own. With own = 0 and S = 0 it is 0. With own = 1 it must be 1 where S is 0, which holds for ``S = own ^ u``.
    """
    inputs, table = _reading(netlist, cell, own)
    rest = [net for net in inputs if net != own]
    low, high = cofactors(table, len(inputs), inputs.index(own)) if own in inputs else (table, table)
    if len(rest) > 5 or (own != FALSE and low | high != (1 << (1 << len(rest))) - 1):
        return None
    # Inputs left over change nothing.
    spread = ((1 << 32) - 1) // ((1 << (1 << len(rest))) - 1)
    return Shared((*rest, *[FALSE] * (5 - len(rest)), own), low * spread | high * spread << 32)


def _reading(netlist: LutNetlist, cell: Lut, own: int) -> tuple[list[int], int]:
    """The inputs and the table of ``cell``; where it reads what an inverter turns into ``own``, those as if it read ``own``."""
    inputs, table = list(cell.inputs), cell.table
    source = netlist.cells[own - netlist.inputs] if own >= netlist.inputs else None
    if own not in inputs and source and source.kind == LUT and len(source.inputs) == 1 and source.inputs[0] in inputs:
        at = inputs.index(source.inputs[0])
        inputs[at], table = own, invert_input(table, len(inputs), at)
    return inputs, table


def carry_blocks(netlist: LutNetlist) -> Iterator[CarryBlock]:
    """The carry chains of a netlist, four sites each, and a site more where a carry leaves.

    A site is known by its LUT's output: the sum and the carry that read it belong together, and a chain goes on where a
    carry is read by another site.
    """
    sums, carries = (
        {cell.inputs[0]: netlist.inputs + i for i, cell in enumerate(netlist.cells) if cell.kind == kind}
        for kind in (SUM, CARRY)
    )
    found = [*sums.items(), *carries.items()]
    above = {netlist.cells[net - netlist.inputs].inputs[-1]: lut for lut, net in found}
    outside, fronts = read_outside(netlist), set[int]()
    for head in sorted(net for net in above if net not in carries.values()):
        sites: list[Site] = []
        carry: int | None = head
        while carry is not None and carry in above:
            lut = above[carry]
            carry = carries.get(lut)
            sites.append((lut, sums.get(lut), carry))
        cell = netlist.cells[next(net for net in sites[0][1:] if net is not None) - netlist.inputs]
        chain = cell.name.rpartition("_")[0]
        if carry in outside:
            sites.append((None, carry, None))
        front = None
        if (lut := above[head]) not in fronts:
            front = _front(netlist, sites[0])
            fronts.add(lut)
        entering, below = head, None
        for start in range(0, len(sites), 4):
            name = f"{chain}_{start // 4}"
            own = tuple(sites[start : start + 4])
            o, co = (Signal(4, name=f"{name}_{pin}") for pin in ("o", "co"))
            yield CarryBlock(name, own, entering, below, front, o, co, Signal(name=f"{name}_o5"))
            entering, below, front = own[-1][2] if own[-1][2] is not None else -1, co, None


def _front(netlist: LutNetlist, site: Site) -> Shared | None:
    lut, _, carry = site
    if lut is None or lut < netlist.inputs or (cell := netlist.cells[lut - netlist.inputs]).kind != LUT:
        return None
    # Where no carry is asked for, any bit will do.
    return shared(netlist, cell, cell.inputs[-1] if carry is None else own_bit(netlist, site))


def read_outside(netlist: LutNetlist) -> set[int]:
    """The nets that something reads other than as the carry below a site."""
    read = {net for cell in netlist.cells if cell.kind == LUT for net in cell.inputs} | set(netlist.outputs)
    return read | {net for cell in netlist.cells if cell.kind != LUT for net in cell.inputs[:-1]}
