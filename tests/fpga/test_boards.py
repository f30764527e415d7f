"""Boards: every data file agrees with its platform, every mended platform makes a whole project, and what is wrong is said.

Needs amaranth-boards; nothing is placed or routed here.
"""

from __future__ import annotations

import dataclasses
import json
import re
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from dwn_hw import ir, toolchain
from dwn_hw.errors import ExportError, OptionError, ToolError, Unfit
from dwn_hw.exports import reader, verilog_checksums
from dwn_hw.fpga import boards, fitting, programming
from dwn_hw.fpga.boards import project
from dwn_hw.hardware.design import make_design
from dwn_hw.hardware.families import FAMILIES, TARGETS

pytest.importorskip("amaranth_boards")
from dwn_hw.cli import main
from dwn_hw.fpga import building
from dwn_hw.fpga.boards import platforms

ROOT = Path(__file__).resolve().parents[2]
ASKED_FOR = {
    *("icebreaker", "ice40-hx8k-b-evn", "ulx3s-25f", "ulx3s-85f", "orangecrab-25f", "icesugar-pro"),
    *("colorlight-5a-75b", "tang-nano-9k", "tang-primer-20k", "tang-nano-20k", "arty-a7-35", "cmod-a7-35", "de10-nano"),
}


@pytest.fixture(scope="module")
def exports(tmp_path_factory, small_export):
    folder = tmp_path_factory.mktemp("boards")
    return {target: small_export(folder / target, target) for target in TARGETS}


def test_every_board_that_was_asked_for_is_there():
    assert set(boards.names()) >= ASKED_FOR
    assert [board.key for board in boards.every()] == sorted(boards.names(), key=[b.key for b in boards.every()].index)


@pytest.mark.parametrize("key", boards.names())
def test_a_data_file_has_every_key_and_says_what_the_platform_says(key):
    said = tomllib.loads((ROOT / "boards" / f"{key}.toml").read_text())
    board = boards.read(key)
    assert set(said) == {field for field in boards.Board.__slots__ if field not in ("key", "programmers")} | {
        "programmer"
    }
    assert set(board.capacity) == set(boards.KINDS)
    assert all(isinstance(count, int) and count > 0 for count in board.capacity.values())
    assert board.flow in ("nextpnr", "vivado", "quartus")
    assert board.family in FAMILIES
    assert board.programmers
    assert all("{bitstream}" in " ".join(words) and words[0] in toolchain.REMEDIES for words in board.programmers)
    assert board.clocks_per_bit() >= boards.MIN_CLOCKS_PER_BIT
    platform = platforms.make(board)
    assert platform.default_clk_frequency == board.clock_mhz * 1e6
    uart = {line.name: line.ios[0] for line in platform.lookup("uart", 0).ios}
    assert (uart["rx"].dir, uart["tx"].dir) == ("i", "o")
    device = getattr(platform, "part", None) or platform.device
    assert device.lower() in board.device.lower() or board.device.lower() in device.lower()


@pytest.mark.parametrize("key", boards.names())
def test_the_pins_named_for_people_are_those_of_the_constraints(key, exports):
    """Which also shows that the project is whole: the scripts name no file that is not there."""
    board = boards.read(key)
    made = building.plan(exports[board.targets[0]], key).made
    text = "\n".join(content for name, content in made.files.items() if Path(name).suffix in CONSTRAINTS)
    for line in ("rx", "tx"):
        pin = re.search(rf"\b{line}\b[^;]*?\(([A-Z]+\d+)\)|pins .*?{line} (\w+)", board.uart)
        assert pin is not None, board.uart
        places = [entry for entry in text.splitlines() if f"uart_0__{line}__io" in entry]
        assert any(re.search(rf"\b(PIN_)?{pin[1] or pin[2]}\b", entry) for entry in places), (line, places)
    script = "\n".join(content for name, content in made.files.items() if Path(name).suffix in (".ys", ".tcl", ".qsf"))
    named = set(re.findall(r'[\w."]+\.(?:v|il|xdc|sdc)\b', script.replace('"', "")))
    assert named
    assert named <= set(made.files), named - set(made.files)
    assert "dwn_uart.v" in made.files
    assert f"build_{project.TOP}.sh" in made.files
    assert made.commands


#: Of the constraints that each tool reads.
CONSTRAINTS = (".pcf", ".lpf", ".cst", ".xdc", ".qsf")


@pytest.mark.parametrize(
    ("key", "frequency"),
    [
        ("icebreaker", "set_frequency clk12_0__io 12.0"),
        ("ulx3s-25f", 'FREQUENCY PORT "clk25_0__io" 25000000.0 HZ;'),
        ("arty-a7-35", "create_clock -name clk100_0__io -period 10.0"),
        ("de10-nano", 'create_clock -name "clk50_0__io" -period 20.0'),
    ],
)
def test_the_clock_is_constrained_where_the_tool_reads_it(key, frequency, exports):
    made = building.plan(exports[boards.read(key).targets[0]], key).made
    assert any(frequency in text for text in made.files.values())


