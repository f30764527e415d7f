"""From modules and dictionaries to a trained network: what each attribute means, and every refusal in full."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dwn_hw.errors import CheckpointError
from dwn_hw.frontend.extract import extract, extract_modules
from dwn_hw.frontend.pickles.standins import Inert
from dwn_hw.frontend.trained_dwn import TrainedDwn


def module(name: str, package: str = "torch_dwn", **state: Any) -> Inert:
    """A stand-in as the reader makes them; submodules go where torch keeps them."""
    made = Inert(package, name)
    children = {key: value for key, value in state.items() if isinstance(value, Inert)}
    made.__dict__.update({key: value for key, value in state.items() if key not in children}, _modules=children)
    return made


def chain(*layers: Inert) -> Inert:
    made = Inert("torch.nn.modules.container", "Sequential")
    made.__dict__["_modules"] = {str(index): layer for index, layer in enumerate(layers)}
    return made


def lut(inputs: int = 4, luts: int = 3, n: int = 2, seed: int = 0, **changes: Any) -> Inert:
    rng = np.random.default_rng(seed)
    state = {
        "input_size": inputs, "output_size": luts, "n": n, "ste": True,
        "luts": rng.normal(size=(luts, 2**n)).astype("f4"),
        "mapping": rng.integers(0, inputs, (luts, n)).astype("i4"),
    }  # fmt: skip
    return module("LUTLayer", **{**state, **changes})


def group(k: Any = 3, **changes: Any) -> Inert:
    return module("GroupSum", **{"k": k, "tau": 1.0, "randperm": None, **changes})


def encoder(thresholds: Any = None, **changes: Any) -> Inert:
    values = np.array([[0.0, 1.0], [2.0, 3.0]], dtype="f4") if thresholds is None else thresholds
    return module("Thermometer", **{"thresholds": values, "num_bits": None, "feature_wise": True, **changes})


def content(*layers: Inert, **beside: Any) -> dict[str, Any]:
    return {"model": chain(*(layers or (lut(), group()))), "thermometer": encoder(), **beside}


def plain_dict(**changes: Any) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    state = {
        "0.luts": rng.normal(size=(3, 4)).astype("f4"), "0.mapping": rng.integers(0, 4, (3, 2)).astype("i4"),
    }  # fmt: skip
    config = {"n": 2, "layers": [3], "num_classes": 3, "thermometer_bits": 2, "tau": 2.0}
    thermometer = {"thresholds": np.array([[0.0, 1.0], [2.0, 3.0]], dtype="f4")}
    return {"state_dict": state, "config": config, "thermometer": thermometer, **changes}


def problems(what: Any) -> list[str]:
    with pytest.raises(CheckpointError) as caught:
        extract(what, "m.pt")
    assert all(problem.remedy for problem in caught.value.problems)
    return [str(problem) for problem in caught.value.problems]


# --------------------------------------------------------------------------------------------- semantics


def test_a_table_bit_is_one_only_strictly_above_zero():
    luts = np.array([[0.0, -0.0, 1e-45, -1.0]], dtype="f4")
    trained = extract(content(replaced(lut(luts=1), luts=luts), group(1)))
    assert trained.layers[0].tables.tolist() == [[0, 0, 1, 0]]
    assert trained.layers[0].tables.dtype == np.uint8


def test_a_learnable_mapping_is_its_first_maximum_and_the_decoy_is_ignored():
    weights = np.zeros((4, 6), dtype="f4")
    weights[[1, 3], 0] = 5.0
    weights[2, 3] = 1.0
    decoy = np.arange(6, dtype="i4").reshape(3, 2)
    layer = lut(mapping=module("LearnableMapping", weights=weights, tau=0.1), _LUTLayer__dummy_mapping=decoy)
    assert extract(content(layer, group())).layers[0].mapping.tolist() == [[1, 0], [0, 2], [0, 0]]


@pytest.mark.parametrize("thresholds", [np.array([0.5, 1.5], "f4"), np.array([[0.5, 1.5]], "f4")])
def test_shared_thresholds_are_repeated_for_each_feature(thresholds):
    trained = extract(content(thermometer=encoder(thresholds, feature_wise=False)))
    assert trained.thresholds.tolist() == [[0.5, 1.5], [0.5, 1.5]]


def test_images_flatten_to_features_and_the_dtype_stays():
    thresholds = np.arange(8, dtype="f8").reshape(1, 2, 2, 2)
    trained = extract(content(lut(inputs=8), group(), thermometer=encoder(thresholds)))
    assert trained.thresholds.shape == (4, 2)
    assert trained.thresholds.dtype == np.float64


@pytest.mark.parametrize(("given", "kept"), [("f2", "f4"), ("f4", "f4"), ("f8", "f8"), (">f4", "f4"), ("i8", "f8")])
def test_thresholds_keep_a_type_that_holds_their_values(given, kept):
    trained = extract(content(thermometer=encoder(np.array([[0, 1], [2, 3]], dtype=given))))
    assert trained.thresholds.dtype == np.dtype(kept)
    assert trained.thresholds.tolist() == [[0, 1], [2, 3]]


def test_harmless_layers_vanish_nested_sequentials_flatten_and_ste_may_stand_alone():
    nested = chain(
        module("Flatten", "torch.nn", start_dim=1, end_dim=-1), chain(lut(ste=False), module("Dropout"), module("STE")),
        module("Identity"), chain(lut(3, 5, seed=1)), module("STE"), group(3),
    )  # fmt: skip
    trained = extract({"model": nested, "thermometer": encoder()})
    assert [layer.tables.shape for layer in trained.layers] == [(3, 4), (5, 4)]


def test_a_thermometer_may_stand_first_in_the_model():
    assert extract(chain(encoder(), module("Flatten"), lut(), group())).thresholds.shape == (2, 2)


def test_a_class_count_that_does_not_divide_and_a_permutation_are_kept():
    trained = extract(content(lut(luts=5), group(3, tau=np.float32(2.5), randperm=np.array([4, 3, 2, 1, 0]))))
    assert (trained.group.k, trained.group.tau) == (3, 2.5)
    assert trained.group.permutation.tolist() == [4, 3, 2, 1, 0]


def scaler(name: str, **state: Any) -> Inert:
    return module(name, "sklearn.preprocessing._data", **state)


@pytest.mark.parametrize(
    ("given", "kind", "offset", "factor", "dtype", "clip"),
    [
        ({"mean": [1, 2], "std": [2.0, 4.0]}, "standard", [1, 2], [2, 4], "f8", None),
        ({"mean": np.float32(1), "scale": np.array([2, 4], "f4")}, "standard", [1], [2, 4], "f4", None),
        ({"mean": 0.1307, "std": 0.3081}, "standard", [0.1307], [0.3081], "f8", None),
        (scaler("StandardScaler", with_mean=True, with_std=True, mean_=np.ones(2), scale_=np.full(2, 2.0)),
         "standard", [1, 1], [2, 2], "f8", None),
        (scaler("StandardScaler", with_mean=False, with_std=True, mean_=np.ones(2), scale_=np.full(2, 2.0)),
         "standard", [0], [2, 2], "f8", None),
        (scaler("StandardScaler", with_mean=True, with_std=False, mean_=np.ones(2), scale_=None),
         "standard", [1, 1], [1], "f8", None),
        (scaler("MinMaxScaler", min_=np.ones(2), scale_=np.full(2, 2.0), clip=False, feature_range=(0, 1)),
         "minmax", [1, 1], [2, 2], "f8", None),
        (scaler("MinMaxScaler", min_=np.ones(2), scale_=np.full(2, 2.0), clip=True, feature_range=(-1, 1)),
         "minmax", [1, 1], [2, 2], "f8", (-1.0, 1.0)),
    ],
)  # fmt: skip
def test_scalers_in_every_form(given, kind, offset, factor, dtype, clip):
    read = extract(content(scaler=given)).scaler
    assert (read.kind, read.offset.tolist(), read.factor.tolist(), read.clip) == (kind, offset, factor, clip)
    assert read.offset.dtype == read.factor.dtype == np.dtype(dtype)


def test_live_sklearn_scalers_apply_as_they_do():
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    x = np.random.default_rng(0).normal(5, 3, (100, 2))
    for live in (
        preprocessing.StandardScaler(), preprocessing.StandardScaler(with_mean=False),
        preprocessing.MinMaxScaler((-1, 1), clip=True),
    ):  # fmt: skip
        live.fit(x[:50])
        np.testing.assert_array_equal(extract(content(scaler=live)).scaler.apply(x), live.transform(x))


def test_the_plain_dictionary_says_the_same_as_the_modules():
    one, two = extract(plain_dict()), extract(content(lut(), group(3, tau=2.0)))
    np.testing.assert_array_equal(one.layers[0].mapping, two.layers[0].mapping)
    np.testing.assert_array_equal(one.layers[0].tables, two.layers[0].tables)
    assert (one.group.k, one.group.tau) == (two.group.k, two.group.tau) == (3, 2.0)


def test_layers_of_a_state_dict_go_by_number_not_by_the_order_of_text():
    state = {}
    for position, width in ((10, 2), (2, 3)):
        state[f"net.{position}.luts"] = np.full((width, 4), 1.0)
        state[f"net.{position}.mapping"] = np.zeros((width, 2), int)
    config = {"num_classes": 2}
    trained = extract(plain_dict(state_dict=state, config=config))
    assert [len(layer.tables) for layer in trained.layers] == [3, 2]


def test_class_names_can_say_the_class_count():
    trained = extract(plain_dict(config={}, classes=["a", "b"]))
    assert trained.group.k == 2
    assert trained.class_names == ("a", "b")


def test_live_torch_modules_are_read_without_running_their_code():
    torch = pytest.importorskip("torch")
    nets = pytest.importorskip("dwn_hw.nn")

    def watch(_self: Any, name: str) -> Any:
        raise AssertionError(f"{name} was looked up")

    watched = type("GroupSum", (nets.GroupSum,), {})
    thermometer = nets.DistributiveThermometer(2).fit(torch.randn(50, 3, dtype=torch.float64))
    layer = nets.LUTLayer(6, 4, n=2, mapping="learnable")
    model = torch.nn.Sequential(layer, watched(2, randperm=4))
    watched.__getattr__ = watch
    trained = extract_modules(
        model, thermometer, {"mean": torch.zeros(3), "std": torch.ones(3)}, ["a", "b"], list("xyz")
    )
    assert isinstance(trained, TrainedDwn)
    assert trained.thresholds.dtype == np.float64
    wires = layer.mapping.weights.argmax(dim=0).reshape(4, 2).numpy()
    np.testing.assert_array_equal(trained.layers[0].mapping, wires)
    assert trained.feature_names == ("x", "y", "z")
    assert trained.source == "whole module"


# ---------------------------------------------------------------------------------------------- refusals

NAN = np.array([[0.0, np.nan], [np.inf, 3.0]], dtype="f4")


def bad_luts() -> Inert:
    values = np.zeros((3, 4), "f4")
    values[1, 2] = values[2, 0] = np.nan
    return replaced(lut(), luts=values)


def replaced(made: Inert, **state: Any) -> Inert:
    made.__dict__.update(state)
    return made


def bad_wires(value: int) -> Inert:
    wires = np.zeros((3, 2), "i4")
    wires[1, 1] = wires[2, 0] = value
    return lut(mapping=wires)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (content(thermometer=None), "m.pt: must hold the thermometer that the model was trained with; got a model without"),
        (content(thermometer=encoder(np.zeros((3, 2)))),
         ("m.pt, thermometer: features × bits must be the first layer's input_size; got 3 features × 2 bits = 6, and an "
         "input_size of 4. Save the thermometer that this model was trained with.")),
        (content(thermometer=encoder(np.zeros((1, 3)))), "got 1 features × 3 bits = 3, and an input_size of 4"),
        (content(thermometer=encoder(NAN)),
         "m.pt, thermometer: thresholds must be finite; got 2 NaN or infinite of 4, the first at (0, 1). Clean"),
        (content(thermometer=module("Thermometer", thresholds=None)), "thermometer: must be fitted; got no thresholds"),
        (content(thermometer=encoder(num_bits=3)), "must have shape (features, 3), since num_bits is 3; got shape (2, 2)"),
        (content(thermometer="uniform"), "thresholds must be an array (features, bits) of numbers; got builtins.str"),
        (content(chain(encoder()), lut(), group()), "thermometer: a model must have one; got one beside it and layer 0.0"),
        (content(bad_luts(), group()), "layer 0 (LUTLayer): luts must be numbers; got 2 NaN, the first at (1, 2). Check"),
        (content(replaced(lut(), luts=None), group()), "luts must be an array (luts, 2**n) of numbers; got no numbers"),
        (content(replaced(lut(), luts=np.zeros((3, 5))), group()), "a table must have 2**n entries with n from 1 to 8; got 5"),
        (content(replaced(lut(), luts=np.zeros((3, 512))), group()), "n from 1 to 8; got 512 entries"),
        (content(replaced(lut(), luts=np.zeros((3, 1))), group()), "n from 1 to 8; got 1 entries"),
        (content(replaced(lut(), n=3), group()), "n must agree with the tables of shape (3, 4), which say 2; got 3"),
        (content(replaced(lut(), output_size=7), group()), "output_size must agree with the tables of shape (3, 4), which say 3"),
        (content(bad_wires(4), group()),
         "m.pt, layer 0 (LUTLayer): wires must point at 0..3; got 4 at LUT 1, slot 1 (the first of 2). Make"),
        (content(bad_wires(-1), group()), "wires must point at 0..3; got -1 at LUT 1, slot 1"),
        (content(lut(mapping=np.zeros((2, 3), int)), group()), "mapping must have shape (3, 2); got shape (2, 3)"),
        (content(lut(mapping=np.zeros((3, 2))), group()), "of integers; got numbers of type float64"),
        (content(lut(mapping=module("LearnableMapping", weights=np.full((4, 6), np.nan))), group()),
         "weights of the learnable mapping must be numbers; got 24 NaN, the first at (0, 0)"),
        (content(lut(mapping=module("LearnableMapping", weights=np.zeros((4, 5)))), group()),
         "weights of the learnable mapping must have shape (4, 6) (inputs, luts·n); got shape (4, 5)"),
        (content(lut(), lut(5), group()), "layer 1 (LUTLayer): input_size must be the 3 bits that come in; got 5. Make"),
        (content(lut(ste=False), group()), "layer 0 (LUTLayer): outputs must be bits; got ste=False and no STE behind it. Put"),
        (content(lut(ste="maybe"), group()), "layer 0 (LUTLayer): ste must be True or False; got builtins.str. Save"),
        (content(lut()), "m.pt: must end in a GroupSum, which alone knows the class count; got none. End"),
        (content(lut(), group(0)), "layer 1 (GroupSum): k (the number of classes) must be from 1 to 3; got 0. Save"),
        (content(lut(), group(4)), "k (the number of classes) must be from 1 to 3; got 4"),
        (content(lut(), group(True)), "k (the number of classes) must be from 1 to 3; got True"),
        (content(lut(), group(tau=0)), "tau must be a finite number above 0, or it would turn the argmax; got 0"),
        (content(lut(), group(tau=-2.5)), "got -2.5. Train with tau > 0."),
        (content(lut(), group(randperm=np.array([0, 1, 1]))), "randperm must hold each of 0..2 once; got 3 numbers of which 2"),
        (content(lut(), group(randperm=np.array([0, 1]))), "randperm must hold each of 0..2 once; got 2 numbers"),
        (content(lut(), group(), lut(3)), "layer 2 (LUTLayer): must stand in the order thermometer, LUT layers, GroupSum; got"),
        (content(group(), lut()), "layer 0 (GroupSum): must stand in the order"),
        (content(module("Flatten", start_dim=0), lut(), group()), "must flatten from start_dim=1 to the end; got other ends"),
        (content(scaler={"mean": [0, 0, 0], "std": [1, 1]}),
         "m.pt, scaler: offset must have one number, or one for each of the 2 features; got 3. Save"),
        (content(scaler={"mean": [0, 0], "std": [1, 0]}),
         ("m.pt, scaler: every factor must be above 0, or the scaler would not keep the order of its inputs; got 0.0 at "
         "feature 1 (1 of 2). Drop")),
        (content(scaler={"mean": [0, 0], "std": [-1.0, 1]}), "got -1.0 at feature 0 (1 of 2)"),
        (content(scaler={"mean": [0, float("nan")], "std": [1, 1]}), "offset must be finite; got nan at feature 1 (1 of 2)"),
        (content(scaler={"mean": [0, 0], "std": [1, float("inf")]}), "factor must be finite; got inf at feature 1"),
        (content(scaler={"median": 1}), 'a dict must hold "mean" and "scale" (or "std"); got the keys median. Save'),
        (content(scaler=scaler("StandardScaler")), "offset must be an array of numbers; got none. Fit the scaler"),
        (content(scaler=scaler("PowerTransformer")), "got sklearn.preprocessing._data.PowerTransformer"),
        (content(classes=["a", "b"]), "m.pt, class names: must name each of the 3 classes; got 2 names"),
        (content(feature_names=["a"]), "m.pt, feature_names: must name each of the 2 features; got 1 names"),
        (content(classes=3), "class names: must be a list of text; got builtins.int"),
        (plain_dict(config={}), "m.pt, class count: must be known; no state_dict holds it; got none. Put"),
        (plain_dict(config={"num_classes": 3, "n": 4}), "layer 0 (LUTLayer): n must agree with the tables of shape (3, 4)"),
        (plain_dict(config={"num_classes": 3, "layers": [3, 2]}), "must have as many LUT layers as config says (2); got 1"),
        (plain_dict(config={"num_classes": 3, "ste": False}), "outputs must be bits"),
        (plain_dict(config={"num_classes": 3, "thermometer_bits": 4}), "must have shape (features, 4), since num_bits is 4"),
        (plain_dict(thermometer=np.array([0.0, 1.0])), "shared thresholds need the number of features; got neither"),
        (plain_dict(state_dict={"0.weight": np.zeros(3)}), "got an array 0.weight in the state_dict. Train the model without"),
        ({}, "got a dictionary with the keys (none). Save it with torch.save"),
        ({"epoch": 3}, "got a dictionary with the keys epoch"),
        ({"conv.weight": np.zeros(3)}, "got a bare state_dict (1 arrays, 0 LUT layers). Name the class"),
        ([1], "got an object of type builtins.list"),
    ],
    ids=lambda value: value[:60] if isinstance(value, str) else "",
)  # fmt: skip
def test_each_mistake_is_named_with_rule_value_and_remedy(what, message):
    found = problems(what)
    assert any(message in problem for problem in found), found


def test_a_bare_state_dict_is_refused_with_the_line_that_saves_it_right():
    (message,) = problems(plain_dict()["state_dict"])
    assert message == (
        "m.pt: must hold the thermometer and the class count, which are in no state_dict; got a bare state_dict (2 arrays, "
        '1 LUT layers). Save it with torch.save({"model": model, "thermometer": thermometer, "scaler": scaler}, '
        '"model.pt"), or with dwn_hw.save(model, "model.pt", thermometer=thermometer, scaler=scaler).'
    )


def test_all_problems_come_together():
    layers = (
        module("Linear", "torch.nn.modules.linear"), bad_luts(), module("BatchNorm1d", "torch.nn.modules.batchnorm"),
        lut(9, 3), group(0),
    )  # fmt: skip
    found = problems(content(*layers, thermometer=encoder(NAN), scaler={"mean": 0, "std": 0}))
    for part in (
        "got torch.nn.modules.linear.Linear at position 0", "got torch.nn.modules.batchnorm.BatchNorm1d at position 2",
        "thresholds must be finite", "every factor must be above 0", "layer 1 (LUTLayer): luts must be numbers",
        "layer 3 (LUTLayer): input_size must be the 3 bits", "layer 3 (LUTLayer): wires must point at 0..2",
        "layer 4 (GroupSum): k",
    ):  # fmt: skip
        assert len([problem for problem in found if part in problem]) == 1, part
    assert len(found) == 8


def test_a_model_that_contains_itself_many_times_is_refused_quickly():
    model = chain(lut())
    for _ in range(15):
        model = chain(model, model, model)
    assert (
        "must have at most 1000 layers, nested at most 20 deep"
        in problems({"model": model, "thermometer": encoder()})[0]
    )
    model.__dict__["_modules"]["0"] = model
    assert "must have at most 1000 layers" in problems({"model": model, "thermometer": encoder()})[0]


JUNK: list[Any] = [
    10**5000,
    [10**400, 1.0],
    np.zeros((2, 2)),
    Inert("a", "b"),
    [[1]],
    "x" * 999,
    b"x",
    {},
    -1,
    np.array(2.5),
]
PLACES = [
    "luts",
    "mapping",
    "n",
    "input_size",
    "ste",
    "k",
    "tau",
    "randperm",
    "thresholds",
    "num_bits",
    "scaler",
    "classes",
]


@pytest.mark.parametrize("index", range(len(JUNK)))
@pytest.mark.parametrize("key", PLACES)
def test_junk_in_any_place_is_refused_or_read_and_nothing_else(key, index):
    state = {key: JUNK[index]}
    layer, vote, thermometer = (replaced(part, **state) for part in (lut(), group(), encoder()))
    beside = state if key in ("scaler", "classes") else {}
    try:
        extract({**content(layer, vote), "thermometer": thermometer, **beside})
    except CheckpointError as refused:
        assert len(str(refused)) < 4000  # noqa: PT017  (either outcome is right; a third would not be)
