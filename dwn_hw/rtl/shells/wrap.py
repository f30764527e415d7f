"""Shells around a ``dwn_top`` with streams, by what an export's interface says that stands there."""

from __future__ import annotations

from typing import assert_never

from dwn_hw.hardware.interface import Interface
from dwn_hw.hardware.shell_facts import AxisWrapper, UartWrapper
from dwn_hw.rtl.shells import axis, uart


def wrap(interface: Interface) -> dict[str, str]:
    """File name → text of what stands around ``dwn_top``: nothing for the shells that are ``dwn_top`` itself."""
    match interface.wrapper:
        case None:
            return {}
        case UartWrapper():
            return uart.to_verilog(interface)
        case AxisWrapper():
            return axis.to_verilog(interface)
        case _:
            assert_never(interface.wrapper)
