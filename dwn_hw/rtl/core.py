"""The pipelined core: the parts in a row, with registers between them.

One inference a clock. The latency in clocks is the number of registers on the way, known before anything is built.
Registers hold while ``enable`` is low, so a shell can stall the whole core. None of them is reset: a shell that
needs to know which results are real carries valid bits beside the core.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Instance, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from dwn_hw.design import Design
from dwn_hw.mapped import Netlist
from dwn_hw.rtl.parts import Part


class Core(wiring.Component):  # type: ignore[misc]  # amaranth ships no types
    """``x``: packed codes in; ``y``: the output edge; ``scores``: the edge before the last node, aligned with ``y``.

    Latency: ``pipeline.latency`` clocks with ``enable`` high; interval: one clock. With ``instances`` the parts are named
    Verilog modules (``dwn_encoder``…) that are emitted beside it, with whole vectors as ports; without, submodules.
    """

    def __init__(self, design: Design, instances: bool = False) -> None:
        self.design, self.instances = design, instances
        self.pipeline, self.with_scores = design.pipeline, design.with_scores
        edges = design.network.edges()
        ports: dict[str, Any] = {"x": In(edges[0].bits), "y": Out(edges[-1].bits)}
        if design.pipeline.latency:
            ports["enable"] = In(1)
        if design.with_scores:
            ports["scores"] = Out(edges[-2].bits)
        super().__init__(ports)

    def outputs(self) -> tuple[str, ...]:
        """Names of its outputs, from the lowest bits of a packed result up."""
        return ("y", "scores") if self.with_scores else ("y",)

    def elaborate(self, platform: object) -> Module:
        """Parts and registers."""
        m = Module()
        value: Any = self.x
        last = self.pipeline.stages[-1]
        scores = None
        for section in self.design.sections():
            if self.with_scores and scores is None and section.part == last.name:
                scores = value
                for clock in range(last.registers.count):
                    scores = self._stage(m, f"scores_q{clock + 1}", scores)
                m.d.comb += self.scores.eq(scores)
            y = Signal(len(section.netlist.outputs), name=f"{section.name}_y")
            self._place(m, section.name, section.netlist, value, y)
            value = self._stage(m, f"{section.name}_q", y) if section.register else y
        m.d.comb += self.y.eq(value)
        return m

    def _place(self, m: Module, name: str, netlist: Netlist, x: Any, y: Any) -> None:
        if self.instances:
            m.submodules[name] = Instance(f"dwn_{name}", i_x=x, o_y=y)
            return
        m.submodules[name] = part = Part(name, netlist, self.design.target)
        m.d.comb += [part.x.eq(x), y.eq(part.y)]

    def _stage(self, m: Module, name: str, value: Any) -> Any:
        held = Signal(len(value), name=name, reset_less=True)
        with m.If(self.enable):
            m.d.sync += held.eq(value)
        return held
