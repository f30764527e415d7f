"""Networks of look-up tables through the compiled kernel ``kernels/emulate_luts.py``: what it is given, and when it is used.

The kernel is for networks of a thermometer or bits, layers of LUTs, sums and a class. It pays where there is much to do: numba
takes half a second to import, and some seconds to compile once a machine. :mod:`dwn_hw.ir.emulate` does the rest, and both are
held equal by tests.
"""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from dwn_hw import _assets
from dwn_hw._progress import Progress, silent
from dwn_hw.ir import evaluate
from dwn_hw.ir.codes import narrowest
from dwn_hw.ir.lut_nodes import ArgMax, Group, GroupSum, LutLayer
from dwn_hw.ir.network import Network

#: The LUTs times samples from which the kernel is loaded: a second's work without it.
WORTH = 200_000_000

#: The blocks of the kernel that a thread takes at once.
_BLOCKS = 16

#: The widest sum of weights that the kernel counts.
_MOST_WEIGHT = 1 << 40

Answers: TypeAlias = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]

#: Runs a part of the samples, from a place to another, into arrays of scores and classes.
_Run: TypeAlias = Callable[[int, int, npt.NDArray[np.int64], npt.NDArray[np.int64]], None]


def is_worth(network: Network, samples: int) -> bool:
    """Whether so many samples of a network go through the kernel."""
    said = _assets.asked_kernels()
    luts = sum(len(node.tables) for node in network.nodes if isinstance(node, LutLayer))
    least = WORTH // 100 if kernel.cache_info().currsize else WORTH
    # First what takes no time: small networks are emulated thousands of times.
    if not samples or said not in (None, "numba") or (said is None and luts * samples < least):
        return False
    return _assets.takes_numba() and fits(network)


def fits(network: Network) -> bool:
    """Whether the kernel knows each node, in their order."""
    *front, vote, last = network.nodes if len(network.nodes) > 1 else (None, None)
    if not isinstance(vote, GroupSum) or not isinstance(last, ArgMax) or len(network.scores_edge.shape) != 1:
        return False
    begins = bool(front) and (network.encoder is not None or network.input.edge.is_bits)
    heaviest = max(sum(map(abs, group.weights)) + abs(group.bias) for group in groups_of(network))
    layers = front[1:] if network.encoder else front
    return begins and all(isinstance(node, LutLayer) for node in layers) and heaviest < _MOST_WEIGHT


def groups_of(network: Network) -> tuple[Group, ...]:
    """The groups of the vote before the class, each with its members and weights."""
    step = network.steps()[-2]
    assert isinstance(step.node, GroupSum)
    return step.node.split(step.before.size)


@functools.lru_cache(maxsize=1)
def kernel() -> Any:
    """The kernel's module."""
    return _assets.kernel("emulate_luts.py")


class CompiledNetwork:
    """A network as the kernel's arrays. ``run`` gives scores (samples, groups) and classes (samples,), as an Emulator does."""

    def __init__(self, network: Network, tell: Progress = silent) -> None:
        self.network = network
        layers = [node for node in network.nodes if isinstance(node, LutLayer)]
        groups = groups_of(network)
        self._encoder = _encoder(network)
        first = network.edges()[1 if network.encoder else 0].size
        self._widest = max(first, *(len(layer.tables) for layer in layers), 1)
        self._levels = max(sum(map(abs, group.weights)) for group in groups).bit_length() + 1
        self._network = (*_layers(layers), *_vote(groups))
        self._groups = len(groups)
        self._at_once: int = _BLOCKS * kernel().BLOCK
        if not _assets.is_compiled(kernel(), "run"):
            tell("compiling the kernels for this machine, once; about 10 s")

    def run(self, codes: npt.NDArray[Any], progress: Callable[[int], None] = lambda done: None) -> Answers:
        """Emulate codes (samples, *input shape)."""
        formats = self.network.input.edge.flat_formats()
        kind = narrowest(formats)
        encoder = self._encoder

        def part(first: int, last: int, scores: npt.NDArray[np.int64], classes: npt.NDArray[np.int64]) -> None:
            own = codes[first:last]
            evaluate.check_range(self.network, own)
            if encoder is None:
                planes = _packed(own.reshape(len(own), -1))
                kernel().run_packed(
                    planes,
                    0,
                    len(own),
                    self._widest,
                    self._network,
                    self._levels,
                    scores[first:last],
                    classes[first:last],
                )
                return
            rows = _rows(own.reshape(len(own), -1).astype(kind, copy=False))
            kernel().run(
                rows,
                0,
                len(own),
                encoder,
                self._widest,
                self._network,
                self._levels,
                scores[first:last],
                classes[first:last],
            )

        return self._each(len(codes), part, progress)

    def run_packed(
        self, planes: npt.NDArray[np.uint64], samples: int, progress: Callable[[int], None] = lambda done: None
    ) -> Answers:
        """Emulate what comes after the thermometer, or bits at the port, given as planes (bits, words): bit ``i`` of word ``w``
        is of sample ``64·w + i``.
        """

        def part(first: int, last: int, scores: npt.NDArray[np.int64], classes: npt.NDArray[np.int64]) -> None:
            kernel().run_packed(planes, first, last, self._widest, self._network, self._levels, scores, classes)

        return self._each(samples, part, progress)

    def _each(self, samples: int, part: _Run, progress: Callable[[int], None]) -> Answers:
        """All parts, spread over threads."""
        scores, classes = np.empty((samples, self._groups), np.int64), np.zeros(samples, np.int64)

        def run(first: int) -> int:
            last = min(first + self._at_once, samples)
            part(first, last, scores, classes)
            return last - first

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for done in itertools.accumulate(pool.map(run, range(0, samples, self._at_once))):
                progress(done)
        return scores, classes