@pytest.mark.parametrize(
    ("key", "chip"), [("tang-nano-9k", "GW1N-9C"), ("tang-nano-20k", "GW2A-18C"), ("tang-primer-20k", "GW2A-18C")]
)
def test_gowin_s_router_gets_device_database_constraints_and_clock(key, chip, exports):
    """himbaechel's options, which amaranth's class does not know; and every part without pads of its own."""
    made = building.plan(exports["gowin"], key).made
    _, route, pack = made.commands
    words = " ".join(route)
    assert route[0] == "nextpnr-himbaechel-gowin"
    assert f"--device {boards.read(key).device} --vopt family={chip} --vopt cst=dwn_board.cst --freq 27.0" in words
    assert pack[:3] == ("gowin_pack", "-d", chip)
    assert "synth_gowin -noiopads" in made.files["dwn_board.ys"]


def test_orangecrab_gets_a_uart_on_its_header_and_needs_no_tool_for_a_suffix(exports):
    made = building.plan(exports["ecp5"], "orangecrab-25f").made
    assert 'LOCATE COMP "uart_0__rx__io" SITE "N17";' in made.files["dwn_board.lpf"]
    used = [words[0] for words in made.commands if words[0] in toolchain.WHEELS]
    assert used == ["yosys", "nextpnr-ecp5", "ecppack"]


@pytest.mark.parametrize(
    ("typed", "near"),
    [("icebraker", "icebreaker"), ("ULX3S", "ulx3s-85f or ulx3s-25f"), ("tangnano9k", "tang-nano-9k")],
)
def test_an_unknown_board_is_refused_with_the_nearest_names(typed, near, exports):
    with pytest.raises(OptionError) as caught:
        building.build(exports["generic"], typed)
    (problem,) = caught.value.problems
    assert problem.got == repr(typed)
    assert set(near.split(" or ")) <= set(re.findall(r"[\w-]+", problem.remedy))
    with pytest.raises(OptionError, match="`dwn-hw boards` lists them"):
        boards.read("zzzzzz")


@pytest.mark.parametrize("key", boards.names())
def test_generic_exports_and_the_family_s_own_are_taken_and_others_refused_with_what_to_do(key, exports):
    board = boards.read(key)
    for target in TARGETS:
        if target in board.targets:
            boards.check_target(board, target)
            continue
        with pytest.raises(OptionError) as caught:
            building.build(exports[target], key)
        (problem,) = caught.value.problems
        assert problem.got == f"one for {target}"
        assert f"--target {board.targets[0]}" in problem.remedy


def test_an_export_without_streams_is_refused(tmp_path, small_export):
    with pytest.raises(OptionError, match=r"--shell: for a board an export with streams.*; got none"):
        building.build(small_export(tmp_path / "bare", shell="none"), "icebreaker")


@pytest.mark.parametrize(("baud", "clocks"), [(115_200, 104), (1_000_000, 12), (3_000_000, 4), (9600, 1250)])
def test_a_baud_rate_is_so_many_clocks(baud, clocks):
    assert boards.read("icebreaker").clocks_per_bit(baud) == clocks


@pytest.mark.parametrize("baud", [4_000_000, 12_000_001, 2_500_000, 45, 2])
def test_a_baud_rate_that_the_clock_cannot_give_is_refused(baud):
    with pytest.raises(OptionError, match=r"--baud: a rate from 46 to 3000000 that 12 MHz divides into within 2%"):
        boards.read("icebreaker").clocks_per_bit(baud)


def test_a_wheel_that_is_missing_is_said_with_the_pip_line_before_any_work(monkeypatch, exports):
    monkeypatch.setitem(toolchain.WHEELS, "icepack", ("yowasp_nextpnr_absent", "run_icepack"))
    said = []
    with pytest.raises(ToolError, match="yowasp-nextpnr-absent is missing"):
        building.build(exports["ice40"], "icebreaker", progress=said.append)
    assert said == ["preparing icebreaker"]
    for module, _ in toolchain.WHEELS.values():
        name = module.replace("_", "-")
        assert name == "yowasp-nextpnr-absent" or "pip install 'dwn-hw[fpga]'" in str(toolchain.missing(name))


def parts(**lut):
    return {name: {"lut": count, "ff": 10, "carry": 0, "bram": 0} for name, count in lut.items()}


