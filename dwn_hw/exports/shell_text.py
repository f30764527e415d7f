"""What stands around the top module, in words: a section of ``INTERFACE.md``."""

from __future__ import annotations

from typing import TypeAlias, assert_never

from dwn_hw.hardware.interface import Interface
from dwn_hw.hardware.shell_facts import AxisWrapper, UartWrapper, Wrapper

#: Name, direction, bits, meaning.
Port: TypeAlias = tuple[str, str, int, str]


def to_markdown(interface: Interface) -> list[str]:
    """The section in lines; none if nothing stands around the top module."""
    wrapper = interface.wrapper
    if wrapper is None:
        return []
    header = f"host/{interface.name}_host.h"
    table = [f"| `{name}` | {way} | {bits} | {text} |" for name, way, bits, text in ports(wrapper)]
    return [
        *(
            f"## Shell `{wrapper.top}`",
            "",
            f"Inside of it stands `{interface.top}`, of which the sections below speak.",
            "",
        ),
        *("| port | direction | bits | meaning |", "| --- | --- | --- | --- |", *table, ""),
        *_words(wrapper, header),
        "",
    ]


def ports(wrapper: Wrapper) -> list[Port]:
    """Those of the module that stands around the top module."""
    match wrapper:
        case AxisWrapper():
            return _axis_ports(wrapper)
        case UartWrapper():
            return [
                (wrapper.clock, "in", 1, "clock, rising edge"),
                (wrapper.reset, "in", 1, "synchronous reset, high"),
                (wrapper.input, "in", 1, "serial line, from the host"),
                (wrapper.output, "out", 1, "serial line, to the host"),
            ]
        case _:
            assert_never(wrapper)


def _axis_ports(wrapper: AxisWrapper) -> list[Port]:
    found = [(wrapper.clock, "in", 1, "clock, rising edge"), (wrapper.reset, "in", 1, "synchronous reset, low")]
    sides = (
        (wrapper.input, "in", "out", wrapper.in_bytes, "codes"),
        (wrapper.output, "out", "in", wrapper.out_bytes, "result"),
    )
    for side, way, back, size, what in sides:
        found += [
            (f"{side}_tdata", way, 8 * size, f"packed {what}"),
            (f"{side}_tvalid", way, 1, "a beat is there"),
            (f"{side}_tready", back, 1, "it is taken in this clock if valid"),
            (f"{side}_tlast", way, 1, "the last of its packet"),
        ]
    found.append((f"{wrapper.output}_tuser", "out", 1, "this result is void: TLAST cut its sample short"))
    return found


def _words(wrapper: Wrapper, header: str) -> list[str]:
    """What else is to be known; ``header``: the file for a host in C."""
    match wrapper:
        case AxisWrapper():
            return _axis_words(wrapper)
        case UartWrapper():
            return _uart_words(wrapper, header)
        case _:
            assert_never(wrapper)


def _axis_words(wrapper: AxisWrapper) -> list[str]:
    beats, latency = _counted(wrapper.beats, "beat"), _counted(wrapper.latency, "clock")
    return [
        f"{beats} a sample, one beat a result, which comes {latency} after its sample's last beat",
        "when nothing stalls. The lowest bits are those of `x` and `y`, the others are ignored and zero. There is no TKEEP:",
        "every byte counts. TLAST with the last beat of a packet comes back with its last result; a packet that ends within",
        "a sample has it completed with zeros, and TUSER marks that result as void.",
    ]


def _uart_words(wrapper: UartWrapper, header: str) -> list[str]:
    sample, result = _counted(wrapper.sample_bytes, "byte"), _counted(wrapper.result_bytes, "byte")
    return [
        f"8N1, one bit in as many clocks as the parameter `{wrapper.clocks_per_bit}` says. A sample is {sample} in a frame,",
        f"a result {result}, the last three of them clocks; a frame holds at most {_counted(wrapper.batch, 'sample')}.",
        f"`dwn-hw run` and `{header}` speak it.",
    ]


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
