"""Levels that are sorted travel as words: the same network, fewer LUTs."""

from __future__ import annotations

import numpy as np
import pytest

from dwn_hw import ir
from dwn_hw.exports import planning, reader, writer
from dwn_hw.hardware import cell_cost
from dwn_hw.hardware.design import make_design
from dwn_hw.hardware.families import FAMILIES
from dwn_hw.hardware.levels_as_words import levels_as_words
from dwn_hw.ir import evaluate, vectors
from dwn_hw.verification import compare_rtl


def network_of(shape, fmt, *nodes):
    return ir.Network(ir.Input(shape, (fmt,)), nodes)


#: Five numbers of 16 bits, of each of which four levels are left.
FIVE = network_of((5,), ir.Format(16, signed=True), ir.MultiThreshold(((-40, 0, 40),), ((0, 1, 2, 3),)), ir.Sort())


def luts(design):
    return [cell_cost.sites(FAMILIES[design.target], netlist) for netlist in design.netlists]


def test_five_numbers_of_four_levels_take_15_luts_between_their_comparisons_and_their_codes():
    words, codes = (make_design(FIVE, target="xc7", share=share) for share in (True, False))
    (_, ours), (_, plain) = luts(words), luts(codes)
    assert words.network.nodes[1].levels == (0, 1, 2, 3)
    assert sum("_l" in cell.name for cell in words.netlists[1].cells) == 15
    assert (ours, plain) == (15 + 5, 10 + 15 + 5)
    comparisons = [cell.kind for cell in words.netlists[0].cells]
    assert sorted(comparisons) == ["greater"] * 15 + ["join"] * 5


@pytest.mark.parametrize("seed", range(20))
def test_words_mean_the_same_for_any_levels_and_axes(seed):
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(2, 5, rng.integers(1, 3)).tolist())
    rows = shape[0] if seed % 2 else 1
    count = int(rng.integers(1, 6))
    thresholds = tuple(tuple(sorted(rng.integers(-9, 10, count).tolist())) for _ in range(rows))
    few = rng.integers(-50, 50, 5)
    values = tuple(tuple(sorted(rng.choice(few, count + 1).tolist())) for _ in range(rows))
    axes = tuple(rng.permutation(len(shape))[: rng.integers(1, len(shape) + 1)].tolist())
    sort = ir.Sort(axes, int(rng.integers(0, 3)), bool(rng.integers(0, 2)))
    fmt = ir.Format(int(rng.integers(2, 5)), signed=True)
    size = int(np.prod(shape))
    flat = [(), (ir.Reshape((size,)), ir.Reshape((1, size)))][seed % 3 == 0]
    sort = ir.Sort((1,), 1, seed % 2 == 0) if flat else sort
    network = network_of(shape, fmt, ir.MultiThreshold(thresholds, values, -1), *flat, sort)
    words = levels_as_words(network, FAMILIES["ecp5"])
    assert words.output == network.output
    assert words.nodes[-1].levels
    codes = vectors.make(network, random=200, seed=seed).codes
    assert np.array_equal(evaluate.evaluate(words, codes), evaluate.evaluate(network, codes))


@pytest.mark.parametrize(
    "nodes",
    [
        (ir.MultiThreshold(((0, 3),), ((1, 0, 2),)), ir.Sort()),
        (ir.MultiThreshold(((0, 3),), ((1, 1, 1),)), ir.Sort()),
        (ir.MultiThreshold((tuple(range(20)),), (tuple(range(21)),)), ir.Sort()),
        (ir.MultiThreshold(((0, 3),), ((0, 1, 2),)), ir.Relu(), ir.Sort()),
    ],
    ids=["that_do_not_rise", "all_one", "of_twenty", "with_a_node_between"],
)
def test_other_levels_are_left_as_they_are(nodes):
    network = network_of((4,), ir.Format(5, signed=True), *nodes)
    assert levels_as_words(network, FAMILIES["ecp5"]) == network


def test_numbers_of_few_bits_become_their_code_in_large_luts():
    network = network_of((5,), ir.Format(8, signed=True), *FIVE.nodes)
    assert levels_as_words(network, FAMILIES["xc7"]) == network
    assert levels_as_words(network, FAMILIES["ice40"]) != network


@pytest.mark.sweeps
@pytest.mark.parametrize(("target", "latency"), [("generic", None), ("xc7", 3), ("ice40", 3)])
def test_verilog_of_words_gives_what_the_network_gives_and_is_read_back(target, latency, tmp_path):
    design = make_design(FIVE, target=target, latency=latency)
    writer.write(planning.ExportPlan(design, 0, {}, None), tmp_path / "export")
    assert reader.read_export(tmp_path / "export").design.lowered() == design
    report = compare_rtl.verify(tmp_path / "export", simulator="icarus", random=100)
    assert report["equal"]
