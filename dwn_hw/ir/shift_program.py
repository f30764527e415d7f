"""Networks that count in integers, as tables for the kernel ``kernels/emulate_shifts.py``: what is summed, and where it goes.

A network is cut into *segments*: numbers come from the port, as sums of a shift layer, or from a buffer whose shape is read anew.
Operations on each channel by itself follow, and the result goes into the buffer that the next segment reads. All are integers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dwn_hw.ir.edges import Edge, Ints
from dwn_hw.ir.integer_nodes import (
    ROUNDINGS,
    Affine,
    MaxPool2d,
    Quantize,
    Relu,
    Reshape,
)
from dwn_hw.ir.network import Network, PlacedNode
from dwn_hw.ir.shift_taps import Layout, runs
from dwn_hw.ir.weighted_nodes import Conv2d, Dense, is_shift

Table = npt.NDArray[Any]

#: The kinds of a segment and of an operation, as the kernel counts them, and the numbers of an operation.
CODES, COPY, SUM = range(3)
RELU, QUANTIZE, AFFINE, POOL = range(4)
_NUMBERS = 13

#: The numbers that are summed at once; as many samples lie together in a layer that has no columns.
LANES = 64

#: The samples that may lie together in a convolution: the fewer, the less there is to keep in the first cache.
_WIDTHS = (32, LANES)

#: The bytes of the numbers that a block of taps sees, and of the sums that are made of one block after the other: both fit into
#: the second cache. Blocks for the first one have more and shorter runs, which takes longer.
_BLOCK, _SUMS = 131_072, 65_536

#: The nodes that the kernel knows; a network with another one is left to numpy.
KNOWN = (Dense, Conv2d, Quantize, Affine, Relu, MaxPool2d, Reshape)

#: The farthest shift of a number in one operation.
_FARTHEST = 61


def fits(network: Network) -> bool:
    """Whether the nodes but the last can be made into tables: all count in integers, some add up by powers of two alone, and
    none shifts beyond an int64.
    """
    steps = network.steps()[:-1]
    sums = [step.node for step in steps if isinstance(step.node, Dense | Conv2d)]
    return (
        bool(sums)
        and all(map(is_shift, sums))
        and all(isinstance(step.node, KNOWN) and _is_plain(step) for step in steps)
    )


def _is_plain(step: PlacedNode) -> bool:
    """Whether a node shifts no farther than it should, and each window of a pool sees something but padding."""
    node = step.node
    if not isinstance(node, MaxPool2d):
        return abs(_shift(step)) <= _FARTHEST
    axes = zip(
        step.before.shape[1:], step.after.shape[1:], node.kernel, node.stride, node.padding, node.dilation, strict=True
    )
    return all(
        any(0 <= place * stride - pad + i * apart < extent for i in range(size))
        for extent, places, size, stride, pad, apart in axes
        for place in range(places)
    )


def types(network: Network) -> tuple[np.dtype[Any], np.dtype[Any]]:
    """The types of what sums read, and of sums: 16 and 32 bits, 32 and 64, or 64 both. Fewer pairs take less time to compile."""
    most = max((max(-low, high) for low, high in (part.ends for part in cut(network)[:-1])), default=0)
    sums = all(fmt.low >= -(2**31) and fmt.high < 2**31 for edge in network.edges()[:-1] for fmt in edge.formats)
    # A number that is read is subtracted as well, so that its negative has to fit.
    narrow, wide = (16, 32) if sums and most < 2**15 else (32, 64) if most < 2**31 else (64, 64)
    return np.dtype(f"int{narrow}"), np.dtype(f"int{wide}")


def _shift(step: PlacedNode) -> int:
    """By how far a node shifts what it has."""
    if isinstance(step.node, Quantize):
        return step.node.lsb - step.before.formats[0].lsb
    return step.node.shift if isinstance(step.node, Affine) else 0


@dataclass
class Part:
    """What becomes a segment: the shift layer that it begins with, if any; the images before and after the ``steps`` that
    follow, as (channels, rows, columns); the least and the greatest number that it leaves.
    """

    kind: int
    head: PlacedNode | None
    shape: Ints
    steps: list[PlacedNode]
    after: Ints
    ends: tuple[int, int]

    @property
    def node(self) -> Dense | Conv2d | None:
        """The shift layer."""
        return self.head.node if self.head and isinstance(self.head.node, Dense | Conv2d) else None

    @property
    def most(self) -> int:
        """The most numbers that a channel ever has."""
        pools = [math.prod(step.after.shape[1:]) for step in self.steps if isinstance(step.node, MaxPool2d)]
        return max(math.prod(self.shape[1:]), *pools, 0)

    def layout(self) -> Layout:
        """How the numbers that it reads lie in their buffer."""
        if self.head is None or not isinstance(self.node, Conv2d):
            return Layout((1, 1, self.head.before.size if self.head else math.prod(self.shape)))
        return Layout(self.head.before.shape, self.node.padding, self.node.stride[1])


def cut(network: Network) -> list[Part]:
    """The nodes of a network but the last, as parts."""
    steps, ends = network.steps()[:-1], _ends(network.input.edge)
    shape = _image(network.input.shape)
    made = [Part(CODES, None, shape, [], shape, ends)]
    for i, step in enumerate(steps):
        node, ends = step.node, _reach(step, ends)
        if isinstance(node, Conv2d | Dense):
            shape = step.after.shape if isinstance(node, Conv2d) else (len(node.bias), 1, 1)
            made.append(Part(SUM, step, shape, [], shape, ends))
        elif not isinstance(node, Reshape):
            made[-1].steps.append(step)
            made[-1].after = step.after.shape if isinstance(node, MaxPool2d) else made[-1].after
        elif not _stays_flat(steps[i + 1 :]):
            made.append(Part(COPY, None, _image(node.shape), [], _image(node.shape), ends))
        made[-1].ends = ends
    for part in made:
        if part.kind != SUM and all(_is_uniform(step) for step in part.steps):  # one long channel takes less time
            part.shape = part.after = (1, 1, math.prod(part.shape))
    return made


def _image(shape: Ints) -> Ints:
    """A shape as (channels, rows, columns)."""
    return shape if len(shape) == 3 else (shape[0], 1, math.prod(shape[1:]))


def _is_uniform(step: PlacedNode) -> bool:
    """Whether a node does the same to every number by itself."""
    node = step.node
    return isinstance(node, Relu | Quantize) or (
        isinstance(node, Affine) and len(node.multipliers) == len(node.biases) == 1
    )


def _stays_flat(steps: Sequence[PlacedNode]) -> bool:
    """Whether up to the next sum or shape nothing asks for the channel of a number."""
    for step in steps:
        if not _is_uniform(step):
            return isinstance(step.node, Dense | Conv2d | Reshape)
    return True


def _ends(edge: Edge) -> tuple[int, int]:
    """The least and greatest code of an edge's formats."""
    return min(fmt.low for fmt in edge.formats), max(fmt.high for fmt in edge.formats)


