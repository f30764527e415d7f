"""Plans the thermometer encoder of one feature: what its comparisons share.

:mod:`dwn_hw.hardware.lowering.encoder` builds it.

``code >= u`` needs the code's low bits only where the code is near ``u``. Around each threshold lies a *window*, an interval of
codes, told by at most two *edges*: signals that are there anyway, which are comparisons with other thresholds and the top
bit, or one LUT that says whether the code is in the range of all thresholds. Within the window a few bits tell its blocks of
``2**L`` codes apart, and the comparison is one LUT of the edges, these bits and a carry::

    code >= u   =   above the window or the own block,   or in the own block and c,      c = low bits >= low bits of u

The carry ``c`` matters only in the own block, so thresholds of different blocks share one *chain*: a chain LUT takes low bits,
the carry below, and as many signals as tell its members' slices apart.

Thresholds that are edges of others come first: they make a *stage* of their own, planned in the same way. Which they are, and
which thresholds share a chain, is a small seeded search, bounded in steps: the same thresholds always give the same plan.
"""

from __future__ import annotations

import functools
import itertools
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from dwn_hw.hardware.lowering.windows import Codes, Signal, Window, best_window, value
from dwn_hw.ir import Ints

#: The steps of the search for one stage: for each of its thresholds, and at most.
STEPS, MAX_STEPS = 150, 4000

#: The number of plans for which groupings are searched: those whose first grouping is cheapest.
SEARCHED = 3

#: The most stages of edges, and the numbers of edges that are tried for one stage.
MAX_DEPTH, EDGES = 2, (1, 3, 7, 15)

#: The number of latest chains that a first grouping tries to put a threshold in.
OPEN = 12

#: The number of levels of depth that count as much as a LUT when a plan of a feature is chosen.
LEVELS_A_LUT = 4

#: The number of choices that are tried for each number of edges: one at even ranks, the others moved by one at random.
CHOICES = 3

_IMPOSSIBLE = 1_000_000


@dataclass(frozen=True, slots=True)
class Slice:
    """One chain LUT: low bits ``low … low + width - 1``, and the signals that tell its members apart."""

    low: int
    width: int
    select: tuple[Signal, ...]


@dataclass(frozen=True, slots=True)
class Chain:
    """The ``members`` are thresholds that share a carry out of the ``low_bits`` lowest bits; slices from the low bits up."""

    members: Ints
    low_bits: int
    slices: tuple[Slice, ...]


@dataclass(frozen=True, slots=True)
class Stage:
    """Comparisons that need those of earlier stages only."""

    windows: tuple[Window, ...]
    chains: tuple[Chain, ...]


@dataclass(frozen=True, slots=True)
class EncoderPlan:
    """All comparisons of a feature, in stages.

    ``cost``: the LUTs that they take at most. ``levels``: by threshold, the levels of LUTs up to and with its comparison.
    """

    stages: tuple[Stage, ...] = ()
    cost: int = 0
    levels: Mapping[int, int] = field(default_factory=dict)

    @property
    def score(self) -> float:
        """What is minimised: the LUTs, and a little of the depth."""
        return self.cost + max(self.levels.values(), default=0) / LEVELS_A_LUT


@functools.lru_cache(maxsize=4096)
def plan(thresholds: Ints, width: int, k: int, share: bool = True) -> EncoderPlan:
    """The cheapest plan for different ``thresholds``, rising, in 1 … 2**width - 1, of LUTs of ``k`` inputs.

    ``share`` off: a chain and a LUT for each threshold, without edges.
    """
    if not share:
        return _alone(thresholds, Codes(width, k))
    return _search(thresholds, Codes(width, k), 0)


def quick_plan(thresholds: Ints, width: int, k: int) -> EncoderPlan:
    """The plan before edges and groupings are searched: up to a third more LUTs, found in milliseconds."""
    return _first(thresholds, Codes(width, k), MAX_DEPTH)


def rough_cost(thresholds: Ints, width: int, k: int) -> int:
    """The LUTs of :func:`quick_plan`."""
    return quick_plan(thresholds, width, k).cost


@dataclass(frozen=True, slots=True)
class _Shape:
    """Which thresholds are edges, and the range that a LUT tells, if one does."""

    edges: Ints
    known: range | None


@functools.lru_cache(maxsize=4096)
def _search(thresholds: Ints, codes: Codes, depth: int) -> EncoderPlan:
    """Try every shape with first groupings, then search the groupings of the few best."""
    if not thresholds:
        return EncoderPlan()

    def first(shape: _Shape) -> float:
        return _made(thresholds, shape, codes, _first(shape.edges, codes, depth + 1), steps=0).score

    shapes = sorted(_shapes(thresholds, codes, depth), key=first)[:SEARCHED]
    steps = min(STEPS * len(thresholds), MAX_STEPS)
    found = [_made(thresholds, s, codes, _search(s.edges, codes, depth + 1), steps) for s in shapes]
    return min(found, key=lambda plan: plan.score)


