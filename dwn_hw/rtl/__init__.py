"""The hardware in Amaranth, and its Verilog: one component a node, the pipelined core, the shells."""

from __future__ import annotations

from dwn_hw.rtl.core import Core
from dwn_hw.rtl.emit import to_verilog
from dwn_hw.rtl.engine import Engine
from dwn_hw.rtl.parallel_verilog import lut_cell, models, part_to_verilog
from dwn_hw.rtl.parts import Part, make_parts
from dwn_hw.rtl.shells import axis, uart
from dwn_hw.rtl.shells.stream import FreeShell, StreamShell
from dwn_hw.rtl.shells.wrap import wrap

__all__ = [
    "Core",
    "Engine",
    "FreeShell",
    "Part",
    "StreamShell",
    "axis",
    "lut_cell",
    "make_parts",
    "models",
    "part_to_verilog",
    "to_verilog",
    "uart",
    "wrap",
]
