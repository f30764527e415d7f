"""The writer: the sums leave the lanes one a clock, get their bias, are rounded and clamped, and find their address. And the
result, which takes those of the last step."""

from __future__ import annotations

from typing import Any

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib.wiring import In, Out

from dwn_hw.hardware.folded.engine_schedule import CLAMPED, HELD, EngineSchedule
from dwn_hw.hardware.folded.engine_step import EngineStep
from dwn_hw.ir import Format
from dwn_hw.rtl.engine.level_search import find_level
from dwn_hw.rtl.engine.sequencer import window_flags
from dwn_hw.rtl.engine.units import Program, Unit, bits_for, delayed, number
from dwn_hw.rtl.hdl import Hdl


class Writer(Unit):
    """``load`` and what ends with it (register 6): a window is whole. ``held``, ``greatest`` (7): what leaves; ``row`` (7) and
    ``bias`` (8): of the biases' memory. ``write``, ``at``, ``value`` (11, or behind the search for levels): into the buffer.
    ``finished``: the step's last one. ``levels1``, …, ``values``: the tables of levels, address and data.
    """

    def __init__(self, plan: EngineSchedule, instances: bool = False) -> None:
        self.plan = plan
        self.program = Program("writer_program", [step.name for step in plan.steps], instances)
        sums, rows = plan.total.bits, plan.biases.rows
        self.flags = window_flags(plan)
        inputs = {"step": bits_for(len(plan.steps) - 1), "load": 1, **dict.fromkeys(self.flags, 1)}
        inputs |= {"held": sums, "greatest": plan.picked.bits, "bias": sums}
        tables = {name: memory for name, (memory, _) in plan.levels.memories.items()}
        inputs |= {f"{name}_data": memory.bits for name, memory in tables.items()}
        outputs = {"row": bits_for(max(rows - 1, 0)), "write": 1, "finished": 1, "value": plan.written.bits}
        outputs |= {"at": bits_for(max(int(step.layout().max()) for step in plan.steps))}
        outputs |= {f"{name}_address": bits_for(memory.rows - 1) for name, memory in tables.items()}
        ports = {**{name: In(n) for name, n in inputs.items()}, **{name: Out(n) for name, n in outputs.items()}}
        super().__init__("writer", ports, reset=True)

    def elaborate(self, platform: object) -> Module:
        """A counter of what has still to leave, four registers, an address."""
        m = Module()
        plan, steps = self.plan, self.plan.steps
        most = max(map(plan.full, steps))
        left = Signal(bits_for(most))
        flags = {name: Signal(name=f"{name}{HELD}") for name in self.flags}
        rest = self.program.of("rest", [plan.rest(step) for step in steps])
        full = self.program.of("full", [plan.full(step) for step in steps])
        with m.If(self.load):
            m.d.sync += [left.eq(Mux(self.ends_group, rest, full)), *(flags[n].eq(getattr(self, n)) for n in flags)]
        with m.Elif(left.any()):
            m.d.sync += left.eq(left - 1)
        leaves, ends = Signal(), Signal()
        m.d.comb += [leaves.eq(left.any()), ends.eq(left == 1)]
        pools = self.program.of("pools", [step.pools for step in steps])
        # What copies has rows for its levels, too.
        rowless = self.program.of("rowless", [not step.biases for step in steps]) if plan.levels.depth else pools
        self._biases(m, leaves & ~rowless, ends, flags["ends_block"])
        wait = plan.arrival - HELD
        there, end = (delayed(m, name, flag, wait, HELD + 1) for name, flag in (("leaves", leaves), ("ends", ends)))
        self._numbers(m, pools, rowless, there)
        last = {name: delayed(m, name, ends & flag, wait, HELD + 1)[-1] for name, flag in flags.items()}
        self._address(m, there[-1], end[-1], last)
        keeps = self.program.of("keeps", [step.keeps for step in steps]) if any(step.keeps for step in steps) else 0
        written = there[-1] & ~keeps if any(step.keeps for step in steps) else there[-1]
        m.d.comb += [self.write.eq(written), self.finished.eq(there[-1] & last["ends_step"])]
        self.program.place(m, self.step)
        return m

    def _biases(self, m: Module, leaves: Any, ends: Any, ends_block: Any) -> None:
        """Every sum has the next row; positions of a block have the same ones."""
        row, block, following = (
            Signal(len(self.row), name=name) for name in (f"row{HELD}", "row_of_block", "row_next")
        )
        m.d.comb += [following.eq(row + 1), self.row.eq(row)]
        with m.If(leaves):
            m.d.sync += row.eq(Mux(ends & ~ends_block, block, following))
            with m.If(ends & ends_block):
                m.d.sync += block.eq(following)
        with m.If(self.finished & (self.step == len(self.plan.steps) - 1)):
            m.d.sync += [row.eq(0), block.eq(0)]

    def _numbers(self, m: Module, pools: Any, rowless: Any, there: list[Any]) -> None:
        """The registers from ``HELD`` on: what leaves, its sum with the bias, rounded, clamped, and its level.

        ``there``: whether something is in each register.
        """
        plan, steps = self.plan, self.plan.steps
        leaving = Signal(plan.total.bits, name=f"leaving{HELD + 1}", reset_less=True)
        total = Signal(plan.total.bits, name=f"sum{HELD + 2}", reset_less=True)
        rounded = Signal(plan.rounded.bits, name=f"rounded{HELD + 3}", reset_less=True)
        value = Signal(plan.written.bits, name=f"value{CLAMPED}", reset_less=True)
        source = Mux(pools, number(self.greatest, plan.picked), self.held.as_signed())
        m.d.sync += leaving.eq(self._less_kept(m, source, total, there[2]))
        offset = self.program.of("offset", [0 if step.biases else step.post.offset for step in steps])
        m.d.sync += total.eq(leaving + Mux(rowless, offset, self.bias))
        choices = list(dict.fromkeys((step.post.shift, step.post.even) for step in steps))
        which = self.program.of("rounding", [choices.index((s.post.shift, s.post.even)) for s in steps])
        quotient = Signal(plan.rounded.bits)
        chosen = _rounded(total.as_signed(), *choices[0])
        for i, choice in enumerate(choices[1:], 1):
            chosen = Mux(which == i, _rounded(total.as_signed(), *choice), chosen)
        m.d.comb += quotient.eq(chosen)
        m.d.sync += rounded.eq(quotient)
        low, high = (self.program.of(name, ends) for name, ends in zip(("low", "high"), _limits(plan), strict=True))
        here = rounded.as_signed()
        m.d.sync += value.eq(Mux(here < low, low, Mux(here > high, high, here)))
        found: Any = value
        if plan.levels.depth:
            row = delayed(m, "row", self.row, CLAMPED - 1 - HELD, HELD + 1, True)[-1]
            ports = {name: getattr(self, name) for name in self.signature.members}
            found = find_level(m, plan, self.program, ports, rounded, value, row)
        m.d.comb += self.value.eq(found)

    def _less_kept(self, m: Module, source: Any, total: Any, there: Any) -> Any:
        """Keep the sum of what a step counts, in register 9, and give ``source``, in the step behind it without that sum."""
        steps = self.plan.steps
        if not any(step.keeps for step in steps):
            return source
        keeps, less = (
            self.program.of(name, [getattr(step, name) for step in steps]) for name in ("keeps", "less_kept")
        )
        kept = Signal(self.plan.total.bits)
        with m.If(there & keeps):
            m.d.sync += kept.eq(kept + total)
        with m.If(self.finished & less):
            m.d.sync += kept.eq(0)
        return source - Mux(less, kept.as_signed(), 0)

    def _address(self, m: Module, there: Any, end: Any, last: dict[str, Hdl]) -> None:
        """A channel's numbers lie together: the sums of a window go that far from each other."""
        plan, steps = self.plan, self.plan.steps
        names = (f"at{plan.arrival}", "place", "place_next")
        at, place, following = (Signal(len(self.at), name=name) for name in names)
        targets = [step.to() for step in steps]
        channel = self.program.of("channel", [to.channel for to in targets])
        # From a block's last position to the next block's first: past the other channels that this block wrote.
        skips = [
            self.program.of(name, [_to_next_block(step, sums(step)) - 1 for step in steps])
            for name, sums in (("skip_full", plan.full), ("skip_rest", plan.rest))
        ]
        across: Any = 0
        if "ends_row" in last:
            column, row = (
                self.program.of(f"skip_{n}", [getattr(to, n) - 1 for to in targets]) for n in ("column", "row")
            )
            across = Mux(last["ends_row"], row, column)
        skip = Mux(last["ends_block"], Mux(last["ends_group"], skips[1], skips[0]), across)
        first = self.program.of("first_of_next", [to.first for to in (*targets[1:], targets[0])])
        m.d.comb += following.eq(Mux(last["ends_step"], first, place + skip + 1))
        with m.If(there):
            m.d.sync += at.eq(Mux(end, following, at + channel))
            with m.If(end):
                m.d.sync += place.eq(following)
        m.d.comb += self.at.eq(at)


