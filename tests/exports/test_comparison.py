"""Two exports beside each other: what is said to differ does, answers are those of ``predict``, and the test is McNemar's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from lut_networks import random_network

import dwn_hw
from dwn_hw.cli import main
from dwn_hw.errors import DataError
from dwn_hw.exports import comparison, planning, writer
from dwn_hw.hardware.design import make_design


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Exports: ``one``, ``same`` in other cells, ``other`` of another network, ``four`` with four classes."""
    folder = tmp_path_factory.mktemp("exports")
    one, other, four = random_network(1), random_network(2), random_network(1, groups=4)
    for name, network, target in (
        ("one", one, "generic"),
        ("same", one, "ice40"),
        ("other", other, "generic"),
        ("four", four, "generic"),
    ):
        design = make_design(network, target=target)
        writer.write(planning.ExportPlan(design, 0, {}, None), folder / name)
    return folder


def rows(report, key):
    return {row["name"]: row["values"] for row in report[key]}


def test_the_same_network_in_other_cells_differs_in_cells_alone(place):
    report = dwn_hw.compare(place / "one", place / "same", x=np.zeros((3, 5)))
    assert (report["same_network"], report["same_verilog"]) == (True, False)
    settings = rows(report, "settings")
    assert [name for name, (a, b) in settings.items() if a != b] == ["target"]
    assert settings["target"] == ["generic", "ice40"]
    assert report["answers"] == {"samples": 3, "alike": 3, "differ": []}


def test_answers_are_counted_as_predict_gives_them(place):
    rng = np.random.default_rng(0)
    x, y = rng.integers(-32, 32, (300, 5)), rng.integers(0, 3, 300)
    report = dwn_hw.compare(place / "one", place / "other", x=x, y=y)
    ours, theirs = (dwn_hw.predict(place / name, x)[0] for name in ("one", "other"))
    differ = [i for i in range(300) if ours[i] != theirs[i]]
    answers = report["answers"]
    assert (answers["alike"], answers["differ"]) == (300 - len(differ), differ[:20])
    assert answers["right"] == [sum(ours == y), sum(theirs == y)]
    alone = [int(sum((ours == y) & (theirs != y))), int(sum((theirs == y) & (ours != y)))]
    assert answers["right_alone"] == alone
    assert answers["p"] == comparison.sign_test(*alone)
    assert not report["same_network"]


@pytest.mark.parametrize("counts", [(0, 0), (1, 0), (5, 5), (3, 17), (400, 330), (2000, 1)])
def test_the_test_is_the_exact_one_of_mcnemar(counts):
    stats = pytest.importorskip("scipy.stats")
    wanted = stats.binomtest(min(counts), sum(counts), 0.5).pvalue if sum(counts) else 1.0
    assert comparison.sign_test(*counts) == pytest.approx(min(1.0, wanted))


def test_networks_that_cannot_answer_alike_are_refused_with_samples_only(place):
    assert dwn_hw.compare(place / "one", place / "four")["answers"] is None
    with pytest.raises(DataError, match="two networks of as many classes; got 3 classes and 4 classes"):
        dwn_hw.compare(place / "one", place / "four", x=np.zeros((1, 5)))


def test_a_terminal_shows_what_differs_and_a_name_that_is_markup_as_text(place, tmp_path):
    network = replace(random_network(4), class_names=("[red]a", "<b>", "c"))
    writer.write(planning.ExportPlan(make_design(network), 0, {}, None), tmp_path / "named")
    np.savez(tmp_path / "x.npz", x=np.zeros((2, 5), np.int64), y=np.array([0, 1]))
    data = str(tmp_path / "x.npz")
    said = CliRunner().invoke(main.main, ["compare", str(place / "one"), str(tmp_path / "named"), "--data", data])
    assert said.exit_code == 0, said.stderr
    assert "networks   different networks, different Verilog" in said.stderr
    assert "McNemar" in said.stderr
    said = CliRunner().invoke(main.main, ["explain", str(tmp_path / "named"), "--data", data, "--sample", "1"])
    assert said.exit_code == 0, said.stderr
    assert "[red]a" in said.stderr
    assert "the file says <b>" in said.stderr
