"""A network as steps: each reads every number that it needs from one buffer, and writes the other one.

Every step is the same nest of loops with other constants: over groups, blocks of at most ``lanes`` output channels, the
positions of a window (rows, columns), and within a window bits, input channels, rows, columns, and parts of a weight. A dense
layer is a window of 1×1 on an image of 1×1; a max pool has a group for each channel and keeps the greatest instead of adding; an
affine node is a layer with a group for each channel; a transposed convolution is a step for each phase of its stride, and what
compares numbers with each other are steps of :mod:`dwn_hw.hardware.folded.order_steps`.
ReLU, Quantize, MultiThreshold and Reshape after it belong to the step: they happen on the way into the buffer.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias, assert_never

import numpy as np

from dwn_hw import ir
from dwn_hw.errors import OptionError, Problem
from dwn_hw.hardware.folded.engine_step import EngineStep, Image, make_loops
from dwn_hw.hardware.folded.lane_kinds import LaneKind, Weights
from dwn_hw.hardware.folded.levels import ends, make_levels
from dwn_hw.hardware.folded.order_steps import codebook_step, columns_of, maximum_step, mean_steps, sort_steps
from dwn_hw.hardware.folded.pointwise import AS_IT_IS, Pointwise, span_of
from dwn_hw.hardware.folded.transposed import transposed_steps
from dwn_hw.ir import Edge

#: The steps that read one edge and write one other; all but transposed convolutions take one.
Stage: TypeAlias = list[EngineStep]


def make_steps(network: ir.Network, lanes: int, kind: LaneKind) -> tuple[EngineStep, ...]:
    """The steps of ``network`` on lanes of a kind. Raises OptionError for every node that has no place in an engine."""
    _check(network)
    edges = network.edges()
    stages: list[Stage] = []
    for place in network.steps():
        node, written = place.node, place.index + 1
        match node:
            case ir.Dense() | ir.Conv2d() | ir.MaxPool2d() | ir.Affine():
                stages.append([_begin(node, place, lanes, kind)])
            case ir.ConvTranspose2d():
                stages.append(transposed_steps(node, place.name, written, place.before, place.after, lanes, kind))
            case ir.Relu() | ir.Quantize() | ir.MultiThreshold():
                stages[-1:] = _after(node, place, stages[-1:])
            case ir.Reshape():
                # The port's numbers are in that order already.
                stages[-1:] = [[replace(step, edge=written) for step in stage] for stage in stages[-1:]]
            case ir.Sort():
                stages.append(sort_steps(node, place))
            case ir.ArgMax() if place.after.shape or written < len(network.nodes):
                stages.append([maximum_step(place)])
            case ir.ArgMax():
                pass  # the last node: the result looks for the greatest number while the last step writes
            case ir.CompareToMean():
                reached = ir.MultiThreshold(((0,),), ((0, 1),))
                own = mean_steps(place, _copy(place.name, written, place.before), kind)
                stages += _after(reached, place, [own])
            case ir.Codebook():
                stages += _after(columns_of(node), place, [[codebook_step(node, place, lanes, kind)]])
            case ir.Thermometer() | ir.LutLayer() | ir.GroupSum():
                raise AssertionError(f"{place.name} was not refused")
            case _:
                assert_never(node)
    if not stages or not _gives_all(stages[-1][-1], network):
        last = stages[-1][-1].edge if stages else 0
        stages.append([_copy("in_order", last, edges[last])])
    return tuple(replace(step, goes_on=i > 0) for stage in stages for i, step in enumerate(stage))


def _gives_all(last: EngineStep, network: ir.Network) -> bool:
    """Whether a step alone can be the last one. Numbers may leave in any order, which is a matter of wires; but of scores the
    first greatest is looked for.
    """
    return last.size == network.edges()[last.edge].size and (last.in_order or not network.classifies)


def _after(node: ir.Relu | ir.Quantize | ir.MultiThreshold, place: ir.PlacedNode, last: list[Stage]) -> list[Stage]:
    """The stage before ``node``, if there is one, with ``node`` on its way into the buffer; or it, and one that copies."""
    written, lsb = place.index + 1, place.before.formats[0].lsb
    for stage in last:
        found = [_composed(step, node, lsb) for step in stage]
        if all(found):
            return [[replace(step, edge=written) for step in found if step]]
    entries = len(node.thresholds) if isinstance(node, ir.MultiThreshold) else 1
    copied = _composed(_copy(place.name, written, place.before, entries), node, lsb)
    assert copied is not None, "a node alone composes"
    return [*last, [copied]]


def _composed(step: EngineStep, node: ir.Relu | ir.Quantize | ir.MultiThreshold, lsb: int) -> EngineStep | None:
    """``step`` with ``node`` behind its sums; None where they do not compose."""
    if step.keeps:
        return step
    if not isinstance(node, ir.MultiThreshold):
        if step.levels:
            return replace(step, levels=step.levels.then(node, lsb))
        post = step.post.then(node, lsb)
        return None if post is None else replace(step, post=post)
    channels = step.groups * step.outputs
    if step.levels or len(node.thresholds) not in (1, channels):
        return None
    levels = make_levels(node, step.post, step.span)
    roots = levels.roots * channels if len(levels.roots) == 1 else levels.roots
    biases = tuple(b - root for b, root in zip(step.biases or (0,) * channels, roots, strict=True))
    return replace(step, biases=biases, span=ends(levels, step.span), post=AS_IT_IS, levels=levels)


def _check(network: ir.Network) -> None:
    problems = [problem for place in network.steps() for problem in _problems(place)]
    if problems:
        raise OptionError(*problems)


def _problems(place: ir.PlacedNode) -> list[Problem]:
    """The reasons why a node has no place in an engine; none if it has one."""
    node = place.node
    match node:
        case ir.Dense() | ir.Conv2d() | ir.ConvTranspose2d() | ir.Affine():
            return []
        case ir.MultiThreshold() | ir.Relu() | ir.Quantize() | ir.Reshape():
            return []
        case ir.CompareToMean() | ir.Codebook():
            return []
        case ir.Sort():
            rule = "a sort of one axis, or of several of which each is the first or the last of what is made one"
            remedy = "Move the axes, or export without --lanes."
            thing = f"node {place.index} ({place.name})"
            if node.levels:
                return [Problem(thing, "a sort of numbers", "Sort of words of levels", "Export without --lanes.")]
            return [] if sort_steps(node, place) else [Problem(thing, rule, f"Sort of axes {node.axes}", remedy)]
        case ir.MaxPool2d():
            return _blind_windows(node, place.name, place.before)
        case ir.ArgMax():
            return []
        case ir.Thermometer() | ir.LutLayer() | ir.GroupSum():
            rule = "a node that counts in integers"
            remedy = "A folded engine takes networks of integers; export networks of look-up tables without --lanes."
            return [Problem(f"node {place.index} ({place.name})", rule, type(node).__name__, remedy)]
        case _:
            assert_never(node)


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
    node: ir.Dense | ir.Conv2d | ir.MaxPool2d | ir.Affine, place: ir.PlacedNode, lanes: int, kind: LaneKind
) -> EngineStep:
    name, edge, before, shape = place.name, place.index + 1, place.before, place.after.shape[1:]
    span = place.after.formats[0].low, place.after.formats[0].high
    limits, operand = span_of(before)
    match node:
        case ir.Dense():
            inputs, outputs = before.size, len(node.bias)
            parts = kind.parts(np.array(node.weights, np.int64).reshape(1, outputs, inputs))
            image, kernel = Image(1, 1), (1, inputs, 1, 1)
            loops = make_loops(kernel, (1, 1), lanes, outputs, kind=kind, parts=parts.shape[-1], operand=operand)
            return EngineStep(name, edge, image, loops, outputs, span, operand, _flat(parts), node.bias)
        case ir.Conv2d():
            groups, outputs = node.groups, node.kernel[0] // node.groups
            height, width = before.shape[1:]
            top, left = node.padding[0] * width, node.padding[1]
            image = Image(width, width * height, left, top, node.padding_mode == "circular")
            parts = kind.parts(np.array(node.weights, np.int64).reshape(groups, outputs, -1))
            more = (node.stride, node.dilation, kind, parts.shape[-1], operand)
            loops = make_loops((groups, *node.kernel[1:]), shape, lanes, outputs, image, *more)
            return EngineStep(name, edge, image, loops, outputs, span, operand, _flat(parts), node.bias)
        case ir.MaxPool2d():
            channels, height, width = before.shape
            image = Image(width, width * height, node.padding[1], node.padding[0] * width)
            loops = make_loops((channels, 1, *node.kernel), shape, 1, 1, image, node.stride, node.dilation)
            return EngineStep(name, edge, image, loops, 1, limits, operand, np.empty((channels, 1, 0), np.int64), ())
        case ir.Affine():
            return _affine(node, name, edge, before, kind)


def _flat(parts: Weights) -> Weights:
    """The parts of a tap's weight stand one behind the other."""
    return parts.reshape(*parts.shape[:2], -1)


