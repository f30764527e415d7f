"""Finds narrower input grids: the best of each width for each feature, and the order in which features are narrowed.

A feature's *cuts* are its thresholds on a grid so fine that nothing is lost; its *level* is how many of them a value has
reached, which is all that the network sees of it. On a grid with a step ``2**shift`` times as wide, cut ``c`` lies at
``ceil(c / 2**shift)``, exactly: what a wide code stands for, a fine one stands for too.

How far each feature is narrowed is an allocation of bits: of the choices of a feature only those on the lower convex hull of cost
over risk can be best, and going along all hulls by falling gain gives the best total for each total risk (Shoham and Gersho,
IEEE Trans. ASSP 36, 1988). So there is one path from wide to narrow, and the samples only decide how far to go.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from dwn_hw import ir
from dwn_hw.frontend import input_port
from dwn_hw.ir.codes import to_grid
from dwn_hw.ir.network import is_dyadic

#: The widest port tried where the data lies on no grid. float32 has 24 significant bits; up to two more are lost to a step that
#: is a power of two and to codes that lie outside the thresholds.
WIDEST = 26

#: The most powers of two by which a grid is finer than the feature's greatest threshold.
_DEPTH = 40

#: The cost of a bit of the port, in LUTs: of equal LUTs the narrower port is better.
_BIT_COST = 1 / 64

#: A point of the path is left out if the next has at most this many times the risk of the last: it would differ by chance.
_RISK_STEP = 2**0.5

Levels = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Grid:
    """The grid of one feature: code ``c`` of ``bits`` bits stands for ``(c + low) * 2**shift`` steps of the finest grid."""

    bits: int
    shift: int
    low: int

    def turns(self, cuts: ir.Ints) -> ir.Ints:
        """The code at which each cut turns; for one below 1 or beyond the highest code, it turns at none."""
        return tuple(-(-cut >> self.shift) - self.low for cut in cuts)

    def levels(self, column: Reals, cuts: ir.Ints, finest: Fraction, rounding: str = ir.NEAREST) -> Levels:
        """The number of cuts that each value (samples,) reaches on this grid, as a host encodes it by ``rounding``."""
        step = finest * (1 << self.shift)
        with np.errstate(over="ignore"):  # to infinity, which saturates
            codes = to_grid(column, float(1 / step), float(self.low * step), rounding)
        return np.searchsorted(np.array(self.turns(cuts)), np.clip(codes, 0, (1 << self.bits) - 1), side="right")


@dataclass(frozen=True, slots=True)
class Choice:
    """A grid for one feature: the predictions that it is expected to change, and its cost in LUTs."""

    grid: Grid
    risk: float
    cost: float


def finest_steps(thresholds: npt.NDArray[Any], x: npt.NDArray[Any]) -> tuple[Fraction, ...]:
    """The step of each feature below which nothing is gained: that of the grid which the data ``x`` lies on; else that which the
    feature's own values lie on, if it is a power of two, as 1 of a truth value or a count; else a power of two, so fine that
    WIDEST bits just span the feature's ``thresholds`` (features, bits)."""
    port = input_port.choose(thresholds, None, x)
    if port.origin == "data":
        return port.steps * len(thresholds)
    edges = np.clip(np.asarray(thresholds, np.float64), -(2.0**900), 2.0**900)
    reach, span = np.abs(edges).max(axis=1), np.ptp(edges, axis=1)
    ends = np.stack([x.min(axis=0), x.max(axis=0)]).astype(np.float64)
    scale = np.maximum(reach, np.clip(np.abs(ends).max(axis=0), 2.0**-900, 2.0**900))
    size = np.where(span > 0, np.maximum(span, reach * 2.0 ** (WIDEST - _DEPTH)), scale)
    fine = [Fraction(2) ** (int(exponent) + 1 - WIDEST) for exponent in np.frexp(size)[1]]
    return tuple(_own_step(thresholds[[f]], x[:, [f]]) or step for f, step in enumerate(fine))


def _own_step(thresholds: npt.NDArray[Any], column: npt.NDArray[Any]) -> Fraction | None:
    """The step of the grid that a feature's values lie on, or None."""
    own = input_port.choose(thresholds, None, column)
    return own.steps[0] if own.origin == "data" and is_dyadic(own.steps[0]) else None


def port(grids: Sequence[Grid], finest: Sequence[Fraction], reason: str, rounding: str = ir.NEAREST) -> input_port.Port:
    """The port of these grids, one for each feature."""
    steps = tuple(step * (1 << grid.shift) for grid, step in zip(grids, finest, strict=True))
    offsets = tuple(grid.low * step for grid, step in zip(grids, steps, strict=True))
    formats = tuple(ir.Format(grid.bits) for grid in grids)
    return input_port.Port(formats, steps, offsets, "calibrated", reason, rounding)


