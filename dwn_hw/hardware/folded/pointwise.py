"""What happens to a sum on its way into a buffer: rounding to a coarser grid, and clamping, of any number of nodes at once.

Shifts towards −∞ compose, with offsets for the halves, and so do clamps, because rounding is monotone. What does not compose
(rounding halves to even after something was dropped) is left to a step of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from dwn_hw.ir import Edge, Format, Quantize, Relu


@dataclass(frozen=True, slots=True)
class Pointwise:
    """The function ``(x + offset) >> shift``, clamped to ``low``…``high`` (None: no limit); a negative shift is to the left.

    ``even``: where ``x + offset`` is a multiple of ``2**shift``, bit 0 of the quotient is cleared: with an offset of half a unit
    this rounds halves to the even one.
    """

    offset: int = 0
    shift: int = 0
    even: bool = False
    low: int | None = None
    high: int | None = None

    def rounded(self, x: int) -> int:
        """The value of ``x`` after the offset and the shift, before it is clamped."""
        x += self.offset
        if self.shift <= 0:
            return x << -self.shift
        quotient = x >> self.shift
        return quotient & ~1 if self.even and quotient << self.shift == x else quotient

    def apply(self, x: int) -> int:
        """The value of the function for one number."""
        return _clip(self.rounded(x), self.low, self.high)

    def then(self, node: Relu | Quantize, lsb: int) -> Pointwise | None:
        """This function and ``node`` after it as one. ``node`` reads numbers on the grid ``2**lsb``.

        None: the two do not compose, and ``node`` takes a step of its own.
        """
        if isinstance(node, Relu):
            return self._clamped(0, None)
        dropped = node.lsb - lsb
        if dropped == 0:
            return self._clamped(node.lowest, node.highest)
        if self.even or (dropped < 0 < self.shift) or (self.shift < 0 < dropped):
            return None
        even = dropped > 0 and node.rounding == "half_even"
        if even and self.shift:
            return None
        half = 1 << (dropped - 1) if dropped > 0 and node.rounding != "floor" else 0
        alone = Pointwise(half, dropped, even)
        low, high = (None if end is None else alone.rounded(end) for end in (self.low, self.high))
        offset = self.offset + (half << max(self.shift, 0))
        moved = replace(self, offset=offset, shift=self.shift + dropped, even=even, low=low, high=high)
        return moved._clamped(node.lowest, node.highest)

    def _clamped(self, low: int | None, high: int | None) -> Pointwise:
        ends = [
            _clip(end, low, high) if end is not None else limit for end, limit in ((self.low, low), (self.high, high))
        ]
        return replace(self, low=ends[0], high=ends[1])


def _clip(x: int, low: int | None, high: int | None) -> int:
    x = x if low is None else max(x, low)
    return x if high is None else min(x, high)


#: The function that neither rounds nor clamps.
AS_IT_IS = Pointwise()


def span_of(edge: Edge) -> tuple[tuple[int, int], Format]:
    """The least and the greatest number on an edge, and the narrowest format of all of them."""
    low, high = min(fmt.low for fmt in edge.formats), max(fmt.high for fmt in edge.formats)
    return (low, high), Format.covering(low, high)
