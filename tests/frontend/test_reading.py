"""A file read otherwise than its author meant is refused by name; what is read predicts as the author's own forward does."""

from __future__ import annotations

import argparse
import copy
import dataclasses
import itertools
import json
import sys
import types

import numpy as np
import pytest
from click.testing import CliRunner

from dwn_hw import nn
from dwn_hw.cli import main
from dwn_hw.errors import CheckpointError
from dwn_hw.exports import planning
from dwn_hw.exports.options import Options
from dwn_hw.frontend import checkpoints
from dwn_hw.frontend.module_state import switch
from dwn_hw.ir import evaluate

torch = pytest.importorskip("torch")
safetensors_torch = pytest.importorskip("safetensors.torch")

FEATURES, BITS, CLASSES, SAMPLES = 6, 5, 4, 500


@pytest.fixture(scope="module")
def x():
    return torch.from_numpy(np.random.default_rng(3).normal(2.0, 3.0, (SAMPLES, FEATURES)).astype("f4"))


@pytest.fixture(scope="module")
def scale(x):
    return x.mean(0), x.std(0)


@pytest.fixture(scope="module")
def thermometer(x, scale):
    return nn.GaussianThermometer(BITS).fit((x - scale[0]) / scale[1])


def network(seed: int, layers: int = 3, width: int = 30, **options) -> torch.nn.Sequential:
    """LUT layers of one width, so that two networks chain one behind the other, and a vote."""
    torch.manual_seed(seed)
    sizes = [FEATURES * BITS] + [width] * layers
    chain = [nn.LUTLayer(a, b, n=4, **options) for a, b in itertools.pairwise(sizes)]
    return torch.nn.Sequential(*chain, nn.GroupSum(CLASSES, 2.0))


def author(model, thermometer, scale, x):
    """The classes that the author's own forward gives: bits of the scaled samples through the model."""
    with torch.no_grad():
        return model.eval()(thermometer.binarize((x - scale[0]) / scale[1]).flatten(1)).argmax(-1).numpy()


def predictions(path, x, **chosen):
    """The classes that the frozen network gives, on a port fine enough for every sample."""
    trained = checkpoints.load(path, **chosen)
    frozen = planning.plan(trained, Options(input_format="sQ8.20", optimize=False)).frozen
    port = frozen.input.edge.flat_formats()[0]
    codes = np.rint(x.numpy().astype("f8") * 2.0**20).astype(np.int64)
    assert (codes >= port.low).all()
    assert (codes <= port.high).all()
    return evaluate.evaluate(frozen, codes)


def checkpoint(state, thermometer, scale, **beside):
    return {
        "state_dict": state, "thermometer": {"thresholds": thermometer.thresholds},
        "config": {"num_classes": CLASSES, "tau": 2.0},
        "scaler": {"mean": scale[0], "scale": scale[1]}, **beside,
    }  # fmt: skip


def refusal(path, **chosen):
    with pytest.raises(CheckpointError) as caught:
        checkpoints.load(path, **chosen)
    return str(caught.value)


@pytest.fixture
def saved(tmp_path, thermometer, scale):
    """``saved(state, **beside)``: a checkpoint file."""

    def save(state, **beside):
        torch.save(checkpoint(state, thermometer, scale, **beside), tmp_path / "m.pt")
        return tmp_path / "m.pt"

    return save


# ------------------------------------------------------------------------------------------------- several networks

PAIRS = [
    ("model", "ema"),
    ("student", "teacher"),
    ("net", "net_ema"),
    ("module.online", "module.target"),
    ("a.layers", "b.layers"),
]


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_two_networks_in_one_state_dict_are_refused_and_key_picks_each(saved, thermometer, scale, x, first, second):
    nets = {first: network(0), second: network(1)}
    path = saved({f"{root}.{name}": value for root, net in nets.items() for name, value in net.state_dict().items()})
    message = refusal(path)
    assert f"LUT layers must belong to one network; got several in the state_dict: {first}, {second}. Say" in message
    assert f"--key {first}" in message
    for root, net in nets.items():
        np.testing.assert_array_equal(predictions(path, x, key=root), author(net, thermometer, scale, x))


