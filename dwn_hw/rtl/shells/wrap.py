"""Shells around a ``dwn_top`` with streams, by the name that an export's interface gives them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dwn_hw.rtl.shells import axis, uart

_WRAPPERS: dict[str, Callable[[dict[str, Any]], dict[str, str]]] = {"uart": uart.to_verilog, "axis": axis.to_verilog}


def wrap(interface: dict[str, Any]) -> dict[str, str]:
    """File name → text of what stands around ``dwn_top``: nothing for the shells that are ``dwn_top`` itself."""
    return _WRAPPERS[interface["shell"]](interface) if interface["shell"] in _WRAPPERS else {}
