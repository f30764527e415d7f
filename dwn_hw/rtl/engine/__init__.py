"""The folded engine as hardware; :mod:`dwn_hw.hardware.folded.engine_schedule` says what happens in which clock.

Registers on the way of a tap, by number: 1 where in the image it lies, 2 its address, 3 what the memories gave, 4 the operand,
5 shifted, 6 added. After a window's last tap: 7 the sums of all lanes, leaving one a clock, 8 the one that leaves, 9 with its
bias, 10 rounded, 11 clamped, and written.
"""

from __future__ import annotations

from dwn_hw.rtl.engine.top import Engine
from dwn_hw.rtl.engine.units import Unit

__all__ = ["Engine", "Unit"]
