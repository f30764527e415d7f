"""What the sums of a shift layer read, as tables for ``kernels/emulate_shifts.py``: where numbers lie, and the order of sums.

A *tap* is the place of a number, counted from where an output's window begins. Taps are sorted by shift, the greatest first, and
come in *runs*: shift what is so far, add some, subtract others. A run is so short that a sum of it fits into the narrow type.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dwn_hw.ir.edges import Ints
from dwn_hw.ir.weighted_nodes import Conv2d, Dense

Table = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a layer wants what it reads, (channels, rows, columns): with a rim of ``padding``, columns split by ``stride``."""

    shape: Ints
    padding: Ints = (0, 0)
    stride: int = 1

    @property
    def line(self) -> int:
        """The places of a row, in which each rest of the stride has as many columns."""
        return self.stride * -(-(self.shape[2] + 2 * self.padding[1]) // self.stride)

    @property
    def size(self) -> int:
        """The places of all."""
        return self.shape[0] * (self.shape[1] + 2 * self.padding[0]) * self.line

    def place(self, channel: Table, row: Table, column: Table) -> Table:
        """The places of rows and columns that are counted from the rim's corner."""
        split = column % self.stride * (self.line // self.stride) + column // self.stride
        return np.asarray((channel * (self.shape[1] + 2 * self.padding[0]) + row) * self.line + split)

    def inner(self) -> Table:
        """The place of each number of the image, in C order."""
        channels, rows, columns = np.indices(self.shape)
        return self.place(channels, rows + self.padding[0], columns + self.padding[1]).reshape(-1)

    def rim(self) -> Table:
        """Places of the rim and, beside each, the place on the opposite side that it repeats: (places, 2)."""
        high, wide = (extent + 2 * pad for extent, pad in zip(self.shape[1:], self.padding, strict=True))
        channels, rows, columns = np.indices((self.shape[0], high, wide))
        back = [
            (at - pad) % extent + pad
            for at, pad, extent in zip((rows, columns), self.padding, self.shape[1:], strict=True)
        ]
        outside = (rows != back[0]) | (columns != back[1])
        to, source = self.place(channels, rows, columns)[outside], self.place(channels, *back)[outside]
        return np.stack([to, source], axis=1)

    def taps(self, node: Conv2d | Dense) -> Table:
        """The place that each weight sees from the first corner of its window, in the order of weights: (outputs, weights)."""
        if isinstance(node, Dense):
            inputs = len(node.weights) // len(node.bias)
            return np.broadcast_to(np.arange(inputs), (len(node.bias), inputs))
        outputs, inputs, high, wide = node.kernel
        channel, row, column = np.indices((inputs, high, wide)).reshape(3, -1)
        first = np.arange(outputs)[:, None] // (outputs // node.groups) * inputs
        return self.place(first + channel, row * node.dilation[0], column * node.dilation[1])

    def step(self, node: Conv2d | Dense) -> int:
        """The places from a row of outputs to the next."""
        return node.stride[0] * self.line if isinstance(node, Conv2d) else 0

    def seen(self, node: Conv2d | Dense) -> int:
        """The places that a row of outputs sees of a channel."""
        return ((node.kernel[2] - 1) * node.dilation[0] + 1) * self.line if isinstance(node, Conv2d) else 1


def runs(
    node: Conv2d | Dense, taps: Table, channels: int, ends: tuple[int, int], most: int | None
) -> Iterator[tuple[Table, list[Ints]]]:
    """For each output, and of it for each block of ``channels`` input channels: its taps, and its runs as the kernel wants them,
    counted from its first tap.

    Numbers lie within ``ends``; a run's sum is at most ``most`` away from 0, or anything for None.
    """
    outputs = len(node.bias)
    weights = np.array(node.weights, np.int64).reshape(outputs, -1)
    signs, shifts = np.sign(weights), digits_of(weights)
    size = signs.shape[1] // (node.kernel[1] if isinstance(node, Conv2d) else signs.shape[1])
    blocks = np.arange(signs.shape[1]) // (channels * size)
    cuts = [*np.flatnonzero(np.diff(blocks, prepend=-1)), signs.shape[1]]
    for output in range(outputs):
        for begin, end in itertools.pairwise(cuts):
            own = slice(begin, end)
            yield _block(signs[output, own], shifts[output, own], taps[output, own], ends, most)


def digits_of(weights: Table) -> Table:
    """The shift of each weight that is ``±2**s``, and 0 for 0."""
    return np.frexp(np.abs(np.where(weights, weights, 1)))[1].astype(np.int64) - 1


def _block(
    signs: Table, shifts: Table, taps: Table, ends: tuple[int, int], most: int | None
) -> tuple[Table, list[Ints]]:
    """The taps of a block, and its runs."""
    used = np.flatnonzero(signs)
    order = used[np.lexsort((-signs[used], -shifts[used]))]
    signs, shifts, taps = signs[order], shifts[order], taps[order]
    found: list[Ints] = []
    sorted_taps: list[Table] = [np.empty(0, np.int64)]
    at, before = 0, int(shifts[0]) if len(shifts) else 0
    for level in np.split(np.arange(len(shifts)), np.flatnonzero(np.diff(shifts)) + 1):
        if not len(level):
            continue
        shift, added = int(shifts[level[0]]), int((signs[level] > 0).sum())
        plus, minus = taps[level[:added]], taps[level[added:]]
        for more, less in _split(plus, minus, ends, most):
            found.append((at, at + len(more), at + len(more) + len(less), before - shift))
            sorted_taps += [more, less]
            at, before = at + len(more) + len(less), shift
    if before:
        found.append((at, at, at, before))
    return np.concatenate(sorted_taps), found


def _split(plus: Table, minus: Table, ends: tuple[int, int], most: int | None) -> Iterator[tuple[Table, Table]]:
    """Taps of one shift in as few equal pieces as need be."""
    low, high = min(ends[0], 0), max(ends[1], 0)
    count = 1
    if most is not None:
        while True:
            more, less = -(-len(plus) // count), -(-len(minus) // count)
            if more * high - less * low <= most and less * high - more * low <= most:
                break
            count += 1
    yield from zip(np.array_split(plus, count), np.array_split(minus, count), strict=True)
