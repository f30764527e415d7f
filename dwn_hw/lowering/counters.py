"""Counting ones without carry chains, in the fewest LUTs that a search over compressor trees finds.

A *compressor* takes a few bits of weights w, w+1, w+2 and gives their sum in binary; each of its outputs is one LUT of at most
``k`` inputs, so it costs as many LUTs as it has outputs (6 bits of one weight: three). Columns are worked off from
the lowest weight up; when all bits that are left fit one LUT, every remaining output is one LUT of them directly. The
cheapest sequence is found by the A* algorithm over the heights of the columns. An output beyond the width of the
count never occurs, and costs nothing. A constant to be added takes no input: any compressor of a column may add its bit.

Found: 10 bits 8 LUT6, 16: 13, 20: 17, 64: 60.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from dwn_hw.mapped import FALSE, TRUE, Builder, table_of

#: Of columns higher than this only full compressors are tried, which keeps the search small.
_SEARCHED_HEIGHT = 24

Heights = tuple[int, ...]

#: The column that is being worked on, the heights of it and those above, and what is still to be added, in its units.
State = tuple[int, Heights, int]


@dataclass(frozen=True, slots=True)
class Step:
    """Take ``take[i]`` bits of weight ``weight + i``; give one sum bit of each weight from ``weight`` up, ``outputs`` of them.

    ``add``, in units of ``weight``, is added to the sum.
    """

    weight: int
    take: tuple[int, ...]
    outputs: int
    add: int = 0


@cache
def plan(heights: Heights, k: int, constant: int = 0) -> tuple[Step, ...]:
    """The cheapest steps from columns of these heights, and a constant, to one bit or the constant's own in each column.

    Pure and deterministic.
    """
    start = (0, heights, constant)
    best: dict[State, int] = {start: 0}
    came: dict[State, tuple[State, Step | None]] = {}
    serial = itertools.count()
    queue = [(0, 0, next(serial), start)]
    while queue:
        _, paid, _, state = heapq.heappop(queue)
        cost = -paid
        if cost > best[state]:
            continue
        if not state[1]:
            return _trace_back(came, state)
        for following, step in _moves(state, k):
            total = cost + (step.outputs if step else 0)
            if total < best.get(following, 1 << 30):
                best[following] = total
                came[following] = (state, step)
                heapq.heappush(queue, (total + _least(following[1], k), -total, next(serial), following))
    raise AssertionError("every column can be reduced to one bit")


def _least(heights: Heights, k: int) -> int:
    """LUTs that are needed at the least from columns of these heights."""
    worth = _worth(len(heights), k)
    return max(0, math.ceil(sum((h - 1) * value for h, value in zip(heights, worth, strict=True)) - 1e-6))


@cache
def _worth(columns: int, k: int) -> tuple[float, ...]:
    """LUTs that a bit more than one costs at least, for each column from the lowest: no compressor removes bits for less.

    The fewer columns are above, the more bits a compressor removes for an output: of the highest column it gives one output only.
    """
    if columns == 0:
        return ()
    above = _worth(columns - 1, k)
    value = math.inf
    for a in range(2, k + 1):
        for b in range(k - a + 1 if columns > 1 else 1):
            for c in range(k - a - b + 1 if columns > 2 else 1):
                outputs = min((a + 2 * b + 4 * c).bit_length(), columns)
                taken = sum(n * worth for n, worth in zip((b, c), above, strict=False))
                value = min(value, (outputs + sum(above[: outputs - 1]) - taken) / (a - 1))
    return (value, *above)


def _trace_back(came: dict[State, tuple[State, Step | None]], state: State) -> tuple[Step, ...]:
    steps = []
    while state in came:
        state, step = came[state]
        if step is not None:
            steps.append(step)
    return tuple(reversed(steps))


def _moves(state: State, k: int) -> Iterator[tuple[State, Step | None]]:
    weight, heights, constant = state
    odd = constant & 1
    if heights[0] + odd <= 1:
        yield (weight + 1, heights[1:], constant >> 1), None
        return
    if sum(heights) <= k:
        yield (weight + len(heights), (), 0), Step(weight, heights, len(heights), constant)
    for a in range(k if heights[0] > _SEARCHED_HEIGHT else 2 - odd, min(k, heights[0]) + 1):
        for b in range(min(k - a, heights[1] if len(heights) > 1 else 0) + 1):
            for c in range(min(k - a - b, heights[2] if len(heights) > 2 else 0) + 1):
                taken = (a, b, c)[: max(1, 3 if c else 2 if b else 1)]
                for add in {0, odd} if a > 1 else {odd}:
                    outputs = min((a + 2 * b + 4 * c + add).bit_length(), len(heights))
                    after = [h - (taken[i] if i < len(taken) else 0) + (i < outputs) for i, h in enumerate(heights)]
                    yield (weight, tuple(after), constant - add), Step(weight, taken, outputs, add)


def compress(builder: Builder, name: str, queues: list[list[int]], steps: Sequence[Step], constant: int) -> list[int]:
    """Nets of the sum of the columns ``queues`` (column ``i``: nets of weight 2**i) and ``constant``, modulo 2**columns.

    ``steps``: the :func:`plan` of their heights. Cells are named ``<name>_w<weight of the output>_<serial>``. Bits are taken
    in order of age, so the tree stays balanced.
    """
    for serial, step in enumerate(steps):
        taken, weights = take(queues, step.weight, step.take)
        for bit in range(step.outputs):
            table = table_of(
                len(taken),
                lambda a, bit=bit, weights=tuple(weights), add=step.add: (
                    add + sum(w for i, w in enumerate(weights) if a >> i & 1) >> bit & 1
                ),
            )
            queues[step.weight + bit].append(builder.lut(f"{name}_w{step.weight + bit}_{serial}", taken, table))
        constant -= step.add << step.weight
    return [column[0] if column else TRUE if constant >> i & 1 else FALSE for i, column in enumerate(queues)]


def take(queues: list[list[int]], weight: int, counts: Sequence[int]) -> tuple[list[int], list[int]]:
    """The oldest ``counts[i]`` bits of column ``weight + i``, taken away, and what each weighs in units of ``weight``."""
    taken: list[int] = []
    weights: list[int] = []
    for i, count in enumerate(counts):
        column = queues[weight + i]
        taken += column[:count]
        weights += [1 << i] * count
        del column[:count]
    return taken, weights
