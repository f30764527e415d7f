"""A step of a folded engine: a nest of loops, an image, weights, and what happens to a sum on its way into the buffer."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from dwn_hw.hardware.folded.lane_kinds import LaneKind, ShiftLanes
from dwn_hw.hardware.folded.levels import Levels
from dwn_hw.hardware.folded.pointwise import AS_IT_IS, Pointwise
from dwn_hw.ir import BIT, Format, Ints

#: The loops of a step, the innermost first. The first :data:`WINDOW` of them run through a window, the others choose it.
LOOPS = ("digit", "tap_column", "tap_row", "channel", "bits", "column", "row", "block", "group")
WINDOW = 5


@dataclass(frozen=True, slots=True)
class Loop:
    """A loop whose register runs ``0, stride, …, last``, in ``count`` values."""

    stride: int
    count: int

    @property
    def last(self) -> int:
        """The last value of the register."""
        return self.stride * (self.count - 1)


@dataclass(frozen=True, slots=True)
class Image:
    """How a step sees the buffer that it reads: ``width`` and ``area`` (width · height) of an image, and what lies outside it.

    Its first window begins ``left`` columns, and rows of ``top`` numbers in all, before the image, or in it where these are
    negative; beyond are zeros, or the opposite rim. A max pool ignores what lies outside.
    """

    width: int
    area: int
    left: int = 0
    top: int = 0
    circular: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """Where in the buffer a step's numbers go, where they are not all that an edge holds: some columns and rows of it.

    ``first``: the address of the first; from one to the next column, from the last of a row to the next row, and from channel to
    channel are ``column``, ``row`` and ``channel`` numbers.
    """

    first: int
    column: int
    row: int
    channel: int


@dataclass(frozen=True, slots=True)
class Pick:
    """What a step that pools picks of a window: the greatest number, or the ``least``; or its ``place``, that of the first.

    ``in_turn``: a row's windows along ``column`` see the same numbers, and each picks what comes behind the one before.
    """

    least: bool = False
    place: bool = False
    in_turn: bool = False


#: What a max pool picks.
GREATEST = Pick()


@dataclass(frozen=True, slots=True)
class EngineStep:
    """One step of an engine. ``name``: of the node that begins it; ``edge``: the index of the edge that it writes.

    ``loops``: one for each name in :data:`LOOPS`. ``outputs``: the output channels of a group. ``weights``: (groups, outputs,
    taps) parts of weights as integers; empty where it pools. ``biases``: one an output channel. ``span``: the least and the
    greatest sum with its bias. ``operand``: the format of the numbers that it reads. ``post``, then ``levels``: what happens to a
    sum on its way into the buffer. ``target``: where it goes there, if not in C order. ``goes_on``: whether it reads and writes
    the same as the step before, of which it does another part. ``pick``: what it takes of a window where it pools.
    ``keeps``: its numbers are added up, and nothing is written; ``less_kept``: that sum is taken off its sums.
    """

    name: str
    edge: int
    image: Image
    loops: tuple[Loop, ...]
    outputs: int
    span: tuple[int, int]
    operand: Format
    weights: npt.NDArray[np.int64] = field(repr=False)
    biases: Ints = field(repr=False)
    post: Pointwise = AS_IT_IS
    levels: Levels | None = None
    target: Target | None = None
    goes_on: bool = False
    pick: Pick = GREATEST
    keeps: bool = False
    less_kept: bool = False

    @property
    def pools(self) -> bool:
        """Whether the step picks a number of a window, rather than adding."""
        return not self.weights.size

    @property
    def taps(self) -> int:
        """The taps of a window, which are the clocks that it takes."""
        return math.prod(loop.count for loop in self.loops[:WINDOW])

    @property
    def passes(self) -> int:
        """How often the weights of a window pass: once, or for each bit of the operand."""
        return self.loops[LOOPS.index("bits")].count

    @property
    def pads(self) -> bool:
        """Whether a tap may lie beside the image, or the first one not at its corner."""
        named = dict(zip(LOOPS, self.loops, strict=True))
        image = self.image
        column, row = (named[a].last + named[b].last for a, b in (("column", "tap_column"), ("row", "tap_row")))
        column -= named["column"].last * self.pick.in_turn
        return bool(image.left or image.top) or column >= image.width or row >= image.area

    @property
    def positions(self) -> int:
        """The positions of the window, which are the numbers of an output channel."""
        return math.prod(loop.count for loop in self.loops[WINDOW : WINDOW + 2])

    @property
    def blocks(self) -> int:
        """The number of blocks into which a group's output channels are cut, each of at most ``lanes`` channels."""
        return self.loops[-2].count

    @property
    def groups(self) -> int:
        """The number of groups: slices of channels that do not mix."""
        return self.loops[-1].count

    @property
    def size(self) -> int:
        """The number of numbers that the step writes."""
        return 0 if self.keeps else self.groups * self.outputs * self.positions

    @property
    def in_order(self) -> bool:
        """Whether the step writes its numbers in C order."""
        return self.target is None and (self.positions == 1 or self.outputs == 1)

    def to(self) -> Target:
        """Where its numbers go."""
        return self.target or Target(0, 1, 1, self.positions)

    def places(self) -> npt.NDArray[np.int64]:
        """The addresses that it writes, as (groups · outputs, rows, columns); of what is kept none."""
        return self.layout()[:0] if self.keeps else self.layout()

    def layout(self) -> npt.NDArray[np.int64]:
        """The addresses of its numbers, as (groups · outputs, rows, columns)."""
        to, (columns, rows) = self.to(), (loop.count for loop in self.loops[WINDOW : WINDOW + 2])
        channel, row, column = np.ix_(*map(np.arange, (self.groups * self.outputs, rows, columns)))
        place = column * to.column + row * ((columns - 1) * to.column + to.row)
        return np.asarray(to.first + channel * to.channel + place)


#: Lanes for steps that multiply nothing.
COPIES = ShiftLanes()


def make_loops(
    kernel: tuple[int, ...],
    positions: Ints,
    lanes: int,
    outputs: int,
    image: Image = Image(1, 1),
    stride: Ints = (1, 1),
    dilation: Ints = (1, 1),
    kind: LaneKind = COPIES,
    parts: int = 1,
    operand: Format = BIT,
) -> tuple[Loop, ...]:
    """The loops in the order of :data:`LOOPS`. ``kernel``: (groups, input channels a group, rows, columns).

    ``parts``: of each weight on lanes of ``kind``, which multiplies numbers of the format ``operand``.
    """
    groups, inputs, rows, columns = kernel
    return (
        Loop(kind.apart or 1, parts),
        Loop(dilation[1], columns),
        Loop(dilation[0] * image.width, rows),
        Loop(image.area, inputs),
        Loop(1, kind.passes(operand, parts)),
        Loop(stride[1], positions[1]),
        Loop(stride[0] * image.width, positions[0]),
        Loop(1, -(-outputs // lanes)),
        Loop(inputs * image.area, groups),
    )
