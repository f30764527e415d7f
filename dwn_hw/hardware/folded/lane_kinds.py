"""The two kinds of lanes: what a weight is to them, and how often a tap passes through them.

Lanes of shifts add the operand, shifted and maybe negated: a weight is its signed digits ``±2^s``, a clock each. Lanes of
integers hold a weight whole and take the operand bit by bit, the highest first: they add the weight where the bit is 1, and
double the sum from one bit to the next. A weight that is wider than theirs is cut into parts, which meet the bits at other
places.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from dwn_hw.ir import Format

Weights: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ShiftLanes:
    """Lanes that make shifts of up to ``widest`` bits."""

    widest: int = 0

    #: How many places one part of a weight stands above the one before it: each part has its own place.
    apart = 0

    @property
    def shift_bits(self) -> int:
        """The bits of a weight's shift; all ones stand for a weight of 0."""
        return (self.widest + 1).bit_length()

    @property
    def code_bits(self) -> int:
        """The bits of a weight's code: its shift, and above it its sign."""
        return self.shift_bits + 1

    def parts(self, weights: Weights) -> Weights:
        """The parts of each weight along a new last axis: its digits, the least first, and zeros where others have more."""
        return signed_digits(weights)

    def passes(self, operand: Format, parts: int) -> int:
        """How often the taps of a window pass: once."""
        return 1

    def codes(self, parts: Weights) -> Weights:
        """The code of each part, as an unsigned number."""
        # A power of two is exact in floating point, and so is its logarithm.
        shifts = np.log2(np.maximum(np.abs(parts), 1)).astype(np.int64)
        signs = (parts < 0).astype(np.int64) << self.shift_bits
        found: Weights = np.where(parts == 0, (1 << self.shift_bits) - 1, shifts) | signs
        return found

    def __str__(self) -> str:
        return f"lanes that shift by up to {self.widest} bits: a clock for each signed digit of a weight"


@dataclass(frozen=True, slots=True)
class IntegerLanes:
    """Lanes whose weights are ``bits`` wide, two's complement, two bits at least."""

    bits: int

    @property
    def apart(self) -> int:
        """How many places one part of a weight stands above the one before it."""
        return self.bits - 1

    @property
    def code_bits(self) -> int:
        """The bits of a weight's code."""
        return self.bits

    def parts(self, weights: Weights) -> Weights:
        """The parts of each weight along a new last axis, the least first: all but the last are not negative."""
        count = -(-(width(weights) - 1) // self.apart)
        cut = [weights >> i * self.apart for i in range(count)]
        return np.stack([*(part & (1 << self.apart) - 1 for part in cut[:-1]), cut[-1]], axis=-1)

    def passes(self, operand: Format, parts: int) -> int:
        """How often the taps of a window pass: for each bit, and for the places that parts of a weight stand above it."""
        return operand.bits + (parts - 1) * self.apart

    def codes(self, parts: Weights) -> Weights:
        """The code of each part, as an unsigned number."""
        return np.bitwise_and(parts, (1 << self.bits) - 1)

    def __str__(self) -> str:
        return f"lanes with weights of {self.bits} bits: a clock for each bit of what they multiply"


LaneKind: TypeAlias = ShiftLanes | IntegerLanes


def width(weights: Weights) -> int:
    """The bits of the widest weight in two's complement; at least 2, a sign and a place."""
    low, high = int(weights.min(initial=0)), int(weights.max(initial=0))
    return max(2, Format.covering(min(low, -1), high).bits)


def signed_digits(numbers: Any) -> Weights:
    """Each number as the shortest sum of ±2^s, along a new last axis: its non-adjacent form, the least digit first, then zeros.

    There are as many places as the number with most digits has, and one at least.
    """
    rest = np.array(numbers, np.int64)
    if not (np.abs(rest) & (np.abs(rest) - 1)).any():
        return rest[..., None]
    places = []
    for place in range(64):
        digit = np.where(rest & 1, 2 - (rest & 3), 0)  # 1 or −1, so that the next bit is 0
        places.append(digit << place)
        rest = (rest - digit) >> 1
        if not rest.any():
            break
    digits = np.stack(places, axis=-1)
    count = max(1, int((digits != 0).sum(axis=-1).max()))
    order = np.argsort(digits == 0, axis=-1, kind="stable")[..., :count]
    return np.take_along_axis(digits, order, axis=-1)