def _copy(name: str, edge: int, before: Edge, entries: int = 1) -> EngineStep:
    """A step that takes every number by itself, in C order; a group for each of ``entries`` of the first axis."""
    span, operand = span_of(before)
    size = before.size // entries
    image = Image(size, size)
    loops = make_loops((entries, 1, 1, 1), (1, size), 1, 1, image)
    return EngineStep(name, edge, image, loops, 1, span, operand, np.empty((entries, 1, 0), np.int64), ())


def _affine(node: ir.Affine, name: str, edge: int, before: Edge, kind: LaneKind) -> EngineStep:
    shared = len(node.multipliers) == len(node.biases) == 1
    channels = 1 if shared else before.shape[0]
    each = [row * channels if len(row) == 1 else row for row in (node.multipliers, node.biases)]
    parts = kind.parts(np.array(each[0], np.int64).reshape(channels, 1, 1))
    size = before.size // channels
    (low, high), operand = span_of(before)
    image, kernel, more = Image(size, size), (channels, 1, 1, 1), (kind, parts.shape[-1], operand)
    loops = make_loops(kernel, (1, size), 1, 1, image, (1, 1), (1, 1), *more)
    sums = [m * x + b for m, b in zip(*each, strict=True) for x in (low, high)]
    span, post = (min(0, *sums), max(0, *sums)), Pointwise(shift=node.shift)
    return EngineStep(name, edge, image, loops, 1, span, operand, _flat(parts), each[1], post)
