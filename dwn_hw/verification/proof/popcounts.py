"""Proves sums of many bits, at which SAT alone is slow: by the identity of weights, or by trying every input."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from dwn_hw.verification.proof.aig import Aig, pack, unpack
from dwn_hw.verification.proof.place_values import Linear, rewrite
from dwn_hw.verification.proof.sat import Verdict

#: The most bits of a sum that is tried for every input at once, and where the identity of weights leads nowhere.
TRIED, MAX_TRIED = 12, 20

#: The number of cases that are tried together.
_CHUNK = 1 << 16


def compare_sum(logic: Aig, outputs: Sequence[int], wanted: Linear, timeout: float) -> Verdict:
    """Whether ``outputs``, lowest bit first, are ``wanted`` (over inputs of ``logic``) modulo 2**width, for all inputs."""
    read = sorted({*support(logic, outputs), *wanted.weights})
    verdict = Verdict(None, "")
    if len(read) > TRIED:
        verdict = _by_weights(logic, outputs, wanted.modulo(len(outputs)), timeout)
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


def _by_weights(logic: Aig, outputs: Sequence[int], wanted: Linear, timeout: float) -> Verdict:
    found = rewrite(logic, outputs, timeout)
    if found is None:
        return Verdict(None, "identity of weights, stuck")
    if found == wanted:
        return Verdict(True, "identity of weights")
    # Two linear functions differ where all inputs are 0, or all but one.
    case = np.zeros(logic.inputs, np.uint8)
    odd = [v for v in {*found.weights, *wanted.weights} if found.weights.get(v) != wanted.weights.get(v)]
    if found.bias == wanted.bias:
        case[odd[0] - 1] = 1
    return Verdict(False, "identity of weights", case)
