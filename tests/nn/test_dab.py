"""Bridges: hard values against definitions in numpy, gradients against the approximator's own, the loss that is kept."""

from __future__ import annotations

import copy
import io
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from dwn_hw.errors import OptionError
from dwn_hw.nn import dab, training
from dwn_hw.nn.dab.bernoulli import lfsr_states

DTYPES = [torch.float32, torch.float64]
EIGHTHS = st.integers(-16, 16).map(lambda n: n / 8)


def quantized(layer):
    """KMeans with centroids that are in no order."""
    layer.centroids.copy_(torch.tensor([[0.5], [-1.0], [2.0]]))
    return layer


#: Each kind, for samples of 6 numbers.
LAYERS = {
    "signum": dab.SignumWithMargin,
    "mean": dab.BinaryByMean,
    "sort": lambda: dab.Sort(6),
    "top": lambda: dab.TopK(2, 6),
    "kmeans": lambda: quantized(dab.KMeans(3)),
    "bernoulli": lambda: dab.Bernoulli(seed=5),
    "decided": lambda: dab.Bernoulli(deterministic=True),
}

#: What each gives for one sample of 6, in Python.
ORACLES = {
    "signum": lambda row: [(v > 0.5) - (v < -0.5) for v in row],
    "mean": lambda row: [float(6 * v >= math.fsum(row)) for v in row],
    "sort": lambda row: sorted(row, reverse=True),
    "top": lambda row: sorted(row)[:-3:-1],
    "kmeans": lambda row: [min([0.5, -1.0, 2.0], key=lambda c: (v - c) ** 2) for v in row],
    "bernoulli": lambda row: [float(v > n / 65536) for v, n in zip(row, register(5, 6), strict=True)],
    "decided": lambda row: [float(v >= 0.5) for v in row],
}


def register(seed, count):
    """The states of the shift register bit by bit: s[n+16] = s[n] + s[n+2] + s[n+3] + s[n+5], written as a Fibonacci register.

    A Galois register gives another sequence of states, so that it is stepped here by its matrix over GF(2).
    """
    step = np.zeros((16, 16), int)  # next = step @ bits, lowest first
    for place in range(15):
        step[place, place + 1] = 1
    for place in (10, 12, 13, 15):
        step[place, 0] ^= 1
    bits = np.array([seed >> place & 1 for place in range(16)])
    states = []
    for _ in range(count):
        for _ in range(16):
            bits = step @ bits % 2
        states.append(int(sum(int(bit) << place for place, bit in enumerate(bits))))
    return states


@pytest.mark.parametrize("kind", LAYERS)
@given(rows=st.lists(st.lists(EIGHTHS, min_size=6, max_size=6), min_size=1, max_size=4), dtype=st.sampled_from(DTYPES))
def test_the_hard_value_is_the_definitions(kind, rows, dtype):
    """Numbers by eighths meet every threshold, tie, mean and middle of two centroids."""
    layer = LAYERS[kind]().to(dtype).eval()
    x = torch.tensor(rows, dtype=dtype)
    assert layer(x).tolist() == [ORACLES[kind](row) for row in rows]
    assert layer(x).dtype == dtype
    assert torch.equal(layer(x), layer.hard(x))


ELEMENTWISE = [kind for kind in LAYERS if kind in ("signum", "kmeans", "decided")]


@pytest.mark.parametrize("kind", ELEMENTWISE)
def test_an_elementwise_function_does_not_see_the_shape(kind):
    layer = LAYERS[kind]().eval()
    x = torch.randn(2, 3, 4, 5)
    assert torch.equal(layer(x), layer(x.reshape(-1, 1)).reshape(x.shape))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("eps", [0.0, 0.5, 1.5])
