"""Which simulator is done first: Icarus, which builds at once and runs slowly, or Verilator, which compiles and runs fast."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

from dwn_hw.errors import OptionError, Problem, ToolError
from dwn_hw.verification import bench_builds
from dwn_hw.verification.benches import Bench

#: What may be asked for.
AUTO = "auto"
ASKED = (AUTO, *bench_builds.SIMULATORS)

#: Icarus: seconds for each clock and character of Verilog. Verilator: seconds before all, and for each character.
ICARUS, VERILATOR = 8e-9, (0.8, 8e-6)


@dataclass(frozen=True, slots=True)
class Choice:
    """A simulator, and why it was taken."""

    simulator: str
    why: str


def check(asked: str) -> None:
    """Raise OptionError for a simulator that there is not."""
    if asked not in ASKED:
        raise OptionError(Problem("--simulator", f"one of {', '.join(ASKED)}", repr(asked), "Choose one of them."))


def require(asked: str) -> None:
    """Raise ToolError where what is asked for, or every simulator, is missing."""
    if asked != AUTO:
        bench_builds.require(asked)
    elif all(missing := [_missing(simulator) for simulator in bench_builds.SIMULATORS]):
        raise ToolError("\n".join(missing))


def choose(asked: str, thorough: bool, bench: Bench, folder: Path) -> Choice:
    """The simulator that is asked for; of ``auto`` the one that is sooner done. Builds are kept in ``folder``, by simulator."""
    if asked != AUTO:
        return Choice(asked, "as asked")
    require(asked)
    for one, other in itertools.permutations(bench_builds.SIMULATORS):
        if _missing(other):
            return Choice(one, f"{other} is not there")
    if thorough:
        return Choice("verilator", "--thorough")
    if bench_builds.is_built(bench.build(folder / "verilator", "verilator")):
        return Choice("verilator", "built before, of the same Verilog")
    sources = bench.build(folder / "icarus", "icarus").sources
    clocks, size = bench.clocks(), sum(path.stat().st_size for path in sources if path.suffix == ".v")
    slow, fast = ICARUS * clocks * size, VERILATOR[0] + VERILATOR[1] * size
    said = f"{clocks:,} clocks of {size / 1000:,.0f} kB of Verilog: about {{}} s, in {{}} {{}} s"
    if slow <= fast:
        return Choice("icarus", said.format(f"{slow:.1f}", "verilator", f"{fast:.1f}"))
    return Choice("verilator", said.format(f"{fast:.1f}", "icarus", f"{slow:.1f}"))


def _missing(simulator: str) -> str:
    """What a simulator lacks on this machine, and what brings it."""
    try:
        bench_builds.require(simulator)
    except ToolError as error:
        return str(error)
    return ""