def test_what_does_not_fit_says_what_it_needs_of_what_by_which_part_and_what_to_try(exports):
    exported = reader.read_export(exports["ice40"])
    needs = fitting.check(boards.read("icebreaker"), parts(encoder=2000, l0=3280), exported)
    assert needs == {"lut": 5280, "ff": 20, "bram": 0}
    with pytest.raises(Unfit) as caught:
        fitting.check(boards.read("icebreaker"), parts(l0=2400, encoder=2900, vote=1), exported)
    assert str(caught.value) == (
        "does not fit icebreaker: needs 5,301 of 5,280 LUTs: encoder 2,900, l0 2,400, vote 1; "
        "try --encoder streamed at the export or --board colorlight-5a-75b"
    )
    assert Unfit.exit_code == 1


def test_what_finds_no_place_says_so_with_its_parts_and_what_nextpnr_said(exports):
    exported = reader.read_export(exports["gowin"])
    error = fitting.crowded(boards.read("tang-nano-9k"), parts(l0=6000, vote=2000), exported, "Unable to find a place")
    assert str(error).startswith(
        "does not fit tang-nano-9k: 8,000 of 8,640 LUTs, and flip-flops that need more, find no place "
        "(Unable to find a place): l0 6,000, vote 2,000; try --encoder streamed at the export or --board "
    )


def test_what_cannot_help_is_not_advised(exports, small_export, tmp_path):
    """Streaming an encoder helps only where the rest fits; a family's own cells only where the export has none."""
    exported = reader.read_export(exports["ice40"])
    error = fitting.unfit(boards.read("icebreaker"), "why", {"encoder": 2900.0, "l0": 9000.0}, exported)
    assert "--encoder" not in str(error)
    assert "--target" not in str(error)
    portable = reader.read_export(small_export(tmp_path / "portable"))
    error = fitting.unfit(boards.read("icebreaker"), "why", {"encoder": 2900.0, "l0": 6000.0}, portable)
    assert "try --target ice40 at the export or --board" in str(error)


def test_a_part_that_alone_exceeds_a_board_is_said_before_any_synthesis(exports, monkeypatch):
    from dwn_hw.fpga import building, synthesis

    small = dataclasses.replace(boards.read("icebreaker"), capacity={"lut": 3, "ff": 1280, "bram": 16})
    read = boards.read
    monkeypatch.setattr(boards, "read", lambda key: small if key == "icebreaker" else read(key))
    monkeypatch.setattr(synthesis, "_map", lambda *_: pytest.fail("it was synthesised"))
    with pytest.raises(Unfit, match=r"does not fit icebreaker: by estimate \w+ alone needs \d+ of 3 LUTs: "):
        building.build(exports["ice40"], "icebreaker")


@pytest.mark.parametrize(("family", "luts"), [("ecp5", 0), ("ice40", 1), ("gowin", 4)])
def test_a_flip_flop_that_reads_no_lut_takes_one_where_luts_alone_feed_it(family, luts):
    wide = tuple((*range(i, 6), *range(i)) for i in range(3))
    tables = (0x6996966996696996 ^ 0x8000, 0x123456789ABCDEF1, 0xFEDCBA9876543217, 0b10)
    layer = ir.LutLayer((*wide, (7,)), tables)
    network = ir.Network(ir.Input((8,), (ir.Format(1),)), (layer, ir.GroupSum(1)))
    design = make_design(network, shell="none", target=family)
    assert fitting._passed(design, family) == luts  # a wire; on Gowin what comes out of wide multiplexers as well


def test_carries_take_the_place_of_luts_where_they_do(exports):
    exported = reader.read_export(exports["ecp5"])
    counts = {"encoder": {"lut": 100, "ff": 0, "carry": 30, "bram": 0}}
    assert fitting.check(boards.read("ulx3s-25f"), counts, exported)["lut"] == 160


def test_the_smallest_board_of_a_family_is_told_from_one_that_is_large_enough(tmp_path, small_export):
    """By estimate: 1,000 features of 4 bits are 4,000 flip-flops in the shell alone."""
    exported = reader.read_export(small_export(tmp_path / "wide", features=1000))
    rows = {row.board.key: row for row in fitting.survey(exported)}
    assert set(rows) == set(boards.names())
    assert not rows["icebreaker"].fits
    assert not rows["tang-nano-9k"].fits
    assert rows["ulx3s-25f"].fits
    assert rows["icebreaker"].needs["ff"] > 6_000


