"""The most accurate network for a board: chosen on one part, said of another; what misses its clock gets more registers."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

pytest.importorskip("torch")
pytest.importorskip("optuna")

import dwn_hw
from dwn_hw.cli import main
from dwn_hw.errors import OptionError, TooSlow, Unfit
from dwn_hw.fpga import building
from dwn_hw.studies import front, one_trial

#: What made-up trials come to, by their number of thresholds: right of 100 to choose by, of 100 to test on, and LUTs.
WORTH = {2: (80, 85, 100), 3: (95, 90, 900), 4: (94, 96, 500), 5: (94, 70, 600)}


@pytest.fixture
def table(tmp_path):
    x = np.random.default_rng(0).integers(0, 8, (90, 3))
    path = tmp_path / "t.csv"
    path.write_text(
        "\n".join(["a,b,c,y", *(f"{a},{b},{c},{'uvw'[int(np.argmax((a, b, c)))]}" for a, b, c in x)]) + "\n"
    )
    return path


@pytest.fixture
def built(monkeypatch, tmp_path):
    """Made-up trials, and builds that say what ``built.limits`` has for a design: MHz, or None where it has no place."""

    class Built:
        limits: dict = {}  # noqa: RUF012  # of one test
        asked: list = []  # noqa: RUF012

    def run(study, point, progress, also=None):
        clock = (also or {}).get("clock_mhz")
        name = f"bits{point['bits']}" + (f"-at{clock:g}" if clock else "")
        (study.folder / "designs" / name).mkdir(parents=True, exist_ok=True)
        right, tested, luts = WORTH[point["bits"]]
        tests = {"right": right, "samples": 100, "test_right": tested, "test_samples": 100}
        return {**tests, "design": name, "luts": luts + 7 * (clock is not None), "lut_inputs": 4, "clock_mhz": 30.0}

    def build(folder, board, *, seeds, progress):
        Built.asked.append(folder.name)
        mhz = Built.limits.get(folder.name, 20.0)
        if mhz is None:
            raise Unfit("does not fit")
        if mhz < 12:
            raise TooSlow("too slow", mhz)
        capacity = {"lut": 5280, "ff": 5280, "bram": 30}
        timing = {"fmax_mhz": mhz}
        return {
            "used": capacity,
            "capacity": capacity,
            "clock_mhz": 12,
            "timing": timing,
            "bitstream": "b",
            "digest": "d",
        }

    Built.limits, Built.asked = {}, []
    monkeypatch.setattr(one_trial, "run", run)
    monkeypatch.setattr(building, "build", build)
    monkeypatch.setattr(front, "write_page", lambda study, rows, progress: study.folder / "report.html")
    return Built


SPACE = {"train": {"bits": [2, 3, 4, 5]}}


def test_it_is_chosen_by_one_part_and_said_of_another(table, tmp_path, built):
    report = dwn_hw.fit_board(table, "icebreaker", tmp_path / "out", space=SPACE)
    assert built.asked == ["bits3"]
    assert (report["accuracy"], report["validation_accuracy"], report["point"]) == (0.9, 0.95, {"bits": 3})
    low, high = report["interval"]
    assert low < 0.9 < high
    assert (tmp_path / "out").is_dir()
    assert report["sweep"]["trials"]["complete"] == 4


def test_of_equally_good_ones_the_smaller_comes_next(table, tmp_path, built):
    built.limits = {"bits3": None}
    report = dwn_hw.fit_board(table, "icebreaker", tmp_path / "out", space=SPACE)
    assert built.asked == ["bits3", "bits4"]
    assert report["point"] == {"bits": 4}
    assert [row["became"] for row in report["placed"]] == ["does not fit", "built"]


def test_what_misses_its_clock_gets_registers_by_how_far_the_estimate_was_off(table, tmp_path, built):
    built.limits = {"bits3": 10.0, "bits3-at41.4": 13.0}  # 1.15 * 12 MHz, where 30 MHz by estimate came to 10
    report = dwn_hw.fit_board(table, "icebreaker", tmp_path / "out", space=SPACE)
    assert built.asked == ["bits3", "bits3-at41.4"]
    assert report["fmax_mhz"] == 13.0


def test_where_nothing_can_be_built_everything_that_was_tried_is_said(table, tmp_path, built):
    built.limits = {f"bits{bits}": None for bits in WORTH}
    with pytest.raises(
        Unfit, match=r"trial .: does not fit; trial .: does not fit; trial .: does not fit; trial .: does"
    ):
        dwn_hw.fit_board(table, "icebreaker", tmp_path / "out", space=SPACE)
    assert not (tmp_path / "out").exists()


def test_a_sampler_never_sees_the_test_part(table, tmp_path, built):
    """Accuracy on the test part is not among the values of a trial."""
    dwn_hw.fit_board(table, "icebreaker", tmp_path / "out", space=SPACE)
    journal = (tmp_path / "out-study" / "journal.log").read_text()
    values = [json.loads(line).get("values") for line in journal.splitlines()]
    assert sorted(told for told in values if told) == sorted([r / 100, float(luts)] for r, _, luts in WORTH.values())


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"board": "icebreakr"}, "Did you mean icebreaker"),
        ({"board": "de10-nano"}, "a board that nextpnr routes"),
        ({"board": "icebreaker", "jobs": 0, "seeds": 0}, "--jobs"),
        ({"board": "icebreaker", "space": {"train": {"luts": [30]}}}, "a space without sizes"),
    ],
)
def test_what_cannot_be_asked_is_refused_at_once(tmp_path, asked, words):
    with pytest.raises(OptionError) as caught:
        dwn_hw.fit_board(tmp_path / "none.csv", out=tmp_path / "out", **asked)
    assert words in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_the_command_says_what_was_found(table, tmp_path, built, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["fit", str(table), "--board", "icebreaker", "--bits", "3", "--bits", "4", "--json"]
    done = CliRunner().invoke(main.main, words)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["out"] == "t-icebreaker"
    for line in (
        "chosen     trial 0: bits 3",
        "90.0% of 100 test samples, which no choice looked at",
        "20.0 MHz, 12 needed",
    ):
        assert line in done.stderr


@pytest.mark.slow
def test_a_board_is_filled_by_what_is_verified_and_built(table, tmp_path):
    space = {"train": {"bits": [2, 3], "epochs": 1, "n": 4}}
    report = dwn_hw.fit_board(table, "icebreaker", tmp_path / "out", space=space, trials=2, seeds=1)
    assert report["fmax_mhz"] >= report["clock_mhz"] == 12
    assert report["used"]["lut"] <= report["capacity"]["lut"]
    assert (tmp_path / "out" / "build" / "icebreaker" / report["bitstream"]).is_file()
    assert json.loads((tmp_path / "out" / "verify" / "rtl.json").read_text())["digest"] == report["digest"]
