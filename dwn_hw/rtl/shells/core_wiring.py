"""What ties a shell's fixed Verilog to an export's ``dwn_top``: bits and whole bytes, clock and reset."""

from __future__ import annotations

from typing import NamedTuple

from dwn_hw.hardware.interface import Interface
from dwn_hw.hardware.serial_frames import Layout


class Ties(NamedTuple):
    """Declarations; what the shell's ``x_payload`` and ``y_payload``, in whole bytes, are connected to; the core."""

    wires: str
    x: str
    y: str
    core: str


def tie(interface: Interface, layout: Layout, *, clock: str, reset: str) -> Ties:
    """For a shell with the wires ``clock`` and ``reset``; a core without registers takes neither."""
    x_pad, y_pad = 8 * layout.x_bytes - layout.x_bits, 8 * layout.y_bytes - layout.y_bits
    ports = [(interface.clock, clock), (interface.reset, reset)]
    clocked = "".join(f".{port}({wire}), " for port, wire in ports if port)
    wires = [f"    wire [{x_pad - 1}:0] unused_x; // above the codes"] * (x_pad > 0)
    wires += [f"    wire [{layout.x_bits - 1}:0] x_payload;", f"    wire [{layout.y_bits - 1}:0] y_payload;"]
    wires += ["    wire x_valid, x_ready, y_valid, y_ready;", ""]
    core = f"""
    dwn_top core (
        {clocked}.x_payload(x_payload), .x_valid(x_valid), .x_ready(x_ready),
        .y_payload(y_payload), .y_valid(y_valid), .y_ready(y_ready)
    );"""
    x = "{unused_x, x_payload}" if x_pad else "x_payload"
    return Ties("\n".join(wires), x, f"{{{y_pad}'b0, y_payload}}" if y_pad else "y_payload", core)
