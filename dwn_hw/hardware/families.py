"""Families of FPGAs: all that is known of each, in one place.

A family needs nothing but its entry in :data:`FAMILIES`, and for LUT cells of its own their Verilog
(``rtl_templates/``) and how they are instantiated (:mod:`dwn_hw.rtl.cells`). The command line, synthesis, place and
route, the estimate and the boards read it.

Delays are for choosing where registers go before any tool has run: the slowest speed grade's logic delay plus what routing took
on designs of this tool. They are estimates; place and route says what is so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from dwn_hw import _assets


@dataclass(frozen=True, slots=True)
class Delay:
    """Nanoseconds: ``register`` clock-to-output and set-up together; a ``lut``; a ``wire`` to one reader, and ``fanout`` more for
    each doubling of the readers; a wide multiplexer ``mux``; a site of a ``carry`` chain.
    """

    register: float
    lut: float
    wire: float
    fanout: float
    mux: float = 0.0
    carry: float = 0.05

    def route(self, readers: int) -> float:
        """Through a wire with so many readers."""
        return self.wire + self.fanout * math.log2(max(1, readers))


#: (rows, bits) that a block RAM can be, with one port to write and one to read.
Shapes: TypeAlias = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class BlockRam:
    """The block RAM of a family: a block of ``kbit`` Kbit is the unit in which boards, estimates and tools are counted.

    ``shapes``: those of a whole block; ``halves``: those of half a block, where each half can be a memory of its own.
    """

    kbit: int
    shapes: Shapes
    halves: Shapes = ()


@dataclass(frozen=True, slots=True)
class Synthesis:
    """How yosys maps to the family: its ``command``, and which ``cells`` of its netlist count as what (regular expressions).

    ``lut`` counts every LUT cell of one input or more. ``half_bram``: cells that take half a block RAM.
    ``models``: yosys' own simulation models of the cells, below its share folder.
    """

    command: str
    cells: Mapping[str, str]
    models: str
    half_bram: str = r"(?!)"


@dataclass(frozen=True, slots=True)
class OwnCells:
    """LUT cells that an export may instantiate: the shipped file with their ``models``, and the pin that a reader must know."""

    models: str
    address: str


@dataclass(frozen=True, slots=True)
class Family:
    """A family of FPGAs.

    ``lut_inputs``: the inputs of a LUT; ``cell_inputs``: those of the largest cell that LUTs and their wide
    multiplexers make; ``chain_inputs``: those of the LUT in front of a site of a carry chain, 0 where this tool uses no
    chains. ``cells``: the LUT cells that an export for it is made of; None where it only takes portable Verilog.
    ``portable``: whether these cells are part of the design, and every tool reads them. ``synthesis``: None where only
    the vendor's tool maps to it. ``resources``: the resources of nextpnr that together are what a board's capacity
    states, by kind; empty without nextpnr. ``bitstream``: the suffix of what its tool makes. ``carry_luts``: LUTs that
    a carry cell takes the place of. ``registers_take_luts``: whether a flip-flop is fed by the LUT beside it alone, so
    that one which reads anything else takes that LUT's place. ``uart_luts``: what the UART shell takes, as built by
    this version, whatever the export.
    """

    name: str
    lut_inputs: int
    cell_inputs: int
    delay: Delay
    block_ram: BlockRam
    uart_luts: int
    bitstream: str
    chain_inputs: int = 0
    cells: OwnCells | None = None
    portable: bool = False
    synthesis: Synthesis | None = None
    resources: Mapping[str, tuple[str, ...]] | None = None
    carry_luts: int = 0
    registers_take_luts: bool = False


_BLOCKS_18K: Shapes = ((16384, 1), (8192, 2), (4096, 4), (2048, 9), (1024, 18), (512, 36))
_BLOCKS_36K: Shapes = ((32768, 1), (16384, 2), (8192, 4), (4096, 9), (2048, 18), (1024, 36), (512, 72))
_BLOCKS_10K: Shapes = ((8192, 1), (4096, 2), (2048, 5), (1024, 10), (512, 20), (256, 40))
_BLOCKS_4K: Shapes = ((2048, 2), (1024, 4), (512, 8), (256, 16))

#: ``generic`` is portable Verilog for every tool, counted on LUTs of 6 inputs and blocks of 18 Kbit.
FAMILIES = {
    family.name: family
    for family in (
        Family(
            name="generic",
            lut_inputs=6,
            cell_inputs=6,
            delay=Delay(register=0.7, lut=0.2, wire=0.6, fanout=0.08),
            block_ram=BlockRam(18, _BLOCKS_18K),
            uart_luts=370,
            bitstream="bin",
            cells=OwnCells("dwn_lut.v", "A[0] of a dwn_lut is its address LSB"),
            portable=True,
        ),
        Family(
            name="xc7",
            lut_inputs=6,
            cell_inputs=6,
            chain_inputs=6,
            delay=Delay(register=0.7, lut=0.2, wire=0.6, fanout=0.08),
            block_ram=BlockRam(36, _BLOCKS_36K, halves=_BLOCKS_18K),
            uart_luts=370,
            bitstream="bit",
            cells=OwnCells("xc7_cells.v", "I0 of a LUT is its address LSB"),
            synthesis=Synthesis(
                "synth_xilinx -family xc7 -flatten -noiopad",
                {
                    "lut": r"LUT[1-6]|LUT6_2|INV",
                    "ff": r"FD[RSCP]E",
                    "carry": r"CARRY4",
                    "mux": r"MUXF[78]",
                    "bram": r"RAMB36\w*|FIFO36\w*",
                    "dsp": r"DSP48\w+",
                },
                "xilinx/cells_sim.v",
                half_bram=r"RAMB18\w*|FIFO18\w*",
            ),
        ),
        Family(
            name="ecp5",
            lut_inputs=4,
            cell_inputs=6,
            delay=Delay(register=0.8, lut=0.24, wire=0.75, fanout=0.12, mux=0.3),
            block_ram=BlockRam(18, _BLOCKS_18K),
            uart_luts=760,
            bitstream="bit",
            cells=OwnCells("ecp5_cells.v", "A of a LUT4 is its address LSB"),
            synthesis=Synthesis(
                "synth_ecp5",
                {
                    "lut": r"LUT4",
                    "ff": r"TRELLIS_FF",
                    "carry": r"CCU2C",
                    "mux": r"PFUMX|L6MUX21",
                    "bram": r"DP16KD|PDPW16KD",
                    "dsp": r"MULT18X18D|ALU54B",
                },
                "ecp5/cells_sim.v",
            ),
            resources={"lut": ("TRELLIS_COMB",), "ff": ("TRELLIS_FF",), "bram": ("DP16KD",)},
            carry_luts=2,
        ),
        Family(
            name="ice40",
            lut_inputs=4,
            cell_inputs=4,
            delay=Delay(register=1.2, lut=0.45, wire=0.9, fanout=0.1),
            block_ram=BlockRam(4, _BLOCKS_4K),
            uart_luts=740,
            bitstream="bin",
            cells=OwnCells("ice40_cells.v", "I0 of an SB_LUT4 is its address LSB"),
            synthesis=Synthesis(
                "synth_ice40",
                {
                    "lut": r"SB_LUT4",
                    "ff": r"SB_DFF\w*",
                    "carry": r"SB_CARRY",
                    "mux": r"(?!)",
                    "bram": r"SB_RAM40_4K\w*",
                    "dsp": r"SB_MAC16",
                },
                "ice40/cells_sim.v",
            ),
            # How many of the logic cells use their flip-flop, nextpnr does not say.
            resources={"lut": ("ICESTORM_LC",), "bram": ("ICESTORM_RAM",)},
            registers_take_luts=True,
        ),
        Family(
            name="gowin",
            lut_inputs=4,
            cell_inputs=6,
            delay=Delay(register=1.0, lut=0.6, wire=0.8, fanout=0.1, mux=0.3),
            block_ram=BlockRam(18, _BLOCKS_18K),
            uart_luts=1060,
            bitstream="fs",
            cells=OwnCells("gowin_cells.v", "I0 of a LUT is its address LSB"),
            synthesis=Synthesis(
                "synth_gowin -noiopads",
                {
                    "lut": r"LUT[1-4]|INV",
                    "ff": r"DFF\w*",
                    "carry": r"ALU",
                    "mux": r"MUX2_LUT\d",
                    "bram": r"\w*(SP|SDPB?|DPB?|ROM)(X9)?B?",
                    "dsp": r"MULT\w+|PADD\w+",
                },
                "gowin/cells_sim.v",
            ),
            # An ALU takes the place of a LUT.
            resources={"lut": ("LUT4", "ALU"), "ff": ("DFF",), "bram": ("BSRAM",)},
            carry_luts=1,
            registers_take_luts=True,
        ),
        Family(
            name="cyclonev",
            lut_inputs=6,
            cell_inputs=6,
            delay=Delay(register=0.7, lut=0.2, wire=0.6, fanout=0.08),
            block_ram=BlockRam(10, _BLOCKS_10K),
            uart_luts=370,
            bitstream="sof",
        ),
    )
}

#: What an export can be made for: portable Verilog, or a family's own LUT cells, which synthesis keeps as they are.
TARGETS = tuple(family.name for family in FAMILIES.values() if family.cells is not None)

#: The families that yosys maps to, with how.
SYNTHESES = {family.name: family.synthesis for family in FAMILIES.values() if family.synthesis is not None}


def own_cells(target: str) -> OwnCells:
    """The LUT cells that an export for ``target``, one of :data:`TARGETS`, is made of."""
    cells = FAMILIES[target].cells
    if cells is None:
        raise ValueError(f"{target} has no LUT cells of its own: no export is made for it")
    return cells


def model_files(target: str) -> tuple[Path, ...]:
    """The files that a simulator needs beside the Verilog of a design for ``target``: none, if it is portable."""
    return () if FAMILIES[target].portable else (_assets.asset("rtl_templates", own_cells(target).models),)
