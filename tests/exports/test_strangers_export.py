"""Somebody else's export is a hostile file: nothing in it is run, and no command writes outside it."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import threading

import pytest
from click.testing import CliRunner
from groups import swept

from dwn_hw.cli import main
from dwn_hw.errors import ExportError
from dwn_hw.exports import kept_builds, reader, verilog_checksums
from dwn_hw.verification import compare_rtl


@pytest.fixture
def out(tmp_path, small_export):
    return small_export(tmp_path / "out")


def resealed(out):
    """Checksums made anew, as a stranger can make them."""
    verilog_checksums.write(out / "rtl")


HOSTILE_NAMES = [
    "a; write_verilog PWNED.out; log .v", "dwn_a$(touch PWNED).v", "dwn_`touch PWNED`.v", "dwn_a b.v", "-o.v", "dwn_é.v",
    'dwn_"; shell touch PWNED; ".v', "other.v", "dwn_x.v\ndwn_y.v",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE_NAMES)
@pytest.mark.parametrize("command", ["synth", "verify", "prove"])
def test_a_file_under_a_name_that_no_export_writes_is_refused_by_every_command(out, name, command):
    (out / "rtl" / name).write_text("module a; endmodule")
    resealed(out)
    result = CliRunner().invoke(main.main, [command, str(out)])
    assert result.exit_code == 2
    assert "checksums" in result.stderr
    assert not list(out.parent.rglob("PWNED*"))


def test_files_that_the_checksums_do_not_name_are_refused_and_empty_checksums_are_none(out):
    (out / "rtl" / "dwn_more.v").write_text("module dwn_more; endmodule")
    with pytest.raises(ExportError, match=r"dwn_more\.v: a file that the checksums name; got another file\. Move"):
        reader.read_export(out)
    (out / "rtl" / "dwn_more.v").unlink()
    for text in ("", "nonsense\n", "0123  dwn_top.v\n"):
        (out / "rtl" / "SHA256SUMS").write_text(text)
        with pytest.raises(ExportError, match="checksums of the Verilog; got"):
            reader.read_export(out)


REACHING = {
    "a file that is written": 'initial $fdisplay($fopen("PWNED"), 1);',
    "a command": 'initial $system("touch PWNED");',
    "text on the screen": "initial $display(1);",
    "an included file": '`include "/etc/passwd"',
    "a macro": "`define A 1",
    "C++ in Verilog": 'initial $c("system(0);");',
    "foreign functions": 'import "DPI-C" function int system(string s);',
    "a memory elsewhere": 'reg [7:0] m [0:3]; initial $readmemh("../../secret.hex", m);',
    "a memory by a name that is computed": "reg [7:0] m [0:3]; initial $readmemh(f, m);",
    "a comment to Verilator": "/*verilator public*/",
    "a comment to Verilator on a line": "// verilator lint_off WIDTH public",
    "SystemC": "`systemc_header",
    "a force": "initial force a = 1;",
    "the end of a simulation": "initial $finish;",
    "after an escaped name": "wire \\a ; initial $finish;",
    "after text": 'wire [8*4:1] a = "// "; initial $finish;',
    "a bind": "bind dwn_core other o();",
}


@pytest.mark.parametrize("what", REACHING)
def test_verilog_that_reaches_outside_the_design_is_refused_before_any_tool_reads_it(out, what):
    path = out / "rtl" / "dwn_l0.v"
    path.write_text(path.read_text().replace("endmodule", f"{REACHING[what]}\nendmodule", 1))
    resealed(out)
    with pytest.raises(ExportError, match=r"line [0-9]+: Verilog that reaches nothing outside the design"):
        compare_rtl.verify(out, simulator="icarus", random=1)
    assert not list(out.parent.rglob("PWNED*"))


@pytest.mark.parametrize(
    "harmless", ["// $display in a comment", "/* `include */", "wire \\$display ;", "// verilator lint_off WIDTH"]
)
def test_what_only_looks_like_it_is_read(out, harmless):
    path = out / "rtl" / "dwn_l0.v"
    path.write_text(path.read_text().replace("endmodule", f"{harmless}\nendmodule", 1))
    assert reader.read_export(out)


def test_edited_verilog_of_ones_own_is_simulated_when_it_is_trusted(out):
    path = out / "rtl" / "dwn_l0.v"
    path.write_text(path.read_text().replace("endmodule", "initial if (0) $display(1);\nendmodule", 1))
    words = ["verify", str(out), "--simulator", "icarus", "--vectors", "5"]
    assert CliRunner().invoke(main.main, words).exit_code == 2
    assert CliRunner().invoke(main.main, [*words, "--trust-edited"]).exit_code == 0


@pytest.mark.parametrize("place", ["verify", "rtl/dwn_l0.v", "vectors/golden.npz"])
def test_a_link_in_an_export_is_refused(out, tmp_path, place):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (out / place).exists() and (out / place).unlink()
    (out / place).symlink_to(elsewhere)
    with pytest.raises(ExportError, match="a file or a folder of the export; got a link"):
        reader.read_export(out)


def forged(folder, key, program):
    """A kept build as a stranger leaves one: the right key and digests, and a seal that is not this user's."""
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    (folder / "sealed.json").write_text(json.dumps({"files": files, "seal": hashlib.sha256(key.encode()).hexdigest()}))


