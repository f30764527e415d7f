"""The pipelined core: the parts in a row, with registers between them.

One inference a clock. The latency in clocks is the number of registers on the way, known before anything is built.
Registers hold while ``enable`` is low, so a shell can stall the whole core. None of them is reset: a shell that
needs to know which results are real carries valid bits beside the core.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Instance, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from dwn_hw.errors import OptionError, Problem
from dwn_hw.ir import Network
from dwn_hw.rtl.parts import make_part, width


@dataclass(frozen=True, slots=True)
class Pipeline:
    """``after[i]``: whether a register follows node ``i``."""

    after: tuple[bool, ...]

    @property
    def latency(self) -> int:
        """Clocks from a code accepted to its result."""
        return sum(self.after)


def plan_pipeline(network: Network, depths: tuple[int, ...], latency: int | None = None) -> Pipeline:
    """Where the registers go: after every node, or, for ``latency`` of them, where the deepest stretch is shortest.

    ``depths``: levels of logic of each node. Raises OptionError for a latency that the network has no room for.
    """
    nodes = len(network.nodes)
    if latency is None:
        return Pipeline((True,) * nodes)
    if not 0 <= latency <= nodes:
        rule = f"0 (combinational) to {nodes}, a register after each of {', '.join(network.names())}"
        raise OptionError(Problem("--latency", rule, f"{latency}", "Choose a latency in that range."))
    return Pipeline(_best_cuts(depths, latency))


def _best_cuts(depths: tuple[int, ...], registers: int) -> tuple[bool, ...]:
    """The placement with the least depth between registers; of equal ones, the latest registers.

    The last register always follows the last node, so that outputs come from flip-flops.
    """
    if registers == 0:
        return (False,) * len(depths)
    for limit in sorted({sum(depths[i:j]) for i in range(len(depths)) for j in range(i + 1, len(depths) + 1)}):
        cuts, run = [False] * len(depths), 0
        for i in reversed(range(len(depths))):
            run += depths[i]
            if run > limit or i == len(depths) - 1:
                cuts[i], run = True, depths[i]
        if sum(cuts) <= registers and max(depths) <= limit:
            spare = [i for i in reversed(range(len(depths))) if not cuts[i]][: registers - sum(cuts)]
            return tuple(cut or i in spare for i, cut in enumerate(cuts))
    raise AssertionError("the sum of all depths is a limit that one register meets")


class Core(wiring.Component):  # type: ignore[misc]  # amaranth ships no types
    """``x``: packed codes in; ``y``: the output edge; ``scores``: the edge before the last node, aligned with ``y``.

    Latency: ``pipeline.latency`` clocks with ``enable`` high; interval: one clock. With ``instances`` the parts are named
    Verilog modules (``dwn_encoder``…) that are emitted beside it, with whole vectors as ports; without, submodules.
    """

    def __init__(
        self, network: Network, pipeline: Pipeline, with_scores: bool = False, instances: bool = False
    ) -> None:
        self.network, self.pipeline = network, pipeline
        self.with_scores, self.instances = with_scores, instances
        edges = network.edges()
        ports: dict[str, Any] = {"x": In(width(edges[0])), "y": Out(width(edges[-1]))}
        if pipeline.latency:
            ports["enable"] = In(1)
        if with_scores:
            ports["scores"] = Out(width(edges[-2]))
        super().__init__(ports)

    def outputs(self) -> tuple[str, ...]:
        """Names of its outputs, from the lowest bits of a packed result up."""
        return ("y", "scores") if self.with_scores else ("y",)

    def elaborate(self, platform: object) -> Module:
        """Parts and registers."""
        m = Module()
        value: Any = self.x
        edges = self.network.edges()
        for i, (name, register) in enumerate(zip(self.network.names(), self.pipeline.after, strict=True)):
            if self.with_scores and i == len(self.network.nodes) - 1:
                m.d.comb += self.scores.eq(self._stage(m, "scores_q", value, register))
            y = Signal(width(edges[i + 1]), name=f"{name}_y")
            self._place(m, i, value, y)
            value = self._stage(m, f"{name}_q", y, register)
        m.d.comb += self.y.eq(value)
        return m

    def _place(self, m: Module, i: int, x: Any, y: Any) -> None:
        name = self.network.names()[i]
        if self.instances:
            m.submodules[name] = Instance(f"dwn_{name}", i_x=x, o_y=y)
            return
        edges = self.network.edges()
        m.submodules[name] = part = make_part(self.network.nodes[i], name, edges[i], edges[i + 1])
        m.d.comb += [part.x.eq(x), y.eq(part.y)]

    def _stage(self, m: Module, name: str, value: Any, register: bool) -> Any:
        if not register:
            return value
        held = Signal(len(value), name=name, reset_less=True)
        with m.If(self.enable):
            m.d.sync += held.eq(value)
        return held
