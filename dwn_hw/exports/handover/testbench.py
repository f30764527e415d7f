"""The stand-alone testbench: it reads the golden vectors, and needs a simulator and nothing else.

Its text is ``rtl_templates/dwn_tb_*``; what differs between exports is the instance in it, and the numbers in its header.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import assert_never

from dwn_hw import _assets
from dwn_hw.exports.handover import instances
from dwn_hw.exports.handover.outside import Line, Outside, Side, Streams
from dwn_hw.hardware import naming
from dwn_hw.hardware.interface import Interface


def commands(name: str) -> dict[str, list[str]]:
    """How the testbench of an export called ``name`` is run, in the export's directory, by simulator."""
    top = f"{name}_tb"
    questa = "-l ../run/transcript -do 'onfinish exit; run -all; quit -code 1'"
    return {
        "Icarus Verilog": [
            "mkdir -p run",
            f"iverilog -g2012 -s {top} -o run/{top}.vvp -f files.f -f sim.f",
            f"(cd rtl && vvp -n ../run/{top}.vvp)",
        ],
        "Verilator 5": [
            "mkdir -p run",
            f"verilator --binary --timing --top-module {top} --Mdir run/obj_dir -f files.f -f sim.f",
            f"(cd rtl && ../run/obj_dir/V{top})",
        ],
        "Questa": [
            "mkdir -p run && vlib run/work",
            "vlog -sv -work run/work -f files.f -f sim.f",
            f"(cd rtl && vsim -c -lib ../run/work {top} {questa})",
        ],
    }


def numbers(interface: Interface, outside: Outside, vectors: int) -> dict[str, int]:
    """What the header says, by name."""
    source, output = interface.input, interface.output
    speaks = outside.speaks
    said = {
        "FEATURES": len(source.features),
        "TRANSFERS": interface.transfers,
        "X_BITS": source.bits,
        "Y_BITS": output.bits,
    }
    match speaks:
        case Streams(x=x, y=y, latency=latency):
            said |= {"X_PORT_BITS": x.bits, "Y_PORT_BITS": y.bits, "LATENCY": latency, "INTERVAL": interface.interval}
        case Line():
            said |= {"LATENCY": interface.latency}
        case _:
            assert_never(speaks)
    for field in output.fields:
        name = field.name.upper()
        said |= {f"{name}_LSB": field.lsb, f"{name}_BITS": field.bits, f"{name}_COUNT": field.count}
    return said | {"VECTORS": vectors}


#: What the numbers of the header are.
_MEANING = {
    "FEATURES": "of a sample",
    "TRANSFERS": "of a sample: lines of vectors/x.hex a vector",
    "X_BITS": "of a line of vectors/x.hex, and of the core's input",
    "Y_BITS": "of a line of vectors/y.hex, and of the core's output",
    "X_PORT_BITS": "of the outermost module's input",
    "Y_PORT_BITS": "of the outermost module's output",
    "LATENCY": "clocks from a sample's last transfer to its result when nothing stalls",
    "INTERVAL": "clocks from a sample's first transfer to the next one's",
    "VECTORS": "lines of vectors/y.hex",
}


def header(interface: Interface, outside: Outside, vectors: int) -> str:
    """``tb/NAME_params.vh``: widths, latency and counts as local parameters, to be included in a module."""
    prefix = interface.name.upper()
    rows = []
    for name, value in numbers(interface, outside, vectors).items():
        text = f"localparam {prefix}_{name} = {value};"
        rows.append(f"{text:<40} // {_MEANING[name]}" if name in _MEANING else text)
    about = f"// {outside.top}: written by {interface.tool}; network digest {interface.digest}."
    return "\n".join(
        [about, "// To include in a module; where a result's field lies: from bit LSB up, COUNT of BITS.", *rows, ""]
    )


