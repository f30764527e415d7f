"""``dwn_hw.nn``, ``training`` and ``digits``: every layer against its definition, written out in plain loops here.

The oracles share no code with the layers. The one recorded by others is a real ``torch_dwn`` state_dict with its
inputs and predictions.
"""

from __future__ import annotations

import copy
import math
import re
import statistics
import sys

import numpy as np
import pytest
import torch
from lut_gradients import naive_address, naive_gradients
from torch import nn

from dwn_hw import nn as dwn
from dwn_hw.errors import OptionError, ToolError
from dwn_hw.nn import digits, lut_layer, training

CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(20)


def bits(samples, width, dtype=torch.float32):
    return (torch.rand(samples, width) > 0.5).to(dtype)


def message(call, error=OptionError):
    with pytest.raises(error) as caught:
        call()
    return str(caught.value)


# LUTLayer


@pytest.mark.parametrize("n", range(1, 9))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bool, torch.uint8])
def test_forward_looks_up_the_entry_at_the_address_whose_lsb_is_slot_0(n, dtype):
    layer = dwn.LUTLayer(11, 13, n, ste=False).eval()
    x = bits(5, 11, dtype)
    tables, wiring = layer.luts.tolist(), layer.mapping.tolist()
    expected = [
        [table[naive_address(row, wires)] for table, wires in zip(tables, wiring, strict=True)] for row in x.tolist()
    ]
    assert layer(x).tolist() == expected