def test_the_commands_list_boards_for_people_and_machines(exports):
    from click.testing import CliRunner

    from dwn_hw.cli import main

    told = CliRunner().invoke(main.main, ["boards", "--json"])
    assert told.exit_code == 0
    assert {row["board"] for row in json.loads(told.stdout)["boards"]} == set(boards.names())
    told = CliRunner().invoke(main.main, ["boards", str(exports["ice40"]), "--json"])
    rows = {row["board"]: row for row in json.loads(told.stdout)["boards"]}
    assert rows["icebreaker"]["fits"] is True
    assert rows["icebreaker"]["built"] is None
    assert rows["icebreaker"]["needs"]["lut"] > 0
    told = CliRunner().invoke(main.main, ["build", str(exports["ice40"]), "--board", "icebraker"])
    assert told.exit_code == 2


def test_the_overview_says_for_which_family_an_export_would_have_to_be(tmp_path, small_export):
    said = CliRunner().invoke(main.main, ["boards", str(small_export(tmp_path / "out", "gowin"))])
    assert re.search(r"^tang-nano-9k .* yes *$", said.stderr, re.M)
    assert re.search(r"^icebreaker .* as ice40 *$", said.stderr, re.M)
    assert "as FAMILY: if exported again with that --target" in said.stderr


def test_programming_wants_a_build_of_this_network(tmp_path, small_export):
    out = small_export(tmp_path / "out", "ice40")
    with pytest.raises(ExportError, match="a build for icebreaker; got none"):
        programming.program(out, "icebreaker")
    place = out / "build" / "icebreaker"
    place.mkdir(parents=True)
    report = {"board": "icebreaker", "digest": "0" * 16, "bitstream": "dwn_board.bin", "bitstream_sha256": ""}
    report |= {"baud": 115200, "clocks_per_bit": 104}
    (place / "report.json").write_text(json.dumps(report))
    with pytest.raises(ExportError, match=r"a build of network [0-9a-f]{16}; got one of 0000000000000000"):
        programming.program(out, "icebreaker")
    report["digest"] = reader.read_export(out).interface.digest
    (place / "report.json").write_text(json.dumps(report))
    with pytest.raises(ExportError, match="the bitstream that was built; got nothing there"):
        programming.program(out, "icebreaker")


@pytest.mark.parametrize("edit", [{"baud": "x"}, {"board": None}, {"clocks_per_bit": None}, {"bitstream": 3}])
def test_an_edited_report_of_a_build_is_refused(tmp_path, small_export, edit):
    out = small_export(tmp_path / "out", "ice40")
    path = built(out).parent / "report.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | edit))
    with pytest.raises(ExportError, match=rf"the report of a build; got {next(iter(edit))} .*dwn-hw build"):
        programming.program(out, "icebreaker")


def built(out):
    """As if something had been built."""
    place = out / "build" / "icebreaker"
    place.mkdir(parents=True)
    (place / "dwn_board.bin").write_bytes(b"bits")
    report = {
        "board": "icebreaker",
        "baud": 115200,
        "clocks_per_bit": 104,
        "digest": reader.read_export(out).interface.digest,
        "bitstream": "dwn_board.bin",
        "bitstream_sha256": verilog_checksums.digest(place / "dwn_board.bin"),
    }
    (place / "report.json").write_text(json.dumps(report))
    return place / "dwn_board.bin"


def test_without_a_programmer_the_exact_commands_are_said(tmp_path, monkeypatch, small_export):
    out = small_export(tmp_path / "out", "ice40")
    bits = built(out)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError) as caught:
        programming.program(out, "icebreaker")
    first, *lines = str(caught.value).splitlines()
    assert first == "nothing that programs icebreaker is installed here. One of:"
    assert lines == [
        f"iceprog: apt-get install --no-install-recommends fpga-icestorm; then iceprog {bits}",
        f"openFPGALoader: apt-get install --no-install-recommends openfpgaloader; then openFPGALoader -b ice40_generic {bits}",
    ]


def test_the_first_programmer_that_is_there_is_run_and_its_failure_is_said(tmp_path, monkeypatch, small_export):
    out = small_export(tmp_path / "out", "ice40")
    bits = built(out)
    tool = tmp_path / "bin" / "openFPGALoader"
    tool.parent.mkdir()
    tool.write_text('#!/bin/sh\necho "$@"\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:/bin:/usr/bin")
    monkeypatch.setattr(programming.shutil, "which", lambda name: str(tool) if name == tool.name else None)
    report = programming.program(out, "icebreaker")
    assert report["command"] == ["openFPGALoader", "-b", "ice40_generic", str(bits)]
    assert report["said"] == f"-b ice40_generic {bits}"
    tool.write_text("#!/bin/sh\necho no cable >&2\nexit 1\n")
    with pytest.raises(ToolError, match=r"no cable\nIs the board plugged in"):
        programming.program(out, "icebreaker")
    bits.write_bytes(b"other")
    with pytest.raises(ExportError, match="the bitstream that was built; got another file"):
        programming.program(out, "icebreaker")