def test_the_copies_of_an_ensemble_are_several_networks(saved, thermometer, scale, x):
    nets = [network(0), network(1)]
    path = saved(
        {f"models.{i}.{name}": value for i, net in enumerate(nets) for name, value in net.state_dict().items()}
    )
    assert "several in the state_dict: models.0, models.1. Say which one with --key models.0" in refusal(path)
    np.testing.assert_array_equal(predictions(path, x, key="models.1"), author(nets[1], thermometer, scale, x))


@pytest.mark.parametrize("whole", [True, False])
def test_two_networks_side_by_side_in_a_checkpoint_are_refused_and_key_picks_each(
    tmp_path, thermometer, scale, x, whole
):
    nets = {"model": network(0), "ema": network(1)}
    content = checkpoint(None, thermometer, scale) | {k: net if whole else net.state_dict() for k, net in nets.items()}
    torch.save(content, tmp_path / "m.pt")
    assert "must hold one network, or be told which; got several: model, ema. Say which one: --key model." in refusal(
        tmp_path / "m.pt"
    )
    for key, net in nets.items():
        np.testing.assert_array_equal(predictions(tmp_path / "m.pt", x, key=key), author(net, thermometer, scale, x))


def test_key_reaches_into_dictionaries_and_says_what_there_is(tmp_path, thermometer, scale, x):
    net = network(0)
    inner = checkpoint(net.state_dict(), thermometer, scale)
    torch.save({"run": {"last": inner, "epoch": 3}}, tmp_path / "m.pt")
    assert "deeper ones: run.last.state_dict. Say --key run.last.state_dict." in refusal(tmp_path / "m.pt")
    np.testing.assert_array_equal(
        predictions(tmp_path / "m.pt", x, key="run.last.state_dict"), author(net, thermometer, scale, x)
    )
    assert "must name a network in the checkpoint; got 'best'; there are run.last.state_dict." in refusal(
        tmp_path / "m.pt", key="best"
    )


def test_one_network_saved_twice_is_one(tmp_path, thermometer, scale, x):
    net = network(0)
    content = checkpoint(net.state_dict(), thermometer, scale) | {"model": net}
    torch.save(content, tmp_path / "m.pt")
    np.testing.assert_array_equal(predictions(tmp_path / "m.pt", x), author(net, thermometer, scale, x))


# ------------------------------------------------------------------------------------------------- order of layers


def reordered(state, template):
    """The state_dict with its names by a template, sorted as text."""
    renamed = {template.format(*name.split(".", 1)): value for name, value in state.items()}
    return {name: renamed[name] for name in sorted(renamed)}


@pytest.mark.parametrize("template", ["layers.{}.{}", "{}.{}", "net.blocks.{}.lut.{}", "lut{}.{}", "model.l{}_lut.{}"])
def test_layers_are_taken_by_their_numbers_however_the_file_sorts_them(saved, thermometer, scale, x, template):
    net = network(0, layers=11)
    path = saved(reordered(net.state_dict(), template))
    np.testing.assert_array_equal(predictions(path, x), author(net, thermometer, scale, x))


def test_names_without_numbers_are_taken_as_they_stand_and_that_is_said(saved, thermometer, scale, x):
    net = network(0)
    names = ["stem", "body", "head"]
    path = saved({f"{names[int(k[0])]}.{k[2:]}": v for k, v in net.state_dict().items()})
    assert "layers follow one another as they stand in the file: stem, body, head" in checkpoints.load(path).assumed
    np.testing.assert_array_equal(predictions(path, x), author(net, thermometer, scale, x))


# ------------------------------------------------------------------------------------------------- safetensors


def test_a_safetensors_file_is_read_with_the_config_in_its_metadata(tmp_path, thermometer, scale, x):
    net = network(0, layers=11)
    arrays = {f"layers.{name}": value.contiguous() for name, value in net.state_dict().items()}
    arrays |= {"thermometer.thresholds": thermometer.thresholds, "scaler.mean": scale[0], "scaler.scale": scale[1]}
    said = {
        "format": "pt",
        "config": json.dumps({"num_classes": CLASSES, "tau": 2.0}),
        "class_names": json.dumps(list("abcd")),
    }
    safetensors_torch.save_file(arrays, tmp_path / "m.safetensors", said)
    assert checkpoints.load(tmp_path / "m.safetensors").class_names == tuple("abcd")
    np.testing.assert_array_equal(predictions(tmp_path / "m.safetensors", x), author(net, thermometer, scale, x))


