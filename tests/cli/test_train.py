"""``dwn-hw train``: from a table to a model that exports, with what it said; cut off and gone on; bad input in sentences."""

from __future__ import annotations

import csv
import json
import shlex

import numpy as np
import pytest
from click.testing import CliRunner

import dwn_hw
from dwn_hw.cli import main
from dwn_hw.errors import OptionError
from dwn_hw.frontend import training_run
from dwn_hw.ir import proportions
from dwn_hw.nn import recipe, trainer

torch = pytest.importorskip("torch")


def run(*words, code=0):
    done = CliRunner().invoke(main.main, ["train", *map(str, words)])
    assert done.exit_code == code, done.output
    return done


def samples(count=400, seed=0, classes=("cat", "dog", "emu")):
    """Three classes by where the greatest of three features is, with a fourth that says nothing."""
    x = np.random.default_rng(seed).normal(size=(count, 4)).round(2)
    return x, np.array(classes)[x[:, :3].argmax(axis=1)]


def table(path, x, y, label="label"):
    with path.open("w", newline="") as file:
        writer = csv.writer(file, delimiter="\t" if path.suffix == ".tsv" else ",")
        writer.writerow(["a", "b", label, "c", "d"])
        writer.writerows([*row[:2], name, *row[2:]] for row, name in zip(x.tolist(), y.tolist(), strict=True))
    return path


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_table_becomes_a_model_that_exports_and_predicts_as_was_said(home):
    table(home / "pets.csv", *samples())
    done = run("pets.csv", "-o", "pets.pt", "--epochs", "6", "--bits", "7", "--json")
    report = json.loads(done.stdout)
    assert report["classes"] == ["cat", "dog", "emu"]
    assert report["training_samples"] + report["test_samples"] == 400
    assert abs(report["test_samples"] - 80) <= 2
    assert report["accuracy"] > 0.75
    low, high = report["interval"]
    assert low < report["accuracy"] < high
    assert "which it has not seen (95 % interval" in done.stderr
    assert f"next: {report['next']}" in done.stderr
    words = shlex.split(report["next"])
    exported = CliRunner().invoke(main.main, [*words[1:], "--json"])
    assert exported.exit_code == 0, exported.output
    predicted = CliRunner().invoke(main.main, ["predict", "pets-design", "pets.test.npz", "--json"])
    found = json.loads(predicted.stdout)
    assert found["accuracy"] == json.loads(exported.stdout)["data"]["accuracy"]
    # Thresholds are values of float32, and the port of 16 bits; a sample more or less.
    assert abs(found["accuracy"] - report["accuracy"]) * report["test_samples"] <= 1
    model = dwn_hw.load("pets.pt")
    assert model.class_names == ("cat", "dog", "emu")
    assert model.training.samples == report["training_samples"]
    assert model.reported == ("accuracy", pytest.approx(report["accuracy"]))
    assert sorted(path.name for path in home.iterdir() if path.is_file()) == ["pets.csv", "pets.pt", "pets.test.npz"]


def test_python_trains_the_same_and_refuses_what_no_recipe_has(home):
    x, y = samples()
    np.savez("x.npz", x=x, y=y)
    one = json.loads(run("x.npz", "--epochs", "3", "--seed", "2", "--json").stdout)
    other = dwn_hw.fit(x, y, "python.pt", epochs=3, seed=2)
    assert (one["history"], one["accuracy"]) == (other["history"], other["accuracy"])
    assert dwn_hw.fit(x, y, epochs=1, luts=(30,), test=(x[:50], y[:50]))["test_samples"] == 50
    with pytest.raises(OptionError, match="no such setting of a recipe; got 'epoch'; near it: epochs"):
        dwn_hw.fit(x, y, epoch=3)


def test_the_test_samples_are_none_of_those_that_it_learns_from(home):
    table(home / "pets.csv", *samples())
    run("pets.csv", "--epochs", "1")
    with np.load("model.test.npz") as file:
        assert dwn_hw.load("model.pt").training.share(file["x"]) < 0.05


def test_a_test_file_of_ones_own_and_a_label_of_another_name_are_taken(home):
    table(home / "a.tsv", *samples(), label="kind of pet")
    table(home / "b.tsv", *samples(90, 5), label="kind of pet")
    report = json.loads(run("a.tsv", "--label", "kind of pet", "--test", "b.tsv", "--epochs", "3", "--json").stdout)
    assert (report["training_samples"], report["test_samples"], report["test_file"]) == (400, 90, None)


