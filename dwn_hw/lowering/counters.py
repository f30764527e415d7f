"""Counting ones without carry chains, in the fewest LUTs that a search over compressor trees finds.

Columns are worked off from the lowest weight up, by the steps of :mod:`dwn_hw.lowering.compressors`, until each holds one bit;
the sequence is found by A* over the columns' heights. Counting lossily is impossible, so a LUT takes away about one bit; that is
what the search expects of the LUTs to come.

Found: 10 bits 7 LUT6, 14: 10, 20: 16, 64: 58, 100: 90.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator, Sequence
from functools import cache

from dwn_hw.lowering.compressors import Column, Refs, Step, after, step, tables
from dwn_hw.mapped import FALSE, Builder

#: Columns higher than ``k`` by this are always reduced by steps of ``k`` bits of one weight, which keeps the search small.
_SEARCHED_HEIGHT = 2

#: The most nets that a last step, which leaves one bit a column, takes; so many have 2**14 values at most.
_LAST_NETS = 14

#: How many LUTs a search expects for a bit that is to go, as parts of what plain steps take. With less it finds better
#: sequences, more slowly; the best of all searches is taken.
_EXPECTED = (0.7, 0.9, 1.1, 3.0)

#: A search ends without result after so many states, but for the last.
_MOST_STATES = 2000

#: The weight that is being worked on, and the columns of it and above; none when all is done.
State = tuple[int, tuple[Column, ...]]


@cache
def plan(heights: tuple[int, ...], k: int) -> tuple[Step, ...]:
    """Steps from columns of these heights to at most one bit a column. Pure and deterministic."""
    plain = min(n.bit_length() / (n - n.bit_length()) for n in range(3, k + 1))
    found = [_search(heights, k, part * plain, part == _EXPECTED[-1]) for part in _EXPECTED]
    return min((steps for steps in found if steps is not None), key=lambda steps: sum(step.cost for step in steps))


def _search(heights: tuple[int, ...], k: int, a_bit: float, to_the_end: bool) -> tuple[Step, ...] | None:
    """A* that expects ``a_bit`` LUTs for each bit that is to go."""
    start: State = (0, tuple((height, 0) for height in heights))
    best: dict[State, int] = {start: 0}
    came: dict[State, tuple[State, Step | None]] = {}
    serial = itertools.count()
    queue: list[tuple[float, int, int, State]] = [(0, 0, 0, start)]
    for _ in itertools.count() if to_the_end else range(_MOST_STATES):
        _, _, cost, state = heapq.heappop(queue)
        if cost > best[state]:
            continue
        if not state[1]:
            return _trace_back(came, state)
        for following, made in _moves(state, k):
            total = cost + (made.cost if made else 0)
            if total < best.get(following, 1 << 30):
                best[following] = total
                came[following] = (state, made)
                expected = a_bit * max(0, sum(map(sum, following[1])) - len(following[1]))
                # Of equal ones the latest first: that goes deep.
                heapq.heappush(queue, (total + expected, -next(serial), total, following))
    return None


def _trace_back(came: dict[State, tuple[State, Step | None]], state: State) -> tuple[Step, ...]:
    steps = []
    while state in came:
        state, made = came[state]
        if made is not None:
            steps.append(made)
    return tuple(reversed(steps))


def _moves(state: State, k: int) -> Iterator[tuple[State, Step | None]]:
    weight, columns = state
    if sum(columns[0]) <= 1:
        yield (weight + 1, columns[1:]), None
        return
    if sum(map(sum, columns)) <= _LAST_NETS:
        greatest = sum(sum(column) << i for i, column in enumerate(columns))
        last = step(weight, columns, (False,) * min(len(columns), greatest.bit_length()), k)
        if last:
            yield (weight + len(columns), ()), last
    for take, riders in _shapes(columns, k):
        made = step(weight, take, riders, k)
        if made:
            yield (weight, after(columns, made)), made


def _shapes(columns: tuple[Column, ...], k: int) -> Iterator[tuple[tuple[Column, ...], tuple[bool, ...]]]:
    """What a step may take of the columns, and which of its outputs may have riders."""
    loose, chained = columns[0]
    if max(loose, chained) >= k + _SEARCHED_HEIGHT:
        take: tuple[Column, ...] = ((k, 0),) if loose >= k + _SEARCHED_HEIGHT else ((0, k),)
        outputs = min(k.bit_length(), len(columns))
        rides = outputs > 1 and _may_ride(columns[outputs - 1], k)
        yield take, (*(False,) * (outputs - 1), rides)
        return
    # Of several chains the first, which is full, is taken whole.
    lowest = [(0, part) for part in range(2 if chained <= k else k, min(chained, k) + 1)]
    whole = {0, chained} if chained <= k else {0}
    lowest += [(a, l) for a in range(1, min(loose, k) + 1) for l in whole if 2 <= a + l <= k]
    high = [min(column[0], k) for column in (*columns[1:3], (0, 0), (0, 0))]
    for low in lowest:
        for b in range(high[0] + 1):
            for c in range(min(high[1], 2) + 1):
                if sum(low) + b + c <= k + 2:
                    take = (low, (b, 0), (c, 0))[: 3 if c else 2 if b else 1]
                    outputs = min((sum(low) + 2 * b + 4 * c).bit_length(), len(columns))
                    for riders in _riders(columns, take, outputs, k):
                        yield take, riders


def _riders(
    columns: tuple[Column, ...], take: tuple[Column, ...], outputs: int, k: int
) -> Iterator[tuple[bool, ...]]:
    left = [(loose - take[i][0] if i < len(take) else loose, chained) for i, (loose, chained) in enumerate(columns)]
    choices = [(False, True) if _may_ride(column, k) else (False,) for column in left[1:outputs]]
    yield from itertools.product((False,), *choices)


def _may_ride(column: Column, k: int) -> bool:
    """Whether there is a chain that is not full, or a loose net to begin one."""
    loose, chained = column
    return loose > 0 or chained % k > 0


def count_ones(builder: Builder, name: str, columns: Sequence[Sequence[int]], k: int) -> list[int]:
    """Nets of the binary sum of ``columns`` (column ``i``: nets of weight 2**i), one a column; the sum must fit them.

    Cells are named ``<name>_w<weight of the output>_<serial>``. Bits are taken in order of age, so the tree stays balanced.
    """
    loose = [list(column) for column in columns]
    chains: list[list[int]] = [[] for _ in columns]
    for serial, made in enumerate(plan(tuple(len(column) for column in columns), k)):
        nets: list[int] = []
        for weight, (single, chained) in enumerate(made.take, made.weight):
            nets += loose[weight][:single] + chains[weight][:chained]
            del loose[weight][:single], chains[weight][:chained]
        taken, outputs = len(nets), len(made.riders)
        nets += [FALSE] * outputs + _riders_of(made, loose, chains, k)
        for j, (refs, table) in enumerate(zip(made.inputs, tables(made), strict=True)):
            weight = made.weight + j
            net = nets[made.parity()]
            if refs:
                net = builder.lut(f"{name}_w{weight}_{serial}", [nets[ref] for ref in refs], table)
            nets[taken + j] = net
            if made.riders[j]:
                chains[weight].append(net)
            elif j == 0 and 0 < made.take[0][1] < k and chains[weight]:
                chains[weight].insert(0, net)
            else:
                loose[weight].append(net)
    return [column[0] if column else FALSE for column in loose]


def _riders_of(made: Step, loose: list[list[int]], chains: list[list[int]], k: int) -> list[int]:
    """The net that each output is chained to; a loose one begins a chain."""
    riders = []
    for weight, rides in enumerate(made.riders, made.weight):
        if rides and not len(chains[weight]) % k:
            chains[weight].append(loose[weight].pop(0))
        riders.append(chains[weight][-1] if rides else FALSE)
    return riders