@pytest.mark.parametrize("file", ["m.json", "config.json"])
def test_a_safetensors_file_is_read_with_the_json_beside_it(tmp_path, thermometer, scale, x, file):
    net = network(0)
    safetensors_torch.save_file({k: v.contiguous() for k, v in net.state_dict().items()}, tmp_path / "m.safetensors")
    assert "class count: must be known" in refusal(tmp_path / "m.safetensors")
    said = {"num_classes": CLASSES, "tau": 2, "thermometer": {"thresholds": thermometer.thresholds.tolist()}}
    said["scaler"] = {"mean": scale[0].tolist(), "scale": scale[1].tolist()}
    (tmp_path / file).write_text(json.dumps(said))
    # Scaled in float64, as numbers in JSON are: no sample here is so close to a threshold that it matters.
    np.testing.assert_array_equal(predictions(tmp_path / "m.safetensors", x), author(net, thermometer, scale, x))


def test_a_safetensors_file_whose_names_hold_no_numbers_is_refused_since_it_sorts_them(tmp_path):
    state = {f"{name}.{k}": v.contiguous() for name in ("stem", "head") for k, v in network(0)[0].state_dict().items()}
    safetensors_torch.save_file(state, tmp_path / "m.safetensors", {"num_classes": "4"})
    assert "names must number the layers, or nobody knows their order; got layers named head, stem" in refusal(
        tmp_path / "m.safetensors"
    )


def test_the_frozen_network_of_an_export_is_no_model(tmp_path, thermometer, scale, x, saved):
    from dwn_hw.ir import serialize

    trained = checkpoints.load(saved(network(0).state_dict()))
    serialize.save(planning.plan(trained, Options(input_format="s16")).frozen, tmp_path / "network.safetensors")
    assert "the frozen network of an export. Give the trained model" in refusal(tmp_path / "network.safetensors")


@pytest.mark.parametrize("damage", [b"", b"\xff" * 40, b"9999999"])
def test_a_damaged_safetensors_file_is_refused_in_words(tmp_path, damage):
    safetensors_torch.save_file({"0.luts": torch.zeros(2, 4)}, tmp_path / "m.safetensors")
    raw = (tmp_path / "m.safetensors").read_bytes()
    (tmp_path / "m.safetensors").write_bytes(raw[:30] + damage + raw[30 + len(damage) : -4])
    assert "damaged" in refusal(tmp_path / "m.safetensors")


# ------------------------------------------------------------------------------------------------- beside the model

SCALERS = ["standard_scaler", "sc", "normalizer", "preprocessor", "transform", "scaling", "input_transform"]


@pytest.mark.parametrize("key", SCALERS)
def test_a_scaler_under_any_key_is_used(saved, thermometer, scale, x, key):
    net = network(0)
    path = saved(net.state_dict(), scaler=None, **{key: {"mean": scale[0], "std": scale[1]}})
    np.testing.assert_array_equal(predictions(path, x), author(net, thermometer, scale, x))


@pytest.mark.parametrize("names", [("mean", "std"), ("mu", "sigma"), ("x_mean", "x_std"), ("data_mean", "data_std")])
@pytest.mark.parametrize("in_config", [True, False])
def test_two_arrays_that_are_a_scaler_are_used_at_the_top_and_in_the_config(
    saved, thermometer, scale, x, names, in_config
):
    net = network(0)
    two = dict(zip(names, scale, strict=True))
    config = {"num_classes": CLASSES, "tau": 2.0, **(two if in_config else {})}
    path = saved(net.state_dict(), scaler=None, config=config, **({} if in_config else two))
    np.testing.assert_array_equal(predictions(path, x), author(net, thermometer, scale, x))


