"""What long work says: on a terminal, a real one of the system, and to whoever listens; of tools, what their logs say."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import sys
import termios

import pytest
from groups import swept

import dwn_hw
from dwn_hw import _progress
from dwn_hw._progress import terminal
from dwn_hw.fpga import building, routing, synthesis
from dwn_hw.verification import bench_builds, compare_rtl

#: A command that does nothing heavy: a tool that names its passes, a count, and a phase with a long name.
WORK = """
import os, sys, time
import click
from dwn_hw import toolchain
from dwn_hw._progress import ahead, begin, within
from dwn_hw.cli.screen import command
from dwn_hw.fpga.synthesis import passes

PAUSE = os.environ["PAUSE"]
TOOL = "import sys, time; print('2.3. Executing ABC9 pass.', file=sys.stderr, flush=True); time.sleep(float(sys.argv[1]))"

@click.command()
@command
def work(screen):
    ahead(screen.progress, 3)
    screen.progress("synthesising for xc7")
    heard = passes(lambda at: within(screen.progress, at))
    toolchain.run([sys.executable, "-c", TOOL, PAUSE], timeout=20, heard=heard)
    screen.progress("comparing " + "a long text, " * 20)
    time.sleep(float(PAUSE))
    begin(screen.progress, "simulating")
    for done in (10, 20):
        within(screen.progress, f"{done} of 40 vectors", done, 40)
        time.sleep(float(PAUSE))
    screen.say("EQUAL      40 vectors")
    screen.result({"equal": True})