def test_a_program_that_a_stranger_built_is_never_run(tmp_path):
    folder = tmp_path / "build"
    folder.mkdir()
    (folder / "sim").write_text("a program")
    forged(folder, "key", "sim")
    assert not kept_builds.is_kept(folder, "key")
    assert not list(folder.iterdir())


def test_what_this_user_built_is_kept_and_nothing_that_lies_beside_it(tmp_path):
    (tmp_path / "b" / "deep").mkdir(parents=True)
    (tmp_path / "b" / "deep" / "sim").write_text("a program")
    kept_builds.keep(tmp_path / "b", "key")
    (tmp_path / "b" / "numpy.py").write_text("raise SystemExit")
    (tmp_path / "b" / "more").mkdir()
    (tmp_path / "b" / "more" / "x.so").write_text("")
    assert kept_builds.is_kept(tmp_path / "b", "key")
    assert sorted(path.name for path in (tmp_path / "b").rglob("*")) == ["deep", "sealed.json", "sim"]
    assert not kept_builds.is_sealed(tmp_path / "b", "another key")
    (tmp_path / "b" / "deep" / "sim").write_text("another program")
    assert not kept_builds.is_kept(tmp_path / "b", "key")


def test_a_simulator_s_program_in_an_export_is_built_again_unless_this_user_built_it(out, monkeypatch, tmp_path):
    compare_rtl.verify(out, simulator="icarus", random=1)
    program = next((out / "verify" / "icarus" / "build").glob("bench"))
    before = program.stat().st_mtime_ns
    compare_rtl.verify(out, simulator="icarus", random=1)
    assert program.stat().st_mtime_ns == before
    kept_builds._secret.cache_clear()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another user"))
    try:
        compare_rtl.verify(out, simulator="icarus", random=1)
        assert program.stat().st_mtime_ns > before
    finally:
        kept_builds._secret.cache_clear()