@pytest.mark.parametrize("kind", ["StandardScaler", "MinMaxScaler", "RobustScaler", "MaxAbsScaler"])
def test_every_scaler_of_scikit_learn_that_keeps_order_is_used_under_any_key(tmp_path, x, kind):
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    x = x.numpy().astype("f8")
    scaler = getattr(preprocessing, kind)().fit(x)
    scaled = scaler.transform(x)
    thermometer, net = nn.GaussianThermometer(BITS).fit(scaled), network(0)
    content = {"state_dict": net.state_dict(), "thermometer": {"thresholds": thermometer.thresholds}, "sc": scaler}
    torch.save({**content, "config": {"num_classes": CLASSES}}, tmp_path / "m.pt")
    trained = checkpoints.load(tmp_path / "m.pt")
    np.testing.assert_array_equal(trained.scaler.apply(x), scaled)


LOOKS_LIKE = {
    "transform": {"lambda": 3}, "preprocessor": "a pipeline in words", "normalizer": (0.1, 0.2), "pca": np.eye(3),
    "feature_mask": np.ones(6), "input_permutation": np.arange(6), "label_mapping": {0: 1}, "whitening": [1.0, 2.0],
    "inputScale": 255, "quantiles": np.zeros((3, 3)),
}  # fmt: skip


@pytest.mark.parametrize("key", LOOKS_LIKE)
def test_what_looks_like_preprocessing_and_cannot_be_used_is_refused_or_ignored_by_name(
    saved, thermometer, scale, x, key
):
    net = network(0)
    path = saved(net.state_dict(), **{key: LOOKS_LIKE[key]})
    message = refusal(path)
    assert f"{key}: what stands beside the model and looks like preprocessing must be one of its known parts" in message
    assert f"add --ignore {key}." in message
    assert key in checkpoints.load(path, ignore=(key,)).unused
    np.testing.assert_array_equal(predictions(path, x, ignore=(key,)), author(net, thermometer, scale, x))


def test_two_scalers_are_refused_and_one_is_ignored_by_name(saved, scale):
    path = saved(network(0).state_dict(), normalizer={"mean": scale[0] * 0, "std": scale[1]})
    assert (
        "scaler: must stand once beside the model; got scaler, normalizer. Take one out with --ignore normalizer."
        in refusal(path)
    )
    assert checkpoints.load(path, ignore=("normalizer",)).scaler is not None
    assert "must name an entry beside the model; got 'nothing', of" in refusal(path, ignore=("nothing",))


def test_everything_that_is_not_used_is_named(saved):
    path = saved(
        network(0).state_dict(),
        epoch=3,
        optimizer={"lr": 1},
        best_acc=0.7,
        mean_loss=0.1,
        history=[1.0],
        scheduler=None,
    )
    assert checkpoints.load(path).unused == ("epoch", "optimizer", "best_acc", "mean_loss", "history")


def test_a_label_encoder_gives_the_class_names(saved):
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    path = saved(network(0).state_dict(), label_encoder=preprocessing.LabelEncoder().fit(["d", "a", "c", "b"]))
    assert checkpoints.load(path).class_names == tuple("abcd")


# ------------------------------------------------------------------------------------------------- config and ste


@dataclasses.dataclass
class Settings:
    num_classes: int = CLASSES
    tau: float = 2.0
    ste: bool = True


class Node:
    def __init__(self, value):
        self._val = value


class DictConfig:
    """In the shape of OmegaConf's: every value in a node of its own."""

    def __init__(self, **values):
        self._content = {key: Node(value) for key, value in values.items()}
        self._metadata = None


class AttributeDict(dict):
    """In the shape of Lightning's."""


PLAIN = {"num_classes": CLASSES, "tau": 2.0}
FORMS = {
    "args": argparse.Namespace(**PLAIN), "config": Settings(), "cfg": DictConfig(**PLAIN),
    "hyper_parameters": AttributeDict(PLAIN), "hparams": types.SimpleNamespace(**PLAIN),
}  # fmt: skip


@pytest.mark.parametrize("key", FORMS)
def test_a_config_is_read_in_every_form_that_trainers_save(saved, thermometer, scale, x, key):
    net = network(0)
    path = saved(net.state_dict(), **{"config": None, key: FORMS[key]})
    trained = checkpoints.load(path)
    assert (trained.group.k, trained.group.tau) == (CLASSES, 2.0)
    np.testing.assert_array_equal(predictions(path, x), author(net, thermometer, scale, x))


