"""The folded engine as a design: what its interface, its Verilog, its cost and its checks read."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

from dwn_hw import ir
from dwn_hw.errors import OptionError
from dwn_hw.hardware import naming, shell_facts
from dwn_hw.hardware.design import ParallelDesign, Pipeline, make_design
from dwn_hw.hardware.folded.engine_schedule import EngineSchedule, schedule
from dwn_hw.hardware.folded.levels_before_thermometer import levels_before_thermometer
from dwn_hw.hardware.folded.narrow_before_pooling import narrow_before_pooling
from dwn_hw.hardware.interface import FoldedSettings, FoldedStep, output_edges

#: MHz that what stands behind the lanes is built for, by the delay model, where it can be: registers there cost a clock a sample.
TAIL_MHZ = 150.0


@dataclass(frozen=True, slots=True)
class FoldedDesign:
    """A network folded onto ``lanes`` lanes. It takes one code in each transfer, and gives the packed result once a sample.

    ``name``: what the names of its modules begin with. ``tail``: the look-up tables that stand parallel behind the lanes, and all
    that follows them; the schedule is that of the nodes before.
    """

    kind: ClassVar[str] = FoldedSettings.kind

    network: ir.Network
    lanes: int
    with_scores: bool
    schedule: EngineSchedule = field(repr=False, compare=False)
    name: str = naming.DEFAULT
    tail: ParallelDesign | None = field(default=None, repr=False, compare=False)

    @property
    def shell(self) -> str:
        """The shell's name. A sample takes many clocks, so the shell has valid and ready."""
        return shell_facts.DEFAULT

    @property
    def target(self) -> str:
        """The target's name: plain Verilog for every family, in which the tools find the block RAMs."""
        return "generic"

    @property
    def latency(self) -> int:
        """Clocks from a sample's last transfer to its result, as scheduled."""
        return self.schedule.latency

    @property
    def word(self) -> ir.Format:
        """The format of the code that a transfer carries: it holds every feature's codes."""
        return self.schedule.values(0)

    @property
    def transfers(self) -> int:
        """Transfers of the port that a sample takes: one a feature."""
        return self.network.input.edge.size

    @property
    def interval(self) -> int:
        """Clocks from a sample's first transfer to the next sample's, which is taken when the result has been."""
        return self.transfers + self.latency

    def settings(self) -> FoldedSettings:
        """The lanes, and how long each step takes on them: with the network it can be built again of them."""
        names = self.network.names()
        steps = tuple(
            FoldedStep(step.name, names[step.edge - 1] if step.edge else "input", self.schedule.clocks(step))
            for step in self.schedule.steps
        )
        if self.tail:
            first = len(names) - len(self.tail.network.nodes)
            steps += (FoldedStep(names[first], names[-1], self.tail.latency),)
        return FoldedSettings(self.lanes, steps)

    def lowered(self, target: str | None = None) -> FoldedDesign:
        """Itself, for every target: it is plain Verilog, and nothing in it is a netlist."""
        return self

    def modules(self) -> dict[str, tuple[str, ...]]:
        """The parts by name, and the Verilog modules of each, without ``dwn_``, once for each instance: one a lane.

        Where no step has weights there is no lane.
        """
        single = ["sequencer", "reader", "writer", "result"]
        lanes = {"lanes": ("lane",) * self.lanes} if self.schedule.weights.rows else {}
        own = lanes | {name: (name,) for name in (*single, *self.schedule.memories)}
        return own | (self.tail.modules() if self.tail else {})


def make_folded(
    network: ir.Network,
    *,
    lanes: int,
    with_scores: bool = False,
    name: str = naming.DEFAULT,
) -> FoldedDesign:
    """Fold ``network`` onto ``lanes`` lanes. Raises OptionError for what this network cannot have."""
    output_edges(network, with_scores)  # or it is refused
    network = levels_before_thermometer(narrow_before_pooling(network))
    luts = (i for i, node in enumerate(network.nodes) if isinstance(node, ir.Thermometer | ir.LutLayer | ir.GroupSum))
    # A network that begins with them has nothing to fold, and is refused.
    if not (first := next(luts, 0)):
        return FoldedDesign(network, lanes, with_scores, schedule(network, lanes), name)
    plan = schedule(network.upto(first), lanes)
    tail = _tail(network, first, plan.result, with_scores)
    return FoldedDesign(network, lanes, with_scores, replace(plan, behind=tail.latency), name, tail)


def _tail(network: ir.Network, first: int, fmt: ir.Format, with_scores: bool) -> ParallelDesign:
    """The nodes from ``first`` on, as parallel hardware that reads numbers of ``fmt``."""
    behind = ir.Network(ir.Input(network.edges()[first].shape, (fmt,)), network.nodes[first:])
    try:
        made = make_design(behind, clock_mhz=TAIL_MHZ, shell="none", with_scores=with_scores)
    except OptionError:  # a single level takes longer: carry chains of words, wires to many readers
        made = make_design(behind, shell="none", with_scores=with_scores)
    stages = tuple(replace(stage, name=f"tail_{stage.name}") for stage in made.pipeline.stages)
    return replace(made, pipeline=Pipeline(stages))
