"""Counts what the passes took out, for the report."""

from __future__ import annotations

from dwn_hw import ir


def removed(before: ir.Network, after: ir.Network) -> dict[str, dict[str, int]]:
    """Count by node what was taken out: thresholds, LUTs and their inputs, members of groups that are constant or duplicates.

    A layer that took in LUTs of the layer before may have lost fewer than no inputs. Of nodes that count in integers nothing is
    counted.
    """
    was, now = (
        {step.name: counts for step in n.steps() if (counts := _measure(step.node, step.before.size))}
        for n in (before, after)
    )
    return {name: {what: old[what] - now[name][what] for what in old} for name, old in was.items()}


def _measure(node: ir.Node, bits: int) -> dict[str, int]:
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
        case _:
            return {}