@pytest.mark.parametrize("key", ["args", "config", "cfg", "hparams"])
def test_ste_is_read_in_every_form_of_a_config(saved, key):
    form = copy.deepcopy(FORMS[key])
    if key == "cfg":
        form._content["ste"] = Node(False)
    else:
        form.ste = False
    assert "outputs must be bits; got ste=False and no STE behind it" in refusal(
        saved(network(0).state_dict(), **{"config": None, key: form})
    )


@pytest.mark.parametrize(
    "false", [False, np.False_, 0, 0.0, np.int64(0), torch.tensor(False), torch.tensor([0]), "False", "no", "0"]
)
def test_ste_that_says_no_in_any_way_is_refused_and_yes_is_read(saved, false):
    config = {"num_classes": CLASSES, "ste": false}
    assert "outputs must be bits; got ste=False" in refusal(saved(network(0).state_dict(), config=config))
    true = (
        "true"
        if isinstance(false, str)
        else type(false)(True)
        if not isinstance(false, torch.Tensor)
        else ~false.bool()
    )
    assert switch(true.numpy() if isinstance(true, torch.Tensor) else true) is True
    checkpoints.load(saved(network(0).state_dict(), config=config | {"ste": true}))


@pytest.mark.parametrize("odd", ["perhaps", 2, [True, False], {"a": 1}, torch.zeros(3)])
def test_ste_that_says_neither_is_refused(saved, odd):
    message = refusal(saved(network(0, layers=1).state_dict(), config={"num_classes": CLASSES, "ste": [odd]}))
    assert "ste must be True or False" in message


def test_settings_that_two_places_say_differently_are_refused(saved):
    path = saved(network(0).state_dict(), args={"num_classes": 5})
    assert "num_classes: must be the same wherever the checkpoint says it; got 4 and 5" in refusal(path)


def test_a_chain_without_steps_that_ends_in_one_predicts_as_its_own_forward(tmp_path, thermometer, scale, x):
    net = network(0, ste=False)
    net = torch.nn.Sequential(*list(net)[:-1], nn.STE(), net[-1])
    content = {"model": net, "thermometer": thermometer, "scaler": {"mean": scale[0], "scale": scale[1]}}
    torch.save(content, tmp_path / "m.pt")
    np.testing.assert_array_equal(predictions(tmp_path / "m.pt", x), author(net, thermometer, scale, x))


# ------------------------------------------------------------------------------------------------- what is assumed


def test_what_no_state_dict_holds_is_said(saved):
    assumed = checkpoints.load(saved(network(0).state_dict(), config={"num_classes": CLASSES})).assumed
    assert len(assumed) == 3
    for text, what in zip(assumed, ("no permutation in front of the group sum", "tau = 1", "ste=True"), strict=True):
        assert what in text
    every = {"num_classes": CLASSES, "tau": 2.0, "ste": True, "randperm": False}
    assert checkpoints.load(saved(network(0).state_dict(), config=every)).assumed == ()
    told = checkpoints.load(saved(network(0).state_dict(), config=every | {"scaler": "standard"}, scaler=None)).assumed
    assert told == ("samples come scaled already (scaler = standard): the file holds no such scaler",)


def test_a_permutation_that_was_drawn_and_not_saved_is_refused(saved):
    assert "randperm must hold each of 0..29 once" in refusal(
        saved(network(0).state_dict(), config={"num_classes": 4, "randperm": 30})
    )


def test_accuracy_near_chance_says_that_a_permutation_is_likely_missing(tmp_path, saved, thermometer, scale, x):
    net = network(0)
    order = torch.randperm(30, generator=torch.Generator().manual_seed(1))
    permuted = torch.nn.Sequential(*list(net)[:-1], nn.GroupSum(CLASSES, 2.0, randperm=order))
    y = author(permuted, thermometer, scale, x)
    path = saved(net.state_dict())
    np.savez(tmp_path / "d.npz", x=x.numpy(), y=y)
    words = ["check", str(path), "--data", str(tmp_path / "d.npz")]
    result = CliRunner().invoke(main.main, words)
    assert result.exit_code == 0
    assert "assumed    no permutation in front of the group sum" in result.output
    report = json.loads(CliRunner().invoke(main.main, [*words, "--json"]).stdout)
    near_chance = abs(report["data"]["accuracy"] - 1 / CLASSES) < 0.15
    assert near_chance == any("permutation" in text for text in report["warnings"])
    torch.save(checkpoint(net.state_dict(), thermometer, scale, randperm=order), path)
    report = json.loads(CliRunner().invoke(main.main, [*words, "--json"]).stdout)
    assert (report["data"]["accuracy"] > 0.99, report["warnings"]) == (True, [])