def _rounded(total: Any, shift: int, even: bool) -> Any:
    if shift <= 0:
        return total << -shift
    quotient = total >> shift
    return Cat(quotient[0] & total[:shift].any(), quotient[1:]).as_signed() if even else quotient


def _to_next_block(step: EngineStep, sums: int) -> int:
    """From the address of a block's last position to that of the next block's first, past the ``sums`` channels of this one."""
    places = step.layout()[0]
    return sums * step.to().channel - int(places[-1, -1] - places[0, 0])


def _limits(plan: EngineSchedule) -> tuple[list[int], list[int]]:
    """What each step clamps to, within what its sums can be; what becomes a level is not clamped."""
    ends = [(0, 0) if step.levels else tuple(map(step.post.apply, step.span)) for step in plan.steps]
    return [low for low, _ in ends], [high for _, high in ends]


class Result(Unit):
    """``write``, ``value``: the last step's numbers in turn; ``done`` with the last of them. ``y``: the index of the first
    greatest one, if the network asks for it, and above it, with ``scores``, all of them, the first lowest.
    """

    def __init__(self, plan: EngineSchedule, scores: bool) -> None:
        self.plan, self.scores = plan, scores or not plan.classifies
        self.index_bits = bits_for(plan.steps[-1].size - 1)
        width = self.index_bits * plan.classifies + plan.result.bits * plan.steps[-1].size * self.scores
        super().__init__(
            "result",
            {"write": In(1), "done": In(1), "value": In(plan.result.bits), "y": Out(width)},
            reset=plan.classifies,
        )

    def elaborate(self, platform: object) -> Module:
        """A comparator; a shift register."""
        m = Module()
        fields: list[Any] = []
        if self.plan.classifies:
            fields.append(self._greatest(m, self.plan.result))
        if self.scores:
            bits = self.plan.result.bits
            held = Signal(bits * self.plan.steps[-1].size, name="scores", reset_less=True)
            with m.If(self.write):
                m.d.sync += held.eq(Cat(held, self.value)[bits:])
            fields += [held.word_select(place, bits) for place in np.argsort(self.plan.order).tolist()]
        m.d.comb += self.y.eq(Cat(*fields))
        return m

    def _greatest(self, m: Module, fmt: Format) -> Any:
        index, winner = Signal(self.index_bits), Signal(self.index_bits, reset_less=True)
        best, some, better = Signal(fmt.bits, reset_less=True), Signal(), Signal()
        m.d.comb += better.eq(~some | (number(self.value, fmt) > number(best, fmt)))
        with m.If(self.write):
            m.d.sync += [some.eq(~self.done), index.eq(Mux(self.done, Const(0, 1), index + 1))]
            with m.If(better):
                m.d.sync += [best.eq(self.value), winner.eq(index)]
        return winner