def text(interface: Interface, outside: Outside) -> str:
    """``tb/NAME_tb.sv``."""
    speaks = outside.speaks
    template = "dwn_tb_line.sv" if isinstance(speaks, Line) else "dwn_tb_streams.sv"
    stalls = "1'b1" if isinstance(speaks, Streams) and speaks.y.ready else "1'b0"
    parts = {"DUT": _under_test(outside), "VECTORS": _template("dwn_tb_vectors.svh").rstrip(), "STALLS": stalls}
    filled = re.sub(r"@(\w+)@", lambda match: parts[match[1]], _template(template))
    return _head(interface, outside) + _renamed(filled, interface.name)


def _template(name: str) -> str:
    return _assets.asset("rtl_templates", name).read_text("utf-8")


def _renamed(template: str, name: str) -> str:
    """A template whose names begin with another ``name`` than ``dwn``."""
    named = template.replace("FAIL: dwn", f"FAIL: {name}_tb").replace("PASS: dwn", f"PASS: {name}_tb")
    return naming.renamed_c(named, name)


def _head(interface: Interface, outside: Outside) -> str:
    lines = [
        f"Testbench of {outside.top}: written by {interface.tool}; network digest {interface.digest}.",
        "Compares every result with vectors/y.hex, and its clocks with the interface. A difference, an X, or nothing compared",
        "ends it with $fatal. +count=N: the first N vectors alone; +vectors=FOLDER: where x.hex and y.hex are.",
        "It runs in rtl/, where an engine finds its memories. In the export's directory:",
    ]
    for simulator, words in commands(interface.name).items():
        # Not the first word of a comment: Verilator would take it for an order.
        lines += ["", f"With {simulator}:", *(f"    $ {line}" for line in words)]
    return "".join(f"// {line}".rstrip() + "\n" for line in lines)


def _under_test(outside: Outside) -> str:
    """The instance, and what ties the testbench's names to it."""
    speaks = outside.speaks
    beside: dict[str, int] = {}
    match speaks:
        case Streams(y=y):
            beside = _beside(y)
            wired, more, parameters = _wired(speaks), _tied(speaks, beside), {}
        case Line(rx=rx, tx=tx, bit=bit):
            wired, more, parameters = {rx: "rx", tx: "tx"}, [], {bit: "CLOCKS_PER_BIT"}
        case _:
            assert_never(speaks)
    for port, wire in ((outside.clock, "clk"), (outside.reset, "~rst" if outside.low else "rst")):
        if port:
            wired[port] = wire
    wired |= {port: port for port in beside}
    wires = [f"wire {port};" for port in beside]
    lines = [*wires, *instances.instance(outside, wired, "dut", parameters).splitlines(), *more]
    return "\n".join(f"    {line}" for line in lines)


def _wired(streams: Streams) -> dict[str, str]:
    """What each port of the streams is in the testbench."""
    x, y = streams.x, streams.y
    ports = ((x.valid, "x_valid"), (x.ready, "x_ready"), (x.last, "x_last"), (y.valid, "y_valid"), (y.ready, "y_ready"))
    return {x.data: "x", y.data: "y"} | {port: wire for port, wire in ports if port}


def _tied(streams: Streams, beside: Mapping[str, int]) -> list[str]:
    """What the testbench reads and the module has no port for."""
    right = " && ".join(f"{port} === 1'b{value}" for port, value in beside.items()) or "1'b1"
    return [
        *([] if streams.x.ready else ["assign x_ready = 1'b1;"]),
        *([] if streams.y.valid else _counted(streams.latency)),
        f"assign y_right = {right};",
    ]


def _beside(y: Side) -> dict[str, int]:
    """Ports beside a result, with the value that each must have: every packet is one sample."""
    return {port: value for port, value in ((y.last, 1), (y.void, 0)) if port}


def _counted(latency: int) -> list[str]:
    """Without a handshake, clocks say which result is whose."""
    if latency == 0:
        return ["assign y_valid = x_valid;"]
    return [
        f"reg [{latency}:0] under_way = 0;",
        f"always @(posedge clk) under_way <= {{under_way[{latency - 1}:0], x_valid}};",
        f"assign y_valid = under_way[{latency - 1}];",
    ]