# ------------------------------------------------------------------------------------------------- wrapped modules


def wrapped(kind, model):
    if kind == "compiled":
        return torch.compile(model)
    if kind == "averaged":
        return torch.optim.swa_utils.AveragedModel(model)
    return torch.nn.DataParallel(model)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch.compile itself
@pytest.mark.parametrize(
    ("kind", "form"),
    [
        (kind, form)
        for kind in ("compiled", "averaged", "parallel")
        for form in ("file", "live", "own save", "state_dict")
        if (kind, form) != ("compiled", "file")  # which torch cannot pickle
    ],
)
def test_a_wrapped_module_is_the_module_inside_it(tmp_path, thermometer, scale, x, saved, kind, form):
    net = network(0)
    around = wrapped(kind, net)
    path = tmp_path / "m.pt"
    scaler = {"mean": scale[0], "scale": scale[1]}
    if form == "file":
        torch.save({"model": around, "thermometer": thermometer, "scaler": scaler}, path)
    elif form == "state_dict":
        path = saved(around.state_dict())
    elif form == "own save":
        checkpoints.save(around, path, thermometer=thermometer, scaler=scaler)
    else:
        import dwn_hw

        frozen = dwn_hw.freeze(around, thermometer=thermometer, scaler=scaler, input_format="sQ8.20")
        codes = np.rint(x.numpy().astype("f8") * 2.0**20).astype(np.int64)
        np.testing.assert_array_equal(evaluate.evaluate(frozen, codes), author(net, thermometer, scale, x))
        return
    np.testing.assert_array_equal(predictions(path, x), author(net, thermometer, scale, x))


def test_a_module_for_several_processes_is_read_from_a_file(tmp_path, thermometer, scale, x):
    net = network(0)
    around = torch.nn.DataParallel(net)
    around.__class__ = torch.nn.parallel.DistributedDataParallel
    around.__dict__.update(require_forward_param_sync=True)
    state = torch.nn.Module.__getstate__(around) if hasattr(torch.nn.Module, "__getstate__") else dict(around.__dict__)
    assert state["_modules"]["module"] is net
    from dwn_hw.frontend.extract import extract

    content = {"model": around, "thermometer": thermometer, "scaler": {"mean": scale[0], "scale": scale[1]}}
    assert len(extract(content).layers) == 3


# ------------------------------------------------------------------------------------------------- a class of one's own


@pytest.fixture
def own_class(monkeypatch):
    class Net(torch.nn.Module):
        def __init__(self, inside):
            super().__init__()
            self.inside = inside
            self.act = torch.nn.functional.relu

        def forward(self, x):
            return self.inside(x)

    Net.__module__, Net.__qualname__ = "__main__", "Net"
    monkeypatch.setattr(sys.modules["__main__"], "Net", Net, raising=False)
    return Net


def test_a_class_of_ones_own_is_refused_with_remedies_that_work(tmp_path, thermometer, scale, x, own_class):
    net = own_class(network(0))
    content = {"model": net, "thermometer": thermometer, "scaler": {"mean": scale[0], "scale": scale[1]}}
    torch.save(content, tmp_path / "m.pt")
    message = refusal(tmp_path / "m.pt")
    assert "got __main__.Net at position 0, a class of its own with Sequential" in message
    assert (
        "dwn_hw.save(torch.nn.Sequential(model.inside), …); or say which part is the whole network: --key model.inside."
        in message
    )
    np.testing.assert_array_equal(
        predictions(tmp_path / "m.pt", x, key="model.inside"), author(net, thermometer, scale, x)
    )
    remedied = torch.nn.Sequential(net.inside)
    checkpoints.save(remedied, tmp_path / "n.pt", thermometer=thermometer, scaler=content["scaler"])
    np.testing.assert_array_equal(predictions(tmp_path / "n.pt", x), author(net, thermometer, scale, x))
