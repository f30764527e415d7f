"""Finds the thresholds of a step function on the grid of the sums before it, in the model's own floating-point arithmetic.

The function is what the model does to each sum (a bias, batch norm, a sigmoid) and a step behind it. Where the step may turn is
known in its own input. For each such place bisection finds the codes between which it lies, and around it every code is tried,
so that an arithmetic which does not quite rise there is followed code by code. Short grids are tried whole.

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
        """Samples of all codes, and the codes around each place at which the step may turn."""
        share = np.linspace(0, 1, _SAMPLES)[:, None]
        codes = np.clip(self.low + np.rint(share * (self.high - self.low)).astype(np.int64), self.low, self.high)
        if not len(self.step.edges):
            return codes
        inner, edges = self._smooth(codes), self.step.edges
        sides = inner[None] >= edges[:, None, None]  # (edges, samples, channels)
        turns = (sides[:, 1:] != sides[:, :-1]).reshape(-1, codes.shape[1])
        at = np.broadcast_to(edges[:, None, None], sides[:, 1:].shape).reshape(turns.shape)
        low, high = (
            np.broadcast_to(part, (len(edges), *part.shape)).reshape(turns.shape) for part in (codes[:-1], codes[1:])
        )
        rising = sides[:, 1:].reshape(turns.shape)
        low, high, at, rising = (_packed(part, turns, part[0]) for part in (low, high, at, rising))
        while (high - low > 1).any():
            middle = low + (high - low) // 2
            beyond = (self._smooth(middle) >= at) == rising
            low, high = np.where(beyond, low, middle), np.where(beyond, middle, high)
        near = low[None] + np.arange(1 - _AROUND, 1 + _AROUND)[:, None, None]
        near = np.clip(near.reshape(-1, codes.shape[1]), self.low, self.high)
        return np.sort(np.concatenate([codes, near]), axis=0)

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


def _packed(values: npt.NDArray[np.generic], chosen: npt.NDArray[np.bool_], rest: npt.NDArray[np.generic]) -> Codes:
    """The ``chosen`` entries of each column at its top; columns with fewer of them go on with their entry of ``rest``."""
    count = int(chosen.sum(axis=0).max())
    order = np.argsort(~chosen, axis=0, kind="stable")[:count]
    kept = np.take_along_axis(chosen, order, axis=0)
    return np.asarray(np.where(kept, np.take_along_axis(values, order, axis=0), rest))


def _merged(one: tuple[Codes, Doubles], other: tuple[Codes, Doubles]) -> tuple[Codes, Doubles]:
    codes, values = (np.concatenate(both) for both in zip(one, other, strict=True))
    order = np.argsort(codes, axis=0, kind="stable")
    return np.take_along_axis(codes, order, axis=0), np.take_along_axis(values, order, axis=0)


def _row(codes: Codes, values: Doubles, lsb: int) -> tuple[ir.Ints, ir.Ints]:
    """The thresholds and values of one channel."""
    turns = np.flatnonzero(values[1:] != values[:-1]) + 1
    levels = np.rint(values[np.concatenate([[0], turns])] * 2.0**-lsb).astype(np.int64)
    return tuple(codes[turns].tolist()), tuple(levels.tolist())
