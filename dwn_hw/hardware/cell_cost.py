"""What a family takes for the cells of a netlist: LUTs, sites of carry chains, nanoseconds."""

from __future__ import annotations

from dwn_hw.hardware.families import Family
from dwn_hw.hardware.lut_netlist import CARRY, LUT, Lut, LutNetlist
from dwn_hw.hardware.word_netlist import Operation, WordNetlist, WordOp


def through(family: Family, cell: Lut | Operation) -> float:
    """Nanoseconds from the inputs of a cell to its output; words are added and compared along a carry chain."""
    delay = family.delay
    if isinstance(cell, Operation):
        if cell.kind is WordOp.JOIN:
            return 0.0
        chained = delay.carry * cell.format.bits if cell.kind is not WordOp.MUX else 0.0
        clamped = delay.lut + delay.wire if cell.kind is WordOp.QUANTIZE else 0.0
        return delay.lut + chained + clamped
    if cell.kind != LUT:
        return delay.carry
    return delay.lut + delay.mux * max(0, len(cell.inputs) - family.lut_inputs)


def luts(family: Family, inputs: int) -> int:
    """LUTs that any function of so many inputs fits in, by Shannon expansion from the last input down.

    Wide multiplexers that join halves are no LUTs; where there are none, a LUT joins them.
    """
    if inputs <= family.lut_inputs:
        return 1
    return 2 * luts(family, inputs - 1) + (inputs > family.cell_inputs)


def counted(family: Family, netlist: LutNetlist | WordNetlist) -> tuple[int, int, int]:
    """LUTs, sites of carry chains, and LUTs that only pass a net on: into a site that needs none, or out of a chain.

    Of words about one LUT a bit; a tool chooses their chains, so these are not told apart.
    """
    if isinstance(netlist, WordNetlist):
        return sum(netlist.sites(i) for i in range(len(netlist.cells))), 0, 0
    lut = sum(luts(family, len(cell.inputs)) for cell in netlist.cells if cell.kind == LUT)
    return lut, sum(cell.kind == CARRY for cell in netlist.cells), _passing(netlist)


def sites(family: Family, netlist: LutNetlist | WordNetlist) -> int:
    """All LUTs that a netlist takes, those that only pass a net on among them."""
    lut, _, passing = counted(family, netlist)
    return lut + passing


def _passing(netlist: LutNetlist) -> int:
    cells = netlist.cells
    fronts = {(cell.inputs[0], cell.inputs[-1]) for cell in cells if cell.kind != LUT}
    driven = {netlist.inputs + i for i, cell in enumerate(cells) if cell.kind == LUT}
    idle = len(fronts) - len({net for net, _ in fronts} & driven)
    read = {net for cell in cells if cell.kind == LUT for net in cell.inputs} | set(netlist.outputs)
    leaving = sum(cell.kind == CARRY and netlist.inputs + i in read for i, cell in enumerate(cells))
    return leaving + idle
