"""The folded engine: its steps and its schedule mean the network, and its registers, clock for clock, do as scheduled.

Amaranth's own simulator; tests/verification/test_compare_engine.py has the Verilog.
"""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
import shift_networks as nets
from engine_simulation import compare
from hypothesis import given, settings
from hypothesis import strategies as st

from dwn_hw import ir
from dwn_hw.errors import OptionError
from dwn_hw.hardware.folded import EngineSchedule, make_folded
from dwn_hw.hardware.folded.lane_kinds import signed_digits
from dwn_hw.hardware.folded.narrow_before_pooling import narrow_before_pooling
from dwn_hw.hardware.folded.pointwise import Pointwise
from dwn_hw.ir import evaluate


@settings(max_examples=10)
@given(network=nets.images(), lanes=st.integers(1, 4), seed=st.integers(0, 99))
def test_the_engine_equals_evaluate_for_any_shape_stride_padding_group_and_shift(network, lanes, seed):
    network = narrow_before_pooling(network)
    widest = max(step.outputs for step in make_folded(network, lanes=1).schedule.steps)
    design = make_folded(network, lanes=min(lanes, widest), with_scores=isinstance(network.nodes[-1], ir.ArgMax))
    compare(design, nets.codes_of(network, seed, 2), idle=0.2, stall=0.4, seed=seed)


@pytest.mark.parametrize("lanes", [1, 3, 7])
def test_a_dense_network_takes_as_many_clocks_on_few_lanes_and_on_many_as_scheduled(lanes):
    network = nets.mlp(1, 6, 7, 4)
    compare(make_folded(network, lanes=lanes), nets.codes_of(network, 0, 4))


def test_windows_shorter_than_the_sums_before_them_wait_exactly_until_those_have_left():
    """One tap and four sums a window: the drain is the bottleneck."""
    rng = np.random.default_rng(3)
    weights, low = nets.shift_weights(rng, 4)
    node = ir.Conv2d((4, 1, 1, 1), weights, nets.biases(rng, 4), low)
    network = ir.Network(ir.Input((1, 3, 3), (ir.Format(5, True),)), (node,))
    design = make_folded(network, lanes=4)
    assert design.schedule.clocks(design.schedule.steps[0]) == 8 * 4 + 1 + 4 + 10
    compare(design, nets.codes_of(network, 0, 3))


def test_zero_weights_and_extreme_activations():
    inputs = 9
    for sign in (-1, 0, 1):
        node = ir.Dense((sign, sign << 14) * inputs, (-(2**12), 2**12), 0)
        network = ir.Network(ir.Input((inputs,), (ir.Format(8, True),)), (node,))
        compare(make_folded(network, lanes=2), nets.codes_of(network, 0, 3))


@pytest.mark.parametrize("chain", range(40))
def test_nodes_after_a_sum_compose_exactly_or_not_at_all(chain):
    rng = np.random.default_rng(chain)
    lsb, post, nodes = 0, Pointwise(), []
    for _ in range(rng.integers(1, 5)):
        node = ir.Relu() if rng.integers(0, 3) == 0 else nets.narrow(rng, lsb)
        then = post.then(node, lsb)
        if then is None:
            break
        post, lsb = then, node.lsb if isinstance(node, ir.Quantize) else lsb
        nodes.append(node)
    assert nodes, "the first node always composes"
    numbers = np.concatenate([np.arange(-300, 300), rng.integers(-(2**20), 2**20, 200)])
    values, grid = numbers, 0
    for node in nodes:
        values = evaluate.apply(node, values, grid)
        grid = node.lsb if isinstance(node, ir.Quantize) else grid
    assert [post.apply(int(x)) for x in numbers] == values.tolist()


def test_only_a_second_rounding_to_even_and_a_change_of_direction_take_a_step_of_their_own():
    even, floor = ir.Quantize(2, "half_even", -99, 99), ir.Quantize(2, "floor", -99, 99)
    assert Pointwise(shift=1).then(even, 1) is None
    assert Pointwise(shift=-1).then(floor, -1) is None
    assert Pointwise(shift=1).then(floor, 1) == Pointwise(0, 2, False, -99, 99)


@settings(max_examples=50)
@given(network=nets.images(), seed=st.integers(0, 99))
def test_narrowing_before_pooling_changes_no_result(network, seed):
    codes = nets.codes_of(network, seed, 8)
    moved = narrow_before_pooling(network)
    assert evaluate.evaluate(moved, codes).tolist() == evaluate.evaluate(network, codes).tolist()
    assert narrow_before_pooling(moved) == moved


