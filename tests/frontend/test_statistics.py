"""What samples support: the split, the confidence limits against oracles and simulation, and the numbers asked for."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dwn_hw.frontend.calibration import statistics

# ---- the split -----------------------------------------------------------------------------------------------------


@given(st.integers(1, 400), st.integers(1, 6), st.integers(0, 9), st.booleans())
def test_the_parts_are_disjoint_whole_halves_with_the_classes_evenly_in_both(count, classes, seed, known):
    y = np.random.default_rng(seed).integers(0, classes, count) if known else None
    first, rest = statistics.split(count, y, seed)
    assert sorted([*first, *rest]) == list(range(count))
    assert (len(first), len(rest)) == (count - count // 2, count // 2)
    assert len(rest) == statistics.validating(count)
    again = statistics.split(count, y, seed)
    assert all((a == b).all() for a, b in zip((first, rest), again, strict=True))
    if y is not None:
        for own in range(classes):
            assert abs((y[first] == own).sum() - (y[rest] == own).sum()) <= 1


def test_another_seed_is_another_split():
    y = np.arange(200) % 3
    assert (statistics.split(200, y, 0)[0] != statistics.split(200, y, 1)[0]).any()


@pytest.mark.parametrize("count", [20_000, 20_001, 30_000, 60_000, 1_000_003])
def test_of_a_large_file_a_bounded_part_is_searched_and_all_the_rest_validates(count):
    y = np.arange(count) % 10
    first, rest = statistics.split(count, y, 0)
    assert len(first) <= statistics.MOST_SEARCHED
    assert len(rest) == statistics.validating(count) == count - len(first)
    assert np.ptp(np.bincount(y[first])) <= 1


@given(st.integers(1, 100_000))
def test_a_file_of_the_size_asked_for_leaves_enough_to_validate(least):
    size = statistics.whole(least)
    assert statistics.validating(size) >= least
    if least <= statistics.MOST_SEARCHED:
        assert statistics.validating(size - 1) < least


# ---- the drop in accuracy ------------------------------------------------------------------------------------------


def likeliest(lost, gained, count, drop):
    """Rates (lost, gained) of the greatest likelihood among those that differ by ``drop``: by ternary search."""

    def likelihood(q):
        p = q + drop
        terms = ((lost, p), (gained, q), (count - lost - gained, 1 - p - q))
        return sum(n * math.log(max(rate, 1e-300)) for n, rate in terms if n)

    low, high = max(0.0, -drop), (1 - drop) / 2
    for _ in range(200):
        a, b = low + (high - low) / 3, high - (high - low) / 3
        low, high = (a, high) if likelihood(a) < likelihood(b) else (low, b)
    return (low + high) / 2 + drop, (low + high) / 2


@given(st.integers(10, 3000), st.integers(0, 40), st.integers(0, 40), st.floats(0.001, 0.3))
def test_the_score_is_that_of_the_likeliest_rates_under_the_drop(count, lost, gained, drop):
    lost, gained = min(lost, count // 3), min(gained, count // 3)
    p, q = likeliest(lost, gained, count, drop)
    spread = math.sqrt(count * (p + q - drop**2))
    wanted = (lost - gained - count * drop) / spread
    assert statistics.score(lost, gained, count, drop) == pytest.approx(wanted, rel=1e-4, abs=1e-4)


@given(st.integers(10, 3000), st.integers(0, 40), st.integers(0, 40))
def test_the_limit_is_where_the_score_falls_to_the_quantile(count, lost, gained):
    lost, gained = min(lost, count // 3), min(gained, count // 3)
    limit = statistics.most_dropped(lost, gained, count)
    assert (lost - gained) / count < limit < 1
    assert statistics.score(lost, gained, count, limit) == pytest.approx(-1.959964, abs=1e-4)


@given(st.integers(10, 3000), st.integers(0, 30), st.integers(0, 30))
def test_more_loss_is_a_higher_limit_more_gain_a_lower_and_more_samples_a_closer_one(count, lost, gained):
    lost, gained = min(lost, count // 3), min(gained, count // 3)
    limit = statistics.most_dropped(lost, gained, count)
    assert statistics.most_dropped(lost + 1, gained, count) > limit
    seen = (lost - gained) / count
    assert statistics.most_dropped(10 * lost, 10 * gained, 10 * count) - seen < limit - seen


@pytest.mark.parametrize(("lost", "gained"), [(0.02, 0.01), (0.004, 0.001), (0.002, 0.0), (0.01, 0.01), (0.05, 0.01)])
@pytest.mark.parametrize("count", [200, 1000])
def test_the_true_drop_is_above_the_limit_as_seldom_as_is_said(lost, gained, count):
    """One time in forty: each of two searches has half of the five per cent. Counts are small, so nearly."""
    rng = np.random.default_rng(0)
    seen = rng.multinomial(count, [lost, gained, 1 - lost - gained], 4000)
    limits = {(a, b): statistics.most_dropped(a, b, count) for a, b in {(int(a), int(b)) for a, b, _ in seen}}
    above = np.mean([limits[int(a), int(b)] < lost - gained for a, b, _ in seen])
    assert above <= 0.025 + 0.01


@given(st.floats(1e-4, 0.9))
def test_as_many_samples_as_are_asked_for_support_the_claim_when_nothing_changes_and_no_fewer_do(drop):
    count = statistics.needed(drop)
    assert statistics.most_dropped(0, 0, count) <= drop * (1 + 1e-9)
    assert statistics.finest_drop(count) <= drop * (1 + 1e-9)
    if count > 1:
        assert statistics.most_dropped(0, 0, count - 1) > drop
        assert statistics.finest_drop(count - 1) > drop


@pytest.mark.parametrize(
    ("drop", "count"), [(0.1, 35), (0.03, 125), (0.02, 189), (0.01, 381), (0.005, 765), (0.001, 3838)]
)
def test_the_numbers_that_the_messages_name(drop, count):
    assert statistics.needed(drop) == count


def test_the_limit_of_changed_predictions_is_that_rate_at_which_none_of_them_is_seen_too_seldom():
    for count, candidates in ((100, 1), (500, 87), (5000, 40)):
        rate = statistics.most_changed(count, candidates)
        assert candidates * (1 - rate) ** count == pytest.approx(0.05)
    assert statistics.most_changed(1000, 1) == pytest.approx(3 / 1000, rel=0.01)  # the rule of three


def test_the_standard_error_is_that_of_a_mean_of_zeros_and_ones():
    right = np.array([1] * 30 + [0] * 70)
    assert statistics.standard_error(0.3, 100) == pytest.approx(right.std() / math.sqrt(100))
