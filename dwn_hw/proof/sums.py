"""Sums of many bits, which SAT alone is slow at: by the identity of weights, or by trying every input.

The identity of weights, modulo 2**width: what the output bits add up to, ``Σ 2**i·y[i]``, is rewritten from the outputs to the
inputs. Of the cells at the top of what is left, some together are a linear function of what they read (a compressor: its
outputs, by their weights, add up to its inputs). That is checked for all values of what they read, and they are replaced by it.
What remains is a weight for each input and a constant: that is what the logic adds up, no matter how it was found.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from dwn_hw.proof.aig import Aig, pack, unpack
from dwn_hw.proof.sat import Verdict

#: Sums of at most so many bits are tried for every input at once, or where the identity of weights leads nowhere.
TRIED, MAX_TRIED = 12, 20

#: Cases that are tried together.
_CHUNK = 1 << 16

#: Cells are looked at together over cuts of at most so many variables. Of a cell so many cuts are tried: first few, then more.
_MAX_CUT, _CUTS = 10, (4, 200)

Cut: TypeAlias = tuple[int, ...]

_Column: TypeAlias = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Linear:
    """``bias`` + Σ weight · variable."""

    bias: int
    weights: Mapping[int, int]

    @classmethod
    def of(cls, bias: int, terms: Iterable[tuple[int, int]]) -> Linear:
        """From (literal, weight) terms."""
        weights: dict[int, int] = {}
        for literal, weight in terms:
            if literal & 1:  # w·(1 − x)
                bias, weight = bias + weight, -weight
            if literal > 1:
                weights[literal >> 1] = weights.get(literal >> 1, 0) + weight
        return cls(bias, {variable: weight for variable, weight in weights.items() if weight})

    def modulo(self, width: int) -> Linear:
        """With coefficients 0 … 2**width - 1."""
        mask = (1 << width) - 1
        weights = {variable: weight & mask for variable, weight in sorted(self.weights.items()) if weight & mask}
        return Linear(self.bias & mask, weights)


def compare_sum(logic: Aig, outputs: Sequence[int], wanted: Linear) -> Verdict:
    """Whether ``outputs``, lowest bit first, are ``wanted`` (over inputs of ``logic``) modulo 2**width, for all inputs."""
    read = sorted({*support(logic, outputs), *wanted.weights})
    verdict = Verdict(None, "")
    if len(read) > TRIED:
        verdict = _by_weights(logic, outputs, wanted.modulo(len(outputs)))
    if verdict.equal is None and len(read) <= MAX_TRIED:
        verdict = _try_all(logic, outputs, wanted, read)
    return verdict


def support(logic: Aig, literals: Iterable[int]) -> set[int]:
    """The inputs, as variables, that the literals read."""
    seen, stack = set[int](), [literal >> 1 for literal in literals]
    while stack:
        variable = stack.pop()
        if variable and variable not in seen:
            seen.add(variable)
            if variable > logic.inputs:
                stack += logic.cell(variable).variables
    return {variable for variable in seen if variable <= logic.inputs}


def _try_all(logic: Aig, outputs: Sequence[int], wanted: Linear, read: list[int]) -> Verdict:
    small = Aig(len(read))
    place = dict(zip(read, small.literals(), strict=True))
    small.outputs = small.place(logic.cone(outputs), [place.get(i + 1, 0) for i in range(logic.inputs)])
    weights = np.array([wanted.weights.get(variable, 0) for variable in read], np.int64).astype(np.uint64)
    bias, powers = np.int64(wanted.bias).astype(np.uint64), np.uint64(1) << np.arange(len(outputs), dtype=np.uint64)
    for start in range(0, 1 << len(read), _CHUNK):
        cases = np.arange(start, min(1 << len(read), start + _CHUNK), dtype=np.uint64)
        bits = (cases[:, None] >> np.arange(len(read), dtype=np.uint64) & np.uint64(1)).astype(np.uint8)
        got = unpack(small.simulate(pack(bits)), len(bits)).astype(np.uint64) @ powers
        # Unsigned arithmetic is modulo 2**64, of which 2**width is a divisor.
        differs = np.nonzero((got - bits.astype(np.uint64) @ weights - bias) << np.uint64(64 - len(outputs)))[0]
        if len(differs):
            case = np.zeros(logic.inputs, np.uint8)
            case[np.array(read, np.int64) - 1] = bits[differs[0]]
            return Verdict(False, "every input", case)
    return Verdict(True, "every input")


def _by_weights(logic: Aig, outputs: Sequence[int], wanted: Linear) -> Verdict:
    width = len(outputs)
    left = Linear.of(0, [(literal, 1 << i) for i, literal in enumerate(outputs)]).modulo(width)
    level = _levels(logic, left.weights)
    while any(v > logic.inputs for v in left.weights):
        tops = sorted((v for v in left.weights if v > logic.inputs), key=lambda v: (-level[v], v))
        tries = ((top, most) for most in _CUTS for top in tops)
        found = (_replace(logic, left, cut, width) for top, most in tries for cut in _cuts(logic, top, left, most))
        replaced = next((option for option in found if option), None)
        if replaced is None:
            return Verdict(None, "identity of weights, stuck")
        left = replaced
    if left == wanted:
        return Verdict(True, "identity of weights")
    # Two linear functions differ where all inputs are 0, or all but one.
    case = np.zeros(logic.inputs, np.uint8)
    odd = [v for v in {*left.weights, *wanted.weights} if left.weights.get(v) != wanted.weights.get(v)]
    if left.bias == wanted.bias:
        case[odd[0] - 1] = 1
    return Verdict(False, "identity of weights", case)


def _levels(logic: Aig, variables: Iterable[int]) -> dict[int, int]:
    """Of all that the variables are made of: 0 for inputs, else one more than the highest that is read."""
    level: dict[int, int] = {}
    stack = list(variables)
    while stack:
        reads = logic.cell(stack[-1]).variables if stack[-1] > logic.inputs else ()
        open_ = [v for v in reads if v not in level]
        if not open_:
            level[stack.pop()] = 1 + max((level[v] for v in reads), default=-1)
        stack += open_
    return level


def _cuts(logic: Aig, top: int, left: Linear, most: int) -> Iterator[Cut]:
    """Sets of variables that ``top`` is a function of, from what it reads on, ever wider or deeper; so many at most."""
    queue = [logic.cell(top).variables]
    known = set(queue)
    for cut in queue:
        yield cut
        inside = [variable for variable in reversed(cut) if variable > logic.inputs]
        wider = [
            (*cut, *logic.cell(v).variables)
            for v in left.weights
            if v > logic.inputs and v not in cut and set(cut) & set(logic.cell(v).variables)
        ]
        deeper = [tuple(logic.cell(v).variables if u == v else (u,) for u in cut) for v in inside]
        for option in [*wider, *(tuple(u for group in groups for u in group) for groups in deeper)]:
            grown = tuple(sorted(set(option)))
            if len(grown) <= _MAX_CUT and grown not in known and len(known) < most:
                known.add(grown)
                queue.append(grown)


def _replace(logic: Aig, left: Linear, cut: Cut, width: int) -> Linear | None:
    """``left`` with all its variables that are functions of ``cut`` replaced, if together they are linear in it."""
    bits = np.arange(1 << len(cut), dtype=np.uint64)[:, None] >> np.arange(len(cut), dtype=np.uint64) & np.uint64(1)
    values: dict[int, _Column | None] = dict(zip(cut, bits.T, strict=True))
    columns = {
        v: column for v in left.weights if v not in cut and (column := _value(logic, v, cut[0], values)) is not None
    }
    # Modulo 2**64, of which 2**width is a divisor.
    total = sum((column * np.uint64(left.weights[v]) for v, column in columns.items()), np.zeros(len(bits), np.uint64))
    slopes = total[1 << np.arange(len(cut))] - total[:1]
    if ((total - total[:1] - bits @ slopes) << np.uint64(64 - width)).any():
        return None
    kept = [(2 * v, weight) for v, weight in left.weights.items() if v not in columns]
    kept += [(2 * v, int(slope)) for v, slope in zip(cut, slopes, strict=True)]
    return Linear.of(left.bias + int(total[0]), kept).modulo(width)


def _value(logic: Aig, variable: int, lowest: int, values: dict[int, _Column | None]) -> _Column | None:
    """What a variable is in each case of a cut, or None if it is no function of it; ``values`` are known ones, and grow."""
    if variable not in values:
        values[variable] = None
        if variable > max(lowest, logic.inputs) and (cell := logic.cell(variable)).variables[0] >= lowest:
            columns = [_value(logic, v, lowest, values) for v in cell.variables]
            if all(column is not None for column in columns):
                entries = np.array([cell.table >> address & 1 for address in range(1 << len(columns))], np.uint64)
                address = sum((c << np.uint64(i) for i, c in enumerate(columns) if c is not None), np.uint64(0))
                values[variable] = entries[address]
    return values[variable]
