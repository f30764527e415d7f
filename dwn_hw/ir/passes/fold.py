"""Folds what is known of single bits: constants, equal bits, inverses."""

from __future__ import annotations

import dataclasses

from dwn_hw import ir
from dwn_hw.ir.truth_tables import FALSE, TRUE, invert_input, simplify

#: What a bit is the same as: the first bit of its edge that is equal (or a constant), and whether it is inverted.
Same = tuple[int, bool]


def fold_bits(network: ir.Network) -> ir.Network:
    """Take constants, and equal or inverse copies of other bits, into tables, weights and biases, so that nothing reads them.

    Of what other nodes give, a bit of levels may be constant; nothing else is known.
    """
    edge = network.input.edge
    nodes: list[ir.Node] = []
    same: list[Same] = []
    for node, follower in zip(network.nodes, (*network.nodes[1:], None), strict=True):
        match node:
            case ir.Thermometer():
                node = _clamp(node, edge)
                same = _equal_thresholds(node, edge)
            case ir.LutLayer():
                told = isinstance(follower, ir.LutLayer | ir.GroupSum)
                node, same = _fold_layer(node, same or _all_different(edge), told)
            case ir.GroupSum():
                node = _fold_votes(node, same or _all_different(edge), edge)
                same = []
            case ir.MultiThreshold() if node.output(edge).is_bits:
                same = _constant_levels(node, edge)
            case ir.Reshape():
                pass  # the same bits in the same order
            case _:
                same = []
        nodes.append(node)
        edge = node.output(edge)
    return dataclasses.replace(network, nodes=tuple(nodes))


def _all_different(edge: ir.Edge) -> list[Same]:
    return [(bit, False) for bit in range(edge.size)]


def _clamp(node: ir.Thermometer, edge: ir.Edge) -> ir.Thermometer:
    """Clamp thresholds to what ``edge`` can carry: the sums before it may have become narrower."""
    rows = zip(node.thresholds, edge.flat_formats(), strict=True)
    return ir.Thermometer(tuple(tuple(min(max(t, fmt.low), fmt.high + 1) for t in row) for row, fmt in rows))


def _equal_thresholds(node: ir.Thermometer, edge: ir.Edge) -> list[Same]:
    same: list[Same] = []
    for row, fmt in zip(node.thresholds, edge.flat_formats(), strict=True):
        first: dict[int, int] = {}
        for threshold in row:
            net = TRUE if threshold <= fmt.low else FALSE if threshold > fmt.high else len(same)
            same.append((net if net < 0 else first.setdefault(threshold, net), False))
    return same


def _constant_levels(node: ir.MultiThreshold, edge: ir.Edge) -> list[Same]:
    """Numbers that reach intervals of one value alone are constant."""
    inner = edge.size // edge.shape[0] if len(node.thresholds) > 1 else edge.size
    same: list[Same] = []
    for bit, fmt in enumerate(edge.flat_formats()):
        intervals = [(fmt.low if start is None else start, value) for start, value in node.intervals(bit // inner)]
        ends = [start for start, _ in intervals[1:]] + [fmt.high + 1]
        reached = {v for (start, v), end in zip(intervals, ends, strict=True) if start <= fmt.high and end > fmt.low}
        same.append(((TRUE if reached.pop() else FALSE) if len(reached) == 1 else bit, False))
    return same


def _fold_layer(node: ir.LutLayer, same: list[Same], told: bool) -> tuple[ir.LutLayer, list[Same]]:
    """Fold one layer. Returns it, and what each of its bits is the same as.

    ``told``: whether the readers can be told that a bit is inverted, so that no LUT has to invert it.
    """
    wires, tables, out = [], [], list[Same]()
    first: dict[tuple[ir.Ints, int], int] = {}
    for j, (row, table) in enumerate(zip(node.wires, node.tables, strict=True)):
        for slot, wire in enumerate(row):
            if same[wire][1]:
                table = invert_input(table, len(row), slot)
        nets, table = simplify(tuple(same[wire][0] for wire in row), table)
        inverse = table ^ ((1 << (1 << len(nets))) - 1)
        if not nets:
            out.append((TRUE if table else FALSE, False))
            nets, table = (row[0],), 0b11 * table  # a LUT of the model must read something
        elif told and (len(nets), table) == (1, 0b01):
            table = 0b10
            out.append((first.setdefault((nets, table), j), True))
        elif (nets, table) in first:
            out.append((first[nets, table], False))
        elif (nets, inverse) in first:
            out.append((first[nets, inverse], True))
        else:
            first[nets, table] = j
            out.append((j, False))
        wires.append(nets)
        tables.append(table)
    return ir.LutLayer(tuple(wires), tuple(tables)), out


def _fold_votes(node: ir.GroupSum, same: list[Same], edge: ir.Edge) -> ir.GroupSum:
    groups = node.split(edge.size)
    folded = tuple(_fold_group(group, same) for group in groups)
    return node if folded == groups else ir.GroupSum.of(folded, node.tau)


def _fold_group(group: ir.Group, same: list[Same]) -> ir.Group:
    bias, weights = group.bias, dict[int, int]()
    for member, weight in zip(group.members, group.weights, strict=True):
        net, is_inverse = same[member]
        if is_inverse:  # w·(1 − x)
            bias, weight = bias + weight, -weight
        if net >= 0:
            weights[net] = weights.get(net, 0) + weight
        else:
            bias += weight * (net == TRUE)
    kept = {net: weight for net, weight in weights.items() if weight}
    return ir.Group(tuple(kept), tuple(kept.values()), bias)
