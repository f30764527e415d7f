"""Defines what each node of a network means, exactly, in numpy, for a batch.

This is the oracle: the fast emulator, the Verilog, and everything that comes after are compared with it, and it
is written to be read, not to be fast (:mod:`dwn_hw.ir.emulate` is fast).

Arrays are ``int64``, of shape (samples, *edge.shape).
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, TypeAlias, assert_never

import numpy as np
import numpy.typing as npt

from dwn_hw.errors import DataError, Problem
from dwn_hw.ir.discrete_nodes import Codebook, CompareToMean, MultiThreshold, Sort
from dwn_hw.ir.edges import Ints
from dwn_hw.ir.integer_nodes import Affine, MaxPool2d, Quantize, Relu, Reshape
from dwn_hw.ir.lut_nodes import ArgMax, GroupSum, LutLayer, Thermometer
from dwn_hw.ir.network import Network, Node
from dwn_hw.ir.weighted_nodes import Conv2d, ConvTranspose2d, Dense

Codes: TypeAlias = npt.NDArray[np.int64]


def evaluate(network: Network, codes: npt.NDArray[Any]) -> Codes:
    """The network's output, (samples, *output shape), for ``codes`` (samples, *input shape)."""
    return trace(network, codes)[-1]


def trace(network: Network, codes: npt.NDArray[Any]) -> tuple[Codes, ...]:
    """What flows on every edge: the codes, then the output of each node in order."""
    values = [check_codes(network, codes)]
    for step in network.steps():
        values.append(apply(step.node, values[-1], step.before.formats[0].lsb))
    return tuple(values)


def check_codes(network: Network, codes: npt.NDArray[Any]) -> Codes:
    """``codes`` as int64, or a DataError as :func:`check_range` raises."""
    check_range(network, codes)
    return codes.astype(np.int64)


def check_range(network: Network, codes: npt.NDArray[Any]) -> None:
    """Raise DataError for ``codes`` of a wrong shape, that are no integers, or that the port cannot carry."""
    edge = network.input.edge
    if codes.ndim != 1 + len(edge.shape) or codes.shape[1:] != edge.shape:
        rule = f"an array of shape (samples, {', '.join(map(str, edge.shape))})"
        raise DataError(Problem("codes", rule, f"{codes.shape}", "Give one row of codes for each sample."))
    if codes.dtype.kind not in "iub":
        raise DataError(Problem("codes", "codes are integers", f"{codes.dtype}", "Give real values as 'x' instead."))
    formats = edge.formats if len(edge.formats) > 1 else edge.formats * edge.shape[0]
    # Compared in the codes' own dtype, whose every value may be a code anyway.
    least, most = (0, 1) if codes.dtype.kind == "b" else (np.iinfo(codes.dtype).min, np.iinfo(codes.dtype).max)
    if all(fmt.low <= least and most <= fmt.high for fmt in formats):
        return
    low, high = (
        np.array([min(max(end, least), most) for end in ends], codes.dtype).reshape(-1, *[1] * (len(edge.shape) - 1))
        for ends in ([fmt.low for fmt in formats], [fmt.high for fmt in formats])
    )
    outside = np.argwhere((codes < low) | (codes > high))
    if len(outside):
        at = tuple(int(i) for i in outside[0])
        fmt = formats[at[1]]
        rule = f"codes of a {fmt} feature lie in {fmt.low}…{fmt.high}"
        got = f"{int(codes[at])} in sample {at[0]}, feature {', '.join(map(str, at[1:]))} ({len(outside)} in all)"
        raise DataError(Problem("codes", rule, got, "Clip them, or export with a wider --input-format."))


