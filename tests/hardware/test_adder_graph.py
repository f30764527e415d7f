"""Constant matrices as graphs of adders: the sums are numpy's, and sharing saves what it should."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dwn_hw.hardware import adder_graph


@st.composite
def matrices(draw) -> tuple[np.ndarray, list[int], list[tuple[int, int]]]:
    inputs, outputs = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    weight = st.integers(-40, 40) | st.sampled_from([sign * 2**s for sign in (-1, 1) for s in range(9)]) | st.just(0)
    rows = draw(st.lists(st.lists(weight, min_size=inputs, max_size=inputs), min_size=outputs, max_size=outputs))
    biases = draw(st.lists(st.integers(-99, 99) | st.just(0), min_size=outputs, max_size=outputs))
    ranges = [(-draw(st.integers(0, 40)), draw(st.integers(0, 40))) for _ in range(inputs)]
    return np.array(rows, np.int64), biases, ranges


@given(case=matrices(), slack=st.integers(0, 2), seed=st.integers(0, 99))
def test_a_graph_gives_the_sums_of_the_matrix_and_every_term_stays_in_its_range(case, slack, seed):
    weights, biases, ranges = case
    graph = adder_graph.share(weights, biases, ranges, slack)
    low, high = np.array(ranges).T
    x = np.random.default_rng(seed).integers(low, high + 1, (20, len(ranges)))
    x[0], x[1] = low, high
    assert (graph.evaluate(x) == x @ weights.T + np.array(biases)).all()
    terms = [*x.T, *(np.full(len(x), c) for c in graph.constants)]
    for a in graph.adders:
        terms.append((terms[a.left] << a.left_shift) + a.sign * (terms[a.right] << a.right_shift))
    for term, (bottom, top) in zip(terms, graph.ranges, strict=True):
        assert bottom <= term.min()
        assert term.max() <= top


@given(case=matrices())
def test_no_graph_has_more_adders_than_the_sums_have_places(case):
    weights, biases, ranges = case
    graph = adder_graph.share(weights, biases, ranges)
    places = [sum(len(adder_graph.digits(w)) for w in row) for row in weights.tolist()]
    starts = [
        bool(b) or any(s < 0 for w in row for _, s in adder_graph.digits(w))
        for b, row in zip(biases, weights.tolist(), strict=True)
    ]
    assert len(graph.adders) <= sum(max(p + s - 1, 0) for p, s in zip(places, starts, strict=True))


@given(case=matrices(), slack=st.integers(0, 2))
def test_the_depth_is_at_most_the_slack_above_that_of_a_tree(case, slack):
    weights, biases, ranges = case
    graph = adder_graph.share(weights, biases, ranges, slack)
    places = [sum(len(adder_graph.digits(w)) for w in row) for row in weights.tolist()]
    # One more for a constant that a sum may begin with.
    assert graph.depth <= max((count).bit_length() for count in places) + 1 + slack


@given(weight=st.integers(-(2**20), 2**20))
def test_canonic_signed_digits_add_up_and_no_two_are_neighbours(weight):
    found = adder_graph.digits(weight)
    assert sum(sign << shift for shift, sign in found) == weight
    shifts = [shift for shift, _ in found]
    assert all(b - a >= 2 for a, b in itertools.pairwise(shifts))


@pytest.mark.parametrize(
    ("rows", "count"), [([[1, 2], [2, 4]], 1), ([[1, 1, 0], [1, 1, 1]], 2), ([[1, -1], [-1, 1]], 2), ([[-1, -2]], 2)]
)
def test_equal_sums_up_to_a_shift_are_built_once(rows, count):
    graph = adder_graph.share(np.array(rows), [0] * len(rows), [(0, 15)] * len(rows[0]))
    assert len(graph.adders) == count


def test_a_random_matrix_of_powers_of_two_takes_a_quarter_fewer_adders_than_its_sums_apart():
    rng = np.random.default_rng(0)
    weights = rng.choice([-1, 1], (16, 16)) * 2 ** rng.integers(0, 8, (16, 16))
    graph = adder_graph.share(weights, [0] * 16, [(-128, 127)] * 16)
    assert len(graph.adders) <= 0.77 * 16 * 15
    assert graph == adder_graph.share(weights, [0] * 16, [(-128, 127)] * 16)
