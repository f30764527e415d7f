"""A second opinion on a parallel design: a bench in cocotb, which drives every clock and compares in it.

``sim/bench_core.py`` shares with :mod:`dwn_hw.verification.compare_parallel` the vectors and the expected values, and nothing of
how clocks are made, which vector is where, and how what is seen is compared.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from dwn_hw._progress import Progress, silent
from dwn_hw.errors import ToolError
from dwn_hw.verification import compare_parallel, simulate
from dwn_hw.verification.benches import Counts
from dwn_hw.verification.mismatches import Difference

TESTS = ("full_speed", "idle_and_back_pressure", "reset_in_mid_stream")


def run(
    bench: compare_parallel.Bench, place: Path, simulator: str, timeout: float, progress: Progress = silent
) -> Counts | Difference:
    """Simulate a bench's design with its vectors; what was counted in each test, or the first difference. Raises ToolError."""
    place = place / "cocotb"
    place.mkdir(parents=True, exist_ok=True)
    mismatch = place / "counts.mismatch.json"
    for stale in (place / "counts.json", mismatch):
        stale.unlink(missing_ok=True)
    expected = compare_parallel.expected_rows(bench.design, bench.codes)
    np.savez(place / "job.npz", **expected)  # type: ignore[arg-type]  # numpy's stub takes **kwds for its own options
    job = simulate.write_job(_job(bench, place), place / "job.json")
    simulation = simulate.Simulation(
        *(simulator, bench.sources, place / "build", "bench_core", job, TESTS, bench.interface.top)
    )
    passed = simulate.run(simulation, build_timeout=timeout, test_timeout=timeout, progress=progress)
    if mismatch.is_file():
        return Difference(**json.loads(mismatch.read_text()))
    if not passed:
        raise ToolError(f"the bench failed without a mismatch; see {place / 'build' / 'results.xml'}")
    counts: Counts = json.loads((place / "counts.json").read_text())
    if counts["full_speed"]["results"] != len(bench.codes):
        raise ToolError(f"cocotb compared {counts['full_speed']['results']} of {len(bench.codes)} vectors")
    return counts


def _job(bench: compare_parallel.Bench, place: Path) -> dict[str, object]:
    """What ``sim/bench_core.py`` reads beside its arrays."""
    interface = bench.interface
    return {
        "shell": "stream" if interface.has_streams else "none",
        "clock": interface.clock,
        "reset": interface.reset,
        "latency": bench.design.latency,
        "interval": bench.design.interval,
        "parts": [
            {"name": pin.name, "clocks": clocks, "node": node, "bits": pin.width, "units": pin.units}
            for pin, clocks, node in bench.parts()
        ],
        "x_bits": interface.input.bits,
        "y_bits": interface.output.fields[0].bits,
        "seed": bench.seed,
        "slow_vectors": bench.slow,
        "result": str((place / "counts.json").resolve()),
    }
