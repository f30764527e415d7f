"""Families of FPGAs: what their LUTs hold, and how long a signal takes.

Delays are for choosing where registers go before any tool has run, in nanoseconds: the slowest speed grade's logic delay
plus what routing took on designs of this tool. They are estimates; place and route says what is so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Delay:
    """Nanoseconds: a register's clock-to-output and set-up together; a LUT; a wire to one reader, and more for each doubling."""

    register: float
    lut: float
    wire: float
    fanout: float

    def hop(self, readers: int) -> float:
        """From the output of one cell, through a wire with so many readers, to the output of the next."""
        return self.wire + self.fanout * math.log2(max(1, readers)) + self.lut


@dataclass(frozen=True, slots=True)
class Family:
    """``lut_inputs``: inputs of a LUT; ``cell_inputs``: of the largest cell that LUTs and their wide multiplexers make."""

    name: str
    lut_inputs: int
    cell_inputs: int
    delay: Delay

    def luts(self, inputs: int) -> int:
        """LUTs that a cell of so many inputs takes: halves by Shannon expansion, joined by multiplexers that are no LUTs."""
        return 1 << max(0, inputs - self.lut_inputs)


#: ``generic``: portable Verilog for every tool. The others: the family's own LUT cells, which synthesis keeps as they are.
FAMILIES = {
    family.name: family
    for family in (
        Family("generic", 6, 6, Delay(0.7, 0.2, 0.6, 0.08)),
        Family("xc7", 6, 6, Delay(0.7, 0.2, 0.6, 0.08)),
        Family("ecp5", 4, 6, Delay(0.7, 0.24, 0.6, 0.1)),
        Family("ice40", 4, 4, Delay(1.2, 0.45, 0.9, 0.1)),
        Family("gowin", 4, 6, Delay(1.0, 0.6, 0.8, 0.1)),
    )
}