def test_the_margin_is_closed(dtype, eps):
    at = torch.tensor(eps, dtype=dtype)
    above = torch.nextafter(at, torch.tensor(9.0, dtype=dtype))
    x = torch.stack([-above, -at, at, above]).unsqueeze(0)
    assert dab.SignumWithMargin(eps).eval()(x).tolist() == [[-1, 0, 0, 1]]


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e-30])
def test_numbers_that_are_all_equal_meet_their_mean(value):
    assert dab.BinaryByMean().eval()(torch.full((1, 10), value)).sum() == 10


@given(rows=st.integers(1, 4), columns=st.integers(1, 4), descending=st.booleans(), data=st.data())
def test_rows_and_columns_are_sorted_each_by_itself(rows, columns, descending, data):
    x = np.array(data.draw(st.lists(EIGHTHS, min_size=2 * rows * columns, max_size=2 * rows * columns)))
    x = x.reshape(2, rows, columns)
    sign = -1 if descending else 1
    by_row, by_column = (sign * np.sort(sign * x, axis) for axis in (2, 1))
    layer = dab.Sort((rows, columns), "rows and columns", descending).eval()
    wanted = np.concatenate([by_row.reshape(2, -1), by_column.reshape(2, -1)], 1)
    assert np.array_equal(layer(torch.tensor(x)), wanted)
    k = data.draw(st.integers(1, min(rows, columns)))
    top = dab.TopK(k, (rows, columns), "rows and columns", descending).eval()
    wanted = np.concatenate([by_row[:, :, :k].reshape(2, -1), by_column[:, :k].reshape(2, -1)], 1)
    assert np.array_equal(top(torch.tensor(x)), wanted)


@pytest.mark.parametrize("axes", ["flat", "last", "rows and columns"])
@pytest.mark.parametrize("k", [None, 2])
def test_the_default_approximator_has_the_shape_of_what_is_sorted(axes, k):
    x = torch.randn(1, 5, 3, 4, requires_grad=True)
    layer = dab.Sort((5, 3, 4), axes) if k is None else dab.TopK(k, (5, 3, 4), axes)
    layer(x).sum().backward()
    assert x.grad.shape == x.shape
    last = layer.eval()(x)
    assert last.shape[0] == 1
    if axes == "last":
        assert torch.equal(last, x.sort(-1, descending=True).values[..., :k])


# Gradients


@pytest.mark.parametrize("kind", LAYERS)
def test_the_gradient_is_the_approximators_and_its_weights_learn_from_the_loss_alone(kind):
    torch.manual_seed(2)
    layer = LAYERS[kind]().double()
    layer.gamma = 3.0
    x = torch.rand(4, 6, dtype=torch.float64, requires_grad=True)
    y = layer(x)
    weights = torch.randn(y.shape, dtype=torch.float64)
    kept = dab.kept_loss(layer)

    other = x.detach().clone().requires_grad_()
    soft = layer.approximator(other)
    stated = 3.0 * sum(((y.detach() - soft)[i] ** 2).sum() for i in range(4)) / 4
    assert torch.allclose(kept, stated)
    (wanted,) = torch.autograd.grad(soft, other, weights, retain_graph=True)
    of_loss = torch.autograd.grad(stated, [other, *layer.approximator.parameters()])

    ((y * weights).sum() + kept).backward()
    assert torch.allclose(x.grad, wanted + of_loss[0])
    for parameter, gradient in zip(layer.approximator.parameters(), of_loss[1:], strict=True):
        assert torch.allclose(parameter.grad, gradient)


def test_the_loss_is_of_one_pass_and_counts_once():
    model = nn.Sequential(nn.Linear(3, 6), dab.SignumWithMargin(), nn.Linear(6, 6), dab.Sort(6))
    x = torch.randn(5, 3)
    model(x)
    assert dab.kept_loss(model) > 0
    assert dab.kept_loss(model) == 0
    model(x)
    assert dab.kept_loss(copy.deepcopy(model)) == 0
    torch.save(model, io.BytesIO())
    model.eval()(x)
    assert dab.kept_loss(model) == 0
    with torch.no_grad():
        model.train()(x)
    assert dab.kept_loss(model) == 0


