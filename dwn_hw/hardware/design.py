"""What is to be built of a network, decided once, then read by everything that follows: Verilog, cost, interface, checks.

:class:`Design` is what every kind of hardware says of itself. :class:`ParallelDesign` is the one that computes all at once:
its parts in LUTs, where the registers go, the shell and the target. :mod:`dwn_hw.hardware.folded` has another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from dwn_hw.errors import OptionError, Problem
from dwn_hw.hardware import feature_schedule, naming, register_levels
from dwn_hw.hardware.families import FAMILIES
from dwn_hw.hardware.feature_schedule import Schedule
from dwn_hw.hardware.lowering import lower_network
from dwn_hw.hardware.pipelining import Placer, Registers
from dwn_hw.hardware.register_levels import Logic
from dwn_hw.ir import Format, Network

#: How codes come in and results go out; :mod:`dwn_hw.rtl.shells.stream` has the rules of the first two, and
#: :mod:`dwn_hw.rtl.shells.wrap` what stands around ``stream`` for the others.
SHELLS = ("stream", "none", "uart", "axis")


class Design(Protocol):
    """What every kind of hardware says of itself. To add a kind: write its class, and teach what reads ``kind`` about it:
    :func:`dwn_hw.exports.reader.read_design`, :func:`dwn_hw.hardware.cost.estimate`, :func:`dwn_hw.rtl.to_verilog`, and
    the verifier.
    """

    kind: ClassVar[str]

    @property
    def network(self) -> Network:
        """What it computes."""

    @property
    def shell(self) -> str:
        """One of :data:`SHELLS`."""

    @property
    def target(self) -> str:
        """One of :data:`dwn_hw.hardware.families.TARGETS`."""

    @property
    def name(self) -> str:
        """What its modules' names begin with (:mod:`dwn_hw.hardware.naming`)."""

    @property
    def with_scores(self) -> bool:
        """Whether the port also gives the edge before the last node, above its output."""

    @property
    def latency(self) -> int:
        """Clocks from a sample's last transfer to its result, when nothing stalls; 0: no registers, and no clock."""

    @property
    def interval(self) -> int:
        """Clocks from a sample's first transfer to the next sample's, at least."""

    @property
    def word(self) -> Format | None:
        """The format of a code where a transfer of the port carries one, the first feature first; None: all, packed."""

    def settings(self) -> dict[str, Any]:
        """What its interface says of it beside all this: from it and the network it can be built again."""

    def modules(self) -> dict[str, tuple[str, ...]]:
        """The parts by name, and the Verilog modules of each, without ``dwn_``, once for each instance."""


def transfers(design: Design) -> int:
    """Transfers of the port that a sample takes."""
    return design.network.input.edge.size if design.word else 1


@dataclass(frozen=True, slots=True)
class Stage:
    """One part: its name, the index of the node whose output it gives, and the registers in and behind it."""

    name: str
    node: int
    registers: Registers

    def sections(self) -> tuple[str, ...]:
        """Names of the pieces between registers: ``popcount_s1``, ``popcount_s2``, then ``popcount``."""
        pieces = range(1, len(self.registers.inside) + 1)
        return (*(f"{self.name}_s{piece}" for piece in pieces), self.name)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The parts in a row."""

    stages: tuple[Stage, ...]

    @property
    def latency(self) -> int:
        """Clocks from a code accepted to its result."""
        return sum(stage.registers.count for stage in self.stages)

    def before(self, index: int) -> int:
        """Clocks from a code accepted to the output of part ``index``, before the register that may follow it."""
        return sum(stage.registers.count for stage in self.stages[:index]) + len(self.stages[index].registers.inside)


@dataclass(frozen=True, slots=True)
class Section:
    """What stands between two places of registers: combinational, and whether a register follows."""

    name: str
    part: str
    netlist: Logic
    register: bool


@dataclass(frozen=True, slots=True)
class ParallelDesign:
    """``netlists[i]`` is part ``i``, in LUTs or in words; with ``with_scores`` the port also gives the edge before the last node.

    ``share``: whether thermometer comparisons share logic. ``encoder``: one of
    :data:`dwn_hw.hardware.feature_schedule.ENCODERS`; the netlist of a streamed one is that of its comparators, and the
    register after it is its own: the shift registers that capture. ``name``: what its modules' names begin with.
    """

    kind: ClassVar[str] = "parallel"

    network: Network
    netlists: tuple[Logic, ...]
    pipeline: Pipeline
    shell: str = "stream"
    with_scores: bool = False
    target: str = "generic"
    share: bool = True
    encoder: str = "parallel"
    name: str = naming.DEFAULT

    @property
    def stream(self) -> Schedule | None:
        """How a streamed encoder takes the features in turn."""
        return _schedule(self.network) if self.encoder == "streamed" else None

    @property
    def latency(self) -> int:
        """As the pipeline's."""
        return self.pipeline.latency

    @property
    def word(self) -> Format | None:
        """A streamed encoder takes a code at a time."""
        return self.stream.word if self.stream else None

    @property
    def interval(self) -> int:
        """A transfer a clock."""
        return transfers(self)

    def settings(self) -> dict[str, Any]:
        """How codes come in, and where the registers are."""
        names = self.network.names()
        parts = [
            {
                "name": stage.name,
                "node": names[stage.node],
                "registers_inside": list(stage.registers.inside),
                "register_after": stage.registers.after,
            }
            for stage in self.pipeline.stages
        ]
        return {"encoder": self.encoder, "shared_encoder": self.share, "parts": parts}

    def modules(self) -> dict[str, tuple[str, ...]]:
        """Those between registers; but a streamed encoder is one, which holds the others."""
        return {
            stage.name: (stage.name,) if self.stream and stage.node == 0 else stage.sections()
            for stage in self.pipeline.stages
        }

    def sections(self) -> tuple[Section, ...]:
        """The parts, cut where registers stand inside them. Of a streamed encoder the comparators, if it needs any."""
        compared = self.pipeline.stages[0].name if self.stream else None
        return tuple(
            Section(
                f"{name}_compare" if name == compared else name,
                stage.name,
                piece,
                name != stage.name or stage.registers.after,
            )
            for stage, netlist in zip(self.pipeline.stages, self.netlists, strict=True)
            for name, piece in zip(
                stage.sections(), register_levels.split(netlist, stage.registers.inside), strict=True
            )
            if stage.name != compared or netlist.outputs
        )


