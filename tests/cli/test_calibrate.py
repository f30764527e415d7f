"""``--calibrate`` and ``--max-drop`` on the command line: what is shown, what comes as JSON, and what is refused and how."""

from __future__ import annotations

import json
import re
import shlex

import numpy as np
import pytest
from click.testing import CliRunner

import dwn_hw
from dwn_hw.cli import main

torch = pytest.importorskip("torch")


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A directory with ``model.pt``, a small untrained model, and ``x.npz``: 600 samples, the classes mostly its own."""
    from dwn_hw.nn import DistributiveThermometer, GroupSum, LUTLayer

    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    x = torch.randn(700, 4)
    thermometer = DistributiveThermometer(3).fit(x[600:])
    model = torch.nn.Sequential(LUTLayer(12, 30, n=3, mapping="random"), GroupSum(3, tau=2.0)).eval()
    dwn_hw.save(model, "model.pt", thermometer=thermometer)
    classes = model(thermometer.binarize(x[:600]).flatten(1)).argmax(1).numpy()
    wrong = np.random.default_rng(0).random(600) < 0.2
    np.savez("x.npz", x=x[:600].numpy(), y=np.where(wrong, (classes + 1) % 3, classes), right=classes)
    return tmp_path


def run(*arguments, status=0):
    result = CliRunner().invoke(main.main, list(map(str, arguments)))
    assert result.exit_code == status, result.stderr
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def table(text):
    """Rows of the table of widths, as words."""
    _, _, below = text.partition("bits a feature")
    rows, _, _ = below.partition("\n\n")
    return [row.split() for row in rows.splitlines()[2:]]


def test_export_shows_the_curve_and_writes_what_was_chosen_and_why(home):
    result = run("export", "model.pt", "-o", "out", "--calibrate", "x.npz")
    report = json.loads((home / "out" / "report.json").read_text())
    found = report["calibration"]
    rows = table(result.stderr)
    assert [row[0] for row in rows[:16]] == [str(bits) for bits in range(1, 17)]
    for row, wanted in zip(rows, found["curve"], strict=False):
        figures = [str(wanted[name]) for name in ("port_bits", "encoder_lut", "lut")]
        kept = 300 - wanted["changed"]
        accuracy = [f"{100 * wanted['accuracy']:.1f}", "±", f"{100 * wanted['standard_error']:.1f}", "%"]
        assert row[1:-1] == [*figures, str(kept), *accuracy]
    (taken,) = [row for row in rows if row[-1] == "taken"]
    assert taken[1:4] == [str(found["taken"][name]) for name in ("port_bits", "encoder_lut", "lut")]
    assert rows[-1][:2] == ["model", "300"]
    assert {row[-1] for row in rows[:16]} == {"yes", "no"} | ({"taken"} & {row[-1] for row in rows[:16]})
    assert "validated  on 300 samples, calibrated on 300: every prediction to be kept" in result.stderr
    interface = json.loads((home / "out" / "interface.json").read_text())
    reason = interface["input"]["chosen"]
    assert re.match(
        r"calibrated: .* a feature.*; no prediction of 300 calibration and 300 validation samples changes;", reason
    )
    assert f"input      {reason}" in result.stderr
    assert f"Format: {reason}.\n" in (home / "out" / "INTERFACE.md").read_text()
    assert report["input"]["origin"] == "calibrated"


def test_predict_on_the_raw_samples_gives_what_the_model_gives(home):
    run("export", "model.pt", "-o", "out", "--calibrate", "x.npz", "--shell", "none", "--latency", "0")
    run("predict", "out", "x.npz", "-o", "y.npz")
    with np.load("x.npz") as samples, np.load("y.npz") as predicted:
        assert (predicted["y"] == samples["right"]).all()


def test_check_reports_the_same_as_json_and_writes_nothing(home):
    before = sorted(home.iterdir())
    checked = json.loads(run("check", "model.pt", "--calibrate", "x.npz", "--max-drop", "0.05", "--json").stdout)
    assert sorted(home.iterdir()) == before
    assert checked["calibration"]["max_drop"] == 0.05
    assert checked["calibration"]["asked"] == "accuracy within 0.05"
    written = json.loads(
        run("export", "model.pt", "-o", "out", "--calibrate", "x.npz", "--max-drop", "0.05", "--json", "--quiet").stdout
    )
    assert shlex.join(written.pop("command")) == "dwn-hw export model.pt --calibrate x.npz --max-drop 0.05"
    assert written == checked | {"out": "out"}


def test_progress_is_told_width_by_width(home):
    said = run("check", "model.pt", "--calibrate", "x.npz").stderr
    for words in (
        "the model's own predictions",
        "grids of each feature",
        "LUTs of features of u1",
        "LUTs of features of u16",
    ):
        assert f"calibrating: {words}\n" in said
    assert run("check", "model.pt", "--calibrate", "x.npz", "--quiet").stderr == ""


def test_without_classes_there_is_no_column_for_accuracy(home):
    with np.load("x.npz") as samples:
        np.savez("only-x.npz", x=samples["x"])
    said = run("check", "model.pt", "--calibrate", "only-x.npz").stderr
    assert "bits a feature" in said
    assert "accuracy" not in said


def test_data_beside_it_are_measured_behind_the_calibrated_port(home):
    report = json.loads(run("check", "model.pt", "--calibrate", "x.npz", "--data", "x.npz", "--json").stdout)
    assert report["input"]["origin"] == "calibrated"
    assert report["data"]["predictions_changed"] == 0
    assert report["data"]["samples"] == 600


def refused(folder, *arguments):
    """What is said, line by line; exit status 2; the same problems as JSON; nothing written."""
    before = sorted(folder.iterdir())
    result = run("export", "model.pt", "-o", "out", *arguments, status=2)
    assert result.stdout == ""
    error = json.loads(run("export", "model.pt", "-o", "out", *arguments, "--json", status=2).stdout)["error"]
    lines = [line.removeprefix("error: ").strip() for line in result.stderr.splitlines() if not line.startswith("[")]
    assert error["message"].splitlines() == lines
    assert sorted(folder.iterdir()) == before
    return lines


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--max-drop", "0.01"], "--max-drop: only with --calibrate; got 0.01 alone. Add --calibrate DATA.npz, or leave it out."),
        (
            ["--calibrate", "x.npz", "--max-drop", "-0.5"],
            "--max-drop: a part of all samples, above 0 and below 1; got -0.5. Say 0.01 for one in a hundred; leave",
        ),
        (
            ["--calibrate", "x.npz", "--input-format", "u8"],
            "--calibrate: not with --input-format; got 'u8' as well. Leave one of them out.",
        ),
        (
            ["--calibrate", "x.npz", "--max-drop", "0.01"],
            "x.npz: at least 762 samples, of which 381 validate, to support --max-drop 0.01; got 600, which leave 300.",
        ),
        (["--calibrate", "none.npz"], "none.npz: an .npz file of samples; got No such file or directory. Save it with num"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused(home, arguments, says):
    (line,) = refused(home, *arguments)
    assert line.startswith(says)


@pytest.mark.parametrize(
    ("arrays", "arguments", "says"),
    [
        ({"x": np.zeros((600, 3))}, [], "samples of 4 features: shape (samples, 4); got shape (600, 3)."),
        (
            {"x": np.zeros((600, 4)), "y": np.ones(600)},
            [],
            "y of at least two classes; got class 1.0 alone, 600 times.",
        ),
        ({"x": np.zeros((600, 4))}, ["--max-drop", "0.1"], "y, the classes, for --max-drop; got x alone."),
        ({"x": np.full((600, 4), np.nan)}, [], "finite numbers; got nan in sample 0, feature 0 (2400 in all)."),
        (
            {"x": np.zeros((60, 4))},
            [],
            "at least 250 samples, of which 125 validate: fewer would not show that 3% of all",
        ),
        ({"x": np.zeros((600, 4))}, [], "samples of which the model makes more than one class; got class "),
        (
            {"codes": np.zeros((600, 4), int)},
            [],
            "numbers to calibrate a port by; got codes, which a port carries alread",
        ),
    ],
)
def test_samples_that_do_not_serve_are_refused(home, arrays, arguments, says):
    np.savez("bad.npz", **arrays)
    (line,) = refused(home, "--calibrate", "bad.npz", *arguments)
    assert line.startswith(f"bad.npz: {says}")


def test_everything_wrong_is_said_at_once(home):
    np.savez("bad.npz", x=np.zeros((60, 3)), y=np.full(60, 5))
    lines = refused(home, "--calibrate", "bad.npz", "--max-drop", "0.02", "--input-format", "u8")
    assert len(lines) == 5


def test_a_table_calibrates_as_an_array_does(home):
    with np.load("x.npz") as file:
        x, y = file["x"], file["y"]
    names = ",".join([*(f"f{i}" for i in range(x.shape[1])), "class"])
    rows = [",".join([*map(repr, row.tolist()), str(label)]) for row, label in zip(x, y, strict=True)]
    (home / "x.csv").write_text("\n".join([names, *rows]) + "\n")
    of_table, of_array = (
        json.loads(run("check", "model.pt", "--calibrate", name, "--max-drop", "0.05", "--json").stdout)["calibration"]
        for name in ("x.csv", "x.npz")
    )
    assert of_table == of_array