@pytest.mark.parametrize("kind", [np.int64, np.float64])
@pytest.mark.parametrize("classes", [(1, 2, 3), (10, 7, 30), (0, 1, 2), (-1, 0, 1)])
def test_classes_that_are_numbers_keep_their_names(home, classes, kind):
    """Also as the floats of a CSV, and where a file holds some of the classes alone."""
    x, y = samples(classes=classes)
    y = y.astype(kind)
    np.savez("x.npz", x=x, y=y)
    report = json.loads(run("x.npz", "--epochs", "4", "--bits", "3", "--json").stdout)
    assert report["classes"] == [str(value) for value in sorted(classes)]
    dwn_hw.export(dwn_hw.load("model.pt"), "out", x=x)
    few = y != min(classes)
    np.savez("again.npz", x=x[few], y=y[few])
    found = json.loads(CliRunner().invoke(main.main, ["predict", "out", "again.npz", "--json"]).stdout)
    assert found["accuracy"] > 0.75


@pytest.fixture
def cut_off(monkeypatch):
    """Run a training that ends, as by Ctrl-C, after so many epochs."""

    def begin(epochs, *words):
        keep, count = training_run._keep, []

        def counted(*arguments):
            keep(*arguments)
            count.append(1)
            if len(count) == epochs:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(training_run, "_keep", counted)
            CliRunner().invoke(main.main, ["train", *words])

    return begin


def test_what_was_cut_off_goes_on_with_the_same_numbers(home, cut_off):
    table(home / "pets.csv", *samples())
    options = ("--epochs", "7", "--luts", "60,30", "--candidates", "5", "--seed", "3", "--json")
    whole = json.loads(run("pets.csv", "-o", "whole.pt", *options).stdout)
    cut_off(3, "pets.csv", "-o", "cut.pt", *options)
    assert not (home / "cut.pt").exists()
    again = json.loads(run("pets.csv", "-o", "cut.pt", "--resume", *options).stdout)
    for name in ("history", "accuracy", "best_epoch", "validation_accuracy", "recipe"):
        assert again[name] == whole[name], name
    one, other = (torch.load(f"{name}.pt", weights_only=True)["state_dict"] for name in ("whole", "cut"))
    assert all((one[name] == other[name]).all() for name in one)
    assert not (home / "cut.pt.training").exists()


def test_a_cheaper_network_is_told_kept_in_its_recipe_and_goes_on_where_it_was_cut_off(home, cut_off):
    table(home / "pets.csv", *samples())
    options = ("--epochs", "6", "--luts", "60", "--bits", "9", "--cheap-encoder", "12", "--prune", "0.5")
    done = run("pets.csv", "-o", "whole.pt", *options, "--json")
    whole = json.loads(done.stdout)
    assert whole["shaped"]["layers"] == [30]
    assert whole["shaped"]["thermometer_bits"] < 36
    assert f"{whole['shaped']['thermometer_bits']} thermometer bits and layers of 30 LUTs are left" in done.stderr
    assert (whole["recipe"]["cheap_encoder"], whole["recipe"]["prune"]) == (12, 0.5)
    assert "a comparison for 12 readers or more a LUT; the last layer pruned by 50%" in whole["recipe_in_words"]
    for cut in (1, 4):
        cut_off(cut, "pets.csv", "-o", "cut.pt", *options)
        again = json.loads(run("pets.csv", "-o", "cut.pt", "--resume", *options, "--json").stdout)
        assert (again["history"], again["shaped"]) == (whole["history"], whole["shaped"])
    assert dwn_hw.load("cut.pt").layers[0].mapping.shape == (30, 6)
    assert "It belongs to --kind dwn" in run("pets.csv", "--kind", "shift", "--prune", "0.5", code=2).stderr


def test_a_state_of_another_recipe_of_other_samples_or_of_none_is_refused(home, cut_off):
    table(home / "pets.csv", *samples())
    table(home / "others.csv", *samples(seed=9))
    cut_off(1, "pets.csv", "--epochs", "2")
    said = run("pets.csv", "--epochs", "2", "--lr", "0.02", "--resume", code=2).stderr
    assert "--resume: the recipe that the training began with; got lr 0.01 and 0.02" in said
    assert "the samples that the training began with" in run("others.csv", "--epochs", "2", "--resume", code=2).stderr
    (home / "model.pt.training").write_bytes(b"no such thing")
    assert "the state of a training" in run("pets.csv", "--resume", code=2).stderr
    assert "Begin again without --resume" in run("pets.csv", "-o", "new.pt", "--resume", code=2).stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--label", "labels"), "a column of that name, for --label; got 'labels'; near it: 'label'"),
        (("--luts", "2"), "--luts: a last layer of at least the 3 classes; got 2"),
        (("--candidates", "9999"), "--candidates: at most the"),
        (("--lr", "-1"), "--lr: a finite number above 0; got -1.0"),
        (("--luts", "a,b"), "is no list of whole numbers"),
        (("-o", "model.onnx"), "a name that ends in .pt"),
        (("-o", "nowhere/model.pt"), "a folder that is there"),
        (("--test", "narrow.npz"), "4 features, as the training samples have; got 2"),
    ],
)
def test_what_cannot_be_done_is_a_sentence_and_leaves_nothing(home, words, says):
    table(home / "pets.csv", *samples())
    x, y = samples(60)
    np.savez("narrow.npz", x=x[:, :2], y=y)
    assert says in run("pets.csv", "--epochs", "1", *words, code=2).stderr
    assert sorted(path.name for path in home.iterdir()) == ["narrow.npz", "pets.csv"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda x, y: (x, None), "samples x with their classes y; got x alone"),
        (lambda x, y: (x, np.full(len(x), "cat")), "at least two classes; got cat alone"),
        (lambda x, y: (x, np.where(np.arange(len(x)) < 3, "gnu", y)), "at least 6 samples of each class"),
        (
            lambda x, y: (np.where(np.arange(4) == 2, np.nan, x), y),
            "finite numbers, as float32 holds them; got nan in sample 0, feature 2",
        ),
        (lambda x, y: (x * 1e300, y), "finite numbers, as float32 holds them"),
        (lambda x, y: (x, np.arange(len(x)) / 2), "classes as whole numbers or text; got 0.5"),
    ],
)
def test_samples_that_cannot_be_learnt_from_are_sentences(home, change, says):
    x, y = change(*samples())
    np.savez("x.npz", **({"x": x} if y is None else {"x": x, "y": y}))
    assert says in run("x.npz", "--epochs", "1", code=2).stderr


