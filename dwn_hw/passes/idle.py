"""Inputs that never matter, in any case that occurs."""

from __future__ import annotations

import dataclasses

from dwn_hw import ir
from dwn_hw.mapped import cofactors, idle_input, variable
from dwn_hw.passes.cases import Cases


def drop_idle_inputs(network: ir.Network) -> ir.Network:
    """A LUT reads only bits across which its output changes in some case that occurs, as far as that is cheap to know.

    Of thermometer bits it is known exactly: a threshold matters if some context changes across it; those that do not are
    dropped, and the set that stays is unique. The entry of a combination of thresholds that never occurs becomes that of the one
    which the highest reached threshold implies, so that LUTs that are equal look equal.
    """
    nodes: list[ir.Node] = []
    cases: Cases | None = None
    for node in network.nodes:
        if isinstance(node, ir.Thermometer):
            cases = Cases(node)
        elif isinstance(node, ir.LutLayer) and cases is not None:
            luts = [_reduce(row, table, cases) for row, table in zip(node.wires, node.tables, strict=True)]
            node = ir.LutLayer(tuple(row for row, _ in luts), tuple(table for _, table in luts))
            cases.add(node)
        else:
            cases = None
        nodes.append(node)
    return dataclasses.replace(network, nodes=tuple(nodes))


def _reduce(row: ir.Ints, table: int, cases: Cases) -> tuple[ir.Ints, int]:
    if idle_input(table, len(row), cases.seen(row)) is not None:
        occur, wires = cases.occurring(row), list(row)
        while len(wires) > 1 and (slot := idle_input(table, len(wires), occur)) is not None:
            low, high = cofactors(occur, len(wires), slot)
            off, on = cofactors(table, len(wires), slot)
            # Of the two halves, entry by entry, the one that occurs.
            table, occur = off & low | on & ~low, low | high
            del wires[slot]
        row = tuple(wires)
    for i, j in cases.implications(row):
        never = variable(i, len(row)) & ~variable(j, len(row))
        table = table & ~never | table >> (1 << j) & never
    return row, table