def test_what_is_narrowed_is_stored_narrow():
    nodes = (ir.MaxPool2d((2, 2), (2, 2)), ir.Relu(), ir.Reshape((4,)), ir.Quantize(2, "floor", 0, 3))
    moved = narrow_before_pooling(ir.Network(ir.Input((1, 4, 4), (ir.Format(12, True),)), nodes))
    assert [type(node).__name__ for node in moved.nodes] == ["Relu", "Quantize", "MaxPool2d", "Reshape"]


@given(st.integers(-(2**40), 2**40))
def test_signed_digits_are_powers_of_two_none_beside_another(number):
    digits = [digit for digit in signed_digits(number).tolist() if digit]
    assert sum(digits) == number
    places = [abs(digit).bit_length() - 1 for digit in digits]
    assert all(abs(digit) == 1 << place for digit, place in zip(digits, places, strict=True))
    assert all(b - a >= 2 for a, b in itertools.pairwise(places))


def test_the_weights_stand_in_their_memory_a_row_a_tap_a_code_a_lane():
    node = ir.Dense((1, -4, 0, 2, 8, -8), (5, 6, 7), 0)
    plan = make_folded(ir.Network(ir.Input((2,), (ir.Format(4),)), (node,)), lanes=2).schedule
    assert (plan.kind.shift_bits, plan.kind.code_bits, plan.weights.rows, plan.bias_rows) == (3, 4, 4, (5, 6, 7))
    rows = [int("".join(map(str, row[::-1])), 2) for row in plan.weight_rows()]
    plus, minus, zero = lambda s: s, lambda s: 8 + s, 7
    # Outputs 0 and 1 side by side for each input, then output 2 alone.
    wanted = [(plus(0), zero), (minus(2), plus(1)), (plus(3), zero), (minus(3), zero)]
    assert rows == [low | high << 4 for low, high in wanted]


def test_the_schedule_prints_as_a_table():
    text = str(make_folded(nets.mlp(), lanes=8).schedule).splitlines()
    assert text[0].split() == ["step", "windows", "taps", "sums", "clocks", "reads", "writes"]
    assert text[1].split() == ["dense", "4", "64", "8,", "8", f"{4 * 64 + 8 + 10}", "buffer0", "buffer1"]
    assert text[2].split() == ["dense2", "2", "32", "8,", "2", f"{2 * 32 + 2 + 10}", "buffer1", "result"]


def test_more_lanes_take_fewer_clocks_until_activations_are_the_limit():
    clocks = [make_folded(nets.mlp(), lanes=lanes).latency for lanes in (1, 2, 4, 8, 16, 32)]
    assert clocks == sorted(clocks, reverse=True)
    assert Fraction(clocks[0], clocks[-1]) > 15


LUTS = ir.Network(ir.Input((2,), (ir.Format(4),)), (ir.Thermometer(((3,), (5,))), ir.LutLayer(((0, 1),), (8,))))
BLIND = ir.Network(ir.Input((1, 4, 4), (ir.Format(4),)), (ir.MaxPool2d((2, 2), (1, 1), (1, 1), (5, 5)),))
WIDE = ir.Network(ir.Input((1,), (ir.Format(1),)), (ir.Dense((1, 1 << 32), (0, 0), 0),))
HUGE = ir.Network(ir.Input((1, 4096, 4096), (ir.Format(8),)), (ir.Relu(),))


@pytest.mark.parametrize(
    ("network", "options", "sentence"),
    [
        (nets.mlp(), {"lanes": 0}, "at least 1; got 0"),
        (
            nets.mlp(),
            {"lanes": 33},
            "at most 32: no layer has more outputs in a group, so more lanes would idle; got 33",
        ),
        (nets.mlp().upto(4), {"lanes": 1, "with_scores": True}, "only where the network ends in an argmax"),
        (LUTS, {"lanes": 1}, "a node that counts in integers"),
        (BLIND, {"lanes": 1}, r"windows that see the image; got window 0 along rows sees \[-1, 4\] of 0…3"),
        (WIDE, {"lanes": 1}, r"weights within 2\^31 of each other, the widest shift of a lane; got 2\^32"),
        (HUGE, {"lanes": 1}, "at most 67680 Kbit of memory, what the largest 7-series part has; got 131072"),
    ],
)
def test_what_no_engine_can_hold_is_refused_with_the_number_that_says_why(network, options, sentence):
    with pytest.raises(OptionError, match=sentence):
        make_folded(network, **options)


def test_a_schedule_is_the_same_each_time():
    one, other = (make_folded(nets.small_convolution(), lanes=3).schedule for _ in range(2))
    assert isinstance(one, EngineSchedule)
    assert str(one) == str(other)
    assert (one.weight_rows() == other.weight_rows()).all()
