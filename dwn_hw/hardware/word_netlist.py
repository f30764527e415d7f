"""Netlists of operations on words: for words what :mod:`dwn_hw.hardware.lut_netlist` is for bits.

Shift layers in parallel hardware are adders, comparisons and clamps of whole numbers. Every tool has its own best form of those
(carry chains), so they stay words down to the Verilog. A *term* is an integer: ``0 … inputs-1`` are the words that come in,
``inputs + i`` is the result of cell ``i``, and ``-1 - k`` is constant ``k``. Cells stand in topological order.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import assert_never

import numpy as np
import numpy.typing as npt

from dwn_hw.errors import IRError, Problem
from dwn_hw.hardware.netlist_levels import Levelled
from dwn_hw.ir.edges import Format, Ints


class WordOp(enum.StrEnum):
    """What a cell does with its inputs.

    ``ADD`` gives ``(a << shifts[0]) + sign · (b << shifts[1])`` for inputs (a, b). ``QUANTIZE`` gives for (a,) a
    without its lowest ``shifts[0]`` bits, by ``rounding``, clamped to ``lowest``…``highest``; a shift below 0 appends
    zeros. ``GREATER`` gives for (a, b) the bit ``b > a``. ``MUX`` gives for (s, a, b) a where the bit s is 0, else b.
    ``JOIN`` gives for bits the word that they are, the first lowest.
    """

    ADD = "add"
    QUANTIZE = "quantize"
    GREATER = "greater"
    MUX = "mux"
    JOIN = "join"


#: The inputs of each kind; a ``JOIN`` has as many as it needs.
_INPUTS = {WordOp.ADD: 2, WordOp.QUANTIZE: 1, WordOp.GREATER: 2, WordOp.MUX: 3}


@dataclass(frozen=True, slots=True)
class Operation:
    """A cell of one of the kinds above; ``format`` holds every value that it can have."""

    name: str
    kind: WordOp
    inputs: Ints
    format: Format
    shifts: Ints = ()
    sign: int = 1
    rounding: str = "floor"
    lowest: int = 0
    highest: int = 0

    @property
    def levels(self) -> int:
        """The number of levels that the cell adds."""
        return int(self.kind is not WordOp.JOIN)

    @property
    def reads(self) -> Ints:
        """The cell's inputs that are no constants."""
        return tuple(term for term in self.inputs if term >= 0)


@dataclass(frozen=True, slots=True)
class Output:
    """A word that leaves: ``term << shift``, packed in ``format``."""

    term: int
    shift: int
    format: Format