def apply(node: Node, values: Codes, lsb: int = 0) -> Codes:
    """The output of one node for a batch of ``values`` on the grid ``2**lsb``."""
    match node:
        case Thermometer():
            return _thermometer(node, values)
        case LutLayer():
            return _lut_layer(node, values)
        case GroupSum():
            return _group_sum(node, values)
        case ArgMax():
            return np.asarray(values.argmax(axis=-1), np.int64)  # numpy gives the first maximum
        case Dense():
            return np.asarray(values @ np.array(node.weights).reshape(len(node.bias), -1).T + np.array(node.bias))
        case Conv2d():
            return _convolution(node, values)
        case ConvTranspose2d():
            return _transposed(node, values)
        case MultiThreshold():
            return _levels(node, values)
        case Sort():
            return _sorted(node, values)
        case CompareToMean():
            flat = _flat(values)
            reached = flat.shape[1] * flat >= flat.sum(axis=1, keepdims=True)
            return np.asarray(reached.astype(np.int64).reshape(values.shape))
        case Codebook():
            return np.array(node.values, np.int64)[np.minimum(values, len(node.values) - 1)]
        case Quantize():
            return np.clip(_rounded(values, node.lsb - lsb, node.rounding), node.lowest, node.highest)
        case Affine():
            multipliers, biases = (_by_entry(v, values) for v in (node.multipliers, node.biases))
            return np.asarray((values * multipliers + biases) >> node.shift)
        case Relu():
            return np.maximum(values, 0)
        case MaxPool2d():
            rim = np.iinfo(np.int64).min
            windows = _windows(values, node.kernel, node.stride, node.padding, node.dilation, constant_values=rim)
            return np.asarray(windows.max(axis=(4, 5)))
        case Reshape():
            return values.reshape(len(values), *node.shape)
        case _:
            assert_never(node)


def _thermometer(node: Thermometer, codes: Codes) -> Codes:
    columns = _flat(codes)
    rows = [columns[:, [f]] >= np.array(row) for f, row in enumerate(node.thresholds) if row]
    return np.concatenate(rows, axis=1).astype(np.int64)


def _lut_layer(node: LutLayer, bits: Codes) -> Codes:
    bits = _flat(bits)
    out = np.empty((len(bits), len(node.tables)), np.int64)
    for j, (wires, table) in enumerate(zip(node.wires, node.tables, strict=True)):
        address = bits[:, wires] @ (1 << np.arange(len(wires)))
        out[:, j] = table_bits(table, len(wires))[address]
    return out


