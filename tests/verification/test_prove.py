"""prove: an export's Verilog equals its network for all inputs, and each planted fault is refuted by an input that shows it.

Needs pyosys; Icarus for one counterexample that is run in a simulator.
"""

from __future__ import annotations

import dataclasses
import json
import re
import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from groups import swept

from dwn_hw import toolchain
from dwn_hw.cli import main
from dwn_hw.errors import ExportError, Mismatch, OptionError, ToolError, Undecided
from dwn_hw.exports import planning, writer
from dwn_hw.exports.options import Options
from dwn_hw.frontend import checkpoints
from dwn_hw.hardware.design import make_design
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
)
from dwn_hw.verification import compare_rtl, proof
from dwn_hw.verification.proof import sat

pytest.importorskip("pyosys")


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
    order = tuple(rng.permutation(size).tolist())
    return Network(Input((features,), (fmt,)), (*nodes, GroupSum(groups, order), ArgMax()))


def write(network, out, frozen=None, **options):
    writer.write(planning.ExportPlan(make_design(network, **options), 0, {}, None, frozen), out)
    return out


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"latency": 0, "shell": "none"},
        *swept(
            {"shell": "none", "target": "ice40"},
            {"latency": 0, "with_scores": True, "target": "ecp5"},
            {"latency": 1, "target": "gowin"},
        ),
        {"latency": 9, "with_scores": True, "share": False, "target": "xc7"},
    ],
    ids=str,
)
def test_shells_latencies_targets_and_scores_are_proven(tmp_path, options):
    frozen = random_network(3, luts=(20, 80), inputs=(1, 6))
    network = passes.optimize(frozen)
    out = write(network, tmp_path / "out", frozen, **options)
    report = proof.prove(out)
    assert report == json.loads((out / "prove" / "report.json").read_text())
    assert report["proven"]
    names = ["passes", "registers", *network.names(), "ports"]
    assert [c["name"] for c in report["claims"]] == names + ["handshake"] * (options.get("shell") != "none")
    assert all(claim["proven"] for claim in report["claims"])
    described = json.loads((out / "interface.json").read_text())
    assert f"{described['latency']} on every way" in report["claims"][1]["what"]
    assert report["digest"] == described["digest"]


def test_carry_chains_are_proven_as_the_familys_cells(tmp_path):
    network = random_network(4, luts=(80,), groups=2, inputs=(2, 4))
    out = write(network, tmp_path / "out", target="xc7")
    assert "CARRY4" in (out / "rtl" / "dwn_popcount.v").read_text()
    ways = {claim["name"]: claim["how"] for claim in proof.prove(out)["claims"]}
    assert ways["popcount"] == "identity of weights"


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_network_ending_in_each_node_is_proven(tmp_path, count):
    network = random_network(9, luts=(8,)).upto(count)
    assert proof.prove(write(network, tmp_path / "out"))["proven"]


def test_a_network_of_constants_copies_and_a_network_behind_sums_is_proven(tmp_path):
    source = Input((2,), (Format(3), Format(4, signed=True)))
    first = (Thermometer(((0, 3, 3, 8), (-8, 1))), LutLayer(((0,), (1, 2), (3, 4), (5,)), (2, 9, 14, 1)), GroupSum(2))
    network = Network(source, (*first, Thermometer(((1, 2), (1,))), GroupSum(3), ArgMax()))
    assert proof.prove(write(network, tmp_path / "out", shell="none"))["proven"]
    optimized = passes.optimize(network)
    assert optimized != network
    assert proof.prove(write(optimized, tmp_path / "optimized", network, latency=0))["proven"]


def replace_node(network, index, **changes):
    node = dataclasses.replace(network.nodes[index], **changes)
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


@pytest.fixture(scope="module")
def sensitive(tmp_path_factory):
    return write(SENSITIVE, tmp_path_factory.mktemp("prove") / "out", latency=None)


@pytest.fixture
def out(sensitive, tmp_path):
    """A copy of the export of SENSITIVE, to be broken."""
    return shutil.copytree(sensitive, tmp_path / "out")


def edit(path, old, new, count=1):
    text = path.read_text()
    assert re.search(old, text), text
    path.write_text(re.sub(old, new, text, count=count))


