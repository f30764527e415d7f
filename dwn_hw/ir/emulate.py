"""Fast, bit-exact emulation of a network: 64 samples in one machine word.

Bits travel as *planes*: row ``i`` of a ``(bits, words)`` array of ``uint64`` holds bit ``i`` of 64 samples a word.
A layer of LUTs is a tree of multiplexers over whole planes, the same for every LUT of a size, so it is a few
vectorised operations. Sums of integers are :mod:`dwn_hw.ir.emulate_integers`; other nodes are left to :mod:`dwn_hw.ir.evaluate`.
Samples are cut into chunks that stay in the cache, and the chunks are spread over threads (numpy releases the
interpreter lock). Where there is much to do, and numba is there, a compiled kernel does it (:mod:`dwn_hw.ir.emulate_compiled` for
look-up tables, :mod:`dwn_hw.ir.emulate_shifts` for sums of integers).

The meaning is that of :mod:`dwn_hw.ir.evaluate`, which shares no code with what is here; tests hold the two equal.
"""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from dwn_hw._progress import Progress, silent
from dwn_hw.errors import DataError
from dwn_hw.ir import emulate_compiled, emulate_integers, emulate_shifts, evaluate
from dwn_hw.ir.edges import Edge
from dwn_hw.ir.integer_nodes import MaxPool2d
from dwn_hw.ir.lut_nodes import Group, GroupSum, LutLayer, Thermometer
from dwn_hw.ir.network import Network, Node, PlacedNode
from dwn_hw.ir.weighted_nodes import Conv2d, ConvTranspose2d, Dense

Planes: TypeAlias = npt.NDArray[np.uint64]

#: The samples of a chunk: 32 words a plane.
CHUNK = 2048

#: The entries of tables that are looked up at once: their planes stay in the cache, and a wide layer takes no more memory.
BLOCK = 16384


@dataclass(frozen=True, slots=True)
class Planar:
    """The bits of ``samples`` samples as planes."""

    planes: Planes
    samples: int

    def unpack(self) -> npt.NDArray[np.uint8]:
        """The bits as an array (samples, bits) of zeros and ones."""
        raw = np.unpackbits(self.planes.view(np.uint8), axis=1, bitorder="little")
        return raw[:, : self.samples].T


PlaneStep: TypeAlias = Callable[[Any], Any]


