"""The ``uart`` shell: a design with streams behind a serial line, as Verilog.

The fixed part is in ``rtl_templates/``: ``dwn_uart_link`` and what it instantiates. Written here is the module that ties it to an
export's ``dwn_top`` and tells it the sizes and the identity, which are :class:`dwn_hw.frames.Layout`'s.
"""

from __future__ import annotations

from typing import Any

from dwn_hw import _assets
from dwn_hw.frames import Layout

#: Beside ``dwn_uart.v``, the same for every export.
FIXED = ("dwn_uart_link", "dwn_uart_rx", "dwn_uart_tx", "dwn_deframe", "dwn_enframe", "dwn_crc16")


def to_verilog(interface: dict[str, Any], clocks_per_bit: int) -> dict[str, str]:
    """File name → text of ``dwn_uart(clk, rst, rx, tx)`` and its parts, around the ``dwn_top`` that ``interface`` describes.

    ``clocks_per_bit``: the default of its parameter ``CLOCKS_PER_BIT``, at least 4: the clock's rate over the line's.
    """
    files = {f"{name}.v": _assets.asset("rtl_templates", f"{name}.v").read_text("utf-8") for name in FIXED}
    return {"dwn_uart.v": _top(interface, Layout.of(interface), clocks_per_bit), **files}


def _top(interface: dict[str, Any], layout: Layout, clocks_per_bit: int) -> str:
    x_pad, y_pad = 8 * layout.x_bytes - layout.x_bits, 8 * layout.y_bytes - layout.y_bits
    identity = layout.identity()
    clocks = [
        f".{port}({wire})" for port, wire in ((interface["clock"], "clk"), (interface["reset"], "core_rst")) if port
    ]
    unused = [f"[{x_pad - 1}:0] unused_x"] * (x_pad > 0) + ["unused_rst"] * (not interface["reset"])
    return f"""// The uart shell: {interface["tool"]}, network digest {interface["digest"]}.
// 8N1; a sample is {layout.transfers} x {layout.x_bytes} bytes, a result {layout.y_bytes} and 3 of clocks, at most {layout.batch} samples a frame.
`default_nettype none

module dwn_uart #(
    parameter CLOCKS_PER_BIT = {clocks_per_bit}, // at least 4
    parameter TIMEOUT_BITS = 4096,  // bit times of silence that end a frame
    parameter [23:0] STALL = 24'hFFFFFF // clocks without a result after which a request is refused
) (
    input  wire clk,
    input  wire rst,
    input  wire rx,
    output wire tx
);
    wire {"core_rst" if interface["reset"] else "unused_rst"};
{"".join(f"    wire {name};{chr(10)}" for name in unused[: x_pad > 0])}    wire [{layout.x_bits - 1}:0] x_payload;
    wire [{layout.y_bits - 1}:0] y_payload;
    wire x_valid, x_ready, y_valid, y_ready;

    dwn_uart_link #(
        .CLOCKS_PER_BIT(CLOCKS_PER_BIT), .TIMEOUT_BITS(TIMEOUT_BITS), .STALL(STALL),
        .X_BYTES({layout.x_bytes}), .TRANSFERS({layout.transfers}), .Y_BYTES({layout.y_bytes}),
        .BATCH({layout.batch}), .BUFFER({layout.buffer}),
        .IDENTITY_BYTES({len(identity)}), .IDENTITY({8 * len(identity)}'h{identity[::-1].hex()})
    ) link (
        .clk(clk), .rst(rst), .rx(rx), .tx(tx), .core_rst({"core_rst" if interface["reset"] else "unused_rst"}),
        .x_payload({"{unused_x, x_payload}" if x_pad else "x_payload"}), .x_valid(x_valid), .x_ready(x_ready),
        .y_payload({f"{{{y_pad}'b0, y_payload}}" if y_pad else "y_payload"}), .y_valid(y_valid), .y_ready(y_ready)
    );

    dwn_top core (
        {"".join(f"{port}, " for port in clocks)}.x_payload(x_payload), .x_valid(x_valid), .x_ready(x_ready),
        .y_payload(y_payload), .y_valid(y_valid), .y_ready(y_ready)
    );
endmodule

`default_nettype wire
"""
