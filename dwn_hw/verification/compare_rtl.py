"""The ladder of equality, RTL rung: every node of the network against every wire of the Verilog, vector by vector.

The oracle is :mod:`dwn_hw.ir.evaluate`; the design runs in Verilator or Icarus through cocotb, with random idle and
back-pressure and resets in mid-stream. What was checked is counted, and nothing checked is a failure.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dwn_hw import rtl
from dwn_hw._progress import Progress
from dwn_hw.errors import Mismatch, OptionError, Problem, ToolError
from dwn_hw.exports import interface, reader
from dwn_hw.exports.reader import Exported, check_golden, parallel, read_export
from dwn_hw.hardware import shell_description
from dwn_hw.hardware.design import Design, ParallelDesign
from dwn_hw.hardware.folded import FoldedDesign
from dwn_hw.ir import evaluate, packing, sample_files, vectors
from dwn_hw.verification import compare_engine, compare_shell, simulate

#: Vectors of each of the four slow runs with idle and back-pressure; fewer of those that take many clocks each.
SLOW_VECTORS, SLOW_WORDS, FEWEST_SLOW = 250, 4000, 8

#: Clocks that the random vectors of a folded engine may take at full speed; of one that takes many, fewer are run than asked.
MOST_CLOCKS = 5_000_000

#: Samples for which all nodes are held in memory at once while expected values are computed.
_BLOCK = 2048


def verify(
    folder: Path,
    *,
    simulator: str = "verilator",
    random: int = 1000,
    seed: int = 0,
    samples: sample_files.Samples | None = None,
    corners: bool = True,
    timeout: float = 1800.0,
    progress: Progress = lambda text: None,
) -> dict[str, Any]:
    """Simulate an export's Verilog and compare it with its network; what was checked, as counts.

    Raises Mismatch with the first difference: vector, node, unit, both values, seed, and the command that repeats it.
    """
    if simulator not in simulate.SIMULATORS:
        rule = f"one of {', '.join(simulate.SIMULATORS)}"
        raise OptionError(Problem("--simulator", rule, repr(simulator), "Choose one of them."))
    exported = read_export(folder)
    network = exported.network
    codes = None if samples is None else sample_files.to_codes(samples, network).codes
    design = reader.read_design(exported.interface, network)
    asked, random = random, min(random, _most_vectors(design))
    stimulus = vectors.make(network, random=random, seed=seed, data=codes, corners=corners, addresses=True)
    if not len(stimulus.codes):
        remedy = "Ask for --vectors, or give --data."
        raise OptionError(Problem("verify", "at least one vector", "none", remedy))
    place = folder / "verify" / simulator
    place.mkdir(parents=True, exist_ok=True)
    repeat = f"dwn-hw verify {shlex.quote(str(folder))} --simulator {simulator} --vectors {random} --seed {seed}"
    repeat += f" --data {shlex.quote(samples.name)}" if samples is not None else ""
    golden = check_golden(exported)
    bench = Bench(simulator, _sources(exported), place, repeat)
    progress(f"computing what {len(stimulus.codes)} vectors must give, building and running in {simulator}")
    if isinstance(design, FoldedDesign):
        counts = _record(exported, design, stimulus, bench, timeout)
    else:
        counts = run_bench(exported, stimulus, bench, timeout)
    summary = {**summarize(counts, stimulus, simulator, len(network.nodes), exported), "golden": golden}
    summary["random_left_out"] = asked - random
    if exported.interface["shell"] in shell_description.WRAPPED:
        progress(f"the {exported.interface['shell']} shell in {simulator}")
        own = compare_shell.Setting(simulator, bench.sources, place, seed, timeout)
        summary["ports"] = compare_shell.verify(design, exported.interface, stimulus.codes, own)
    return summary


def _sources(exported: Exported) -> tuple[Path, ...]:
    """What a simulator reads. The models of cells are the shipped ones: an export is not asked what its own cells do."""
    return (*exported.sources, *rtl.model_files(exported.interface["target"]))


def _most_vectors(design: Design) -> int:
    """Random vectors that a simulation is worth; the report says how many were left out."""
    return max(1, MOST_CLOCKS // design.interval) if isinstance(design, FoldedDesign) else 1 << 30


def _record(
    exported: Exported, design: FoldedDesign, stimulus: vectors.Vectors, bench: Bench, timeout: float
) -> dict[str, dict[str, int]]:
    """The phases of a folded engine: what was compared in each, or the first Mismatch."""
    counts = {}
    with compare_engine.built(design, exported.sources, bench.place / "build", bench.simulator, timeout) as simulated:
        for i, phase in enumerate(compare_engine.phases(design, len(stimulus.codes), stimulus.seed)):
            order = np.arange(len(stimulus.codes))
            if phase.samples < len(order):
                order = np.random.default_rng(stimulus.seed + i).permutation(order)[: phase.samples]
            codes = stimulus.codes[order]
            found = compare_engine.compare(design, phase, codes, simulated.run(phase, codes, stimulus.seed + i))
            if isinstance(found, compare_engine.Difference):
                first = asdict(found) | {"vector": int(order[min(found.vector, len(order) - 1)])}
                raise Mismatch(_describe(first, exported, stimulus, bench.repeat))
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


def run_bench(exported: Exported, stimulus: vectors.Vectors, bench: Bench, timeout: float) -> dict[str, dict[str, int]]:
    """Simulate and compare; what was counted in each test. Raises Mismatch with the first difference."""
    job = _write_job(exported, stimulus, bench.place, bench.inside)
    tests = ("full_speed", "idle_and_back_pressure", "reset_in_mid_stream")
    top = exported.interface["top"]
    simulation = simulate.Simulation(
        *(bench.simulator, bench.sources, bench.place / "build", "bench_core", job, tests, top)
    )
    passed = simulate.run(simulation, build_timeout=timeout, test_timeout=timeout)
    mismatch = bench.place / "counts.mismatch.json"
    if mismatch.is_file():
        raise Mismatch(_describe(json.loads(mismatch.read_text()), exported, stimulus, bench.repeat))
    if not passed:
        raise ToolError(f"the bench failed without a mismatch; see {bench.place / 'build' / 'results.xml'}")
    counts: dict[str, dict[str, int]] = json.loads((bench.place / "counts.json").read_text())
    return counts


def summarize(
    counts: dict[str, dict[str, int]], stimulus: vectors.Vectors, simulator: str, nodes: int, exported: Exported
) -> dict[str, Any]:
    """What was checked, as plain values. Raises ToolError if it was not every vector."""
    results = sum(phase["results"] for phase in counts.values())
    if counts["full_speed"]["results"] != len(stimulus.codes) or not results:
        raise ToolError(f"{counts['full_speed']['results']} of {len(stimulus.codes)} vectors were compared")
    return {
        "equal": True,
        "digest": exported.interface["digest"],
        "simulator": simulator,
        "vectors": len(stimulus.codes),
        "kinds": dict(stimulus.kinds),
        "seed": stimulus.seed,
        "nodes": nodes,
        "results": results,
        "node_values": sum(phase["node_values"] for phase in counts.values()),
        "phases": counts,
    }


def _write_job(exported: Exported, stimulus: vectors.Vectors, place: Path, inside: bool) -> Path:
    """The bench's job (JSON) and its arrays (npz), with the results of an earlier run removed."""
    network, described = exported.network, exported.interface
    design = parallel(exported)
    for stale in ("counts.json", "counts.mismatch.json"):
        (place / stale).unlink(missing_ok=True)
    edges = network.edges()
    arrays = _expected(design, stimulus.codes)
    np.savez(place / "job.npz", **arrays)  # type: ignore[arg-type]  # numpy's stub takes **kwds for its own options
    job = {
        "shell": "stream" if "valid" in described["input"] else "none",
        "clock": described["clock"],
        "reset": described["reset"],
        "latency": design.latency,
        "interval": design.interval,
        "parts": [
            {
                "name": stage.name,
                # What a streamed encoder gives are its own flip-flops.
                "clocks": design.pipeline.before(i) + (i == 0 and design.stream is not None),
                "node": stage.node,
                "bits": edges[stage.node + 1].formats[0].bits,
                "units": edges[stage.node + 1].size,
            }
            for i, stage in enumerate(design.pipeline.stages)
            if inside
        ],
        "x_bits": described["input"]["bits"],
        "y_bits": edges[-1].formats[0].bits,
        "seed": stimulus.seed,
        "slow_vectors": min(SLOW_VECTORS, max(FEWEST_SLOW, SLOW_WORDS // design.interval)),
        "result": str((place / "counts.json").resolve()),
    }
    path = place / "job.json"
    path.write_text(json.dumps(job))
    return path


def _expected(design: ParallelDesign, codes: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.uint8]]:
    """Packed rows, one a vector, lowest bit first: every node's output and the port ``y``; of the port ``x`` one a transfer."""
    network = design.network
    edges = network.edges()
    blocks: dict[str, list[npt.NDArray[np.uint8]]] = {}
    for start in range(0, len(codes), _BLOCK):
        values = evaluate.trace(network, codes[start : start + _BLOCK])
        bits = [packing.pack(value, edge) for value, edge in zip(values, edges, strict=True)]
        rows = {"x": interface.pack_port(values[0], design), **{f"node{i}": row for i, row in enumerate(bits[1:])}}
        rows["y"] = np.concatenate([bits[-1], *([bits[-2]] if design.with_scores else [])], axis=1)
        for name, row in rows.items():
            blocks.setdefault(name, []).append(np.packbits(row, axis=1, bitorder="little"))
    return {name: np.concatenate(parts) for name, parts in blocks.items()}


def _describe(found: dict[str, Any], exported: Exported, stimulus: vectors.Vectors, repeat: str) -> str:
    vector = found["vector"]
    kind = stimulus.kind_of(vector) if vector >= 0 else "no"
    codes = stimulus.codes[vector].reshape(-1).tolist() if vector >= 0 else []
    shown = ", ".join(map(str, codes[:16])) + (", …" if len(codes) > 16 else "")
    return (
        f"the Verilog differs from the network: {found['node']}, unit {found['unit']}: "
        f"expected {found['expected']}, got {found['got']}\n"
        f"  vector {vector} ({kind}), in {found['phase']}; codes {shown}\n"
        f"  repeat: {repeat}"
    )
