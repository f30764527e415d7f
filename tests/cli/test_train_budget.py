"""``dwn-hw train --budget-lut`` and ``--board``: the largest network that fits, found before the training and true after it."""

from __future__ import annotations

import gzip
import json
import re
import shlex

import numpy as np
import pytest
from click.testing import CliRunner
from groups import swept

import dwn_hw
from dwn_hw.cli import main
from dwn_hw.errors import OptionError, Unfit
from dwn_hw.exports import reader
from dwn_hw.fpga import boards, fitting, size_budget
from dwn_hw.frontend import size_search, training_run
from dwn_hw.frontend.size_search import Budget, Care, Measured
from dwn_hw.ir.sample_files import Samples
from dwn_hw.nn.digits import load_digits_split

torch = pytest.importorskip("torch")


def run(*words, code=0, command="train"):
    done = CliRunner().invoke(main.main, [command, *map(str, words)])
    assert done.exit_code == code, done.output
    return done


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def samples(count=200, seed=0):
    """Three classes by where the greatest of three features is, with a fourth that says nothing; on a grid."""
    x = np.random.default_rng(seed).integers(0, 8, (count, 4)).astype(np.float32)
    return x, np.array(("cat", "dog", "emu"))[x[:, :3].argmax(axis=1)]


def exported(report):
    """The export that the report's next command makes, and the LUTs of its plan."""
    done = json.loads(run(*shlex.split(report["next"])[2:], "--json", command="export").stdout)
    return done["out"], sum(part["site"] for part in done["estimate"].values())


def test_what_is_trained_is_the_largest_within_the_budget_and_exports_as_planned(home):
    x, y = samples()
    np.savez("x.npz", x=x, y=y)
    done = run("x.npz", "--budget-lut", "60", "--epochs", "3", "--json")
    report = json.loads(done.stdout)
    told = report["budget"]
    assert told["asked"] == "60 LUTs"
    assert 0.85 * 60 <= told["planned"]["LUTs"] <= 60
    assert told["estimate"]["LUTs"] <= 60
    assert f"budget     {told['planned']['LUTs']:,g} LUTs by plan, within 60 LUTs" in done.stderr
    assert exported(report)[1] == told["planned"]["LUTs"]
    # A class more of LUTs would be above it, by the same estimate.
    recipe = report["recipe"]
    again = dwn_hw.fit(x, y, "wider.pt", luts=(recipe["luts"][0] + 6 * 3,), bits=recipe["bits"], epochs=1)
    assert exported(again)[1] > 60


def test_a_budget_below_the_smallest_network_is_refused_with_what_that_takes(home):
    x, y = samples()
    with pytest.raises(OptionError, match=r"which the smallest network takes .*\(1 LUT a class, 1 threshold") as caught:
        dwn_hw.fit(x, y, budget_lut=3)
    least = int(re.search(r"at least (\d+) LUTs", str(caught.value))[1])
    with pytest.raises(OptionError, match=f"at least {least} LUTs"):
        dwn_hw.fit(x, y, budget_lut=least - 1)
    names = ("cat", "dog", "emu")
    sized = size_search.Search(size_budget.make(least, None, "dwn"), "dwn", x, names, {}).largest(lambda text: None)
    assert sized.estimate.needs == {"LUTs": least}
    assert sorted(home.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--budget-lut", "500", "--luts", "90"), "not with --luts, which is what they choose; got --luts as well"),
        (("--board", "icebreaker", "--kind", "shift"), "lanes and block RAM decide what they take; got --kind shift"),
        (("--board", "icebraker"), "--board: a board that is known; got 'icebraker'. Did you mean icebreaker"),
        (("--budget-lut", "0"), "--budget-lut: a whole number from 1; got 0"),
    ],
)
def test_what_contradicts_a_budget_is_a_sentence(home, words, says):
    x, y = samples()
    np.savez("x.npz", x=x, y=y)
    assert says in run("x.npz", "--epochs", "1", *words, code=2).stderr
    assert sorted(path.name for path in home.iterdir()) == ["x.npz"]


