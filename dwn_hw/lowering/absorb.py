"""Cells merged into their readers where the readers' LUTs have room."""

from __future__ import annotations

from dwn_hw.mapped import Builder, Lut, Netlist


def absorb(netlist: Netlist, k: int) -> Netlist:
    """The same outputs from fewer cells: one that fits into all its readers, each of at most ``k`` inputs, becomes part of them.

    Cells with a single reader come first, since merging them takes no room from others; then those with several. Each time
    the latest cells are looked at first, until nothing changes.
    """
    cells = {netlist.inputs + i: cell for i, cell in enumerate(netlist.cells)}
    readers: dict[int, set[int]] = {net: set() for net in cells}
    for reader, cell in cells.items():
        _join(readers, reader, cell)
    outputs = set(netlist.outputs)
    for most in (1, len(cells)):
        while any([_spread(net, cells, readers, most, k) for net in sorted(cells, reverse=True) if net not in outputs]):
            pass
    builder = Builder(netlist.inputs)
    number = {net: net for net in range(netlist.inputs)}
    for net in sorted(cells):
        cell = cells[net]
        number[net] = builder.lut(cell.name, [number[n] for n in cell.inputs], cell.table)
    return builder.finish([number.get(net, net) for net in netlist.outputs])


def _join(readers: dict[int, set[int]], reader: int, cell: Lut) -> None:
    for net in cell.inputs:
        if net in readers:
            readers[net].add(reader)


def _spread(net: int, cells: dict[int, Lut], readers: dict[int, set[int]], most: int, k: int) -> bool:
    """Merge a cell into all of its at most ``most`` readers, if each has room for it; whether that was done."""
    if not 1 <= len(readers[net]) <= most:
        return False
    inner = cells[net]
    merged: dict[int, Lut] = {}
    for reader in readers[net]:
        union = [n for n in cells[reader].inputs if n != net]
        union += [n for n in inner.inputs if n not in union]
        if len(union) > k:
            return False
        merged[reader] = _compose(cells[reader], net, inner, tuple(union))
    for source in inner.inputs:
        if source in readers:
            readers[source].discard(net)
    for reader, cell in merged.items():
        cells[reader] = cell
        _join(readers, reader, cell)
    del cells[net], readers[net]
    return True


def _compose(cell: Lut, source: int, inner: Lut, union: tuple[int, ...]) -> Lut:
    table = 0
    for address in range(1 << len(union)):
        value = {net: address >> i & 1 for i, net in enumerate(union)}
        value[source] = inner.table >> sum(value[n] << i for i, n in enumerate(inner.inputs)) & 1
        table |= (cell.table >> sum(value[n] << i for i, n in enumerate(cell.inputs)) & 1) << address
    return Lut(cell.name, union, table)
