"""What is to be built of a network: its parts in LUTs, where the registers go, the shell and the target.

Decided once, then read by everything that follows: Verilog, cost, interface.
"""

from __future__ import annotations

from dataclasses import dataclass

from dwn_hw import cuts, streaming
from dwn_hw.errors import OptionError, Problem
from dwn_hw.families import FAMILIES
from dwn_hw.ir import Network, Thermometer
from dwn_hw.lowering import lower_network
from dwn_hw.mapped import Netlist
from dwn_hw.pipeline import Placer, Registers
from dwn_hw.streaming import ENCODERS, Schedule

#: How codes come in and results go out; :mod:`dwn_hw.rtl.shell` has their rules.
SHELLS = ("stream", "none")

#: ``generic``: portable Verilog for every tool. The others: LUT cells of a family, which synthesis keeps as they are.
TARGETS = tuple(FAMILIES)


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
    netlist: Netlist
    register: bool


@dataclass(frozen=True, slots=True)
class Design:
    """``netlists[i]`` is part ``i`` in LUTs; with ``with_scores`` the port also gives the edge before the last node.

    ``share``: whether thermometer comparisons share logic. ``encoder``: one of :data:`dwn_hw.streaming.ENCODERS`; the netlist of
    a streamed one is that of its comparators, and the register after it is its own: the shift registers that capture.
    """

    network: Network
    netlists: tuple[Netlist, ...]
    pipeline: Pipeline
    shell: str = "stream"
    with_scores: bool = False
    target: str = "generic"
    share: bool = True
    encoder: str = "parallel"

    @property
    def stream(self) -> Schedule | None:
        """How a streamed encoder takes the features in turn."""
        return _schedule(self.network) if self.encoder == "streamed" else None

    @property
    def interval(self) -> int:
        """Clocks, or words of the port, that a sample takes."""
        return self.stream.features if self.stream else 1

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
            for name, piece in zip(stage.sections(), cuts.split(netlist, stage.registers.inside), strict=True)
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
) -> Design:
    """Lower ``network`` and place its registers. Raises OptionError with everything that cannot be had.

    ``latency``: clocks; ``clock_mhz``: as few clocks as meet it by the delay model; neither: a register after each part.
    ``share`` off keeps one comparator a threshold. ``encoder``: ``streamed`` takes one feature a clock.
    """
    asked_for = (("--shell", shell, SHELLS), ("--target", target, TARGETS), ("--encoder", encoder, ENCODERS))
    problems = [
        Problem(option, f"one of {', '.join(known)}", repr(asked), "Choose one of them.")
        for option, asked, known in asked_for
        if asked not in known
    ]
    if encoder == "streamed":
        problems += _streaming_problems(network, shell)
    if latency is not None and clock_mhz is not None:
        problems.append(Problem("--latency", "not with --clock-mhz", "both", "Leave one of them out."))
    if clock_mhz is not None and not clock_mhz > 0:
        problems.append(Problem("--clock-mhz", "a number above 0", f"{clock_mhz:g}", "State a clock in MHz."))
    if problems:
        raise OptionError(*problems)
    netlists = lower_network(network, FAMILIES[target], share, encoder)
    registers = _place(_placer(netlists, target, encoder), target, latency, clock_mhz)
    names = network.names()
    pipeline = Pipeline(tuple(Stage(names[i], i, own) for i, own in enumerate(registers)))
    return Design(network, netlists, pipeline, shell, with_scores, target, share, encoder)


def _streaming_problems(network: Network, shell: str) -> list[Problem]:
    problems = []
    if shell == "none":
        rule = "with --encoder streamed only stream, whose reset says where a sample begins"
        problems.append(Problem("--shell", rule, "none", "Leave one of them out."))
    if not isinstance(network.nodes[0], Thermometer):
        rule = "streamed only for a network that begins with a thermometer"
        problems.append(Problem("--encoder", rule, type(network.nodes[0]).__name__, "Use the parallel encoder."))
    return problems


def _schedule(network: Network) -> Schedule | None:
    first = network.nodes[0]
    return streaming.schedule(first, network.input.edge) if isinstance(first, Thermometer) else None


def clock_estimate(design: Design) -> float:
    """MHz that the longest path allows, by the delay model of the target's family."""
    placer = _placer(design.netlists, design.target, design.encoder)
    return 1000 / placer.period([stage.registers for stage in design.pipeline.stages])


def _placer(netlists: tuple[Netlist, ...], target: str, encoder: str) -> Placer:
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
