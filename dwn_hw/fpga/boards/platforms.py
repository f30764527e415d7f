"""The door to amaranth-boards, and all that its platform classes get wrong for a build with wheels alone, in one place.

Each entry says what is wrong. What is right is taken from the class: pins, clocks, resets, options of the tools.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from amaranth.build import Attrs, Clock, Pins, Resource, Subsignal
from amaranth.vendor import GowinPlatform

from dwn_hw import toolchain
from dwn_hw.fpga.boards import Board


class Himbaechel:
    """For Gowin: amaranth 0.5 calls nextpnr-gowin, which is retired; nextpnr-himbaechel-gowin takes other options.

    It also writes no clock to the constraints, so the clock is an option.
    """

    default_clk_frequency: float

    @property
    def required_tools(self) -> list[str]:
        """As for the commands below."""
        return ["yosys", "nextpnr-himbaechel-gowin", "gowin_pack"]

    @property
    def command_templates(self) -> list[str]:
        """Synthesis and packing are the class' own."""
        synth, _, pack = super().command_templates  # type: ignore[misc]  # of the class that this is mixed into
        route = r"""
        {{invoke_tool("nextpnr-himbaechel-gowin")}}
            {{quiet("--quiet")}}
            {{get_override("nextpnr_opts")|options}}
            --log {{name}}.tim
            --device {{platform.part}}
            --vopt family={{platform._chipdb_device}}
            --vopt cst={{name}}.cst
            --freq {{platform.default_clk_frequency / 1000000}}
            --json {{name}}.syn.json
            --write {{name}}.pnr.json
        """
        return [synth, route, pack]


def _uart(rx: str, tx: str, attrs: Any, conn: tuple[str, int] | None = None) -> Resource:
    return Resource(
        "uart", 0, Subsignal("rx", Pins(rx, dir="i", conn=conn)), Subsignal("tx", Pins(tx, dir="o", conn=conn)), attrs
    )


class TangNano20kPlatform(GowinPlatform):  # type: ignore[misc]  # amaranth ships no types
    """Sipeed Tang Nano 20K, which amaranth-boards 0.0.21 has not: its clock and its UART.

    Pins as Sipeed's own example has them (github.com/sipeed/TangNano-20K-example, ``uart/src/top.cst``), and LiteX-Boards too.
    The GW2AR-18C is a GW2A-18C with memory in the package, and has that one's database.
    """

    part = "GW2AR-LV18QN88C8/I7"
    family = "GW2AR-18C"
    default_clk = "clk27"
    _chipdb_device = "GW2A-18C"
    _io = Attrs(IO_TYPE="LVCMOS33")
    resources = (
        Resource("clk27", 0, Pins("4", dir="i"), Clock(27e6), _io),
        _uart("70", "69", Attrs(PULL_MODE="UP", IO_TYPE="LVCMOS33")),
    )
    connectors = ()


#: The OrangeCrab's USB is the FPGA's own and it has no UART: the Feather's places of RX and TX are used (header pins 0, 1).
_ADDED = {
    "orangecrab-25f": _uart("0", "1", Attrs(IO_TYPE="LVCMOS33", PULLMODE="UP"), ("io", 0)),
}


def make(board: Board) -> Any:
    """The board's platform, mended. Raises ToolError where amaranth-boards is missing."""
    module, name = board.platform.split(":")
    if importlib.util.find_spec("amaranth_boards") is None:
        raise toolchain.missing("amaranth-boards")
    found = getattr(importlib.import_module(module), name)
    if issubclass(found, GowinPlatform):
        found = type(name, (Himbaechel, found), {})
    platform = found()
    if board.key in _ADDED:
        platform.add_resources([_ADDED[board.key]])
    return platform