def test_the_recipe_follows_from_the_data_where_nothing_is_asked():
    rng = np.random.default_rng(0)
    few = recipe.for_data(rng.integers(0, 4, (300, 9)).astype(np.float32), 3)
    assert (few.bits, few.luts, few.candidates, few.batch_size) == (3, (60,), 0, 32)
    many = recipe.for_data(rng.normal(size=(12_000, 700)).astype(np.float32), 10)
    assert (many.bits, many.luts, many.candidates, many.batch_size) == (3, (600,), 0, 64)
    wide = recipe.for_data(rng.normal(size=(1_000, 3_000)).astype(np.float32), 2, luts=(600,))
    assert wide.candidates == 16
    # One feature of many values and seventy of two: most bits of these repeat, and take no share of the thresholds.
    few_grades = recipe.for_data(np.hstack([rng.normal(size=(300, 1)), rng.integers(0, 2, (300, 70))]), 2)
    assert (few_grades.bits, few_grades.candidates) == (32, 16)
    asked = recipe.for_data(rng.normal(size=(500, 5)).astype(np.float32), 2, luts=(40, 20), bits=7, tau=2.0, seed=4)
    assert (asked.luts, asked.bits, asked.tau, asked.seed, asked.epochs) == ((40, 20), 7, 2.0, 4, 30)
    with pytest.raises(OptionError, match="--bits"):
        recipe.for_data(rng.normal(size=(50, 5)).astype(np.float32), 2, bits=-3)


def test_parts_are_stratified_and_the_interval_is_wilsons():
    y = np.repeat([0, 1, 2], [500, 30, 6])
    first, second = trainer.stratified(y, 0.2, 0)
    assert sorted([*first, *second]) == list(range(536))
    assert np.bincount(y[second]).tolist() == [100, 6, 1]
    assert not (trainer.stratified(y, 0.2, 1)[1] == second).all()
    # Newcombe 1998, table I: 81 of 263, and 0 of 20.
    assert [round(end, 4) for end in proportions.interval(81, 263)] == [0.2553, 0.3662]
    assert [round(end, 4) for end in proportions.interval(0, 20)] == [0.0, 0.1611]


def test_a_training_ends_where_patience_does_and_keeps_the_best_epoch(home):
    x, y = samples(120)
    x, y = x.astype(np.float32), np.unique(y, return_inverse=True)[1]
    training = trainer.Trainer(recipe.for_data(x, 3, epochs=40, patience=2), x, y, 3)
    told = list(training.epochs())
    assert len(told) < 40
    assert training.epoch == training.best_epoch + 2
    assert training.best_accuracy == max(each.accuracy for each in told) == told[training.best_epoch - 1].accuracy
    model = training.finish()
    bits = training._valid.float()
    assert float((model(bits).argmax(1) == training._y_valid).double().mean()) == training.best_accuracy


def test_a_folder_is_the_files_that_begin_with_train_and_with_test(home):
    table(home / "train-pets.csv", *samples(300))
    table(home / "Test.tsv", *samples(60, seed=1))
    (home / "train-labels.txt").write_text("beside it")
    report = json.loads(run(home, "--epochs", "1", "--json").stdout)
    assert (report["training_samples"], report["test_samples"], report["test_file"]) == (300, 60, None)
    table(home / "train2.csv", *samples(30))
    said = run(home, "--epochs", "1", code=2).stderr
    assert "one file that begins with train" in said
    assert "train-pets.csv, train2.csv" in said