@dataclass(frozen=True, slots=True)
class WordNetlist(Levelled):
    """``cells`` over words of ``formats``; ``leaves[i]`` is word ``i`` of what comes out. Words check themselves when built."""

    formats: tuple[Format, ...]
    constants: Ints
    cells: tuple[Operation, ...]
    leaves: tuple[Output, ...]

    def __post_init__(self) -> None:
        for i, cell in enumerate(self.cells):
            wanted = _INPUTS.get(cell.kind, len(cell.inputs))
            good = len(cell.inputs) == wanted and bool(cell.reads)
            if not good or min(cell.inputs) < -len(self.constants) or max(cell.inputs) >= self.inputs + i:
                rule = f"{wanted} terms in {-len(self.constants)}…{self.inputs + i - 1}, not all constant"
                raise IRError(Problem(f"cell {cell.name}", rule, f"{cell.inputs}", "Mend the lowering."))

    @property
    def inputs(self) -> int:
        """The number of words that come in."""
        return len(self.formats)

    @property
    def outputs(self) -> Ints:
        """The terms that leave."""
        return tuple(leaf.term for leaf in self.leaves)

    @property
    def output_widths(self) -> Ints:
        """The number of bits of each word that leaves."""
        return tuple(leaf.format.bits for leaf in self.leaves)

    @property
    def output_bits(self) -> int:
        """The number of flip-flops that hold all that comes out."""
        return sum(self.output_widths)

    def format(self, term: int) -> Format:
        """The format of a term that is no constant."""
        return self.formats[term] if term < self.inputs else self.cells[term - self.inputs].format

    def bits(self, term: int) -> int:
        """The number of flip-flops that hold a term."""
        return self.format(term).bits

    def sites(self, index: int) -> int:
        """The number of LUTs that a cell takes, about.

        There is one for each bit of a sum that both operands reach, and of a choice; for a clamp one more.
        """
        cell = self.cells[index]
        match cell.kind:
            case WordOp.ADD:
                left, right = cell.shifts  # low bits that one operand alone has are wires, unless it is taken away
                return cell.format.bits - right - (left if cell.sign > 0 else 0)
            case WordOp.GREATER:
                return max(self.limits(term)[2] for term in cell.inputs)
            case WordOp.MUX:
                return cell.format.bits
            case WordOp.JOIN:
                return 0
            case WordOp.QUANTIZE:
                _, _, before = self.limits(cell.inputs[0])
                adds = cell.rounding != "floor" and cell.shifts[0] > 0
                clamps = len(self.clamped(index))
                return cell.format.bits * (adds + (clamps > 0)) + clamps * -(-max(0, before - cell.format.bits) // 5)
            case _:
                assert_never(cell.kind)

    def clamped(self, index: int) -> tuple[int, ...]:
        """The limits of a ``QUANTIZE`` that its input can pass."""
        cell = self.cells[index]
        if cell.kind is not WordOp.QUANTIZE:
            return ()
        least, most = self._rounded(index)
        return ((cell.lowest,) if least < cell.lowest else ()) + ((cell.highest,) if most > cell.highest else ())

    def rounded_format(self, index: int) -> Format:
        """The format of the rounded number that a ``QUANTIZE`` clamps."""
        return Format.covering(*self._rounded(index))

    def _rounded(self, index: int) -> tuple[int, int]:
        cell = self.cells[index]
        low, high, _ = self.limits(cell.inputs[0])
        ends = _rounded(np.array([low, high], np.int64), cell.shifts[0], cell.rounding)
        return int(ends[0]), int(ends[1])

    def limits(self, term: int) -> tuple[int, int, int]:
        """The lowest and the highest value of a term, by its format, and its bits."""
        if term < 0:
            value = self.constants[-1 - term]
            return value, value, Format.covering(value, value).bits
        fmt = self.format(term)
        return fmt.low, fmt.high, fmt.bits

    def piece(self, entering: Sequence[int], kept: Sequence[int], leaving: Sequence[int]) -> WordNetlist:
        """The piece between two cuts: the cells ``kept``, between the terms that cross the one cut and the other."""
        number = {term: i for i, term in enumerate(entering)}
        number |= {self.inputs + cell: len(entering) + i for i, cell in enumerate(kept)}
        last = tuple(leaving) == self.outputs
        leaves = self.leaves if last else tuple(Output(term, 0, self.format(term)) for term in leaving)
        return WordNetlist(
            tuple(self.format(term) for term in entering),
            self.constants,
            tuple(_renumbered(self.cells[cell], number) for cell in kept),
            tuple(replace(leaf, term=number.get(leaf.term, leaf.term)) for leaf in leaves),
        )

    def evaluate(self, values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The words (samples, outputs) for words ``values`` (samples, inputs): what the cells mean."""
        terms = [values[:, i].astype(np.int64) for i in range(self.inputs)]

        def word(term: int) -> npt.NDArray[np.int64]:
            return terms[term] if term >= 0 else np.full(len(values), self.constants[-1 - term], np.int64)

        for cell in self.cells:
            terms.append(_apply(cell, [word(term) for term in cell.inputs]))
        return np.stack([word(leaf.term) << leaf.shift for leaf in self.leaves], axis=1)

    def __repr__(self) -> str:
        lines = [f"{self.inputs} words, {len(self.cells)} cells, {len(self.leaves)} words out"]
        for i, c in enumerate(self.cells):
            lines.append(f"{self.inputs + i}: {c.name} {c.kind} {c.inputs} {c.shifts} -> {c.format}")
        return "\n".join([*lines, f"out {self.outputs}"])


class WordBuilder:
    """Builds the cells of a part one by one."""

    def __init__(self, formats: Sequence[Format]) -> None:
        self.formats = tuple(formats)
        self._constants: dict[int, int] = {}
        self._cells: list[Operation] = []

    def constant(self, value: int) -> int:
        """The term of a constant."""
        return -1 - self._constants.setdefault(value, len(self._constants))

    def limits(self, term: int) -> tuple[int, int]:
        """The lowest and the highest value of a term, by its format."""
        if term < 0:
            value = list(self._constants)[-1 - term]
            return value, value
        fmt = self.format(term)
        return fmt.low, fmt.high

    def format(self, term: int) -> Format:
        """The format of a term that is no constant."""
        count = len(self.formats)
        return self.formats[term] if term < count else self._cells[term - count].format

    def add(self, cell: Operation) -> int:
        """Add a cell. Returns its term."""
        self._cells.append(cell)
        return len(self.formats) + len(self._cells) - 1

    def mux(self, name: str, select: int, zero: int, one: int) -> int:
        """The term of ``one if select else zero``."""
        if zero == one:
            return zero
        (a, b), (c, d) = self.limits(zero), self.limits(one)
        return self.add(Operation(name, WordOp.MUX, (select, zero, one), Format.covering(min(a, c), max(b, d))))

    def greater(self, name: str, left: int, right: int) -> int:
        """The term of the bit ``right > left``."""
        return self.add(Operation(name, WordOp.GREATER, (left, right), Format(1)))

    def join(self, name: str, bits: Sequence[int]) -> int:
        """The term of the word whose bits these are, the first lowest."""
        return bits[0] if len(bits) == 1 else self.add(Operation(name, WordOp.JOIN, tuple(bits), Format(len(bits))))

    def finish(self, leaves: Sequence[Output]) -> WordNetlist:
        """The netlist of the cells that its outputs need."""
        whole = WordNetlist(self.formats, tuple(self._constants), tuple(self._cells), tuple(leaves))
        needed, stack = set[int](), [term for term in whole.outputs if term >= whole.inputs]
        while stack:
            term = stack.pop()
            if term not in needed:
                needed.add(term)
                stack += [t for t in self._cells[term - whole.inputs].reads if t >= whole.inputs]
        return whole.piece(range(whole.inputs), [term - whole.inputs for term in sorted(needed)], whole.outputs)


def _renumbered(cell: Operation, number: dict[int, int]) -> Operation:
    return replace(cell, inputs=tuple(number.get(term, term) for term in cell.inputs))


def _apply(cell: Operation, inputs: list[npt.NDArray[np.int64]]) -> npt.NDArray[np.int64]:
    match cell.kind:
        case WordOp.ADD:
            a, b = inputs
            return np.asarray((a << cell.shifts[0]) + cell.sign * (b << cell.shifts[1]))
        case WordOp.GREATER:
            a, b = inputs
            return (b > a).astype(np.int64)
        case WordOp.MUX:
            select, a, b = inputs
            return np.where(select != 0, b, a)
        case WordOp.JOIN:
            bits = [bit << i for i, bit in enumerate(inputs)]
            return np.asarray(np.sum(bits, axis=0, dtype=np.int64))
        case WordOp.QUANTIZE:
            return np.clip(_rounded(inputs[0], cell.shifts[0], cell.rounding), cell.lowest, cell.highest)
        case _:
            assert_never(cell.kind)


def _rounded(a: npt.NDArray[np.int64], drop: int, rounding: str) -> npt.NDArray[np.int64]:
    """The values without their lowest ``drop`` bits, rounded as hardware does it, by adding first."""
    if drop <= 0:
        return a << -drop
    half = 1 << drop - 1
    match rounding:
        case "half_up":
            return np.asarray((a + half) >> drop)
        case "half_even":
            return np.asarray((a + (half - 1) + (a >> drop & 1)) >> drop)
        case _:
            return a >> drop
