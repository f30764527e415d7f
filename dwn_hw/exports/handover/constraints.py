"""The clock of an export as constraints, for Vivado (``.xdc``) and for tools that read SDC.

They hold where the outermost module is the top; inside a larger design its clock is that design's to constrain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dwn_hw.exports.handover.outside import Line, Outside
from dwn_hw.hardware.interface import Interface

#: Of a design for which no clock was asked and none is estimated.
_ASSUMED_MHZ = 100.0


@dataclass(frozen=True, slots=True)
class Clock:
    """A rate in MHz, and in words where it comes from."""

    mhz: float
    origin: str


def clock(report: Any) -> Clock:
    """What was asked for, else what is estimated; ``report``: the ``clock_mhz`` of an export's report, if it has one."""
    said = report if isinstance(report, dict) else {}
    if said.get("asked"):
        return Clock(said["asked"], "as asked by --clock-mhz")
    if said.get("estimate"):
        return Clock(said["estimate"], "ESTIMATED before synthesis; no clock was asked: state yours")
    return Clock(_ASSUMED_MHZ, "ASSUMED; no clock was asked, and none is estimated: state yours")


def text(interface: Interface, outside: Outside, clock: Clock) -> str:
    """``constraints/NAME.xdc`` and ``.sdc``, which say the same in the commands that both have."""
    period = f"{1000 / clock.mhz:.3f}"
    lines = [
        f"# {outside.top}: written by {interface.tool}; network digest {interface.digest}.",
        f"# {clock.mhz:g} MHz, {clock.origin}.",
        "# For this module as the top. Inside a larger design leave this file out: its clock is constrained there.",
    ]
    if outside.clock:
        lines.append(f"create_clock -name {outside.clock} -period {period} [get_ports {outside.clock}]")
    else:
        lines += [
            "# Without registers: from codes to result in one period.",
            f"set_max_delay {period} -from [all_inputs] -to [all_outputs]",
        ]
    if outside.reset:
        level = "low" if outside.low else "high"
        lines += [
            "",
            f"# {outside.reset} is synchronous, active {level}, and timed as any other input: no false path. Where it comes from",
            "# another clock's domain, synchronise it in front of this module.",
        ]
    lines.append("")
    if isinstance(line := outside.speaks, Line):
        lines += [
            "# The serial line keeps no clock; rx is synchronised inside.",
            f"set_false_path -from [get_ports {line.rx}]",
            f"set_false_path -to [get_ports {line.tx}]",
        ]
    elif outside.clock:
        lines += [
            "# Inputs are not registered in front of logic; say what stands before and behind, for example:",
            f"# set_input_delay -clock {outside.clock} NS [get_ports {{{line.x.data}[*]}}]"
            if line.x.bits > 1
            else f"# set_input_delay -clock {outside.clock} NS [get_ports {line.x.data}]",
        ]
    return "\n".join(lines).rstrip() + "\n"
