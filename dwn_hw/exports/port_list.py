"""The ports of an export's modules, one by one: of the core's top, and of what stands around everything."""

from __future__ import annotations

from dwn_hw.exports import shell_text
from dwn_hw.exports.shell_text import Port
from dwn_hw.hardware.interface import Interface


def of_core(interface: Interface) -> list[Port]:
    """Those of the top module that holds the network."""
    source, output = interface.input, interface.output
    codes = "the code of one feature" if interface.in_turn else "packed codes"
    forgets = "synchronous reset, high, for one clock at the start: forgets what is under way or taken in that clock"
    rows = [
        (interface.clock, "in", 1, "clock, rising edge"),
        (interface.reset, "in", 1, forgets),
        (source.port, "in", source.bits, codes),
        (source.valid, "in", 1, "x is there"),
        (source.ready, "out", 1, "x is taken in this clock if valid"),
        (output.port, "out", output.bits, "packed result"),
        (output.valid, "out", 1, "a result is there, and stays until taken"),
        (output.ready, "in", 1, "the result is taken in this clock if valid"),
    ]
    return [(name, way, bits, text) for name, way, bits, text in rows if name]


def of_outermost(interface: Interface) -> list[Port]:
    """Those of the module that a design around the export instantiates: the shell's, where one stands around the top."""
    return of_core(interface) if interface.wrapper is None else shell_text.ports(interface.wrapper)


def table(ports: list[Port]) -> list[str]:
    """In Markdown."""
    rows = [f"| `{name}` | {way} | {bits} | {text} |" for name, way, bits, text in ports]
    return ["| port | direction | bits | meaning |", "| --- | --- | --- | --- |", *rows]
