"""Makes what a design is fed so that a fault shows: directed vectors, and seeded random ones.

Kinds, in order
    ``zero``, ``one``: every code at its lowest, at its highest (all thermometer bits 0, 1), and all codes 0;
    ``boundary``: every different threshold −1, 0, +1 code, one feature at a time, on a random background; of a network so large
    that these were more than :data:`MOST_CODES` codes in all, several features at a time;
    ``address``: until every address that some code of a pool brings to a LUT has come (``verify`` asks for them); of a small pool
    where no thermometer reads the port;
    ``search``: of networks of integers, codes that bring their numbers to their ends and their classes to ties;
    ``tie``: codes for which the two best classes score the same, as far as a bounded search finds some;
    ``data``: the user's own samples, where given;
    ``random``: uniform over what the port can carry.
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dwn_hw import ir
from dwn_hw.ir import evaluate, lut_addresses, searched_vectors
from dwn_hw.ir.emulate import Emulator

#: The most codes of all features that vectors of one kind have together; boundary vectors as far as features can share one.
MOST_CODES = 1 << 24

#: The number of random codes among which ties are looked for, and the most ties that are kept.
TIE_POOL, TIES = 16384, 256

#: The number of random codes for networks that count in integers, where each sample takes thousands of operations.
SMALL_POOL = 64

#: The most vectors of a network of integers that a search keeps.
SEARCHED = 256

#: The most vectors that are kept for the addresses of LUTs.
ADDRESSES = 4096


@dataclass(frozen=True, slots=True)
class Vectors:
    """Vectors: ``codes`` (vectors, features), and how many there are of each kind, in order; ``seed`` made the random ones."""

    codes: npt.NDArray[np.int64]
    kinds: tuple[tuple[str, int], ...]
    seed: int

    def kind_of(self, index: int) -> str:
        """The kind of one vector."""
        for kind, count in self.kinds:
            if 0 <= index < count:
                return kind
            index -= count
        raise IndexError(index)

    def __str__(self) -> str:
        return ", ".join(f"{count} {kind}" for kind, count in self.kinds if count)


def directed(network: ir.Network, seed: int, searched: int = SEARCHED) -> Vectors:
    """Make every directed kind: enough to catch a wrong threshold, tie or stuck bit.

    ``searched``: the most of kind ``search``, the most telling first.
    """
    rng = np.random.default_rng(seed)
    blocks = {"zero": _extremes(network), "boundary": _boundary(network, rng)}
    if not network.is_luts() and searched:
        blocks["search"] = _searched(network, seed)[:searched]
    return _join(blocks | {"tie": _ties(network, rng)}, seed)


def make(
    network: ir.Network,
    *,
    random: int,
    seed: int,
    data: npt.NDArray[np.int64] | None = None,
    corners: bool = True,
    addresses: bool = False,
    searched: int = SEARCHED,
) -> Vectors:
    """Make directed vectors (unless ``corners`` is off), the codes of ``data``, and ``random`` random ones.

    ``searched``: the most that are searched for in a network of integers.

    ``addresses`` adds the kind ``address``, which takes seconds to find for a large network.
    """
    base = directed(network, seed, searched)
    parts = {"directed": base.codes} if corners else {}
    kinds = base.kinds if corners else ()
    if corners and addresses and any(isinstance(node, ir.LutLayer) for node in network.nodes):
        parts["address"] = _addresses(network, np.random.default_rng(seed + 2))
        kinds = (*kinds, ("address", len(parts["address"])))
    if data is not None and len(data):
        parts["data"], kinds = data, (*kinds, ("data", len(data)))
    if random:
        parts["random"] = _random(network, np.random.default_rng(seed + 1), random)
        kinds = (*kinds, ("random", random))
    codes = np.concatenate(list(parts.values())) if parts else base.codes[:0]
    return Vectors(codes, kinds, seed)


@functools.lru_cache(maxsize=4)
def _searched(network: ir.Network, seed: int) -> npt.NDArray[np.int64]:
    return searched_vectors.search(network, np.random.default_rng(seed + 3), SEARCHED)


def _join(blocks: dict[str, npt.NDArray[np.int64]], seed: int) -> Vectors:
    return Vectors(np.concatenate(list(blocks.values())), tuple((k, len(v)) for k, v in blocks.items()), seed)


def _limits(network: ir.Network) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    formats = network.input.edge.flat_formats()
    return np.array([fmt.low for fmt in formats]), np.array([fmt.high for fmt in formats])


def _shaped(network: ir.Network, flat: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    return flat.reshape(len(flat), *network.input.shape).astype(np.int64, copy=False)


def _extremes(network: ir.Network) -> npt.NDArray[np.int64]:
    low, high = _limits(network)
    return _shaped(network, np.stack([low, high, np.clip(0, low, high)]))


def _random(network: ir.Network, rng: np.random.Generator, count: int) -> npt.NDArray[np.int64]:
    """Random codes, half of them uniform over the port, half near the thresholds, where the network's decisions are."""
    low, high = _limits(network)
    flat = rng.integers(low, high + 1, (count, len(low)))
    if network.encoder:
        near = _near_thresholds(network.encoder, rng, count)
        flat[1::2] = np.clip(near[1::2], low, high)
    return _shaped(network, flat)


