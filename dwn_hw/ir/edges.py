"""Edges, which flow between two nodes: integers of a static shape, each in a stated format; a bit is a format of width 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from dwn_hw.errors import IRError, Problem

#: A tuple of integers.
Ints: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Format:
    """The format of an integer: ``bits`` wide, two's complement if ``signed``; value = code · 2**lsb.

    >>> Format(8), Format(16, signed=True, lsb=-12)
    (u8, s16·2^-12)
    """

    bits: int
    signed: bool = False
    lsb: int = 0

    def __post_init__(self) -> None:
        remedy = "Choose a narrower format."
        if [type(value) for value in (self.bits, self.signed, self.lsb)] != [int, bool, int]:
            rule = "bits and lsb are integers, signed is true or false"
            raise IRError(Problem("format", rule, f"{self.bits!r}, {self.signed!r}, {self.lsb!r}", remedy))
        if not 1 <= self.bits <= 64:
            raise IRError(Problem("format", "a width is 1 to 64 bits", f"{self.bits}", remedy))

    @property
    def low(self) -> int:
        """The lowest code."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def high(self) -> int:
        """The highest code."""
        return (1 << (self.bits - self.signed)) - 1

    @classmethod
    def covering(cls, low: int, high: int, lsb: int = 0) -> Format:
        """The narrowest format that holds every code from ``low`` to ``high``."""
        if low >= 0:
            return cls(max(1, high.bit_length()), lsb=lsb)
        # A sign bit beside the highest code, unless nothing above −1 comes.
        return cls(max((-low - 1).bit_length(), max(high, 0).bit_length()) + 1, signed=True, lsb=lsb)

    def __repr__(self) -> str:
        return f"{'s' if self.signed else 'u'}{self.bits}" + (f"·2^{self.lsb}" if self.lsb else "")


BIT = Format(1)


@dataclass(frozen=True, slots=True)
class Edge:
    """What flows between two nodes: integers of ``shape``, in one format, or in one for each entry of the first axis."""

    shape: Ints
    formats: tuple[Format, ...]

    @property
    def size(self) -> int:
        """The number of integers that the edge carries."""
        product = 1
        for extent in self.shape:
            product *= extent
        return product

    @property
    def bits(self) -> int:
        """The width of the edge as a vector, in bits: its entries end to end, the first lowest."""
        return sum(fmt.bits for fmt in self.flat_formats())

    @property
    def is_bits(self) -> bool:
        """Whether every integer is one bit."""
        return bool(self.formats) and all(fmt == BIT for fmt in self.formats)

    def flat_formats(self) -> tuple[Format, ...]:
        """The format of each integer, in C order."""
        inner = self.size // (self.shape[0] if len(self.formats) > 1 else 1)
        return tuple(fmt for fmt in self.formats for _ in range(inner if len(self.formats) > 1 else self.size))

    def __repr__(self) -> str:
        shape = "×".join(str(extent) for extent in self.shape) or "1"
        distinct = sorted({repr(fmt) for fmt in self.formats})
        return f"{shape} × {'/'.join(distinct)}"
