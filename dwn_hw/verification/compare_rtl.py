"""The ladder of equality, RTL rung: every node of the network against every wire of the Verilog, vector by vector.

The oracle is :mod:`dwn_hw.ir.evaluate`; the design runs in Verilator or Icarus through cocotb, with random idle and
back-pressure and resets in mid-stream. What was checked is counted, and nothing checked is a failure.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import assert_never

import numpy as np
import numpy.typing as npt

from dwn_hw import rtl
from dwn_hw._json import Document
from dwn_hw._progress import Progress, ahead, begin, silent, within
from dwn_hw.errors import Mismatch, OptionError, Problem, ToolError
from dwn_hw.exports import kept_builds, kept_records
from dwn_hw.exports.reader import Exported, check_golden, read_export
from dwn_hw.hardware import port_packing
from dwn_hw.hardware.design import ParallelDesign
from dwn_hw.hardware.folded import FoldedDesign
from dwn_hw.hardware.kinds import Design
from dwn_hw.ir import coverage, evaluate, packing, sample_files, sample_warnings, vectors
from dwn_hw.verification import compare_engine, compare_shell, simulate

#: Vectors of each of the four slow runs with idle and back-pressure; fewer of those that take many clocks each.
SLOW_VECTORS, SLOW_WORDS, FEWEST_SLOW = 250, 4000, 8

#: Clocks that the random vectors of a folded engine may take at full speed; of one that takes many, fewer are run than asked.
MOST_CLOCKS = 5_000_000

#: Clocks that the searched vectors of a folded engine may take, and the fewest of them, the most telling, however many it takes.
SEARCH_CLOCKS, FEWEST_SEARCHED = 60_000, 24

#: Samples for which all nodes are held in memory at once while expected values are computed.
_BLOCK = 2048


#: What is said while another process works in the same export.
WAITING = "waiting for another command that works in this export"


def verify(
    folder: Path,
    *,
    simulator: str = "verilator",
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

    ``trust_edited``: simulate Verilog as well that reaches outside the design. Raises Mismatch with the first difference:
    vector, node, unit, both values, seed, and the command that repeats it.
    """
    if simulator not in simulate.SIMULATORS:
        rule = f"one of {', '.join(simulate.SIMULATORS)}"
        raise OptionError(Problem("--simulator", rule, repr(simulator), "Choose one of them."))
    begin(progress, "reading the export")
    exported = read_export(folder, trust_edited)
    network = exported.network
    given = sample_warnings.given(network, samples, strict)
    asked, random = random, min(random, _most_vectors(exported.design))
    searched = _most_searched(exported.design)
    stimulus = vectors.make(
        network, random=random, seed=seed, data=given.codes, corners=corners, addresses=True, searched=searched
    )
    if not len(stimulus.codes):
        remedy = "Ask for --vectors, or give --data."
        raise OptionError(Problem("verify", "at least one vector", "none", remedy))
    place = folder / "verify" / simulator
    place.mkdir(parents=True, exist_ok=True)
    repeat = f"dwn-hw verify {shlex.quote(str(folder))} --simulator {simulator} --vectors {random} --seed {seed}"
    repeat += f" --data {shlex.quote(samples.name)}" if samples is not None else ""
    golden = check_golden(exported)
    bench = Bench(simulator, _sources(exported), place, repeat)
    wrapper = exported.interface.wrapper
    ahead(progress, (1 + simulate.PHASES[simulator]) * (2 if wrapper else 1))
    with kept_builds.alone(place, lambda: progress(WAITING)), kept_records.recorded(folder, "rtl") as record:
        progress(f"computing what {len(stimulus.codes)} vectors must give, building and running in {simulator}")
        counts = _simulate(exported, stimulus, bench, timeout, progress)
        summary = {**summarize(counts, stimulus, simulator, len(network.nodes), exported), "golden": golden}
        reached = coverage.measure(network, stimulus.codes)
        summary |= {"random_left_out": asked - random, "reached": reached.report() | {"text": str(reached)}}
        summary |= {"notes": given.notes, "warnings": [*given.warnings, *reached.warnings()]}
        if wrapper:
            progress(f"the {exported.interface.shell} shell in {simulator}")
            own = compare_shell.Setting(simulator, bench.sources, place, seed, timeout)
            summary["ports"] = compare_shell.verify(exported, wrapper, stimulus.codes, own, progress)
        record |= summary
    return summary


