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
    """``lanes`` sums at a time; a code a transfer, the packed result once a sample.

    ``name``: what its modules' names begin with.
    """

    kind: ClassVar[str] = "folded"

    network: ir.Network
    lanes: int
    with_scores: bool
    schedule: Schedule = field(repr=False, compare=False)
    name: str = naming.DEFAULT

    @property
    def shell(self) -> str:
        """Valid and ready: a sample takes many clocks."""
        return "stream"

    @property
    def target(self) -> str:
        """Plain Verilog for every family: the tools find the block RAMs."""
        return "generic"

    @property
    def latency(self) -> int:
        """As scheduled."""
        return self.schedule.latency

    @property
    def interval(self) -> int:
        """The next sample is taken when the result has been."""
        return transfers(self) + self.latency

    @property
    def word(self) -> ir.Format:
        """What holds every feature's codes."""
        return self.schedule.values(0)

    def settings(self) -> dict[str, Any]:
        """The lanes, and how long each step takes on them."""
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
        """What a folded engine is made of; a module a lane."""
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
    """Fold ``network`` onto so many lanes. Raises OptionError for what this network cannot have."""
    if with_scores and not network.classifies:
        rule = "only where the network ends in an argmax; else the scores are its result"
        raise OptionError(Problem("--scores", rule, type(network.nodes[-1]).__name__, "Leave it out."))
    network = narrow_before_pooling(network)
    return FoldedDesign(network, lanes, with_scores, schedule(network, lanes), name)
