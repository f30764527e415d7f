"""What is to be built of a network, decided without any tool: netlists, registers, families of FPGAs, cost.

Verilog is written by :mod:`dwn_hw.rtl`, which reads these.
"""

from __future__ import annotations