def _simulate(
    exported: Exported, stimulus: vectors.Vectors, bench: Bench, timeout: float, progress: Progress
) -> dict[str, dict[str, int]]:
    """What was counted in each test or phase, by the bench of the kind of hardware. Raises Mismatch."""
    match exported.design:
        case ParallelDesign() as design:
            return run_bench(exported, design, stimulus, bench, timeout, progress)
        case FoldedDesign() as design:
            return _record(exported, design, stimulus, bench, timeout, progress)
        case _:
            assert_never(exported.design)


def _sources(exported: Exported) -> tuple[Path, ...]:
    """What a simulator reads. The models of cells are the shipped ones: an export is not asked what its own cells do."""
    return (*exported.sources, *rtl.model_files(exported.interface.target))


def _most_vectors(design: Design) -> int:
    """Random vectors that a simulation is worth; the report says how many were left out."""
    match design:
        case ParallelDesign():
            return 1 << 30
        case FoldedDesign():
            return max(1, MOST_CLOCKS // design.interval)
        case _:
            assert_never(design)


def _most_searched(design: Design) -> int:
    """Searched vectors that a simulation is worth; they come the most telling first."""
    match design:
        case ParallelDesign():
            return vectors.SEARCHED
        case FoldedDesign():
            return min(vectors.SEARCHED, max(FEWEST_SEARCHED, SEARCH_CLOCKS // design.interval))
        case _:
            assert_never(design)


def _record(
    exported: Exported,
    design: FoldedDesign,
    stimulus: vectors.Vectors,
    bench: Bench,
    timeout: float,
    progress: Progress,
) -> dict[str, dict[str, int]]:
    """The phases of a folded engine: what was compared in each, or the first Mismatch."""
    counts = {}
    phases = compare_engine.phases(design, len(stimulus.codes), stimulus.seed)
    place = bench.place / "build"
    with compare_engine.built(design, exported.sources, place, bench.simulator, timeout, progress) as simulated:
        begin(progress, f"simulating in {bench.simulator}")
        for i, phase in enumerate(phases):
            within(progress, phase.name.replace("_", " "), i, len(phases))
            order = np.arange(len(stimulus.codes))
            if phase.samples < len(order):
                order = np.random.default_rng(stimulus.seed + i).permutation(order)[: phase.samples]
            codes = stimulus.codes[order]
            found = compare_engine.compare(design, phase, codes, simulated.run(phase, codes, stimulus.seed + i))
            if isinstance(found, compare_engine.Difference):
                first = replace(found, vector=int(order[min(found.vector, len(order) - 1)]))
                raise Mismatch(_describe(first, stimulus, bench.repeat))
            counts[phase.name] = found
    return counts


@dataclass(frozen=True, slots=True)
class Bench:
    """Where ``sources`` with the top module of an export are simulated; ``repeat`` is the command that does it again.

    ``inside``: whether the modules of the parts are there to be looked into, or only the ports.
    """

    simulator: str
    sources: tuple[Path, ...]
    place: Path
    repeat: str
    inside: bool = True


def run_bench(
    exported: Exported,
    design: ParallelDesign,
    stimulus: vectors.Vectors,
    bench: Bench,
    timeout: float,
    progress: Progress = silent,
) -> dict[str, dict[str, int]]:
    """Simulate and compare; what was counted in each test. Raises Mismatch with the first difference."""
    for stale in ("counts.json", "counts.mismatch.json"):
        (bench.place / stale).unlink(missing_ok=True)
    np.savez(bench.place / "job.npz", **_expected(design, stimulus.codes))  # type: ignore[arg-type]  # numpy's stub takes **kwds for its own options
    job = simulate.write_job(asdict(_job(exported, design, stimulus, bench)), bench.place / "job.json")
    tests = ("full_speed", "idle_and_back_pressure", "reset_in_mid_stream")
    top = exported.interface.top
    simulation = simulate.Simulation(
        *(bench.simulator, bench.sources, bench.place / "build", "bench_core", job, tests, top)
    )
    passed = simulate.run(simulation, build_timeout=timeout, test_timeout=timeout, progress=progress)
    mismatch = bench.place / "counts.mismatch.json"
    if mismatch.is_file():
        first = compare_engine.Difference(**json.loads(mismatch.read_text()))
        raise Mismatch(_describe(first, stimulus, bench.repeat))
    if not passed:
        raise ToolError(f"the bench failed without a mismatch; see {bench.place / 'build' / 'results.xml'}")
    counts: dict[str, dict[str, int]] = json.loads((bench.place / "counts.json").read_text())
    return counts


def summarize(
    counts: dict[str, dict[str, int]], stimulus: vectors.Vectors, simulator: str, nodes: int, exported: Exported
) -> Document:
    """What was checked, as plain values. Raises ToolError if it was not every vector."""
    results = sum(phase["results"] for phase in counts.values())
    if counts["full_speed"]["results"] != len(stimulus.codes) or not results:
        raise ToolError(f"{counts['full_speed']['results']} of {len(stimulus.codes)} vectors were compared")
    return {
        "equal": True,
        "digest": exported.interface.digest,
        "simulator": simulator,
        "vectors": len(stimulus.codes),
        "kinds": dict(stimulus.kinds),
        "seed": stimulus.seed,
        "nodes": nodes,
        "results": results,
        "node_values": sum(phase["node_values"] for phase in counts.values()),
        "phases": counts,
    }


@dataclass(frozen=True, slots=True)
class _JobPart:
    """A part whose output is compared: so many ``clocks`` after the codes, ``units`` of ``bits`` each, with row ``node``."""

    name: str
    clocks: int
    node: int
    bits: int
    units: int


@dataclass(frozen=True, slots=True)
class _Job:
    """What ``sim/bench_core.py`` reads beside its arrays. ``shell``: ``stream`` or ``none``; ``result``: what it writes."""

    shell: str
    clock: str | None
    reset: str | None
    latency: int
    interval: int
    parts: tuple[_JobPart, ...]
    x_bits: int
    y_bits: int
    seed: int
    slow_vectors: int
    result: str


def _job(exported: Exported, design: ParallelDesign, stimulus: vectors.Vectors, bench: Bench) -> _Job:
    interface = exported.interface
    return _Job(
        shell="stream" if interface.has_streams else "none",
        clock=interface.clock,
        reset=interface.reset,
        latency=design.latency,
        interval=design.interval,
        parts=_job_parts(design) if bench.inside else (),
        x_bits=interface.input.bits,
        y_bits=interface.output.fields[0].bits,
        seed=stimulus.seed,
        slow_vectors=min(SLOW_VECTORS, max(FEWEST_SLOW, SLOW_WORDS // design.interval)),
        result=str((bench.place / "counts.json").resolve()),
    )


def _job_parts(design: ParallelDesign) -> tuple[_JobPart, ...]:
    edges, parts = design.network.edges(), []
    for i, stage in enumerate(design.pipeline.stages):
        clocks = design.pipeline.before(i)
        if i == 0 and design.stream:
            clocks += 1  # what a streamed encoder gives are its own flip-flops
        edge = edges[stage.node + 1]
        parts.append(_JobPart(stage.name, clocks, stage.node, edge.formats[0].bits, edge.size))
    return tuple(parts)


def _expected(design: ParallelDesign, codes: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.uint8]]:
    """Packed rows, one a vector, lowest bit first: every node's output and the port ``y``; of the port ``x`` one a transfer."""
    network = design.network
    edges = network.edges()
    blocks: dict[str, list[npt.NDArray[np.uint8]]] = {}
    for start in range(0, len(codes), _BLOCK):
        values = evaluate.trace(network, codes[start : start + _BLOCK])
        bits = [packing.pack(value, edge) for value, edge in zip(values, edges, strict=True)]
        rows = {"x": port_packing.pack_input(values[0], design), **{f"node{i}": row for i, row in enumerate(bits[1:])}}
        rows["y"] = port_packing.pack_output(values, design)
        for name, row in rows.items():
            blocks.setdefault(name, []).append(np.packbits(row, axis=1, bitorder="little"))
    return {name: np.concatenate(parts) for name, parts in blocks.items()}


def _describe(found: compare_engine.Difference, stimulus: vectors.Vectors, repeat: str) -> str:
    vector = found.vector
    kind = stimulus.kind_of(vector) if vector >= 0 else "no"
    codes = stimulus.codes[vector].reshape(-1).tolist() if vector >= 0 else []
    shown = ", ".join(map(str, codes[:16])) + (", …" if len(codes) > 16 else "")
    return (
        f"the Verilog differs from the network: {found.node}, unit {found.unit}: "
        f"expected {found.expected}, got {found.got}\n"
        f"  vector {vector} ({kind}), in {found.phase}; codes {shown}\n"
        f"  repeat: {repeat}"
    )
