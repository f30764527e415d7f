"""``--arch``: weights and the user's own class; a real DeepShift network on all MNIST test images; searched widths."""

from __future__ import annotations

import copy
import gzip
import importlib.util
import json
import re
import sys
import types

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from groups import swept
from torch import nn

import dwn_hw
from dwn_hw.cli import main
from dwn_hw.errors import CheckpointError, DataError, OptionError
from dwn_hw.exports import planning
from dwn_hw.exports.options import Options
from dwn_hw.frontend import input_port
from dwn_hw.frontend.integer_networks import float64_reference, tracing
from dwn_hw.frontend.integer_networks.input_stage import choose
from dwn_hw.frontend.integer_networks.trained_network import LiveModel
from dwn_hw.frontend.trained_dwn import Scaler
from dwn_hw.ir.emulate import Emulator
from dwn_hw.ir.sample_files import Samples, to_codes
from dwn_hw.nn import LinearShiftQ
from dwn_hw.nn.training import fit

NETS = """
import torch.nn.functional as F
from torch import nn

from dwn_hw.nn import Conv2dShiftQ, LinearShift, LinearShiftQ


class ConvMNIST(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = Conv2dShiftQ(1, 20, 5), Conv2dShiftQ(20, 50, 5)
        self.fc1, self.fc2 = LinearShiftQ(800, 500), LinearShiftQ(500, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2, 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2, 2)
        x = F.relu(self.fc1(x.view(-1, 800)))
        return F.log_softmax(self.fc2(x), dim=1)


class Small(nn.Sequential):
    def __init__(self, hidden=3):
        super().__init__(LinearShift(4, hidden), nn.ReLU(), LinearShiftQ(hidden, 2))


def wider():
    return Small(5)


class Needy(nn.Module):
    def __init__(self, size):
        super().__init__()


def nothing():
    return 3
"""


@pytest.fixture
def nets(tmp_path):
    """The user's own file."""
    path = tmp_path / "nets.py"
    path.write_text(NETS)
    return path


@pytest.fixture
def small(tmp_path, nets):
    """Weights of ``Small``, as a state_dict."""
    torch.manual_seed(0)
    path = tmp_path / "small.pth"
    torch.save(dwn_hw_class(nets, "Small").state_dict(), path)
    return path


def dwn_hw_class(path, name):
    """One of the classes, made."""
    spec = importlib.util.spec_from_file_location("nets_of_a_test", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)()


# ----------------------------------------------------------------------------------------------------------- --arch


@pytest.mark.parametrize(
    "wrap", [lambda s: s, lambda s: {"state_dict": s, "epoch": 3}, lambda s: {f"module.{k}": v for k, v in s.items()}]
)
def test_weights_come_into_the_class_however_they_are_wrapped(tmp_path, nets, small, wrap):
    torch.save(wrap(torch.load(small)), tmp_path / "wrapped.pth")
    model = dwn_hw.load(tmp_path / "wrapped.pth", f"{nets}:Small")
    wanted = dwn_hw_class(nets, "Small")
    wanted.load_state_dict(torch.load(small))
    assert dwn_hw.freeze(model).nodes == dwn_hw.freeze(wanted).nodes
    assert model.source == "wrapped.pth: state_dict of Small"


def test_a_whole_module_of_the_class_gives_its_arrays_and_the_class_comes_from_the_file(
    tmp_path, nets, small, monkeypatch
):
    """Nothing of the pickled class is run or imported: the file that is named says what it is."""
    wanted = dwn_hw_class(nets, "Small")
    wanted.load_state_dict(torch.load(small))
    elsewhere = types.ModuleType("somebody_s_nets")
    monkeypatch.setitem(sys.modules, "somebody_s_nets", elsewhere)
    whole = type("Net", (type(wanted),), {"__module__": "somebody_s_nets"})
    elsewhere.Net = whole
    given = copy.deepcopy(wanted)
    given.__class__ = whole
    for content in (given, {"model": given, "epoch": 3}, {"net": torch.nn.DataParallel(given)}):
        torch.save(content, tmp_path / "whole.pth")
        monkeypatch.delitem(sys.modules, "somebody_s_nets", raising=False)
        model = dwn_hw.load(tmp_path / "whole.pth", f"{nets}:Small")
        assert dwn_hw.freeze(model).nodes == dwn_hw.freeze(wanted).nodes
        monkeypatch.setitem(sys.modules, "somebody_s_nets", elsewhere)


