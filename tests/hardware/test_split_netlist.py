"""A netlist cut at levels: put in series the pieces are the netlist, and what crosses a cut is counted right."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dwn_hw.hardware import split_netlist
from dwn_hw.hardware.lut_netlist import LutBuilder, LutNetlist
from dwn_hw.ir.truth_tables import FALSE, TRUE


@st.composite
def netlists(draw: st.DrawFn) -> LutNetlist:
    """Random netlists, wires from input to output and constant outputs included."""
    inputs = draw(st.integers(1, 5))
    builder = LutBuilder(inputs)
    nets = list(range(inputs))
    for i in range(draw(st.integers(0, 14))):
        chosen = draw(st.lists(st.sampled_from(nets), min_size=1, max_size=4, unique=True))
        nets.append(builder.lut(f"c{i}", chosen, draw(st.integers(0, (1 << (1 << len(chosen))) - 1))))
        nets = [net for net in nets if net >= 0]
    return builder.finish(draw(st.lists(st.sampled_from([*nets, FALSE, TRUE]), min_size=1, max_size=6)))


def in_series(pieces, bits):
    for piece in pieces:
        bits = piece.evaluate(bits)
    return bits


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_the_pieces_in_series_are_the_netlist(draw):
    netlist = draw.draw(netlists())
    inside = range(1, max(netlist.depth(), 1))
    after = tuple(sorted(draw.draw(st.sets(st.sampled_from(inside))))) if inside else ()
    pieces = split_netlist.split(netlist, after)
    assert len(pieces) == len(after) + 1
    bits = np.array([[address >> i & 1 for i in range(netlist.inputs)] for address in range(1 << netlist.inputs)])
    assert np.array_equal(in_series(pieces, bits), netlist.evaluate(bits))
    assert sum(len(piece.cells) for piece in pieces) == len(netlist.cells)
    assert sum(piece.depth() for piece in pieces) == netlist.depth()


@given(netlists())
@settings(deadline=None)
def test_a_cut_is_as_wide_as_what_the_piece_before_it_gives(netlist):
    for level, width in enumerate(split_netlist.widths(netlist), 1):
        assert len(split_netlist.split(netlist, (level,))[0].outputs) == width


def test_cells_stand_where_fewer_nets_cross():
    """Three pairs into one: as early as possible one net a pair crosses, as late as possible two."""
    builder = LutBuilder(6)
    pairs = [builder.lut(f"p{i}", [2 * i, 2 * i + 1], 0x8) for i in range(3)]
    late = builder.lut("late", [builder.lut("a", pairs[:2], 0x6), pairs[2]], 0x6)
    netlist = builder.finish([late])
    assert split_netlist.widths(netlist) == (3, 2)