def _reach(step: PlacedNode, ends: tuple[int, int]) -> tuple[int, int]:
    """Bounds of what a node gives, of those of what it gets: often tighter than its format."""
    node, (low, high) = step.node, ends
    if isinstance(node, Relu):
        return max(low, 0), max(high, 0)
    if isinstance(node, Quantize):
        by = _shift(step)
        low, high = (low >> by, (high >> by) + 1) if by > 0 else (low << -by, high << -by)
        return min(max(low, node.lowest), node.highest), min(max(high, node.lowest), node.highest)
    return ends if isinstance(node, MaxPool2d | Reshape) else _ends(step.after)


def widths(made: Sequence[Part]) -> list[int]:
    """The samples that lie together in each part: few in convolutions, whose columns lie beside each other as well."""
    images = [part for part in made if isinstance(part.node, Conv2d)]

    def work(width: int) -> float:
        """The vectors that are summed for a sample."""
        rows = ((part.shape[0] * part.shape[1] * taps(part), part.shape[2] * width) for part in images)
        return sum(lines * -(-size // LANES) for lines, size in rows) / width

    def taps(part: Part) -> int:
        assert isinstance(part.node, Conv2d)
        return math.prod(part.node.kernel[1:])

    few = max((i + 1 for i, part in enumerate(made) if part in images), default=0)
    return [min(_WIDTHS, key=work) if i < few else LANES for i in range(len(made))]


class Program:
    """The tables of a network's nodes, the last one left out: ``segments``, ``widths`` and ``tables`` as the kernel wants them.

    ``narrow``, ``wide``: the types of what sums read, and of sums. ``buffer``, ``sums``, ``plane``: how many numbers the
    kernel's own arrays hold. ``outputs``: the numbers of the result.
    """

    def __init__(self, network: Network) -> None:
        made = cut(network)
        self.narrow, self.wide = types(network)
        along = widths(made)
        self.widths = np.array(list(zip(along, [*along[1:], LANES], strict=True)), np.int64)
        writer = _Writer(self.narrow, self.wide)
        segments = [writer.segment(part, width) for part, width in zip(made, along, strict=True)]
        for i, segment in enumerate(segments):
            writer.target(segment, made[i], made[i + 1] if i + 1 < len(made) else None)
            segment.target = segments[i + 1].source if i + 1 < len(made) else -1
        self.segments = np.array([astuple(segment) for segment in segments], np.int64)
        self.tables, self.buffer = writer.tables(), writer.buffer + LANES * LANES
        self.outputs = math.prod(made[-1].after)
        self.plane = max(part.most * width for part, width in zip(made, along, strict=True))
        sizes = (s.group * (s.rows * s.columns * width + LANES) for s, width in zip(segments, along, strict=True))
        self.sums = max(self.plane, *sizes)


@dataclass
class _Segment:
    """A segment, in the kernel's columns: ``channels`` of ``rows`` × ``columns``, read of the buffer from ``source`` on.

    Sums: the next row of outputs lies ``step`` places further; the runs of an output's ``blocks`` begin at entries of the table
    of firsts, from ``firsts`` on; biases from ``biases`` on. Then operations ``ops`` to ``ops_end``, which leave ``after``
    numbers a channel; these go to the places from ``places`` on, in the buffer from ``target`` on or, if that is −1, in the
    result. ``rim`` to ``rim_end``: places of the source that are filled from others before. ``group``: the outputs that read a
    block in turn.
    """

    kind: int
    channels: int
    rows: int
    columns: int
    source: int = 0
    step: int = 0
    blocks: int = 1
    firsts: int = 0
    biases: int = 0
    ops: int = 0
    ops_end: int = 0
    places: int = 0
    after: int = 0
    target: int = -1
    rim: int = 0
    rim_end: int = 0
    group: int = 1


class _Writer:
    """The tables as far as they are written."""

    def __init__(self, narrow: np.dtype[Any], wide: np.dtype[Any]) -> None:
        self.narrow, self.wide, self.buffer = narrow, wide, 0
        self._taps: list[Table] = [np.empty(0, np.int64)]
        self._places: list[Table] = []
        self._rims: list[Table] = [np.empty((0, 2), np.int64)]
        self._runs: list[Ints] = []
        self._firsts: list[int] = []
        self._biases: list[int] = []
        self._ops: list[Ints] = []
        self._numbers: list[int] = []
        self._ends: list[tuple[int, int]] = []

    def tables(self) -> tuple[Table, ...]:
        """All of them, in the kernel's order."""
        return (
            np.concatenate(self._taps).astype(np.int32),
            np.array(self._runs, np.int32).reshape(-1, 4),
            np.array([*self._firsts, len(self._runs)], np.int64),
            np.array(self._biases, np.int64).astype(self.wide),  # what does not fit goes round, as sums may
            np.array(self._ops, np.int64).reshape(-1, _NUMBERS),
            np.array(self._numbers, np.int64),
            np.concatenate(self._places),
            np.concatenate(self._rims),
        )

    def segment(self, part: Part, width: int) -> _Segment:
        """A part's segment but for where it leaves its numbers."""
        channels, rows, columns = part.shape
        made = _Segment(part.kind, channels, rows, columns, source=self.buffer, ops=len(self._ops))
        for step in part.steps:
            self._ops.append(self._operation(step))
        made.ops_end = len(self._ops)
        if part.kind != CODES:
            self.buffer += part.layout().size * width
        if part.node is not None:
            self._sum(made, part, width)
        self._ends.append(part.ends)
        return made

    def target(self, segment: _Segment, part: Part, reader: Part | None) -> None:
        """Where a segment's numbers go: as ``reader`` wants them."""
        layout = reader.layout() if reader else Layout((1, 1, math.prod(part.after)))
        segment.places, segment.after = sum(map(len, self._places)), math.prod(part.after[1:])
        self._places.append(layout.inner())

    def _sum(self, made: _Segment, part: Part, width: int) -> None:
        """What a shift layer adds."""
        node, layout = part.node, part.layout()
        assert node is not None
        if isinstance(node, Conv2d) and node.padding_mode == "circular":
            rim = layout.rim()
            made.rim = sum(map(len, self._rims))
            made.rim_end = made.rim + len(rim)
            self._rims.append(rim)
        inputs = node.kernel[1] if isinstance(node, Conv2d) else layout.size
        together = max(1, _BLOCK // (layout.seen(node) * width * self.narrow.itemsize))
        made.blocks, made.step = -(-inputs // together), layout.step(node)
        made.firsts, made.biases = len(self._firsts), len(self._biases)
        self._biases += node.bias
        most = None if self.narrow == self.wide else int(np.iinfo(self.narrow).max)
        before = sum(map(len, self._taps))
        for taps, found in runs(node, layout.taps(node) * width, together, self._ends[-1], most):
            self._taps.append(taps)
            self._firsts.append(len(self._runs))
            self._runs += [(a + before, b + before, c + before, shift) for a, b, c, shift in found]
            before += len(taps)
        size = (made.rows * made.columns * width + LANES) * self.wide.itemsize
        made.group = min(made.channels, max(1, _SUMS // size))

    def _operation(self, step: PlacedNode) -> Ints:
        """An operation as a row of numbers."""
        row: tuple[int, ...]
        match step.node:
            case Relu():
                row = (RELU,)
            case Quantize() as node:
                row = (QUANTIZE, _shift(step), ROUNDINGS.index(node.rounding), node.lowest, node.highest)
            case Affine() as node:
                first, many = len(self._numbers), len(node.multipliers)
                self._numbers += [*node.multipliers, *node.biases]
                row = (AFFINE, first, int(many > 1), first + many, int(len(node.biases) > 1), node.shift)
            case MaxPool2d() as node:
                extents = (*step.before.shape[1:], *step.after.shape[1:])
                row = (POOL, *extents, *node.kernel, *node.stride, *node.padding, *node.dilation)
            case other:
                raise TypeError(f"no operation of the kernel: {type(other).__name__}")  # fits() has refused it
        return (*row, *[0] * (_NUMBERS - len(row)))
