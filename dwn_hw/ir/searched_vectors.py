"""Searches codes that bring a network of integers to its corners, where random codes hardly ever come.

A wrong sign behind an activation that random codes never wake is not seen by a million of them. So codes are searched that
win by some measure: for each number that a node puts out (of large nodes, of some) the greatest, the least, and the nearest to 0
from either side; for each class the clearest and the closest win. The search is one for all measures: samples that hold a record
are mutated and crossed, and whatever sets a new record is kept. It knows nothing of the nodes but what they give, so a new kind
of node needs nothing here; where weights meet the port, each output's own extreme is known and starts the search.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from dwn_hw.ir import evaluate
from dwn_hw.ir.integer_nodes import Quantize, Reshape
from dwn_hw.ir.network import Network
from dwn_hw.ir.weighted_nodes import Conv2d, ConvTranspose2d, Dense

Codes = npt.NDArray[np.int64]

#: The rounds of a search, the samples in one at most and at least, and the multiplications that all together may take.
ROUNDS, MOST_SAMPLES, LEAST_SAMPLES, WORK = 40, 384, 8, 300_000_000

#: The most numbers of a node's output that are watched.
UNITS = 48

_FAR = np.iinfo(np.int64).min


@dataclass(slots=True)
class _Records:
    """The best value of each measure so far (measures,), and the samples (measures, features) that gave it."""

    values: Codes | None = None
    samples: Codes = field(default_factory=lambda: np.empty((0, 0), np.int64))

    def take(self, measured: Codes, flat: Codes) -> None:
        """Take ``measured`` (samples, measures) of samples ``flat``."""
        if self.values is None:
            self.values = np.full(measured.shape[1], _FAR)
            self.samples = np.repeat(flat[:1], measured.shape[1], axis=0)
        best = measured.argmax(axis=0)
        found = measured[best, np.arange(measured.shape[1])]
        better = found > self.values
        self.values[better], self.samples[better] = found[better], flat[best[better]]

    def reached(self) -> Codes:
        """The samples of all measures that any sample met, each once, in the order of the measures."""
        assert self.values is not None
        met = self.samples[self.values > _FAR]
        _, first = np.unique(met, axis=0, return_index=True)
        return met[np.sort(first)]


def search(network: Network, rng: np.random.Generator, most: int) -> Codes:
    """At most ``most`` codes (count, *input shape), the most telling first: classes, ties, then each node, the last one first."""
    formats = network.input.edge.flat_formats()
    low, high = (np.array([getattr(fmt, end) for fmt in formats], np.int64) for end in ("low", "high"))
    watched = _watched(network, rng)
    each = int(np.clip(WORK // (_work(network) * ROUNDS), LEAST_SAMPLES, MOST_SAMPLES))
    records, flat = _Records(), _beginning(network, low, high, rng, 2 * each)
    for _ in range(ROUNDS):
        values = evaluate.trace(network, flat.reshape(len(flat), *network.input.shape))
        records.take(_measures(network, values, watched), flat)
        flat = _children(records.samples, low, high, rng, each)
    found = records.reached()[:most]
    return found.reshape(len(found), *network.input.shape)


def _work(network: Network) -> int:
    """The multiplications that one sample takes, about."""
    total = 1
    for step in network.steps():
        match step.node:
            case Dense() as node:
                total += len(node.weights)
            case Conv2d() as node:
                total += len(node.weights) * math.prod(step.after.shape[1:])
            case ConvTranspose2d() as node:
                total += len(node.weights) * math.prod(step.before.shape[1:])
            case _:
                total += step.after.size
    return total


def _watched(network: Network, rng: np.random.Generator) -> dict[int, Codes]:
    """The numbers of each edge that are watched, by the edge; none of an edge that a node only gives another shape."""
    places = {}
    for step in network.steps():
        if not isinstance(step.node, Reshape) and not (network.classifies and step.index == len(network.nodes) - 1):
            size = step.after.size
            places[step.index + 1] = np.sort(rng.choice(size, min(size, UNITS), replace=False))
    return places


def _measures(network: Network, values: tuple[Codes, ...], watched: dict[int, Codes]) -> Codes:
    """All measures of each sample (samples, measures); the greater, the better."""
    count, parts = len(values[0]), []
    if network.classifies:
        scores = values[-2].reshape(count, -1)
        if scores.shape[1] > 1:
            ordered = np.sort(scores, axis=1)
            margin, won = ordered[:, -1] - ordered[:, -2], values[-1].reshape(count)
            wins = won[:, None] == np.arange(scores.shape[1])
            parts += [np.where(wins, margin[:, None], _FAR), np.where(wins, -margin[:, None], _FAR)]
    for edge in sorted(watched, reverse=True):
        numbers = values[edge].reshape(count, -1)[:, watched[edge]]
        parts += [numbers, -numbers]
        parts += [np.where(numbers >= 0, -numbers, _FAR), np.where(numbers < 0, numbers, _FAR)]
    return np.concatenate(parts, axis=1)


def _beginning(network: Network, low: Codes, high: Codes, rng: np.random.Generator, count: int) -> Codes:
    """The ends of the port, one feature at an end with all others at 0, what is extreme for a first layer, and random codes."""
    features = len(low)
    zero = np.clip(0, low, high)
    flat = [low, high, zero]
    for feature in rng.permutation(features)[:64]:
        for end in (low, high):
            alone = zero.copy()
            alone[feature] = end[feature]
            flat.append(alone)
    for signs in _first_signs(network)[:UNITS]:
        flat += [np.where(signs > 0, high, low), np.where(signs > 0, low, high)]
    wide = rng.integers(low, high + 1, (count, features))
    scale = rng.integers(0, np.log2(high - low + 1).astype(np.int64).max() + 1, (count, 1))
    return np.concatenate([np.array(flat), wide, np.clip(wide >> scale, low, high)])


def _first_signs(network: Network) -> Codes:
    """The signs (outputs, features) with which features come into a first dense layer; none where there is no such layer."""
    for node in network.nodes:
        match node:
            case Dense():
                return np.sign(np.array(node.weights, np.int64)).reshape(-1, network.input.edge.size)
            case Reshape() | Quantize():
                continue
            case _:
                break
    return np.empty((0, network.input.edge.size), np.int64)


def _children(samples: Codes, low: Codes, high: Codes, rng: np.random.Generator, count: int) -> Codes:
    """New samples from those that hold records: two of them crossed, and some features set to an end, to 0, or at random."""
    features = len(low)
    one, other = (samples[rng.integers(0, len(samples), count)] for _ in range(2))
    crossed = rng.random((count, 1)) < 0.3
    made = np.where(crossed & (rng.random((count, features)) < 0.5), other, one)
    share = 2.0 ** -rng.uniform(0, max(1.0, math.log2(features)), (count, 1))
    change = rng.random((count, features)) < share
    change[np.arange(count), rng.integers(0, features, count)] = True
    kinds = rng.integers(0, 5, (count, features))
    values = [low, high, np.clip(0, low, high), rng.integers(low, high + 1, (count, features))]
    near = np.clip(made + rng.integers(-1, 2, (count, features)), low, high)
    new = np.choose(kinds, [np.broadcast_to(value, made.shape) for value in (*values, near)])
    return np.where(change, new, made)
