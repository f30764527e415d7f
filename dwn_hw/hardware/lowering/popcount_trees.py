"""Counts ones without carry chains, in the fewest LUTs that a search over compressor trees finds.

Columns are worked off from the lowest weight up, by the steps of :mod:`dwn_hw.hardware.lowering.popcount_compressors`, until
each holds one bit; the sequence is found by A* over the columns' heights. Counting lossily is impossible, so a LUT
takes away about one bit; that is what the search expects of the LUTs to come. An output beyond the width of the count
never occurs, and costs nothing. A constant to be added takes no input: any step may add its bit of the lowest weight.

Found: 10 bits 7 LUT6, 14: 10, 20: 16, 64: 56, 100: 91.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from functools import cache

from dwn_hw.hardware.lowering.popcount_compressors import Column, CompressorStep, after, step, tables
from dwn_hw.hardware.lut_netlist import LutBuilder
from dwn_hw.ir.truth_tables import FALSE, TRUE

#: The height above ``k`` from which a column is always reduced by steps of ``k`` bits of one weight, to keep the search small.
_SEARCHED_HEIGHT = 8

#: The most nets that a last step, which leaves one bit a column, takes: these have 2**14 values at most.
_LAST_NETS = 14

#: The LUTs that a search expects for each bit that is to go, as parts of what plain steps take. A search that expects less
#: finds better sequences, more slowly. They are tried in this order, and the first search that comes to an end is taken; a
#: quick answer tries the last ones only.
_EXPECTED, _QUICK = (0.6, 0.75, 0.85, 0.95, 1.1, 1.3, 3.0), (1.3, 3.0)

#: The number of moves after which a search, and a quick one, ends without a result; the last search has no such limit.
_MOVES, _QUICK_MOVES = 40_000, 1_000

Heights = tuple[int, ...]

#: The weight that is being worked on, the columns from that weight up, and what is still to be added, in units of that weight.
#: No columns when all is done.
State = tuple[int, tuple[Column, ...], int]


@cache
def plan(heights: Heights, k: int, constant: int = 0, quick: bool = False) -> tuple[CompressorStep, ...]:
    """The steps from columns of these heights, and a constant, to one bit or the constant's own in each column.

    Pure and deterministic; ``quick``: in milliseconds, with a LUT or two more.
    """
    plain = min(n.bit_length() / (n - n.bit_length()) for n in range(3, k + 1))
    parts, most = (_QUICK, _QUICK_MOVES) if quick else (_EXPECTED, _MOVES)
    start: State = (0, tuple((height, 0) for height in heights), constant)
    for part in parts[:-1]:
        steps = _search(start, k, part * plain, most)
        if steps is not None:
            return steps
    return _search(start, k, parts[-1] * plain, math.inf) or ()


def cost(steps: Sequence[CompressorStep]) -> int:
    """The LUTs of all steps."""
    return sum(made.cost for made in steps)


def _search(start: State, k: int, a_bit: float, most: float = math.inf) -> tuple[CompressorStep, ...] | None:
    """Search by A*, expecting ``a_bit`` LUTs for each bit that is to go. None: ``most`` moves do not lead to the end."""
    best: dict[State, int] = {start: 0}
    came: dict[State, tuple[State, CompressorStep | None]] = {}
    moves = 0
    queue: list[tuple[float, int, int, State]] = [(0, 0, 0, start)]
    while moves < most:
        _, _, paid, state = heapq.heappop(queue)
        if paid > best[state]:
            continue
        if not state[1]:
            return _trace_back(came, state)
        for following, made in _moves(state, k):
            moves += 1
            total = paid + (made.cost if made else 0)
            if total < best.get(following, 1 << 30):
                best[following] = total
                came[following] = (state, made)
                expected = a_bit * max(0, sum(map(sum, following[1])) - len(following[1]))
                # Of equal ones the latest first: that goes deep.
                heapq.heappush(queue, (total + expected, -moves, total, following))
    return None


def _trace_back(came: dict[State, tuple[State, CompressorStep | None]], state: State) -> tuple[CompressorStep, ...]:
    steps = []
    while state in came:
        state, made = came[state]
        if made is not None:
            steps.append(made)
    return tuple(reversed(steps))


def _moves(state: State, k: int) -> Iterator[tuple[State, CompressorStep | None]]:
    weight, columns, constant = state
    odd = constant & 1
    if sum(columns[0]) + odd <= 1:
        yield (weight + 1, columns[1:], constant >> 1), None
        return
    if sum(map(sum, columns)) <= _LAST_NETS:
        greatest = constant + sum(sum(column) << i for i, column in enumerate(columns))
        last = step(weight, columns, min(len(columns), greatest.bit_length()), False, k, constant)
        if last:
            yield (weight + len(columns), (), 0), last
    for take in _takes(columns, k, 2 - odd):
        # A chain that goes on behind its parity cannot do so behind the inverse.
        goes_on = 0 < take[0][1] < min(k, columns[0][1])
        for add in {0, odd and not goes_on} if sum(take[0]) > 1 else {odd}:
            greatest = add + sum(sum(column) << i for i, column in enumerate(take))
            outputs = min(greatest.bit_length(), len(columns))
            for rides in (True, False) if _may_ride(columns, take, outputs, k) else (False,):
                made = step(weight, take, outputs, rides, k, int(add))
                if made:
                    yield (weight, after(columns, made), constant - add), made
                    if max(columns[0]) >= k + _SEARCHED_HEIGHT:
                        break


def _takes(columns: tuple[Column, ...], k: int, least: int) -> Iterator[tuple[Column, ...]]:
    """What a step may take of the columns: ``least`` bits or more of the first, and a few of the next two."""
    loose, chained = columns[0]
    if max(loose, chained) >= k + _SEARCHED_HEIGHT:
        yield ((k, 0) if loose >= k + _SEARCHED_HEIGHT else (0, k),)
        return
    # Of several chains the first, which is full, is taken whole.
    lowest = [(0, part) for part in range(2 if chained <= k else k, min(chained, k) + 1)]
    whole = {0, chained} if chained <= k else {0}
    lowest += [(a, part) for a in range(1, min(loose, k) + 1) for part in whole if least <= a + part <= k]
    high = [min(column[0], k) for column in (*columns[1:3], (0, 0), (0, 0))]
    for low in lowest:
        for b in range(high[0] + 1):
            for c in range(min(high[1], 2) + 1):
                if sum(low) + b + c <= k + 2:
                    yield (low, (b, 0), (c, 0))[: 3 if c else 2 if b else 1]


def _may_ride(columns: tuple[Column, ...], take: tuple[Column, ...], outputs: int, k: int) -> bool:
    """Whether the highest output finds a chain that is not full, or a loose net to begin one."""
    loose, chained = columns[outputs - 1]
    loose -= take[outputs - 1][0] if outputs <= len(take) else 0
    return outputs > 1 and (loose > 0 or chained % k > 0)


def compress(
    builder: LutBuilder, name: str, queues: list[list[int]], steps: Sequence[CompressorStep], constant: int
) -> list[int]:
    """Build the sum of the columns ``queues`` (column ``i``: nets of weight 2**i) and ``constant``, modulo 2**columns.

    ``steps``: the :func:`plan` of their heights. Cells are named ``<name>_w<weight of the output>_<serial>``. Bits are taken
    in order of age, so the tree stays balanced.
    """
    chains: list[list[int]] = [[] for _ in queues]
    for serial, made in enumerate(steps):
        nets: list[int] = []
        for weight, (single, chained) in enumerate(made.take, made.weight):
            nets += queues[weight][:single] + chains[weight][:chained]
            del queues[weight][:single], chains[weight][:chained]
        taken, highest = len(nets), made.weight + len(made.inputs) - 1
        if made.rides and not len(chains[highest]) % made.k:
            chains[highest].append(queues[highest].pop(0))
        nets += [FALSE] * len(made.inputs) + chains[highest][-1:]
        for j, (refs, table) in enumerate(zip(made.inputs, tables(made), strict=True)):
            weight = made.weight + j
            if j == 0 and made.parity is not None:
                net = nets[made.parity]
            else:
                net = builder.lut(f"{name}_w{weight}_{serial}", [nets[ref] for ref in refs], table)
            nets[taken + j] = net
            if made.rides and weight == highest:
                chains[weight].append(net)
            elif j == 0 and 0 < made.take[0][1] < made.k and chains[weight]:
                chains[weight].insert(0, net)
            else:
                queues[weight].append(net)
        constant -= made.add << made.weight
    return [column[0] if column else TRUE if constant >> i & 1 else FALSE for i, column in enumerate(queues)]


def take(queues: list[list[int]], weight: int, counts: Sequence[int]) -> tuple[list[int], list[int]]:
    """Take the oldest ``counts[i]`` bits of column ``weight + i`` away. Returns them, and what each weighs.

    A weight is ``2**i``, in units of the weight of the first column.
    """
    taken: list[int] = []
    weights: list[int] = []
    for i, count in enumerate(counts):
        column = queues[weight + i]
        taken += column[:count]
        weights += [1 << i] * count
        del column[:count]
    return taken, weights