work()
"""


def on_terminal(*arguments, columns=80, pause=0.0, interrupt_at=None, **environment):
    """What a terminal of so many columns is sent by WORK, and its exit status; Ctrl-C is typed when a text was seen."""
    child, end = pty.fork()
    if child == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        clean = {
            name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR", "FORCE_COLOR")
        }
        os.execve(
            sys.executable,
            [sys.executable, "-c", WORK, *arguments],
            clean | {"TERM": "xterm", "PAUSE": str(pause)} | environment,
        )
    said = b""
    while True:
        try:
            more = os.read(end, 4096)
        except OSError:  # how Linux says that the other end is closed
            break
        if not more:
            break
        said += more
        if interrupt_at is not None and interrupt_at in said:
            os.write(end, b"\x03")
            interrupt_at = None
    os.close(end)
    return said.decode(), os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def lines_of(said):
    """What stood in a line at any time, without colours and movements."""
    return [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line) for line in re.split(r"[\r\n]+", said)]


@pytest.mark.parametrize(("columns", "colours"), [(80, {}), *swept((120, {"NO_COLOR": "1"}))])
def test_a_terminal_shows_phases_amounts_and_times_in_one_line_that_never_wraps(columns, colours):
    said, status = on_terminal(columns=columns, pause=0.3, **colours)
    lines = lines_of(said)
    assert status == 0
    assert max(map(len, lines)) <= columns
    assert any(re.search(r"1 of 3  synthesising: yosys abc9 +0:0\d$", line.rstrip()) for line in lines)
    assert any(re.search(r"2 of 3  comparing a long text, .*… 0:0\d$", line.rstrip()) for line in lines)
    assert any(re.search(r"3 of 3  simulating: 20 of 40 vectors +━+.*0:0\d$", line.rstrip()) for line in lines)
    *_, equal, times, end = lines
    assert (equal, end) == ("EQUAL      40 vectors", "")
    figure = r"\d+\.\d"
    named = f"(starting {figure}, )?synthesising {figure}, comparing {figure}, simulating {figure}"
    assert re.fullmatch(f"{figure} s: {named}", times)
    whole, *parts = map(float, re.findall(figure, times))
    assert abs(whole - sum(parts)) < 0.3
    assert bool(re.search(r"\x1b\[(3|9)\d", said)) == (not colours)


def test_a_terminal_that_moves_nothing_gets_lines_that_are_cut():
    said, _ = on_terminal(TERM="dumb")
    assert "\x1b" not in said
    phases = [line for line in lines_of(said) if line.startswith("[")]
    assert [re.sub(r"^\[ +\d\.\d s\] ", "", line)[:9] for line in phases] == ["synthesis", "comparing", "simulatin"]
    assert len(phases[1]) == 80
    assert phases[1].endswith("…")


def test_quiet_sends_nothing_but_the_document_that_json_asks_for():
    assert on_terminal("--quiet", "--json")[0].split() == ["{", '"equal":', "true", "}"]


def test_an_interrupt_takes_the_line_away_and_gives_the_cursor_back():
    said, status = on_terminal(pause=0.3, interrupt_at=b"comparing")
    assert status == 1
    # The cursor is there again, one line up, the line is empty, and click says what happened.
    assert re.search(r"\x1b\[\?25h\r\x1b\[1A\x1b\[2K\r\nAborted!\r\n$", said)


class Notes(_progress.Watcher):
    """Writes down what a watcher is told."""

    def __init__(self):
        self.phases, self.texts, self.planned, self.counts = [], [], 0, []

    def names(self):
        """The first word of each phase."""
        return [phase.split()[0] for phase in self.phases]

    def __call__(self, text):
        self.phases.append(text)

    def ahead(self, phases):
        self.planned += phases

    def within(self, text, done, total):
        self.texts.append(text)
        self.counts.append((done, total))


def test_others_than_watchers_hear_phases_and_what_is_said_aloud():
    said, notes = [], Notes()
    for progress in (said.append, notes):
        _progress.ahead(progress, 2)
        progress("one")
        _progress.begin(progress, "two")
        _progress.within(progress, "a", 1, 3)
        _progress.within(progress, "b", 2, 3, aloud="b, aloud")
        _progress.counted(progress, "counting", 10)(5)
    assert said == ["one", "b, aloud"]
    assert (notes.phases, notes.planned) == (["one", "two"], 2)
    assert (notes.texts, notes.counts) == (["a", "b", "5 of 10"], [(1, 3), (2, 3), (5, 10)])


def test_python_is_silent_or_tells_a_function_or_shows_what_the_commands_show(capsys):
    heard = []
    for progress in (False, heard.append, True):
        with terminal.asked(progress) as tell:
            tell("working")
    assert heard == ["working"]
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"\[ +\d\.\d s\] working\n", err)


def test_logs_of_tools_name_passes_and_stages():
    said = []
    heard = synthesis.passes(said.append)
    lines = [
        "7.2. Executing HIERARCHY pass.",
        "1. Executing Verilog-2005 frontend: a.v",
        "ERROR: no",
        "12.40. Executing ABC9 pass",
    ]
    assert [heard(line) for line in lines] == [True, True, False, True]
    assert said == ["yosys hierarchy", "yosys verilog-2005", "yosys abc9"]
    stages = []
    heard = routing.stages(stages.append)
    lines = [
        "Info: Packing carries..",
        "Info: Running main analytical placer, max",
        "Info: Routing..",
        "Warning: so",
        "ERROR: no",
    ]
    assert [heard(line) for line in lines] == [True, True, True, False, False]
    assert stages == ["packing", "placing", "routing"]


def test_a_simulation_tells_its_phases_and_counts_vectors(tmp_path, small_export):
    notes = Notes()
    dwn_hw.verify(small_export(tmp_path / "out"), simulator="icarus", vectors=100, progress=notes)
    assert notes.names() == ["reading", "computing", "elaborating", "simulating"]
    assert notes.planned == 3  # behind the first, which nobody announces
    assert {total for _, total in notes.counts} == {notes.counts[-1][1]}
    assert notes.counts == sorted(notes.counts)
    assert 0 <= notes.counts[-1][1] - notes.counts[-1][0] < 64


@pytest.mark.sweeps
def test_a_simulation_that_was_built_tells_that_it_needs_no_build(tmp_path, small_export):
    out = small_export(tmp_path / "out")
    for simulator in bench_builds.SIMULATORS:
        compare_rtl.verify(out, simulator=simulator, random=100)
        notes = Notes()
        compare_rtl.verify(out, simulator=simulator, random=100, progress=notes)
        assert notes.names() == ["reading", "computing", "simulating"]
        assert notes.planned == 2


@pytest.mark.sweeps
def test_verilator_tells_which_file_is_compiled(tmp_path, small_export):
    notes = Notes()
    compare_rtl.verify(small_export(tmp_path / "out"), simulator="verilator", random=100, progress=notes)
    assert notes.planned == bench_builds.PHASES["verilator"] + 1
    assert "compiling what Verilator wrote" in notes.phases
    files = [text for text in notes.texts if text.startswith("file ")]
    assert files == [f"file {i} of {len(files)}" for i in range(1, len(files) + 1)]


@pytest.mark.sweeps
@pytest.mark.parametrize(
    ("family", "board"), [("ice40", "icebreaker"), ("ecp5", "ulx3s-85f"), ("gowin", "tang-nano-9k")]
)
def test_a_build_tells_passes_of_yosys_and_stages_of_each_seed(tmp_path, small_export, family, board):
    notes = Notes()
    building.build(small_export(tmp_path / "out", family), board, seeds=1, progress=notes)
    assert notes.names() == ["preparing", "synthesising", "placing", "packing"]
    assert notes.planned == 3
    assert {"yosys hierarchy", "seed 1 packing", "seed 1 placing", "seed 1 routing"} <= set(notes.texts)
    assert notes.counts[-1] == (1, 1)
    synthesis.synth(tmp_path / "out", "ice40", progress=notes)
    assert "total: yosys hierarchy" in notes.texts
