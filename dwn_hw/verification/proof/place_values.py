"""Finds what logic adds up from its cells: the identity of weights.

Modulo 2**width, what the output bits add up to, ``Σ 2**i·y[i]``, is rewritten from the outputs to the inputs. Of the variables at
the top of what is left, some together are a linear function of a few variables below (a compressor: its outputs, by their
weights, add up to its inputs; a carry chain the same). That is checked for all values of the few, and they are replaced by it.
What remains is a weight for each input and a constant: that is what the logic adds up, no matter how it was found.

A cell may give the parity of its bit and of another that it reads (a *rider*); the bit itself then is no variable. What a few
cells add up may therefore hold parities of a cell and of one that it reads: each such parity is made a variable of its own.

Which few is a search over cuts. A variable of a cut is *bent* if what it adds depends on the others; a cut without bent ones is
linear. The search goes on from the cut whose highest bent variable is lowest, and opens bent variables, those that read
what they read, and what else reads them. (Rewriting sums backwards is the algebraic way to verify
multipliers: Yu, Brown, Liu, Rossi and Ciesielski, 2016.)
"""

from __future__ import annotations

import heapq
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from dwn_hw.verification.proof.aig import Aig

#: The most variables of a cut; and how many cuts are looked at for one variable, and whether with riders: first the simplest.
_WIDEST, _TRIES = 11, ((64, False), (64, True), (400, False), (400, True))

Cut: TypeAlias = tuple[int, ...]

_Column: TypeAlias = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Linear:
    """A linear function: ``bias`` + Σ weight · variable."""

    bias: int
    weights: Mapping[int, int]

    @classmethod
    def of(cls, bias: int, terms: Iterable[tuple[int, int]]) -> Linear:
        """The function of a bias and (literal, weight) terms."""
        weights: dict[int, int] = {}
        for literal, weight in terms:
            if literal & 1:  # w·(1 − x)
                bias, weight = bias + weight, -weight
            if literal > 1:
                weights[literal >> 1] = weights.get(literal >> 1, 0) + weight
        return cls(bias, {variable: weight for variable, weight in weights.items() if weight})

    def modulo(self, width: int) -> Linear:
        """The function modulo 2**width, with coefficients 0 … 2**width - 1."""
        mask = (1 << width) - 1
        weights = {variable: weight & mask for variable, weight in sorted(self.weights.items()) if weight & mask}
        return Linear(self.bias & mask, weights)


def rewrite(logic: Aig, outputs: Sequence[int], timeout: float) -> Linear | None:
    """Rewrite ``Σ 2**i·outputs[i]`` modulo 2**len(outputs) over the inputs; None where no way down was found in time."""
    ended = time.monotonic() + timeout
    width = len(outputs)
    left = Linear.of(0, [(literal, 1 << i) for i, literal in enumerate(outputs)]).modulo(width)
    search = _Search(logic, left, width)
    while any(v > logic.inputs for v in search.left.weights):
        if time.monotonic() > ended or not search.lower():
            return None
    return search.left


