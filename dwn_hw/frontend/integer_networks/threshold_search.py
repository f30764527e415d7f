"""Finds the thresholds of a step function on the grid of the sums before it, in the model's own floating-point arithmetic.

The function is what the model does to each sum (a bias, batch norm, a sigmoid) and a step behind it. Where the step may turn is
known in its own input. For each such place bisection finds the codes between which it lies, and around it every code is tried,
so that an arithmetic which does not quite rise there is followed code by code. Short grids are tried whole.

Functions that fall and rise again do so near where they begin to rise, so long grids are sampled at twice the distance, and twice
that, from there; of three samples whose middle is the least or the greatest, the extreme between them is found.

Arrays of codes and values have a column for each channel.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from dwn_hw import ir
from dwn_hw.errors import CheckpointError, Problem
from dwn_hw.frontend.integer_networks.trained_network import Doubles, Levels

Codes = npt.NDArray[np.int64]

#: The codes of a grid that is tried whole; the samples of a longer one; the codes that are tried on each side of a turn.
_WHOLE, _SAMPLES, _AROUND = 1 << 11, 257, 6

#: The most by which floating point of 32 bits goes up and down of itself, as a share of its numbers.
_WIGGLE = 2.0**-20

#: The exponents of the shares of a function's range at which its course is looked at.
_SHARES = -np.arange(4.0, 48.0, 12.0)

#: The numbers that go through the model's modules at a time.
_AT_ONCE = 1 << 22


def node(step: Levels, edge: ir.Edge) -> ir.MultiThreshold:
    """The step function ``step`` of the codes of ``edge``, by channel where channels differ. Raises CheckpointError for NaN."""
    grid = _Grid(step, edge)
    codes = grid.whole() if grid.size <= _WHOLE else grid.around_turns()
    values = grid.values(codes)
    while True:  # until between two codes of different values there is no third
        apart = (np.diff(codes, axis=0) > 1) & (values[1:] != values[:-1])
        if not apart.any():
            break
        between = _packed(codes[:-1] + np.diff(codes, axis=0) // 2, apart, codes[0])
        codes, values = _merged((codes, values), (between, grid.values(between)))
    rows = [_row(*columns, step.grid.lsb) for columns in zip(codes.T, values.T, strict=True)]
    if all(row == rows[0] for row in rows):
        rows = rows[:1]
    return ir.MultiThreshold(tuple(row for row, _ in rows), tuple(row for _, row in rows), step.grid.lsb)


class _Grid:
    """The codes before a step function, and what the model makes of them."""

    def __init__(self, step: Levels, edge: ir.Edge) -> None:
        self.step, self.lsb = step, edge.formats[0].lsb
        self.places = (1,) * (len(edge.shape) - 1)
        formats = edge.formats if len(edge.formats) > 1 else edge.formats * edge.shape[0]
        self.low, self.high = (np.array([getattr(fmt, end) for fmt in formats], np.int64) for end in ("low", "high"))

    @property
    def size(self) -> int:
        """The number of codes of the longest column."""
        return int((self.high - self.low).max()) + 1

    def whole(self) -> Codes:
        """All codes; a shorter column ends in copies of its highest."""
        return np.asarray(np.minimum(self.low + np.arange(self.size)[:, None], self.high))

    def around_turns(self) -> Codes:
        """Samples of all codes, the function's extremes, and the codes around each place at which the step may turn."""
        share = np.linspace(0, 1, _SAMPLES)[:, None]
        codes = np.clip(self.low + np.rint(share * (self.high - self.low)).astype(np.int64), self.low, self.high)
        inner = self._smooth(codes)
        near = self._passing(codes, inner, _landmarks(inner))
        away = 1 << np.arange(0, int((self.high - self.low).max()).bit_length())
        dense = self._with(codes, inner, near, np.concatenate([-away[::-1], [0], away]))
        codes, inner = self._with(codes, inner, self._extremes(*dense), np.arange(-1, 2))
        near = self._passing(codes, inner, self.step.edges[:, None])
        return self._with(codes, inner, near, np.arange(1 - _AROUND, 1 + _AROUND))[0]

    def _with(self, codes: Codes, inner: Doubles, near: Codes, away: Codes) -> tuple[Codes, Doubles]:
        """``codes`` and what the function gives for them, with those so far ``away`` from the codes ``near``, in order."""
        if not len(near):
            return codes, inner
        more = np.clip((near[None] + away[:, None, None]).reshape(-1, codes.shape[1]), self.low, self.high)
        return _merged((codes, inner), (more, self._smooth(more)))

    def _passing(self, codes: Codes, inner: Doubles, levels: Doubles) -> Codes:
        """The codes behind which the function, which is ``inner`` for ``codes``, passes ``levels`` (levels, columns or 1)."""
        sides = inner[None] >= levels[:, None]  # (levels, samples, columns)
        turns = (sides[:, 1:] != sides[:, :-1]).reshape(-1, codes.shape[1])
        at = np.broadcast_to(levels[:, None], sides[:, 1:].shape).reshape(turns.shape)
        low, high = (
            np.broadcast_to(part, (len(levels), *part.shape)).reshape(turns.shape) for part in (codes[:-1], codes[1:])
        )
        rising = sides[:, 1:].reshape(turns.shape)
        if not turns.any():
            return codes[:0]
        low, high, at, rising = (_packed(part, turns, part[0]) for part in (low, high, at, rising))
        while (high - low > 1).any():
            middle = low + (high - low) // 2
            beyond = (self._smooth(middle) >= at) == rising
            low, high = np.where(beyond, low, middle), np.where(beyond, middle, high)
        return low

    def _extremes(self, codes: Codes, inner: Doubles) -> Codes:
        """The codes at which the function, as it falls and rises again or the other way round, is least or greatest."""
        before, at, behind = (np.nan_to_num(part) for part in (inner[:-2], inner[1:-1], inner[2:]))
        least = (at <= before) & (at <= behind)
        much = np.maximum(abs(at - before), abs(at - behind)) > _WIGGLE * np.maximum(abs(before), abs(behind))
        turns = (least | ((at >= before) & (at >= behind))) & much
        if not turns.any():
            return codes[:0]
        low, middle, high = (_packed(part, turns, part[0]) for part in (codes[:-2], codes[1:-1], codes[2:]))
        sign = np.where(_packed(least, turns, least[0]), 1, -1)
        best = sign * self._smooth(middle)
        while (high - low > 2).any():
            upper = high - middle > middle - low
            tried = np.where(upper, (middle + high) // 2, (low + middle) // 2)
            value = sign * self._smooth(tried)
            better = value < best
            low = np.where(upper & better, middle, np.where(upper | better, low, tried))
            high = np.where(upper | ~better, np.where(upper & ~better, tried, high), middle)
            middle, best = np.where(better, tried, middle), np.where(better, value, best)
        return np.asarray(middle)

    def values(self, codes: Codes) -> Doubles:
        """The function's value of each code."""
        found = self._through(self.step, codes)
        if np.isnan(found).any():
            remedy = "Train again, at a lower learning rate; batch norm of variance 0 does that too."
            raise CheckpointError(Problem(self.step.name, "must give numbers for every sum", "NaN", remedy))
        return found

    def _smooth(self, codes: Codes) -> Doubles:
        return self._through(self.step.smooth, codes)

    def _through(self, function: Callable[[Doubles], Doubles], codes: Codes) -> Doubles:
        rows = max(1, _AT_ONCE // codes.shape[1])
        parts = [codes[first : first + rows] for first in range(0, len(codes), rows)]
        real = (np.asarray(part * 2.0**self.lsb).reshape(*part.shape, *self.places) for part in parts)
        return np.concatenate([function(x).reshape(part.shape) for x, part in zip(real, parts, strict=True)])


def _landmarks(inner: Doubles) -> Doubles:
    """Values near and far from both ends of each column: a function that turns at all passes some of them near there."""
    good = np.isfinite(inner)
    low, high = np.where(good, inner, np.inf).min(axis=0), np.where(good, inner, -np.inf).max(axis=0)
    shares = 2.0 ** _SHARES[:, None] * np.where(high > low, high - low, 0.0)
    return np.concatenate([low + shares, high - shares])


def _packed(values: npt.NDArray[np.generic], chosen: npt.NDArray[np.bool_], rest: npt.NDArray[np.generic]) -> Codes:
    """The ``chosen`` entries of each column at its top; columns with fewer of them go on with their entry of ``rest``."""
    columns, rows = np.nonzero(chosen.T)
    counts = chosen.sum(axis=0)
    packed = np.repeat(np.asarray(rest)[None], int(counts.max()), axis=0)
    packed[np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts), columns] = values[rows, columns]
    return np.asarray(packed)


def _merged(one: tuple[Codes, Doubles], other: tuple[Codes, Doubles]) -> tuple[Codes, Doubles]:
    codes, values = (np.concatenate(both) for both in zip(one, other, strict=True))
    order = np.argsort(codes, axis=0, kind="stable")
    return np.take_along_axis(codes, order, axis=0), np.take_along_axis(values, order, axis=0)


def _row(codes: Codes, values: Doubles, lsb: int) -> tuple[ir.Ints, ir.Ints]:
    """The thresholds and values of one channel."""
    turns = np.flatnonzero(values[1:] != values[:-1]) + 1
    levels = np.rint(values[np.concatenate([[0], turns])] * 2.0**-lsb).astype(np.int64)
    return tuple(codes[turns].tolist()), tuple(levels.tolist())