class Emulator:
    """An emulator is prepared once for a network, then called with codes (samples, *input shape).

    ``run`` gives what flows into the last node and out of it: for a classifier the scores (samples, classes) and
    the class index (samples,).
    """

    def __init__(self, network: Network, tell: Progress = silent, expected: int = 0) -> None:
        """``expected``: the samples of all calls together, where they are known; ``tell`` hears of a kernel that is compiled."""
        self.network, self._tell, self._expected = network, tell, expected
        self._at_once, self._threads = CHUNK, os.cpu_count()
        if emulate_integers.adds_up(network):
            self._at_once, self._threads = emulate_integers.samples_at_once(network, CHUNK), 1

    def run(
        self, codes: npt.NDArray[Any], progress: Callable[[int], None] = lambda done: None
    ) -> tuple[evaluate.Codes, evaluate.Codes]:
        """Emulate ``codes``. Returns (input of the last node, output); ``progress`` is told how many samples are done."""
        evaluate.check_range(self.network, codes[:0] if codes.ndim else codes)
        expected = len(codes) and max(len(codes), self._expected)
        if emulate_compiled.is_worth(self.network, expected):
            return self._checked(codes, lambda: self._compiled.run(codes, progress))
        if emulate_shifts.is_worth(self.network, expected):
            return self._checked(codes, lambda: self._with_last(self._shifts.run(codes, progress)))
        size, last = self._at_once, self.network.steps()[-1]
        before = np.empty((len(codes), *last.before.shape), np.int64)
        after = np.empty((len(codes), *last.after.shape), np.int64)

        def chunk(start: int) -> int:
            part = codes[start : start + size]
            evaluate.check_range(self.network, part)
            before[start : start + size], after[start : start + size] = self._chunk(part)
            return len(part)

        def every() -> tuple[evaluate.Codes, evaluate.Codes]:
            with ThreadPoolExecutor(self._threads) as pool:
                for done in itertools.accumulate(pool.map(chunk, range(0, len(codes), size))):
                    progress(done)
            return before, after

        return self._checked(codes, every)

    def _checked(
        self, codes: npt.NDArray[Any], work: Callable[[], tuple[evaluate.Codes, evaluate.Codes]]
    ) -> tuple[evaluate.Codes, evaluate.Codes]:
        """The result of work that refuses codes part by part; its error counts samples from the first, not from a part's."""
        try:
            return work()
        except DataError:
            evaluate.check_range(self.network, codes)
            raise

    def _with_last(self, before: evaluate.Codes) -> tuple[evaluate.Codes, evaluate.Codes]:
        """What flows into the last node, and out of it."""
        last = _prepare(self.network.steps()[-1])
        size = self._at_once
        parts = [_values(last(before[start : start + size])) for start in range(0, len(before), size)]
        return before, np.concatenate(parts)

    @functools.cached_property
    def _steps(self) -> tuple[PlaneStep, ...]:
        return tuple(_prepare(step) for step in self.network.steps())

    @functools.cached_property
    def _compiled(self) -> emulate_compiled.CompiledNetwork:
        return emulate_compiled.CompiledNetwork(self.network, self._tell)

    @functools.cached_property
    def _shifts(self) -> emulate_shifts.CompiledShifts:
        return emulate_shifts.CompiledShifts(self.network, self._tell)

    def _chunk(self, codes: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        before, value = None, codes
        for step in self._steps:
            before, value = value, step(value)
        return _values(before), _values(value)


def _values(value: Any) -> npt.NDArray[Any]:
    return value.unpack() if isinstance(value, Planar) else np.asarray(value)


class _Encode:
    def __init__(self, node: Thermometer) -> None:
        self.features = np.repeat(np.arange(len(node.thresholds)), [len(row) for row in node.thresholds])
        self.thresholds = np.array([t for row in node.thresholds for t in row], np.int64)[:, None]

    def __call__(self, codes: npt.NDArray[Any]) -> Planar:
        flat = codes.reshape(len(codes), -1)
        columns = np.ascontiguousarray(flat.T)
        # Compare in a type that holds codes and thresholds both; a narrow one is several times faster.
        kind = np.promote_types(columns.dtype, _narrowest(self.thresholds))
        if kind.kind == "f":  # numpy's answer for int8 and uint64; every code of a port fits in an int64
            kind = np.dtype(np.int64)
        bits = columns.astype(kind, copy=False)[self.features] >= self.thresholds.astype(kind)
        return Planar(_pack(bits), len(codes))


class _Lookup:
    """A layer of LUTs, grouped by size: a multiplexer tree over planes."""

    def __init__(self, node: LutLayer) -> None:
        self.luts = len(node.tables)
        sizes = np.array([len(row) for row in node.wires])
        self.groups = [
            tuple(self._group(node, n, part))
            for n in sorted(set(sizes.tolist()))
            for part in _in_blocks(np.flatnonzero(sizes == n), BLOCK >> n)
        ]

    @staticmethod
    def _group(node: LutLayer, n: int, members: npt.NDArray[Any]) -> Iterator[Any]:
        yield members
        yield np.array([node.wires[j] for j in members], np.int64).T  # (n, luts)
        tables = np.stack([evaluate.table_bits(node.tables[j], n) for j in members], axis=1)  # (2**n, luts)
        low, high = (np.where(tables[i::2], ~np.uint64(0), np.uint64(0))[:, :, None] for i in (0, 1))
        # Of the first input a pair of table entries is a function: low ^ (low ^ high) & x.
        yield low
        yield low ^ high

    def __call__(self, bits: Any) -> Planar:
        value = _planar(bits)
        out = np.empty((self.luts, value.planes.shape[1]), np.uint64)
        for members, wires, low, change in self.groups:
            inputs = [value.planes[row] for row in wires]
            level = (change & inputs[0]) ^ low
            for x in inputs[1:]:
                even, odd = level[0::2], level[1::2]
                level = even ^ ((even ^ odd) & x)
            out[members] = level[0]
        return Planar(out, value.samples)


def _in_blocks(members: npt.NDArray[Any], size: int) -> list[npt.NDArray[Any]]:
    """The members in order, so many at a time."""
    return [members[start : start + size] for start in range(0, len(members), size)]


class _Count:
    """The sums of groups. Bit-sliced full adders would do, but bytes added up, weight after weight, are as fast and plain."""

    def __init__(self, node: GroupSum) -> None:
        self.node = node

    def __call__(self, bits: Any) -> npt.NDArray[np.int64]:
        value = _planar(bits)
        raw = np.unpackbits(value.planes.view(np.uint8), axis=1, bitorder="little")[:, : value.samples]
        return np.stack([self._sum(raw, group) for group in self.node.split(len(raw))], axis=1)

    @staticmethod
    def _sum(raw: npt.NDArray[np.uint8], group: Group) -> npt.NDArray[np.int64]:
        total = np.full(raw.shape[1], group.bias, np.int64)
        for weight in set(group.weights):
            rows = [member for member, own in zip(group.members, group.weights, strict=True) if own == weight]
            total += weight * raw[rows].sum(axis=0, dtype=np.int64)
        return total


def _planar(value: Any) -> Planar:
    """Return bits as planes; a network that begins with LUTs gets them as codes."""
    if isinstance(value, Planar):
        return value
    return Planar(_pack(np.ascontiguousarray(value.reshape(len(value), -1).T).astype(bool)), len(value))


def _pack(bits: npt.NDArray[np.bool_]) -> Planes:
    """Pack bits (rows, samples) into planes (rows, words), sample 0 in the lowest bit."""
    raw = np.packbits(bits, axis=1, bitorder="little")
    padded = np.zeros((len(raw), -(-raw.shape[1] // 8) * 8), np.uint8)
    padded[:, : raw.shape[1]] = raw
    return padded.view(np.uint64)


def _narrowest(values: npt.NDArray[np.int64]) -> np.dtype[Any]:
    return np.promote_types(np.min_scalar_type(int(values.min())), np.min_scalar_type(int(values.max())))


#: The nodes that have a fast form, made of the node and the edge after it.
_FAST: dict[type[Node], Callable[[Any, Edge], PlaneStep]] = {
    Thermometer: lambda node, after: _Encode(node),
    LutLayer: lambda node, after: _Lookup(node),
    GroupSum: lambda node, after: _Count(node),
    Dense: emulate_integers.DenseProduct,
    Conv2d: emulate_integers.Convolution,
    ConvTranspose2d: emulate_integers.Transposed,
    MaxPool2d: emulate_integers.Pool,
}


def _prepare(step: PlacedNode) -> PlaneStep:
    """The fast form of a node; one that has none keeps the oracle's own code, and is not where the time goes."""
    lsb = step.before.formats[0].lsb
    if type(step.node) not in _FAST:
        return lambda value: evaluate.apply(step.node, _values(value).astype(np.int64), lsb)
    fast = _FAST[type(step.node)](step.node, step.after)
    return fast if isinstance(step.node, LutLayer | GroupSum) else lambda value: fast(_values(value))