def refuted(out, network, **options):
    """(part, unit, expected, got) of the mismatch; its counterexample is one, and ``evaluate`` agrees with what is said."""
    with pytest.raises(Mismatch) as error:
        proof.prove(out, **options)
    message = str(error.value)
    part, *numbers = re.search(r": (\w+), unit (\d+): expected (-?\d+), got (-?\d+)\n  codes ", message).groups()
    unit, expected, got = map(int, numbers)
    with np.load(out / "prove" / "counterexample.npz") as file:
        codes = file["codes"]
    assert f"codes {', '.join(map(str, codes.reshape(-1).tolist()))} (found by " in message
    place = network.names().index(part) + 1
    assert evaluate.trace(network, codes)[place].reshape(-1)[unit] == expected != got
    assert not (out / "prove" / "report.json").exists()
    return part, unit, expected, got


def other(tmp_path, out, network, *parts):
    """The Verilog of some parts is that of another network."""
    write(network, tmp_path / "other")
    for name in parts:
        shutil.copy(tmp_path / "other" / "rtl" / f"dwn_{name}.v", out / "rtl")


def test_one_wrong_bit_of_a_table_is_refuted(tmp_path, out):
    table = SENSITIVE.nodes[1].tables[0]
    for address in range(8):
        other(tmp_path, out, replace_node(SENSITIVE, 1, tables=(table ^ 1 << address, 6, 8, 14)), "l0")
        assert refuted(out, SENSITIVE)[:2] == ("l0", 0)


def test_a_threshold_one_off_is_refuted(tmp_path, out):
    for threshold in (8, 10):
        other(tmp_path, out, replace_node(SENSITIVE, 0, thresholds=((threshold, 20), (4,), (15,), (30, 1))), "encoder")
        assert refuted(out, SENSITIVE)[:2] == ("encoder", 0)


def test_two_swapped_wires_are_refuted(tmp_path, out):
    other(tmp_path, out, replace_node(SENSITIVE, 1, wires=((2, 0, 3), (1, 4), (5, 0), (2, 5))), "l0")
    assert refuted(out, SENSITIVE)[:2] == ("l0", 0)


def test_a_wrong_cell_of_a_counter_is_refuted(out):
    edit(out / "rtl" / "dwn_popcount.v", r"\.LUT\(4'h6\)", ".LUT(4'h7)")
    assert refuted(out, SENSITIVE)[0] == "popcount"


def test_a_tie_that_the_second_wins_is_refuted(out):
    """At the address at which both scores are 1."""
    path = out / "rtl" / "dwn_argmax.v"
    (digits,) = re.findall(r"\.LUT\(16'h([0-9a-f]+)\)", path.read_text())
    edit(path, digits, f"{int(digits, 16) ^ 1 << 0b0101:04x}")
    assert refuted(out, SENSITIVE) == ("argmax", 0, 0, 1)


def test_a_wrong_line_of_the_lut_module_is_refuted(out):
    edit(out / "rtl" / "dwn_lut.v", r"LUT\[A\]", "LUT[~A]")
    assert refuted(out, SENSITIVE)[0] == "encoder"


def test_a_fault_that_no_vector_shows_is_found_by_sat_and_shown_in_a_simulator(tmp_path, monkeypatch):
    """One code of 2**48 shows it, and none of the vectors is that one."""
    rows = ((12345,), (54321,), (33333,))
    network = Network(
        Input((3,), (Format(16),)),
        (Thermometer(tuple((t, t + 1) for (t,) in rows)), LutLayer(((0, 1, 2, 3, 4, 5), (0,)), (0, 2)), GroupSum(2)),
    )
    # Exactly the three codes 12345, 54321, 33333: the lower threshold of each is reached, the upper one is not.
    faulty = replace_node(network, 1, tables=(1 << 0b010101, 2))
    out = write(network, tmp_path / "out")
    other(tmp_path, out, faulty, "l0")
    monkeypatch.setattr("dwn_hw.verification.proof.claims._vectors", lambda network: np.zeros((1, 3), np.int64))
    assert refuted(out, network) == ("l0", 0, 0, 1)
    with np.load(out / "prove" / "counterexample.npz") as file:
        assert file["codes"].tolist() == [[12345, 54321, 33333]]
    toolchain.require_programs("iverilog")
    monkeypatch.undo()
    samples = sample_files.load(out / "prove" / "counterexample.npz")
    with pytest.raises(Mismatch, match="l0, unit 0: expected 0, got 1"):
        compare_rtl.verify(out, simulator="icarus", random=0, samples=samples)