def test_a_board_is_filled_and_the_commands_that_follow_agree(home):
    x, y = samples()
    np.savez("x.npz", x=x, y=y)
    asked = ("--board", "icebreaker", "--budget-lut", "60", "--epochs", "2")
    report = json.loads(run("x.npz", *asked, "--json").stdout)
    assert " --target ice40" in report["next"]
    assert report["then"] == "dwn-hw build model-design --board icebreaker"
    folder, luts = exported(report)
    planned = report["budget"]["planned"]
    assert luts == planned["LUTs"] <= 60
    own = reader.read_export(home / folder)
    row = next(fit for fit in fitting.survey(own) if fit.board.key == "icebreaker")
    assert row.fits
    assert row.needs["lut"] == planned["LUTs on the board"]
    boards.check_target(row.board, own.interface.target)


def shrinking(shares):
    """A budget that measures, of what was trained, one share after the other; of what was not, a hundredth of its LUTs."""
    left = list(shares)

    def measure(model, samples, care):
        luts = sum(len(layer.tables) for layer in model.layers)
        share = left.pop(0) if care is Care.PLANNED else luts / 100
        return Measured({"LUTs": 100 * share}, share)

    return Budget("100 LUTs", measure)


@pytest.mark.parametrize("shares", [(1.5, 1.1, 1.0), (1.5, 1.4, 1.3), *swept(((0.9,),), ((1.2, 0.99),))])
def test_what_is_too_large_when_it_is_trained_is_trained_again_smaller_three_times_at_most(home, shares):
    x, y = samples(120)
    given, told = Samples(x, None, y, "x"), []
    how = {"budget": shrinking(shares), "progress": told.append}
    if shares[-1] > 1:
        with pytest.raises(
            Unfit, match=r"no network fits 100 LUTs after 3 trainings, each .* took 150 LUTs; 140 LUTs; 130 LUTs"
        ):
            training_run.run(given, None, home / "m.pt", {"epochs": 1}, **how)
        assert not (home / "m.pt").exists()
        return
    report = training_run.run(given, None, home / "m.pt", {"epochs": 1}, **how)
    assert report["budget"]["trainings"] == len(shares)
    assert sum("a smaller one is trained" in text for text in told) == len(shares) - 1
    width = report["recipe"]["luts"][0]
    assert width == 99 if len(shares) == 1 else width < 99 * 0.97 / shares[0] + 3


def test_a_budget_is_resumed_with_the_same_numbers_and_no_other(home, monkeypatch):
    x, y = samples(120)
    np.savez("x.npz", x=x, y=y)
    words = ("x.npz", "--budget-lut", "50", "--epochs", "4", "--json")
    whole = json.loads(run(*words, "-o", "whole.pt").stdout)
    keep, count = training_run._keep, []

    def counted(*arguments):
        keep(*arguments)
        count.append(1)
        if len(count) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training_run, "_keep", counted)
        CliRunner().invoke(main.main, ["train", *words])
    said = run("x.npz", "--budget-lut", "55", "--epochs", "4", "--resume", code=2).stderr
    assert "--resume: the budget that the training began with; got 50 LUTs and 55 LUTs" in said
    again = json.loads(run(*words, "--resume").stdout)
    for name in ("history", "accuracy", "recipe", "budget"):
        assert again[name] == whole[name], name


@pytest.mark.sweeps
@pytest.mark.parametrize(("budget", "accuracy"), [(300, 0.80), (1000, 0.93), (4000, 0.95)])
def test_digits_within_a_budget(home, budget, accuracy):
    split = load_digits_split()
    test = (split.x_test, split.y_test)
    report = dwn_hw.fit(split.x_train, split.y_train, test=test, budget_lut=budget)
    planned = report["budget"]["planned"]["LUTs"]
    assert 0.8 * budget <= planned <= budget or report["budget"]["largest_allowed"]
    assert report["accuracy"] > accuracy


@pytest.mark.sweeps
@pytest.mark.parametrize(("name", "budget", "accuracy"), [("vowel", 800, 0.75), ("segmentation", 500, 0.88)])
def test_a_table_within_a_budget(home, data, name, budget, accuracy):
    (home / "table.tsv").write_bytes(gzip.decompress(data(f"uci-pmlb/{name}.tsv.gz").read_bytes()))
    report = json.loads(run("table.tsv", "--label", "target", "--budget-lut", budget, "--json").stdout)
    assert report["accuracy"] > accuracy
    assert exported(report)[1] == report["budget"]["planned"]["LUTs"] <= budget
