"""What of an export's outermost module is which: its clock, its reset, and the streams or the serial line that it speaks.

One place that knows the shells; instance, testbench, picture and IP-XACT ask it alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias, assert_never

from dwn_hw.exports import port_list
from dwn_hw.exports.shell_text import Port
from dwn_hw.hardware.interface import Interface
from dwn_hw.hardware.shell_facts import AxisWrapper, UartWrapper
from dwn_hw.rtl.shells import uart


@dataclass(frozen=True, slots=True)
class Side:
    """A stream: its ports, and the ``bits`` of its ``data``. ``last``: of a packet. ``void``: a result of no sample."""

    data: str
    bits: int
    valid: str | None = None
    ready: str | None = None
    last: str | None = None
    void: str | None = None


@dataclass(frozen=True, slots=True)
class Streams:
    """Codes come in by ``x``, results go out by ``y``, so many clocks of ``latency`` after a sample's last transfer."""

    x: Side
    y: Side
    latency: int


@dataclass(frozen=True, slots=True)
class Line:
    """A serial line; ``bit``: the parameter that says how many clocks a bit lasts, and ``clocks``, what it is by itself."""

    rx: str
    tx: str
    bit: str
    clocks: int


@dataclass(frozen=True, slots=True)
class Outside:
    """The module ``top`` as others see it. ``low``: its reset is low. ``axi``: its streams are AXI4-Streams."""

    top: str
    clock: str | None
    reset: str | None
    ports: tuple[Port, ...]
    speaks: Streams | Line
    low: bool = False
    axi: bool = False

    @property
    def parameters(self) -> dict[str, int]:
        """Of the module, with their values."""
        return {self.speaks.bit: self.speaks.clocks} if isinstance(self.speaks, Line) else {}


Speaks: TypeAlias = Streams | Line


def seen(interface: Interface) -> Outside:
    """The outermost module of an export."""
    ports, wrapper = tuple(port_list.of_outermost(interface)), interface.wrapper
    match wrapper:
        case None:
            source, output = interface.input, interface.output
            x = Side(source.port, source.bits, source.valid, source.ready)
            y = Side(output.port, output.bits, output.valid, output.ready)
            return Outside(interface.top, interface.clock, interface.reset, ports, Streams(x, y, interface.latency))
        case AxisWrapper():
            x, y = (
                Side(f"{side}_tdata", 8 * size, f"{side}_tvalid", f"{side}_tready", f"{side}_tlast", void)
                for side, size, void in (
                    (wrapper.input, wrapper.in_bytes, None),
                    (wrapper.output, wrapper.out_bytes, f"{wrapper.output}_tuser"),
                )
            )
            streams = Streams(x, y, wrapper.latency)
            return Outside(wrapper.top, wrapper.clock, wrapper.reset, ports, streams, low=True, axi=True)
        case UartWrapper():
            line = Line(wrapper.input, wrapper.output, wrapper.clocks_per_bit, uart.CLOCKS_PER_BIT)
            return Outside(wrapper.top, wrapper.clock, wrapper.reset, ports, line)
        case _:
            assert_never(wrapper)