def _near_thresholds(node: ir.Thermometer, rng: np.random.Generator, count: int) -> npt.NDArray[np.int64]:
    """Random codes at a feature's thresholds or one less: each thermometer level of each feature is equally likely."""
    columns = []
    for row in node.thresholds:
        levels = np.array(sorted({t - 1 for t in row} | set(row))) if row else np.zeros(1, np.int64)
        columns.append(rng.choice(levels, count))
    return np.array(columns).T


def _boundary(network: ir.Network, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    low, high = _limits(network)
    if network.encoder is None:
        return _shaped(network, np.empty((0, len(low)), np.int64))
    places = [
        (feature, code)
        for feature, row in enumerate(network.encoder.thresholds)
        for code in sorted({t + d for t in row for d in (-1, 0, 1)})
        if low[feature] <= code <= high[feature]
    ]
    # Places of a feature come one after the other, so that those a whole number of vectors apart are of different features.
    most = max(
        (len([code for feature, code in group]) for _, group in itertools.groupby(places, lambda p: p[0])), default=0
    )
    count = min(len(places), max(most, MOST_CODES // len(low)))
    flat: npt.NDArray[np.int64] = np.clip(_near_thresholds(network.encoder, rng, count), low, high)
    for i, (feature, code) in enumerate(places):
        flat[i % count, feature] = code
    return _shaped(network, flat)


def _pool(network: ir.Network) -> int:
    """How many random codes are looked through; fewer of a network of very many features."""
    return min(TIE_POOL, max(SMALL_POOL, MOST_CODES // network.input.edge.size))


def _ties(network: ir.Network, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    pool = _random(network, rng, _pool(network) if network.encoder else SMALL_POOL)
    if not network.classifies or len(network.nodes) < 2 or network.scores_edge.size < 2:
        return pool[:0]
    scores, _ = Emulator(network).run(pool)
    best = np.sort(scores, axis=1)
    return np.asarray(pool[best[:, -1] == best[:, -2]][:TIES], np.int64)


def _addresses(network: ir.Network, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """The codes of a pool that bring some LUT to an address which none before them did: a fault in a table shows."""
    pool = _random(network, rng, _pool(network) if network.encoder else SMALL_POOL)
    first = np.zeros(len(pool), bool)
    backwards = np.arange(len(pool))[::-1]
    for layer in _reached(network, pool):
        for address in layer:
            places = np.full(1 << ir.MAX_LUT_INPUTS, -1)
            places[address[::-1]] = backwards  # of equal ones the last assignment stays: the first sample
            first[places[places >= 0]] = True
    return pool[np.flatnonzero(first)[:ADDRESSES]]


def _reached(network: ir.Network, codes: npt.NDArray[np.int64]) -> list[npt.NDArray[np.uint8]]:
    """The addresses (luts, samples) of the LUTs of each layer, up to the last one."""
    values: npt.NDArray[Any] = codes
    found: list[npt.NDArray[np.uint8]] = []
    last = max(i for i, node in enumerate(network.nodes) if isinstance(node, ir.LutLayer))
    for step in network.steps()[: last + 1]:
        node = step.node
        if isinstance(node, ir.LutLayer):
            address = lut_addresses.addresses(node, values.reshape(len(values), -1))
            tables = np.zeros((len(node.tables), 1 << ir.MAX_LUT_INPUTS), np.uint8)
            for j, (row, table) in enumerate(zip(node.wires, node.tables, strict=True)):
                tables[j, : 1 << len(row)] = evaluate.table_bits(table, len(row))
            found.append(address)
            values = np.take_along_axis(tables, address, axis=1).T
        else:
            values = evaluate.apply(node, values, step.before.formats[0].lsb)
    return found