def test_of_several_networks_of_the_class_key_picks_one(tmp_path, nets, small):
    first = torch.load(small)
    second = {name: value * 0.5 if "bias" in name else value for name, value in first.items()}
    forms = {
        "dictionaries": (
            {"model": first, "ema": second, "epoch": 1},
            "several: model, ema. Say which one: --key model.",
        ),
        "roots": (
            {"state_dict": {f"{k}.{n}": v for k, s in (("model", first), ("ema", second)) for n, v in s.items()}},
            "several: state_dict.ema, state_dict.model. Say which one",
        ),
    }
    for content, message in forms.values():
        torch.save(content, tmp_path / "two.pth")
        with pytest.raises(CheckpointError, match=re.escape(message)):
            dwn_hw.load(tmp_path / "two.pth", f"{nets}:Small")
        for key, state in (("model", first), ("ema", second)):
            wanted = dwn_hw_class(nets, "Small")
            wanted.load_state_dict(state)
            model = dwn_hw.load(tmp_path / "two.pth", f"{nets}:Small", key=key)
            assert dwn_hw.freeze(model).nodes == dwn_hw.freeze(wanted).nodes
        with pytest.raises(CheckpointError, match="--key: must name a network in the file; got 'best'; there are"):
            dwn_hw.load(tmp_path / "two.pth", f"{nets}:Small", key="best")


def test_the_file_is_run_only_when_it_is_named(tmp_path, small):
    (tmp_path / "loud.py").write_text("raise SystemError('it ran')")
    with pytest.raises(CheckpointError, match=r"--arch FILE\.py:CLASS"):
        dwn_hw.load(small)
    with pytest.raises(OptionError, match="SystemError: it ran"):
        dwn_hw.load(small, f"{tmp_path / 'loud.py'}:Small")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("Smal", "Nearest: Small"),
        ("ConvMnist", "Nearest: ConvMNIST"),
        ("Needy", "Name a class or function that needs no arguments"),
        ("nothing", "nothing, which gives a int"),
        ("", "a file and a class"),
    ],
)
def test_a_class_that_is_none_is_refused_with_the_nearest_names(nets, small, name, sentence):
    with pytest.raises(OptionError, match=sentence):
        dwn_hw.load(small, f"{nets}:{name}")


def test_a_file_that_is_none_is_refused(tmp_path, small):
    with pytest.raises(OptionError, match="--arch: a file that exists"):
        dwn_hw.load(small, f"{tmp_path / 'none.py'}:Small")


def test_weights_of_another_class_are_refused_with_every_name_and_shape(tmp_path, nets, small):
    state = torch.load(small)
    state["2.weights"] = state.pop("2.weight")
    state["3.bias"] = torch.zeros(2)
    torch.save(state, tmp_path / "other.pth")
    with pytest.raises(CheckpointError) as caught:
        dwn_hw.load(tmp_path / "other.pth", f"{nets}:wider")
    texts = [str(problem) for problem in caught.value.problems]
    assert len(texts) == 6
    for sentence in (
        "2.weight: must be in the file, of shape (2, 5); got no such name",
        "The file has 2.weights.",
        "2.weights: must belong to a layer of the class; got an array of shape (2, 3)",
        "3.bias: must belong to a layer of the class",
        "0.shift: must be of shape (5, 4); got (3, 4)",
        "0.sign: must be of shape (5, 4)",
        "0.bias: must be of shape (5,)",
    ):
        assert any(sentence in text for text in texts), sentence


