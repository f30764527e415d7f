"""``dwn-hw train --kind``: each trains, goes on after a cut, exports by the printed command, and predicts as the model does."""

from __future__ import annotations

import json
import shlex

import numpy as np
import pytest
from click.testing import CliRunner
from groups import swept

import dwn_hw
from dwn_hw.cli import main
from dwn_hw.errors import CheckpointError, OptionError
from dwn_hw.frontend import checkpoints, training_run
from dwn_hw.frontend.integer_networks import saved_network
from dwn_hw.nn import LinearShift, LinearShiftQ, prepared, recipes, trainer
from dwn_hw.nn.digits import load_digits_split
from dwn_hw.nn.training import predict

torch = pytest.importorskip("torch")

#: Each kind, small, with what it must reach on unseen digits in few epochs.
KINDS = {
    "dwn": ({"luts": (50,), "bits": 2}, 0.75),
    "shift": ({"hidden": (10,)}, 0.75),
    "difflogic-like": ({"luts": (150, 150, 150), "bits": 2}, 0.55),
}


def run(*words, code=0, command="train"):
    done = CliRunner().invoke(main.main, [command, *map(str, words)])
    assert done.exit_code == code, done.output
    return done


def options(kind):
    """A kind's small recipe as words of the command line."""
    pairs = [(f"--{name}", ",".join(map(str, v)) if isinstance(v, tuple) else v) for name, v in KINDS[kind][0].items()]
    return ["--kind", kind, *(word for pair in pairs for word in pair)]


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def digits():
    split = load_digits_split()
    return np.concatenate([split.x_train, split.x_test]), np.concatenate([split.y_train, split.y_test])


@pytest.mark.parametrize("kind", ["shift", "difflogic-like", *swept("dwn")])
def test_each_kind_learns_digits_and_its_export_predicts_as_the_model_does(home, digits, kind):
    x, y = digits
    np.savez("digits.npz", x=x, y=y)
    report = json.loads(run("digits.npz", *options(kind), "--epochs", "4", "--json").stdout)
    assert report["accuracy"] > KINDS[kind][1]
    assert report["recipe"]["kind"] == kind
    run(*shlex.split(report["next"])[2:], command="export")
    # The same training again gives the live model, on whose own forward the export is compared.
    first, second = trainer.stratified(y, training_run.TEST, 0)
    recipe = recipes.for_data(kind, x, 10, {**KINDS[kind][0], "epochs": 4})
    training = trainer.Trainer(recipe, x[first], y[first], 10)
    list(training.epochs())
    wanted = predict(training.finish(), training.prepared.encode(x[second]).float()).numpy()
    found, _ = dwn_hw.predict("model-design", x[second])
    assert (found == wanted).all()
    assert round(float((found == y[second]).mean()), 6) == report["accuracy"]
    assert dwn_hw.load("model.pt").training.share(x[first]) == 1


@pytest.mark.parametrize("kind", ["shift", "difflogic-like", *swept("dwn")])
def test_each_kind_goes_on_with_the_same_numbers(home, digits, kind):
    x, y = (part[:300] for part in digits)
    np.savez("digits.npz", x=x, y=y)
    words = ("digits.npz", *options(kind), "--epochs", "4", "--json")
    whole = json.loads(run(*words, "-o", "whole.pt").stdout)
    cut_off(2, *words)
    again = json.loads(run(*words, "--resume").stdout)
    for name in ("history", "accuracy", "best_epoch", "recipe"):
        assert again[name] == whole[name], name
    one, other = (torch.load(f"{name}.pt", weights_only=True)["state_dict"] for name in ("whole", "model"))
    assert all((one[name] == other[name]).all() for name in one)


def cut_off(epochs, *words):
    """Begin a training that ends, as by Ctrl-C, after so many epochs."""
    keep, count = training_run._keep, []

    def counted(*arguments):
        keep(*arguments)
        count.append(1)
        if len(count) == epochs:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training_run, "_keep", counted)
        CliRunner().invoke(main.main, ["train", *words])


def test_what_is_of_another_kind_is_refused_by_name(home, digits):
    x, y = (part[:200] for part in digits)
    np.savez("digits.npz", x=x, y=y)
    cut_off(1, "digits.npz", "--epochs", "2", "--kind", "shift")
    said = run("digits.npz", "--epochs", "2", "--resume", code=2).stderr
    assert "--resume: the recipe that the training began with; got kind shift and dwn" in said
    for kind, given, says in (
        (
            "shift",
            {"tau": 2.0, "luts": (9,)},
            ["got 'luts'", "got 'tau'", "It belongs to --kind dwn or difflogic-like"],
        ),
        ("difflogic-like", {"n": 6}, ["got 'n'", "It belongs to --kind dwn."]),
        ("dwn", {"hiden": (3,)}, ["got 'hiden'", "Known: luts, n,"]),
        ("shifts", {}, ["--kind: one of dwn, shift, difflogic-like; got 'shifts'; near it: shift"]),
        ("shift", {"weight_bits": 9}, ["--weight-bits: a whole number from 2 to 8; got 9"]),
        ("difflogic-like", {"luts": (9,)}, ["--luts: a last layer of at least the 10 classes; got 9"]),
    ):
        with pytest.raises(OptionError) as caught:
            dwn_hw.fit(x, y, kind=kind, epochs=1, **given)
        assert all(text in str(caught.value) for text in says), caught.value


