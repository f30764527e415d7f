"""The ``axis`` shell: a design with streams between AXI4-Streams, as Verilog.

The fixed part is ``rtl_templates/dwn_axis_link.v``; written here is the module that ties it to an export's ``dwn_top``.
"""

from __future__ import annotations

from dwn_hw import _assets
from dwn_hw.hardware.interface import Interface
from dwn_hw.hardware.naming import renamed
from dwn_hw.hardware.serial_frames import Layout
from dwn_hw.rtl.shells.core_wiring import tie

#: Beside ``dwn_axis.v``, the same for every export.
FIXED = ("dwn_axis_link",)


def to_verilog(interface: Interface) -> dict[str, str]:
    """File name → text of ``dwn_axis`` and its part, around the ``dwn_top`` that ``interface`` describes."""
    files = {f"{name}.v": _assets.asset("rtl_templates", f"{name}.v").read_text("utf-8") for name in FIXED}
    files = {"dwn_axis.v": _top(interface, interface.layout), **files}
    return renamed(files, interface.name, ["dwn_top"])


def _top(interface: Interface, layout: Layout) -> str:
    wires, x, y, core = tie(interface, layout, reset="~aresetn", clock="aclk")
    depth = 1 << (interface.latency + 1).bit_length()
    return f"""// The axis shell: {interface.tool}, network digest {interface.digest}.
// TDATA in: {layout.x_bits} bits, {layout.transfers} beats a sample. TDATA out: {layout.y_bits} bits, zeros above.
`default_nettype none

module dwn_axis (
    input  wire aclk,
    input  wire aresetn, // synchronous, low
    input  wire [{8 * layout.x_bytes - 1}:0] s_axis_tdata,
    input  wire s_axis_tvalid,
    output wire s_axis_tready,
    input  wire s_axis_tlast, // with the last beat of a packet
    output wire [{8 * layout.y_bytes - 1}:0] m_axis_tdata,
    output wire m_axis_tvalid,
    input  wire m_axis_tready,
    output wire m_axis_tlast, // with the last result of a packet
    output wire m_axis_tuser  // this result's sample was cut short by TLAST, and is void
);
{wires}
    dwn_axis_link #(
        .X_BYTES({layout.x_bytes}), .TRANSFERS({layout.transfers}), .Y_BYTES({layout.y_bytes}), .DEPTH({depth})
    ) link (
        .aclk(aclk), .aresetn(aresetn),
        .s_axis_tdata(s_axis_tdata), .s_axis_tvalid(s_axis_tvalid), .s_axis_tready(s_axis_tready),
        .s_axis_tlast(s_axis_tlast),
        .m_axis_tdata(m_axis_tdata), .m_axis_tvalid(m_axis_tvalid), .m_axis_tready(m_axis_tready),
        .m_axis_tlast(m_axis_tlast), .m_axis_tuser(m_axis_tuser),
        .x_payload({x}), .x_valid(x_valid), .x_ready(x_ready),
        .y_payload({y}), .y_valid(y_valid), .y_ready(y_ready)
    );
{core}
endmodule

`default_nettype wire
"""