def test_a_fault_in_an_entry_that_no_code_reaches_is_none(tmp_path):
    """Bits 0 and 1 are 3 or more, 7 or more, of one code: the second without the first never occurs."""
    network = Network(Input((1,), (Format(4),)), (Thermometer(((3, 7),)), LutLayer(((0, 1),), (0b1010,)), GroupSum(1)))
    out = write(network, tmp_path / "out")
    other(tmp_path, out, replace_node(network, 1, tables=(0b1110,)), "l0")
    report = proof.prove(out)
    claim = next(c for c in report["claims"] if c["name"] == "l0")
    assert claim["what"] == "1 bits equal for all codes"
    assert "never occur" in claim["how"]


def test_a_pass_that_changes_the_meaning_is_refuted(tmp_path):
    frozen = SENSITIVE
    network = passes.optimize(replace_node(frozen, 1, tables=(0xB5 ^ 1, 6, 8, 14)))
    out = write(network, tmp_path / "out", frozen)
    assert refuted(out, frozen)[0] == "popcount"


#: What breaks the pipeline, and what is said.
STRUCTURAL = {
    "a register is passed by": ("core", r"\.x\(l0_q\)", ".x(l0_y)", "registers before popcount"),
    "one bit passes a register by": (
        "core",
        r"\.x\(l0_q\)",
        ".x({l0_q[3:1], l0_y[0]})",
        r"core\.popcount\S+ is of values 1 and 2 registers old",
    ),
    "a register more": (
        "core",
        r"always @\(posedge clk\)\s+if \(enable\) y <= argmax_y;",
        "reg z; always @(posedge clk) if (enable) begin z <= argmax_y; y <= z; end",
        "5 registers before the result port",
    ),
    "the falling edge": (
        "core",
        "posedge",
        "negedge",
        r"a \$_DFF_N_, not logic or a flip-flop on the rising edge of clk",
    ),
    "another clock": ("core", r"posedge clk", "posedge enable", r"a \$_DFF_P_ on another clock"),
    "a loop": (
        "l0",
        r"\.A\(x\[5\]\)|\.A\(\{ x\[2\], x\[5\]|x\[5\]",
        "y[3]",
        "a loop without a register|depends on itself",
    ),
    "nothing drives a wire": (
        "core",
        r"dwn_popcount popcount \(.*?\);",
        "",
        "no part popcount with a port y of 4 bits",
    ),
    "an undriven bit": ("core", r"\.x\(l0_q\)", ".x({l0_q[3:1], nothing})", "nothing drives"),
    "two drivers": ("core", r"(dwn_l0) l0 (\(.*?\);)", r"\1 l0 \2 \1 again \2", "two drivers"),
    "a register that feeds itself": (
        "core",
        r"if \(enable\) l0_q <= l0_y;",
        "if (enable) l0_q <= l0_y ^ l0_q;",
        "depends on itself",
    ),
    "a stall that is ignored": ("core", r"if \(enable\) l0_q <=", "l0_q <=", r"as a stream must: see core.l0_q"),
    "a reset to valid": (
        "top",
        r"working <= 4'h0",
        "working <= 4'h1",
        "as a stream must: see core.*|as a stream must: see working",
    ),
    "no reset": ("top", r"if \(rst\) working <= 4'h0;\s+else ", "", "as a stream must: see working"),
    "ready without room": ("top", r"y_ready \| vacant", "1'b1", "as a stream must: see (x_ready|working|core)"),
    "ready only when taken": (
        "top",
        r"assign x_ready = y_ready \| vacant",
        "assign x_ready = y_ready",
        "must: see x_ready",
    ),
    "valid a clock early": (
        "top",
        r"assign y_valid = working\[3\]",
        "assign y_valid = working[2]",
        "of 4 clocks before",
    ),
    "valid that is never": ("top", r"assign y_valid = working\[3\]", "assign y_valid = 1'b0", "of 4 clocks before"),
    "a payload that waits for ready": ("top", r"\.y\(y_payload\)", ".y(yy)", "as a stream must: see y_payload"),
}


@pytest.mark.parametrize("fault", STRUCTURAL)
def test_a_broken_pipeline_or_handshake_is_refuted_by_name(out, fault):
    part, old, new, says = STRUCTURAL[fault]
    edit(out / "rtl" / f"dwn_{part}.v", old, new, count=0)
    if fault == "a payload that waits for ready":
        edit(
            out / "rtl" / "dwn_top.v",
            r"reg \[3:0\] working;",
            r"reg [3:0] working; wire yy; assign y_payload = yy & y_ready;",
        )
    with pytest.raises(Mismatch, match=says):
        proof.prove(out)


