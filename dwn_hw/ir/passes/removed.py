"""Counts what the passes took out, for the report."""

from __future__ import annotations

from typing import assert_never

from dwn_hw import ir


def removed(before: ir.Network, after: ir.Network) -> dict[str, dict[str, int]]:
    """Count by node what was taken out: thresholds, LUTs and their inputs, members of groups that are constant or duplicates.

    A layer that took in LUTs of the layer before may have lost fewer than no inputs.
    """
    was, now = (
        [_measure(node, edge.size) for node, edge in zip(n.lut_nodes(), n.edges(), strict=False)]
        for n in (before, after)
    )
    return {
        name: {what: old[what] - new[what] for what in old}
        for name, old, new in zip(before.names(), was, now, strict=True)
        if old
    }


def _measure(node: ir.LutNode, bits: int) -> dict[str, int]:
    match node:
        case ir.Thermometer():
            return {"thresholds": node.bits}
        case ir.LutLayer():
            luts = [row for j, row in enumerate(node.wires) if not node.is_wire(j)]
            return {"luts": len(luts), "inputs": sum(map(len, luts))}
        case ir.GroupSum():
            weights = [abs(weight) for group in node.split(bits) for weight in group.weights]
            # A duplicate member counts with the weight of another instead.
            return {"constant members": sum(weights), "duplicate members": len(weights) - sum(weights)}
        case ir.ArgMax():
            return {}
        case _:
            assert_never(node)
