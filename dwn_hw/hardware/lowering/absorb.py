"""Merges cells into their only reader where the reader's LUT has room."""

from __future__ import annotations

from dataclasses import replace

from dwn_hw.hardware.lut_netlist import LUT, Lut, LutBuilder, LutNetlist
from dwn_hw.ir.truth_tables import compose


def absorb(netlist: LutNetlist, k: int) -> LutNetlist:
    """Return a netlist with the same outputs and fewer cells.

    A cell with one reader becomes part of it where both together have at most ``k`` inputs.

    Readers are looked at from the outputs down, their inputs from the latest up, until nothing changes.
    """
    cells = {netlist.inputs + i: cell for i, cell in enumerate(netlist.cells)}
    readers: dict[int, int] = {}
    for cell in netlist.cells:
        for net in cell.reads:
            readers[net] = readers.get(net, 0) + 1
    for net in netlist.outputs:
        readers[net] = readers.get(net, 0) + 2  # an output must stay a net
    for net in sorted(cells, reverse=True):
        if net in cells:
            _absorb_inputs(net, cells, readers, k)
    builder = LutBuilder(netlist.inputs)
    number = {net: net for net in range(netlist.inputs)}
    for net in sorted(cells):
        cell = cells[net]
        number[net] = builder.keep(replace(cell, inputs=tuple(number.get(n, n) for n in cell.inputs)))
    return builder.finish([number.get(net, net) for net in netlist.outputs])


def _absorb_inputs(net: int, cells: dict[int, Lut], readers: dict[int, int], k: int) -> None:
    while cells[net].kind == LUT:
        cell = cells[net]
        for source in sorted(cell.inputs, reverse=True):
            if source in cells and readers[source] == 1 and cells[source].kind == LUT:
                inner = cells[source]
                if len({*cell.inputs, *inner.inputs} - {source}) <= k:
                    for shared in set(inner.inputs) & set(cell.inputs):
                        readers[shared] -= 1
                    cells[net] = Lut(cell.name, *compose(cell.inputs, cell.table, source, inner.inputs, inner.table))
                    del cells[source]
                    break
        else:
            return
