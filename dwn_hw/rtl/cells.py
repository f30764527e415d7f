"""How each family's cells are instantiated: LUTs, wide multiplexers, carry chains.

Every ``lut`` gives (instance name, instance) pairs; the last LUT or multiplexer drives the wire. Address LSB first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from amaranth.hdl import Cat, Const, Instance, Signal

from dwn_hw.mapped import CARRY, SUM, Netlist, cofactors

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


def carry4(netlist: Netlist, nets: Sequence[Any]) -> Placed:
    """The carry chains of a netlist in Xilinx' CARRY4, four sites each.

    ``nets``: the signal of every net, the outputs of chain cells among them. A site is known by its LUT's output: the sum and
    the carry that read it belong together, and a chain goes on where a carry reads the carry below.
    """
    sums, carries = ({cell.inputs[0]: i for i, cell in _of(netlist, kind)} for kind in (SUM, CARRY))
    above = {netlist.cells[i].inputs[-1]: lut for found in (sums, carries) for lut, i in found.items()}
    heads = [net for net in above if net < netlist.inputs or netlist.cells[net - netlist.inputs].kind != CARRY]
    for serial, head in enumerate(sorted(heads)):
        entering, carry = nets[head], head
        block = 0
        while carry in above:
            pins: list[list[Any]] = [[], [], [], []]  # S, DI, O, CO
            while carry in above and len(pins[0]) < 4:
                lut = above[carry]
                through = netlist.cells[carries[lut]] if lut in carries else None
                bit = through.inputs[1] if through is not None else -1
                pins[0].append(nets[lut])
                pins[1].append(nets[bit] if bit >= 0 else Const(0, 1))
                pins[2].append(nets[netlist.inputs + sums[lut]] if lut in sums else None)
                pins[3].append(nets[netlist.inputs + carries[lut]] if lut in carries else None)
                carry = netlist.inputs + carries[lut] if lut in carries else -1
            name = f"chain{serial}_{block}"
            yield f"carry_{name}", _carry4(name, entering, first=block == 0, pins=pins)
            entering, block = pins[3][-1], block + 1


def _of(netlist: Netlist, kind: str) -> Iterator[tuple[int, Any]]:
    return ((i, cell) for i, cell in enumerate(netlist.cells) if cell.kind == kind)


def _carry4(name: str, entering: Any, *, first: bool, pins: list[list[Any]]) -> Instance:
    lut, bit, sums, carries = pins
    none = [Const(0, 1)] * (4 - len(lut))
    unread = [[Signal(name=f"unused_{name}_{pin}{i}") for i in range(4)] for pin in ("o", "co")]
    outputs = [
        Cat(*(own[i] if i < len(own) and own[i] is not None else spare[i] for i in range(4)))
        for own, spare in zip((sums, carries), unread, strict=True)
    ]
    zero = Const(0, 1)
    return Instance(
        "CARRY4",
        i_CYINIT=entering if first else zero,
        i_CI=zero if first else entering,
        i_S=Cat(*lut, *none),
        i_DI=Cat(*bit, *none),
        o_O=outputs[0],
        o_CO=outputs[1],
    )
