"""The netlist of LUT cells: its checks, its meaning, and what the builder folds."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dwn_hw.errors import IRError
from dwn_hw.hardware.lut_netlist import Lut, LutBuilder, LutNetlist
from dwn_hw.ir.truth_tables import FALSE, TRUE, cofactors, compose, idle_input, simplify


def all_inputs(count):
    return np.array(list(itertools.product((0, 1), repeat=count))).reshape(-1, count)[:, ::-1]


def test_a_netlist_prints_itself_one_cell_a_line():
    netlist = LutNetlist(2, (Lut("both", (0, 1), 0x8), Lut("not_both", (2,), 0x1)), (3, FALSE))
    assert repr(netlist).splitlines() == [
        "2 inputs, 2 cells, 2 outputs",
        "2: both (0, 1) 0x8",
        "3: not_both (2,) 0x1",
        "out (3, -1)",
    ]
    assert netlist.depth() == 2
    assert netlist.read() == {0, 1}


def test_slot_0_is_the_address_lsb():
    netlist = LutNetlist(3, (Lut("mux", (0, 1, 2), 0b11001010),), (3, TRUE))
    wanted = [[(b if c else a), 1] for a, b, c in all_inputs(3).tolist()]
    assert netlist.evaluate(all_inputs(3)).tolist() == wanted


@pytest.mark.parametrize(
    ("cells", "outputs"),
    [
        ((Lut("a", (2,), 1),), (0,)),  # reads itself
        ((Lut("a", (), 1),), (0,)),
        ((Lut("a", (0,), 4),), (0,)),
        ((Lut("a", (FALSE,), 1),), (0,)),
        ((), (2,)),
        ((), (-3,)),
    ],
)
def test_what_is_no_netlist_is_refused(cells, outputs):
    with pytest.raises(IRError, match=r"cell a: 1 to 8 nets in 0…1|netlist: outputs are nets"):
        LutNetlist(2, cells, outputs)


@given(st.data())
def test_simplifying_keeps_the_function_and_leaves_only_inputs_that_matter(draw):
    nets = tuple(draw.draw(st.lists(st.sampled_from([FALSE, TRUE, 0, 1, 2, 3]), min_size=1, max_size=6)))
    table = draw.draw(st.integers(0, 2 ** (2 ** len(nets)) - 1))
    kept, reduced = simplify(nets, table)
    for row in all_inputs(4).tolist():
        value = {FALSE: 0, TRUE: 1, **dict(enumerate(row))}
        full = table >> sum(value[n] << i for i, n in enumerate(nets)) & 1
        assert full == reduced >> sum(value[n] << i for i, n in enumerate(kept)) & 1
    for i in range(len(kept)):
        low, high = cofactors(reduced, len(kept), i)
        assert low != high


@given(st.integers(1, 5), st.data())
def test_an_input_is_idle_if_it_changes_nothing_between_addresses_that_occur(inputs, draw):
    table, occur = (draw.draw(st.integers(0, 2 ** (2**inputs) - 1)) for _ in range(2))
    idle = [
        index
        for index in range(inputs)
        if not any(
            occur >> a & 1 and occur >> b & 1 and (table >> a ^ table >> b) & 1
            for a, b in ((a, a | 1 << index) for a in range(2**inputs) if not a >> index & 1)
        )
    ]
    assert idle_input(table, inputs, occur) == min(idle, default=None)
    assert idle_input(table, inputs) == idle_input(table, inputs, 2 ** (2**inputs) - 1)


@given(st.data())
def test_composing_puts_one_function_into_another(draw):
    nets = tuple(draw.draw(st.lists(st.integers(0, 4), min_size=1, max_size=4)))
    inner = tuple(draw.draw(st.lists(st.integers(5, 7) | st.integers(0, 3), min_size=1, max_size=3)))
    table, inner_table = (draw.draw(st.integers(0, 2 ** (2 ** len(row)) - 1)) for row in (nets, inner))
    union, composed = compose(nets, table, 4, inner, inner_table)
    assert set(union) == set(nets) - {4} | set(inner)
    assert len(union) == len(set(union))
    for row in all_inputs(8).tolist():
        values = dict(enumerate(row))
        values[4] = inner_table >> sum(values[n] << i for i, n in enumerate(inner)) & 1
        wanted = table >> sum(values[n] << i for i, n in enumerate(nets)) & 1
        assert composed >> sum(values[n] << i for i, n in enumerate(union)) & 1 == wanted


def test_the_builder_reads_what_an_inverter_inverts():
    builder = LutBuilder(2)
    inverse = builder.lut("not", [0], 0b01)
    assert builder.lut("back", [inverse], 0b01) == 0
    nor = builder.lut("both_not", [inverse, 1], 0b0010)
    assert builder.finish([nor]) == LutNetlist(2, (Lut("both_not", (0, 1), 0b0001),), (2,))
    assert len(builder.finish([inverse, nor]).cells) == 2


def test_the_builder_folds_constants_wires_and_equal_cells():
    builder = LutBuilder(2)
    assert builder.lut("zero", [0, 1], 0) == FALSE
    assert builder.lut("one", [0, TRUE], 0b1111) == TRUE
    assert builder.lut("wire", [1], 0b10) == 1
    first = builder.lut("and", [0, 1], 0b1000)
    assert builder.lut("again", [1, 0], 0b1000) == first
    assert builder.lut("repeated", [0, 0, 1], 0b10000000) == first
    unneeded = builder.lut("xor", [0, 1], 0b0110)
    assert unneeded != first
    assert builder.finish([first, FALSE]) == LutNetlist(2, (Lut("and", (0, 1), 0b1000),), (2, FALSE))
