"""What compares the numbers of a sample with each other, as steps of an engine: sorts, first maxima, the mean; and codebooks.

A sort picks, as a max pool does: of the same numbers again and again, each time the greatest below the one before, equal ones in
turn. So ``k`` of ``n`` numbers take ``k · n`` clocks, and a comparator for what was picked before. A first maximum picks a place.
The mean is met in two passes: one adds up the numbers on their way out of the lanes, one takes that off each number's multiple.
A codebook is a layer whose weights are 1, and whose sums, the index, become a level in each column.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from dwn_hw import ir
from dwn_hw.hardware.folded.engine_step import EngineStep, Image, Loop, Pick, Target, make_loops
from dwn_hw.hardware.folded.lane_kinds import LaneKind
from dwn_hw.hardware.folded.pointwise import span_of


def sort_steps(node: ir.Sort, place: ir.PlacedNode) -> list[EngineStep]:
    """The steps of a sort, one an axis; none where rows lie so that a step's loops cannot reach them."""
    shape, first = place.before.shape, 0
    joined = min(node.axes)
    outer, each = math.prod(shape[:joined]), place.after.size // math.prod(shape[:joined])
    steps = []
    for axis in node.axes:
        n, above, below = shape[axis], math.prod(shape[joined:axis]), math.prod(shape[axis + 1 :])
        k = node.keep or n
        # Two loops choose a row: the groups, and the positions of a group.
        if below == 1:
            groups, rows = Loop(above * n, outer), Loop(n, above)
            target = Target(first, 1, 1, each)
        elif above == 1:
            groups, rows = Loop(n * below, outer), Loop(1, below)
            target = Target(first, below, 1 - (k - 1) * below, each)
        elif outer == 1:
            groups, rows = Loop(n * below, above), Loop(1, below)
            target = Target(first, below, 1 - (k - 1) * below, k * below)
        else:
            return []
        plain = target == Target(0, 1, 1, k * rows.count)
        steps.append(_picks(place, groups, rows, Loop(below, n), k, Pick(not node.descending, in_turn=True)))
        steps[-1] = replace(steps[-1], target=None if plain else target)
        first += above * k * below
    return steps


def maximum_step(place: ir.PlacedNode) -> EngineStep:
    """The step that gives the place of the first greatest number of each row."""
    rows, n = place.after.size, place.before.shape[-1]
    step = _picks(place, Loop(n, rows), Loop(1, 1), Loop(1, n), 1, Pick(place=True))
    return replace(step, span=(0, n - 1))


def _picks(place: ir.PlacedNode, groups: Loop, rows: Loop, taps: Loop, k: int, pick: Pick) -> EngineStep:
    """A step that picks ``k`` times of each row."""
    limits, operand = span_of(place.before)
    one = Loop(1, 1)
    image = Image(1, rows.last + 1)
    loops = (one, one, one, taps, one, Loop(1, k), rows, one, groups)
    nothing = np.empty((groups.count, 1, 0), np.int64)
    return EngineStep(place.name, place.index + 1, image, loops, 1, limits, operand, nothing, (), pick=pick)


def mean_steps(place: ir.PlacedNode, copy: EngineStep, kind: LaneKind) -> list[EngineStep]:
    """The step that adds up what ``copy`` copies, and the one that gives each number's multiple less that."""
    size = place.before.size
    (low, high), operand = span_of(place.before)
    span = (size * (low - high), size * (high - low))
    parts = kind.parts(np.array([[[size]]], np.int64))
    image, more = Image(size, size), (kind, parts.shape[-1], operand)
    loops = make_loops((1, 1, 1, 1), (1, size), 1, 1, image, (1, 1), (1, 1), *more)
    weights = parts.reshape(1, 1, -1)
    compared = EngineStep(place.name, place.index + 1, image, loops, 1, span, operand, weights, (0,), less_kept=True)
    return [replace(copy, name=f"{place.name}_sum", span=span, keeps=True), compared]


def codebook_step(node: ir.Codebook, place: ir.PlacedNode, lanes: int, kind: LaneKind) -> EngineStep:
    """The step that gives each index once for each column."""
    size, width = place.before.size, len(node.values[0])
    span, operand = span_of(place.before)
    parts = kind.parts(np.ones((1, width, 1), np.int64))
    image, more = Image(size, size), (kind, parts.shape[-1], operand)
    loops = make_loops((1, 1, 1, 1), (1, size), lanes, width, image, (1, 1), (1, 1), *more)
    target = Target(0, width, 1, 1) if size > 1 < width else None
    weights, zeros = parts.reshape(1, width, -1), (0,) * width
    return EngineStep(place.name, place.index + 1, image, loops, width, span, operand, weights, zeros, target=target)


def columns_of(node: ir.Codebook) -> ir.MultiThreshold:
    """A codebook as levels of the index, a row for each column."""
    thresholds = tuple(range(1, len(node.values)))
    columns = tuple(zip(*node.values, strict=True))
    return ir.MultiThreshold((thresholds,) * len(columns), columns, node.lsb)
