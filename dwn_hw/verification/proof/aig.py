"""Represents logic as and-inverter graphs, the form in which two pieces of logic are compared.

A *variable* is 0 (constant false), an input (1 … ``inputs``) or an AND of two earlier literals; a *literal* is twice a variable,
plus one if inverted. Equal ANDs are made once, and a look-up table is built from its inputs in rising order without those that
are idle, so logic that differs in writing only becomes the same literals.

:meth:`Aig.to_aiger` writes the binary AIGER format (Biere, 2007), which ABC reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

FALSE, TRUE = 0, 1

#: The values of bits in many cases, 64 cases a word: row ``i`` holds bit ``i`` of each case.
Planes: TypeAlias = npt.NDArray[np.uint64]

_ONES = np.uint64(2**64 - 1)


@dataclass(frozen=True, slots=True)
class Cell:
    """A variable as a function of others, ``variables`` rising: bit ``Σ value[i]·2**i`` of ``table``."""

    variables: tuple[int, ...]
    table: int


class Aig:
    """A piece of logic over ``inputs`` input bits; ``outputs`` are literals."""

    def __init__(self, inputs: int) -> None:
        self.inputs = inputs
        self.outputs: list[int] = []
        self.ands: list[tuple[int, int]] = []
        self._known: dict[tuple[int, int], int] = {}
        self._tables: dict[int, Cell] = {}

    def literals(self) -> list[int]:
        """The literals of all inputs."""
        return [2 * (i + 1) for i in range(self.inputs)]

    def both(self, a: int, b: int) -> int:
        """The literal of ``a`` and ``b``."""
        a, b = min(a, b), max(a, b)
        if a == FALSE or a ^ 1 == b:
            return FALSE
        if a in (TRUE, b):
            return b
        if (a, b) not in self._known:
            self.ands.append((a, b))
            self._known[a, b] = 2 * (self.inputs + len(self.ands))
        return self._known[a, b]

    def either(self, a: int, b: int) -> int:
        """The literal of ``a`` or ``b``."""
        return self.both(a ^ 1, b ^ 1) ^ 1

    def choose(self, which: int, one: int, zero: int) -> int:
        """The literal of ``one`` where ``which`` is 1, else of ``zero``."""
        if one == zero:
            return one
        return self.either(self.both(which, one), self.both(which ^ 1, zero))

    def differ(self, a: int, b: int) -> int:
        """The literal of ``a`` exclusive-or ``b``."""
        return self.choose(a, b ^ 1, b)

    def any(self, literals: Iterable[int]) -> int:
        """The literal that is 1 where one of ``literals`` is 1."""
        found = FALSE
        for literal in literals:
            found = self.either(found, literal)
        return found

    def table(self, inputs: Sequence[int], table: int) -> int:
        """The literal of bit ``Σ inputs[i]·2**i`` of ``table``."""
        cell = _reduced(inputs, table)
        literal = self._lookup(cell.variables, cell.table)
        variable = literal >> 1
        if len(cell.variables) > 1 and variable > cell.variables[-1]:
            inverted = ((1 << (1 << len(cell.variables))) - 1) * (literal & 1)
            self._tables.setdefault(variable, Cell(cell.variables, cell.table ^ inverted))
        return literal

    def _lookup(self, variables: tuple[int, ...], table: int) -> int:
        if not variables:
            return table & 1
        if table & 1:  # the inverse, so that a function and its inverse are the same logic
            return self._lookup(variables, table ^ (1 << (1 << len(variables))) - 1) ^ 1
        half = 1 << (len(variables) - 1)
        low, high = table & ((1 << half) - 1), table >> half
        below = variables[:-1]
        return self.choose(2 * variables[-1], self._lookup(below, high), self._lookup(below, low))

    def cell(self, variable: int) -> Cell:
        """The cell of a variable that is no input: a whole table where one was asked for, else an AND."""
        if variable not in self._tables:
            a, b = self.ands[variable - self.inputs - 1]
            return _reduced([a, b], 0b1000)
        return self._tables[variable]

    def add(self, a: Sequence[int], b: Sequence[int]) -> list[int]:
        """The sum of two numbers of one width, lowest bit first, modulo that width."""
        out, carry = [], FALSE
        for x, y in zip(a, b, strict=True):
            odd = self.differ(x, y)
            out.append(self.differ(odd, carry))
            carry = self.choose(odd, carry, x)
        return out

    def place(self, other: Aig, inputs: Sequence[int]) -> list[int]:
        """The outputs of ``other`` as literals here, its inputs being the literals ``inputs``."""
        values = [FALSE, *inputs]
        for a, b in other.ands:
            values.append(self.both(values[a >> 1] ^ a & 1, values[b >> 1] ^ b & 1))
        return [values[literal >> 1] ^ literal & 1 for literal in other.outputs]

    def cone(self, outputs: Sequence[int]) -> Aig:
        """A graph of the same inputs, with no more logic than the literals ``outputs`` need."""
        needed = {literal >> 1 for literal in outputs}
        for i in reversed(range(len(self.ands))):
            if self.inputs + 1 + i in needed:
                needed |= {literal >> 1 for literal in self.ands[i]}
        small = Aig(self.inputs)
        values = dict(enumerate([FALSE, *small.literals()]))
        for i, (a, b) in enumerate(self.ands):
            if self.inputs + 1 + i in needed:
                values[self.inputs + 1 + i] = small.both(values[a >> 1] ^ a & 1, values[b >> 1] ^ b & 1)
        small.outputs = [values[literal >> 1] ^ literal & 1 for literal in outputs]
        return small

    def simulate(self, planes: Planes) -> Planes:
        """The outputs (outputs, words) for inputs ``planes`` (inputs, words)."""
        values = np.empty((1 + self.inputs + len(self.ands), planes.shape[1]), np.uint64)
        values[0] = 0
        values[1 : 1 + self.inputs] = planes
        inverse = (np.uint64(0), _ONES)
        for i, (a, b) in enumerate(self.ands, 1 + self.inputs):
            np.bitwise_and(values[a >> 1] ^ inverse[a & 1], values[b >> 1] ^ inverse[b & 1], out=values[i])
        chosen = np.array(self.outputs, np.int64)
        found: Planes = values[chosen >> 1] ^ np.where(chosen & 1, _ONES, np.uint64(0))[:, None]
        return found

    def to_aiger(self) -> bytes:
        """The graph in the binary AIGER format."""
        head = [f"aig {self.inputs + len(self.ands)} {self.inputs} 0 {len(self.outputs)} {len(self.ands)}"]
        body = bytearray("\n".join([*head, *map(str, self.outputs)]).encode() + b"\n")
        for i, (low, high) in enumerate(self.ands, 1 + self.inputs):
            for delta in (2 * i - high, high - low):
                while delta > 127:
                    body.append(delta & 127 | 128)
                    delta >>= 7
                body.append(delta)
        return bytes(body)


def _reduced(inputs: Sequence[int], table: int) -> Cell:
    """The function ``table`` of literals as a function of the variables that matter to it."""
    variables = sorted({literal >> 1 for literal in inputs} - {0})
    place = {variable: i for i, variable in enumerate(variables)}
    slots = [(place.get(literal >> 1), literal & 1) for literal in inputs]
    reduced = 0
    for address in range(1 << len(variables)):
        full = sum(((0 if at is None else address >> at & 1) ^ odd) << slot for slot, (at, odd) in enumerate(slots))
        reduced |= (table >> full & 1) << address
    for i in reversed(range(len(variables))):
        ones = sum(1 << address for address in range(1 << len(variables)) if address >> i & 1)
        low, high = reduced & ~ones, (reduced & ones) >> (1 << i)
        if low == high:
            keep = [address for address in range(1 << len(variables)) if not address >> i & 1]
            reduced = sum((low >> address & 1) << at for at, address in enumerate(keep))
            del variables[i]
    return Cell(tuple(variables), reduced)


def pack(bits: npt.NDArray[np.uint8]) -> Planes:
    """Pack cases (cases, bits) into planes; the cases that fill up the last word are all 0."""
    rows = np.packbits(bits.T, axis=1, bitorder="little")
    return np.ascontiguousarray(np.pad(rows, ((0, 0), (0, -rows.shape[1] % 8)))).view("<u8").astype(np.uint64)


def unpack(planes: Planes, cases: int) -> npt.NDArray[np.uint8]:
    """Unpack the first ``cases`` cases of planes to (cases, bits)."""
    raw = np.ascontiguousarray(planes.astype("<u8")).view(np.uint8)
    return np.unpackbits(raw, axis=1, bitorder="little", count=cases).T
