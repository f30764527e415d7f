"""Builds what nodes mean, as logic, written to be read: a comparison a threshold, a table a neuron, plain sums and maxima.

This is what hardware is compared with. It shares nothing with :mod:`dwn_hw.hardware.lowering`, and is itself compared with
:mod:`dwn_hw.ir.evaluate`: for the vectors of every proof, and for all inputs of small nodes in the tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from dwn_hw import ir
from dwn_hw.verification.proof.aig import FALSE, TRUE, Aig
from dwn_hw.verification.proof.naive_integers import in_one_width, place_integers, signed


def reference(nodes: Sequence[ir.Node], before: ir.Edge) -> Aig:
    """The logic from the bits of the edge ``before`` to those of the edge behind the last of ``nodes``.

    The first entry's LSB is bit 0.
    """
    logic = Aig(before.bits)
    bits = logic.literals()
    for node in nodes:
        bits = place(logic, node, before, bits)
        before = node.output(before)
    logic.outputs = bits
    return logic


def place(logic: Aig, node: ir.Node, before: ir.Edge, bits: Sequence[int]) -> list[int]:
    """Build ``node`` over the ``bits`` of the edge before it. Returns the bits of the edge behind it."""
    numbers = entries(before, bits)
    if isinstance(node, ir.IntegerNode):
        return place_integers(logic, node, before, signed(before, numbers))
    match node:
        case ir.Thermometer():
            rows = zip(node.thresholds, before.flat_formats(), numbers, strict=True)
            return [at_least(logic, code, t, fmt) for row, fmt, code in rows for t in row]
        case ir.LutLayer():
            luts = zip(node.wires, node.tables, strict=True)
            return [logic.table([bits[wire] for wire in wires], table) for wires, table in luts]
        case ir.GroupSum():
            width = node.output(before).formats[0].bits
            return [bit for group in node.split(before.size) for bit in total(logic, group, bits, width)]
        case ir.ArgMax():
            size, width = before.shape[-1], node.output(before).formats[0].bits
            found: list[int] = []
            alike = in_one_width(signed(before, numbers))
            for first in range(0, before.size, size):
                index = first_maximum(logic, alike[first : first + size], True)
                found += [*index, *[FALSE] * width][:width]
            return found
        case _:
            assert_never(node)


def entries(edge: ir.Edge, bits: Sequence[int]) -> list[list[int]]:
    """The bits of an edge by entry, lowest first."""
    rest = iter(bits)
    return [[next(rest) for _ in range(fmt.bits)] for fmt in edge.flat_formats()]


def constant(value: int, width: int) -> list[int]:
    """The bits of a number in two's complement, lowest first."""
    return [TRUE if value >> i & 1 else FALSE for i in range(width)]


def at_least(logic: Aig, code: Sequence[int], threshold: int, fmt: ir.Format) -> int:
    """The literal of ``code >= threshold``."""
    if threshold > fmt.high:
        return FALSE
    reached = TRUE
    # Counted from the lowest code up, a signed number is an unsigned one with its highest bit inverted.
    for bit, wanted in zip(_from_lowest(code, fmt.signed), constant(threshold - fmt.low, fmt.bits), strict=True):
        reached = logic.both(bit, reached) if wanted == TRUE else logic.either(bit, reached)
    return reached


def total(logic: Aig, group: ir.Group, bits: Sequence[int], width: int) -> list[int]:
    """The sum of a group: the bias, and one weight after the other."""
    found = constant(group.bias, width)
    for member, weight in zip(group.members, group.weights, strict=True):
        found = logic.add(found, [logic.both(bit, bits[member]) for bit in constant(weight, width)])
    return found


def first_maximum(logic: Aig, numbers: Sequence[Sequence[int]], signed: bool) -> list[int]:
    """The index of the first greatest number: a later one must be greater."""
    width = (len(numbers) - 1).bit_length()
    best, index = list(numbers[0]), constant(0, width)
    for i, number in enumerate(numbers[1:], 1):
        greater = FALSE
        for a, b in zip(_from_lowest(number, signed), _from_lowest(best, signed), strict=True):
            greater = logic.choose(logic.differ(a, b), a, greater)
        best = [logic.choose(greater, a, b) for a, b in zip(number, best, strict=True)]
        index = [logic.choose(greater, a, b) for a, b in zip(constant(i, width), index, strict=True)]
    return index


def _from_lowest(number: Sequence[int], signed: bool) -> list[int]:
    return [*number[:-1], number[-1] ^ signed]
