"""The whole design of a board, shell and network, as the files and commands that make its bitstream.

The files are amaranth's: top module, constraints, scripts. The commands are those of its build script; nothing is run here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import ClockSignal, Elaboratable, Instance, Module, ResetSignal, Signal
from amaranth.lib import io

from dwn_hw.fpga.boards import Board, platforms
from dwn_hw.hardware import naming
from dwn_hw.hardware.families import FAMILIES
from dwn_hw.hardware.shell_facts import UartWrapper

#: The top module, and the stem of every file.
TOP = "dwn_board"

#: Clocks of reset after the FPGA is configured.
_RESET_CLOCKS = 16

#: yosys' script around ``synth_<family>``. Each part is mapped by itself, so that what it takes can be counted and its wires
#: keep their names; only then it becomes one netlist. What is printed after ABC has run can be lost in the wheel: a file is not.
PARTS_APART = "chtype -set $lut t:{name}_lut; setattr -mod -set keep_hierarchy 1 {name}_*"
_AFTER = f"opt_clean; tee -q -o {TOP}.stat.json stat -json; setattr -mod -unset keep_hierarchy; flatten; opt_clean; "


@dataclass(frozen=True, slots=True)
class Project:
    """``files``: name → text; ``commands``: as words, in order, to be run where the files are; ``bitstream``: what they make."""

    files: dict[str, str]
    commands: tuple[tuple[str, ...], ...]
    bitstream: str


class Top(Elaboratable):  # type: ignore[misc]  # amaranth ships no types
    """The uart shell on the platform's default clock and its first UART.

    Reset: the platform's, where it gives one (a button, or a delay until memories work), and the first clocks after the
    configuration on every board, because nothing in the Verilog relies on initial values.
    """

    def __init__(self, shell: str, clocks_per_bit: int) -> None:
        self.shell, self.clocks_per_bit = shell, clocks_per_bit

    def elaborate(self, platform: Any) -> Module:
        """Pins, reset, and the Verilog."""
        m = Module()
        # Of a UART with more lines (RTS, DTR, …) only these two get buffers; the others are left alone.
        pins = platform.request("uart", 0, dir={line.name: "-" for line in platform.lookup("uart", 0).ios})
        m.submodules.rx = rx = io.Buffer("i", pins.rx)
        m.submodules.tx = tx = io.Buffer("o", pins.tx)
        elapsed = Signal(range(_RESET_CLOCKS))
        with m.If(~elapsed.all()):
            m.d.sync += elapsed.eq(elapsed + 1)
        m.submodules.uart = Instance(
            self.shell,
            *(("p", "CLOCKS_PER_BIT", self.clocks_per_bit), ("i", "clk", ClockSignal())),
            *(("i", "rst", ResetSignal(allow_reset_less=True) | ~elapsed.all()), ("i", "rx", rx.i)),
            ("o", "tx", tx.o),
        )
        return m


def make(board: Board, sources: Mapping[str, str], clocks_per_bit: int, name: str = naming.DEFAULT) -> Project:
    """What a board is built of; ``sources``: the Verilog of the uart shell and all below it, file name → text.

    ``name``: what the names of these modules begin with.
    """
    platform = platforms.make(board)
    for file, text in sources.items():
        platform.add_file(file, text)
    options = _OPTIONS[board.family] if board.flow == "nextpnr" else _VENDORS.get(board.flow, {})
    overrides = {option: text.replace("{name}", name) for option, text in options.items()}
    plan = platform.prepare(Top(f"{name}_{UartWrapper.suffix}", clocks_per_bit), TOP, emit_src=False, **overrides)
    files = {file: text.decode() if isinstance(text, bytes) else text for file, text in plan.files.items()}
    commands = tuple(tuple(words) for words in json.loads(files[f"build_{TOP}.json"])["commands"])
    return Project(files, commands, f"{TOP}.{FAMILIES[board.family].bitstream}")


def _options(synth: str = "", last: str = "") -> dict[str, str]:
    return {
        "script_after_read": f"hierarchy -top {TOP}; {PARTS_APART}",
        "script_after_synth": _AFTER + last,
        "synth_opts": synth,
    }


#: Overrides of the platforms' scripts, by family.
_OPTIONS = {
    "ice40": _options(),
    "ecp5": _options(),
    # Its netlist is written before the statistics, so once more after them. Without -noiopads every part would get pads.
    "gowin": _options("-noiopads", f"write_json {TOP}.syn.json"),
}

#: The same for a vendor's tool: no bitstream that does not meet its clock.
_VENDORS = {
    "vivado": {
        # Some boards' own platforms have something to say before the bitstream.
        "script_after_route": (
            f"report_timing_summary -file {TOP}_timing.rpt; "
            "if {[get_property SLACK [get_timing_paths -max_paths 1 -setup]] < 0} "
            f'{{ puts "ERROR: the clock is not met, see {TOP}_timing.rpt"; exit 1 }}'
        )
    }
}
