"""Networks that count in integers as parallel hardware: words = nodes, pieces = the whole, Verilog = network."""

from __future__ import annotations

import os
import subprocess

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import FORMATS, bias, codes_for, convolutions, dense, weights

from dwn_hw import ir, toolchain
from dwn_hw.errors import IRError, Mismatch, OptionError
from dwn_hw.exports import planning, writer
from dwn_hw.hardware import split_netlist
from dwn_hw.hardware.design import make_design
from dwn_hw.hardware.lowering.integers import lower_integers
from dwn_hw.ir import evaluate, passes
from dwn_hw.verification import compare_rtl


def values_of(node: ir.Node, edge: ir.Edge, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(what the words of a node give, what the node means)."""
    words = lower_integers(node, "part", edge, node.output(edge))
    wanted = evaluate.apply(node, codes, edge.formats[0].lsb)
    return words.evaluate(codes.reshape(len(codes), -1)), wanted.reshape(len(codes), -1)


@given(case=dense() | convolutions(), seed=st.integers(0, 99))
def test_the_words_of_a_shift_layer_give_its_sums(case, seed):
    node, port = case
    got, wanted = values_of(node, port.edge, codes_for(port, seed))
    assert (got == wanted).all()


@given(
    fmt=FORMATS,
    lsb=st.integers(-9, 3),
    rounding=st.sampled_from(("floor", "half_up", "half_even")),
    limits=st.tuples(st.integers(-40, 40), st.integers(-40, 40)).map(sorted),
    seed=st.integers(0, 99),
)
def test_the_words_of_the_nodes_between_layers_give_what_they_mean(fmt, lsb, rounding, limits, seed):
    port = ir.Input((2, 5, 4), (fmt,))
    nodes: list[ir.Node] = [
        ir.Quantize(lsb, rounding, *limits),
        ir.Relu(),
        ir.MaxPool2d((2, 3), (1, 2), (1, 1)),
        ir.Affine((5, -3), (7,), 2, -1),
        ir.Affine((4,), (-2, 8), 0, 0),
        ir.Reshape((40,)),
    ]
    for node in nodes:
        got, wanted = values_of(node, port.edge, codes_for(port, seed))
        assert (got == wanted).all()


@given(fmt=FORMATS, classes=st.integers(1, 7), seed=st.integers(0, 99))
def test_the_words_of_an_argmax_give_the_first_maximum(fmt, classes, seed):
    port = ir.Input((classes,), (fmt,))
    codes = codes_for(port, seed, 30)
    codes[::3] = codes[::3, :1]  # ties
    got, wanted = values_of(ir.ArgMax(), port.edge, codes)
    assert (got == wanted).all()


@given(case=dense() | convolutions(), seed=st.integers(0, 99))
def test_pieces_between_cuts_are_the_whole_in_a_row(case, seed):
    node, port = case
    words = lower_integers(node, "part", port.edge, node.output(port.edge))
    codes = codes_for(port, seed).reshape(6, -1)
    value = codes
    for piece in split_netlist.split(words, tuple(range(1, words.depth()))):
        value = piece.evaluate(value)
        assert piece.depth() <= 1
    assert (value == words.evaluate(codes)).all()


@given(
    fmt=FORMATS,
    lsb=st.integers(-9, 3),
    rounding=st.sampled_from(("floor", "half_up", "half_even")),
    seed=st.integers(0, 99),
)
def test_a_rectifier_goes_into_the_clamp_behind_it(fmt, lsb, rounding, seed):
    port = ir.Input((6,), (fmt,))
    network = ir.Network(port, (ir.Relu(), ir.Quantize(lsb, rounding, -9, 20)))
    merged = passes.optimize(network)
    assert len(merged.nodes) == 1
    codes = codes_for(port, seed)
    assert (evaluate.evaluate(merged, codes) == evaluate.evaluate(network, codes)).all()


@given(case=dense() | convolutions(), finer=st.integers(0, 5), seed=st.integers(0, 99))
def test_a_finer_grid_goes_into_the_layer_behind_it(case, finer, seed):
    node, port = case
    fmt = port.formats[0]
    quantize = ir.Quantize(fmt.lsb - finer, "floor", fmt.low << finer, fmt.high << finer)
    network = ir.Network(port, (quantize, node))
    dropped = passes.optimize(network)
    assert len(dropped.nodes) == 1
    codes = codes_for(port, seed)
    assert (evaluate.evaluate(dropped, codes) == evaluate.evaluate(network, codes)).all()
    before, after = (made.edges()[-1].formats[0] for made in (network, dropped))
    assert (after.lsb, after.bits <= before.bits) == (before.lsb, True)
    if fmt.high > 0:
        clamping = ir.Network(
            port, (ir.Quantize(fmt.lsb - finer, "floor", fmt.low << finer, (fmt.high << finer) - 1), node)
        )
        assert passes.optimize(clamping) == clamping


@st.composite
def classifiers(draw) -> ir.Network:
    """Image, convolution, clamp, pool, dense, argmax: of every kind one."""
    conv, port = draw(convolutions())
    edge = conv.output(port.edge)
    nodes: list[ir.Node] = [
        conv,
        ir.Relu(),
        ir.Quantize(edge.formats[0].lsb + draw(st.integers(0, 4)), "half_even", 0, 63),
    ]
    edge = nodes[-1].output(nodes[1].output(edge))
    if min(edge.shape[1:]) >= 2:
        nodes.append(ir.MaxPool2d((2, 2), (2, 2)))
        edge = nodes[-1].output(edge)
    outputs = draw(st.integers(2, 3))
    values, low = weights(draw, edge.size * outputs)
    nodes += [ir.Reshape((edge.size,)), ir.Dense(values, bias(draw, outputs), low), ir.ArgMax()]
    return ir.Network(port, tuple(nodes))


@settings(max_examples=4, deadline=None)
@given(
    network=classifiers(),
    latency=st.sampled_from((None, 0, 3)),
    shell=st.sampled_from(("stream", "none")),
    scores=st.booleans(),
)
def test_the_verilog_of_any_network_of_integers_equals_it_node_by_node(
    tmp_path_factory, network, latency, shell, scores
):
    design = make_design(network, latency=latency, shell=shell, with_scores=scores)
    folder = tmp_path_factory.mktemp("words") / "export"
    writer.write(planning.ExportPlan(design, 0, {}, None), folder)
    report = compare_rtl.verify(folder, simulator="icarus", random=40)
    assert report["equal"]
    assert report["nodes"] == len(network.nodes)


@settings(max_examples=4, deadline=None)
@given(network=classifiers())
def test_the_verilog_of_words_is_lint_clean(tmp_path_factory, network):
    folder = tmp_path_factory.mktemp("lint") / "export"
    writer.write(planning.ExportPlan(make_design(network), 0, {}, None), folder)
    sources = sorted(str(path) for path in (folder / "rtl").glob("*.v"))
    tool = toolchain.verilator()
    command = [tool.path, "--lint-only", "-Wall", "--top-module", "dwn_top", *sources]
    done = subprocess.run(command, env=os.environ | tool.env, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_fault_in_the_verilog_is_found_and_named(tmp_path):
    node = ir.Dense((1, -4, 2, 1), (3, -4), 0)
    network = ir.Network(ir.Input((2,), (ir.Format(4),)), (node, ir.ArgMax()))
    writer.write(planning.ExportPlan(make_design(network), 0, {}, None), tmp_path / "export")
    path = tmp_path / "export" / "rtl" / "dwn_dense.v"
    text = path.read_text()
    assert " - " in text
    path.write_text(text.replace(" - ", " + ", 1))
    with pytest.raises(Mismatch, match="dense"):
        compare_rtl.verify(tmp_path / "export", simulator="icarus", random=40)


def test_a_layer_too_large_for_parallel_hardware_is_refused_with_the_number():
    count = 300 * 50
    node = ir.Dense((1,) * count, (0,) * 50, 0)
    with pytest.raises(
        IRError, match=r"at most 2,000,000 pairs of weights that meet in a sum.*got 2,242,500, of 15,000"
    ):
        make_design(ir.Network(ir.Input((300,), (ir.Format(4),)), (node,)))


def test_a_latency_out_of_range_is_refused_with_the_range():
    node = ir.Dense((1, -4), (3, -4), 0)
    with pytest.raises(OptionError, match="to 3, a register"):
        make_design(ir.Network(ir.Input((1,), (ir.Format(4),)), (node, ir.ArgMax())), latency=9)
