"""Cuts a netlist into consecutive ones at levels, so that registers can stand between.

A cut *after level* ``l`` of a netlist of depth ``d`` (``1 <= l < d``) passes behind every cell of level ``l`` or below. What
crosses it is the output of the piece before and the input of the piece behind, in rising order of nets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from dwn_hw.hardware.lut_netlist import LutNetlist
from dwn_hw.hardware.netlist_levels import Cell
from dwn_hw.hardware.word_netlist import WordNetlist
from dwn_hw.ir import Ints

#: What a part of a design is made of: LUT cells, or operations on words.
Logic: TypeAlias = LutNetlist | WordNetlist


def levels(netlist: Logic) -> list[int]:
    """The level of each net, as early or as late as possible: whichever lets fewer bits cross the cuts of all levels."""
    early, late = netlist.earliest(), netlist.latest()
    inside = range(1, netlist.depth())
    return min((early, late), key=lambda level: sum(_width(netlist, level, cut) for cut in inside))


def widths(netlist: Logic) -> tuple[int, ...]:
    """The flip-flops that a register takes after level 1, 2, … up to one below the depth: bits that cross the cut."""
    level = levels(netlist)
    return tuple(_width(netlist, level, cut) for cut in range(1, netlist.depth()))


def _width(netlist: Logic, level: list[int], cut: int) -> int:
    return sum(netlist.bits(net) for net in _crossing(netlist, level, cut))


def _crossing(netlist: Logic, level: list[int], cut: int) -> list[int]:
    cells: Sequence[Cell] = netlist.cells
    nets = {
        net
        for i, cell in enumerate(cells)
        if level[netlist.inputs + i] > cut
        for net in cell.reads
        if level[net] <= cut
    }
    return sorted(nets | {net for net in netlist.outputs if net >= 0 and level[net] <= cut})


def split(netlist: Logic, after: Ints) -> tuple[Logic, ...]:
    """The pieces between cuts after the levels ``after`` (rising); put in series they are ``netlist``."""
    level = levels(netlist)
    ends = [*after, netlist.depth()]
    pieces: list[Logic] = []
    entering = list(range(netlist.inputs))
    for low, high in zip([0, *after], ends, strict=True):
        last = high == ends[-1]
        leaving = list(netlist.outputs) if last else _crossing(netlist, level, high)
        kept = [i for i in range(len(netlist.cells)) if low < level[netlist.inputs + i] <= high]
        pieces.append(netlist.piece(entering, kept, leaving))
        entering = leaving
    return tuple(pieces)
