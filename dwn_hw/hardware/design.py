"""What is to be built of a network, decided once, then read by everything that follows: Verilog, cost, interface, checks.

:class:`ParallelDesign` is the hardware that computes all at once: its parts in LUTs, where the registers go, the shell and the
target. :mod:`dwn_hw.hardware.folded` has another, and :mod:`dwn_hw.hardware.kinds` says what they have in common.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

from dwn_hw._progress import Progress, silent
from dwn_hw.errors import OptionError, Problem
from dwn_hw.hardware import (
    cell_cost,
    encoders,
    naming,
    shell_facts,
    sorting_networks,
    split_netlist,
    streamed_encoder_plan,
)
from dwn_hw.hardware.families import FAMILIES
from dwn_hw.hardware.interface import ParallelSettings, Part, output_edges
from dwn_hw.hardware.levels_as_words import levels_as_words
from dwn_hw.hardware.lowering import lower_network
from dwn_hw.hardware.register_placement import Placer, Registers
from dwn_hw.hardware.split_netlist import Logic
from dwn_hw.hardware.streamed_encoder_plan import FeatureSchedule
from dwn_hw.ir import Format, Network, Sort

#: The most bits of a port, with which its handshake fits into Amaranth's 65,536 for all inputs together.
WIDEST = 65_000


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

    One that is not lowered has no netlists: enough for its interface; :meth:`lowered` gives it some. ``share``: whether
    thermometer comparisons share logic. ``encoder``: one of :data:`dwn_hw.hardware.encoders.ENCODERS`; the netlist of a
    streamed one is that of its comparators, and the register after it is its own: the shift registers that capture.
    ``name``: what its modules' names begin with. ``sorters``: what its sorting networks are chosen by.
    """

    kind: ClassVar[str] = ParallelSettings.kind

    network: Network
    netlists: tuple[Logic, ...]
    pipeline: Pipeline
    shell: str = shell_facts.DEFAULT
    with_scores: bool = False
    target: str = "generic"
    share: bool = True
    encoder: str = encoders.DEFAULT
    name: str = naming.DEFAULT
    sorters: str = sorting_networks.SIZE

    @property
    def stream(self) -> FeatureSchedule | None:
        """How a streamed encoder takes the features in turn."""
        return _schedule(self.network) if self.encoder == encoders.STREAMED else None

    @property
    def latency(self) -> int:
        """Clocks from a sample's last transfer to its result, as the pipeline's; 0: no registers, and no clock."""
        return self.pipeline.latency

    @property
    def word(self) -> Format | None:
        """The format of a code where a transfer carries one, which a streamed encoder takes; None: all at once, packed."""
        return self.stream.word if self.stream else None

    @property
    def transfers(self) -> int:
        """Transfers of the port that a sample takes."""
        return self.network.input.edge.size if self.word else 1

    @property
    def interval(self) -> int:
        """Clocks from a sample's first transfer to the next sample's, at least: a transfer a clock."""
        return self.transfers

    def settings(self) -> ParallelSettings:
        """How codes come in, and where the registers are: with the network it can be built again of them."""
        names = self.network.names()
        parts = tuple(
            Part(stage.name, names[stage.node], stage.registers.inside, stage.registers.after)
            for stage in self.pipeline.stages
        )
        sorters = None if self.sorters == sorting_networks.SIZE else self.sorters
        return ParallelSettings(self.encoder, self.share, parts, sorters)

    def lowered(self, target: str | None = None) -> ParallelDesign:
        """The same with netlists in the LUTs of a target, which is then its own; None: of the one that it has."""
        target = target or self.target
        netlists = lower_network(self.network, FAMILIES[target], self.share, self.encoder, sorters=self.sorters)
        return replace(self, netlists=netlists, target=target)

    def modules(self) -> dict[str, tuple[str, ...]]:
        """The parts by name, and the Verilog modules of each, without ``dwn_``, once for each instance.

        A part is several modules where registers stand inside it; but a streamed encoder is one, which holds the others.
        """
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
            for name, piece in zip(stage.sections(), split_netlist.split(netlist, stage.registers.inside), strict=True)
            if stage.name != compared or netlist.outputs
        )


