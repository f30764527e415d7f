"""A mismatch names the file, the line and the name in the Verilog, leaves a record and a waveform, and all of it is in the JSON.

Needs Icarus.
"""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import shift_networks as nets
from click.testing import CliRunner
from groups import swept

from dwn_hw.cli import main
from dwn_hw.errors import Mismatch
from dwn_hw.exports import planning, writer
from dwn_hw.hardware.design import make_design
from dwn_hw.hardware.folded import make_folded
from dwn_hw.ir import ArgMax, Format, GroupSum, Input, LutLayer, Network, Thermometer
from dwn_hw.verification import bench_builds, compare_rtl, hex_rows


def luts(seed=0, count=12):
    """A DWN in which every LUT and every bit of a sum matters."""
    rng = np.random.default_rng(seed)
    rows = tuple(tuple(sorted(rng.choice(np.arange(1, 31), 3, replace=False).tolist())) for _ in range(4))
    wires = tuple(tuple(rng.choice(12, 4, replace=False).tolist()) for _ in range(count))
    tables = tuple(int(rng.integers(1, 2**16)) for _ in range(count))
    source = Input((4,), (Format(5),))
    return Network(source, (Thermometer(rows), LutLayer(wires, tables), GroupSum(2), ArgMax()))


def write(design, out):
    writer.write(planning.ExportPlan(design, 0, {}, None), out)
    return out


def plant(path, pattern, change):
    """Change the first line that matches; its number."""
    lines = path.read_text().splitlines()
    at = next(i for i, line in enumerate(lines) if re.search(pattern, line))
    changed = change(lines[at])
    assert changed != lines[at]
    lines[at] = changed
    path.write_text("\n".join(lines) + "\n")
    return at + 1


def inverted(line):
    """The line of a LUT with its table inverted."""
    size, table = re.search(r"\((\d+)'h([0-9a-f]+)\)", line).groups()
    other = (1 << int(size)) - 1 ^ int(table, 16)
    return line.replace(f"{size}'h{table}", f"{size}'h{other:0{len(table)}x}")


def found(out, **options):
    """The mismatch that there is."""
    with pytest.raises(Mismatch) as error:
        compare_rtl.verify(out, simulator="icarus", random=200, **options)
    return error.value


LUT = r"lut_\w+ \("


@pytest.mark.parametrize(
    ("part", "pattern", "target"),
    [
        ("encoder", LUT, "generic"),
        ("l0", "lut_l0_n007 ", "generic"),
        *swept(
            ("popcount", LUT, "xc7"),
            ("argmax", LUT, "generic"),
            ("l0", "lut_l0_n003 ", "ice40"),
            ("encoder", LUT, "ecp5"),
        ),
    ],
)
def test_a_fault_in_a_lut_is_found_at_its_line_or_in_front_of_the_line_that_is_named(tmp_path, part, pattern, target):
    out = write(make_design(luts(), target=target), tmp_path / "out")
    line = plant(out / "rtl" / f"dwn_{part}.v", pattern, inverted)
    error = found(out)
    details = error.details
    assert (details["node"], details["file"]) == (part, f"rtl/dwn_{part}.v")
    assert line in [details["line"], *(name["line"] for name in details["cone"])]
    assert f"at rtl/dwn_{part}.v:{details['line']}: {details['name']}" in str(error)
    named = (out / details["file"]).read_text().splitlines()[details["line"] - 1]
    assert re.search(rf"\b{re.escape(details['name'].split('[')[0])}\b", named)
    if part == "l0":
        assert details["line"] == line
        assert details["name"] == pattern.strip().removeprefix("lut_")
        assert details["unit"] == int(details["name"][-3:])


@pytest.mark.parametrize(
    ("part", "pattern"),
    [
        ("dense", "assign dense_o2 ="),
        *swept(("relu", "assign relu_1 ="), ("quantize", "assign y"), ("argmax", "assign best_")),
    ],
)
def test_a_fault_in_a_network_of_shifts_is_found_at_the_line_of_its_word(tmp_path, part, pattern):
    out = write(make_design(nets.mlp(0, 6, 4, 3)), tmp_path / "out")

    def change(line):
        # The greatest less by half of its range: one more would show in a tie alone.
        greatest = ("? x[37:19]", "? ~x[37:19]")
        for old, new in (
            greatest,
            (" + ", " - "),
            (" ? ", " ? 1'h1 + "),
            ("x[47:39]", "x[46:38]"),
            ("x[18:0]", "x[19:1]"),
        ):
            if old in line:
                return line.replace(old, new, 1)
        return line

    line = plant(out / "rtl" / f"dwn_{part}.v", pattern, change)
    details = found(out).details
    assert details["file"] == f"rtl/dwn_{part}.v"
    assert line in [details["line"], *(name["line"] for name in details["cone"])]


