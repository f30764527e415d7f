"""Lowers nodes that count in integers to parallel hardware: shared adders, clamps and comparisons of words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, assert_never

import numpy as np
import numpy.typing as npt

from dwn_hw import ir
from dwn_hw.errors import IRError, Problem
from dwn_hw.hardware import adder_graph
from dwn_hw.hardware.lowering.discrete import lower_levels, unrolled_transposed
from dwn_hw.hardware.lowering.sorters import sort_words
from dwn_hw.hardware.word_netlist import Operation, Output, WordBuilder, WordNetlist, WordOp

#: The most pairs of weights that may meet in the sums of a layer: sharing looks at each of them. So many take about a minute.
MOST_PAIRS = 2_000_000


def lower_integers(node: ir.Node, name: str, before: ir.Edge, after: ir.Edge) -> WordNetlist:
    """Lower a node that counts in integers, or a first maximum, to words: the entries of the edge before it come in, those of the
    edge behind it leave, in C order.
    """
    build = WordBuilder(before.flat_formats())
    terms = np.arange(before.size).reshape(before.shape)
    match node:
        case ir.Dense():
            leaves = _sums(build, name, np.array(node.weights, np.int64).reshape(len(node.bias), -1), node.bias)
        case ir.Conv2d():
            leaves = _sums(build, name, *unrolled(node, terms))
        case ir.ConvTranspose2d():
            leaves = _sums(build, name, *unrolled_transposed(node, terms, after.shape))
        case ir.Quantize():
            dropped = node.lsb - before.formats[0].lsb
            leaves = [
                _quantized(build, f"{name}_{i}", i, dropped, node.rounding, node.lowest, node.highest)
                for i in range(before.size)
            ]
        case ir.Affine():
            leaves = _affine(build, name, node, before)
        case ir.Relu():
            highs = [fmt.high for fmt in before.flat_formats()]
            leaves = [_quantized(build, f"{name}_{i}", i, 0, "floor", 0, high) for i, high in enumerate(highs)]
        case ir.MaxPool2d():
            leaves = [(_greatest(build, f"{name}_{i}", seen), 0) for i, seen in enumerate(_pooled(node, terms))]
        case ir.Reshape():
            leaves = [(i, 0) for i in range(before.size)]
        case ir.ArgMax():
            leaves = [(best, 0) for best in _first_maxima(build, before)]
        case ir.CompareToMean():
            leaves = [(term, 0) for term in _at_least_mean(build, name, before)]
        case ir.MultiThreshold():
            leaves = [(term, 0) for term in lower_levels(build, node, name, before)]
        case ir.Sort():
            return sort_words(node, name, before, after)
        case ir.Thermometer() | ir.LutLayer() | ir.GroupSum() | ir.Codebook():
            raise IRError(Problem(name, "a node that is made of words", type(node).__name__, "Lower it to LUTs."))
        case _:
            assert_never(node)
    formats = after.flat_formats()
    return build.finish([Output(term, shift, fmt) for (term, shift), fmt in zip(leaves, formats, strict=True)])


def fits(network: ir.Network) -> bool:
    """Whether no layer is too large for parallel hardware. A convolution is counted as if every window lay inside the image."""
    for step in network.steps():
        node, after = step.node, step.after
        if isinstance(node, ir.ConvTranspose2d):
            taps = np.count_nonzero(np.array(node.weights)) // len(node.bias)
            if _pairs(np.full(after.size, taps)) > MOST_PAIRS:
                return False
        if isinstance(node, ir.Dense | ir.Conv2d):
            places = np.count_nonzero(np.array(node.weights).reshape(len(node.bias), -1), axis=1)
            if _pairs(places) * after.size // after.shape[0] > MOST_PAIRS:
                return False
    return True


def _pairs(places: npt.NDArray[Any]) -> int:
    return int((places * (places - 1) // 2).sum())


def _sums(
    build: WordBuilder, name: str, weights: npt.NDArray[np.int64], biases: Sequence[int]
) -> list[tuple[int, int]]:
    """Build ``weights @ inputs + biases``. Returns for each sum a term, and the shift to the left that makes it the sum."""
    places = np.count_nonzero(weights, axis=1)
    pairs = _pairs(places)
    if pairs > MOST_PAIRS:
        rule = f"at most {MOST_PAIRS:,} pairs of weights that meet in a sum, for parallel hardware"
        got = f"{pairs:,}, of {places.sum():,} weights in {len(places):,} sums"
        raise IRError(Problem(name, rule, got, "Ask for the folded engine with --lanes."))
    formats = build.formats
    graph = adder_graph.share(weights, biases, [(fmt.low, fmt.high) for fmt in formats])
    named = {out.term: f"{name}_o{o}" for o, out in reversed(list(enumerate(graph.outputs)))}
    terms = [*range(len(formats)), *(build.constant(value) for value in graph.constants)]
    for term, adder in enumerate(graph.adders, len(terms)):
        operands = terms[adder.left], terms[adder.right]
        shifts = adder.left_shift, adder.right_shift
        cell = Operation(
            named.get(term, f"{name}_s{term}"), WordOp.ADD, operands, graph.format(term), shifts, adder.sign
        )
        terms.append(build.add(cell))
    return [(build.constant(0) if out.term is None else terms[out.term], out.shift) for out in graph.outputs]


def unrolled(node: ir.Conv2d, terms: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], tuple[int, ...]]:
    """A convolution of an image as one matrix (outputs, inputs), and a bias for each output; ``terms``: numbers of the pixels."""
    mode: dict[str, Any] = {"mode": "wrap"} if node.padding_mode == "circular" else {"constant_values": -1}
    windows = _windows(terms, node.kernel[2:], node.stride, node.padding, node.dilation, **mode)
    channels, inputs = node.kernel[0], node.kernel[1]
    values = np.array(node.weights, np.int64).reshape(node.kernel)
    rows = windows.shape[1] * windows.shape[2]
    matrix = np.zeros((channels * rows, terms.size + 1), np.int64)  # what padding adds goes to a last column
    for channel in range(channels):
        first = channel // (channels // node.groups) * inputs
        seen = windows[first : first + inputs].transpose(1, 2, 0, 3, 4).reshape(rows, -1)
        for row, columns in enumerate(seen):
            # Circular padding may bring one pixel to a window twice.
            np.add.at(matrix[channel * rows + row], columns, values[channel].reshape(-1))
    return matrix[:, :-1], tuple(bias for bias in node.bias for _ in range(rows))


def _windows(
    terms: npt.NDArray[np.int64],
    kernel: ir.Ints,
    stride: ir.Ints,
    padding: ir.Ints,
    dilation: ir.Ints,
    **pad: Any,
) -> npt.NDArray[np.int64]:
    """The terms that each window sees: (channels, rows, columns, kernel rows, kernel columns)."""
    padded = np.pad(terms, ((0, 0), *((p, p) for p in padding)), **pad)
    reach = tuple(d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True))
    windows = np.lib.stride_tricks.sliding_window_view(padded, reach, axis=(1, 2))
    strided: npt.NDArray[np.int64] = windows[:, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]
    return strided


def _quantized(
    build: WordBuilder, name: str, term: int, dropped: int, rounding: str, lowest: int, highest: int
) -> tuple[int, int]:
    low, high = build.limits(term)
    if dropped <= 0 and lowest <= low << -dropped and high << -dropped <= highest:
        return term, -dropped
    fmt = ir.Format.covering(lowest, highest)
    cell = Operation(name, WordOp.QUANTIZE, (term,), fmt, (dropped,), 1, rounding, lowest, highest)
    return build.add(cell), 0


def _affine(build: WordBuilder, name: str, node: ir.Affine, before: ir.Edge) -> list[tuple[int, int]]:
    inner = before.size // before.shape[0]
    columns = [v * before.shape[0] if len(v) == 1 else v for v in (node.multipliers, node.biases)]
    matrix = np.diag(np.repeat(np.array(columns[0], np.int64), inner))
    leaves = []
    for i, (term, shift) in enumerate(_sums(build, f"{name}_sum", matrix, np.repeat(columns[1], inner).tolist())):
        low, high = build.limits(term)
        drop = node.shift - shift
        if drop <= 0:
            leaves.append((term, -drop))
        else:
            leaves.append(_quantized(build, f"{name}_{i}", term, drop, "floor", low >> drop, high >> drop))
    return leaves


def _at_least_mean(build: WordBuilder, name: str, before: ir.Edge) -> list[int]:
    """Build ``n·x > Σx - 1`` for each number ``x``; where ``n`` is even without the lowest bits, which ``n·x`` has not."""
    size = before.size
    matrix = np.concatenate([np.eye(size, dtype=np.int64) * size, np.ones((1, size), np.int64)])
    *multiples, (total, _) = _sums(build, f"{name}_sum", matrix, (0,) * size + (-1,))
    drop = multiples[0][1]
    low, high = build.limits(total)
    bound, _ = _quantized(build, f"{name}_bound", total, drop, "floor", low >> drop, high >> drop)
    return [build.greater(f"{name}_{i}", bound, term) for i, (term, _) in enumerate(multiples)]


def _pooled(node: ir.MaxPool2d, terms: npt.NDArray[np.int64]) -> list[list[int]]:
    windows = _windows(terms, node.kernel, node.stride, node.padding, node.dilation, constant_values=-1)
    flat = windows.reshape(-1, node.kernel[0] * node.kernel[1])
    return [[term for term in row if term >= 0] for row in flat.tolist()]


def _greatest(build: WordBuilder, name: str, terms: list[int]) -> int:
    """Build the greatest of some terms, by halves; the cells' names say which terms met."""
    if len(terms) == 1:
        return terms[0]
    half = len(terms) // 2
    left, right = (_greatest(build, f"{name}{side}", part) for side, part in (("l", terms[:half]), ("r", terms[half:])))
    return build.mux(f"{name}_max", build.greater(f"{name}_right", left, right), left, right)


def _first_maxima(build: WordBuilder, before: ir.Edge) -> list[int]:
    """Build the index of the first maximum of each row: a tournament in which the right side must be strictly greater."""
    size = before.shape[-1]

    def best(first: int, last: int) -> tuple[int, int]:
        """(value, index) of the entries first … last."""
        if first == last:
            return first, build.constant(first % size)
        middle = (first + last) // 2
        (a, i), (b, j) = best(first, middle), best(middle + 1, last)
        right = build.greater(f"right_wins_{first}to{last}", a, b)
        value = build.mux(f"best_{first}to{last}", right, a, b)
        return value, build.mux(f"index_{first}to{last}", right, i, j)

    return [best(first, first + size - 1)[1] for first in range(0, before.size, size)]
