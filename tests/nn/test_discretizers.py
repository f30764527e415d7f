"""Layers trained through a step: forward against definitions in numpy, backward against formulas written anew."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from dwn_hw import nn as dwn
from dwn_hw.errors import OptionError

DTYPES = [torch.float32, torch.float64]


def winner(x, offsets, alpha):
    """The index of the first arg-max of −exp(alpha)·(x − offset)², in Python's floats."""
    scores = [-(math.exp(a) * (x - offset) ** 2) for offset, a in zip(offsets, alpha, strict=True)]
    return scores.index(max(scores))


def multi(offsets, alpha=None, dtype=torch.float64):
    layer = dwn.MultiDiscretizer(len(offsets), offsets).to(dtype)
    if alpha is not None:
        layer.alpha.data = torch.tensor(alpha, dtype=dtype)
    return layer


# StraightThroughEstimator


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("clamped", "passed"), [(True, [1, -1, 0.25, 1]), (False, [3, -4, 0.25, 6])])
def test_the_estimator_steps_above_0_and_clamps_what_goes_back(dtype, clamped, passed):
    x = torch.tensor([-1.0, 0.0, 1e-40, 2.0], dtype=dtype, requires_grad=True)
    y = dwn.StraightThroughEstimator(clamped)(x)
    y.backward(torch.tensor([3.0, -4.0, 0.25, 6.0], dtype=dtype))
    assert (y.tolist(), y.dtype, x.grad.tolist()) == ([0, 0, 1, 1], dtype, passed)


def test_the_function_of_both_authors_is_one_and_passes_on_by_default():
    x = torch.tensor([5.0], requires_grad=True)
    dwn.STEFunction.apply(x).backward(torch.tensor([7.0]))
    assert x.grad.tolist() == [7.0]


# BinaryDiscretizer


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_half_itself_is_0(dtype):
    eps = torch.finfo(dtype).eps
    x = torch.tensor([0.0, 0.5 - eps / 4, 0.5, 0.5 + eps / 2, 1.0], dtype=dtype, requires_grad=True)
    y = dwn.BinaryDiscretizer()(x)
    y.backward(torch.arange(5, dtype=dtype))
    assert (y.tolist(), y.dtype, x.grad.tolist()) == ([0, 0, 0, 1, 1], dtype, [0, 1, 2, 3, 4])


# MultiDiscretizer

LEVELS = st.lists(st.integers(-8, 8).map(lambda n: n / 4), min_size=2, max_size=6, unique=True)


@given(offsets=LEVELS, data=st.data())
def test_the_level_is_the_winners_offset(offsets, data):
    alpha = data.draw(st.lists(st.floats(-2, 2), min_size=len(offsets), max_size=len(offsets)))
    # Multiples of an eighth: among them every middle of two levels, where equal alphas tie.
    x = torch.arange(-24, 25, dtype=torch.float64) / 8
    layer = multi(offsets, alpha)
    wanted = [offsets[winner(value, offsets, layer.alpha.exp().log().tolist())] for value in x.tolist()]
    ours = layer(x)
    clear = [margin(value, offsets, alpha) > 1e-9 for value in x.tolist()]
    assert [a for a, ok in zip(ours.tolist(), clear, strict=True) if ok] == [
        b for b, ok in zip(wanted, clear, strict=True) if ok
    ]
    assert torch.equal(ours.detach(), layer.hard(x))


def margin(x, offsets, alpha):
    """By how much the best score is above the second."""
    best, second = sorted((-math.exp(a) * (x - offset) ** 2 for offset, a in zip(offsets, alpha, strict=True)))[
        -1:-3:-1
    ]
    return best - second


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("offsets", "wanted"), [([0.0, 1.0], 0.0), ([1.0, 0.0], 1.0), ([-3.0, 1.0, 0.0], 1.0)])
def test_of_equal_scores_the_first_wins(dtype, offsets, wanted):
    assert multi(offsets, dtype=dtype)(torch.tensor([0.5], dtype=dtype)).tolist() == [wanted]


def test_a_flat_level_wins_on_both_sides_of_a_sharp_one():
    layer = multi([0.0, 1.0], [3.0, 0.0])
    x = torch.linspace(-2, 2, 401, dtype=torch.float64)
    assert layer(x)[[0, 200, 400]].tolist() == [1.0, 0.0, 1.0]
    assert int((layer(x).diff() != 0).sum()) == 2


