"""What a family takes for the cells of a netlist: LUTs, sites of carry chains, nanoseconds."""

from __future__ import annotations

from dwn_hw.hardware.families import Family
from dwn_hw.hardware.lut_netlist import CARRY, LUT, Lut, LutNetlist
from dwn_hw.hardware.word_netlist import Operation, WordNetlist, WordOp


def through(family: Family, cell: Lut | Operation) -> float:
    """Nanoseconds from the inputs of a cell to its output; words are added and compared along a carry chain."""
    delay = family.delay
    if isinstance(cell, Operation):
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


def counted(family: Family, netlist: LutNetlist | WordNetlist) -> tuple[int, int]:
    """LUTs, and sites of carry chains; a tool chooses those of words, so they are not told apart."""
    if isinstance(netlist, WordNetlist):
        return sites(family, netlist), 0
    lut = sum(luts(family, len(cell.inputs)) for cell in netlist.cells if cell.kind == LUT)
    return lut, sum(cell.kind == CARRY for cell in netlist.cells)


def sites(family: Family, netlist: LutNetlist | WordNetlist) -> int:
    """LUTs of a netlist, those in front of sites that need none, and those that a carry takes on its way out.

    Of words, about one a bit.
    """
    if isinstance(netlist, WordNetlist):
        return sum(netlist.sites(i) for i in range(len(netlist.cells)))
    cells = netlist.cells
    fronts = {(cell.inputs[0], cell.inputs[-1]) for cell in cells if cell.kind != LUT}
    driven = {netlist.inputs + i for i, cell in enumerate(cells) if cell.kind == LUT}
    idle = len(fronts) - len({net for net, _ in fronts} & driven)
    read = {net for cell in cells if cell.kind == LUT for net in cell.inputs} | set(netlist.outputs)
    leaving = sum(cell.kind == CARRY and netlist.inputs + i in read for i, cell in enumerate(cells))
    return leaving + idle + sum(luts(family, len(cell.inputs)) for cell in cells if cell.kind == LUT)
