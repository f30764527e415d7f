"""What an interface says of the shells that stand around the top module: ``uart`` and ``axis``."""

from __future__ import annotations

from typing import Any, TypeAlias

from dwn_hw.hardware.frames import Layout

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
            "wrapper": {
                **ports,
                "in_bytes": layout.x_bytes,
                "beats": layout.transfers,
                "out_bytes": layout.y_bytes,
                "latency": described["latency"] + 1,
            }
        }
    ports = {"top": f"{described['name']}_uart", "clock": "clk", "reset": "rst", "input": "rx", "output": "tx"}
    sizes = {"sample_bytes": layout.sample_bytes, "result_bytes": layout.result_bytes, "batch": layout.batch}
    return {"wrapper": {**ports, **sizes, "clocks_per_bit": "CLOCKS_PER_BIT"}}


def to_markdown(interface: dict[str, Any]) -> list[str]:
    """A section of ``INTERFACE.md``; no lines if nothing stands around the top module."""
    shell = interface.get("wrapper")
    if shell is None:
        return []
    ports, words = _AXIS_OR_UART[interface["shell"]](shell)
    table = [f"| `{name}` | {way} | {bits} | {text} |" for name, way, bits, text in ports]
    return [
        *(f"## Shell `{shell['top']}`", "", f"What follows is `{interface['top']}`, which stands inside it.", ""),
        *("| port | direction | bits | meaning |", "| --- | --- | --- | --- |", *table, ""),
        *(line.replace("HEADER", f"host/{interface['name']}_host.h") for line in words),
        "",
    ]


#: Name, direction, bits, meaning.
Port: TypeAlias = tuple[str, str, int, str]


def _axis(shell: dict[str, Any]) -> tuple[list[Port], list[str]]:
    """Its ports, and what else is to be known."""
    ports = [(shell["clock"], "in", 1, "clock, rising edge"), (shell["reset"], "in", 1, "synchronous reset, low")]
    sides = ((shell["input"], "in", "out", "in_bytes", "codes"), (shell["output"], "out", "in", "out_bytes", "result"))
    for side, way, back, size, what in sides:
        ports += [
            (f"{side}_tdata", way, 8 * shell[size], f"packed {what}"),
            (f"{side}_tvalid", way, 1, "a beat is there"),
            (f"{side}_tready", back, 1, "it is taken in this clock if valid"),
            (f"{side}_tlast", way, 1, "the last of its packet"),
        ]
    ports.append((f"{shell['output']}_tuser", "out", 1, "this result is void: TLAST cut its sample short"))
    latency = _counted(shell["latency"], "clock")
    return ports, [
        f"{_counted(shell['beats'], 'beat')} a sample, one beat a result, which comes {latency} after its sample's last beat",
        "when nothing stalls. The lowest bits are those of `x` and `y`, the others are ignored and zero. There is no TKEEP:",
        "every byte counts. TLAST with the last beat of a packet comes back with its last result; a packet that ends within",
        "a sample has it completed with zeros, and TUSER marks that result as void.",
    ]


def _uart(shell: dict[str, Any]) -> tuple[list[Port], list[str]]:
    """The same."""
    ports = [
        (shell["clock"], "in", 1, "clock, rising edge"),
        (shell["reset"], "in", 1, "synchronous reset, high"),
        (shell["input"], "in", 1, "serial line, from the host"),
        (shell["output"], "out", 1, "serial line, to the host"),
    ]
    sample, result = (_counted(shell[size], "byte") for size in ("sample_bytes", "result_bytes"))
    return ports, [
        f"8N1, one bit in as many clocks as the parameter `{shell['clocks_per_bit']}` says. A sample is {sample} in a frame,",
        f"a result {result}, the last three of them clocks; a frame holds at most {_counted(shell['batch'], 'sample')}.",
        "`dwn-hw run` and `HEADER` speak it.",
    ]


_AXIS_OR_UART = {"axis": _axis, "uart": _uart}


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"