def test_what_holds_no_state_dict_is_refused(tmp_path, nets):
    torch.save({"model": {"a": "text"}}, tmp_path / "text.pth")
    with pytest.raises(CheckpointError, match="must hold a state_dict, for --arch"):
        dwn_hw.load(tmp_path / "text.pth", f"{nets}:Small")


def test_check_shows_what_would_be_built_and_json_says_the_same(tmp_path, nets, small):
    samples = tmp_path / "x.npz"
    np.savez(samples, x=np.random.default_rng(0).integers(0, 200, (60, 4)), y=np.zeros(60, int))
    words = ["check", str(small), "--arch", f"{nets}:Small", "--data", str(samples)]
    said = CliRunner().invoke(main.main, words)
    assert said.exit_code == 0, said.output
    for sentence in (
        "Dense",
        "the data lies on the grid of step 1: u8",
        "scores equal to torch float64",
        "left out",
    ):
        assert sentence in said.stderr
    report = json.loads(CliRunner().invoke(main.main, [*words, "--json", "--quiet"]).stdout)
    assert report["kind"] == "shift"
    assert report["data"]["equal_to_reference"] == 60
    assert 0 <= report["data"]["largest_score_difference"] < 0.1
    assert report["weights"][0]["weights"] == 12
    assert CliRunner().invoke(main.main, [*words[:3], f"{nets}:Smal"]).exit_code == 2


def test_options_that_a_kind_of_network_has_not_are_refused(nets, small):
    with pytest.raises(OptionError, match="--max-drop: only with --calibrate"):
        dwn_hw.freeze(dwn_hw.load(small, f"{nets}:Small"), max_drop=0.1)
    with pytest.raises(OptionError, match="--calibrate: not with --activations"):
        dwn_hw.freeze(dwn_hw.load(small, f"{nets}:Small"), calibrate=np.zeros((9, 4)), activations="4.4")
    with pytest.raises(OptionError, match="--no-scaler: only for a model that was saved with a scaler"):
        dwn_hw.freeze(dwn_hw.load(small, f"{nets}:Small"), use_scaler=False)
    with pytest.raises(OptionError, match="--input-shape: the shape of a sample"):
        dwn_hw.freeze(dwn_hw_class(nets, "ConvMNIST"))


# --------------------------------------------------------------------------------------------- the real network


@pytest.fixture
def images(data):
    """``images(part)``: MNIST's bytes (samples, 1, 28, 28) and classes, or a skip."""
    folder = data("mnist")

    def read(part):
        pixels, classes = (
            np.frombuffer(gzip.decompress((folder / f"{part}-{kind}-ubyte.gz").read_bytes()), np.uint8)
            for kind in ("images-idx3", "labels-idx1")
        )
        return pixels[16:].reshape(-1, 1, 28, 28), classes[8:].astype(np.int64)

    return read


OPTIONS = {"input_format": "u8/255", "normalize": "0.1307,0.3081"}


@pytest.fixture
def real(data, nets):
    """The real DeepShift-Q checkpoint."""
    folder = data("deepshift-mnist/simple_conv_shift_q_all_wb_5")
    return dwn_hw.load(folder / "weights.pth", f"{nets}:ConvMNIST")


@pytest.mark.parametrize(("count", "accuracy"), [(1_000, 0.986), *swept((10_000, 0.9893))])
def test_the_real_network_at_16_16_predicts_all_images_as_torch_in_float64(real, images, count, accuracy):
    x, y = (values[:count] for values in images("t10k"))
    network = dwn_hw.freeze(real, input_shape="1,28,28", **OPTIONS)
    scores, classes = Emulator(network).run(x.astype(np.int64))
    scaler = Scaler("standard", np.full(784, 0.1307, "f4"), np.full(784, 0.3081, "f4"))
    model = tracing.trace(real.module, (1, 28, 28), scaler)
    formats = tuple(layer.own for layer in model.layers)
    entry = choose(model, formats[0], input_port.parse("u8/255"))
    wanted, exact = float64_reference.run(model, formats, entry.values(model, x.astype(np.int64)))
    assert exact.all()
    assert np.array_equal(scores * 2.0 ** network.edges()[-2].formats[0].lsb, wanted)
    assert np.array_equal(classes, wanted.argmax(axis=1))
    # As the network was given, in float32, by its own class: 98.93 % of all.
    floats = scaler.apply((x / np.float32(255)).reshape(-1, 784)).reshape(x.shape)
    assert np.mean(model.original(floats).argmax(axis=1) == y) == accuracy
    assert np.mean(classes == y) == accuracy


