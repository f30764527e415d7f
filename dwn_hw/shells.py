"""What an interface says of the shells that stand around the top module: ``uart`` and ``axis``."""

from __future__ import annotations

from typing import Any

from dwn_hw.frames import Layout

#: Shells that are a module around a top module with streams; the others are that itself.
WRAPPED = ("uart", "axis")


def describe(described: dict[str, Any]) -> dict[str, Any]:
    """The entry ``wrapper`` of an interface that is otherwise ``described``, or nothing."""
    if described["shell"] not in WRAPPED:
        return {}
    layout = Layout.of(described)
    if described["shell"] == "axis":
        ports = {
            "top": f"{described['name']}_axis",
            "clock": "aclk",
            "reset": "aresetn",
            "input": "s_axis",
            "output": "m_axis",
        }
        return {
            "wrapper": {**ports, "in_bytes": layout.x_bytes, "beats": layout.transfers, "out_bytes": layout.y_bytes}
        }
    ports = {"top": f"{described['name']}_uart", "clock": "clk", "reset": "rst", "input": "rx", "output": "tx"}
    sizes = {"sample_bytes": layout.sample_bytes, "result_bytes": layout.result_bytes, "batch": layout.batch}
    return {"wrapper": {**ports, **sizes, "clocks_per_bit": "CLOCKS_PER_BIT"}}


def to_markdown(interface: dict[str, Any]) -> list[str]:
    """A section of ``INTERFACE.md``; no lines if nothing stands around the top module."""
    shell = interface.get("wrapper")
    if shell is None:
        return []
    lines = [f"## Shell `{shell['top']}`", "", f"What follows is `{interface['top']}` inside it. "]
    if interface["shell"] == "axis":
        lines[-1] += (
            f"Ports `{shell['clock']}`, `{shell['reset']}` (synchronous, low), and two AXI4-Streams: `{shell['input']}`, "
            f"{shell['in_bytes']} bytes wide, {shell['beats']} beats a sample; `{shell['output']}`, {shell['out_bytes']} bytes "
            "wide, one beat a result. The lowest bits are those of `x` and `y`, the others are ignored and zero. There is no "
            "TKEEP: every byte counts. TLAST with the last beat of a packet comes back with its last result; a packet that "
            "ends within a sample has it completed with zeros, and TUSER marks that result as void."
        )
    else:
        lines[-1] += (
            f"Ports `{shell['clock']}`, `{shell['reset']}` (synchronous, high), `{shell['input']}` and `{shell['output']}`: a "
            f"serial line, 8N1, one bit in as many clocks as its parameter `{shell['clocks_per_bit']}` says. A sample is "
            f"{shell['sample_bytes']} bytes in a frame, a result {shell['result_bytes']}, the last three of them clocks; a frame "
            f"holds at most {shell['batch']} samples. `dwn-hw run` and `host/{interface['name']}_host.h` speak it."
        )
    return [*lines, ""]
