"""The hardware, written in Amaranth: one component a node, the pipelined core, the shells, and its Verilog."""

from __future__ import annotations

from dwn_hw.rtl.core import Core, Pipeline, plan_pipeline
from dwn_hw.rtl.shell import SHELLS, FreeShell, StreamShell
from dwn_hw.rtl.verilog import part_to_verilog, to_verilog

__all__ = ["SHELLS", "Core", "FreeShell", "Pipeline", "StreamShell", "part_to_verilog", "plan_pipeline", "to_verilog"]
