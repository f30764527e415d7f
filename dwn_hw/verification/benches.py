"""What a bench is to those who run it: of a parallel design and of a folded engine alike."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, TypeAlias

from dwn_hw._progress import Progress
from dwn_hw.verification.bench_builds import BenchBuild
from dwn_hw.verification.mismatches import Difference
from dwn_hw.verification.verilog_places import Place

#: By phase, what was counted in it: results, values of nodes, clocks, ….
Counts: TypeAlias = dict[str, dict[str, int]]

#: The clocks before a difference, and behind it, that a waveform shows; and of a design without one, the first clocks.
BEFORE, BEHIND, FIRST = 24, 4, 64

#: Its name.
TRACE = "trace.vcd"


class Bench(Protocol):
    """A design, and the vectors that it is simulated with."""

    def clocks(self) -> int:
        """About how many are simulated."""
        ...

    def build(self, place: Path, simulator: str) -> BenchBuild:
        """What is built in ``place``."""
        ...

    def run(self, place: Path, simulator: str, timeout: float, progress: Progress) -> Counts | Difference:
        """Simulate in ``place``; what was compared, or the first difference. Raises ToolError."""
        ...

    def place(self, found: Difference) -> Place | None:
        """Where in the export's files what differs is made; None where no line is known for it."""
        ...

    def trace(self, place: Path, found: Difference | None, timeout: float) -> Path:
        """The waveform around a difference, or of the first clocks, by Icarus: a VCD file in ``place``. Raises ToolError."""
        ...
