"""Is a netlist the first maximum of its groups, for all inputs? Answered by enumeration, without enumerating all inputs.

A vote of five groups of ten bits has 2**50 inputs, but little of a group leaves it: a few nets, of which few patterns occur.
So groups are merged pair by pair, as in a tournament. Of a *cluster* of groups all that matters is which patterns occur on the
nets that go out of it, and for each the greatest value and the first group that has it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dwn_hw.mapped import Netlist

Array = npt.NDArray[Any]

#: The most combinations of two clusters' patterns that are looked at; a netlist that needs more is not of the kind meant here.
MOST_COMBINATIONS = 1 << 26

#: As many of them at a time.
_AT_A_TIME = 1 << 18


@dataclass(frozen=True, slots=True)
class Leaf:
    """What occurs on one group's input bits: ``bits`` (patterns, bits), and the ``values`` (patterns) that they mean."""

    bits: Array
    values: Array


@dataclass(frozen=True, slots=True)
class _Cluster:
    """Patterns (``rows``, a column a net of ``nets``) that occur together with a best value and its first group.

    ``example``: for each row one pattern of each leaf, counted from leaf ``first``, that gives it.
    """

    first: int
    last: int
    nets: tuple[int, ...]
    rows: Array
    best: Array
    index: Array
    example: Array


def counterexample(netlist: Netlist, leaves: Sequence[Leaf]) -> tuple[int, ...] | None:
    """None if the outputs are the index, LSB first, of the first leaf with the greatest value, whatever occurs.

    Else a pattern of each leaf for which they are not. The netlist's inputs are the leaves' bits in order.
    """
    starts = np.cumsum([0, *(leaf.bits.shape[1] for leaf in leaves)])
    owner = [int(np.searchsorted(starts, net, side="right")) - 1 for net in range(netlist.inputs)]
    spans = [(group, group) for group in owner]
    for cell in netlist.cells:
        below = [spans[net] for net in cell.inputs]
        spans.append((min(span[0] for span in below), max(span[1] for span in below)))
    clusters = [
        _leave(netlist, spans, _leaf(i, leaf, range(starts[i], starts[i + 1]))) for i, leaf in enumerate(leaves)
    ]
    while len(clusters) > 1:
        pairs = zip(clusters[::2], clusters[1::2], strict=False)
        merged = [_merge(netlist, spans, left, right) for left, right in pairs]
        clusters = merged + clusters[len(merged) * 2 :]
    whole = clusters[0]
    column = {net: whole.rows[:, i].astype(np.int64) for i, net in enumerate(whole.nets)}
    constant = np.zeros(len(whole.rows), np.int64)
    got = sum((column[net] if net >= 0 else constant - net - 1) << i for i, net in enumerate(netlist.outputs))
    wrong = np.flatnonzero(got != whole.index)
    return tuple(whole.example[wrong[0]].tolist()) if len(wrong) else None


def _leaf(group: int, leaf: Leaf, nets: range) -> _Cluster:
    patterns = np.arange(len(leaf.values))
    best, index = leaf.values.astype(np.int64), np.full(len(patterns), group)
    return _Cluster(group, group, tuple(nets), leaf.bits.astype(np.uint8), best, index, patterns[:, None])


def _merge(netlist: Netlist, spans: Sequence[tuple[int, int]], left: _Cluster, right: _Cluster) -> _Cluster:
    """Two neighbouring clusters as one."""
    combinations = len(left.best) * len(right.best)
    if combinations > MOST_COMBINATIONS:
        raise ValueError(f"{combinations} combinations of groups {left.first} to {right.last}: too many to enumerate")
    parts = []
    each = max(1, _AT_A_TIME // len(right.best))
    for start in range(0, len(left.best), each):
        some = np.arange(start, min(start + each, len(left.best)))
        parts.append(_leave(netlist, spans, _combine(left, np.repeat(some, len(right.best)), right)))
    return _distinct(
        dataclasses.replace(
            parts[0],
            rows=np.concatenate([part.rows for part in parts]),
            best=np.concatenate([part.best for part in parts]),
            index=np.concatenate([part.index for part in parts]),
            example=np.concatenate([part.example for part in parts]),
        )
    )


def _combine(left: _Cluster, a: Array, right: _Cluster) -> _Cluster:
    """Rows ``a`` of the left cluster with all rows of the right one, again and again."""
    b = np.tile(np.arange(len(right.best)), len(a) // len(right.best))
    wins = right.best[b] > left.best[a]
    return _Cluster(
        left.first,
        right.last,
        left.nets + right.nets,
        np.concatenate([left.rows[a], right.rows[b]], axis=1),
        np.where(wins, right.best[b], left.best[a]),
        np.where(wins, right.index[b], left.index[a]),
        np.concatenate([left.example[a], right.example[b]], axis=1),
    )


def _leave(netlist: Netlist, spans: Sequence[tuple[int, int]], cluster: _Cluster) -> _Cluster:
    """The cluster with only the nets that are read outside, and each of their patterns once."""

    def inside(net: int) -> bool:
        return net >= 0 and cluster.first <= spans[net][0] and spans[net][1] <= cluster.last

    outside = [c for i, c in enumerate(netlist.cells) if not inside(netlist.inputs + i)]
    leaving = {net for cell in outside for net in cell.inputs if inside(net)}
    nets = tuple(sorted(leaving | {net for net in netlist.outputs if inside(net)}))
    values = {net: cluster.rows[:, i] for i, net in enumerate(cluster.nets)}
    for net in _needed(netlist, nets, values):
        cell = netlist.cells[net - netlist.inputs]
        address = np.zeros(len(cluster.rows), np.uint8)
        for slot, source in enumerate(cell.inputs):
            address |= values[source] << slot
        values[net] = np.array([cell.table >> a & 1 for a in range(1 << len(cell.inputs))], np.uint8)[address]
    rows = np.stack([values[net] for net in nets], axis=1) if nets else np.zeros((len(cluster.rows), 0), np.uint8)
    return _distinct(dataclasses.replace(cluster, nets=nets, rows=rows))


def _distinct(cluster: _Cluster) -> _Cluster:
    """Each pattern with the same best value and group once."""
    key = cluster.best * (cluster.last + 1) + cluster.index
    assert int(cluster.best.max() + 1) * (cluster.last + 1) << len(cluster.nets) < 1 << 63, "a key is one integer"
    for i in range(len(cluster.nets)):
        key = key * 2 + cluster.rows[:, i]
    _, kept = np.unique(key, return_index=True)
    return dataclasses.replace(
        cluster,
        rows=cluster.rows[kept],
        best=cluster.best[kept],
        index=cluster.index[kept],
        example=cluster.example[kept],
    )


def _needed(netlist: Netlist, nets: Sequence[int], known: dict[int, Array]) -> list[int]:
    """The cells, in order, that must be evaluated to know ``nets``."""
    needed, stack = set[int](), list(nets)
    while stack:
        net = stack.pop()
        if net not in known and net not in needed:
            needed.add(net)
            stack += netlist.cells[net - netlist.inputs].inputs
    return sorted(needed)
