"""Builds the pipelined core: the parts in a row, with registers between them.

The core makes one inference a clock. Its latency in clocks is the number of registers on the way, known beforehand.
Registers hold while ``enable`` is low, so a shell can stall the whole core. None of them is reset: a shell that
needs to know which results are real carries valid bits beside the core.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import ClockSignal, Instance, Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from dwn_hw.hardware.design import ParallelDesign
from dwn_hw.rtl.hdl import Hdl
from dwn_hw.rtl.parts import place, register
from dwn_hw.rtl.streamed_encoder import StreamedEncoder


class Core(wiring.Component):  # type: ignore[misc]  # amaranth ships no types
    """The core. ``x``: packed codes in; ``y``: the output edge; ``scores``: the edge before the last node, aligned with ``y``.

    Latency: ``pipeline.latency`` clocks with ``enable`` high; interval: one clock. With a streamed encoder ``x`` is one feature's
    code, taken while ``valid`` is high; ``last`` marks the last one of a sample, from which the latency counts; the interval is
    as many clocks as there are features. With ``instances`` the parts are named
    Verilog modules (``dwn_encoder``…) that are emitted beside it, with whole vectors as ports; without, submodules.
    """

    def __init__(self, design: ParallelDesign, instances: bool = False) -> None:
        self.design, self.instances = design, instances
        self.pipeline, self.with_scores = design.pipeline, design.with_scores
        network = design.network
        ports: dict[str, Hdl] = {"x": In(network.input.edge.bits), "y": Out(network.output.bits)}
        if design.stream:
            ports |= {"x": In(design.stream.word.bits), "valid": In(1), "last": Out(1)}
        if design.pipeline.latency:
            ports["enable"] = In(1)
        if design.with_scores:
            ports["scores"] = Out(network.scores_edge.bits)
        super().__init__(ports)

    def outputs(self) -> tuple[str, ...]:
        """The names of the core's outputs, from the lowest bits of a packed result up."""
        return ("y", "scores") if self.with_scores else ("y",)

    def elaborate(self, platform: object) -> Module:
        """Build the parts and the registers."""
        m = Module()
        first, last = self.pipeline.stages[0], self.pipeline.stages[-1]
        value: Any = self._encoded(m, first.name) if self.design.stream else self.x
        scores = None
        for section in self.design.sections():
            if self.design.stream and section.part == first.name:
                continue
            if self.with_scores and scores is None and section.part == last.name:
                scores = value
                for clock in range(last.registers.count):
                    scores = register(m, f"scores_q{clock + 1}", scores, self.enable)
                m.d.comb += self.scores.eq(scores)
            y = Signal(section.netlist.output_bits, name=f"{section.name}_y")
            place(m, section, self.design.target, self.instances, value, y)
            value = register(m, f"{section.name}_q", y, self.enable) if section.register else y
        m.d.comb += self.y.eq(value)
        return m

    def _encoded(self, m: Module, name: str) -> Any:
        """Add the streamed encoder. Returns its thermometer bits."""
        y = Signal(self.design.network.edges()[1].bits, name=f"{name}_y")
        if self.instances:
            m.submodules[name] = Instance(
                f"dwn_{name}",
                *(("i", "clk", ClockSignal()), ("i", "rst", ResetSignal())),
                *(("i", port, getattr(self, port)) for port in ("enable", "valid", "x")),
                *(("o", "last", self.last), ("o", "y", y)),
            )
        else:
            m.submodules[name] = encoder = StreamedEncoder(self.design)
            m.d.comb += [getattr(encoder, port).eq(getattr(self, port)) for port in ("enable", "valid", "x")]
            m.d.comb += [self.last.eq(encoder.last), y.eq(encoder.y)]
        return y