def test_with_ste_the_output_is_whether_the_entry_is_strictly_positive():
    layer = dwn.LUTLayer(1, 3, 1, mapping=torch.zeros(3, 1, dtype=torch.int32))
    layer.luts.data = torch.tensor([[0.0, 0.5], [-0.5, 0.0], [1e-30, -1e-30]])
    assert layer(torch.tensor([[0.0], [1.0], [-3.0]])).tolist() == [[0, 0, 1], [1, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize("n", range(1, 7))
@pytest.mark.parametrize("rates", [(None, None), (1.0, 0.5), (0.3, 0.0), (0.7, 1.0), (-0.2, 1.5)])
@pytest.mark.parametrize("ste", [True, False])
def test_gradients_are_those_of_the_definition(n, rates, ste):
    layer = dwn.LUTLayer(9, 7, n, alpha=rates[0], beta=rates[1], ste=ste).double()
    x = bits(6, 9, torch.float64).requires_grad_()
    grad = torch.randn(6, 7, dtype=torch.float64)
    layer(x).backward(grad)
    alpha = 0.5 * 0.75 ** (n - 1) if rates[0] is None else rates[0]
    beta = 0.25 / 0.75 if rates[1] is None else rates[1]
    arrays = (x.detach(), layer.mapping, layer.luts.detach(), grad)
    x_grad, table_grad = naive_gradients(*(value.numpy() for value in arrays), alpha, beta)
    np.testing.assert_allclose(x.grad.numpy(), x_grad, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(layer.luts.grad.numpy(), table_grad, rtol=1e-12, atol=1e-14)


def test_gradient_of_a_two_input_lut_worked_by_hand():
    layer = dwn.LUTLayer(2, 1, 2, mapping="arange", ste=False).double()
    layer.luts.data = torch.tensor([[0.1, 0.5, -0.4, 0.8]], dtype=torch.float64)
    x = torch.tensor([[1.0, 0.0]], dtype=torch.float64, requires_grad=True)
    layer(x).backward()
    # Input 0: 0.375·((0.5 − 0.1) + (0.8 + 0.4)/3); input 1, at bit 0 = 1: 0.375·((0.8 − 0.5) + (−0.4 − 0.1)/3).
    assert x.grad.tolist() == [[pytest.approx(0.3), pytest.approx(0.05)]]


def test_gradient_of_a_learned_mapping_layer_goes_through_the_choice():
    layer = dwn.LUTLayer(5, 4, 3, mapping="learnable", ste=False).double()
    x = bits(6, 5, torch.float64).requires_grad_()
    grad = torch.randn(6, 4, dtype=torch.float64)
    layer(x).backward(grad)
    chosen = layer.mapping.weights.detach().numpy().argmax(axis=0)
    inputs = x.detach().numpy()
    slots = np.arange(12).reshape(4, 3)
    slot_grad, table_grad = naive_gradients(
        inputs[:, chosen], slots, layer.luts.detach().numpy(), grad.numpy(), layer.alpha, layer.beta
    )
    expected = np.zeros((5, 12))
    for sample in range(6):
        for source in range(5):
            for slot in range(12):
                expected[source, slot] += (2 * inputs[sample, source] - 1) * slot_grad[sample, slot]
    np.testing.assert_allclose(layer.mapping.weights.grad.numpy(), expected, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(layer.luts.grad.numpy(), table_grad, rtol=1e-12, atol=1e-14)


def test_output_is_linear_in_the_tables():
    x, mapping = bits(5, 6), torch.randint(0, 6, (4, 3), dtype=torch.int32)
    luts = torch.randn(4, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: dwn.EFDFunction.apply(x, mapping, t, 0.3, 0.3), luts)


def test_a_first_layer_builds_no_table_of_differences(monkeypatch):
    layer = dwn.LUTLayer(6, 4, 3)
    monkeypatch.setattr(lut_layer, "_differences", lambda *_: pytest.fail("the input needs no gradient"))
    layer(bits(5, 6)).sum().backward()
    assert layer.luts.grad.sum() == 20


def test_tables_are_clamped_in_training_mode_only_and_only_if_asked():
    for clamp, train in [(True, True), (True, False), (False, True)]:
        layer = dwn.LUTLayer(4, 3, 2, clamp_luts=clamp).train(train)
        layer.luts.data = torch.tensor([[-5.0, 5.0, -0.5, 0.5]] * 3)
        layer(bits(2, 4))
        assert layer.luts[2].tolist() == ([-1, 1, -0.5, 0.5] if clamp and train else [-5, 5, -0.5, 0.5])


def test_a_layer_may_be_used_twice_before_one_backward():
    layer = dwn.LUTLayer(4, 4, 2)
    layer(layer(bits(3, 4))).sum().backward()
    assert layer.luts.grad.abs().sum() > 0


def test_without_gradients_and_on_no_samples_the_layers_still_run():
    model = nn.Sequential(dwn.LUTLayer(8, 6, 3, mapping="learnable"), dwn.LUTLayer(6, 5, 2), dwn.GroupSum(2))
    with torch.no_grad():
        assert not model(bits(3, 8)).requires_grad
    assert model(bits(0, 8)).shape == (0, 2)


@pytest.mark.parametrize("device", ["meta", pytest.param("cuda", marks=CUDA)])
def test_everything_stays_on_its_device(device):
    model = nn.Sequential(
        dwn.LUTLayer(8, 6, 3, mapping="learnable"), dwn.LUTLayer(6, 5, 2), dwn.GroupSum(2, randperm=5)
    )
    model.to(device)(bits(3, 8).to(device)).sum().backward()
    assert {value.grad.device.type for value in model.parameters() if value.requires_grad} == {device}


# Mappings


@pytest.mark.parametrize("shape", [(7, 2, 3), (5, 3, 4), (4, 2, 4), (6, 6, 1)])
def test_fixed_mappings_use_every_input_equally_often_to_within_one(shape):
    inputs, slots, luts = shape
    for random in (False, True):
        mapping = dwn.layer_mapping(inputs, slots, luts, random=random)
        counts = np.bincount(mapping.flatten().numpy(), minlength=inputs)
        assert mapping.dtype == torch.int32
        assert counts.max() - counts.min() <= 1
        assert counts.sum() == slots * luts
    assert dwn.layer_mapping(inputs, slots, luts, False).flatten().tolist() == [i % inputs for i in range(slots * luts)]


def test_a_seed_draws_the_mapping_and_then_the_tables_that_torch_dwn_would_draw():
    torch.manual_seed(4)
    layer = dwn.LUTLayer(5, 5, 2)
    torch.manual_seed(4)
    rounds = [torch.randperm(5) for _ in range(3)]  # the third is drawn, and cut off whole
    assert layer.mapping.flatten().tolist() == torch.cat(rounds[:2]).tolist()
    assert torch.equal(layer.luts, torch.rand(5, 4) * 2 - 1)


def test_a_learned_mapping_takes_the_first_of_equal_weights():
    mapping = dwn.LearnableMapping(3, 2)
    mapping.weights.data = torch.tensor([[0.1, 0.9], [0.7, 0.9], [0.7, 0.2]])
    assert mapping(torch.tensor([[10.0, 20.0, 30.0]])).tolist() == [[20, 10]]


def test_a_learned_mapping_hands_its_input_a_softmax_of_the_gradient():
    mapping = dwn.LearnableMapping(4, 6, tau=0.5).double()
    x = bits(3, 4, torch.float64).requires_grad_()
    grad = torch.randn(3, 6, dtype=torch.float64)
    mapping(x).backward(grad)
    raised = np.exp(mapping.weights.detach().numpy() / 0.5)
    np.testing.assert_allclose(x.grad.numpy(), grad.numpy() @ (raised / raised.sum(axis=0)).T, rtol=1e-12)


# GroupSum and STE


def test_group_sum_counts_contiguous_slices_with_zeros_at_the_end():
    x = torch.tensor([[1.0, 1, 0, 1, 1, 1, 1]])
    assert dwn.GroupSum(3, tau=2)(x).tolist() == [[1, 1.5, 0.5]]
    assert dwn.GroupSum(7)(x.bool()).tolist() == x.tolist()
    assert dwn.GroupSum(9)(x)[0, 7:].tolist() == [0, 0]


def test_group_sum_permutes_before_it_pads():
    group = dwn.GroupSum(2, randperm=torch.tensor([2, 0, 1]))
    assert group(torch.tensor([[1.0, 2.0, 4.0]])).tolist() == [[5, 2]]
    assert sorted(dwn.GroupSum(2, randperm=9).randperm.tolist()) == list(range(9))


@pytest.mark.parametrize("randperm", [False, 7])
def test_group_sum_has_the_gradient_of_a_sum(randperm):
    group = dwn.GroupSum(3, tau=0.7, randperm=randperm)
    assert torch.autograd.gradcheck(group, torch.randn(2, 7, dtype=torch.float64, requires_grad=True))


def test_a_permutation_survives_the_state_dict_and_is_never_guessed():
    group, other = dwn.GroupSum(2, randperm=50), dwn.GroupSum(2, randperm=50)
    assert not torch.equal(group.randperm, other.randperm)
    other.load_state_dict(group.state_dict())
    assert torch.equal(group.randperm, other.randperm)
    assert list(dwn.GroupSum(2).state_dict()) == []
    with pytest.raises(RuntimeError, match=r"Missing key\(s\) in state_dict: \"randperm\""):
        other.load_state_dict({})


def test_the_straight_through_estimator_steps_forward_and_passes_back():
    x = torch.tensor([-1.0, 0.0, 1e-40, 2.0], dtype=torch.float64, requires_grad=True)
    y = dwn.STE()(x)
    y.backward(torch.tensor([3.0, -4.0, 5.0, 6.0], dtype=torch.float64))
    assert (y.tolist(), y.dtype, x.grad.tolist()) == ([0, 0, 1, 1], torch.float64, [3, -4, 5, 6])


# Thermometers


def naive_thresholds(kind, values, count):
    low, high, mean, deviation = min(values), max(values), statistics.mean(values), statistics.stdev(values)
    for i in range(1, count + 1):
        if kind is dwn.Thermometer:
            yield low + i * (high - low) / (count + 1)
        elif kind is dwn.GaussianThermometer:
            yield mean + deviation * statistics.NormalDist().inv_cdf(i / (count + 1))
        else:
            yield sorted(values)[math.floor(len(values) * i / (count + 1))]


KINDS = [dwn.Thermometer, dwn.GaussianThermometer, dwn.DistributiveThermometer]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 4, 7])
def test_thresholds_follow_the_rule_for_each_feature_and_for_all(kind, count):
    x = np.random.default_rng(1).normal(size=(23, 2, 3))
    each = kind(count).fit(x).thresholds.numpy()
    assert each.shape == (2, 3, count)
    for feature in np.ndindex(2, 3):
        expected = list(naive_thresholds(kind, x[:, *feature].tolist(), count))
        np.testing.assert_allclose(each[feature], expected, rtol=1e-5, atol=1e-6)
    shared = kind(count, feature_wise=False).fit(torch.tensor(x)).thresholds.numpy().reshape(-1)
    np.testing.assert_allclose(shared, list(naive_thresholds(kind, x.flatten().tolist(), count)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("feature_wise", [True, False])
def test_a_bit_is_strictly_above_its_threshold(kind, feature_wise):
    x = np.random.default_rng(2).integers(0, 17, (40, 3)).astype(np.float32)
    thermometer = kind(3, feature_wise).fit(x)
    thresholds = np.broadcast_to(thermometer.thresholds.numpy(), (3, 3))
    expected = [[[float(v > t) for t in row] for v, row in zip(sample, thresholds, strict=True)] for sample in x]
    assert thermometer.binarize(x).tolist() == expected
    assert thermometer.binarize(x).dtype == torch.float32
    edge = thermometer.thresholds.reshape(-1)[0].expand(1, 3)
    assert thermometer(edge)[0, 0, 0] == 0


def test_a_distributive_thermometer_keeps_integers_as_they_are():
    assert dwn.DistributiveThermometer(1).fit([[2**53 + 1], [2**53 + 1]]).thresholds.tolist() == [[2**53 + 1]]


@pytest.mark.parametrize("kind", KINDS)
def test_a_thermometer_survives_state_dict_copy_and_sequential(kind):
    x = torch.randn(20, 4)
    fitted = nn.Sequential(kind(2).fit(x), nn.Flatten(), dwn.LUTLayer(8, 4, 2), dwn.GroupSum(2))
    fresh = nn.Sequential(kind(2), nn.Flatten(), dwn.LUTLayer(8, 4, 2), dwn.GroupSum(2))
    fresh.load_state_dict(fitted.state_dict())
    assert torch.equal(fresh(x), fitted(x))
    assert torch.equal(copy.deepcopy(fitted)(x), fitted(x))
    assert fitted.double()[0].thresholds.dtype == torch.float64
    with pytest.raises(RuntimeError, match="size mismatch for thresholds"):
        kind(3).load_state_dict(fitted[0].state_dict())


# torch_dwn's own file


def test_a_real_torch_dwn_state_dict_loads_strictly_and_predicts_what_was_recorded(jsc):
    name = "dwn_jsc_t4_distributive_300-100_lr"
    with torch.serialization.safe_globals([torch.torch_version.TorchVersion]):
        saved = torch.load(jsc / f"{name}_checkpoint.pt", map_location="cpu", weights_only=True)["state_dict"]
    model = nn.Sequential(dwn.LUTLayer(64, 300, 6, "learnable"), dwn.LUTLayer(300, 100, 6), dwn.GroupSum(5, 3.33))
    ours = {key: (value.shape, value.dtype) for key, value in model.state_dict().items()}
    assert ours == {key: (value.shape, value.dtype) for key, value in saved.items()}
    model.load_state_dict(saved)
    vectors = np.load(jsc / f"{name}_testvectors.npz")
    predicted = training.predict(model, torch.from_numpy(vectors["x_binarized"]))
    assert predicted.tolist() == vectors["pred"].tolist()
    assert len(predicted) == 1000


def test_tables_carry_the_mark_that_regularisers_look_for():
    assert dwn.LUTLayer(4, 2, 2).luts.is_lut is True


# Training and the digits


@pytest.fixture(scope="module")
def trained():
    told = []
    return *digits.train_digits(seed=0, progress=told.append), told


def test_the_digits_are_learned_to_95_percent_and_every_epoch_is_told(trained):
    model, thermometer, accuracy, told = trained
    split = digits.load_digits_split()
    x = thermometer(torch.from_numpy(split.x_test)).flatten(1)
    assert accuracy == training.accuracy(model, x, torch.from_numpy(split.y_test)) >= 0.95
    assert [epoch.number for epoch in told] == list(range(1, 31))
    assert [told[i].lr for i in (0, 13, 14, 29)] == pytest.approx([1e-2, 1e-2, 1e-3, 1e-4])
    assert told[-1].loss < told[0].loss


def test_a_seed_trains_the_same_network_and_leaves_the_callers_random_state():
    torch.manual_seed(1)
    first = digits.train_digits(3, luts=20, epochs=1)[0].state_dict()
    drawn = torch.rand(1)
    again, other = (digits.train_digits(seed, luts=20, epochs=1)[0].state_dict() for seed in (3, 4))
    torch.manual_seed(1)
    assert drawn == torch.rand(1)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["0.luts"], other["0.luts"])


def test_the_split_is_fixed_and_holds_every_digit_once():
    split = digits.load_digits_split()
    assert (split.x_train.shape, split.x_test.shape, split.x_train.dtype) == ((1437, 64), (360, 64), np.float32)
    assert (split.x_train.min(), split.x_train.max(), split.y_test.dtype) == (0, 16, np.int64)
    assert split.y_test[:10].tolist() == [7, 9, 4, 7, 0, 2, 6, 1, 3, 1]
    assert not np.array_equal(split.y_test, digits.load_digits_split(seed=1).y_test)


@pytest.mark.parametrize(("module", "package"), [("sklearn.datasets", "scikit-learn"), ("torch", "torch")])
def test_without_a_needed_package_the_digits_say_what_to_type(monkeypatch, module, package):
    monkeypatch.setitem(sys.modules, module, None)
    text = message(digits.train_digits, ToolError)
    assert package in text
    assert "pip install 'dwn-hw[train]'" in text


# Refusals

INT32 = torch.int32
REFUSALS = {
    "input_size: a whole number of at least 1; got 0": lambda: dwn.LUTLayer(0, 3, 2),
    "output_size: a whole number of at least 1; got 2.5": lambda: dwn.LUTLayer(4, 2.5, 2),
    "n (the inputs of one LUT): a whole number from 1 to 8; got 9": lambda: dwn.LUTLayer(4, 3, 9),
    "a whole number from 1 to 8; got True": lambda: dwn.LUTLayer(4, 3, True),
    "'arange', 'learnable', 'random', or an int32 tensor (output_size, n); got 'rand'": lambda: dwn.LUTLayer(
        4, 3, 2, "rand"
    ),
    "mapping: an int32 tensor; got torch.int64": lambda: dwn.LUTLayer(4, 3, 2, torch.zeros(3, 2).long()),
    "(output_size, n) = (3, 2); got shape (2, 3)": lambda: dwn.LUTLayer(4, 3, 2, torch.zeros(2, 3, dtype=INT32)),
    "mapping: indices in 0..3; got 4..4": lambda: dwn.LUTLayer(4, 3, 2, torch.full((3, 2), 4, dtype=INT32)),
    "alpha: a finite number; got nan": lambda: dwn.LUTLayer(4, 3, 2, alpha=math.nan),
    "beta: a finite number; got '1'": lambda: dwn.LUTLayer(4, 3, 2, beta="1"),
    "ste: True or False; got 1": lambda: dwn.LUTLayer(4, 3, 2, ste=1),
    "clamp_luts: True or False; got None": lambda: dwn.LUTLayer(4, 3, 2, clamp_luts=None),
    "tau: a finite number above 0; got 0": lambda: dwn.LUTLayer(4, 3, 2, "learnable", lm_tau=0),
    "of shape (samples, 4); got shape (2, 5)": lambda: dwn.LUTLayer(4, 3, 2)(torch.zeros(2, 5)),
    "GroupSum k: a whole number of at least 1; got 0": lambda: dwn.GroupSum(0),
    "GroupSum tau: a finite number above 0; got -1": lambda: dwn.GroupSum(2, tau=-1),
    "bits that come in): a whole number of at least 1; got True": lambda: dwn.GroupSum(2, randperm=True),
    "each of 0..N-1 once": lambda: dwn.GroupSum(2, randperm=torch.tensor([0, 0])),
    "permutation (3); got 4 bits": lambda: dwn.GroupSum(2, randperm=3)(torch.zeros(1, 4)),
    "num_bits of the thermometer: a whole number of at least 1; got 0": lambda: dwn.Thermometer(0),
    "feature_wise of the thermometer: True or False; got 1": lambda: dwn.Thermometer(1, 1),
    "GaussianThermometer: fitted before it is used": lambda: dwn.GaussianThermometer(2).binarize([[1.0]]),
    "finite numbers only; got 1 NaN or infinite of 2": lambda: dwn.Thermometer(2).fit([[1.0], [math.nan]]),
    "at least 1 sample of": lambda: dwn.Thermometer(2).fit(torch.zeros(0, 3)),
    "at least 2 samples of": lambda: dwn.GaussianThermometer(2).fit(torch.zeros(1, 3)),
    "x: an array of numbers; got str": lambda: dwn.Thermometer(2).fit("mnist.npz"),
    "features that were fitted; got shape (5, 2)": lambda: dwn.Thermometer(2).fit(torch.rand(4, 3))(torch.rand(5, 2)),
    "as many labels as samples": lambda: training.fit(nn.Linear(1, 2), torch.zeros(3, 1), torch.zeros(2).long()),
    "class numbers from 0, int64; got torch.float32": lambda: training.fit(
        nn.Linear(1, 2), torch.zeros(3, 1), torch.zeros(3)
    ),
    "epochs: a whole number of at least 1; got 0": lambda: training.fit(
        nn.Linear(1, 2), torch.zeros(3, 1), torch.zeros(3).long(), epochs=0
    ),
    "no parameter with a gradient": lambda: training.fit(dwn.STE(), torch.zeros(3, 1), torch.zeros(3).long()),
}


@pytest.mark.parametrize("expected", REFUSALS)
def test_a_bad_argument_is_refused_by_name_rule_and_what_was_got(expected):
    text = message(REFUSALS[expected])
    assert expected in text
    assert re.search(r"^.+: .+; got .+\. .+\.?$", text, re.DOTALL), "thing: rule; got what. Remedy."