def test_a_wrong_bias_of_an_engine_is_found_at_its_row(tmp_path):
    out = write(make_folded(nets.mlp(0, 6, 4, 3), lanes=2), tmp_path / "out")
    path = out / "rtl" / "dwn_biases.hex"
    rows = path.read_text().splitlines()
    rows[5] = f"{int(rows[5], 16) ^ 64:0{len(rows[5])}x}"  # of the second layer's second output
    path.write_text("\n".join(rows) + "\n")
    error = found(out, trace=True)
    assert (error.details["file"], error.details["line"], error.details["unit"]) == ("rtl/dwn_biases.hex", 6, 1)
    assert "$var" in (out / "verify" / "trace" / "trace.vcd").read_text()


def test_a_broken_handshake_is_found_at_the_line_of_its_pin(tmp_path):
    out = write(make_design(luts()), tmp_path / "out")
    line = plant(out / "rtl" / "dwn_top.v", "assign y_valid", lambda text: text.replace("= ", "= ~ "))
    details = found(out).details
    assert (details["node"], details["file"], details["line"]) == ("y_valid", "rtl/dwn_top.v", line)


def test_the_record_and_the_json_say_the_same_and_the_record_goes_when_all_is_equal_again(tmp_path):
    out = write(make_design(luts()), tmp_path / "out")
    path = out / "rtl" / "dwn_l0.v"
    right = path.read_text()
    plant(path, "lut_l0_n007 ", inverted)
    command = ["verify", str(out), "--simulator", "icarus", "--vectors", "50", "--json"]
    said = CliRunner().invoke(main.main, [*command, "--trace"])
    assert said.exit_code == 1
    details = json.loads(said.stdout)["error"]["mismatch"]
    kept = json.loads((out / "verify" / "mismatch.json").read_text())
    assert kept == {"message": json.loads(said.stdout)["error"]["message"], **details}
    assert kept.keys() >= {
        "vector",
        "codes",
        "node",
        "unit",
        "expected",
        "got",
        "file",
        "line",
        "name",
        "seed",
        "repeat",
    }
    assert {kept["expected"], kept["got"]} == {0, 1}
    assert len(kept["codes"]) == 4
    assert not (out / "verify" / "rtl.json").exists()
    # The waveform shows the unit at the clock that is named, with its name.
    wave = (out / "verify" / "trace" / "trace.vcd").read_text()
    assert re.search(r"\$var wire 1 \S+ l0_n007 \$end", wave)
    assert len(re.findall(r"^#\d+$", wave, re.M)) > 2 * 4
    path.write_text(right)
    assert CliRunner().invoke(main.main, command).exit_code == 0
    assert not (out / "verify" / "mismatch.json").exists()


@pytest.mark.sweeps
def test_without_a_mismatch_the_waveform_shows_the_first_vectors(tmp_path):
    out = write(make_design(luts()), tmp_path / "out")
    report = compare_rtl.verify(out, simulator="icarus", random=20, trace=True)
    wave = (out / "verify" / "trace" / "trace.vcd").read_text()
    assert report["waveform"] == str(out / "verify" / "trace" / "trace.vcd")
    assert len(re.findall(r"^[01]\S+$", wave, re.M)) > 100


def test_unknown_values_are_differences_at_their_lowest_digit():
    row = hex_rows.to_text(np.array([[0x34, 0x12]], np.uint8), 13)
    assert row.tobytes() == b"1234"
    assert hex_rows.first_difference(row[0], np.frombuffer(b"1x34", np.uint8), 4) == (2, 2, "unknown")
    assert hex_rows.first_difference(row[0], np.frombuffer(b"1214", np.uint8), 4) == (1, 3, 1)
    assert hex_rows.first_difference(row[0], np.frombuffer(b"1235", np.uint8), 13) == (0, 0x1234, 0x1235)


@pytest.mark.sweeps
def test_no_place_is_named_where_the_verilog_does_not_show_one(tmp_path):
    out = write(make_design(luts()), tmp_path / "out")
    path = out / "rtl" / "dwn_l0.v"
    path.write_text(re.sub(r"assign y = .*?;", "assign y = 0;", path.read_text(), flags=re.S))
    details = found(out).details
    assert (details["node"], details["file"], details["name"]) == ("l0", "rtl/dwn_l0.v", f"y[{details['unit']}]")
    path.write_text("module dwn_l0 (input wire [11:0] x, output wire [11:0] y); endmodule\n")
    assert found(out).details["line"] is None


def test_what_was_built_is_built_once_and_again_when_the_verilog_changes(tmp_path, monkeypatch):
    out = write(make_design(luts()), tmp_path / "out")
    built = []
    run = bench_builds.toolchain.run

    def counting(command, **how):
        built.append(command[0])
        return run(command, **how)

    monkeypatch.setattr(bench_builds.toolchain, "run", counting)
    for _ in range(2):
        compare_rtl.verify(out, simulator="icarus", random=20)
    assert built == ["iverilog", "vvp", "vvp"]
    path = out / "rtl" / "dwn_l0.v"
    path.write_text(path.read_text() + "\n")
    compare_rtl.verify(out, simulator="icarus", random=20)
    assert built == ["iverilog", "vvp", "vvp", "iverilog", "vvp"]
