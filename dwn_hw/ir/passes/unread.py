"""Drops what nobody reads."""

from __future__ import annotations

import dataclasses

from dwn_hw import ir


def drop_unread(network: ir.Network) -> ir.Network:
    """Drop LUTs and thresholds that nothing reads; the features that they belonged to stay on the port."""
    nodes, unread = list(network.nodes), False
    for index in reversed(range(1, len(nodes))):
        reader, source = nodes[index], nodes[index - 1]
        if not isinstance(source, ir.LutLayer | ir.Thermometer) or not isinstance(reader, ir.LutLayer | ir.GroupSum):
            unread = False
            continue
        bits = source.bits if isinstance(source, ir.Thermometer) else len(source.tables)
        # What stands in for a node that nobody reads keeps nothing alive itself.
        read = [] if unread else sorted(_read(reader, bits))
        unread = not read
        if len(read) < bits:
            number = {wire: i for i, wire in enumerate(read)}
            nodes[index], nodes[index - 1] = _renumber(reader, bits, number), _keep(source, read)
    return dataclasses.replace(network, nodes=tuple(nodes))


def _read(reader: ir.LutLayer | ir.GroupSum, bits: int) -> set[int]:
    if isinstance(reader, ir.LutLayer):
        rows = [row for j, row in enumerate(reader.wires) if not reader.is_constant(j)]
    else:
        rows = [group.members for group in reader.split(bits)]
    return {wire for row in rows for wire in row}


def _renumber(reader: ir.LutLayer | ir.GroupSum, bits: int, number: dict[int, int]) -> ir.LutLayer | ir.GroupSum:
    if isinstance(reader, ir.LutLayer):
        # A constant has to read something, and what it is does not matter.
        rows = (tuple(number.get(w, 0) for w in row) for row in reader.wires)
        return ir.LutLayer(tuple(rows), reader.tables)
    groups = [
        dataclasses.replace(group, members=tuple(number[member] for member in group.members))
        for group in reader.split(bits)
    ]
    return ir.GroupSum.of(groups, reader.tau)


def _keep(node: ir.LutLayer | ir.Thermometer, bits: list[int]) -> ir.LutLayer | ir.Thermometer:
    """Return a node with only these ``bits``; where there are none, with one, since an edge carries something."""
    if isinstance(node, ir.LutLayer):
        luts = [(node.wires[i], node.tables[i]) for i in bits] or [((0,), 0b10)]
        return ir.LutLayer(tuple(row for row, _ in luts), tuple(table for _, table in luts))
    kept, serial, rows = set(bits or [0]), 0, []
    for row in node.thresholds:
        rows.append(tuple(t for i, t in enumerate(row, serial) if i in kept))
        serial += len(row)
    return ir.Thermometer(tuple(rows))
