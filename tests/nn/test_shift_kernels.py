"""Rounded weights by compiled kernels: the same bits as torch gives, forward and backward, for any number."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from groups import swept

from dwn_hw import _assets
from dwn_hw.nn import Conv2dShift, LinearShift, LinearShiftQ, shift_kernels

pytest.importorskip("numba")


def both(monkeypatch, work):
    """What work gives by the kernels, of which it must use one, and by torch alone."""
    monkeypatch.setattr(shift_kernels, "_WORTH", 0)
    found = []
    for form in ("numba", "torch"):
        monkeypatch.setenv(_assets.VARIABLE, form)
        found.append(work())
    return found


def same(one, other):
    """Equal bits, so that −0 is not 0; a NaN is a NaN."""
    assert (torch.isnan(one) == torch.isnan(other)).all()
    a, b = (torch.nan_to_num(value, 7.0).detach().numpy().view(np.int32) for value in (one, other))
    np.testing.assert_array_equal(a, b)


def numbers(kind, count=60_000):
    """Numbers of many sizes, near where rounding turns, and odd ones."""
    torch.manual_seed(3)
    sizes = torch.randn(count) * 2.0 ** torch.randint(-30, 8, (count,))
    turns = torch.tensor(np.float32(np.sqrt(2)).view(np.int32).item() + np.arange(-3000, 3000), dtype=torch.int32)
    near = turns.view(torch.float32).repeat(4) * 2.0 ** torch.arange(-18, 6).repeat_interleave(1000)
    halves = (torch.arange(-400, 400) / 8).float()
    odd = torch.tensor([0.0, -0.0, 1e-45, -1e-40, 3e38, torch.inf, -torch.inf])
    nan = [torch.tensor([torch.nan])] if kind == "nan" else []
    return torch.cat([sizes, near, -near, halves, odd, *nan])


def weights_and_gradients(layer, values):
    """The rounded weights, the gradients that a random one gives, and the parameters as they are left."""
    parameters = [parameter for name, parameter in layer.named_parameters() if name != "bias"]
    for parameter, own in zip(parameters, values, strict=True):
        parameter.data = own.clone().reshape(1, -1)
        parameter.grad = None
    torch.manual_seed(9)
    weights = layer.rounded_weight()
    weights.backward(torch.randn(weights.shape))
    return [weights, *[p.grad for p in parameters if p.requires_grad], *[p.data for p in parameters]]


@pytest.mark.parametrize("kind", ["numbers", "nan"])
@pytest.mark.parametrize("bits", [5, *swept(2, 3, 4, 6, 7, 8)])
def test_powers_of_two_of_weights_have_the_same_bits(monkeypatch, bits, kind):
    layer = LinearShiftQ(4, 4, weight_bits=bits)
    for one, other in zip(*both(monkeypatch, lambda: weights_and_gradients(layer, [numbers(kind)])), strict=True):
        same(one, other)


@pytest.mark.parametrize("kind", ["numbers", "nan"])
@pytest.mark.parametrize(("bits", "frozen"), [(5, False), *swept((2, False), (3, True), (4, False), (8, False))])
def test_powers_of_two_of_shifts_and_signs_have_the_same_bits(monkeypatch, bits, frozen, kind):
    layer = LinearShift(4, 4, weight_bits=bits, freeze_sign=frozen)
    values = [numbers(kind), numbers(kind).flip(0)]
    for one, other in zip(*both(monkeypatch, lambda: weights_and_gradients(layer, values)), strict=True):
        same(one, other)


@pytest.mark.parametrize("more", [{"rounding": "stochastic"}, {"weight_bits": None}, {"check_grad": True}], ids=str)
def test_what_the_kernels_do_not_round_is_left_to_torch(monkeypatch, more):
    monkeypatch.setattr(shift_kernels, "_WORTH", 0)
    layer = LinearShift(8, 8, **more)
    assert not shift_kernels.takes(layer.shift_range, layer.rounding, layer.shift, layer.sign)


def test_a_layer_trains_to_the_same_bits_with_kernels_and_without(monkeypatch):
    def train():
        torch.manual_seed(4)
        model = torch.nn.Sequential(Conv2dShift(1, 3, 3), torch.nn.Flatten(), LinearShiftQ(48, 9), LinearShift(9, 2))
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        for _ in range(4):
            optimizer.zero_grad()
            model(torch.randn(6, 1, 6, 6)).pow(2).sum().backward()
            optimizer.step()
        return model.state_dict()

    one, other = both(monkeypatch, train)
    for name, values in one.items():
        same(values, other[name])
