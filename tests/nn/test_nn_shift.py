"""Shift layers: their arithmetic against formulas written anew, their gradients, and the converter."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from dwn_hw.errors import OptionError
from dwn_hw.nn import (
    Conv2dShift,
    Conv2dShiftQ,
    LinearShift,
    LinearShiftQ,
    convert_to_shift,
    count_layer_type,
    round_shift_weights,
    shift_ste,
)
from dwn_hw.nn.training import accuracy, fit

FLOATS = st.floats(-40, 40, width=32)


def floor_fixed(value: float, integer: int, fraction: int) -> float:
    """Upstream's round_to_fixed, by hand."""
    return min(max(math.floor(value * 2**fraction) / 2**fraction, -(2.0 ** (integer - 1))), 2.0 ** (integer - 1) - 1)


@given(values=st.lists(FLOATS, min_size=1, max_size=9), integer=st.integers(2, 8), fraction=st.integers(0, 12))
def test_fixed_point_floors_and_clamps_as_upstream(values, integer, fraction):
    x = torch.tensor(values, dtype=torch.float64)
    wanted = [floor_fixed(v, integer, fraction) for v in values]
    assert shift_ste.to_fixed_point(x, integer, fraction).tolist() == wanted


@given(values=st.lists(FLOATS, min_size=1, max_size=9))
def test_a_power_of_2_is_the_nearest_by_its_logarithm_and_0_stays_0(values):
    got = shift_ste.round_power_of_2(torch.tensor(values, dtype=torch.float64))
    for value, power in zip(values, got.tolist(), strict=True):
        if value == 0:
            assert power == 0
            continue
        assert math.copysign(1, power) == math.copysign(1, value)
        assert math.frexp(abs(power))[0] == 0.5
        assert abs(math.log2(abs(value)) - math.log2(abs(power))) <= 0.5 + 1e-9


@given(values=st.lists(FLOATS, min_size=1, max_size=9), least=st.floats(0, 2), more=st.floats(0, 5))
def test_clampabs_keeps_signs_and_zeros(values, least, more):
    x = torch.tensor(values, dtype=torch.float64)
    wanted = [v and math.copysign(min(max(abs(v), least), least + more), v) for v in values]
    assert shift_ste.clampabs(x, least, least + more).tolist() == wanted


@pytest.mark.parametrize(
    "function",
    [
        shift_ste.round,
        shift_ste.sign,
        shift_ste.round_power_of_2,
        shift_ste.round_fixed_point,
        lambda x: shift_ste.round(x, "stochastic"),
        lambda x: shift_ste.clamp(x, -0.5, 0.5),
        lambda x: shift_ste.clampabs(x, 0.25, 0.5),
    ],
)
def test_gradients_pass_straight_through(function):
    x = torch.tensor([-1.3, -0.2, 0.4, 2.6], requires_grad=True)
    gradient = torch.tensor([1.0, -2.0, 3.0, 0.5])
    function(x).backward(gradient)
    assert torch.equal(x.grad, gradient)


def test_the_unsymmetric_product_gives_a_sign_the_whole_gradient():
    a, b = (torch.tensor(v, requires_grad=True) for v in ([0.5, 0.25], [-1.0, 1.0]))
    shift_ste.unsym_grad_mul(a, b).backward(torch.tensor([3.0, 5.0]))
    assert a.grad.tolist() == [-3.0, 5.0]
    assert b.grad.tolist() == [3.0, 5.0]


def test_stochastic_rounding_is_up_as_often_as_the_fraction_says():
    torch.manual_seed(0)
    got = shift_ste.rounded(torch.full((20_000,), -2.3), "stochastic")
    assert set(got.tolist()) == {-3.0, -2.0}
    assert abs(got.mean() + 2.3) < 0.02


LAYERS = [
    lambda **o: LinearShift(6, 4, floored=True, **o),
    lambda **o: LinearShiftQ(6, 4, floored=True, **o),
    lambda **o: Conv2dShift(4, 6, (2, 3), stride=(1, 2), padding=(1, 0), dilation=(1, 2), groups=2, **o),
    lambda **o: Conv2dShiftQ(4, 6, 3, padding=2, padding_mode="circular", **o),
]


