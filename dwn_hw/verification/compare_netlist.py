"""The ladder of equality, above the RTL: the mapped netlist, and the netlist read back from a finished bitstream.

A mapped netlist of ``dwn_top`` is compared at its ports, by the bench that the RTL is compared with. An iCE40 bitstream is
unpacked into Verilog again, and that is driven as a board is, through the pins of its UART, by the same host.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import assert_never

from dwn_hw import toolchain
from dwn_hw._json import Document
from dwn_hw._progress import Progress, ahead, begin
from dwn_hw.errors import OptionError, Problem, ToolError
from dwn_hw.exports import kept_builds, kept_records
from dwn_hw.exports.reader import Exported, read_export
from dwn_hw.fpga import synthesis
from dwn_hw.hardware.design import ParallelDesign
from dwn_hw.hardware.families import SYNTHESES
from dwn_hw.hardware.folded import FoldedDesign
from dwn_hw.ir import sample_files, sample_warnings, vectors
from dwn_hw.verification import bench_builds, compare_parallel, compare_rtl, effort, simulator_choice
from dwn_hw.verification.mismatches import Difference, mismatch

#: Ports with default values are not what every simulator takes.
_DEFINES = "`define NO_ICE40_DEFAULT_ASSIGNMENTS\n"


def verify_netlist(
    folder: Path,
    target: str | None = None,
    *,
    simulator: str = simulator_choice.AUTO,
    thorough: bool = False,
    random: int = 1000,
    seed: int = 0,
    samples: sample_files.Samples | None = None,
    strict: bool = False,
    timeout: float = 1800.0,
    progress: Progress = lambda text: None,
) -> Document:
    """Synthesise an export for ``target`` (its own by default), simulate the cells, and compare the results; counts.

    Raises Mismatch with the first vector whose result differs, and the command that repeats it.
    """
    begin(progress, "reading the export")
    exported = read_export(folder)
    design = _parallel(exported)  # or it is refused before the work
    asked, target = target, target or exported.interface.target
    if target not in SYNTHESES:
        rule = f"one of {', '.join(SYNTHESES)}"
        got = repr(asked) if asked else "none, and a generic export has no family of its own"
        raise OptionError(Problem("--target", rule, got, "Say for which family to synthesise."))
    simulator_choice.check(simulator)
    simulator_choice.require(simulator)  # what is missing is said before the work
    given = sample_warnings.given(exported.network, samples, strict)
    stimulus = vectors.make(exported.network, random=random, seed=seed, data=given.codes, addresses=True)
    place = folder / "verify" / f"netlist-{target}"
    repeat = (
        f"dwn-hw verify {shlex.quote(str(folder))} --level netlist --target {target} --vectors {random} --seed {seed}"
    )
    repeat += f" --data {shlex.quote(samples.name)}" if samples is not None else ""
    record_of = kept_records.recorded(folder, f"netlist-{target}")
    with kept_builds.alone(place, lambda: progress(compare_rtl.WAITING)), record_of as record:
        ahead(progress, 2)
        progress(f"synthesising for {target}")
        path = synthesis.netlist(exported, target, place, timeout, progress)
        models = place / "cells.v"
        models.write_text(models_for(path.read_text("utf-8"), toolchain.yosys_models(SYNTHESES[target].models), target))
        slow = (effort.THOROUGH if thorough else effort.DEFAULT).slow(design)
        bench = compare_parallel.Bench(exported, design, (models, path), stimulus, slow, inside=False)
        choice = simulator_choice.choose(simulator, thorough, bench, place)
        ahead(progress, bench_builds.PHASES[choice.simulator])
        progress(f"building and running {len(stimulus.codes)} vectors in {choice.simulator}")
        compared = bench.run(place / choice.simulator, choice.simulator, timeout, progress)
        if isinstance(compared, Difference):
            raise mismatch(compared, stimulus, repeat, bench.place(compared))
        found = compare_rtl.summarize(compared, stimulus, choice, 0, exported)
        record |= {"level": "netlist", "target": target, **found, "notes": given.notes, "warnings": given.warnings}
    return record


def _parallel(exported: Exported) -> ParallelDesign:
    """The design of an export of parallel hardware, which the bench can follow from clock to clock. Raises OptionError."""
    match exported.design:
        case ParallelDesign() as design:
            return design
        case FoldedDesign() as design:
            remedy = "Leave --level out: verify then compares every number of every layer of the Verilog."
            raise OptionError(Problem("--level netlist", "an export of parallel hardware", design.kind, remedy))
        case _:
            assert_never(exported.design)


def models_for(netlist: str, library: str, target: str) -> str:
    """Of a library of models those that a netlist instantiates, and theirs: not every simulator reads all of them.

    Raises ToolError for cells that the library lacks.
    """
    module = re.compile(r"^[ \t]*module\s+(\w+)\b.*?^[ \t]*endmodule\b", re.M | re.S)
    known = {match[1]: match[0] for match in module.finditer(library)}
    used, found = set(re.findall(r"^ *([A-Z]\w+) (?:#\(|\S+ +\()", netlist, re.M)), set[str]()
    if absent := sorted(used - set(known)):
        raise ToolError(f"yosys has no simulation model of {', '.join(absent)} of {target}: verify another --target")
    while used:
        name = used.pop()
        found.add(name)
        used |= {word for word in re.findall(r"\w+", known[name]) if word in known} - found
    # Conditions may begin or end within what is left out.
    return _DEFINES + module.sub(
        lambda m: m[0] if m[1] in found else "\n".join(re.findall(r"^`.*", m[0], re.M)), library
    )