def test_two_verifications_of_one_export_at_once_are_both_right(out):
    found, said = [], []

    def verify(random):
        found.append(compare_rtl.verify(out, simulator="icarus", random=random, progress=said.append)["vectors"])

    both = [threading.Thread(target=verify, args=(count,)) for count in (30, 41)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert len(found) == 2
    assert abs(found[0] - found[1]) == 11
    assert compare_rtl.WAITING in said


CALLERS = {
    "COCOTB_TEST_FILTER": "none_of_them", "COCOTB_TESTCASE": "none_of_them", "TESTCASE": "none", "MODULE": "os",
    "GPI_EXTRA": "/nowhere.so", "COCOTB_LOG_LEVEL": "CRITICAL", "COCOTB_RESULTS_FILE": "elsewhere.xml", "MAKEFLAGS": "-n",
    "PYTHONWARNINGS": "error", "PYTHONSTARTUP": "/nowhere", "COCOTB_PLUSARGS": "+x", "VERILATOR_ROOT": "/nowhere", "SIM": "none",
}  # fmt: skip


@pytest.mark.parametrize("simulator", ["icarus", *swept("verilator")])
def test_variables_of_the_caller_s_shell_change_no_verification(out, monkeypatch, simulator):
    for name, value in CALLERS.items():
        monkeypatch.setenv(name, value)
    report = compare_rtl.verify(out, simulator=simulator, random=20)
    assert report["equal"]


MARKUP = ["<script>alert(1)</script>", "a|b", "[x](http://y)", "![i](z)", "`code`", "*/ int x; /*", "**b**", "&lt;"]


@pytest.mark.parametrize("name", MARKUP)
def test_names_from_a_model_are_text_in_every_document(tmp_path, small_export, name):
    import dataclasses

    from dwn_hw.exports import planning, writer
    from dwn_hw.hardware.design import make_design

    network = reader.read_export(small_export(tmp_path / "first")).network
    names = tuple(f"{name}{i}" for i in range(network.classes))
    network = dataclasses.replace(network, class_names=names)
    writer.write(planning.ExportPlan(make_design(network), 0, {}, None), tmp_path / "named")
    page = (tmp_path / "named" / "INTERFACE.md").read_text()
    markdown = pytest.importorskip("markdown_it").MarkdownIt("commonmark").enable("table")
    cells = re.findall(r"<td>(.*?)</td>", markdown.render(page))
    import html

    assert set(names) <= {html.unescape(cell) for cell in cells}
    # The picture and the link to FEATURES.md are ours.
    assert markdown.render(page).count("<img") == markdown.render(page).count("<a ") == 1
    assert not re.search(r"<(script|em>|strong>)", markdown.render(page))
    header = "".join(path.read_text() for path in (tmp_path / "named" / "host").glob("*"))
    assert "int x;" not in re.sub(r"/\*.*?\*/", "", header, flags=re.S)


# ------------------------------------------------------------------------------------------------- killed while writing

KILLED = """
import os, sys
from pathlib import Path
sys.path[:0] = {path!r}
from dwn_hw.exports import planning, writer, reader
from dwn_hw.hardware.design import make_design
left = [{point}]
def count(event, args):
    if event in ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "shutil.rmtree") or (
        event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax")
    ):
        if str(args[0]).startswith({out!r}) or event != "open":
            left[0] -= 1
            if left[0] < 0:
                os._exit(9)
network = reader.read_export(Path({source!r})).network
decided = planning.ExportPlan(make_design(network, shell={shell!r}), 0, {{}}, None)
sys.addaudithook(count)
writer.write(decided, Path({out!r}))
"""


def content(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.parts[len(folder.parts)] not in ("verify", "synth")
    }


@pytest.mark.sweeps
def test_an_export_over_an_older_one_that_is_killed_at_any_moment_is_the_old_or_the_new_one(tmp_path, small_export):
    import shutil

    old = small_export(tmp_path / "old")
    source = small_export(tmp_path / "other", features=7)
    from pathlib import Path

    from dwn_hw.exports import planning, writer
    from dwn_hw.hardware.design import make_design

    decided = planning.ExportPlan(make_design(reader.read_export(source).network, shell="uart"), 0, {}, None)
    writer.write(decided, tmp_path / "new")
    wanted = [content(old), content(tmp_path / "new")]
    point, seen, ended = 0, [0, 0], False
    while not ended:
        out = tmp_path / "out"
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(old, out)
        code = KILLED.format(path=sys.path, point=point, out=str(out), source=str(source), shell="uart")
        ended = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0
        assert reader.read_export(out)
        found = content(out)
        found = {name: raw for name, raw in found.items() if not name.startswith(".dwn-hw.partial")}
        assert found in wanted, point
        seen[wanted.index(found)] += 1
        writer.write(decided, Path(out))
        assert content(out) == wanted[1], point
        point += 1
    assert point > 40
    assert min(seen) > 5
    print(f"{point} points: {seen[0]} the old export, {seen[1]} the new one, none anything else")


def test_an_export_that_was_interrupted_is_finished_by_the_next_reader(tmp_path, small_export):
    out = small_export(tmp_path / "out")
    whole = content(out)
    (out / ".dwn-hw.partial").mkdir()
    for name in ("interface.json", "rtl"):
        (out / name).rename(out / ".dwn-hw.partial" / name)
    moves = {"new": ["interface.json", "rtl", "vectors"], "removed": ["rtl", "host"]}
    (out / ".dwn-hw.partial" / "moves.json").write_text(json.dumps(moves))
    assert reader.read_export(out)
    assert content(out) == {name: raw for name, raw in whole.items() if not name.startswith("host/")}


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"new": ["../x"], "removed": []}', '{"new": [3], "removed": []}'])
def test_a_list_of_moves_that_is_none_is_refused(tmp_path, small_export, text):
    out = small_export(tmp_path / "out")
    (out / ".dwn-hw.partial").mkdir()
    (out / ".dwn-hw.partial" / "moves.json").write_text(text)
    with pytest.raises(ExportError, match="one that was interrupted, which cannot be finished"):
        reader.read_export(out)
