"""The sequencer: which step, which window, which tap; a nest of counters with other limits in every step."""

from __future__ import annotations

import itertools
from typing import Any

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib.wiring import In, Out

from dwn_hw.hardware.folded.engine_schedule import LOADED, EngineSchedule
from dwn_hw.hardware.folded.engine_step import LOOPS, WINDOW
from dwn_hw.hardware.folded.lane_kinds import IntegerLanes
from dwn_hw.rtl.engine.lane import place_bits
from dwn_hw.rtl.engine.picking import BY_STEP, picks
from dwn_hw.rtl.engine.units import Program, Unit, bits_for, delayed
from dwn_hw.rtl.hdl import Hdl


class Sequencer(Unit):
    """Takes the codes of a sample, runs the steps, and waits until the result was taken.

    ``index``: of the code that is taken. ``address``, ``weight``: of the tap, at register 2 (for lanes of integers ``weight`` at
    3). ``odd``: the buffer that the step reads. ``take`` (register 3): the tap is there, and in the image; ``begins``: it is its
    window's first. ``first`` (5): the same for the lanes. ``load`` (6): the sums are whole; ``ends_row``: the row's last
    position; ``ends_block``: the last of all; ``ends_group``: the group's last block; ``ends_step``: the last window.
    ``finished``: the step's last number is being written. For lanes of integers ``place`` (4): of the operand's bit; ``beside``:
    there is none; ``negative`` (5): it is a sign; ``double``: the first tap with the bit. Where steps pick: ``bounded`` (3): the
    window sees the same numbers as the one before; ``least``, ``gives_place``: of the step, what it picks.
    """

    def __init__(self, plan: EngineSchedule, instances: bool = False) -> None:
        self.plan, self.steps = plan, plan.steps
        self.serial = isinstance(plan.kind, IntegerLanes)
        self.program = Program("sequencer_program", [step.name for step in plan.steps], instances)
        flags = ["x_ready", "y_valid", "odd", "take", "begins", "first", "load", *window_flags(plan)]
        flags += ["beside", "negative", "double"] * self.serial
        flags += [name for what, name in BY_STEP.items() if picks(plan, what)]
        place = {"place": Out(place_bits(plan))} if self.serial else {}
        super().__init__(
            "sequencer",
            {
                **{name: In(1) for name in ("x_valid", "y_ready", "finished")},
                **{name: Out(1) for name in flags},
                "step": Out(bits_for(len(plan.steps) - 1)),
                "index": Out(bits_for(plan.edges[0].size - 1)),
                "address": Out(max(bits_for(memory.rows - 1) for memory in plan.buffers)),
                "weight": Out(bits_for(max(plan.weights.rows - 1, 0))),
                **place,
            },
            reset=True,
        )

    def elaborate(self, platform: object) -> Module:
        """Loops, and what follows from them."""
        m = Module()
        running, goes, window_ends = Signal(), Signal(), Signal()
        self._control(m, running)
        values, ends = self._loops(m, goes)
        # Only a window's last tap can have to wait: until the sums of the window before have left.
        leaving = Signal(bits_for(max(map(self.plan.full, self.steps)) - 1))
        m.d.comb += [window_ends.eq(ends[WINDOW - 1]), goes.eq(running & ~(window_ends & leaving.any()))]
        fresh = Signal(init=1)
        rest = self.program.of("rest", [self.plan.rest(step) - 1 for step in self.steps])
        full = self.program.of("full", [self.plan.full(step) - 1 for step in self.steps])
        last_block = self._at_last(m, values, "block")
        with m.If(leaving.any()):
            m.d.sync += leaving.eq(leaving - 1)
        with m.If(goes):
            m.d.sync += fresh.eq(window_ends)
            with m.If(window_ends):
                m.d.sync += leaving.eq(Mux(last_block, rest, full))
            with m.If(ends[-1]):
                m.d.sync += running.eq(0)
        ends_block = Signal(name="positions_end")
        m.d.comb += ends_block.eq(ends[LOOPS.index("row")])
        pass_ends = ends[LOOPS.index("channel")]
        self._weights(m, goes, pass_ends, ends_block)
        if self.serial:
            self._bits(m, values, goes, pass_ends)
        if picks(self.plan, "in_turn"):
            values["column"] = self._in_turn(m, values["column"], goes & window_ends, ends[LOOPS.index("column")])
        for what in ("least", "place"):
            if picks(self.plan, what):
                own = self.program.of(BY_STEP[what], [getattr(step.pick, what) for step in self.steps])
                m.d.comb += getattr(self, BY_STEP[what]).eq(own)
        inside = self._address(m, values)
        there, begins, *_ = (delayed(m, name, value, 3) for name, value in (("goes", goes), ("first", fresh)))
        m.d.comb += [self.take.eq(there[3] & inside), self.begins.eq(begins[3])]
        m.d.comb += self.first.eq(delayed(m, "first", begins[3], 2, 4)[-1])
        m.d.comb += self.load.eq(delayed(m, "load", goes & window_ends, LOADED)[-1])
        flags = {"ends_block": ends_block, "ends_group": last_block, "ends_step": ends[-1]}
        flags["ends_row"] = ends[LOOPS.index("column")]
        for name in window_flags(self.plan):
            m.d.comb += getattr(self, name).eq(delayed(m, name, flags[name], LOADED)[-1])
        takes_turns = all(read == i % 2 for i, read in enumerate(self.plan.reads))
        m.d.comb += self.odd.eq(self.step[0] if takes_turns else self.program.of("reads", self.plan.reads))
        self.program.place(m, self.step)
        return m

    def _control(self, m: Module, running: Any) -> None:
        """Codes in, steps, result out."""
        loading = Signal(init=1)
        m.d.comb += self.x_ready.eq(loading)
        with m.If(self.x_valid & loading):
            m.d.sync += self.index.eq(self.index + 1)
            with m.If(self.index == self.plan.edges[0].size - 1):
                m.d.sync += [self.index.eq(0), loading.eq(0), running.eq(1)]
        whole = [*(Signal(name=f"whole{i}") for i in range(self.plan.behind)), self.y_valid]
        for now, then in itertools.pairwise(whole):
            with m.If(now):
                m.d.sync += [now.eq(0), then.eq(1)]
        with m.If(self.finished):
            with m.If(self.step == len(self.steps) - 1):
                m.d.sync += whole[0].eq(1)
            with m.Else():
                m.d.sync += [self.step.eq(self.step + 1), running.eq(1)]
        with m.If(self.y_valid & self.y_ready):
            m.d.sync += [self.y_valid.eq(0), self.step.eq(0), loading.eq(1)]

    def _loops(self, m: Module, goes: Any) -> tuple[dict[str, Hdl], list[Any]]:
        """The counters by name, and for each, whether it and all within it are at their last value."""
        values: dict[str, Hdl] = {}
        ends: list[Any] = []
        inner: Any = Const(1, 1)
        for i, name in enumerate(LOOPS):
            own = [step.loops[i] for step in self.steps]
            if all(loop.count == 1 for loop in own):
                values[name] = Const(0, 1)
                ends.append(inner)
                continue
            value = values[name] = Signal(bits_for(max(loop.last for loop in own)), name=name)
            last, end = self._at_last(m, values, name), Signal(name=f"{name}_ends")
            stride = self.program.of(f"{name}_stride", [loop.stride for loop in own])
            m.d.comb += end.eq(inner & last)
            with m.If(goes & inner):
                m.d.sync += value.eq(Mux(last, 0, value + stride))
            ends.append(end)
            inner = end
        return values, ends

    def _at_last(self, m: Module, values: dict[str, Hdl], name: str) -> Any:
        own = [step.loops[LOOPS.index(name)] for step in self.steps]
        if all(loop.count == 1 for loop in own):
            return Const(1, 1)
        return values[name] == self.program.of(f"{name}_last", [loop.last for loop in own])

    def _bits(self, m: Module, values: dict[str, Hdl], goes: Any, pass_ends: Any) -> None:
        """Bits from the highest on; each part of a weight meets the bit that stands as far below."""
        highest = self.program.of("bit_highest", [step.loops[LOOPS.index("bits")].last for step in self.steps])
        place = self._register(m, "place", highest - values["bits"] - values["digit"], 1)
        top = self.program.of("operand_top", [step.operand.bits - 1 for step in self.steps])
        signed = self.program.of("operand_signed", [step.operand.signed for step in self.steps])
        cut = any(not step.pools and step.passes > step.operand.bits for step in self.steps)
        beside = (place < 0) | (place > top) if cut else Const(0, 1)
        m.d.comb += self.place.eq(delayed(m, "place", place[: len(self.place)], 3, 2, True)[-1])
        m.d.comb += self.beside.eq(delayed(m, "beside", beside, 3, 2, True)[-1])
        m.d.comb += self.negative.eq(delayed(m, "negative", signed & (place == top), 4, 2, True)[-1])
        fresh = Signal(name="bit_fresh")
        with m.If(goes):
            m.d.sync += fresh.eq(pass_ends)
        m.d.comb += self.double.eq(delayed(m, "double", fresh, 5, reset_less=True)[-1])

    def _in_turn(self, m: Module, column: Any, ends: Any, ends_row: Any) -> Any:
        """Drives ``bounded``. Returns the column of a window in the image, which stays where windows see the same numbers."""
        in_turn = self.program.of("in_turn", [step.pick.in_turn for step in self.steps])
        again = Signal()
        with m.If(ends):
            m.d.sync += again.eq(~ends_row)
        m.d.comb += self.bounded.eq(delayed(m, "bounded", in_turn & again, 3)[-1])
        return Mux(in_turn, 0, column)

    def _weights(self, m: Module, goes: Any, pass_ends: Any, ends_block: Any) -> None:
        """Every tap has the next row; passes and windows of a block have the same ones."""
        current, block = (Signal(len(self.weight), name=f"weight{name}") for name in ("0", "_of_block"))
        adds = self.program.of("adds", [not step.pools for step in self.steps])
        following = Signal(len(current), name="weight_next")
        m.d.comb += following.eq(current + 1)
        with m.If(goes & adds):
            m.d.sync += current.eq(Mux(pass_ends & ~ends_block, block, following))
            with m.If(ends_block):
                m.d.sync += block.eq(following)
        with m.If(self.y_valid):
            m.d.sync += [current.eq(0), block.eq(0)]
        m.d.comb += self.weight.eq(delayed(m, "weight", current, 2 + self.serial, reset_less=True)[-1])

    def _address(self, m: Module, values: dict[str, Hdl]) -> Any:
        """Drives ``address``; whether the tap is in the image, at register 3."""
        images = [step.image for step in self.steps]
        padded = any(step.pads for step in self.steps)
        column, row = values["column"] + values["tap_column"], values["row"] + values["tap_row"]
        if padded:
            column = column - self.program.of("left", [image.left for image in images])
            row = row - self.program.of("top", [image.top for image in images])
        named = (("plane", values["channel"] + values["group"]), ("column", column), ("row", row))
        plane, column, row = (self._register(m, name, value, 1) for name, value in named)
        if padded:
            circular = self.program.of("circular", [image.circular for image in images])
            limits = (("width", column), ("area", row))
            wrapped, outside = [], []
            for name, value in limits:
                limit = self.program.of(name, [getattr(image, name) for image in images])
                before, beyond = value < 0, value >= limit
                outside.append(before | beyond)
                wrapped.append(Mux(before, value + limit, Mux(beyond, value - limit, value)))
            column, row = wrapped if any(image.circular for image in images) else (column, row)
            inside = Signal(name="in_image")
            m.d.comb += inside.eq(circular | ~(outside[0] | outside[1]))
        else:
            inside = Const(1, 1)
        address = self._register(m, "address", plane + row + column, 2, len(self.address))
        m.d.comb += self.address.eq(address)
        return delayed(m, "in_image", inside, 2, 2)[-1]

    def _register(self, m: Module, name: str, value: Any, stage: int, bits: int | None = None) -> Any:
        shape = value.shape()
        held = Signal(bits or shape.width, name=f"{name}{stage}", reset_less=True)
        m.d.sync += held.eq(value)
        return held.as_signed() if shape.signed and not bits else held


def window_flags(plan: EngineSchedule) -> list[str]:
    """What the sequencer says of a window beside its sums: whether it is the last of something."""
    return ["ends_row"] * any(step.target for step in plan.steps) + ["ends_block", "ends_group", "ends_step"]
