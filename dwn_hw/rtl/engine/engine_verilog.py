"""The engine's Verilog: one module a unit, the content of its read-only memories in files beside it."""

from __future__ import annotations

import re
from typing import TypeGuard

from amaranth.hdl import Fragment

from dwn_hw.hardware.folded.folded_design import FoldedDesign
from dwn_hw.rtl.engine.memories import Ram, Rom
from dwn_hw.rtl.engine.top import Engine
from dwn_hw.rtl.engine.units import Program, Unit
from dwn_hw.rtl.parallel_verilog import comment, component_rtlil, core_to_verilog, print_modules, rtlil_of

#: Three or more times the same bit in a row.
_RUN = re.compile(r"(?<![\w'.(])([a-z]\w*(?:\[\d+\])?)((?:,\s+\1(?![\w\[':])){2,})")

#: Sums of numbers of different widths are meant, and so are bits that nothing reads.
_QUIET = "// verilator lint_off WIDTH\n// verilator lint_off UNUSEDSIGNAL\n"

#: What yosys does before it prints: nothing that would split or rename a register.
_SCRIPT = "attrmap -remove init\nproc\nopt_expr -keepdc\nopt_clean\nopt_dff -simple-dffe\nopt_clean -purge\n"


def engine_to_verilog(design: FoldedDesign, header: str = "") -> dict[str, str]:
    """The whole design in Verilog-2005, file name → text, one module a file; the top module is ``dwn_top``.

    ``dwn_weights.hex`` and ``dwn_biases.hex`` are what ``$readmemh`` reads: a simulator looks for them in the folder that it
    runs in, yosys and the vendors' tools beside the Verilog.
    """
    engine = Engine(design, instances=True)
    units = engine.units()
    texts = [rtlil_of("dwn_top", engine, engine.ports(), reset=True)]
    texts += [component_rtlil(f"dwn_{unit.module}", unit, unit.reset) for unit in units if not _is_memory(unit)]
    for unit in filter(_is_memory, units):
        Fragment.get(unit, None)  # what is never elaborated, Amaranth takes for forgotten
    modules = {name: plain(text) for name, text in print_modules(texts, [], _SCRIPT).items()}
    programs = [unit.program for unit in (engine.sequencer, engine.writer) if unit.program.columns]
    written: list[Rom | Ram | Program] = [*(unit for unit in units if _is_memory(unit)), *programs]
    modules |= {f"dwn_{unit.module}": unit.verilog() for unit in written}
    described: list[Unit | Program] = [*units, *programs]
    about = {f"dwn_{unit.module}": _about(unit) for unit in described}
    about["dwn_top"] = f"{header}\n\n{_table(design)}" if header else _table(design)
    files = {
        f"{name}.v": f"{comment(about[name])}{_QUIET}`default_nettype none\n\n{text}\n`default_nettype wire\n"
        for name, text in modules.items()
    }
    files |= {unit.file: unit.content() for unit in units if isinstance(unit, Rom)}
    said = {"dwn_tail": "What stands parallel behind the engine: parts and registers."}
    return files | (core_to_verilog(engine.tail, "tail", said=said) if engine.tail else {})


def plain(text: str) -> str:
    """Wires that have no name get a short one; a bit that is repeated is written once."""
    names: dict[str, str] = {}

    def short(match: re.Match[str]) -> str:
        return names.setdefault(match[1], f"net{len(names)}") + match[2].strip(" ")  # a line may break behind it

    text = re.sub(r"\\(\$\S+)(\s)", short, text)
    return _RUN.sub(lambda match: f"{{{match[2].count(',') + 1}{{{match[1]}}}}}", text)


def _is_memory(unit: Unit) -> TypeGuard[Rom | Ram]:
    return isinstance(unit, Rom | Ram)


def _about(unit: Unit | Program) -> str:
    """The text that a unit's Python class says of it, without the marks of that language."""
    text = (type(unit).__doc__ or "").strip().replace("``", "")
    return "\n".join(line.strip() for line in text.splitlines())


def _table(design: FoldedDesign) -> str:
    return f"{design.lanes} lanes; step by step:\n\n{design.schedule}"
