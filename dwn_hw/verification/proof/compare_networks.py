"""Proves that two networks mean the same for all codes, which is what the passes must keep.

Both become logic side by side, over the bits of the port. Their last bits are put into *classes* of equal and inverse ones:
random and directed cases say which may be equal, SAT proves that they are, or gives a case that tells them apart. A group's
sum is then a bias and a weight for each class, and those must be the same in both networks. What follows the sums is compared
in the same way, for all values that they can have.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dwn_hw import ir
from dwn_hw.ir import packing
from dwn_hw.verification.proof import naive
from dwn_hw.verification.proof.aig import FALSE, Aig, Planes, pack
from dwn_hw.verification.proof.place_values import Linear
from dwn_hw.verification.proof.sat import Verdict, compare

#: The words of random cases that sort bits into classes.
_WORDS = 64


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment of a network: nodes up to a group sum or the end, and the edge before them."""

    first: int
    nodes: tuple[ir.Node, ...]
    before: ir.Edge

    @property
    def votes(self) -> ir.GroupSum | None:
        """The group sum at the segment's end, if there is one."""
        return last if isinstance(last := self.nodes[-1], ir.GroupSum) else None


def segments(network: ir.Network) -> Iterator[Segment]:
    """The segments of a network, which is cut behind each group sum."""
    first, edges = 0, network.edges()
    for i, node in enumerate(network.nodes, 1):
        if isinstance(node, ir.GroupSum) or i == len(network.nodes):
            yield Segment(first, network.nodes[first:i], edges[first])
            first = i


def same_shape(before: ir.Network, after: ir.Network) -> bool:
    """Whether their ports are the same, and their sums and results can be compared one by one."""
    shapes = [
        [network.input.edge, *((s.before.size, s.votes is None) for s in segments(network)), network.edges()[-1].size]
        for network in (before, after)
    ]
    return shapes[0] == shapes[1]


class Pair:
    """One segment of two networks, side by side in one piece of logic over the bits of ``edge``."""

    def __init__(self, one: Segment, other: Segment) -> None:
        self.edge = _common(one.before, other.before)
        self.logic = Aig(self.edge.bits)
        self._sides = [self._place(segment) for segment in (one, other)]
        self.sums = one.votes is not None

    def _place(self, segment: Segment) -> tuple[list[int], list[ir.Group]]:
        """The last bits of a segment, and the groups that sum them; in a segment without sums each bit is a group."""
        edge, bits = segment.before, _extended(self.logic.literals(), self.edge, segment.before)
        for node in segment.nodes[: -1 if segment.votes else None]:
            bits, edge = naive.place(self.logic, node, edge, bits), node.output(edge)
        if segment.votes:
            return bits, list(segment.votes.split(edge.size))
        return bits, [ir.Group((i,), (1,), 0) for i in range(len(bits))]

    def compare(self, planes: Planes, timeout: float) -> Verdict:
        """Whether both segments are equal for all values of ``edge``; ``planes`` are cases to begin with."""
        ended = time.monotonic() + timeout
        verdict, found = self._classes(planes, ended)
        if not verdict.equal:
            return verdict
        forms = [[self._linear(group, bits, found) for group in groups] for bits, groups in self._sides]
        if forms[0] == forms[1]:
            return Verdict(True, f"{verdict.how}, weights of equal bits" if self.sums else verdict.how)
        return self._compare_totals(max(1.0, ended - time.monotonic()))

    def _classes(self, planes: Planes, ended: float) -> tuple[Verdict, dict[int, int]]:
        """The class of each bit: a literal of the first bit that is equal or inverse, or a constant; and how that was proven."""
        read = sorted({bits[m] for bits, groups in self._sides for group in groups for m in group.members})
        rng = np.random.default_rng(0)
        planes = np.concatenate([planes, rng.integers(0, 2**64, (len(planes), _WORDS), np.uint64)], axis=1)
        while True:
            found = self._sort(read, planes)
            left, right = self.logic.cone(read), self.logic.cone([found[literal] for literal in read])
            verdict = compare(left, right, max(1.0, ended - time.monotonic()))
            if verdict.equal:
                return verdict, found
            if verdict.case is None or time.monotonic() > ended:
                return Verdict(None, f"{verdict.how}: which bits are equal is open"), {}
            near = verdict.case ^ np.concatenate(
                [np.eye(len(planes), dtype=np.uint8), np.zeros((1, len(planes)), np.uint8)]
            )
            planes = np.concatenate([planes, pack(near)], axis=1)

    def _sort(self, read: Sequence[int], planes: Planes) -> dict[int, int]:
        if not read:
            return {}
        columns = self.logic.cone(read).simulate(planes)
        inverted = (columns[:, 0] & np.uint64(1)).astype(bool)
        columns ^= np.where(inverted, np.uint64(2**64 - 1), np.uint64(0))[:, None]
        known: dict[bytes, int] = {bytes(columns[0].nbytes): FALSE}
        found = {}
        for literal, column, odd in zip(read, columns, inverted.tolist(), strict=True):
            found[literal] = known.setdefault(column.tobytes(), literal ^ odd) ^ odd
        return found

    def _linear(self, group: ir.Group, bits: Sequence[int], found: dict[int, int]) -> Linear:
        return Linear.of(group.bias, [(found[bits[m]], w) for m, w in zip(group.members, group.weights, strict=True)])

    def _compare_totals(self, timeout: float) -> Verdict:
        """Compare the sums themselves: the weights of classes may differ and the sums be equal."""
        every = [group for _, groups in self._sides for group in groups]
        width = ir.Format.covering(min(group.low for group in every), max(group.high for group in every)).bits
        one, other = (
            self.logic.cone([bit for group in groups for bit in naive.total(self.logic, group, bits, width)])
            for bits, groups in self._sides
        )
        return compare(one, other, timeout)


def _common(one: ir.Edge, other: ir.Edge) -> ir.Edge:
    """An edge of the values that both edges can carry: where equal values flow on both, they are such values."""
    formats = [
        ir.Format.covering(max(a.low, b.low), min(a.high, b.high))
        for a, b in zip(one.flat_formats(), other.flat_formats(), strict=True)
    ]
    return ir.Edge((len(formats),), tuple(formats))


def _extended(bits: Sequence[int], edge: ir.Edge, wide: ir.Edge) -> list[int]:
    """The bits of ``edge``, extended to those of an edge of wider formats."""
    found = []
    for number, fmt, wanted in zip(naive.entries(edge, bits), edge.flat_formats(), wide.flat_formats(), strict=True):
        found += [*number, *[number[-1] if fmt.signed else FALSE] * wanted.bits][: wanted.bits]
    return found


def compare_networks(
    before: ir.Network, after: ir.Network, traces: Sequence[npt.NDArray[np.int64]], timeout: float
) -> Iterator[tuple[Pair, Verdict]]:
    """Compare each pair of segments. ``traces``: what flows on each edge of ``before`` for some codes."""
    for one, other in zip(segments(before), segments(after), strict=True):
        pair = Pair(one, other)
        values = traces[one.first].reshape(len(traces[0]), -1)
        yield pair, pair.compare(pack(packing.pack(values, pair.edge)), timeout)
