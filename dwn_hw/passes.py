"""Exact passes: ``Network → Network``, each keeps the meaning for every code that the port can carry, and never adds a LUT.

They run in the order of :data:`PASSES`. What a pass may change is the inside: the port, the groups and the result stay as
they are, so interface and predictions do too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from dwn_hw import ir
from dwn_hw.mapped import FALSE, TRUE, cofactors, simplify

Pass = Callable[[ir.Network], ir.Network]


def optimize(network: ir.Network) -> ir.Network:
    """All passes in order."""
    for one in PASSES:
        network = one(network)
    return network


def drop_idle_inputs(network: ir.Network) -> ir.Network:
    """A LUT reads only bits that matter to it: no constants, no bit twice, no equal or inverse copy of another bit."""
    nodes: list[ir.Node] = []
    same: list[tuple[int, bool]] = []  # of each bit of the edge: an equal net (or a constant), and whether inverted
    followers = (*network.nodes[1:], None)
    for node, edge, follower in zip(network.nodes, network.edges(), followers, strict=False):
        match node:
            case ir.Thermometer():
                same = _equal_thresholds(node, edge)
            case ir.LutLayer():
                same = same or [(bit, False) for bit in range(edge.size)]
                node, same = _simplify_layer(node, same, inner=isinstance(follower, ir.LutLayer))
            case _:
                same = []
        nodes.append(node)
    return dataclasses.replace(network, nodes=tuple(nodes))


def _equal_thresholds(node: ir.Thermometer, edge: ir.Edge) -> list[tuple[int, bool]]:
    same: list[tuple[int, bool]] = []
    for row, fmt in zip(node.thresholds, edge.flat_formats(), strict=True):
        first: dict[int, int] = {}
        for threshold in row:
            net = TRUE if threshold <= fmt.low else FALSE if threshold > fmt.high else len(same)
            same.append((net if net < 0 else first.setdefault(threshold, net), False))
    return same


def _simplify_layer(
    node: ir.LutLayer, same: list[tuple[int, bool]], inner: bool
) -> tuple[ir.LutLayer, list[tuple[int, bool]]]:
    wires, tables, out = [], [], []
    first: dict[tuple[ir.Ints, int], int] = {}
    for j, (row, table) in enumerate(zip(node.wires, node.tables, strict=True)):
        for slot, wire in enumerate(row):
            if same[wire][1]:
                table = _invert_input(table, len(row), slot)
        nets, table = simplify(tuple(same[wire][0] for wire in row), table)
        inverse = table ^ ((1 << (1 << len(nets))) - 1)
        if not nets:
            out.append((TRUE if table else FALSE, False))
            nets, table = (row[0],), 0b11 * table  # a LUT of the model must read something
        elif inner and (len(nets), table) == (1, 0b01):
            # An inverter is a wire to readers that can be told so.
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


def _invert_input(table: int, inputs: int, slot: int) -> int:
    return sum((table >> (address ^ 1 << slot) & 1) << address for address in range(1 << inputs))


def merge_thermometer_levels(network: ir.Network) -> ir.Network:
    """A LUT of the first layer reads only thresholds across which its output changes.

    Bits of one feature are monotone, so most addresses with several of them never occur. Seen as a function of each feature's
    *level* (how many of its thresholds the code reaches), a threshold matters exactly if some context changes across it;
    those that do not are dropped, and the set that stays is unique.
    """
    if len(network.nodes) < 2 or not isinstance(network.nodes[0], ir.Thermometer):
        return network
    thermometer, layer = network.nodes[0], network.nodes[1]
    if not isinstance(layer, ir.LutLayer):
        return network
    place = [(feature, t) for feature, row in enumerate(thermometer.thresholds) for t in row]
    reduced = [_merge_levels(row, table, place) for row, table in zip(layer.wires, layer.tables, strict=True)]
    merged = ir.LutLayer(tuple(row for row, _ in reduced), tuple(table for _, table in reduced))
    return dataclasses.replace(network, nodes=(thermometer, merged, *network.nodes[2:]))


def _merge_levels(row: ir.Ints, table: int, place: list[tuple[int, int]]) -> tuple[ir.Ints, int]:
    wires = list(row)
    while len(wires) > 1:
        for slot in range(len(wires)):
            if not _matters(wires, table, slot, place):
                low, high = cofactors(table, len(wires), slot)
                table = _join(wires, slot, low, high, place)
                del wires[slot]
                break
        else:
            break
    return tuple(wires), table


def _bounds(wires: list[int], slot: int, address: int, place: list[tuple[int, int]]) -> tuple[bool, bool]:
    """Whether bit ``slot`` can be 0, and can be 1, when the other bits of its feature are as ``address`` says."""
    feature, threshold = place[wires[slot]]
    can0 = can1 = True
    for other, wire in enumerate(wires):
        if other != slot and place[wire][0] == feature:
            is_set = bool(address >> other & 1)
            # A reached higher (or equal) threshold implies this one; a missed lower (or equal) one excludes it.
            can0 &= not (is_set and place[wire][1] >= threshold)
            can1 &= not (not is_set and place[wire][1] <= threshold)
    return can0, can1


def _occurs(wires: list[int], address: int, place: list[tuple[int, int]]) -> bool:
    return all(_bounds(wires, slot, address, place)[address >> slot & 1] for slot in range(len(wires)))


def _matters(wires: list[int], table: int, slot: int, place: list[tuple[int, int]]) -> bool:
    """Whether some context that occurs with the bit both 0 and 1 changes the output."""
    for address in range(1 << len(wires)):
        other = address | 1 << slot
        changes = not address >> slot & 1 and (table >> address ^ table >> other) & 1
        if changes and _occurs(wires, address, place) and _occurs(wires, other, place):
            return True
    return False


def _join(wires: list[int], slot: int, low: int, high: int, place: list[tuple[int, int]]) -> int:
    """The table without the bit: of its two cofactors, entry by entry, the one whose context occurs."""
    joined = 0
    for address in range(1 << (len(wires) - 1)):
        full = (address >> slot << (slot + 1)) | address & (1 << slot) - 1
        use_high = not _occurs(wires, full, place) and _occurs(wires, full | 1 << slot, place)
        joined |= ((high if use_high else low) >> address & 1) << address
    return joined


def drop_unread(network: ir.Network) -> ir.Network:
    """LUTs and thresholds that nothing reads are gone; the features they belonged to stay on the port."""
    nodes = list(network.nodes)
    for index in reversed(range(1, len(nodes))):
        reader, source = nodes[index], nodes[index - 1]
        if not isinstance(reader, ir.LutLayer) or not isinstance(source, ir.LutLayer | ir.Thermometer):
            continue
        read = sorted({wire for row in reader.wires for wire in row})
        number = {wire: i for i, wire in enumerate(read)}
        nodes[index] = ir.LutLayer(tuple(tuple(number[w] for w in row) for row in reader.wires), reader.tables)
        nodes[index - 1] = _keep(source, read)
    return dataclasses.replace(network, nodes=tuple(nodes))


def _keep(node: ir.LutLayer | ir.Thermometer, bits: list[int]) -> ir.LutLayer | ir.Thermometer:
    if isinstance(node, ir.LutLayer):
        return ir.LutLayer(tuple(node.wires[i] for i in bits), tuple(node.tables[i] for i in bits))
    kept, serial, rows = set(bits), 0, []
    for row in node.thresholds:
        rows.append(tuple(t for i, t in enumerate(row, serial) if i in kept))
        serial += len(row)
    return ir.Thermometer(tuple(rows))


#: The second time, inputs that merging levels made idle are seen.
PASSES: tuple[Pass, ...] = (drop_idle_inputs, merge_thermometer_levels, drop_idle_inputs, drop_unread)