def test_the_gradient_is_of_the_weighted_mean_and_of_the_winner():
    offsets, alpha, x = np.array([-0.5, 0.25, 2.0]), np.array([0.3, -0.4, 0.1]), np.array([-0.1, 0.9])

    def mean_and_level(parameters):
        values, shapes, points = np.split(parameters, [3, 6])
        scores = -np.exp(shapes) * (points[:, None] - values) ** 2
        weights = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
        fixed = scores.argmax(1)
        return (weights @ values + values[fixed]) @ np.array([1.0, -2.0])

    at = np.concatenate([offsets, alpha, x])
    steps = 1e-6 * np.eye(len(at))
    slopes = [(mean_and_level(at + step) - mean_and_level(at - step)) / 2e-6 for step in steps]
    layer, points = multi(offsets.tolist(), alpha), torch.tensor(x, requires_grad=True)
    layer(points).backward(torch.tensor([1.0, -2.0], dtype=torch.float64))
    found = torch.cat([layer.offsets.grad, layer.alpha.grad, points.grad]).numpy()
    assert np.allclose(found, slopes, atol=1e-8)


def test_levels_come_back_from_a_state_dict():
    layer, other = dwn.MultiDiscretizer(5), dwn.MultiDiscretizer(5)
    layer.alpha.data.normal_()
    x = torch.randn(64)
    other.load_state_dict(layer.state_dict())
    assert torch.equal(layer.eval()(x), other.eval()(x))
    assert set(layer.state_dict()) == {"offsets", "alpha"}


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: dwn.MultiDiscretizer(1), "MultiDiscretizer num_values: a whole number of at least 2; got 1."),
        (lambda: dwn.MultiDiscretizer(3, [0.0, 1.0]), "offsets: num_values (3) of them; got shape (2,)."),
        (lambda: dwn.MultiDiscretizer(2, [0.0, math.nan]), "MultiDiscretizer offsets: finite numbers; got nan."),
        (lambda: dwn.MultiDiscretizer(3, [1.0, 0.0, 1.0]), "offsets: no two equal; got [0.0, 1.0, 1.0]."),
        (lambda: multi([0.0, 1.0], [0.0, math.inf]).check(), "MultiDiscretizer alpha: finite numbers; got inf."),
        (lambda: dwn.StraightThroughEstimator(clamped=1), "StraightThroughEstimator clamped: True or False; got 1."),
    ],
)
def test_what_can_mean_nothing_is_refused(make, sentence):
    with pytest.raises(OptionError) as refused:
        make()
    assert sentence in str(refused.value)


# StraightThroughWrapper


def wrapped(discretizer):
    torch.manual_seed(0)
    return dwn.StraightThroughWrapper(nn.Linear(6, 4), discretizer).double()


@pytest.mark.parametrize("discretizer", [dwn.BinaryDiscretizer(), dwn.MultiDiscretizer(3)], ids=["binary", "multi"])
@pytest.mark.parametrize("batch", [1, 5])
def test_the_wrapper_gives_exactly_the_transform_of_discrete_inputs(discretizer, batch):
    layer = wrapped(discretizer)
    x = torch.rand(batch, 6, dtype=torch.float64)
    wanted = functional.linear(layer.discretizer(x), layer.transform.weight, layer.transform.bias)
    assert torch.equal(layer(x), wanted)
    with torch.no_grad():
        assert torch.equal(layer(x), wanted)


def test_the_wrappers_gradient_is_the_plain_one_and_the_one_through_the_discretizer():
    layer = wrapped(dwn.BinaryDiscretizer())
    x = torch.rand(3, 6, dtype=torch.float64, requires_grad=True)
    gradient = torch.randn(3, 4, dtype=torch.float64)
    layer(x).backward(gradient)
    bits = (x > 0.5).double()
    assert torch.allclose(layer.transform.weight.grad, gradient.T @ (x + bits).detach())
    assert torch.allclose(layer.transform.bias.grad, 2 * gradient.sum(0))
    assert torch.allclose(x.grad, 2 * gradient @ layer.transform.weight)


def test_a_discretizer_without_a_gradient_leaves_the_plain_one():
    class Sign(nn.Module):
        def forward(self, x):
            return x.sign()

    layer = wrapped(Sign())
    x = torch.randn(3, 6, dtype=torch.float64, requires_grad=True)
    gradient = torch.randn(3, 4, dtype=torch.float64)
    layer(x).backward(gradient)
    assert torch.allclose(x.grad, gradient @ layer.transform.weight)


def test_levels_are_learnt_through_the_wrapper():
    torch.manual_seed(1)
    layer = dwn.StraightThroughWrapper(nn.Identity(), dwn.MultiDiscretizer(3, [-0.1, 0.0, 0.1]))
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.03)
    x = torch.rand(128, 1) * 2 - 1
    losses = []
    for _ in range(80):
        loss = functional.mse_loss(layer(x), x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.06 < 0.2 < losses[0]  # three levels of −1…1 leave 1/27 at best
