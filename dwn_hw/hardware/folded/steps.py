"""A network as steps: each reads every number that it needs from one buffer, and writes the other one.

Every step is the same nest of loops with other constants: over groups, blocks of at most ``lanes`` output channels, the
positions of a window (rows, columns), and within a window input channels, rows, columns, and digits. A dense layer is a window
of 1×1 on an image of 1×1; a max pool has a group for each channel and keeps the greatest instead of adding; an affine node is a
layer with a group for each channel, whose multiplier is as many shift weights as it has signed digits that are not 0.
ReLU, Quantize and Reshape after it belong to the step: they happen on the way into the buffer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import assert_never

import numpy as np
import numpy.typing as npt

from dwn_hw import ir
from dwn_hw.errors import OptionError, Problem
from dwn_hw.hardware.folded.pointwise import AS_IT_IS, Pointwise
from dwn_hw.ir import Edge, Ints

#: The loops of a step, the innermost first. The first :data:`WINDOW` of them run through a window, the others choose it.
LOOPS = ("digit", "tap_column", "tap_row", "channel", "column", "row", "block", "group")
WINDOW = 4


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

    Its first window begins ``left`` columns, and rows of ``top`` numbers in all, before the image; beyond are zeros, or the
    opposite rim. A max pool ignores what lies outside.
    """

    width: int
    area: int
    left: int = 0
    top: int = 0
    circular: bool = False


@dataclass(frozen=True, slots=True)
class EngineStep:
    """One step of an engine. ``name``: of the node that begins it; ``edge``: the index of the edge that it writes.

    ``loops``: one for each name in :data:`LOOPS`. ``outputs``: the output channels of a group. ``weights``: (groups, outputs,
    taps) signed weights as integers on the grid of the least shift; empty for a max pool. ``biases``: one an output channel.
    ``span``: the least and the greatest sum with its bias. ``post``: what happens to a sum on its way into the buffer.
    """

    name: str
    edge: int
    image: Image
    loops: tuple[Loop, ...]
    outputs: int
    span: tuple[int, int]
    weights: npt.NDArray[np.int64] = field(repr=False)
    biases: Ints = field(repr=False)
    post: Pointwise = AS_IT_IS

    @property
    def pools(self) -> bool:
        """Whether the step keeps the greatest number of a window, rather than adding."""
        return not self.weights.size

    @property
    def taps(self) -> int:
        """The taps of a window, which are the clocks that it takes."""
        return math.prod(loop.count for loop in self.loops[:WINDOW])

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
        return self.groups * self.outputs * self.positions

    @property
    def in_order(self) -> bool:
        """Whether the step writes its numbers in C order."""
        return self.positions == 1 or self.outputs == 1


def make_steps(network: ir.Network, lanes: int) -> tuple[EngineStep, ...]:
    """The steps of ``network``. Raises OptionError for every node that has no place in an engine."""
    _check(network)
    edges = network.edges()
    steps: list[EngineStep] = []
    for place in network.steps():
        node, written = place.node, place.index + 1
        match node:
            case ir.Dense() | ir.Conv2d() | ir.MaxPool2d() | ir.Affine():
                steps.append(_begin(node, place.name, written, place.before, place.after, lanes))
            case ir.Relu() | ir.Quantize():
                lsb = place.before.formats[0].lsb
                post = steps[-1].post.then(node, lsb) if steps else None
                if post is None:
                    steps.append(_copy(place.name, written, place.before))
                    post = steps[-1].post.then(node, lsb)
                assert post is not None
                steps[-1] = replace(steps[-1], edge=written, post=post)
            case ir.Reshape():
                if steps:  # the port's numbers are in that order already
                    steps[-1] = replace(steps[-1], edge=written)
            case ir.ArgMax():
                pass  # the last node: the result looks for the greatest number while the last step writes
            case (
                ir.Thermometer()
                | ir.LutLayer()
                | ir.GroupSum()
                | ir.ConvTranspose2d()
                | ir.MultiThreshold()
                | ir.Sort()
                | ir.CompareToMean()
            ):
                raise AssertionError(f"{place.name} was not refused")
            case _:
                assert_never(node)
    if not steps or not steps[-1].in_order:
        last = steps[-1].edge if steps else 0
        steps.append(_copy("in_order", last, edges[last]))
    return tuple(steps)


def _check(network: ir.Network) -> None:
    last = len(network.nodes) - 1
    problems = [problem for place in network.steps() for problem in _problems(place, place.index == last)]
    if problems:
        raise OptionError(*problems)


def _problems(place: ir.PlacedNode, is_last: bool) -> list[Problem]:
    """The reasons why a node has no place in an engine; none if it has one."""
    node = place.node
    match node:
        case ir.Dense() | ir.Conv2d():
            return _other_weights(node, place.name)
        case ir.Affine() | ir.Relu() | ir.Quantize() | ir.Reshape():
            return []
        case ir.ConvTranspose2d() | ir.MultiThreshold() | ir.Sort() | ir.CompareToMean():
            rule = "a node that the engine has"
            return [Problem(f"node {place.index} ({place.name})", rule, type(node).__name__, "Export without --lanes.")]
        case ir.MaxPool2d():
            return _blind_windows(node, place.name, place.before)
        case ir.ArgMax() if is_last and not place.after.shape:
            return []
        case ir.Thermometer() | ir.LutLayer() | ir.GroupSum() | ir.ArgMax():
            rule = "a node that counts in integers, and ArgMax only as the last one"
            remedy = (
                "A folded engine takes networks of shift layers; export networks of look-up tables without --lanes."
            )
            return [Problem(f"node {place.index} ({place.name})", rule, type(node).__name__, remedy)]
        case _:
            assert_never(node)


