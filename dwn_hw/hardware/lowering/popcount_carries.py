"""Counts ones with carry chains, and chooses which bits go into which chain.

A chain adds, at each *site*, the carry below, a bit ``v`` of that weight if there is one, and one bit ``u`` that the LUT in
front of the site computes. So the LUTs of one, two or three sites in a row can hold the binary sum of up to five more bits
(``k - 1``: the last input is ``v``), as long as that sum fits as many bits; a carry of the lowest weight enters at the bottom.
Three sites thus take seven bits of one weight and one of each of the two next, and give four: five bits fewer for three LUTs,
where compressors in LUTs alone take five. A carry that leaves at the top takes a site of its own on most devices, and is
counted as one. The idea is that of the generalised parallel counters of Kumm and Zipf (FPL 2014) and of Preusser (FPL 2017).

The chains are found by a beam search from the lowest column up, whose every state is finished by :func:`counters.plan`;
deterministic, and of equal results the one with fewer chains.

Found: 32 bits 24 sites, 64: 50, 100: 76, 128: 101, 256: 202.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from dwn_hw.hardware.lowering import popcount_trees
from dwn_hw.hardware.lowering.popcount_compressors import CompressorStep
from dwn_hw.hardware.lowering.popcount_trees import Heights, compress, plan, take
from dwn_hw.hardware.lut_netlist import LutBuilder
from dwn_hw.ir import Ints
from dwn_hw.ir.truth_tables import FALSE, table_of

#: The number of states kept in each round of the search, at least and at most; between those limits as many states as hold
#: ``_BITS`` bits together.
_BEAM, _BITS = (4, 16), 1600

#: The most sites of a chain; longer ones found nothing better.
_SITES = 7

#: The bits that a compressor or chain removes for each LUT, about; this guides the search only.
_REDUCTION = 1.3

#: States with more bits than this are not tried without further chains.
_FINISHED = 40

#: The height of a column above which only groups that take all they can of the lowest weight are tried.
_BULK = 14

#: While the lowest column holds n bits, a chain leaves n/64 bits in each column above: chains that each wait for the one
#: before would make a deep tree. 100 bits take 10 levels; leaving none 17, and one site
#: less; leaving n/16 7, and nine more.
_WAITING = 64


@dataclass(frozen=True, slots=True)
class Chain:
    """A carry chain from weight ``weight`` up. Each group tells how many bits of each of its weights its LUTs sum.

    A group has as many sites as entries. Each site that ``own`` names adds one more bit; one of the lowest weight is the carry
    that enters.
    """

    weight: int
    groups: tuple[Ints, ...]
    own: tuple[bool, ...]

    @property
    def sites(self) -> int:
        """The number of sites, which is that of the LUTs in front of the chain."""
        return sum(map(len, self.groups))


CarryPlan = tuple[tuple[Chain, ...], tuple[CompressorStep, ...]]


@cache
def chain_plan(heights: Heights, k: int, chain_inputs: int, constant: int) -> CarryPlan:
    """The chains, then the compressors, that turn columns of these heights and a constant into one bit a column."""
    groups = _groups(chain_inputs - 1)
    beam = sorted((*_BEAM, _BITS // max(1, sum(heights))))[1]
    best: tuple[tuple[Chain, ...], Heights] = ((), heights)
    fewest = popcount_trees.cost(plan(heights, k, constant, quick=True))
    front: dict[Heights, tuple[int, tuple[Chain, ...]]] = {heights: (0, ())}
    while front:
        found: dict[Heights, tuple[int, tuple[Chain, ...]]] = {}
        for state, (cost, chains) in front.items():
            if chains and sum(state) <= _FINISHED:
                total = cost + popcount_trees.cost(plan(state, k, constant, quick=True))
                if total < fewest:
                    fewest, best = total, (chains, state)
            for chain, after in _chains(state, groups):
                total = cost + chain.sites + (chain.weight + chain.sites < len(state))
                if after not in found or total < found[after][0]:
                    found[after] = (total, (*chains, chain))
        ranked = sorted(found.items(), key=lambda entry: entry[1][0] + sum(entry[0]) / _REDUCTION)
        front = dict(ranked[:beam])
    chains, left = best
    return chains, plan(left, k, constant)


def luts(heights: Heights, k: int, constant: int, chain_inputs: int, quick: bool = False) -> int:
    """The number of LUTs that :func:`count_ones` takes for columns of these heights and a constant."""
    chains: tuple[Chain, ...] = ()
    if chain_inputs:
        chains, steps = chain_plan(heights, k, chain_inputs, constant)
    else:
        steps = plan(heights, k, constant, quick)
    return sum(chain.sites for chain in chains) + popcount_trees.cost(steps)


def _groups(most: int) -> tuple[Ints, ...]:
    """The groups that the LUTs of one, two or three sites can sum: at most ``most`` bits, whose sum has a bit for each site.

    Entry ``i`` of a group is the number of bits of weight ``2**i``, counted from the chain's first site of that group.
    """
    found = []
    for sites in (1, 2, 3):
        for counts in itertools.product(range(most + 1), repeat=sites):
            greatest = sum(count << i for i, count in enumerate(counts))
            if 0 < sum(counts) <= most and greatest.bit_length() == sites:
                found.append(counts)
    return tuple(found)


def _chains(heights: Heights, groups: tuple[Ints, ...]) -> Iterator[tuple[Chain, Heights]]:
    """Every chain that begins at the lowest column of three bits or more, and the columns that it leaves."""
    weight = next((i for i, height in enumerate(heights) if height > 2), None)
    if weight is None:
        return
    spare = heights[weight] // _WAITING
    entered = list(heights)
    entered[weight] -= 1
    if heights[weight] > _BULK:
        groups = tuple(counts for counts in groups if counts[0] == max(map(sum, groups)))
    stack: list[tuple[int, list[int], tuple[Ints, ...], tuple[bool, ...]]] = [(weight, entered, (), ())]
    while stack:
        at, left, chosen, own = stack.pop()
        if chosen:
            after = [height + (weight <= i < at) for i, height in enumerate(left)]
            if at < len(after):
                after[at] += 1
            yield Chain(weight, chosen, own), tuple(after)
        if at - weight < _SITES:
            for counts in groups:
                columns = left[at : at + len(counts)]
                if len(columns) == len(counts) and all(h >= t for h, t in zip(columns, counts, strict=True)):
                    rest = [h - t for h, t in zip(columns, counts, strict=True)]
                    more = tuple(h > (spare if at + i > weight else 0) for i, h in enumerate(rest))
                    rest = [h - has for h, has in zip(rest, more, strict=True)]
                    end = at + len(counts)
                    stack.append((end, left[:at] + rest + left[end:], (*chosen, counts), own + more))


def count_ones(
    builder: LutBuilder,
    name: str,
    columns: Sequence[Sequence[int]],
    k: int,
    constant: int = 0,
    chain_inputs: int = 0,
    quick: bool = False,
) -> list[int]:
    """Build the sum of ``columns`` (column ``i``: nets of weight 2**i) and ``constant``, modulo 2**columns; one net a column.

    ``chain_inputs``: the inputs of the LUT in front of a site of a carry chain; 0 for a count without chains. ``quick``: by a
    quick search, where there are no chains.
    """
    queues = [list(column) for column in columns]
    heights, constant = tuple(map(len, queues)), constant % (1 << len(queues))
    chains: tuple[Chain, ...] = ()
    if chain_inputs:
        chains, steps = chain_plan(heights, k, chain_inputs, constant)
    else:
        steps = plan(heights, k, constant, quick)
    for serial, chain in enumerate(chains):
        _add_chain(builder, f"{name}_chain{serial}", queues, chain)
    return compress(builder, name, queues, steps, constant)


def _add_chain(builder: LutBuilder, name: str, queues: list[list[int]], chain: Chain) -> None:
    carry = queues[chain.weight].pop(0)
    sites: list[tuple[int, int]] = []
    for group in chain.groups:
        bits, weights = take(queues, chain.weight + len(sites), group)
        for digit in range(len(group)):
            own = queues[chain.weight + len(sites)].pop(0) if chain.own[len(sites)] else FALSE
            table = table_of(
                len(bits) + 1,
                lambda a, digit=digit, weights=tuple(weights): (
                    (sum(w for i, w in enumerate(weights) if a >> (i + 1) & 1) >> digit ^ a) & 1
                ),
            )
            sites.append((builder.lut(f"{name}_lut{len(sites)}", [own, *bits], table), own))
    for i, net in enumerate(builder.chain(name, carry, sites)):
        if chain.weight + i < len(queues):
            queues[chain.weight + i].append(net)