def table(count=300, seed=0):
    """Features on no grid, of very different scales, one of them constant; two classes."""
    x = np.random.default_rng(seed).normal(size=(count, 4)) * [1e-3, 1.0, 1e4, 0] + [5e-3, -7.3, 1e5, 2.5]
    x = x.astype(np.float32)
    return x, (x[:, 0] * 1e3 + x[:, 1] > -2.3).astype(np.int64)


@pytest.mark.parametrize("known", [False, *swept(True)])
def test_a_shift_network_takes_its_scale_along(home, known):
    """With samples to choose a port by, and with none: the steps and offsets of the port are the scaler's."""
    x, y = table()
    report = dwn_hw.fit(x, y, kind="shift", hidden=(16,), epochs=12)
    assert report["accuracy"] > 0.85
    model = dwn_hw.load("model.pt")
    dwn_hw.export(model, "out", **({"x": x} if known else {}))
    said = json.loads((home / "out" / "interface.json").read_text())["input"]
    assert [feature["bits"] for feature in said["features"]] == [10] * 4
    scale = prepared.Scaled(model.scaler.offset, model.scaler.factor, 6, 4)
    unseen, _ = table(2000, 1)
    wanted = predict(model.module, scale.encode(unseen)).numpy()
    assert (dwn_hw.predict("out", unseen)[0] == wanted).all()


def test_whole_numbers_that_are_no_pixels_are_scaled_one_by_one():
    x, _ = table()
    recipe = recipes.for_data("shift", x, 2, {})
    made = prepared.fit(recipe, np.rint(np.abs(x)))
    assert len(set(made.factor)) > 1
    pixels = np.random.default_rng(0).integers(0, 256, (50, 64)).astype(np.float32)
    shared = prepared.fit(recipe, pixels)
    assert set(shared.factor) == {256}
    assert not shared.offset.any()
    assert (shared.encode(pixels).numpy() == np.floor(pixels / 16) / 16).all()


def test_a_save_of_shift_layers_is_read_back_or_refused(home):
    torch.manual_seed(0)
    layers = LinearShiftQ(4, 6, floored=True, act_integer_bits=4, act_fraction_bits=3), LinearShift(6, 3, bias=False)
    model = torch.nn.Sequential(layers[0], torch.nn.ReLU(), layers[1])
    x = torch.randn(20, 4)
    dwn_hw.save(model, "m.pt", scaler={"mean": [0.0] * 4, "scale": [0.5] * 4}, class_names=["a", "b", "c"])
    loaded = dwn_hw.load("m.pt")
    assert (loaded.module(x) == model(x)).all()
    assert loaded.class_names == ("a", "b", "c")
    assert (loaded.scaler.factor == 0.5).all()
    with pytest.raises(OptionError, match="--normalize: only for a model without a scaler; got standard"):
        dwn_hw.export(loaded, "out", normalize="0,1")
    with pytest.raises(CheckpointError, match="Linear"):
        dwn_hw.save(torch.nn.Sequential(layers[0], torch.nn.Linear(6, 3)), "n.pt")
    content = checkpoints.read("m.pt")
    for change, says in (
        (lambda own: own.update(version=2), "version 2, which is newer"),
        (lambda own: own["state_dict"].pop("0.weight"), "weight must be an array .outputs, inputs.; got none"),
        (lambda own: own["state_dict"].update({"0.bias": np.zeros(9)}), "must be a LinearShiftQ with its arrays"),
        (lambda own: own["layers"][1].update(kind="Tanh"), "must be one of .*; got Tanh"),
        (lambda own: own.update(layers=[]), "got no shift layer"),
        (lambda own: own["scaler"].update(factor=np.ones(3)), "factor must have one number, or one for each of the 4"),
    ):
        own = {**content, "layers": [{**entry} for entry in content["layers"]], "scaler": {**content["scaler"]}}
        own["state_dict"] = {**content["state_dict"]}
        change(own)
        with pytest.raises(CheckpointError, match=says):
            saved_network.read(own, "m.pt")


@pytest.mark.sweeps
@pytest.mark.parametrize(("kind", "accuracy"), [("dwn", 0.955), ("shift", 0.95), ("difflogic-like", 0.94)])
def test_each_kind_by_its_own_rules_on_digits(home, digits, kind, accuracy):
    assert dwn_hw.fit(*digits, kind=kind)["accuracy"] > accuracy
