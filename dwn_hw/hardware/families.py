"""Families of FPGAs: what their LUTs hold, and how long a signal takes.

Delays are for choosing where registers go before any tool has run, in nanoseconds: the slowest speed grade's logic delay
plus what routing took on designs of this tool. They are estimates; place and route says what is so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from dwn_hw.hardware.lut_netlist import CARRY, LUT, Lut, Netlist
from dwn_hw.hardware.word_netlist import MUX, QUANTIZE, Operation, Words


@dataclass(frozen=True, slots=True)
class Delay:
    """Nanoseconds: a register's clock-to-output and set-up together; a LUT; a wire to one reader, and more for each doubling;
    a wide multiplexer; a site of a carry chain."""

    register: float
    lut: float
    wire: float
    fanout: float
    mux: float = 0.0
    carry: float = 0.05

    def route(self, readers: int) -> float:
        """Through a wire with so many readers."""
        return self.wire + self.fanout * math.log2(max(1, readers))


@dataclass(frozen=True, slots=True)
class Family:
    """``lut_inputs``: inputs of a LUT; ``cell_inputs``: of the largest cell that LUTs and their wide multiplexers make.

    ``chain_inputs``: inputs of the LUT in front of a site of a carry chain; 0 where this tool uses no chains. ``models``: the
    shipped file with the modules that a simulator needs; ``portable``: whether it is part of the design. ``address``: what a
    reader must know of the pins.
    """

    name: str
    lut_inputs: int
    cell_inputs: int
    chain_inputs: int
    delay: Delay
    models: str
    address: str
    portable: bool = False

    def through(self, cell: Lut | Operation) -> float:
        """Nanoseconds from the inputs of a cell to its output; words are added and compared along a carry chain."""
        if isinstance(cell, Operation):
            chained = self.delay.carry * cell.format.bits if cell.kind != MUX else 0.0
            return self.delay.lut + chained + (self.delay.lut + self.delay.wire) * (cell.kind == QUANTIZE)
        if cell.kind != LUT:
            return self.delay.carry
        return self.delay.lut + self.delay.mux * max(0, len(cell.inputs) - self.lut_inputs)

    def luts(self, inputs: int) -> int:
        """LUTs that any function of so many inputs fits in, by Shannon expansion from the last input down.

        Wide multiplexers that join halves are no LUTs; where there are none, a LUT joins them.
        """
        if inputs <= self.lut_inputs:
            return 1
        return 2 * self.luts(inputs - 1) + (inputs > self.cell_inputs)

    def counted(self, netlist: Netlist | Words) -> tuple[int, int]:
        """LUTs, and sites of carry chains; a tool chooses those of words, so they are not told apart."""
        if isinstance(netlist, Words):
            return self.sites(netlist), 0
        lut = sum(self.luts(len(cell.inputs)) for cell in netlist.cells if cell.kind == LUT)
        return lut, sum(cell.kind == CARRY for cell in netlist.cells)

    def sites(self, netlist: Netlist | Words) -> int:
        """LUTs of a netlist, those in front of sites that need none, and those that a carry takes on its way out.

        Of words, about one a bit.
        """
        if isinstance(netlist, Words):
            return sum(netlist.sites(i) for i in range(len(netlist.cells)))
        cells = netlist.cells
        fronts = {(cell.inputs[0], cell.inputs[-1]) for cell in cells if cell.kind != LUT}
        luts = {netlist.inputs + i for i, cell in enumerate(cells) if cell.kind == LUT}
        idle = len(fronts) - len({net for net, _ in fronts} & luts)
        read = {net for cell in cells if cell.kind == LUT for net in cell.inputs} | set(netlist.outputs)
        leaving = sum(cell.kind == CARRY and netlist.inputs + i in read for i, cell in enumerate(cells))
        return leaving + idle + sum(self.luts(len(cell.inputs)) for cell in cells if cell.kind == LUT)


#: ``generic``: portable Verilog for every tool. The others: the family's own LUT cells, which synthesis keeps as they are.
FAMILIES = {
    family.name: family
    for family in (
        Family(
            *("generic", 6, 6, 0, Delay(0.7, 0.2, 0.6, 0.08)),
            *("dwn_lut.v", "A[0] of a dwn_lut is its address LSB", True),
        ),
        Family(
            *("xc7", 6, 6, 6, Delay(0.7, 0.2, 0.6, 0.08)),
            *("xc7_cells.v", "I0 of a LUT is its address LSB"),
        ),
        Family(
            *("ecp5", 4, 6, 0, Delay(0.8, 0.24, 0.75, 0.12, 0.3)),
            *("ecp5_cells.v", "A of a LUT4 is its address LSB"),
        ),
        Family(
            *("ice40", 4, 4, 0, Delay(1.2, 0.45, 0.9, 0.1)),
            *("ice40_cells.v", "I0 of an SB_LUT4 is its address LSB"),
        ),
        Family(
            *("gowin", 4, 6, 0, Delay(1.0, 0.6, 0.8, 0.1, 0.3)),
            *("gowin_cells.v", "I0 of a LUT is its address LSB"),
        ),
    )
}