def _other_weights(node: ir.Dense | ir.Conv2d, name: str) -> list[Problem]:
    if ir.is_shift(node):
        return []
    rule = "weights of ±2^s, or 0"
    return [Problem(name, rule, f"{type(node).__name__} with others", "Export without --lanes.")]


def _blind_windows(node: ir.MaxPool2d, name: str, before: Edge) -> list[Problem]:
    """The problem of a max pool that has a window in the padding alone: such a window has no greatest number."""
    after = node.output(before).shape[1:]
    for axis, (size, count) in enumerate(zip(before.shape[1:], after, strict=True)):
        for at in range(count):
            start = at * node.stride[axis] - node.padding[axis]
            taps = range(start, start + node.kernel[axis] * node.dilation[axis], node.dilation[axis])
            if not any(0 <= tap < size for tap in taps):
                rule = "windows that see the image"
                got = f"window {at} along {('rows', 'columns')[axis]} sees {list(taps)} of 0…{size - 1}"
                return [Problem(name, rule, got, "Pad less, or dilate less.")]
    return []


def _begin(
    node: ir.Dense | ir.Conv2d | ir.MaxPool2d | ir.Affine,
    name: str,
    edge: int,
    before: Edge,
    after: Edge,
    lanes: int,
) -> EngineStep:
    span = after.formats[0].low, after.formats[0].high
    match node:
        case ir.Dense():
            inputs, outputs = before.size, len(node.bias)
            weights = np.array(node.weights, np.int64).reshape(1, outputs, inputs)
            loops = _loops((1, inputs, 1, 1), (1, 1), lanes, outputs)
            return EngineStep(name, edge, Image(1, 1), loops, outputs, span, weights, node.bias)
        case ir.Conv2d():
            groups, outputs = node.groups, node.kernel[0] // node.groups
            height, width = before.shape[1:]
            image = Image(
                width, width * height, node.padding[1], node.padding[0] * width, node.padding_mode == "circular"
            )
            loops = _loops(
                (groups, *node.kernel[1:]), after.shape[1:], lanes, outputs, image, node.stride, node.dilation
            )
            weights = np.array(node.weights, np.int64).reshape(groups, outputs, -1)
            return EngineStep(name, edge, image, loops, outputs, span, weights, node.bias)
        case ir.MaxPool2d():
            channels, height, width = before.shape
            image = Image(width, width * height, node.padding[1], node.padding[0] * width)
            loops = _loops((channels, 1, *node.kernel), after.shape[1:], 1, 1, image, node.stride, node.dilation)
            return EngineStep(name, edge, image, loops, 1, _range(before), np.empty((channels, 1, 0), np.int64), ())
        case ir.Affine():
            return _affine(node, name, edge, before)


def _copy(name: str, edge: int, before: Edge) -> EngineStep:
    """A step that takes every number by itself, in C order."""
    image = Image(before.size, before.size)
    loops = _loops((1, 1, 1, 1), (1, before.size), 1, 1, image)
    return EngineStep(name, edge, image, loops, 1, _range(before), np.empty((1, 1, 0), np.int64), ())


def _affine(node: ir.Affine, name: str, edge: int, before: Edge) -> EngineStep:
    shared = len(node.multipliers) == len(node.biases) == 1
    channels = 1 if shared else before.shape[0]
    each = [row * channels if len(row) == 1 else row for row in (node.multipliers, node.biases)]
    digits = [signed_digits(m) for m in each[0]]
    count = max(1, *map(len, digits))
    weights = np.array([[(*row, *(0,) * (count - len(row)))] for row in digits], np.int64)
    size = before.size // channels
    loops = _loops((channels, 1, 1, 1), (1, size), 1, 1, Image(size, size), digits=count)
    low, high = _range(before)
    ends = [m * x + b for m, b in zip(*each, strict=True) for x in (low, high)]
    span = min(0, *ends), max(0, *ends)
    return EngineStep(name, edge, Image(size, size), loops, 1, span, weights, each[1], Pointwise(shift=node.shift))


def _loops(
    kernel: tuple[int, ...],
    positions: Ints,
    lanes: int,
    outputs: int,
    image: Image = Image(1, 1),
    stride: Ints = (1, 1),
    dilation: Ints = (1, 1),
    digits: int = 1,
) -> tuple[Loop, ...]:
    """The loops in the order of :data:`LOOPS`. ``kernel``: (groups, input channels a group, rows, columns)."""
    groups, inputs, rows, columns = kernel
    return (
        Loop(1, digits),
        Loop(dilation[1], columns),
        Loop(dilation[0] * image.width, rows),
        Loop(image.area, inputs),
        Loop(stride[1], positions[1]),
        Loop(stride[0] * image.width, positions[0]),
        Loop(1, -(-outputs // lanes)),
        Loop(inputs * image.area, groups),
    )


def signed_digits(number: int) -> Ints:
    """``number`` as the shortest sum of ±2^s: its non-adjacent form, the least digit first."""
    digits, place = [], 1
    while number:
        if number & 1:
            digit = 2 - (number & 3)  # 1 or −1, so that the next bit is 0
            digits.append(digit * place)
            number -= digit
        number, place = number >> 1, place << 1
    return tuple(digits)


def _range(edge: Edge) -> tuple[int, int]:
    return min(fmt.low for fmt in edge.formats), max(fmt.high for fmt in edge.formats)