def table_bits(table: int, inputs: int) -> npt.NDArray[np.uint8]:
    """A truth table as an array of 2**inputs zeros and ones, entry ``a`` for address ``a``."""
    size = 1 << inputs
    raw = np.frombuffer(table.to_bytes(max(1, size // 8), "little"), np.uint8)
    return np.unpackbits(raw, bitorder="little")[:size]


def table_of(bits: npt.NDArray[Any]) -> int:
    """The inverse of :func:`table_bits`."""
    return int.from_bytes(np.packbits(bits.astype(bool), bitorder="little").tobytes(), "little")


def _group_sum(node: GroupSum, bits: Codes) -> Codes:
    bits = _flat(bits)
    groups = node.split(bits.shape[1])
    return np.stack([bits[:, g.members] @ np.array(g.weights, np.int64) + g.bias for g in groups], axis=1)


def _convolution(node: Conv2d, values: Codes) -> Codes:
    mode = {"zeros": "constant", "circular": "wrap"}[node.padding_mode]
    windows = _windows(values, node.kernel[2:], node.stride, node.padding, node.dilation, mode=mode)
    outputs, inputs = node.kernel[0] // node.groups, node.kernel[1]
    slices = np.array(node.weights, np.int64).reshape(node.groups, outputs, -1)
    columns = []
    for group, rows in enumerate(slices):
        read = windows[:, group * inputs : (group + 1) * inputs].transpose(0, 2, 3, 1, 4, 5)
        columns.append(read.reshape(*read.shape[:3], rows.shape[1]) @ rows.T)
    out = np.concatenate(columns, axis=3) + np.array(node.bias)
    return np.ascontiguousarray(out.transpose(0, 3, 1, 2))


def _transposed(node: ConvTranspose2d, values: Codes) -> Codes:
    """Each number of the image adds its multiple of the kernel to what lies around its place; then the padding is cut off."""
    shape, (inputs, outputs, height, width) = node.output_shape(values.shape[2:]), node.kernel
    kernel = np.array(node.weights, np.int64).reshape(node.groups, inputs // node.groups, outputs, height, width)
    images = values.reshape(len(values), node.groups, -1, *values.shape[2:])
    whole = [extent + 2 * pad for extent, pad in zip(shape, node.padding, strict=True)]
    out = np.zeros((len(values), node.groups * outputs, *whole), np.int64)
    for row in range(height):
        for column in range(width):
            added = np.einsum("ngihw,gio->ngohw", images, kernel[..., row, column])
            at = (
                slice(first, first + stride * (extent - 1) + 1, stride)
                for first, stride, extent in zip(
                    (row * node.dilation[0], column * node.dilation[1]), node.stride, values.shape[2:], strict=True
                )
            )
            out[(slice(None), slice(None), *at)] += added.reshape(len(values), -1, *values.shape[2:])
    inner = (slice(pad, pad + extent) for pad, extent in zip(node.padding, shape, strict=True))
    return np.asarray(out[(slice(None), slice(None), *inner)] + np.array(node.bias)[:, None, None])


def _levels(node: MultiThreshold, values: Codes) -> Codes:
    if len(node.thresholds) == 1:
        return np.array(node.values[0])[np.searchsorted(node.thresholds[0], values, side="right")]
    rows = zip(node.thresholds, node.values, np.moveaxis(values, 1, 0), strict=True)
    out = [np.array(levels)[np.searchsorted(row, own, side="right")] for row, levels, own in rows]
    return np.stack(out, axis=1).astype(np.int64)


def _sorted(node: Sort, values: Codes) -> Codes:
    if node.levels:
        each = replace(node, levels=())
        bits = [_sorted(each, values >> i & 1) for i in range(len(node.levels) - 1)]
        return np.array(node.levels, np.int64)[_level(bits)]
    parts = []
    for axis in node.axes:
        order = np.sort(values, axis=axis + 1)
        order = np.flip(order, axis=axis + 1) if node.descending else order
        parts.append(order.take(range(node.keep or order.shape[axis + 1]), axis=axis + 1))
    if len(parts) == 1:
        return np.asarray(parts[0])
    joined = min(node.axes) + 1
    rows = [part.reshape(*part.shape[:joined], math.prod(part.shape[joined:])) for part in parts]
    return np.concatenate(rows, axis=-1)


def _level(bits: list[Codes]) -> Codes:
    """The level that bits lead to, of which bit ``i`` says whether level ``i + 1`` is reached: the middle one is asked first."""
    middle = len(bits) // 2
    below, above = bits[:middle], bits[middle + 1 :]
    lower = _level(below) if below else np.zeros_like(bits[0])
    higher = _level(above) if above else np.zeros_like(bits[0])
    return np.where(bits[middle] == 1, middle + 1 + higher, lower)


def _windows(values: Codes, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, **pad: Any) -> Codes:
    """What each place of the window sees: (samples, channels, rows, columns, kernel rows, kernel columns)."""
    padded = np.pad(values, ((0, 0), (0, 0), *((p, p) for p in padding)), **pad)
    reach = tuple(d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True))
    windows = np.lib.stride_tricks.sliding_window_view(padded, reach, axis=(2, 3))
    strided: Codes = windows[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]
    return strided


def _rounded(values: Codes, dropped: int, rounding: str) -> Codes:
    """The values divided by ``2**dropped``, rounded."""
    if dropped <= 0:
        return values << -dropped
    floor = values >> dropped
    rest, half = values - (floor << dropped), 1 << (dropped - 1)
    match rounding:
        case "half_up":
            return np.asarray(floor + (rest >= half))
        case "half_even":
            return np.asarray(floor + ((rest > half) | ((rest == half) & (floor & 1 == 1))))
        case _:
            return floor


def _by_entry(row: Ints, values: Codes) -> Codes:
    """The entries of ``row``, one for each entry of the first axis behind the samples, shaped to meet ``values``."""
    return np.array(row, np.int64).reshape(-1, *[1] * (values.ndim - 2))


def _flat(values: Codes) -> Codes:
    """The values as (samples, everything else in C order); numpy cannot work out the -1 of no samples."""
    return values.reshape(len(values), math.prod(values.shape[1:]))