@functools.lru_cache(maxsize=65536)
def _first(thresholds: Ints, codes: Codes, depth: int) -> EncoderPlan:
    """The cheapest plan of first groupings."""
    if not thresholds:
        return EncoderPlan()
    plans = (
        _made(thresholds, shape, codes, _first(shape.edges, codes, depth + 1), steps=0)
        for shape in _shapes(thresholds, codes, depth)
    )
    return min(plans, key=lambda plan: plan.score)


def _shapes(thresholds: Ints, codes: Codes, depth: int) -> Iterator[_Shape]:
    """The shapes without edges, then those with edges, at most two thirds of the thresholds; each with every range."""
    choices = [()] if depth >= MAX_DEPTH else [(), *_edges(thresholds)]
    for edges, known in itertools.product(choices, _ranges(thresholds, codes)):
        yield _Shape(edges, known)


def _edges(thresholds: Ints) -> Iterator[Ints]:
    last = len(thresholds) - 1
    for count in EDGES:
        if 3 * count > 2 * last:
            return
        rng = random.Random(count)
        even = [(i + 1) * len(thresholds) // (count + 1) for i in range(count)]
        for choice in range(CHOICES):
            moved = [min(last, max(0, i + rng.choice((-1, 0, 1)))) for i in even] if choice else even
            yield tuple(thresholds[i] for i in sorted(set(moved)))


def _ranges(thresholds: Ints, codes: Codes) -> list[range | None]:
    """The ranges that a LUT may tell, as finely as the top bits allow.

    None; from the lowest threshold up; up to the highest; between both.
    """
    step = 1 << max(0, codes.width - codes.k)
    low, high = thresholds[0] // step * step, (thresholds[-1] // step + 1) * step
    found = {range(low, codes.end), range(high), range(low, high)} - {range(codes.end)}
    return [None, *sorted(found, key=lambda known: (known.start, known.stop))]


def _alone(thresholds: Ints, codes: Codes) -> EncoderPlan:
    windows = tuple(best_window(u, (), codes) for u in thresholds)
    grouping = _Grouping(windows, (), codes)
    return _planned(EncoderPlan(), windows, [grouping.chain((w.threshold,)) for w in windows if w.chained])


def _made(thresholds: Ints, shape: _Shape, codes: Codes, before: EncoderPlan, steps: int) -> EncoderPlan:
    """The plan of a shape. ``before`` makes its edges; a search of ``steps`` steps groups the other thresholds."""
    signals: list[Signal] = [*range(codes.width), *(range(edge, codes.end) for edge in shape.edges)]
    if shape.known is not None:
        signals.append(shape.known)
    rest = tuple(u for u in thresholds if u not in shape.edges)
    windows = tuple(best_window(u, signals[codes.width - 1 :], codes) for u in rest)
    grouping = _Grouping(windows, tuple(signals), codes)
    chains = [grouping.chain(members) for members in grouping.search(steps)]
    return _planned(before, windows, chains, shape.known is not None)


def _planned(before: EncoderPlan, windows: tuple[Window, ...], chains: list[Chain], known: bool = False) -> EncoderPlan:
    """The plan ``before`` with a stage more. A LUT ends each comparison that is more than a bit; with ``known`` one tells
    the range.
    """

    def level(signal: Signal) -> int:
        return before.levels.get(signal.start, 1) if isinstance(signal, range) else 0

    cost = before.cost + known + sum(window.inputs > 1 for window in windows)
    carries: dict[int, int] = {}
    for chain in chains:
        cost += len(chain.slices)
        at = 0
        for piece in chain.slices:
            at = 1 + max([at, *map(level, piece.select)])
        carries |= dict.fromkeys(chain.members, at)
    levels = {
        window.threshold: 1 + max([carries.get(window.threshold, 0), *(level(edge.signal) for edge in window.edges)])
        for window in windows
    }
    return EncoderPlan((*before.stages, Stage(windows, tuple(chains))), cost, {**before.levels, **levels})


class _Grouping:
    """Which thresholds of a stage share a chain; ``signals`` may tell a chain's members apart."""

    def __init__(self, windows: tuple[Window, ...], signals: tuple[Signal, ...], codes: Codes) -> None:
        self._windows = {window.threshold: window for window in windows}
        self._signals, self._codes = signals, codes
        self._costs: dict[Ints, int] = {(): 0}
        self._told: dict[tuple[int, int], tuple[bool | None, ...]] = {}

    def search(self, steps: int) -> list[Ints]:
        """A first grouping, then a seeded local search that moves and swaps members."""
        chained = [u for u, window in self._windows.items() if window.chained]
        chains = self._first_fit(chained)
        best, best_cost = chains, sum(map(self._cost, chains))
        total, rng = best_cost, random.Random(len(chained) * 64 + self._codes.width)
        for _ in range(steps if total > 1 else 0):
            u = rng.choice(chained)
            here = next(i for i, chain in enumerate(chains) if u in chain)
            there = rng.randrange(len(chains) + 1)
            if there == here:
                continue
            target = chains[there] if there < len(chains) else ()
            back = {rng.choice(target)} if target and rng.random() < 0.4 else set()
            new_here = tuple(sorted({*chains[here], *back} - {u}))
            new_there = tuple(sorted({*target, u} - back))
            change = self._cost(new_here) + self._cost(new_there) - self._cost(chains[here]) - self._cost(target)
            if change <= 0:
                updated = [*chains, ()] if there == len(chains) else list(chains)
                updated[here], updated[there] = new_here, new_there
                chains, total = [chain for chain in updated if chain], total + change
                if total < best_cost:
                    best, best_cost = chains, total
        return best

    def _first_fit(self, chained: list[int]) -> list[Ints]:
        chains: list[Ints] = []
        for u in chained:
            for i in range(max(0, len(chains) - OPEN), len(chains)):
                joined = (*chains[i], u)  # rising, as they come
                if self._cost(joined) < self._cost(chains[i]) + self._cost((u,)):
                    chains[i] = joined
                    break
            else:
                chains.append((u,))
        return chains

    def _cost(self, members: Ints) -> int:
        if members not in self._costs:
            chain = self._try(members)
            self._costs[members] = _IMPOSSIBLE if chain is None else len(chain.slices)
        return self._costs[members]

    def chain(self, members: Ints) -> Chain:
        """The chain of members for which there is one."""
        chain = self._try(members)
        assert chain is not None, members
        return chain

    def _try(self, members: Ints) -> Chain | None:
        """A chain for these members, or None; zeros below every member's lowest one are skipped."""
        low_bits = max(self._windows[u].low_bits for u in members)
        lows = [u & (1 << low_bits) - 1 for u in members]
        telling = self._telling(members, low_bits)
        at = min((u & -u).bit_length() - 1 for u in lows)
        found: list[Slice] = []
        while at < low_bits:
            free = self._codes.k - bool(found)
            for width in range(min(free, low_bits - at), 0, -1):
                parts = tuple(low >> at & (1 << width) - 1 for low in lows)
                chosen = _separating(tuple(telling), parts, free - width)
                if chosen is not None:
                    found.append(Slice(at, width, tuple(telling[mask] for mask in chosen)))
                    at += width
                    break
            else:  # even one bit needs too many signals
                return None
        return Chain(members, low_bits, tuple(found))

    def _telling(self, members: Ints, low_bits: int) -> dict[int, Signal]:
        """The signals that tell members apart, each by the mask of the members for which it differs from the first."""
        found: dict[int, Signal] = {}
        rows = [self._values(u, low_bits) for u in members]
        for signal, values in zip(self._signals, zip(*rows, strict=True), strict=True):
            if None not in values and len(set(values)) > 1:
                mask = sum((v != values[0]) << i for i, v in enumerate(values))
                found.setdefault(mask, signal)
        return found

    def _values(self, threshold: int, low_bits: int) -> tuple[bool | None, ...]:
        """The value of each signal among the codes for which the carry decides; None for one that differs among them."""
        key = threshold, low_bits
        if key not in self._told:
            block = self._windows[threshold].own_block(low_bits)
            self._told[key] = tuple(value(signal, block) for signal in self._signals)
        return self._told[key]


@functools.lru_cache(maxsize=1 << 17)
def _separating(masks: Ints, parts: Ints, most: int) -> Ints | None:
    """The fewest masks, at most ``most``, under which members of different parts differ."""
    if len(set(parts)) > 1 << most:
        return None
    needed = _differing(parts)
    told = [(mask, _differing(tuple(mask >> i & 1 for i in range(len(parts))))) for mask in masks]
    tries = (_covering(needed, told, count) for count in range(most + 1))
    return next((found for found in tries if found is not None), None)


@functools.lru_cache(maxsize=1 << 16)
def _differing(values: Ints) -> int:
    """The pairs of members that differ, as a set of bits."""
    return sum((a != b) << i for i, (a, b) in enumerate(itertools.combinations(values, 2)))


def _covering(needed: int, told: list[tuple[int, int]], count: int) -> Ints | None:
    """A choice of at most ``count`` masks that tell the needed pairs apart, or None."""
    if not needed or not count:
        return None if needed else ()
    if count == 1:
        return next(((mask,) for mask, pairs in told if not needed & ~pairs), None)
    lowest = needed & -needed
    for mask, pairs in told:
        if pairs & lowest:
            rest = _covering(needed & ~pairs, told, count - 1)
            if rest is not None:
                return (mask, *rest)
    return None
