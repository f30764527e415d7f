"""The lanes, of shifts and of integers: a weight, a sum. And the reader, which gives all of them their operand."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib.wiring import In, Out

from dwn_hw.hardware.folded.engine_schedule import EngineSchedule
from dwn_hw.hardware.folded.lane_kinds import IntegerLanes, ShiftLanes
from dwn_hw.rtl.engine.picking import BY_STEP, pick, picks
from dwn_hw.rtl.engine.units import Unit, bits_for, number


class ShiftLane(Unit):
    """``code`` (register 3): the weight; ``operand`` (4); ``first`` (5) begins a new sum; with ``load`` (6)
    it goes to ``held`` (7). Else ``held`` takes what the lane ``above`` holds: so all sums leave through lane 0, one a clock.
    """

    def __init__(self, plan: EngineSchedule, kind: ShiftLanes) -> None:
        self.plan, self.kind = plan, kind
        sums = plan.total.bits
        inputs = {"code": In(kind.code_bits), "operand": In(plan.operand.bits), "first": In(1), "load": In(1)}
        super().__init__("lane", {**inputs, "above": In(sums), "held": Out(sums)})

    def elaborate(self, platform: object) -> Module:
        """Shift; then add, or subtract by adding the complement and 1."""
        m = Module()
        bits = self.plan.total.bits
        code = Signal(self.kind.code_bits, name="code4", reset_less=True)
        term, total = Signal(bits, name="term5", reset_less=True), Signal(bits, name="sum6", reset_less=True)
        negative = Signal(name="negative5", reset_less=True)
        held = Signal(bits, name="held7", reset_less=True)
        operand = number(self.operand, self.plan.operand)
        shift = code[: self.kind.shift_bits]
        shifted = Signal(bits)
        m.d.comb += shifted.eq(operand << shift)
        m.d.sync += [code.eq(self.code), term.eq(Mux(shift.all(), 0, shifted)), negative.eq(code[-1])]
        # One adder with a carry in: bit 0 makes it.
        one, other = Cat(negative, Mux(self.first, 0, total)), Cat(negative, term ^ negative.replicate(bits))
        m.d.sync += [total.eq((one + other)[1:]), held.eq(Mux(self.load, total, self.above))]
        m.d.comb += self.held.eq(held)
        return m


class IntegerLane(Unit):
    """``code`` (register 4): the weight; ``is_one`` (5): the operand's bit, ``negative``: it is that of a sign; ``first`` (5)
    begins a new sum, ``double`` (5) goes on with twice the sum; with ``load`` (6) it goes to ``held`` (7). Else ``held`` takes
    what the lane ``above`` holds: so all sums leave through lane 0, one a clock.
    """

    def __init__(self, plan: EngineSchedule, kind: IntegerLanes) -> None:
        self.plan, self.kind = plan, kind
        sums = plan.total.bits
        inputs = {"code": In(kind.bits), **{name: In(1) for name in ("is_one", "negative", "first", "double", "load")}}
        super().__init__("lane", {**inputs, "above": In(sums), "held": Out(sums)})

    def elaborate(self, platform: object) -> Module:
        """The weight where the bit is 1; then add, or subtract by adding the complement and 1."""
        m = Module()
        bits = self.plan.total.bits
        code = Signal(self.kind.bits, name="code5", reset_less=True)
        total, held = (Signal(bits, name=name, reset_less=True) for name in ("sum6", "held7"))
        m.d.sync += code.eq(self.code)
        before = Mux(self.first, 0, Mux(self.double, total << 1, total)[:bits])
        term = Signal(bits)
        m.d.comb += term.eq(Mux(self.is_one, code.as_signed(), 0))
        if any(step.operand.signed for step in self.plan.steps if not step.pools):
            one, other = Cat(self.negative, before), Cat(self.negative, term ^ self.negative.replicate(bits))
            m.d.sync += total.eq((one + other)[1:])
        else:
            m.d.sync += total.eq(before + term)
        m.d.sync += held.eq(Mux(self.load, total, self.above))
        m.d.comb += self.held.eq(held)
        return m


def make_lane(plan: EngineSchedule) -> ShiftLane | IntegerLane:
    """The lane of an engine."""
    return ShiftLane(plan, plan.kind) if isinstance(plan.kind, ShiftLanes) else IntegerLane(plan, plan.kind)


class Reader(Unit):
    """``data0``, ``data1`` (register 3): of the buffers; ``operand`` (4): of the step's own one, 0 where there is no tap to
    ``take``. For lanes of integers ``is_one`` (5): the one at ``place`` (4), 0 where ``beside`` the operand.

    ``greatest`` (7): what is picked of the window that ended with ``load`` (6), for steps that pool.
    """

    def __init__(self, plan: EngineSchedule) -> None:
        self.plan = plan
        inputs = {f"data{i}": In(memory.bits) for i, memory in enumerate(plan.buffers)}
        flags = {name: In(1) for name in ("odd", "take", "begins", "load")}
        flags |= {name: In(1) for what, name in BY_STEP.items() if picks(plan, what)}
        outputs = {"operand": Out(plan.operand.bits), "greatest": Out(plan.picked.bits)}
        if isinstance(plan.kind, IntegerLanes):
            inputs |= {"place": In(place_bits(plan)), "beside": In(1)}
            outputs["is_one"] = Out(1)
        super().__init__("reader", {**inputs, **flags, **outputs})

    def elaborate(self, platform: object) -> Module:
        """A multiplexer, and a comparator."""
        m = Module()
        plan = self.plan
        data = [number(getattr(self, f"data{i}"), fmt) for i, fmt in enumerate(plan.buffer_formats)]
        chosen = Mux(self.odd, data[1], data[0]) if len(data) == 2 else data[0]
        operand = Signal(plan.operand.bits, name="operand4", reset_less=True)
        m.d.sync += operand.eq(Mux(self.take, chosen, 0))
        m.d.comb += self.operand.eq(operand)
        if isinstance(plan.kind, IntegerLanes):
            bit = Signal(name="is_one5", reset_less=True)
            m.d.sync += bit.eq(operand.bit_select(self.place, 1) & ~self.beside)
            m.d.comb += self.is_one.eq(bit)
        if not any(step.pools for step in plan.steps):
            m.d.comb += self.greatest.eq(0)
            return m
        m.d.comb += self.greatest.eq(pick(m, plan, self, operand))
        return m


def place_bits(plan: EngineSchedule) -> int:
    """The bits of a place in an operand."""
    return bits_for(max(step.operand.bits for step in plan.steps) - 1)
