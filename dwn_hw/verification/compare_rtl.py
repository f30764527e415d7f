"""The ladder of equality, RTL rung: every node of the network against every wire of the Verilog, vector by vector.

The oracle is :mod:`dwn_hw.ir.evaluate`; the design runs in Verilator or Icarus, with random idle and back-pressure and resets in
mid-stream. What was checked is counted, and nothing checked is a failure.
"""

from __future__ import annotations

import functools
import shlex
from pathlib import Path
from typing import assert_never

from dwn_hw._json import Document
from dwn_hw._progress import Progress, ahead, begin
from dwn_hw.errors import OptionError, Problem, ToolError
from dwn_hw.exports import kept_builds, kept_records
from dwn_hw.exports.reader import Exported, check_golden, read_export
from dwn_hw.hardware.design import ParallelDesign
from dwn_hw.hardware.families import model_files
from dwn_hw.hardware.folded import FoldedDesign
from dwn_hw.ir import coverage, sample_files, sample_warnings, vectors
from dwn_hw.verification import (
    bench_builds,
    compare_cocotb,
    compare_engine,
    compare_parallel,
    compare_shell,
    effort,
    simulate,
    simulator_choice,
)
from dwn_hw.verification.benches import Bench, Counts
from dwn_hw.verification.mismatches import Difference, mismatch
from dwn_hw.verification.simulator_choice import Choice

#: What is said while another process works in the same export.
WAITING = "waiting for another command that works in this export"


def verify(
    folder: Path,
    *,
    simulator: str = simulator_choice.AUTO,
    thorough: bool = False,
    trace: bool = False,
    random: int = 1000,
    seed: int = 0,
    samples: sample_files.Samples | None = None,
    strict: bool = False,
    trust_edited: bool = False,
    corners: bool = True,
    timeout: float = 1800.0,
    progress: Progress = lambda text: None,
) -> Document:
    """Simulate an export's Verilog and compare it with its network; what was checked, as counts.

    ``thorough``: more vectors with back-pressure and resets, in Verilator; of a parallel design, in a cocotb bench as well.
    ``trace``: a waveform of the first difference, or of the first vectors. ``trust_edited``: simulate Verilog as well that
    reaches outside the design. Raises Mismatch with the first difference: vector, node, unit, both values, the place in the
    Verilog, seed, and the command that repeats it.
    """
    simulator_choice.check(simulator)
    begin(progress, "reading the export")
    exported = read_export(folder, trust_edited)
    extent = effort.THOROUGH if thorough else effort.DEFAULT
    given = sample_warnings.given(exported.network, samples, strict)
    asked, random = random, min(random, extent.random(exported.design))
    how = functools.partial(vectors.make, corners=corners, addresses=True, searched=effort.searched(exported.design))
    stimulus = how(exported.network, random=random, seed=seed, data=given.codes)
    if not len(stimulus.codes):
        raise OptionError(Problem("verify", "at least one vector", "none", "Ask for --vectors, or give --data."))
    bench = _bench(exported, stimulus, extent)
    choice = simulator_choice.choose(simulator, thorough, bench, folder / "verify")
    place = folder / "verify" / choice.simulator
    repeat = f"dwn-hw verify {shlex.quote(str(folder))} --simulator {choice.simulator} --vectors {random} --seed {seed}"
    repeat += f" --data {shlex.quote(samples.name)}" if samples is not None else ""
    repeat += " --thorough" * thorough
    golden, wrapper = check_golden(exported), exported.interface.wrapper
    in_cocotb = bench if thorough and isinstance(bench, compare_parallel.Bench) else None
    if wrapper or in_cocotb:
        simulate.environment(choice.simulator)  # what is missing is said before the work
    ahead(progress, (1 + bench_builds.PHASES[choice.simulator]) * (1 + bool(wrapper) + bool(in_cocotb)))
    with kept_builds.alone(place, lambda: progress(WAITING)), kept_records.recorded(folder, "rtl") as record:
        progress(f"computing what {len(stimulus.codes)} vectors must give, building and running in {choice.simulator}")
        found, again = _compared(bench, in_cocotb, place, choice.simulator, timeout, progress)
        wrong = found if isinstance(found, Difference) else None
        waveform = str(bench.trace(folder / "verify" / "trace", wrong, timeout)) if trace else None
        if isinstance(found, Difference):
            raise mismatch(found, stimulus, repeat, bench.place(found), waveform)
        record |= {**summarize(found, stimulus, choice, len(exported.network.nodes), exported), "golden": golden}
        reached = coverage.measure(exported.network, stimulus.codes)
        record |= {"thorough": thorough, "cocotb": again and values(again), "random_left_out": asked - random}
        record |= {"reached": {**reached.report(), "text": str(reached)}, "waveform": waveform, "notes": given.notes}
        record |= {"warnings": [*given.warnings, *reached.warnings()]}
        if wrapper:
            progress(f"the {exported.interface.shell} shell in {choice.simulator}")
            own = compare_shell.Setting(choice.simulator, read_by_simulators(exported), place, seed, timeout)
            record["ports"] = compare_shell.verify(exported, wrapper, stimulus.codes, own, progress)
    return record


def _compared(
    bench: Bench,
    in_cocotb: compare_parallel.Bench | None,
    place: Path,
    simulator: str,
    timeout: float,
    progress: Progress,
) -> tuple[Counts | Difference, Counts | None]:
    """What a bench compared, or the first difference; and if there is none what cocotb compared, where that is asked for."""
    found = bench.run(place, simulator, timeout, progress)
    if in_cocotb is None or isinstance(found, Difference):
        return found, None
    progress(f"again in cocotb, in {simulator}")
    again = compare_cocotb.run(in_cocotb, place, simulator, timeout, progress)
    return (again, None) if isinstance(again, Difference) else (found, again)


def _bench(exported: Exported, stimulus: vectors.Vectors, extent: effort.Effort) -> Bench:
    """The bench of the kind of hardware."""
    sources = read_by_simulators(exported)
    match exported.design:
        case ParallelDesign() as design:
            return compare_parallel.Bench(exported, design, sources, stimulus, extent.slow(design))
        case FoldedDesign() as design:
            return compare_engine.Bench(exported, design, sources, stimulus, extent.slow_clocks)
        case _:
            assert_never(exported.design)


def read_by_simulators(exported: Exported) -> tuple[Path, ...]:
    """What a simulator reads. The models of cells are the shipped ones: an export is not asked what its own cells do."""
    return (*exported.sources, *model_files(exported.interface.target))


def values(counts: Counts) -> int:
    """How many values of nodes were compared in all phases."""
    return sum(phase["node_values"] for phase in counts.values())


def summarize(counts: Counts, stimulus: vectors.Vectors, choice: Choice, nodes: int, exported: Exported) -> Document:
    """What was checked, as plain values. Raises ToolError if it was not every vector."""
    results = sum(phase["results"] for phase in counts.values())
    if counts["full_speed"]["results"] != len(stimulus.codes) or not results:
        raise ToolError(f"{counts['full_speed']['results']} of {len(stimulus.codes)} vectors were compared")
    return {
        "equal": True,
        "digest": exported.interface.digest,
        "simulator": choice.simulator,
        "simulator_because": choice.why,
        "vectors": len(stimulus.codes),
        "kinds": dict(stimulus.kinds),
        "seed": stimulus.seed,
        "nodes": nodes,
        "results": results,
        "node_values": values(counts),
        "phases": counts,
    }
