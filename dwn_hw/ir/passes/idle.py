"""Drops inputs that never matter, in any case that occurs."""

from __future__ import annotations

import dataclasses

from dwn_hw import ir
from dwn_hw.ir.passes.cases import Cases
from dwn_hw.ir.truth_tables import cofactors, idle_input


def drop_idle_inputs(network: ir.Network) -> ir.Network:
    """Let a LUT read only bits across which its output changes in some case that occurs, as far as that is cheap to know.

    Of thermometer bits it is known exactly: a threshold matters if some context changes across it; those that do not are
    dropped, and the set that stays is unique. Entries that are never asked for become that of the first which is, so that LUTs
    that are equal, or inverse, look so.
    """
    nodes: list[ir.Node] = []
    cases: Cases | None = None
    for node in network.nodes:
        match node:
            case ir.Thermometer():
                cases = Cases(node)
            case ir.LutLayer():
                if cases is not None:
                    luts = [_reduce(row, table, cases) for row, table in zip(node.wires, node.tables, strict=True)]
                    node = ir.LutLayer(tuple(row for row, _ in luts), tuple(table for _, table in luts))
                    cases.add(node)
            case _:
                cases = None
        nodes.append(node)
    return dataclasses.replace(network, nodes=tuple(nodes))


def _reduce(row: ir.Ints, table: int, cases: Cases) -> tuple[ir.Ints, int]:
    every = (1 << (1 << len(row))) - 1
    if cases.seen(row) == every:
        return row, table
    occur, wires = cases.occurring(row), list(row)
    while len(wires) > 1 and (slot := idle_input(table, len(wires), occur)) is not None:
        low, high = cofactors(occur, len(wires), slot)
        off, on = cofactors(table, len(wires), slot)
        # Of the two halves, entry by entry, the one that occurs.
        table, occur = off & low | on & ~low, low | high
        del wires[slot]
    every = (1 << (1 << len(wires))) - 1
    first = occur & -occur
    return tuple(wires), table & occur | (every & ~occur if table & first else 0)
