"""How many LUTs, flip-flops and levels each part takes, without any tool.

An estimate of the emitted structure: one LUT for each that is emitted, larger ones cut by Shannon expansion for a
target with smaller LUTs. It counts what synthesis starts from; sharing and don't-cares make the measured figure smaller,
which is why both are printed side by side.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from dwn_hw import ir
from dwn_hw.rtl.cells import K
from dwn_hw.rtl.core import Pipeline
from dwn_hw.rtl.parts import width


@dataclass(frozen=True, slots=True)
class Cost:
    """``lut`` cells of at most the target's inputs, ``ff`` flip-flops, ``depth`` levels of LUTs."""

    lut: int
    ff: int
    depth: int


def estimate(network: ir.Network, pipeline: Pipeline, lut_inputs: int = K) -> dict[str, Cost]:
    """The cost of each part by name. Flip-flops are those that follow the part."""
    edges = network.edges()
    costs = {}
    for i, (name, node) in enumerate(zip(network.names(), network.nodes, strict=True)):
        cells, levels = _logic(node, edges[i], lut_inputs)
        ff = width(edges[i + 1]) if pipeline.after[i] else 0
        costs[name] = Cost(cells, ff, levels)
    return costs


def depths(network: ir.Network) -> tuple[int, ...]:
    """Levels of logic of each node: what the registers are placed by."""
    return tuple(_logic(node, edge, K)[1] for node, edge in zip(network.nodes, network.edges(), strict=False))


def _logic(node: ir.Node, before: ir.Edge, k: int) -> tuple[int, int]:
    match node:
        case ir.Thermometer():
            return _encoder(node, before, k)
        case ir.LutLayer():
            sizes = [len(row) for row in node.wires]
            return sum(_shannon(n, k) for n in sizes), _levels(max(sizes), k)
        case ir.GroupSum():
            each = [_counter(len(members), k) for members in node.slices(before.size)]
            return sum(cells for cells, _ in each), max(levels for _, levels in each)
        case ir.ArgMax():
            return _tournament(before, k)
        case _:
            assert_never(node)


def _shannon(inputs: int, k: int) -> int:
    """LUTs of ``k`` inputs that any function of ``inputs`` fits in."""
    return 1 if inputs <= k else 2 * _shannon(inputs - 1, k) + 1


def _levels(inputs: int, k: int) -> int:
    return max(1, inputs - k + 1)


def _encoder(node: ir.Thermometer, before: ir.Edge, k: int) -> tuple[int, int]:
    cells = levels = 0
    for row, fmt in zip(node.thresholds, before.flat_formats(), strict=True):
        for threshold in set(row):
            constant = threshold - fmt.low
            if 0 < constant < 1 << fmt.bits:
                compared = fmt.bits - (constant & -constant).bit_length() + 1
                chain = max(1, -(-(compared - 1) // (k - 1)))
                cells, levels = cells + chain, max(levels, chain)
    return cells, levels


def _counter(bits: int, k: int) -> tuple[int, int]:
    """Cells and levels of ``cells.count_ones``, whose order of work this follows."""
    columns: list[deque[int]] = [deque() for _ in range(max(1, bits.bit_length()))]
    columns[0].extend([0] * bits)
    cells = 0
    for weight, column in enumerate(columns):
        while len(column) > 1:
            take = 6 if len(column) >= 6 else min(3, len(column))
            level = max(column.popleft() for _ in range(take)) + _levels(take, k)
            outputs = min(take.bit_length(), len(columns) - weight)
            cells += outputs * _shannon(take, k)
            for bit in range(outputs):
                columns[weight + bit].append(level)
    return cells, max(max(column, default=0) for column in columns)


def _tournament(before: ir.Edge, k: int) -> tuple[int, int]:
    bits, players = before.formats[0].bits, before.size
    slices = -(-(bits - 1) // 2) if bits > 3 else 1
    cells, levels, index_bits = 0, 0, 0
    while players > 1:
        matches, index_bits = players // 2, index_bits + 1
        final = players == 2
        cells += matches * (slices * _shannon(min(6, 2 * bits), k) + index_bits + (0 if final else bits))
        levels += slices + 1
        players -= matches
    return cells, levels


def total(costs: dict[str, Cost]) -> Cost:
    """All parts together; ``depth`` is the deepest part."""
    values: Sequence[Cost] = list(costs.values())
    return Cost(sum(c.lut for c in values), sum(c.ff for c in values), max(c.depth for c in values))