def make_design(
    network: Network,
    *,
    latency: int | None = None,
    clock_mhz: float | None = None,
    shell: str = shell_facts.DEFAULT,
    with_scores: bool = False,
    target: str = "generic",
    share: bool = True,
    encoder: str = encoders.DEFAULT,
    name: str = naming.DEFAULT,
    progress: Progress = silent,
    quick: bool = False,
) -> ParallelDesign:
    """Lower ``network`` and place its registers. Raises OptionError for what this network cannot have.

    Whether the options go together at all is :mod:`dwn_hw.exports.options`'s.

    ``latency``: clocks; ``clock_mhz``: as few clocks as meet it by the delay model; neither: a register after each part.
    With either, sorting networks of the least depth stand beside the smallest, and the better design is taken.
    ``share`` off keeps one comparator a threshold, and levels that are sorted in their code. ``encoder``: ``streamed`` takes one
    feature a clock.
    ``quick``: for an estimate alone, in somewhat more LUTs than are needed.
    """
    output_edges(network, with_scores)  # or it is refused
    if encoder == encoders.STREAMED and network.encoder is None:
        rule = "streamed only for a network that begins with a thermometer"
        remedy = "Use the parallel encoder."
        raise OptionError(Problem("--encoder", rule, type(network.nodes[0]).__name__, remedy))
    _check_widths(network, encoder)

    network = levels_as_words(network, FAMILIES[target]) if share else network

    def lowered(sorters: str) -> ParallelDesign:
        netlists = lower_network(network, FAMILIES[target], share, encoder, progress, quick=quick, sorters=sorters)
        registers = _place(_placer(netlists, target, encoder), target, latency, clock_mhz)
        names = network.names()
        pipeline = Pipeline(tuple(Stage(names[i], i, own) for i, own in enumerate(registers)))
        return ParallelDesign(network, netlists, pipeline, shell, with_scores, target, share, encoder, name, sorters)

    if (latency is None and clock_mhz is None) or not any(isinstance(node, Sort) for node in network.nodes):
        return lowered(sorting_networks.SIZE)
    designs = _possible(lowered)
    if latency is not None:
        return min(designs, key=lambda design: (-clock_estimate(design), _luts(design)))
    return min(designs, key=lambda design: (design.latency, _luts(design)))


def _possible(lowered: Callable[[str], ParallelDesign]) -> list[ParallelDesign]:
    """The designs by each criterion for sorting networks, of those that can be what is asked. Raises OptionError."""
    found, refused = list[ParallelDesign](), list[OptionError]()
    for sorters in sorting_networks.CRITERIA:
        try:
            found.append(lowered(sorters))
        except OptionError as error:
            refused.append(error)
    if not found:
        raise refused[-1]
    return found


def _luts(design: ParallelDesign) -> int:
    return sum(cell_cost.sites(FAMILIES[design.target], netlist) for netlist in design.netlists)


def _check_widths(network: Network, encoder: str) -> None:
    """Refuse a network with an edge that is wider than a register of Amaranth's, before the work and not in the middle of it."""
    problems = []
    edges = [("x", network.input.edge), *((step.name, step.after) for step in network.steps())]
    for place, (name, edge) in enumerate(edges):
        if edge.bits > WIDEST and not (place == 0 and encoder == encoders.STREAMED):
            remedy = "Make the layer narrower."
            if place == 0:
                remedy = "Take features one at a time with --encoder streamed, or a narrower port (--input-format, --calibrate)."
            problems.append(Problem(name, f"at most {WIDEST:,} bits in parallel hardware", f"{edge.bits:,}", remedy))
    if problems:
        raise OptionError(*problems)


def _schedule(network: Network) -> FeatureSchedule | None:
    return streamed_encoder_plan.schedule(network.encoder, network.input.edge) if network.encoder else None


def clock_estimate(design: ParallelDesign) -> float:
    """MHz that the longest path allows, by the delay model of the target's family."""
    return 1000 / max(delay for _, delay in delay_estimates(design))


def delay_estimates(design: ParallelDesign) -> list[tuple[str, float]]:
    """The sections between registers, each by the part, and the level in it, where it ends, with its delay in nanoseconds."""
    placer = _placer(design.netlists, design.target, design.encoder)
    stages = design.pipeline.stages
    last = [netlist.depth() for netlist in design.netlists]
    return [
        (stages[part].name if level == last[part] else f"{stages[part].name}, level {level}", delay)
        for part, level, delay in placer.delays([stage.registers for stage in stages])
    ]


def _placer(netlists: tuple[Logic, ...], target: str, encoder: str) -> Placer:
    return Placer(netlists, FAMILIES[target], captured=encoder == encoders.STREAMED)


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
