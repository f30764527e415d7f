"""Which files a tool is to read: ``files.f`` and ``sim.f``, and a core description for FuseSoC (CAPI2).

All paths begin in the export's directory. Names are those that an export writes, so nothing in them needs quoting.
"""

from __future__ import annotations

from dataclasses import dataclass

from dwn_hw.exports.handover.outside import Outside
from dwn_hw.hardware.interface import Interface


@dataclass(frozen=True, slots=True)
class Paths:
    """The files of an export, by what they are for, below its directory.

    ``design``: Verilog, without what it instantiates of a family; ``cells``: models of that, for simulation.
    ``memories``: what ``$readmemh`` of the Verilog reads. ``bench`` and ``parameters``: the testbench and its header.
    """

    design: tuple[str, ...]
    memories: tuple[str, ...]
    cells: tuple[str, ...]
    bench: str
    parameters: str
    vectors: tuple[str, ...]
    xdc: str
    sdc: str


def design(paths: Paths, outside: Outside) -> str:
    """``files.f``: what a synthesiser reads."""
    lines = [
        f"// The design, top {outside.top}: -f files.f in this directory, -F DIR/files.f (not Icarus) from elsewhere."
    ]
    if paths.memories:
        lines.append("// Memories are rtl/*.hex, which $readmemh looks for in the directory that the tool runs in.")
    return _text([*lines, *paths.design])


def simulation(paths: Paths) -> str:
    """``sim.f``: what a simulator reads beside it."""
    folder = paths.bench.rpartition("/")[0]
    return _text(
        ["// Beside files.f: the testbench, and models of cells.", f"+incdir+{folder}", paths.bench, *paths.cells]
    )


#: How the testbench is run by FuseSoC: behind the target ``sim``, and beside all targets.
_SIM = """\
    default_tool: icarus
    parameters: [vectors=.]
    tools:
      icarus: {iverilog_options: [-g2012]}
      verilator: {mode: binary, verilator_options: [--timing]}
      modelsim: {vlog_options: [-sv]}

parameters:
  vectors:
    datatype: str
    paramtype: plusarg
    description: where x.hex and y.hex are
"""


def fusesoc(paths: Paths, interface: Interface, outside: Outside) -> str:
    """``fusesoc.core``; its target ``sim`` runs the testbench."""
    version = ".".join(map(str, interface.layout.version))
    bench = paths.bench.rpartition("/")[2].removesuffix(".sv")
    design = ["rtl", *(["memories"] if paths.memories else [])]
    cells = ["cells"] if paths.cells else []
    lines = [
        *("CAPI=2:", f"name: dwn-hw:exports:{outside.top}:{version}"),
        f"description: network {interface.digest}, written by {interface.tool}",
        *("", "filesets:"),
        *_files("rtl", paths.design, "verilogSource-2005"),
        *(_copied("memories", paths.memories) if paths.memories else []),
        *(_files("cells", paths.cells, "verilogSource-2005") if paths.cells else []),
        *_files("bench", (paths.bench, f"{paths.parameters}: {{is_include_file: true}}"), "systemVerilogSource"),
        *_copied("vectors", paths.vectors),
        *_files("constraints", (f"{paths.xdc}: {{file_type: xdc}}", f"{paths.sdc}: {{file_type: SDC}}"), "user"),
        *("", "targets:"),
        *_target("default", design, outside.top),
        *_target("synth", [*design, "constraints"], outside.top),
        *_target("sim", [*design, *cells, "bench", "vectors"], bench),
    ]
    return _text(lines) + _SIM


def _target(name: str, sets: list[str], top: str) -> list[str]:
    return [f"  {name}:", f"    filesets: [{', '.join(sets)}]", f"    toplevel: {top}"]


def _files(name: str, files: tuple[str, ...], kind: str) -> list[str]:
    return [f"  {name}:", f"    file_type: {kind}", "    files:", *(f"      - {file}" for file in files)]


def _copied(name: str, files: tuple[str, ...]) -> list[str]:
    """Data that must lie where the simulation runs."""
    return _files(name, tuple(f"{file}: {{copyto: {file.rpartition('/')[2]}}}" for file in files), "user")


def _text(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"