class _Search:
    """The sum ``left`` on its way down. A variable is *ready* when nothing that reads it is left: then its weight is complete."""

    def __init__(self, logic: Aig, left: Linear, width: int) -> None:
        self.logic, self.left, self.width = logic, left, width
        self.level: dict[int, int] = {}
        self.readers: dict[int, set[int]] = {}
        self.gone: set[int] = set()
        self.failures = Counter[int]()
        self._walk(left.weights)

    def _walk(self, variables: Iterable[int]) -> None:
        """Note of all that the variables are made of who reads it, and its level: one more than the highest that it reads."""
        stack = list(variables)
        while stack:
            reads = self._reads(stack[-1])
            open_ = [v for v in reads if v not in self.level]
            if not open_:
                variable = stack.pop()
                self.level[variable] = 1 + max((self.level[v] for v in reads), default=-1)
                for v in reads:
                    self.readers.setdefault(v, set()).add(variable)
            stack += open_

    def _reads(self, variable: int) -> Cut:
        return self.logic.cell(variable).variables if variable > self.logic.inputs else ()

    def lower(self) -> bool:
        """Replace some variables by lower ones. Returns whether that was possible."""
        ready = [v for v in self.left.weights if v > self.logic.inputs and self.readers.get(v, set()) <= self.gone]
        # One that could not be replaced waits for others that may belong to it.
        ready.sort(key=lambda v: (self.failures[v], -self.level[v], v))
        for most, riders in _TRIES:
            for top in ready:
                if self._replace(top, ready, most, riders):
                    return True
                self.failures[top] += 1
        return False

    def _replace(self, top: int, ready: list[int], most: int, riders: bool) -> bool:
        """Find a cut in which ``top`` and other ready variables are linear; ``most`` cuts are tried at most."""
        known = set[Cut]()
        queue: list[tuple[int, int, Cut, Cut]] = []
        options: Iterable[Cut] = [_closed(self.logic, self._reads(top))]
        while len(known) < most:
            for option in options:
                if len(option) <= _WIDEST and option not in known:
                    known.add(option)
                    bent = self._try(ready, option, riders)
                    if not bent:
                        return True
                    heapq.heappush(queue, (max(self.level[v] for v in bent), len(bent), option, bent))
            if not queue:
                break
            options = self._options(ready, *heapq.heappop(queue)[2:])
        return False

    def _options(self, ready: list[int], cut: Cut, bent: Cut) -> Iterator[Cut]:
        """The cuts that open one variable more."""
        for v in cut:
            near = {w for u in self._reads(v) for w in (u, *self._reads(u))}
            if v > self.logic.inputs and (v in bent or near & set(bent)):
                yield _closed(self.logic, (*(u for u in cut if u != v), *self._reads(v)))
        for v in ready:
            if v not in cut and set(bent) & set(self._reads(v)):
                yield _closed(self.logic, (*cut, *self._reads(v)))

    def _try(self, ready: list[int], cut: Cut, riders: bool) -> Cut:
        """The bent variables of a cut; if there are none, all ready variables that are functions of it are replaced."""
        size = len(cut)
        bits = np.arange(1 << size, dtype=np.uint64)[:, None] >> np.arange(size, dtype=np.uint64) & np.uint64(1)
        values: dict[int, _Column | None] = dict(zip(cut, bits.T, strict=True))
        tops = [v for v in ready if v not in cut and _value(self.logic, v, cut[0], values) is not None]
        inner = self._inner(tops, cut)
        # What only these read is read by nothing else that is left.
        tops += [v for v in self.left.weights if v in inner and v not in tops and self.readers[v] <= self.gone | inner]
        columns = {v: column for v in tops if (column := values[v]) is not None}
        if not columns:
            return cut
        # Modulo 2**64, of which 2**width is a divisor.
        weights = self.left.weights
        total = sum((column * np.uint64(weights[v]) for v, column in columns.items()), np.zeros(1 << size, np.uint64))
        bent = self._bent(cut, total)
        ridden: dict[int, int] = {}
        if bent and riders:
            ridden, total = self._without_parities(cut, bent, total)
            bent = self._bent(cut, total) if ridden and not {p >> 1 for p in ridden} & set(columns) else bent
        if not bent:
            kept = [(2 * v, weight) for v, weight in weights.items() if v not in columns]
            kept += [(2 * v, int(total[1 << i]) - int(total[0])) for i, v in enumerate(cut)]
            kept += ridden.items()
            self.left = Linear.of(self.left.bias + int(total[0]), kept).modulo(self.width)
            self.gone |= inner
            self._walk(v for v in self.left.weights if v not in self.level)
        return bent

    def _bent(self, cut: Cut, total: _Column) -> Cut:
        """The variables on which ``total``, a value for each case of the cut, does not depend linearly."""
        rises = [np.diff(total.reshape(-1, 2, 1 << i), axis=1).reshape(-1) for i in range(len(cut))]
        shift = np.uint64(64 - self.width)
        return tuple(v for v, rise in zip(cut, rises, strict=True) if ((rise - rise[:1]) << shift).any())

    def _without_parities(self, cut: Cut, bent: Cut, total: _Column) -> tuple[dict[int, int], _Column]:
        """The weights of parities (literals) of a bent variable and one that it reads, and what ``total`` is without them."""
        found: dict[int, int] = {}
        shift, cases = np.uint64(64 - self.width), np.arange(len(total), dtype=np.uint64)
        for v in bent:
            for u in set(self._reads(v)) & set(bent):
                i, j = np.uint64(cut.index(u)), np.uint64(cut.index(v))
                low = cases[(cases >> i | cases >> j) & np.uint64(1) == 0]
                one, other = np.uint64(1) << i, np.uint64(1) << j
                twist = (total[low | one | other] - total[low | one] - total[low | other] + total[low]) << shift
                # u ^ v = u + v - 2uv
                if not (twist - twist[:1]).any() and int(twist[0]) and not int(twist[0] >> shift) & 1:
                    weight = -(int(twist[0] >> shift) >> 1) % (1 << 64)
                    found[self.logic.table([2 * u, 2 * v], 0b0110)] = weight
                    total = total - np.uint64(weight) * ((cases >> i ^ cases >> j) & np.uint64(1))
        return found, total

    def _inner(self, tops: Iterable[int], cut: Cut) -> set[int]:
        """The variables ``tops`` and what they are made of, above ``cut``."""
        found, stack = set[int](), list(tops)
        while stack:
            variable = stack.pop()
            if variable not in found and variable not in cut:
                found.add(variable)
                stack += self._reads(variable)
        return found


def _closed(logic: Aig, variables: Iterable[int]) -> Cut:
    """The cut of ``variables`` without those that are functions of the others in one step."""
    cut = set(variables)
    for v in sorted(cut, reverse=True):
        if v > logic.inputs and set(logic.cell(v).variables) <= cut:
            cut.remove(v)
    return tuple(sorted(cut))


def _value(logic: Aig, variable: int, lowest: int, values: dict[int, _Column | None]) -> _Column | None:
    """The value of a variable in each case of a cut, or None if it is no function of it; ``values`` are known ones, and grow."""
    if variable not in values:
        values[variable] = None
        if variable > max(lowest, logic.inputs) and (cell := logic.cell(variable)).variables[0] >= lowest:
            columns = [_value(logic, v, lowest, values) for v in cell.variables]
            if all(column is not None for column in columns):
                entries = np.array([cell.table >> address & 1 for address in range(1 << len(columns))], np.uint64)
                address = sum((c << np.uint64(i) for i, c in enumerate(columns) if c is not None), np.uint64(0))
                values[variable] = entries[address]
    return values[variable]