#: A function that gives, about, the LUTs of one feature's comparisons with thresholds; handed in by whoever knows the hardware.
ComparisonCost: TypeAlias = Callable[[ir.Ints, ir.Format], int]


def cost(grid: Grid, cuts: ir.Ints, comparisons: ComparisonCost) -> float:
    """The cost of one feature's comparisons and of its bits at the port, in LUTs."""
    return comparisons(grid.turns(cuts), ir.Format(grid.bits)) + grid.bits * _BIT_COST


def grids(
    column: Reals, cuts: ir.Ints, exact: Levels, finest: Fraction, rounding: str = ir.NEAREST
) -> list[tuple[Grid, Levels]]:
    """The best grid of 1, 2, … bits for values ``column`` (samples,), and the levels on it; the last is as good as the finest.

    Best is what changes the ``exact`` levels of the fewest samples: of grids that tell all cuts apart, or all but some
    at the ends, to which their codes do not reach.
    """
    found: list[tuple[Grid, Levels]] = []
    windows = list(_windows(cuts, exact)) or [(1, 1)]
    for bits in itertools.count(1):
        fits = [_fit(low, high, bits) for low, high in windows]
        last = fits[0] is not None and fits[0].shift == 0
        kept = [grid for grid in (fits[:1] if last else fits) if grid is not None]
        tried = [(grid, grid.levels(column, cuts, finest, rounding)) for grid in kept]
        found.append(min(tried, key=lambda one: int((one[1] != exact).sum())))  # of equal ones, the most cuts
        if last:
            break
    return found


def _windows(cuts: ir.Ints, exact: Levels) -> Iterator[tuple[int, int]]:
    """The lowest and the highest cut to be told apart: of all cuts, and without the 1, 2, 4, … that fewest samples miss."""
    reached = np.cumsum(np.bincount(exact, minlength=len(cuts) + 1))
    first, last = 0, len(cuts) - 1
    while first <= last:
        dropped = len(cuts) - 1 - last + first
        if dropped & (dropped - 1) == 0 or first == last:
            yield cuts[first], cuts[last]
        if reached[first] <= reached[-1] - reached[last]:
            first += 1
        else:
            last -= 1


def _fit(lowest: int, highest: int, bits: int) -> Grid | None:
    """The finest grid of ``bits`` bits with codes on both sides of two cuts and all between; from code 0 if that fits."""
    for shift in range(_DEPTH + 2):
        low, high = -(-lowest >> shift) - 1, -(-highest >> shift)
        if high - low < 1 << bits:
            return Grid(bits, shift, 0 if low >= 0 and high < 1 << bits else low)
    return None


def shared(choices: Sequence[Sequence[Choice]], bits: int) -> tuple[Grid, ...]:
    """The grid of ``bits`` bits of each feature; where more bits are of no use, codes saturate later."""
    best = [options[min(bits, len(options)) - 1].grid for options in choices]
    return tuple(Grid(bits, grid.shift, grid.low) for grid in best)


def path(choices: Sequence[Sequence[Choice]]) -> list[tuple[Grid, ...]]:
    """The path of grids for all features, from no risk to the least cost: few points, each the best for its risk."""
    current = [min(options, key=lambda choice: (choice.risk, choice.cost)) for options in choices]
    points = [tuple(choice.grid for choice in current)]
    steps = sorted(
        (price, feature, serial, choice)
        for feature, options in enumerate(choices)
        for serial, (price, choice) in enumerate(_hull(current[feature], options))
    )
    risk, kept = sum(choice.risk for choice in current), 0.0
    for _, feature, _, choice in steps:
        added = choice.risk - current[feature].risk
        # The point before this step, if the step would take it too far from the last one.
        if risk + added > kept * _RISK_STEP and risk > kept:
            points.append(tuple(option.grid for option in current))
            kept = risk
        current[feature], risk = choice, risk + added
    return [*points, tuple(choice.grid for choice in current)]


def _hull(start: Choice, options: Sequence[Choice]) -> Iterator[tuple[float, Choice]]:
    """The way from ``start`` to the cheapest choice, by the least risk for each LUT saved, as (price, choice).

    The price is that risk, and never falls.
    """
    current, paid = start, 0.0
    while cheaper := [option for option in options if option.cost < current.cost]:
        best = min(cheaper, key=lambda option: (_price(current, option), option.cost))
        paid, current = max(paid, _price(current, best)), best
        yield paid, current


def _price(dear: Choice, cheap: Choice) -> float:
    return (cheap.risk - dear.risk) / (dear.cost - cheap.cost)
