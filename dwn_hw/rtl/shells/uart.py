"""The ``uart`` shell: a design with streams behind a serial line, as Verilog.

The fixed part is in ``rtl_templates/``: ``dwn_uart_link`` and what it instantiates. Written here is the module that ties it to an
export's ``dwn_top`` and tells it the sizes and the identity, which are :class:`dwn_hw.hardware.serial_frames.Layout`'s.
"""

from __future__ import annotations

from dwn_hw import _assets
from dwn_hw.hardware.interface import Interface
from dwn_hw.hardware.naming import renamed
from dwn_hw.hardware.serial_frames import Layout
from dwn_hw.hardware.shell_facts import UartWrapper
from dwn_hw.rtl.shells.core_wiring import tie

#: Beside ``dwn_uart.v``, the same for every export.
FIXED = ("dwn_uart_link", "dwn_uart_rx", "dwn_uart_tx", "dwn_deframe", "dwn_enframe", "dwn_crc16")

#: 115,200 baud of a clock of 12 MHz.
CLOCKS_PER_BIT = 104


def top(interface: Interface) -> str:
    """The module that :func:`to_verilog` ties to the top module which ``interface`` describes, whatever its own shell."""
    return f"{interface.name}_{UartWrapper.suffix}"


def to_verilog(interface: Interface, clocks_per_bit: int = CLOCKS_PER_BIT) -> dict[str, str]:
    """File name → text of ``dwn_uart(clk, rst, rx, tx)`` and its parts, around the ``dwn_top`` that ``interface`` describes.

    ``clocks_per_bit``: the default of its parameter ``CLOCKS_PER_BIT``, at least 4: the clock's rate over the line's.
    """
    files = {f"{name}.v": _assets.asset("rtl_templates", f"{name}.v").read_text("utf-8") for name in FIXED}
    files = {"dwn_uart.v": _top(interface, interface.layout, clocks_per_bit), **files}
    return renamed(files, interface.name, ["dwn_top"])


def _top(interface: Interface, layout: Layout, clocks_per_bit: int) -> str:
    reset = "core_rst" if interface.reset else "unused_rst"
    wires, x, y, core = tie(interface, layout, clock="clk", reset=reset)
    identity = layout.identity()
    return f"""// The uart shell: {interface.tool}, network digest {interface.digest}.
// 8N1. A sample is {layout.transfers} x {layout.x_bytes} bytes, a result {layout.y_bytes} and 3 of clocks;
// a frame holds at most {layout.batch} samples.
`default_nettype none

module dwn_uart #(
    parameter CLOCKS_PER_BIT = {clocks_per_bit},         // at least 4
    parameter TIMEOUT_BITS = 4096,          // bit times of silence that end a frame
    parameter [23:0] STALL = 24'hFFFFFF     // clocks without a result after which a request is refused
) (
    input  wire clk,
    input  wire rst,
    input  wire rx,
    output wire tx
);
    wire {reset};
{wires}
    dwn_uart_link #(
        .CLOCKS_PER_BIT(CLOCKS_PER_BIT), .TIMEOUT_BITS(TIMEOUT_BITS), .STALL(STALL),
        .X_BYTES({layout.x_bytes}), .TRANSFERS({layout.transfers}), .Y_BYTES({layout.y_bytes}),
        .BATCH({layout.batch}), .BUFFER({layout.buffer}),
        .IDENTITY_BYTES({len(identity)}), .IDENTITY({8 * len(identity)}'h{identity[::-1].hex()})
    ) link (
        .clk(clk), .rst(rst), .rx(rx), .tx(tx), .core_rst({reset}),
        .x_payload({x}), .x_valid(x_valid), .x_ready(x_ready),
        .y_payload({y}), .y_valid(y_valid), .y_ready(y_ready)
    );
{core}
endmodule

`default_nettype wire
"""
