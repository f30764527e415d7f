"""The estimate is a count of what is emitted, and registers go where the deepest stretch is shortest."""

from __future__ import annotations

import dataclasses
import re
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dwn_hw import cost, ir
from dwn_hw.design import Design, Pipeline, make_design, place_registers
from dwn_hw.errors import OptionError
from dwn_hw.rtl import make_parts, part_to_verilog


def network_of(seed: int, bits: int, signed: bool, groups: int, size: int) -> ir.Network:
    rng = np.random.default_rng(seed)
    formats = tuple(ir.Format(bits + i, signed) for i in range(3))
    rows = tuple(
        tuple(int(t) for t in (*rng.integers(fmt.low, fmt.high + 2, 6), fmt.low, fmt.high + 1, fmt.high))
        for fmt in formats
    )
    nodes: list[ir.Node] = [ir.Thermometer(rows)]
    width = sum(map(len, rows))
    for luts in (40, size):
        wires = tuple(tuple(int(w) for w in rng.integers(0, width, rng.integers(1, 7))) for _ in range(luts))
        tables = tuple(int.from_bytes(rng.bytes(8), "little") % (1 << (1 << len(row))) for row in wires)
        nodes.append(ir.LutLayer(wires, tables))
        width = luts
    order = tuple(rng.permutation(size).tolist())
    return ir.Network(ir.Input((3,), formats), (*nodes, ir.GroupSum(groups, order), ir.ArgMax()))


@pytest.mark.parametrize(
    ("seed", "bits", "signed", "groups", "size"),
    [(0, 1, False, 1, 23), (1, 5, True, 4, 10), (2, 8, False, 3, 21), (3, 16, True, 5, 64), (4, 11, False, 7, 9)],
)
def test_the_estimate_is_the_number_of_luts_in_the_verilog(seed, bits, signed, groups, size):
    design = make_design(network_of(seed, bits, signed, groups, size))
    costs = cost.estimate(design)
    for part in make_parts(design):
        text = part_to_verilog(part)[f"dwn_{part.name}.v"]
        instances = re.findall(r"^ +dwn_lut\b.*?\) (\S+) \(", text, flags=re.MULTILINE)
        assert costs[part.name].lut == len(instances), part.name


def with_registers(network: ir.Network, *after: bool) -> Design:
    return dataclasses.replace(make_design(network), pipeline=Pipeline(after))


def test_flip_flops_are_those_of_the_registers_after_each_part():
    network = network_of(0, 8, False, 5, 20)
    every = cost.estimate(make_design(network))
    assert [part.ff for part in every.values()] == [27, 40, 20, 5 * 3, 3]
    some = cost.estimate(with_registers(network, False, True, False, False, True))
    assert [part.ff for part in some.values()] == [0, 40, 0, 0, 3]
    assert cost.total(every).ff == 27 + 40 + 20 + 15 + 3


def test_total_adds_areas_and_takes_the_deepest_part():
    costs = {"a": cost.Cost(3, 1, 2), "b": cost.Cost(4, 0, 7)}
    assert cost.total(costs) == cost.Cost(7, 1, 7)


def test_comparisons_that_are_constant_cost_nothing():
    node = ir.Thermometer(((0, 256, 0),))
    network = ir.Network(ir.Input((1,), (ir.Format(8),)), (node,))
    assert cost.estimate(with_registers(network, False)) == {"encoder": cost.Cost(0, 0, 0)}


@pytest.mark.parametrize(("inputs", "k", "luts"), [(6, 6, 1), (7, 6, 3), (8, 6, 7), (4, 4, 1), (6, 4, 7), (8, 4, 31)])
def test_a_lut_larger_than_the_target_s_is_cut_by_shannon(inputs, k, luts):
    hard = int.from_bytes(np.random.default_rng(0).bytes(32), "little") % (1 << (1 << inputs))
    network = ir.Network(ir.Input((8,), (ir.BIT,)), (ir.LutLayer((tuple(range(inputs)),), (hard,)),))
    estimate = cost.estimate(make_design(network), k)["l0"]
    assert estimate.lut == luts
    assert estimate.depth == max(1, inputs - 6 + 1)


# ---- where registers go --------------------------------------------------------------------------------------------


def deepest(depths: tuple[int, ...], after: tuple[bool, ...]) -> int:
    worst = run = 0
    for depth, register in zip(depths, after, strict=True):
        run += depth
        worst, run = max(worst, run), 0 if register else run
    return worst


@given(st.lists(st.integers(0, 9), min_size=1, max_size=8), st.data())
def test_every_latency_is_met_with_the_best_placement_there_is(depths, draw):
    latency = draw.draw(st.integers(0, len(depths)))
    after = place_registers(tuple(depths), latency)
    assert sum(after) == latency
    if latency:
        assert after[-1]
        places = combinations(range(len(depths) - 1), latency - 1)
        best = min(
            deepest(tuple(depths), tuple(i in chosen or i == len(depths) - 1 for i in range(len(depths))))
            for chosen in places
        )
        assert deepest(tuple(depths), after) == best


def chain(nodes: int) -> ir.Network:
    luts = tuple(ir.LutLayer(((0,),), (1,)) for _ in range(nodes))
    return ir.Network(ir.Input((1,), (ir.BIT,)), luts)


def test_no_latency_asked_is_a_register_after_every_node():
    assert make_design(chain(4)).pipeline == Pipeline((True,) * 4)


@pytest.mark.parametrize("latency", [-1, 4])
def test_a_latency_without_room_is_refused(latency):
    with pytest.raises(OptionError) as caught:
        make_design(chain(3), latency=latency)
    assert str(caught.value) == (
        f"--latency: 0 (combinational) to 3, a register after each of l0, l1, l2; got {latency}. "
        "Choose a latency in that range."
    )


def test_everything_that_cannot_be_had_is_said_at_once():
    with pytest.raises(OptionError) as caught:
        make_design(chain(1), latency=7, shell="axis", target="asic")
    assert [problem.thing for problem in caught.value.problems] == ["--shell", "--target", "--latency"]
