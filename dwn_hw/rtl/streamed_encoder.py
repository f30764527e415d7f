"""Builds the streamed encoder: a counter of features, the comparators, and shift registers that hold the result.

:mod:`dwn_hw.hardware.streamed_encoder_plan` says what each of them does.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, MemoryData, MemoryInstance, Module, Mux, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from dwn_hw.hardware.design import ParallelDesign
from dwn_hw.hardware.naming import number_label
from dwn_hw.hardware.streamed_encoder_plan import FeatureSchedule
from dwn_hw.rtl.parts import place, register


class StreamedEncoder(wiring.Component):  # type: ignore[misc]  # amaranth ships no types
    """``x``: one feature's code a clock, feature 0 first; ``y``: the thermometer bits, whole when the last word has arrived.

    A word is taken in a clock in which ``enable`` and ``valid`` are high; ``last`` says that it is, or would be, the last one
    of its sample. ``sync``'s reset begins a new sample. Nothing moves while ``enable`` is low. Latency: the registers in the
    comparators, and one clock. With ``instances`` the comparators are Verilog modules.
    """

    def __init__(self, design: ParallelDesign, instances: bool = False) -> None:
        if design.stream is None:
            raise TypeError("not a design with a streamed encoder")
        self.design, self.instances, self.plan = design, instances, design.stream
        ports = {"enable": In(1), "valid": In(1), "x": In(self.plan.word.bits)}
        super().__init__({**ports, "last": Out(1), "y": Out(len(self.plan.places))})

    def elaborate(self, platform: object) -> Module:
        """Build the encoder: each comparator's result moves into its shift register when its feature was there."""
        m = Module()
        plan, name = self.plan, self.design.pipeline.stages[0].name
        sections = [section for section in self.design.sections() if section.part == name]
        # Without registers on the way the word is taken where it is compared: one LUT for both conditions.
        together = len(sections) < 2
        taken = Signal()
        m.d.comb += taken.eq(self.enable & self.valid)
        value: Any = Cat(_key(m, plan, self, taken), self.x, taken if together else self.valid)
        for section in sections:
            y = Signal(len(section.netlist.outputs), name=f"{section.name}_y")
            place(m, section, self.design.target, self.instances, value, y)
            value = y if section is sections[-1] else register(m, f"{section.name}_q", y, self.enable)
        held = []
        for c, chain in enumerate(plan.chains):
            moves = value[len(plan.chains) + plan.shift_of(c)]
            bits = Signal(len(chain), name=f"rank{c}_q", reset_less=True)
            if not together:
                compared, moves = moves, Signal(name=f"rank{c}_moves")
                m.d.comb += moves.eq(compared & self.enable)
            with m.If(moves):
                m.d.sync += bits.eq(Cat(bits[1:], value[c]))
            held.append(bits)
        outputs = [Const(at, 1) if isinstance(at, bool) else held[at[0]][at[1]] for at in plan.places]
        m.d.comb += self.y.eq(Cat(*outputs))
        return m


def _key(m: Module, plan: FeatureSchedule, ports: Any, taken: Any) -> Any:
    """The value that tells the comparators which feature is there; drives ``last``."""
    index = Signal(plan.index_bits, reset_less=plan.in_memory)
    above = Signal(plan.index_bits)  # without a name of ours it would get one of yosys'
    following = Signal(plan.index_bits)
    m.d.comb += above.eq(index + 1)
    if not plan.in_memory:
        m.d.comb += [ports.last.eq(index == plan.features - 1), following.eq(Mux(ports.last, 0, above))]
        with m.If(taken):
            m.d.sync += index.eq(following)
        return index
    # The row of the next feature is read in the clock in which a word is taken, and that of the first one in reset.
    row, first, moves = (Signal(bits, name=name) for name, bits in (("row", plan.row_bits), ("first", 1), ("moves", 1)))
    m.d.comb += [first.eq(ResetSignal() | ports.last), moves.eq(taken | ResetSignal())]
    m.d.comb += [following.eq(Mux(first, 0, above)), ports.last.eq(row[-1])]
    with m.If(moves):
        m.d.sync += index.eq(following)
    content = MemoryData(shape=plan.row_bits, depth=plan.features, init=plan.rows)
    # Not lib.memory.Memory, whose ports have names of its own.
    m.submodules.thresholds = memory = MemoryInstance(data=content)
    memory.read_port(domain="sync", addr=following, data=row, en=moves, transparent_for=())
    return row[:-1]


def describe(plan: FeatureSchedule) -> str:
    """The text for people of what each shift register holds after the last word."""
    digits = max(2, len(str(plan.features - 1)))
    lines = [
        "One feature a clock, feature 0 first. rank0_q, rank1_q: shift registers, one for each rank of threshold; they move",
        "when a feature that has such a threshold is taken. After the last one they hold, from bit 0 up:",
    ]
    for c, chain in enumerate(plan.chains):
        names = " ".join(f"f{feature:0{digits}}_ge_{number_label(t)}" for feature, t in chain)
        lines.append(f"rank{c}_q: {names}")
    return "\n".join(lines)
