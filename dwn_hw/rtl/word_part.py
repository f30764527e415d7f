"""Builds one combinational component for each section that counts in integers: a line of Verilog a cell, in whole words."""

from __future__ import annotations

from typing import Any, assert_never

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from dwn_hw.hardware.word_netlist import Operation, WordNetlist, WordOp
from dwn_hw.ir.edges import Format


class WordPart(wiring.Component):  # type: ignore[misc]  # amaranth ships no types
    """Words as hardware: ``x`` and ``y`` hold the words end to end, the first one lowest, each in its format. Latency 0."""

    def __init__(self, name: str, words: WordNetlist) -> None:
        self.name, self.words = name, words
        super().__init__({"x": In(sum(fmt.bits for fmt in words.formats)), "y": Out(words.output_bits)})

    def elaborate(self, platform: object) -> Module:
        """Build a signal for each cell."""
        m = Module()
        words, terms = self.words, list[Any]()
        low = 0
        for i, fmt in enumerate(words.formats):
            word = Signal(_shape(fmt), name=f"x{i}")
            m.d.comb += word.eq(self.x[low : low + fmt.bits])
            terms.append(word)
            low += fmt.bits

        def value(term: int) -> Any:
            if term >= 0:
                return terms[term]
            constant = words.constants[-1 - term]
            return Const(constant, _shape(Format.covering(constant, constant)))

        for index, cell in enumerate(words.cells):
            signal = Signal(_shape(cell.format), name=cell.name)
            terms.append(signal)
            inputs = [value(term) for term in cell.inputs]
            if cell.kind is WordOp.QUANTIZE:
                inputs = [_rounded(m, cell, inputs[0], words.rounded_format(index))]
            m.d.comb += signal.eq(_result(cell, inputs, words.clamped(index)))
        leaves = []
        for i, leaf in enumerate(words.leaves):
            word = Signal(_shape(leaf.format), name=f"y{i}")
            m.d.comb += word.eq(value(leaf.term).shift_left(leaf.shift))
            leaves.append(word)
        m.d.comb += self.y.eq(Cat(*leaves))
        return m


def _shape(fmt: Format) -> Shape:
    return Shape(fmt.bits, signed=fmt.signed)


def _result(cell: Operation, inputs: list[Any], limits: tuple[int, ...]) -> Any:
    """The result of a cell, in Amaranth. ``limits``: those that a clamp has to look at."""
    match cell.kind:
        case WordOp.ADD:
            a, b = inputs
            a, b = a.shift_left(cell.shifts[0]), b.shift_left(cell.shifts[1])
            return a + b if cell.sign > 0 else a - b
        case WordOp.GREATER:
            a, b = inputs
            if isinstance(a, Const):
                return b >= a.value + 1  # a carry chain alone, where one that inverts `b` takes a LUT a bit
            return a < b  # yosys makes less of it than of `b > a`
        case WordOp.MUX:
            select, a, b = inputs
            return Mux(select, b, a)
        case WordOp.JOIN:
            return Cat(*(bit[:1] for bit in inputs))
        case WordOp.QUANTIZE:
            value = inputs[0]
            if cell.lowest in limits:
                below = value[-1] if cell.lowest == 0 else value < Const(cell.lowest, value.shape())
                value = Mux(below, Const(cell.lowest, value.shape()), value)
            if cell.highest in limits:
                value = Mux(inputs[0] > Const(cell.highest, inputs[0].shape()), cell.highest, value)
            return value
        case _:
            assert_never(cell.kind)


def _rounded(m: Module, cell: Operation, a: Any, fmt: Format) -> Any:
    """The rounded number that a ``QUANTIZE`` clamps."""
    drop = cell.shifts[0]
    if drop <= 0:
        return a.shift_left(-drop)
    if cell.rounding == "floor":
        return a.shift_right(drop)
    half = 1 << drop - 1
    more = half if cell.rounding == "half_up" else half - 1 + a.shift_right(drop)[0]
    # Wires of their own, or the sum would be built again for each comparison.
    total = Signal(Shape(fmt.bits + drop, fmt.signed), name=f"{cell.name}_sum")
    rounded = Signal(_shape(fmt), name=f"{cell.name}_rounded")
    m.d.comb += [total.eq(a + more), rounded.eq(total.shift_right(drop))]
    return rounded