def weights_by_hand(layer: nn.Module) -> torch.Tensor:
    """From the parameters, one by one, in Python's own arithmetic."""
    low, high = layer.shift_range or (-99, 99)
    if hasattr(layer, "shift"):
        pairs = zip(layer.shift.flatten().tolist(), layer.sign.flatten().tolist(), strict=True)
        values = [2.0 ** round(min(max(s, low), high)) * np.sign(round(g)) for s, g in pairs]
        return torch.tensor(values, dtype=torch.float64).reshape(layer.shift.shape)
    values = []
    for w in layer.weight.flatten().tolist():
        size = min(max(abs(w), 2.0**low), 2.0**high)
        values.append(math.copysign(2.0 ** round(math.log2(size)), w) if w else 0.0)
    return torch.tensor(values, dtype=torch.float64).reshape(layer.weight.shape)


@pytest.mark.parametrize("make", LAYERS)
@pytest.mark.parametrize("options", [{}, {"act_integer_bits": 3, "act_fraction_bits": 2, "weight_bits": 3}])
def test_a_layer_is_torchs_own_on_rounded_weights_and_activations(make, options):
    torch.manual_seed(1)
    layer = make(check_grad=True, **options)
    x = torch.randn(5, 4, 6, 7, dtype=torch.float64) * 3 if hasattr(layer, "stride") else torch.randn(5, 6).double() * 3
    integer, fraction = layer.act_integer_bits, layer.act_fraction_bits
    fixed, bias = (
        torch.tensor([floor_fixed(v, integer, fraction) for v in t.flatten().tolist()]).reshape(t.shape).double()
        for t in (x, layer.bias.detach())
    )
    weight = weights_by_hand(layer)
    if not hasattr(layer, "stride"):
        wanted = functional.linear(fixed, weight, bias)
    else:
        twin = nn.Conv2d(
            *(layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, layer.padding),
            *(layer.dilation, layer.groups, True, layer.padding_mode),
        ).double()
        twin.weight.data, twin.bias.data = weight, bias
        wanted = twin(fixed)
    assert torch.equal(layer(x), wanted)


@pytest.mark.parametrize(
    ("layer", "keys"),
    [
        (LinearShift(3, 2), {"shift": (2, 3), "sign": (2, 3), "bias": (2,)}),
        (LinearShiftQ(3, 2), {"weight": (2, 3), "bias": (2,)}),
        (Conv2dShift(4, 2, 3, groups=2), {"shift": (2, 2, 3, 3), "sign": (2, 2, 3, 3), "bias": (2,)}),
        (Conv2dShiftQ(4, 2, (3, 1), bias=False), {"weight": (2, 4, 3, 1)}),
    ],
)
def test_the_state_dict_has_upstreams_names(layer, keys):
    assert {name: tuple(value.shape) for name, value in layer.state_dict().items()} == keys


def test_weight_bits_bound_the_exponents_and_ps_keeps_a_code_for_zero():
    ps, q = LinearShift(40, 40, weight_bits=4), LinearShiftQ(40, 40, weight_bits=4)
    assert (ps.shift_range, q.shift_range) == ((-6, 0), (-7, 0))
    ps.shift.data.uniform_(-30, 9)
    q.weight.data.uniform_(-9, 9)
    q.weight.data[0, :3] = torch.tensor([1e-6, -1e-6, 0])
    for layer, low in ((ps, -6), (q, -7)):
        used = layer.rounded_weight().detach()
        used = used[used != 0].abs().log2()
        assert (used.min(), used.max()) == (low, 0)
    assert q.rounded_weight()[0, :3].tolist() == [2.0**-7, -(2.0**-7), 0]


def test_frozen_signs_are_not_trained():
    assert not LinearShift(3, 2, freeze_sign=True).sign.requires_grad
    assert not Conv2dShift(1, 2, 2, freeze_sign=True).sign.requires_grad
    assert LinearShift(3, 2).sign.requires_grad


