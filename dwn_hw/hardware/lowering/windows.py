"""Finds windows around thresholds: where a comparison with a constant needs the code's low bits.

:mod:`dwn_hw.hardware.lowering.comparator_sharing` plans with them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

#: What a LUT may read of a code: a bit of it, by index, or whether it lies in a range. Codes count from 0, the lowest.
Signal = int | range


@dataclass(frozen=True, slots=True)
class Codes:
    """The size of the problem: codes of ``width`` bits, and LUTs of ``k`` inputs."""

    width: int
    k: int

    @property
    def end(self) -> int:
        """The number of codes, one more than the highest code."""
        return 1 << self.width


@dataclass(frozen=True, slots=True)
class WindowEdge:
    """An end of a window. Inside the window ``signal`` has the value ``inside``; else the comparison gives ``beyond``."""

    signal: Signal
    inside: bool
    beyond: bool


@dataclass(frozen=True, slots=True)
class Window:
    """The codes ``span`` around a threshold, within ``edges``, asked in order; ``low_bits`` at least are left to a chain."""

    threshold: int
    span: range
    edges: tuple[WindowEdge, ...]
    low_bits: int

    @property
    def chained(self) -> bool:
        """Whether a chain compares low bits: not if all of the threshold's are 0."""
        return bool(self.threshold & (1 << self.low_bits) - 1)

    @property
    def inputs(self) -> int:
        """The number of inputs of the LUT that ends the comparison."""
        return len(self.edges) + self.address_bits(self.low_bits) + self.chained

    def address_bits(self, low_bits: int) -> int:
        """The number of bits from ``low_bits`` up that tell the window's blocks apart: as many as count them."""
        return ((self.span[-1] >> low_bits) - (self.span[0] >> low_bits)).bit_length()

    def own_block(self, low_bits: int) -> range:
        """The codes of the window for which the carry decides."""
        first = self.threshold >> low_bits << low_bits
        return range(max(self.span.start, first), min(self.span.stop, first + (1 << low_bits)))


def value(signal: Signal, codes: range) -> bool | None:
    """The signal's value for all of these codes; None if it differs among them."""
    if isinstance(signal, range):
        varies = any(codes.start < end < codes.stop for end in (signal.start, signal.stop))
        return None if varies else codes.start in signal
    return None if codes[0] >> signal != codes[-1] >> signal else bool(codes[0] >> signal & 1)


def best_window(threshold: int, signals: Sequence[Signal], codes: Codes) -> Window:
    """The window that leaves the fewest bits to a chain, of these the one of the fewest edges."""
    return min(_windows(threshold, signals, codes), key=lambda window: (window.low_bits, len(window.edges)))


def _windows(threshold: int, signals: Sequence[Signal], codes: Codes) -> Iterator[Window]:
    """The windows between nothing or the nearest end of a signal below, and nothing or the nearest above."""
    ends = [(end, signal) for signal in signals for end in _ends(signal, codes)]
    below = max((e for e in ends if e[0] <= threshold), key=lambda e: e[0], default=None)
    above = min((e for e in ends if e[0] > threshold), key=lambda e: e[0], default=None)
    for low, high in itertools.product({None, below}, {None, above}):
        span = range(low[0] if low else 0, high[0] if high else codes.end)
        sides = [(end[1], beyond) for end, beyond in ((low, False), (high, True)) if end is not None]
        edges = [WindowEdge(signal, bool(value(signal, span)), beyond) for signal, beyond in sides]
        # That a code is not in a range of two ends says on which side it is only after the other edge.
        edges.sort(key=lambda edge: len(_ends(edge.signal, codes)))
        if all(len(_ends(edge.signal, codes)) == 1 for edge in edges[:1]):
            yield _within(threshold, span, tuple(edges), codes)


def _ends(signal: Signal, codes: Codes) -> list[int]:
    """Codes at which the signal changes; a bit must be the top one."""
    ends = (signal.start, signal.stop) if isinstance(signal, range) else (1 << signal,)
    return [end for end in ends if 0 < end < codes.end]


def _within(threshold: int, span: range, edges: tuple[WindowEdge, ...], codes: Codes) -> Window:
    """The window whose chain has the fewest low bits with which the rest fits a LUT.

    The threshold's lowest zeros are compared nowhere.
    """
    trailing = (threshold & -threshold).bit_length() - 1
    windows = (Window(threshold, span, edges, low_bits) for low_bits in range(trailing, codes.width + 1))
    return next(window for window in windows if window.inputs <= codes.k)