@pytest.mark.sweeps
def test_the_real_network_at_searched_widths_is_within_a_twentieth_of_a_point(real, images):
    x, y = images("train")
    asked = Options(calibrate=Samples(x[:3000], None, y[:3000], "train"), max_drop=0.004, **OPTIONS)
    decided = planning.plan(real, asked)
    report = decided.report
    assert report["calibration"]["met"]
    assert report["calibration"]["taken"]["most_dropped"] <= 0.004
    widths = [row["bits"] for row in report["activations"]["layers"]]
    assert max(widths) <= 12
    x, y = images("t10k")
    accuracy = (Emulator(decided.frozen).run(x.astype(np.int64))[1] == y).mean()
    assert round(0.9893 - accuracy, 6) <= 0.0005, widths


# ------------------------------------------------------------------------------------------------- searched widths


@pytest.fixture(scope="module")
def digits():
    """A small network trained on the 8×8 digits, and their pixels and classes."""
    pytest.importorskip("sklearn")
    from dwn_hw.nn.digits import load_digits_split

    split = load_digits_split()
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # two would wait for each other, and for whatever else runs
    model = nn.Sequential(LinearShiftQ(64, 32), nn.ReLU(), LinearShiftQ(32, 10))
    fit(model, torch.from_numpy(split.x_train).float() / 16, torch.from_numpy(split.y_train), epochs=20, lr=3e-3)
    torch.set_num_threads(threads)
    return model, split


def searched(digits, max_drop, samples=None):
    """The plan with searched widths."""
    model, split = digits
    x, y = np.concatenate([split.x_train, split.x_test]) / 16, np.concatenate([split.y_train, split.y_test])
    given = Samples(x[:samples], None, y[:samples], "digits")
    return planning.plan(LiveModel(model, "digits"), Options(calibrate=given, max_drop=max_drop)), given


@pytest.mark.parametrize("max_drop", [*swept(None), 0.03])
def test_searched_widths_keep_what_was_asked_on_the_validation_part(digits, max_drop):
    decided, given = searched(digits, max_drop)
    found = decided.report["calibration"]
    assert found["met"]
    assert found["calibration_samples"] + found["validation_samples"] == len(given)
    widths = [row["bits"] for row in decided.report["activations"]["layers"]]
    assert widths == found["taken"]["bits"]
    if max_drop is None:
        assert found["taken"]["changed"] == 0
    else:
        assert found["taken"]["most_dropped"] <= max_drop
        assert max(widths) < 12
    # What is reported of the widths that were taken is so of the network that was frozen.
    network = decided.frozen
    codes = to_codes(given, network).codes
    accuracy = (Emulator(network).run(codes)[1] == given.y).mean()
    assert abs(accuracy - found["taken"]["accuracy"]) < 0.02


@pytest.mark.sweeps
def test_fewer_bits_are_found_where_more_may_be_lost(digits):
    kept, some, much = (
        sum(row["bits"] for row in searched(digits, drop)[0].report["activations"]["layers"])
        for drop in (None, 0.02, 0.2)
    )
    assert kept >= some > much


def test_samples_that_cannot_support_the_search_are_refused(digits):
    with pytest.raises(DataError, match=r"to support --max-drop 0\.001"):
        searched(digits, 0.001, 300)
    model, split = digits
    given = Samples(split.x_train / 16, None, None, "unlabelled")
    with pytest.raises(DataError, match="unlabelled: y, the classes, for --max-drop"):
        planning.plan(LiveModel(model, "digits"), Options(calibrate=given, max_drop=0.1))
