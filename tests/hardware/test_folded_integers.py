"""The folded engine of integer weights, levels and transposed convolutions, on lanes of either kind, clock for clock.

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
from dwn_hw.hardware import cost
from dwn_hw.hardware.families import FAMILIES
from dwn_hw.hardware.folded import make_folded
from dwn_hw.hardware.folded.lane_kinds import IntegerLanes, ShiftLanes
from dwn_hw.hardware.folded.transposed import phases


def check(network: ir.Network, lanes: int, bits: int, seed: int) -> None:
    compare(engine_of(network, lanes, bits), nets.codes_of(network, seed, 2), idle=0.2, stall=0.4, seed=seed)


LANES = {"lanes": st.integers(1, 4), "bits": st.sampled_from([0, 2, 3, 5, 8]), "seed": st.integers(0, 99)}


@settings(max_examples=6)
@given(network=ints.images(), **LANES)
def test_the_engine_equals_evaluate_for_integer_weights_levels_and_transposed_convolutions(network, lanes, bits, seed):
    check(network, lanes, bits, seed)


@pytest.mark.sweeps
@settings(max_examples=120)
@given(network=ints.images(), **LANES)
def test_the_engine_equals_evaluate_on_many_networks(network, lanes, bits, seed):
    check(network, lanes, bits, seed)


@pytest.mark.sweeps
@settings(max_examples=60)
@given(network=ints.images(("transposed", "levels", "transposed")), **LANES)
def test_transposed_convolutions_of_any_stride_padding_dilation_and_group(network, lanes, bits, seed):
    check(network, lanes, bits, seed)


def levels_of(count: int, per_channel: bool) -> ir.Network:
    """Every number of 6 bits times 1 and −1, of which ``count`` thresholds make levels."""
    rng = np.random.default_rng(count)
    rows = 2 if per_channel else 1
    thresholds = tuple(tuple(sorted(rng.integers(-20, 21, count).tolist())) for _ in range(rows))
    values = tuple(tuple(rng.integers(-9, 10, count + 1).tolist()) for _ in range(rows))
    layer = ir.Dense((1, -3), (2, 5), 0)
    return ir.Network(
        ir.Input((1,), (ir.Format(6, signed=True),)), (layer, ir.Relu(), ir.MultiThreshold(thresholds, values))
    )


@pytest.mark.parametrize(
    ("count", "per_channel"), [(5, True), *swept((5, False), *((n, True) for n in (0, 1, 2, 3, 4, 7, 8)))]
)
def test_every_sum_finds_its_level(count, per_channel):
    network = levels_of(count, per_channel)
    compare(make_folded(network, lanes=2), np.arange(-32, 32).reshape(64, 1))


def test_levels_that_follow_no_sum_take_a_step_of_their_own_and_nodes_behind_levels_none():
    level = ir.MultiThreshold(((2, 5), (1, 6)), ((0, 4, -6), (9, 1, 3)))
    network = ir.Network(ir.Input((2, 3), (ir.Format(3),)), (level, ir.Relu(), ir.Quantize(1, "half_up", 0, 3), level))
    design = make_folded(network, lanes=1)
    assert [step.name for step in design.schedule.steps] == ["levels", "levels2"]
    compare(design, nets.codes_of(network, 0, 6))


def dense(inputs: int, operand: ir.Format, bits: int, *more: ir.Node) -> ir.Network:
    rng = np.random.default_rng(bits)
    layer = ir.Dense(ints.weights(rng, inputs * 8, bits), (0,) * 8, 0)
    return ir.Network(ir.Input((inputs,), (operand,)), (layer, *more))


def test_a_bit_takes_a_clock_and_eight_bits_eight():
    binary = ir.MultiThreshold(((0,),), ((0, 1),))
    one, eight = (make_folded(dense(64, ir.Format(n), 8, binary), lanes=4).schedule for n in (1, 8))
    assert one.clocks(one.steps[0]) == 2 * 64 + 4 + 11
    assert eight.clocks(eight.steps[0]) == 2 * 64 * 8 + 4 + 11
    assert one.weights == eight.weights
    assert (one.weights.bits, one.weights.rows) == (4 * 8, 2 * 64)


@pytest.mark.parametrize(
    ("operand", "weights", "kind"),
    [
        (1, 8, IntegerLanes(8)),
        (8, 8, IntegerLanes(8)),
        (8, 4, ShiftLanes(3)),
        (1, 4, IntegerLanes(4)),
        (8, 2, ShiftLanes(1)),
    ],
)
def test_lanes_are_of_the_kind_that_takes_less_clocks_times_memory(operand, weights, kind):
    assert make_folded(dense(16, ir.Format(operand), weights), lanes=4).schedule.kind == kind


def test_shifts_between_integers_are_integers_and_an_affine_node_widens_no_lane():
    rng = np.random.default_rng(0)
    source = ir.Input((6,), (ir.Format(4, signed=True),))
    nodes = (
        ir.Affine((1999, -77, 3, 1000, -1024, 0), (5,) * 6, 4, 0),
        ir.Quantize(4, "half_up", 0, 7),
        ir.Dense(ints.weights(rng, 24, 8), (1,) * 4, 0),
        ir.MultiThreshold(((0,),), ((0, 1),)),
        nets.dense(rng, 4, 3, 12),
        ir.ArgMax(),
    )
    design = engine_of(ir.Network(source, nodes), 3, 8)
    assert design.schedule.kind.code_bits == 8
    compare(design, nets.codes_of(design.network, 0, 6))


def test_what_is_a_bit_is_stored_as_one():
    binary = ir.MultiThreshold(((0,),), ((0, 1),))
    rng = np.random.default_rng(1)
    layers = [ir.Dense(ints.weights(rng, 64, 8), (0,) * 8, 0) for _ in range(3)]
    nodes = (layers[0], binary, layers[1], binary, layers[2])
    plan = make_folded(ir.Network(ir.Input((8,), (ir.Format(1),)), nodes), lanes=2).schedule
    assert [memory.bits for memory in plan.buffers] == [1, 1]


@given(st.integers(1, 9), st.integers(1, 5), st.integers(1, 4), st.integers(0, 3), st.integers(1, 3))
def test_phases_are_all_positions_once_and_meet_all_taps_once_and_no_others(extent, kernel, stride, padding, dilation):
    found = list(phases(extent, kernel, stride, padding, dilation))
    positions = [p.first + stride * q for p in found for q in range(p.count)]
    assert sorted(positions) == list(range(extent))
    for phase, row in ((each, row) for each in found for row in range(each.count)):
        position = phase.first + stride * row
        places = {k: position + padding - k * dilation for k in range(kernel)}
        wanted = {k: place // stride for k, place in places.items() if place % stride == 0}
        read = [phase.begin + row + i * phase.apart for i in range(len(phase.taps))]
        assert dict(zip(phase.taps, read, strict=True)) == wanted


def test_a_transposed_convolution_takes_a_tap_only_where_one_is():
    """A stride of 2 and a kernel of 3: of four outputs, one meets 4 taps, two meet 2, one meets 1."""
    layer = ir.ConvTranspose2d((1, 1, 3, 3), tuple(range(1, 10)), (0,), 0, (2, 2), (1, 1), (1, 1))
    plan = make_folded(ir.Network(ir.Input((1, 4, 4), (ir.Format(1),)), (layer,)), lanes=1).schedule
    taps = [(step.taps, step.positions) for step in plan.steps[:-1]]
    assert sorted(taps) == [(1, 16), (2, 16), (2, 16), (4, 16)]
    assert sorted(itertools.chain(*(step.places().reshape(-1) for step in plan.steps[:-1]))) == list(range(64))
    assert plan.steps[-1].name == "in_order"


def test_the_cost_has_a_line_for_each_memory_and_the_schedule_says_the_lanes():
    design = make_folded(levels_of(8, True), lanes=2)
    parts = cost.estimate(design, FAMILIES["ecp5"])
    assert {"weights", "biases", "levels1", "levels2", "levels3", "values"} <= set(parts)
    assert parts["weights"].ram == design.schedule.weights.size
    assert set(design.modules()) == set(parts)
    last = str(design.schedule).splitlines()[-1]
    assert last == "lanes with weights of 3 bits: a clock for each bit of what they multiply, 6 bits in all"
