"""Lowers step functions and transposed convolutions to operations on words, codebooks to LUTs."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dwn_hw import ir
from dwn_hw.hardware.lowering.absorb import absorb
from dwn_hw.hardware.lowering.shannon import shannon
from dwn_hw.hardware.lut_netlist import LutBuilder, LutNetlist
from dwn_hw.hardware.word_netlist import WordBuilder
from dwn_hw.ir.truth_tables import table_of

#: One interval of a step function: the code at which it begins, or None for the first, and its value.
Interval = tuple[int | None, int]


def lower_levels(build: WordBuilder, node: ir.MultiThreshold, name: str, before: ir.Edge) -> list[int]:
    """Build the terms of the numbers that leave ``node``, in C order."""
    inner = before.size // (before.shape[0] if before.shape else 1)
    found = []
    for i, fmt in enumerate(before.flat_formats()):
        row = 0 if len(node.thresholds) == 1 else i // inner
        intervals = within(node.intervals(row), fmt)
        place = _word if _is_of_levels(intervals) else _step
        found.append(place(build, f"{name}_{i}", i, intervals))
    return found


def within(intervals: Sequence[Interval], fmt: ir.Format) -> list[Interval]:
    """The intervals that codes of ``fmt`` reach, those of one value side by side as one; the first begins at None."""
    found: list[Interval] = []
    for start, value in intervals:
        if start is not None and start > fmt.high:
            break
        if start is None or start <= fmt.low:
            found = [(None, value)]
        elif found[-1][1] != value:
            found.append((start, value))
    return found


def _is_of_levels(intervals: Sequence[Interval]) -> bool:
    """Whether the values are words of levels: from 0 on, each has the bits of the one before, and those above them."""
    values = [value for _, value in intervals]
    return (
        values[0] == 0
        and values[-1] > 1
        and all(low < high and high & high + 1 == 0 for low, high in itertools.pairwise(values))
    )


def _word(build: WordBuilder, name: str, term: int, intervals: Sequence[Interval]) -> int:
    """Build a word of levels: each bit is a comparison."""
    bits: list[int] = []
    for start, value in intervals[1:]:
        assert start is not None  # of all but the first interval
        reached = _reached(build, name, term, start)
        bits += [reached] * (value.bit_length() - len(bits))
    return build.join(f"{name}_levels", bits)


def _reached(build: WordBuilder, name: str, term: int, start: int) -> int:
    return build.greater(f"{name}_ge_{start}".replace("-", "m"), build.constant(start - 1), term)


def _step(build: WordBuilder, name: str, term: int, intervals: Sequence[Interval]) -> int:
    """Build a step function of a term: a comparison in the middle chooses between two shorter ones."""
    if len(intervals) == 1:
        return build.constant(intervals[0][1])
    middle = len(intervals) // 2
    start = intervals[middle][0]
    assert start is not None  # of all but the first interval
    reached = _reached(build, name, term, start)
    low, high = intervals[:middle], [(None, intervals[middle][1]), *intervals[middle + 1 :]]
    if [value for _, value in (*low, *high)] == [0, 1]:
        return reached
    below, above = _step(build, name, term, low), _step(build, name, term, high)
    return build.mux(f"{name}_at_{start}".replace("-", "m"), reached, below, above)


def lower_codebook(node: ir.Codebook, name: str, before: ir.Edge, after: ir.Edge, k: int) -> LutNetlist:
    """Lower a codebook to LUTs of ``k`` inputs: each bit of a vector is a function of the bits of its index."""
    builder = LutBuilder(before.bits)
    outputs, first, last = list[int](), 0, len(node.values) - 1
    for i, fmt in enumerate(before.flat_formats()):
        index = range(first, first := first + fmt.bits)
        for column, values in enumerate(zip(*node.values, strict=True)):
            for bit in range(after.formats[0].bits):
                table = table_of(fmt.bits, lambda at, values=values, bit=bit: values[min(at, last)] >> bit & 1)
                outputs.append(shannon(builder, f"{name}_{i}_v{column}_b{bit}", index, table, k))
    return absorb(builder.finish(outputs), k)


def unrolled_transposed(
    node: ir.ConvTranspose2d, terms: npt.NDArray[np.int64], shape: ir.Ints
) -> tuple[npt.NDArray[np.int64], tuple[int, ...]]:
    """A transposed convolution of an image as one matrix (outputs, inputs), and a bias for each output.

    ``terms``: the numbers of the pixels; ``shape``: of the output, (channels, rows, columns).
    """
    inputs, each, *window = node.kernel
    kernel = np.array(node.weights, np.int64).reshape(node.kernel)
    matrix = np.zeros((*shape, terms.size), np.int64)
    for channel, row, column in np.ndindex(*terms.shape):
        first = channel // (inputs // node.groups) * each
        for tap in np.ndindex(*window):
            axes = zip((row, column), node.stride, tap, node.dilation, node.padding, strict=True)
            y, x = (at * stride + k * apart - pad for at, stride, k, apart, pad in axes)
            if 0 <= y < shape[1] and 0 <= x < shape[2]:
                own = matrix[first : first + each, y, x, terms[channel, row, column]]
                own += kernel[(channel, slice(None), *tap)]
    return matrix.reshape(-1, terms.size), tuple(b for b in node.bias for _ in range(shape[1] * shape[2]))
