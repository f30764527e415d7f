"""What each node of a network means, exactly, in numpy, for a batch.

This is the oracle: the fast emulator, the Verilog, and everything that comes after are compared with it, and it
is written to be read, not to be fast (:mod:`dwn_hw.emulate` is fast).

Arrays are ``int64``, of shape (samples, *edge.shape).
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias, assert_never

import numpy as np
import numpy.typing as npt

from dwn_hw.errors import DataError, Problem
from dwn_hw.ir import ArgMax, GroupSum, LutLayer, Network, Node, Thermometer

Codes: TypeAlias = npt.NDArray[np.int64]


def evaluate(network: Network, codes: npt.NDArray[Any]) -> Codes:
    """The network's output, (samples, *output shape), for ``codes`` (samples, *input shape)."""
    return trace(network, codes)[-1]


def trace(network: Network, codes: npt.NDArray[Any]) -> tuple[Codes, ...]:
    """What flows on every edge: the codes, then the output of each node in order."""
    values = [check_codes(network, codes)]
    for node in network.nodes:
        values.append(apply(node, values[-1]))
    return tuple(values)


def check_codes(network: Network, codes: npt.NDArray[Any]) -> Codes:
    """``codes`` as int64, or a DataError: wrong shape, not integers, or a code that the port cannot carry."""
    edge = network.input.edge
    if codes.ndim != 1 + len(edge.shape) or codes.shape[1:] != edge.shape:
        rule = f"an array of shape (samples, {', '.join(map(str, edge.shape))})"
        raise DataError(Problem("codes", rule, f"{codes.shape}", "Give one row of codes for each sample."))
    if codes.dtype.kind not in "iub":
        raise DataError(Problem("codes", "codes are integers", f"{codes.dtype}", "Give real values as 'x' instead."))
    formats = edge.formats if len(edge.formats) > 1 else edge.formats * edge.shape[0]
    low = np.array([fmt.low for fmt in formats]).reshape(-1, *[1] * (len(edge.shape) - 1))
    high = np.array([fmt.high for fmt in formats]).reshape(low.shape)
    outside = np.argwhere((codes < low) | (codes > high))
    if len(outside):
        at = tuple(int(i) for i in outside[0])
        fmt = formats[at[1]]
        rule = f"codes of a {fmt} feature lie in {fmt.low}…{fmt.high}"
        got = f"{int(codes[at])} in sample {at[0]}, feature {', '.join(map(str, at[1:]))} ({len(outside)} in all)"
        raise DataError(Problem("codes", rule, got, "Clip them, or export with a wider --input-format."))
    return codes.astype(np.int64)


def apply(node: Node, values: Codes) -> Codes:
    """The output of one node for a batch."""
    match node:
        case Thermometer():
            return _thermometer(node, values)
        case LutLayer():
            return _lut_layer(node, values)
        case GroupSum():
            return _group_sum(node, values)
        case ArgMax():
            return np.asarray(values.argmax(axis=1), np.int64)  # numpy gives the first maximum
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


def _flat(values: Codes) -> Codes:
    """(samples, everything else in C order); numpy cannot work out the -1 of no samples."""
    return values.reshape(len(values), math.prod(values.shape[1:]))
