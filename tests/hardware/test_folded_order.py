"""The engine's steps that compare numbers with each other: sorts, the mean, first maxima of rows, codebooks; clock for clock.

Amaranth's own simulator; tests/verification/test_compare_engine_integers.py has the Verilog.
"""

from __future__ import annotations

import itertools

import integer_networks as ints
import numpy as np
import pytest
import shift_networks as nets
from engine_simulation import compare, engine_of
from groups import swept
from hypothesis import given, settings
from hypothesis import strategies as st

from dwn_hw import ir
from dwn_hw.errors import OptionError
from dwn_hw.hardware.folded import make_folded

LANES = {"lanes": st.integers(1, 3), "bits": st.sampled_from([0, 2, 3, 8]), "seed": st.integers(0, 99)}


def check(network: ir.Network, lanes: int, bits: int, seed: int) -> None:
    compare(engine_of(network, lanes, bits), nets.codes_of(network, seed, 2), idle=0.2, stall=0.4, seed=seed)


@settings(max_examples=8)
@given(network=ints.ordered(), **LANES)
def test_the_engine_equals_evaluate_where_numbers_are_compared_with_each_other(network, lanes, bits, seed):
    check(network, lanes, bits, seed)


@pytest.mark.sweeps
@settings(max_examples=400)
@given(network=ints.ordered(), **LANES)
def test_the_engine_equals_evaluate_on_many_such_networks(network, lanes, bits, seed):
    check(network, lanes, bits, seed)


def network_of(shape, fmt, *nodes):
    return ir.Network(ir.Input(shape, (fmt,)), nodes)


@pytest.mark.parametrize(
    ("node", "clocks"),
    [
        (ir.Sort(keep=2, descending=True), 2 * 3),
        *swept((ir.Sort(), 3 * 3), (ir.Sort(descending=True), 3 * 3), (ir.CompareToMean(), 3 + 2 * 3)),
    ],
)
def test_all_codes_of_few_numbers_and_the_clocks_they_take(node, clocks):
    """Equal numbers, and a mean that is met exactly, among them."""
    network = network_of((3,), ir.Format(2, signed=True), node)
    design = make_folded(network, lanes=1)
    compare(design, np.array(list(itertools.product(range(-2, 2), repeat=3))))
    plan = design.schedule
    own = [step for step in plan.steps if step.name != "in_order"]
    assert sum(map(plan.clocks, own)) == clocks + len(own) * (1 + plan.flush)


def test_the_mean_is_added_up_anew_in_every_sample_and_for_every_mean():
    nodes = (ir.CompareToMean(), ir.Reshape((6,)), ir.Dense(tuple(range(36)), (0,) * 6, 0), ir.CompareToMean())
    network = network_of((2, 3), ir.Format(5, signed=True), *nodes)
    compare(make_folded(network, lanes=2), nets.codes_of(network, 1, 6))


def test_rows_and_columns_are_a_step_each_and_the_last_step_is_in_order():
    network = network_of((2, 3, 3), ir.Format(3), ir.Sort((2, 1), 2))
    steps = make_folded(network, lanes=1).schedule.steps
    assert [(step.name, step.size) for step in steps] == [("sort", 12), ("sort", 12), ("in_order", 24)]
    assert sorted(np.concatenate([step.places().reshape(-1) for step in steps[:2]]).tolist()) == list(range(24))


def test_axes_whose_rows_no_two_loops_reach_are_refused_by_name():
    network = network_of((2, 2, 2, 2), ir.Format(3), ir.Sort((1, 2)))
    with pytest.raises(OptionError, match=r"node 0 \(sort\): a sort of one axis, .* got Sort of axes \(1, 2\)"):
        make_folded(network, lanes=1)


def test_a_codebook_takes_a_lane_for_each_column():
    network = network_of((3,), ir.Format(2), ir.Codebook(((1, -2), (5, 0), (3, 3), (-4, 7))))
    design = make_folded(network, lanes=2)
    compare(design, np.array(list(itertools.product(range(4), repeat=3)))[::3])
    step = design.schedule.steps[0]
    assert (step.name, step.outputs, step.positions) == ("codebook", 2, 3)