def test_fit_adds_the_loss_that_is_kept():
    def trained(gamma):
        torch.manual_seed(0)
        layer = dab.SignumWithMargin(gamma=gamma)
        model = nn.Sequential(nn.Linear(2, 4), layer, nn.Linear(4, 2))
        before = [parameter.clone() for parameter in layer.parameters()]
        training.fit(model, torch.randn(8, 2), torch.zeros(8).long(), epochs=1)
        return any(not torch.equal(old, new) for old, new in zip(before, layer.parameters(), strict=True))

    assert trained(1.0)
    assert not trained(0.0)


def test_fit_takes_another_loss_and_images_for_labels():
    torch.manual_seed(0)
    model, x = nn.Linear(4, 4), torch.randn(64, 4)
    history = training.fit(model, x, x, epochs=30, lr=0.05, loss=functional.mse_loss)
    assert history[-1].loss < history[0].loss / 4
    with pytest.raises(OptionError, match="as many labels as samples"):
        training.fit(model, x, x[:5], loss=functional.mse_loss)


def test_a_hidden_layer_of_signs_learns_what_no_linear_one_can():
    torch.manual_seed(0)
    x = torch.rand(512, 2) * 2 - 1
    y = (x[:, 0] * x[:, 1] > 0).long()
    model = nn.Sequential(nn.Linear(2, 32), dab.SignumWithMargin(0.1, gamma=0.1), nn.Linear(32, 2))
    training.fit(model, x, y, epochs=20, lr=0.02)
    assert training.accuracy(model, x, y) > 0.85


# What is kept


@pytest.mark.parametrize("kind", LAYERS)
def test_a_state_dict_brings_all_back(kind):
    torch.manual_seed(0)
    layer, other = LAYERS[kind](), LAYERS[kind]()
    for tensor in layer.state_dict().values():
        if tensor.is_floating_point():
            tensor.normal_()
    other.load_state_dict(layer.state_dict())
    x = torch.randn(9, 6)
    assert torch.equal(layer.eval()(x), other.eval()(x))
    assert torch.equal(layer.approximator(x), other.approximator(x))


def test_a_user_says_a_hard_function_and_its_approximator():
    class Floor(dab.DAB):
        def hard(self, x):
            return x.floor()

    layer = Floor(nn.Identity())
    x = torch.tensor([[0.7, -0.2]], requires_grad=True)
    y = layer(x)
    y.sum().backward()
    assert (y.tolist(), x.grad.tolist(), float(dab.kept_loss(layer).detach())) == (
        [[0, -1]],
        [[1, 1]],
        pytest.approx(11.3),
    )


# KMeans


def test_centroids_start_within_the_first_batch_and_take_lloyds_step():
    layer = dab.KMeans(2, momentum=0.25)
    x = torch.tensor([[0.0, 0.0, 0.0, 1.0], [1.0, 4.0, 6.0, 8.0]])
    layer(x)
    # Of the different numbers 0, 1, 4, 6, 8 the ones of rank 1 and 3; then a quarter of the way to the means 0.4 and 6.
    assert layer.centroids.flatten().tolist() == pytest.approx([1 + (0.4 - 1) / 4, 6.0])
    layer.eval()(x + 100)
    assert layer.centroids.flatten().tolist() == pytest.approx([0.85, 6.0])


def test_an_empty_cell_stays():
    layer = quantized(dab.KMeans(3))
    layer.started.fill_(True)
    layer(torch.tensor([[0.25, 0.75]]))
    assert layer.centroids.flatten().tolist() == [0.5, -1.0, 2.0]


def test_lloyds_steps_find_the_clusters_of_vectors():
    torch.manual_seed(0)
    centres = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]])
    layer = dab.KMeans(3, width=2, momentum=0.5)
    for _ in range(20):
        layer(centres[torch.randint(3, (4, 16))] + torch.randn(4, 16, 2) / 10)
    found = layer.eval()(centres)
    assert torch.allclose(found, centres, atol=0.1)
    assert len(found.unique(dim=0)) == 3