def _encoder(network: Network) -> tuple[npt.NDArray[Any], ...] | None:
    """The places, widths and signs of features in a row of tiles, and their thresholds; None for a network of bits."""
    node = network.encoder
    if node is None:
        return None
    formats = network.input.edge.flat_formats()
    size = 8 * narrowest(formats).itemsize
    lows = np.arange(len(formats)) * size
    firsts = np.cumsum([0, *map(len, node.thresholds)])
    thresholds = np.array(
        [t - fmt.low for row, fmt in zip(node.thresholds, formats, strict=True) for t in row], np.int64
    )
    bits, flips = np.array([fmt.bits for fmt in formats]), np.array([fmt.signed for fmt in formats], np.uint8)
    return lows, bits, flips, firsts, thresholds


def _rows(codes: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    """Codes (samples, features) as tiles of eight bytes each (samples, tiles), little-endian, the last filled up with zeros."""
    codes = np.ascontiguousarray(codes, codes.dtype.newbyteorder("<"))
    raw = codes.view(np.uint8).reshape(len(codes), -1)
    if raw.shape[1] % 8:
        padded = np.zeros((len(raw), -(-raw.shape[1] // 8) * 8), np.uint8)
        padded[:, : raw.shape[1]] = raw
        raw = padded
    return raw.view(np.uint64)


def _packed(bits: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    """Bits (samples, bits) as planes (bits, words)."""
    raw = np.packbits(np.ascontiguousarray(bits.T).astype(bool), axis=1, bitorder="little")
    padded = np.zeros((len(raw), -(-raw.shape[1] // 8) * 8), np.uint8)
    padded[:, : raw.shape[1]] = raw
    return padded.view(np.uint64)


def _layers(layers: list[LutLayer]) -> tuple[npt.NDArray[Any], ...]:
    """Wires (luts, 8), sizes, tables as nibbles (luts, 64), and where each layer begins; all layers end to end."""
    rows = [row for layer in layers for row in layer.wires]
    sizes = np.array([max(2, len(row)) for row in rows], np.int64)
    wires = np.zeros((len(rows), 8), np.int32)
    nibbles = np.zeros((len(rows), 64), np.uint8)
    for j, (row, table) in enumerate(zip(rows, (t for layer in layers for t in layer.tables), strict=True)):
        wires[j, : len(row)] = row
        if len(row) == 1:  # as one of two inputs that are the same
            wires[j, 1], table = row[0], table & 1 | table >> 1 << 3
        data = np.frombuffer(table.to_bytes(max(1, (1 << len(row)) // 8), "little"), np.uint8)
        nibbles[j, : 2 * len(data)] = np.stack([data & 15, data >> 4], axis=1).reshape(-1)
    firsts = np.cumsum([0, *(len(layer.tables) for layer in layers)])
    return wires, sizes, nibbles, firsts


def _vote(groups: tuple[Group, ...]) -> tuple[npt.NDArray[Any], ...]:
    """Where each group's members begin, members, weights, and biases with what inverted members add."""
    firsts = np.cumsum([0, *(len(group.members) for group in groups)])
    members = np.array([member for group in groups for member in group.members], np.int32)
    weights = np.array([weight for group in groups for weight in group.weights], np.int64)
    biases = np.array([group.bias + sum(w for w in group.weights if w < 0) for group in groups], np.int64)
    return firsts, members, weights, biases