@pytest.mark.parametrize("make", [LinearShift, LinearShiftQ])
def test_a_small_network_of_them_learns(make):
    torch.manual_seed(0)
    x = torch.randn(400, 8)
    y = (x[:, 0] > x[:, 1]).long()
    model = nn.Sequential(make(8, 32), nn.ReLU(), make(32, 2))
    before = accuracy(model, x, y)
    fit(model, x, y, epochs=40, lr=1e-2, lr_step=30)
    assert accuracy(model, x, y) > max(0.9, before)


def net() -> nn.Module:
    inner = nn.Sequential(nn.Conv2d(2, 4, 3, padding="same"), nn.ReLU())
    return nn.Sequential(inner, nn.Flatten(), nn.Linear(64, 5), nn.ReLU(), nn.Linear(5, 3, bias=False))


def test_the_converter_takes_layers_from_the_end_and_all_linear_ones_uncounted():
    model, count = convert_to_shift(net(), 0, "PS")
    assert (count, count_layer_type(model, LinearShift), count_layer_type(model, nn.Conv2d)) == (0, 2, 1)
    model, count = convert_to_shift(net(), 1, "PS", convert_all_linear=False)
    assert (count, type(model[4]), type(model[2])) == (1, LinearShift, nn.Linear)
    model, count = convert_to_shift(net(), 5, "Q")
    assert (count, type(model[0][0])) == (1, Conv2dShiftQ)
    assert model[0][0].padding == (1, 1)
    assert model[4].bias is None


@pytest.mark.parametrize("kind", ["PS", "Q"])
def test_a_converted_network_gives_what_its_rounded_weights_give(kind):
    torch.manual_seed(3)
    original = net().eval()
    x = torch.randn(6, 2, 4, 4)
    model, _ = convert_to_shift(
        copy.deepcopy(original), 9, kind, convert_weights=True, act_integer_bits=None, act_fraction_bits=None
    )
    for layer in (original[0][0], original[2], original[4]):
        sizes = layer.weight.data.abs().clamp(2.0 ** (-14 if kind == "PS" else -15), 1.0)
        layer.weight.data = layer.weight.data.sign() * 2.0 ** sizes.log2().round()
    assert torch.equal(model(x), original(x))


def test_rounding_the_parameters_changes_no_output():
    torch.manual_seed(4)
    for kind in ("PS", "Q"):
        model, _ = convert_to_shift(net(), 9, kind, floored=True)
        x = torch.randn(4, 2, 4, 4)
        before = model.eval()(x)
        rounded = round_shift_weights(model, clone=True)
        assert torch.equal(rounded(x), before)
        assert rounded is not model
        first = rounded[0][0]
        assert torch.equal(first.bias, shift_ste.to_fixed_point(first.bias))
        values = first.shift if kind == "PS" else first.weight.abs().log2()
        assert torch.equal(values, values.round())


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: LinearShift(0, 2), "in_features"),
        (lambda: LinearShift(3, 2, rounding="up"), "one of deterministic, stochastic"),
        (lambda: LinearShiftQ(3, 2, weight_bits=1), "weight_bits"),
        (lambda: LinearShiftQ(3, 2, act_integer_bits=None), "two numbers, or None twice"),
        (lambda: Conv2dShift(3, 2, 3, groups=2), "a multiple of groups"),
        (lambda: Conv2dShift(2, 2, (3, 3, 3)), "one whole number, or two"),
        (lambda: Conv2dShiftQ(2, 2, 3, padding_mode="reflect"), "zeros or circular"),
        (lambda: convert_to_shift(net(), 1, "R"), "one of PS, Q"),
        (lambda: convert_to_shift(nn.Sequential(nn.Conv2d(1, 1, 2, padding="same")), 1, "Q"), "as much on both sides"),
    ],
)
def test_bad_arguments_are_refused_by_name(make, sentence):
    with pytest.raises(OptionError, match=sentence):
        make()
