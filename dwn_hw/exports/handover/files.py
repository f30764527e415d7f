"""Writes what is handed over beside an export's Verilog: one function for the writer of exports."""

from __future__ import annotations

from pathlib import Path

from dwn_hw.exports import interface_text
from dwn_hw.exports.handover import (
    constraints,
    file_lists,
    handshake_waves,
    instances,
    ip_xact,
    outside,
    testbench,
    waveform_svg,
)
from dwn_hw.exports.handover.constraints import Clock
from dwn_hw.exports.handover.file_lists import Paths
from dwn_hw.hardware.interface import Interface

#: The names in an export directory that this module writes.
WRITTEN = (
    *("instance.v", "instance.vhd", "handshake.svg", "handshake.json"),
    *("files.f", "sim.f", "fusesoc.core", "component.xml", "tb", "constraints"),
)


def write(interface: Interface, folder: Path, vectors: int, clock: Clock) -> None:
    """Write into ``folder``, in which ``rtl``, ``sim`` and ``vectors`` lie already, so many ``vectors``."""
    for name, text in _texts(interface, _paths(interface, folder), vectors, clock).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, "utf-8")


def _paths(interface: Interface, folder: Path) -> Paths:
    def listed(pattern: str) -> tuple[str, ...]:
        return tuple(sorted(path.relative_to(folder).as_posix() for path in folder.glob(pattern)))

    name = interface.name
    return Paths(
        design=listed("rtl/*.v"),
        memories=listed("rtl/*.hex"),
        cells=listed("sim/*.v"),
        bench=f"tb/{name}_tb.sv",
        parameters=f"tb/{name}_params.vh",
        vectors=listed("vectors/*.hex"),
        xdc=f"constraints/{name}.xdc",
        sdc=f"constraints/{name}.sdc",
    )


def _texts(interface: Interface, paths: Paths, vectors: int, clock: Clock) -> dict[str, str]:
    """Path → text."""
    seen = outside.seen(interface)
    shown = handshake_waves.picture(interface, seen)
    about = interface_text.timing(interface, seen)
    limits = constraints.text(interface, seen, clock)
    return {
        "instance.v": instances.verilog(interface, seen, about),
        "instance.vhd": instances.vhdl(interface, seen, about),
        "handshake.svg": waveform_svg.draw(shown),
        "handshake.json": handshake_waves.wavedrom(shown),
        "files.f": file_lists.design(paths, seen),
        "sim.f": file_lists.simulation(paths),
        "fusesoc.core": file_lists.fusesoc(paths, interface, seen),
        "component.xml": ip_xact.component(interface, seen, paths),
        paths.bench: testbench.text(interface, seen),
        paths.parameters: testbench.header(interface, seen, vectors),
        paths.xdc: limits,
        paths.sdc: limits,
    }