def test_the_nearest_vector_is_the_first_of_equals():
    layer = dab.KMeans(2, width=2).eval()
    layer.centroids.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    assert layer(torch.tensor([[0.5, 0.5], [0.0, 0.1]])).tolist() == [[1, 0], [0, 1]]


# Bernoulli


def test_bits_are_drawn_in_training_with_their_probabilities():
    torch.manual_seed(0)
    layer = dab.Bernoulli()
    p = torch.tensor([-1.0, 0.0, 0.25, 1.0, 3.0]).expand(4000, 5)
    means = layer(p).mean(0)
    assert means[[0, 1, 3, 4]].tolist() == [0, 0, 1, 1]
    assert abs(means[2] - 0.25) < 0.03
    assert not torch.equal(layer(p), layer(p))


def test_the_register_visits_every_state_but_0():
    states = lfsr_states(1, 65535)
    assert sorted(states) == list(range(1, 65536))
    assert lfsr_states(1, 50) == states[:50] == register(1, 50)


def test_one_seed_gives_the_same_bits_to_every_sample():
    layer = dab.Bernoulli(seed=77).eval()
    p = torch.full((3, 2, 500), 0.3)
    bits = layer(p)
    assert torch.equal(bits[0], bits[1])
    assert abs(float(bits.mean()) - 0.3) < 0.05
    assert not torch.equal(bits, dab.Bernoulli(seed=78).eval()(p))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: dab.SignumWithMargin(-0.1), "SignumWithMargin eps: at least 0: the margin is −eps to eps; got -0.1."),
        (lambda: dab.SignumWithMargin(math.nan), "SignumWithMargin eps: a finite number; got nan."),
        (lambda: dab.SignumWithMargin(gamma=-1), "SignumWithMargin gamma: at least 0; got -1."),
        (lambda: dab.TopK(7, 6), "TopK k: at most as many as are sorted, 6; got 7."),
        (lambda: dab.TopK(3, (5, 2), "last"), "TopK k: at most as many as are sorted, 2; got 3."),
        (lambda: dab.TopK(0, 6), "TopK k: a whole number of at least 1; got 0."),
        (lambda: dab.Sort(6, "rows"), "Sort axes: one of flat, last, rows and columns; got 'rows'."),
        (lambda: dab.Sort(6, "rows and columns"), "Sort shape: two axes at least; got (6,)."),
        (lambda: dab.Sort(6)(torch.zeros(1, 5)), "input of Sort: of shape (samples, 6); got shape (1, 5)."),
        (lambda: dab.KMeans(1), "KMeans k: a whole number of at least 2; got 1."),
        (lambda: dab.KMeans(2, momentum=2), "KMeans momentum: above 0 and at most 1; got 2."),
        (
            lambda: dab.KMeans(2, width=3)(torch.zeros(1, 2)),
            "input of KMeans: with a last axis of 3; got shape (1, 2).",
        ),
        (lambda: centroids(math.nan), "KMeans centroids: finite numbers; got NaN or infinity."),
        (lambda: centroids(1.0), "KMeans centroids: no two equal; got [[1.0], [1.0]]."),
        (
            lambda: dab.Bernoulli().eval()(torch.zeros(1, 2)),
            "Bernoulli in eval mode: a seed, to give the same bits again",
        ),
        (lambda: dab.Bernoulli(0), "Bernoulli seed: a whole number from 1 to 65535; got 0."),
        (
            lambda: dab.Sort(6, approximator=nn.Linear(6, 5))(torch.zeros(2, 6)),
            "Sort approximator: must give the shape of the hard value, (2, 6); got (2, 5).",
        ),
    ],
)
def test_what_can_mean_nothing_is_refused(make, sentence):
    with pytest.raises(OptionError) as refused:
        make()
    assert sentence in str(refused.value)


def centroids(value):
    layer = dab.KMeans(2)
    layer.centroids.fill_(value)
    layer.check()
