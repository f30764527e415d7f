"""The estimate is a count of what is emitted."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest

from dwn_hw import ir
from dwn_hw.hardware import cost
from dwn_hw.hardware.design import ParallelDesign, Pipeline, Stage, make_design
from dwn_hw.hardware.families import FAMILIES
from dwn_hw.hardware.register_placement import Registers
from dwn_hw.rtl import make_parts, part_to_verilog, to_verilog


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


def with_registers(network: ir.Network, *after: bool) -> ParallelDesign:
    stages = tuple(Stage(name, i, Registers((), after[i])) for i, name in enumerate(network.names()))
    return dataclasses.replace(make_design(network), pipeline=Pipeline(stages))


def test_flip_flops_are_those_of_the_registers_after_each_part():
    network = network_of(0, 8, False, 5, 20)
    every = cost.estimate(make_design(network))
    assert [part.ff for part in every.values()] == [27, 40, 20, 5 * 3, 3]
    some = cost.estimate(with_registers(network, False, True, False, False, True))
    assert [part.ff for part in some.values()] == [0, 40, 0, 0, 3]
    assert cost.total(every).ff == 27 + 40 + 20 + 15 + 3


def test_flip_flops_inside_a_part_are_the_nets_that_cross_there():
    design = make_design(network_of(3, 16, True, 5, 64), latency=9)
    costs = cost.estimate(design)
    for stage in design.pipeline.stages:
        sections = [section for section in design.sections() if section.part == stage.name]
        assert costs[stage.name].ff == sum(len(s.netlist.outputs) for s in sections if s.register), stage.name
    assert any(stage.registers.inside for stage in design.pipeline.stages)


@pytest.mark.parametrize("latency", [None, 3, 9])
def test_flip_flops_of_scores_that_wait_for_the_class_are_counted(latency):
    design = make_design(network_of(4, 11, False, 7, 9), with_scores=True, latency=latency)
    core = to_verilog(design)["dwn_core.v"]
    held = re.findall(r"^ .*\breg +(?:\[(\d+):0\] ?)?\w+[,;]?$", core, re.M)
    assert sum(int(last or 0) + 1 for last in held) == cost.total(cost.estimate(design)).ff


def test_total_adds_areas_and_takes_the_deepest_part():
    costs = {"a": cost.Cost(3, 1, 2, bram=1.5), "b": cost.Cost(4, 0, 7, 2, 1, bram=0.5)}
    assert cost.total(costs) == cost.Cost(7, 1, 7, 2, 1, bram=2)
    assert str(cost.total(costs).bram) == "2"


def test_comparisons_that_are_constant_cost_nothing():
    node = ir.Thermometer(((0, 256, 0),))
    network = ir.Network(ir.Input((1,), (ir.Format(8),)), (node,))
    assert cost.estimate(with_registers(network, False)) == {"encoder": cost.Cost(0, 0, 0)}


@pytest.mark.parametrize(
    ("inputs", "family", "luts"),
    [
        *((6, "xc7", 1), (7, "xc7", 3), (8, "xc7", 7)),
        *((4, "ice40", 1), (6, "ice40", 7), (8, "ice40", 31)),
        *((5, "ecp5", 2), (6, "ecp5", 4), (6, "gowin", 4), (7, "gowin", 9)),
    ],
)
def test_a_lut_larger_than_the_family_s_is_cut_by_shannon(inputs, family, luts):
    hard = int.from_bytes(np.random.default_rng(0).bytes(32), "little") % (1 << (1 << inputs))
    network = ir.Network(ir.Input((8,), (ir.BIT,)), (ir.LutLayer((tuple(range(inputs)),), (hard,)),))
    estimate = cost.estimate(make_design(network), FAMILIES[family])["l0"]
    assert estimate.lut == luts
    assert estimate.depth == max(1, inputs - 6 + 1)
