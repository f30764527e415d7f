"""The folded engine: networks that count in integers as a loop over one set of lanes that add, without a multiplier.

:mod:`dwn_hw.hardware.folded.steps` cuts a network into steps, :mod:`dwn_hw.hardware.folded.engine_schedule` says what
each of them does in which clock and what stands in which memory, :mod:`dwn_hw.hardware.folded.folded_design` is the
design that everything else reads, and :mod:`dwn_hw.rtl.engine` the hardware.
"""

from __future__ import annotations

from dwn_hw.hardware.folded.engine_schedule import EngineSchedule, schedule
from dwn_hw.hardware.folded.engine_step import EngineStep, Loop
from dwn_hw.hardware.folded.folded_design import FoldedDesign, make_folded
from dwn_hw.hardware.folded.steps import make_steps

__all__ = ["EngineSchedule", "EngineStep", "FoldedDesign", "Loop", "make_folded", "make_steps", "schedule"]
