"""The Verilog of a design of any kind."""

from __future__ import annotations

from dwn_hw.design import Design, ParallelDesign
from dwn_hw.folded import FoldedDesign
from dwn_hw.rtl.engine.verilog import engine_to_verilog
from dwn_hw.rtl.verilog import parallel_to_verilog


def to_verilog(design: Design, header: str = "") -> dict[str, str]:
    """The whole design in Verilog-2005, file name → text, one module a file; the top module is ``dwn_top``.

    ``header`` is put before the top module, each line as a comment. A portable design includes the modules that it
    instantiates; for another target :func:`dwn_hw.rtl.models` are what a simulator needs beside it.
    """
    match design:
        case ParallelDesign():
            return parallel_to_verilog(design, header)
        case FoldedDesign():
            return engine_to_verilog(design, header)
        case _:
            raise TypeError(f"no Verilog for a design of kind {design.kind}")
