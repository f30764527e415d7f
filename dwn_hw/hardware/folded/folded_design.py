"""The folded engine as a design: what its interface, its Verilog, its cost and its checks read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from dwn_hw import ir
from dwn_hw.errors import OptionError, Problem
from dwn_hw.hardware import naming
from dwn_hw.hardware.design import transfers
from dwn_hw.hardware.folded.engine_schedule import Schedule, schedule
from dwn_hw.hardware.folded.narrow_before_pooling import narrow_before_pooling


@dataclass(frozen=True, slots=True)
class FoldedDesign:
    """A network folded onto ``lanes`` lanes. It takes one code in each transfer, and gives the packed result once a sample.

    ``name``: what the names of its modules begin with.
    """

    kind: ClassVar[str] = "folded"

    network: ir.Network
    lanes: int
    with_scores: bool
    schedule: Schedule = field(repr=False, compare=False)
    name: str = naming.DEFAULT

    @property
    def shell(self) -> str:
        """The shell's name. A sample takes many clocks, so the shell has valid and ready."""
        return "stream"

    @property
    def target(self) -> str:
        """The target's name: plain Verilog for every family, in which the tools find the block RAMs."""
        return "generic"

    @property
    def latency(self) -> int:
        """The clocks from the last code accepted to the result, as scheduled."""
        return self.schedule.latency

    @property
    def interval(self) -> int:
        """The clocks from one sample to the next, which is taken when the result of the first has been."""
        return transfers(self) + self.latency

    @property
    def word(self) -> ir.Format:
        """The format of a word at the port: it holds every feature's codes."""
        return self.schedule.values(0)

    def settings(self) -> dict[str, Any]:
        """The number of lanes, and for each step its name, what it writes, and its clocks."""
        names = self.network.names()
        steps = [
            {
                "name": step.name,
                "writes": names[step.edge - 1] if step.edge else "input",
                "clocks": self.schedule.clocks(step),
            }
            for step in self.schedule.steps
        ]
        return {"lanes": self.lanes, "steps": steps}

    def modules(self) -> dict[str, tuple[str, ...]]:
        """The modules of each part of the engine; the lanes have one module each."""
        single = ["sequencer", "reader", "writer", "result"]
        memories = ["weights", "biases"] * bool(self.schedule.weights.rows)
        buffers = [f"buffer{i}" for i in range(len(self.schedule.buffers))]
        return {"lanes": ("lane",) * self.lanes, **{name: (name,) for name in (*single, *memories, *buffers)}}


def make_folded(
    network: ir.Network,
    *,
    lanes: int,
    with_scores: bool = False,
    name: str = naming.DEFAULT,
) -> FoldedDesign:
    """Fold ``network`` onto ``lanes`` lanes. Raises OptionError for what this network cannot have."""
    if with_scores and not network.classifies:
        rule = "only where the network ends in an argmax; else the scores are its result"
        raise OptionError(Problem("--scores", rule, type(network.nodes[-1]).__name__, "Leave it out."))
    network = narrow_before_pooling(network)
    return FoldedDesign(network, lanes, with_scores, schedule(network, lanes), name)
