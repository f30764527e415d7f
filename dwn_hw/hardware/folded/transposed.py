"""Transposed convolutions as steps: one for each phase of the stride, an ordinary convolution over the image.

Output positions that are a multiple of the stride apart meet the same taps of the kernel. So each such set of positions, a phase,
is a convolution of stride 1 with those taps alone, whose numbers go to every stride-th column and row; no zero is ever added.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dwn_hw import ir
from dwn_hw.hardware.folded.engine_step import EngineStep, Image, Target, make_loops
from dwn_hw.hardware.folded.lane_kinds import LaneKind
from dwn_hw.hardware.folded.pointwise import span_of
from dwn_hw.ir import Edge, Ints


@dataclass(frozen=True, slots=True)
class Phase:
    """A phase along one axis: ``count`` positions from ``first`` on, and the ``taps`` of the kernel that they meet.

    Of the first position the first tap reads place ``begin`` of the image, and each further one the place ``apart`` behind.
    """

    first: int
    count: int
    taps: Ints
    begin: int = 0
    apart: int = 1


def phases(extent: int, kernel: int, stride: int, padding: int, dilation: int) -> Iterator[Phase]:
    """The phases of an axis on which the output is ``extent`` long."""
    for first in range(min(stride, extent)):
        count = -(-(extent - first) // stride)
        # Tap k of a position o reads place (o + padding - k · dilation) / stride, where that is whole.
        places = {k: first + padding - k * dilation for k in reversed(range(kernel))}
        met = {k: place // stride for k, place in places.items() if place % stride == 0}
        begin, *more = met.values() or (0,)
        yield Phase(first, count, tuple(met), begin, more[0] - begin if more else 1)


def transposed_steps(
    node: ir.ConvTranspose2d, name: str, edge: int, before: Edge, after: Edge, lanes: int, kind: LaneKind
) -> list[EngineStep]:
    """The steps of a transposed convolution."""
    width, outputs = before.shape[2], node.kernel[1]
    kernel = np.array(node.weights, np.int64).reshape(node.groups, -1, *node.kernel[1:]).swapaxes(1, 2)
    span, operand = (after.formats[0].low, after.formats[0].high), span_of(before)[1]
    area, across = after.shape[1] * after.shape[2], after.shape[2]
    axes = zip(after.shape[1:], node.kernel[2:], node.stride, node.padding, node.dilation, strict=True)
    steps = []
    for rows, columns in itertools.product(*(list(phases(*axis)) for axis in axes)):
        weights = kernel[:, :, :, rows.taps][..., columns.taps]
        if not weights.size:  # nothing but the bias is there
            weights = np.zeros((node.groups, outputs, 1, 1, 1), np.int64)
        parts = kind.parts(weights.reshape(node.groups, outputs, -1))
        image = Image(width, before.shape[1] * width, -columns.begin, -rows.begin * width)
        window = (node.groups, *weights.shape[2:])
        positions, apart = (rows.count, columns.count), (rows.apart, columns.apart)
        loops = make_loops(window, positions, lanes, outputs, image, (1, 1), apart, kind, parts.shape[-1], operand)
        to_row = node.stride[0] * across - (columns.count - 1) * node.stride[1]
        target = Target(rows.first * across + columns.first, node.stride[1], to_row, area)
        plain = target == Target(0, 1, 1, rows.count * columns.count)
        flat = parts.reshape(node.groups, outputs, -1)
        own = None if plain else target
        steps.append(EngineStep(name, edge, image, loops, outputs, span, operand, flat, node.bias, target=own))
    return steps
