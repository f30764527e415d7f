"""Builds what nodes that count in integers mean, as logic, written to be read.

A number is its bits in two's complement, the lowest first and the last one its sign. Sums are taken modulo a power of two that
holds the result, so that what happens on the way to it need not fit. Which inputs a window or a weight reads is asked of
:mod:`dwn_hw.ir.evaluate`, by samples that hold a single 1.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias, assert_never

import numpy as np
import numpy.typing as npt

from dwn_hw import ir
from dwn_hw.ir import evaluate
from dwn_hw.verification.proof.aig import FALSE, TRUE, Aig

Number: TypeAlias = Sequence[int]


def place_integers(logic: Aig, node: ir.IntegerNode, before: ir.Edge, numbers: Sequence[Number]) -> list[int]:
    """Build ``node`` over the numbers of the edge before it. Returns the bits of the edge behind it."""
    after = node.output(before).flat_formats()
    return [
        bit
        for number, fmt in zip(_values(logic, node, before, numbers), after, strict=True)
        for bit in extended(number, fmt.bits)
    ]


def signed(edge: ir.Edge, entries: Sequence[Sequence[int]]) -> list[Number]:
    """The entries of an edge as numbers, which have a sign."""
    return [[*bits, *([] if fmt.signed else [FALSE])] for bits, fmt in zip(entries, edge.flat_formats(), strict=True)]


def extended(number: Number, width: int) -> list[int]:
    """A number modulo ``2**width``: without its highest bits, or with its sign repeated."""
    return [*number, *[number[-1]] * width][:width]


def in_one_width(numbers: Sequence[Number]) -> list[list[int]]:
    """The numbers, each as wide as the widest."""
    width = max(map(len, numbers))
    return [extended(number, width) for number in numbers]


def constant(value: int, width: int) -> list[int]:
    """The number of a constant."""
    return [TRUE if value >> i & 1 else FALSE for i in range(width)]


def greater(logic: Aig, one: Number, other: Number) -> int:
    """The literal of ``one > other``."""
    width = max(len(one), len(other))
    a, b = extended(one, width), extended(other, width)
    a[-1], b[-1] = b[-1], a[-1]  # a sign counts the other way round
    found = FALSE
    for x, y in zip(a, b, strict=True):
        found = logic.choose(logic.differ(x, y), x, found)
    return found


def chosen(logic: Aig, which: int, one: Number, other: Number) -> list[int]:
    """The number ``one`` where ``which`` is 1, else ``other``."""
    width = max(len(one), len(other))
    return [logic.choose(which, a, b) for a, b in zip(extended(one, width), extended(other, width), strict=True)]


def _values(logic: Aig, node: ir.IntegerNode, before: ir.Edge, numbers: Sequence[Number]) -> list[Number]:
    after = node.output(before)
    match node:
        case ir.Dense() | ir.Conv2d() | ir.ConvTranspose2d():
            bias = evaluate.apply(node, np.zeros((1, *before.shape), np.int64)).reshape(-1)
            weights = (_of_single_ones(node, before) - bias).T
            sums = zip(weights.tolist(), bias.tolist(), after.flat_formats(), strict=True)
            # A bit more, since the highest one of a number is its sign.
            return [_sum(logic, numbers, row, start, fmt.bits + 1) for row, start, fmt in sums]
        case ir.MultiThreshold():
            inner = before.size // (before.shape[0] if before.shape else 1)
            many = len(node.thresholds) > 1
            rows = (i // inner if many else 0 for i in range(before.size))
            width = after.formats[0].bits + 1
            return [_level(logic, x, node, row, width) for x, row in zip(numbers, rows, strict=True)]
        case ir.Sort():
            return _sorted(logic, node, before, numbers)
        case ir.CompareToMean():
            width = max(map(len, numbers)) + before.size.bit_length() + 1
            ones = np.ones(before.size, np.int64)
            rows = (before.size * np.eye(before.size, dtype=np.int64) - ones).tolist()
            return [[_sum(logic, numbers, row, 0, width)[-1] ^ 1] for row in rows]
        case ir.Codebook():
            width = after.formats[0].bits + 1
            return [vector for x in numbers for vector in _looked_up(logic, x, node, width)]
        case ir.Quantize():
            drop = node.lsb - before.formats[0].lsb
            return [_clamped(logic, _rounded(logic, x, drop, node.rounding), node) for x in numbers]
        case ir.Affine():
            return _affine(logic, node, before, numbers)
        case ir.Relu():
            return [chosen(logic, x[-1], [FALSE], x) for x in numbers]
        case ir.MaxPool2d():
            windows = _of_single_ones(node, before).T
            return [_greatest(logic, [numbers[i] for i in np.flatnonzero(seen).tolist()]) for seen in windows]
        case ir.Reshape():
            return list(numbers)
        case _:
            assert_never(node)


def _of_single_ones(node: ir.IntegerNode, before: ir.Edge) -> npt.NDArray[np.int64]:
    """What a node gives for each sample that holds a single 1: (entries before it, entries behind it)."""
    ones = np.eye(before.size, dtype=np.int64).reshape(-1, *before.shape)
    return evaluate.apply(node, ones).reshape(before.size, -1)


def _sum(logic: Aig, numbers: Sequence[Number], weights: Sequence[int], start: int, width: int) -> list[int]:
    """``start`` and each number times its weight, modulo ``2**width``."""
    found = constant(start, width)
    for number, weight in zip(numbers, weights, strict=True):
        for place in range(abs(weight).bit_length()):
            if abs(weight) >> place & 1:
                term = extended([*[FALSE] * place, *number], width)
                found = logic.add(found, term) if weight > 0 else _less(logic, found, term)
    return found


def _less(logic: Aig, one: Number, other: Number) -> list[int]:
    """``one - other``, which is the inverse of the inverse of ``one`` and ``other``."""
    return [bit ^ 1 for bit in logic.add([bit ^ 1 for bit in one], other)]


def _level(logic: Aig, number: Number, node: ir.MultiThreshold, row: int, width: int) -> Number:
    first, *others = node.intervals(row)
    found = constant(first[1], width)
    for start, value in others:
        assert start is not None  # of all but the first
        below = constant(start - 1, max(len(number), ir.Format.covering(start - 1, start - 1).bits + 1))
        found = chosen(logic, greater(logic, number, below), constant(value, width), found)
    return found


def _looked_up(logic: Aig, index: Number, node: ir.Codebook, width: int) -> list[Number]:
    found = [constant(value, width) for value in node.values[0]]
    for at, row in enumerate(node.values[1:], 1):
        reached = greater(logic, index, constant(at - 1, at.bit_length() + 1))
        found = [chosen(logic, reached, constant(value, width), old) for value, old in zip(row, found, strict=True)]
    return list(found)


def _sorted(logic: Aig, node: ir.Sort, before: ir.Edge, numbers: Sequence[Number]) -> list[Number]:
    """Each row along each axis by exchanges; an axis' numbers in a dictionary by their place, read in order at the end.

    Words of levels a bit at a time.
    """
    if node.levels:
        each, width = replace(node, levels=()), node.output(before).formats[0].bits + 1
        words = [_sorted(logic, each, before, [[x[i], FALSE] for x in numbers]) for i in range(len(node.levels) - 1)]
        return [_of_level(logic, [x[0] for x in bits], node.levels, width) for bits in zip(*words, strict=True)]
    parts: list[tuple[tuple[int, ...], dict[tuple[int, ...], Number]]] = []
    for axis in node.axes:
        keep = node.keep or before.shape[axis]
        shape = (*before.shape[:axis], keep, *before.shape[axis + 1 :])
        found: dict[tuple[int, ...], Number] = {}
        for place in np.ndindex(*before.shape[:axis], 1, *before.shape[axis + 1 :]):
            along = [(*place[:axis], i, *place[axis + 1 :]) for i in range(before.shape[axis])]
            row = [numbers[int(np.ravel_multi_index(at, before.shape))] for at in along]
            found |= zip(along[:keep], _in_order(logic, row, node.descending), strict=False)
        parts.append((shape, found))
    joined = before.shape[: min(node.axes)]
    return [
        found[(*outer, *inner)]
        for outer in np.ndindex(joined)
        for shape, found in parts
        for inner in np.ndindex(shape[len(joined) :])
    ]


def _of_level(logic: Aig, reached: Sequence[int], levels: Sequence[int], width: int) -> Number:
    if not reached:
        return constant(levels[0], width)
    middle = len(reached) // 2
    above = _of_level(logic, reached[middle + 1 :], levels[middle + 1 :], width)
    return chosen(logic, reached[middle], above, _of_level(logic, reached[:middle], levels[: middle + 1], width))


def _in_order(logic: Aig, numbers: Sequence[Number], descending: bool) -> list[Number]:
    row = list(numbers)
    for last, i in itertools.combinations(reversed(range(len(row))), 2):
        swap = greater(logic, row[last], row[i]) if descending else greater(logic, row[i], row[last])
        row[i], row[last] = chosen(logic, swap, row[last], row[i]), chosen(logic, swap, row[i], row[last])
    return row


def _rounded(logic: Aig, number: Number, drop: int, rounding: str) -> Number:
    if drop <= 0:
        return [*[FALSE] * -drop, *number]
    width = max(len(number), drop) + 2
    wide, half = extended(number, width), 1 << drop - 1
    match rounding:
        case "half_up":
            wide = logic.add(wide, constant(half, width))
        case "half_even":
            wide = logic.add(logic.add(wide, constant(half - 1, width)), [wide[drop], *[FALSE] * (width - 1)])
        case _:
            pass
    return wide[drop:]


def _clamped(logic: Aig, number: Number, node: ir.Quantize) -> Number:
    width = max(len(number), ir.Format.covering(min(node.lowest, 0), max(node.highest, 0)).bits + 1)
    low, high = constant(node.lowest, width), constant(node.highest, width)
    found = chosen(logic, greater(logic, low, number), low, number)
    return chosen(logic, greater(logic, found, high), high, found)


def _affine(logic: Aig, node: ir.Affine, before: ir.Edge, numbers: Sequence[Number]) -> list[Number]:
    inner = before.size // before.shape[0]
    width = node.output(before).formats[0].bits + node.shift + 1
    found: list[Number] = []
    for i, number in enumerate(numbers):
        m, b = (column[0 if len(column) == 1 else i // inner] for column in (node.multipliers, node.biases))
        found.append(_sum(logic, [number], [m], b, width)[node.shift :])
    return found


def _greatest(logic: Aig, numbers: Sequence[Number]) -> Number:
    found = numbers[0]
    for number in numbers[1:]:
        found = chosen(logic, greater(logic, number, found), number, found)
    return found