def test_a_result_port_that_carries_something_else_is_refuted(tmp_path):
    out = write(SENSITIVE, tmp_path / "out", with_scores=True)
    edit(
        out / "rtl" / "dwn_top.v",
        r"assign y_payload = \{ core_scores, core_y \}",
        "assign y_payload = { core_scores, ~core_y }",
    )
    with pytest.raises(Mismatch, match="y_payload does not carry argmax and popcount"):
        proof.prove(out)


def test_verilog_that_cannot_be_read_is_a_tool_error(out):
    (out / "rtl" / "dwn_l0.v").write_text("module dwn_l0(; endmodule\n")
    with pytest.raises(ToolError, match=r"yosys: failed[\s\S]*dwn_l0.v"):
        proof.prove(out)


def test_what_is_not_found_out_in_time_is_named_and_not_claimed(out, monkeypatch):
    monkeypatch.setattr(sat, "_abc", lambda script, place, timeout: None)
    with pytest.raises(
        Undecided, match=r"^not proven: encoder: .*: SAT, undecided in time\n[\s\S]*Try a longer --timeout\.$"
    ):
        proof.prove(out)
    report = json.loads((out / "prove" / "report.json").read_text())
    assert report["proven"] is False
    assert {c["name"] for c in report["claims"] if not c["proven"]} >= {"encoder"}
    assert {c["name"] for c in report["claims"] if c["proven"]} >= {"registers", "l0", "ports"}


def test_the_command_says_each_claim_and_ends_with_0_or_1(out):
    result = CliRunner().invoke(main.main, ["prove", str(out)])
    assert result.exit_code == 0
    assert re.search(r"^PROVEN     for all inputs: 7 claims$", result.stderr, re.M)
    for name in ("registers", "encoder", "l0", "popcount", "argmax", "ports", "handshake"):
        assert re.search(rf"^{name} ", result.stderr, re.M), name
    assert "trusted    " in result.stderr
    document = json.loads(CliRunner().invoke(main.main, ["prove", str(out), "--json", "--quiet"]).stdout)
    assert document["proven"] is True
    edit(out / "rtl" / "dwn_l0.v", r"\.LUT\(4'h8\)", ".LUT(4'h9)")
    result = CliRunner().invoke(main.main, ["prove", str(out), "--json"])
    assert result.exit_code == 1
    assert json.loads(result.stdout)["error"]["kind"] == "Mismatch"
    again = re.search(r"in a simulator: dwn-hw (verify .*)$", result.stderr, re.M)[1].split()
    assert again == ["verify", str(out), "--vectors", "0", "--data", str(out / "prove" / "counterexample.npz")]


def test_a_directory_that_is_no_export_is_refused(tmp_path):
    with pytest.raises(ExportError):
        proof.prove(tmp_path)
    assert CliRunner().invoke(main.main, ["prove", str(tmp_path), "--timeout", "0"]).exit_code == 2


def test_without_its_tools_prove_says_what_brings_them(out, monkeypatch):
    monkeypatch.setattr(toolchain.tools.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ToolError, match=r"pyosys is missing\. Install it: pip install 'dwn-hw\[prove\]'"):
        proof.prove(out)


@pytest.mark.parametrize("options", [{"target": "xc7", "latency": 11, "scores": True}, {"optimize": False}], ids=str)
def test_the_real_jsc_checkpoint_is_proven(jsc, tmp_path, options):
    (path,) = jsc.glob("*.pt")
    writer.export(checkpoints.load(path), tmp_path / "out", Options(**options))
    assert (tmp_path / "out" / "frozen.safetensors").exists() == options.get("optimize", True)
    report = proof.prove(tmp_path / "out", timeout=60)
    assert report["proven"]
    assert [c["name"] for c in report["claims"]][-7:-2] == ["encoder", "l0", "l1", "popcount", "argmax"]
    network = serialize.load(tmp_path / "out" / "network.safetensors")
    sums = sum(edge.bits for edge in network.edges()[1:])
    assert sum(int(re.match(r"(\d+) bits equal for all values", c["what"])[1]) for c in report["claims"][-7:-2]) == sums


def test_a_streamed_encoder_is_refused_with_what_does_check_it(tmp_path):
    write(random_network(1), tmp_path / "out", encoder="streamed")
    with pytest.raises(
        OptionError, match=r"an export with a parallel encoder; got a streamed one\. Run `dwn-hw verify`"
    ):
        proof.prove(tmp_path / "out")