def make_design(
    network: Network,
    *,
    latency: int | None = None,
    clock_mhz: float | None = None,
    shell: str = "stream",
    with_scores: bool = False,
    target: str = "generic",
    share: bool = True,
    encoder: str = "parallel",
    name: str = naming.DEFAULT,
) -> ParallelDesign:
    """Lower ``network`` and place its registers. Raises OptionError for what this network cannot have.

    Whether the options go together at all is :mod:`dwn_hw.exports.options`'s.

    ``latency``: clocks; ``clock_mhz``: as few clocks as meet it by the delay model; neither: a register after each part.
    ``share`` off keeps one comparator a threshold. ``encoder``: ``streamed`` takes one feature a clock.
    """
    if encoder == "streamed" and network.encoder is None:
        rule = "streamed only for a network that begins with a thermometer"
        remedy = "Use the parallel encoder."
        raise OptionError(Problem("--encoder", rule, type(network.nodes[0]).__name__, remedy))
    netlists = lower_network(network, FAMILIES[target], share, encoder)
    registers = _place(_placer(netlists, target, encoder), target, latency, clock_mhz)
    names = network.names()
    pipeline = Pipeline(tuple(Stage(names[i], i, own) for i, own in enumerate(registers)))
    return ParallelDesign(network, netlists, pipeline, shell, with_scores, target, share, encoder, name)


def _schedule(network: Network) -> Schedule | None:
    return feature_schedule.schedule(network.encoder, network.input.edge) if network.encoder else None


def clock_estimate(design: ParallelDesign) -> float:
    """MHz that the longest path allows, by the delay model of the target's family."""
    placer = _placer(design.netlists, design.target, design.encoder)
    return 1000 / placer.period([stage.registers for stage in design.pipeline.stages])


def _placer(netlists: tuple[Logic, ...], target: str, encoder: str) -> Placer:
    return Placer(netlists, FAMILIES[target], captured=encoder == "streamed")


def _place(placer: Placer, target: str, latency: int | None, clock_mhz: float | None) -> tuple[Registers, ...]:
    if clock_mhz is not None:
        placed = placer.meeting(1000 / clock_mhz)
        if placed is None:
            most = 1000 / placer.shortest_period()
            rule = f"at most {most:.0f} MHz for {target}, with a register after every LUT ({len(placer.places)} clocks)"
            raise OptionError(Problem("--clock-mhz", rule, f"{clock_mhz:g}", "Ask for a slower clock."))
        return placed
    if latency is None:
        return placer.after_each_part()
    if not placer.least <= latency <= len(placer.places):
        least = f"{placer.least} ({'with the flip-flops that capture' if placer.least else 'combinational'})"
        rule = f"{least} to {len(placer.places)}, a register after every level of LUTs"
        raise OptionError(Problem("--latency", rule, f"{latency}", "Choose a latency in that range."))
    return placer.best(latency)
