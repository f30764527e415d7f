"""Proves that the logic of one part of a network is what its nodes mean, for all values of its input."""

from __future__ import annotations

import time
from collections.abc import Sequence

from dwn_hw import ir
from dwn_hw.verification.proof.aig import Aig
from dwn_hw.verification.proof.naive import reference
from dwn_hw.verification.proof.place_values import Linear
from dwn_hw.verification.proof.popcounts import compare_sum
from dwn_hw.verification.proof.sat import Verdict, compare


def prove_part(logic: Aig, given: Sequence[int], nodes: Sequence[ir.Node], before: ir.Edge, timeout: float) -> Verdict:
    """Whether ``logic.outputs`` are what ``nodes`` give for the edge ``before``, whose bits are the literals ``given``.

    True: for all values of ``logic``'s inputs. False: the verdict's case is one of them for which they differ.
    """
    match nodes:
        case [ir.GroupSum() as votes]:
            return _prove_sums(logic, given, votes, before, timeout)
        case _:
            return compare(logic, _wanted(logic, given, nodes, before), timeout)


def _wanted(logic: Aig, given: Sequence[int], nodes: Sequence[ir.Node], before: ir.Edge) -> Aig:
    """The reference over the inputs of ``logic``."""
    whole = Aig(logic.inputs)
    whole.outputs = whole.place(reference(nodes, before), given)
    return whole


def _prove_sums(logic: Aig, given: Sequence[int], node: ir.GroupSum, before: ir.Edge, timeout: float) -> Verdict:
    """Prove each group by itself; by SAT those which nothing else could prove or refute."""
    width, ended = node.output(before).formats[0].bits, time.monotonic() + timeout
    ways, unknown = list[str](), list[int]()
    for serial, group in enumerate(node.split(before.size)):
        bits = range(serial * width, (serial + 1) * width)
        wanted = Linear.of(group.bias, [(given[m], w) for m, w in zip(group.members, group.weights, strict=True)])
        verdict = compare_sum(logic, [logic.outputs[i] for i in bits], wanted, ended - time.monotonic())
        if verdict.equal is False:
            return verdict
        if verdict.equal:
            ways.append(verdict.how)
        else:
            unknown += bits
    if unknown:
        whole = _wanted(logic, given, [node], before)
        one, other = (side.cone([side.outputs[i] for i in unknown]) for side in (logic, whole))
        verdict = compare(one, other, max(1.0, ended - time.monotonic()))
        if not verdict.equal:
            return verdict
        ways.append(verdict.how)
    return Verdict(True, " and ".join(dict.fromkeys(ways)))
