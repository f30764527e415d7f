"""Fast, bit-exact emulation of the nodes that count in integers: sums by the machine's own matrix product.

A matrix product in floating point is exact while every partial sum is an integer of fewer bits than a mantissa has, in
whatever order it adds. The format of a node's output bounds them all (:mod:`dwn_hw.ir.integer_nodes`), so it says which
type will do: float32 up to 24 bits, float64 up to 53, else int64, which is slow. :mod:`dwn_hw.ir.emulate` calls this;
the meaning is that of :mod:`dwn_hw.ir.evaluate`, which shares no code with what is here.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from dwn_hw.ir.edges import Edge, Ints
from dwn_hw.ir.integer_nodes import MaxPool2d
from dwn_hw.ir.network import Network
from dwn_hw.ir.weighted_nodes import Conv2d, ConvTranspose2d, Dense, WeightedNode

Codes = npt.NDArray[np.int64]

#: The bytes held at a time, about.
MEMORY = 50_000_000

#: The bits of an integer that a float of each type holds exactly.
_MANTISSAS = ((np.float32, 24), (np.float64, 53))


def adds_up(network: Network) -> bool:
    """Whether a network's time goes into sums of integers, for which the matrix product has threads of its own."""
    return any(isinstance(node, WeightedNode) for node in network.nodes)


def samples_at_once(network: Network, most: int) -> int:
    """The number of samples, at most ``most``, that go through such a network together, so that little memory is needed."""
    sizes = [1]
    for step in network.steps():
        node, windows = step.node, 0
        if isinstance(node, Conv2d):
            windows = math.prod(node.kernel[1:]) * node.groups * math.prod(step.after.shape[1:])
        sizes.append(8 * (windows + 3 * step.before.size + 3 * step.after.size))
    return max(1, min(most, MEMORY // max(sizes)))


def type_for(bits: int) -> np.dtype[Any]:
    """The quickest type in which integers of ``bits`` bits, sign included, add up exactly."""
    return np.dtype(next((kind for kind, mantissa in _MANTISSAS if bits <= mantissa), np.int64))


class DenseProduct:
    """:class:`ir.Dense` as one matrix product."""

    def __init__(self, node: Dense, after: Edge) -> None:
        self.kind = type_for(after.formats[0].bits)
        self.weights = np.ascontiguousarray(np.array(node.weights, self.kind).reshape(len(node.bias), -1).T)
        self.bias = np.array(node.bias, np.int64)

    def __call__(self, values: Codes) -> Codes:
        """The sums (samples, outputs) of ``values`` (samples, inputs)."""
        sums = values.astype(self.kind) @ self.weights
        return np.asarray(sums.astype(np.int64, copy=False) + self.bias)


class Convolution:
    """:class:`ir.Conv2d` as a matrix product of each sample's windows."""

    def __init__(self, node: Conv2d, after: Edge) -> None:
        self.node, self.kind, self.shape = node, type_for(after.formats[0].bits), after.shape
        rows = node.kernel[0] // node.groups
        self.weights = np.array(node.weights, self.kind).reshape(node.groups, rows, -1)
        self.bias = np.array(node.bias, np.int64)[:, None, None]

    def __call__(self, values: Codes) -> Codes:
        """The sums (samples, outputs, rows, columns) of ``values`` (samples, channels, rows, columns)."""
        node = self.node
        mode = "wrap" if node.padding_mode == "circular" else "constant"
        padded = np.pad(values.astype(self.kind), ((0, 0), (0, 0), *((p, p) for p in node.padding)), mode=mode)  # type: ignore[call-overload]
        samples, channels, places = len(values), node.kernel[1], self.shape[1:]
        # One product for all samples: many small ones would spend their time on starting threads.
        columns = np.empty((node.groups, channels, math.prod(node.kernel[2:]), samples, *places), self.kind)
        for tap, seen in enumerate(_taps(padded, node.kernel[2:], node.stride, node.dilation, places)):
            columns[:, :, tap] = seen.swapaxes(0, 1).reshape(node.groups, channels, samples, *places)
        sums = self.weights @ columns.reshape(node.groups, self.weights.shape[2], samples * math.prod(places))
        images = sums.reshape(self.shape[0], samples, *places).swapaxes(0, 1)
        return np.asarray(images.astype(np.int64) + self.bias)


class Transposed:
    """:class:`ir.ConvTranspose2d` as a matrix product of each sample's numbers, whose columns are added where they belong."""

    def __init__(self, node: ConvTranspose2d, after: Edge) -> None:
        self.node, self.kind, self.shape = node, type_for(after.formats[0].bits), after.shape
        self.weights = np.array(node.weights, self.kind).reshape(node.groups, node.kernel[0] // node.groups, -1)
        self.bias = np.array(node.bias, np.int64)[:, None, None]

    def __call__(self, values: Codes) -> Codes:
        """The sums (samples, outputs, rows, columns) of ``values`` (samples, channels, rows, columns)."""
        node, (height, width) = self.node, values.shape[2:]
        rows = values.astype(self.kind).reshape(len(values), node.groups, -1, height * width)
        columns = self.weights.swapaxes(1, 2) @ rows  # (samples, groups, outputs · taps, places)
        taken = columns.reshape(len(values), node.groups * node.kernel[1], -1, height, width)
        whole = [extent + 2 * pad for extent, pad in zip(self.shape[1:], node.padding, strict=True)]
        out = np.zeros((*taken.shape[:2], *whole), self.kind)
        for tap, place in enumerate(_taps(out, node.kernel[2:], node.stride, node.dilation, (height, width))):
            place += taken[:, :, tap]
        (top, left), (rows_out, columns_out) = node.padding, self.shape[1:]
        inner = out[:, :, top : top + rows_out, left : left + columns_out]
        return np.asarray(inner.astype(np.int64) + self.bias)


class Pool:
    """:class:`ir.MaxPool2d` as maxima of whole images, one moved against the other."""

    def __init__(self, node: MaxPool2d, after: Edge) -> None:
        self.node, self.places = node, after.shape[1:]

    def __call__(self, values: Codes) -> Codes:
        """The maxima (samples, channels, rows, columns) of ``values``, which has the same axes."""
        node = self.node
        padding = ((0, 0), (0, 0), *((p, p) for p in node.padding))
        padded = np.pad(values, padding, constant_values=np.iinfo(np.int64).min)
        return functools.reduce(np.maximum, _taps(padded, node.kernel, node.stride, node.dilation, self.places))


def _taps(padded: npt.NDArray[Any], kernel: Ints, stride: Ints, dilation: Ints, places: Ints) -> Iterator[Any]:
    """What each place of the window sees, from every position of the window: (samples, channels, *places)."""
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            starts = (i * dilation[0], j * dilation[1])
            ends = (start + s * (p - 1) + 1 for start, s, p in zip(starts, stride, places, strict=True))
            rows, columns = (slice(a, b, s) for a, b, s in zip(starts, ends, stride, strict=True))
            yield padded[:, :, rows, columns]
