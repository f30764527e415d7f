"""Which simulator runs: what is asked for; else what is there, was built before, or is done sooner."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from dwn_hw import toolchain
from dwn_hw.errors import OptionError, ToolError
from dwn_hw.verification import bench_builds, compare_rtl, effort, simulator_choice
from dwn_hw.verification.bench_builds import BenchBuild


class Sized:
    """A bench of so many clocks of a Verilog of so many characters."""

    def __init__(self, folder: Path, clocks: int, size: int) -> None:
        self._clocks, self.source = clocks, folder / "design.v"
        self.source.write_text("/" * size)

    def clocks(self):
        return self._clocks

    def build(self, place, simulator):
        return BenchBuild(simulator, "bench_core.v", (self.source,), place / "build", {})


@pytest.fixture
def missing(monkeypatch):
    """``missing(*names)``: simulators that are not there; the others are."""

    def make(*names):
        def require(simulator):
            if simulator in names:
                raise toolchain.missing(simulator)

        monkeypatch.setattr(bench_builds, "require", require)
        monkeypatch.setattr(bench_builds, "is_built", lambda build: False)

    return make


@pytest.mark.parametrize(
    ("clocks", "size", "simulator"),
    [(4_000, 10_000, "icarus"), (4_000, 200_000, "verilator"), (100, 200_000, "icarus"), (10**6, 10_000, "verilator")],
)
def test_what_is_done_sooner_is_taken_and_the_report_says_what_was_reckoned(tmp_path, missing, clocks, size, simulator):
    missing()
    choice = simulator_choice.choose("auto", False, Sized(tmp_path, clocks, size), tmp_path)
    assert choice.simulator == simulator
    other = "icarus" if simulator == "verilator" else "verilator"
    assert f"{clocks:,} clocks of {size // 1000} kB of Verilog" in choice.why
    assert f"in {other} " in choice.why


def test_what_is_asked_for_missing_thorough_or_built_before_decides_first(tmp_path, missing, monkeypatch):
    small = Sized(tmp_path, 10, 1_000)

    def chosen(asked="auto", thorough=False):
        choice = simulator_choice.choose(asked, thorough, small, tmp_path)
        return choice.simulator, choice.why

    missing("icarus")
    assert chosen() == ("verilator", "icarus is not there")
    missing("verilator")
    assert chosen(thorough=True) == ("icarus", "verilator is not there")
    missing()
    assert chosen("verilator") == ("verilator", "as asked")
    assert chosen(thorough=True) == ("verilator", "--thorough")
    monkeypatch.setattr(bench_builds, "is_built", lambda build: build.simulator == "verilator")
    assert chosen() == ("verilator", "built before, of the same Verilog")
    missing("icarus", "verilator")
    with pytest.raises(ToolError, match=r"apt-get install iverilog|pip install"):
        chosen()
    with pytest.raises(OptionError, match="--simulator: one of auto, verilator, icarus; got 'vcs'"):
        simulator_choice.check("vcs")


@pytest.mark.sweeps
def test_a_kept_program_of_verilator_s_is_taken_until_the_verilog_changes(tmp_path, small_export):
    out = small_export(tmp_path / "out")
    assert compare_rtl.verify(out, random=10)["simulator"] == "icarus"
    compare_rtl.verify(out, random=10, simulator="verilator")
    report = compare_rtl.verify(out, random=10)
    assert (report["simulator"], report["simulator_because"]) == ("verilator", "built before, of the same Verilog")
    path = out / "rtl" / "dwn_l0.v"
    path.write_text(path.read_text() + "\n")
    assert compare_rtl.verify(out, random=10)["simulator"] == "icarus"


def test_thorough_runs_more_under_back_pressure_and_both_say_how_much(tmp_path, small_export, monkeypatch):
    out = small_export(tmp_path / "out")
    # The same in Icarus, which builds at once.
    monkeypatch.setattr(effort, "DEFAULT", dataclasses.replace(effort.DEFAULT, slow_vectors=10))
    quick, thorough = (
        compare_rtl.verify(out, simulator="icarus", random=300, thorough=thorough) for thorough in (False, True)
    )
    for report, slow in ((quick, 10), (thorough, 250)):
        assert report["phases"]["idle_and_back_pressure"]["results"] == 4 * slow
        assert report["phases"]["full_speed"]["results"] == report["vectors"]
        assert report["node_values"] == sum(phase["node_values"] for phase in report["phases"].values())
    assert (quick["thorough"], thorough["thorough"]) == (False, True)
    assert thorough["node_values"] > quick["node_values"]
