"""A netlist cut into consecutive ones at levels, so that registers can stand between.

A cut *after level* ``l`` of a netlist of depth ``d`` (``1 <= l < d``) passes behind every cell of level ``l`` or below. What
crosses it is the output of the piece before and the input of the piece behind, in rising order of nets.
"""

from __future__ import annotations

from dataclasses import replace

from dwn_hw.ir import Ints
from dwn_hw.mapped import Lut, Netlist


def levels(netlist: Netlist) -> list[int]:
    """The level of each net: as early or as late as possible, whichever lets fewer nets cross the cuts of all levels."""
    early, late = netlist.earliest(), netlist.latest()
    inside = range(1, netlist.depth())
    return min((early, late), key=lambda level: sum(len(_crossing(netlist, level, cut)) for cut in inside))


def widths(netlist: Netlist) -> tuple[int, ...]:
    """Nets that cross the cut after level 1, 2, … up to one below the depth: flip-flops that a register there takes."""
    level = levels(netlist)
    return tuple(len(_crossing(netlist, level, cut)) for cut in range(1, netlist.depth()))


def _crossing(netlist: Netlist, level: list[int], cut: int) -> list[int]:
    nets = {
        net
        for i, cell in enumerate(netlist.cells)
        if level[netlist.inputs + i] > cut
        for net in cell.reads
        if level[net] <= cut
    }
    return sorted(nets | {net for net in netlist.outputs if net >= 0 and level[net] <= cut})


def split(netlist: Netlist, after: Ints) -> tuple[Netlist, ...]:
    """The pieces between cuts after the levels ``after`` (rising); put in series they are ``netlist``."""
    level = levels(netlist)
    ends = [*after, netlist.depth()]
    pieces = []
    entering: list[int] = list(range(netlist.inputs))
    for low, high in zip([0, *after], ends, strict=True):
        last = high == ends[-1]
        leaving = list(netlist.outputs) if last else _crossing(netlist, level, high)
        number = {net: i for i, net in enumerate(entering)}
        cells: list[Lut] = []
        for i, cell in enumerate(netlist.cells):
            net = netlist.inputs + i
            if low < level[net] <= high:
                number[net] = len(entering) + len(cells)
                cells.append(replace(cell, inputs=tuple(number.get(n, n) for n in cell.inputs)))
        outputs = tuple(number[net] if net >= 0 else net for net in leaving)
        pieces.append(Netlist(len(entering), tuple(cells), outputs))
        entering = leaving
    return tuple(pieces)
