"""Narrower grids: that the search's arithmetic is the port's, which grid is best, and that the path is the best allocation."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dwn_hw import ir
from dwn_hw.frontend import freeze_dwn, input_port
from dwn_hw.frontend.calibration import widths
from dwn_hw.frontend.trained_dwn import TrainedDwn, TrainedGroupSum, TrainedLutLayer
from dwn_hw.hardware.lowering import lower
from dwn_hw.hardware.lowering.encoder import rough_cost
from dwn_hw.ir.codes import encode


def one_feature(thresholds, dtype=np.float64):
    """A model of one feature that gives its thermometer bits through."""
    values = np.sort(np.asarray(thresholds, dtype))[None, :]
    bits = values.shape[1]
    layer = TrainedLutLayer(np.arange(bits)[:, None], np.tile(np.array([[0, 1]], np.uint8), (bits, 1)))
    return TrainedDwn(values, None, (layer,), TrainedGroupSum(1, 1.0))


def frozen_levels(model, grid, finest, x):
    """How many thresholds each value reaches: frozen for this very port, encoded by the host's code path."""
    network = freeze_dwn.freeze_dwn(model, widths.port([grid], [finest], "a test"))
    codes = encode(network.input, x[:, None]).codes[:, 0]
    return (codes[:, None] >= np.array(network.nodes[0].thresholds[0])).sum(axis=1)


def cuts_of(model, finest):
    """Codes of the finest grid at which comparisons turn, by exact rational arithmetic."""
    return tuple(int(Fraction(float(t)) // finest) + 1 for t in model.thresholds[0])


reals = st.floats(-1000, 1000).map(lambda value: round(value, 3))


# ---- a grid --------------------------------------------------------------------------------------------------------


@given(
    st.lists(reals, min_size=1, max_size=6, unique=True),
    st.integers(1, 10),
    st.integers(0, 12),
    st.integers(-300, 300),
    st.integers(-6, 3),
    st.integers(0, 99),
)
def test_the_levels_of_a_grid_are_those_of_the_network_frozen_for_it(thresholds, bits, shift, low, exponent, seed):
    """Also where codes do not reach all thresholds, and for values that lie half way between two codes."""
    finest, grid, model = Fraction(2) ** exponent, widths.Grid(bits, shift, low), one_feature(thresholds)
    rng = np.random.default_rng(seed)
    step = float(finest) * 2**shift
    half_way = (rng.integers(-(2**bits), 2 ** (bits + 1), 50) + low + 0.5) * step
    x = np.concatenate([rng.uniform(-1100, 1100, 50), half_way, model.thresholds[0], [-1e300, 1e300]])
    got = grid.levels(x, cuts_of(model, finest), finest)
    assert got.tolist() == frozen_levels(model, grid, finest, x).tolist()


@given(st.lists(reals, min_size=1, max_size=6, unique=True), st.integers(0, 99))
def test_each_width_has_the_grid_that_changes_fewest_samples_and_the_last_changes_none(thresholds, seed):
    model = one_feature(thresholds)
    x = np.random.default_rng(seed).normal(scale=500, size=200).round(3)
    (finest,) = widths.finest_steps(model.thresholds, x[:, None])
    cuts = tuple(sorted(set(cuts_of(model, finest))))
    exact = (x[:, None] > model.thresholds[0]).sum(axis=1)
    found = widths.grids(x, cuts, exact, finest)
    assert [grid.bits for grid, _ in found] == list(range(1, len(found) + 1))
    assert len(found) <= widths.WIDEST
    assert (found[-1][1] == exact).all()
    assert found[-1][0].shift == 0
    for grid, levels in found:
        assert levels.tolist() == grid.levels(x, cuts, finest).tolist()
        # No grid of as many bits that tells all cuts apart changes fewer.
        for shift in range(grid.shift, 45):
            low, high = -(-cuts[0] >> shift) - 1, -(-cuts[-1] >> shift)
            if high - low < 1 << grid.bits:
                rival = widths.Grid(grid.bits, shift, low).levels(x, cuts, finest)
                assert (levels != exact).sum() <= (rival != exact).sum()
                break


def test_codes_lie_where_the_thresholds_are_not_where_zero_is():
    model = one_feature([1000.25, 1000.5, 1001.0])
    x = np.linspace(999, 1002, 301)
    (finest,) = widths.finest_steps(model.thresholds, x[:, None])
    cuts = cuts_of(model, finest)
    exact = (x[:, None] > model.thresholds[0]).sum(axis=1)
    grid, _ = widths.grids(x, cuts, exact, finest)[4]
    port = widths.port([grid], [finest], "a test")
    lowest, highest = (code * port.steps[0] + port.offsets[0] for code in (0, 31))
    assert 999 < lowest <= 1000.25 < 1001 < highest < 1003
    assert port.steps[0] == Fraction(1, 32)
    assert port.offsets[0] % port.steps[0] == 0


@pytest.mark.parametrize(("cuts", "grid"), [((2, 5), widths.Grid(3, 0, 0)), ((3, 5), widths.Grid(2, 0, 2))])
def test_codes_begin_at_zero_unless_that_takes_more_bits(cuts, grid):
    assert widths.grids(np.array([0.0, 5.0]), cuts, np.array([0, 2]), Fraction(1))[-1][0] == grid


def test_thresholds_that_no_sample_reaches_are_given_up_first():
    """One bit cannot serve two thresholds far apart; that one stays which the samples cross."""
    x = np.linspace(0, 10, 101)
    cuts, finest = (5 * 2**10, 900 * 2**10), Fraction(1, 2**10)
    exact = (x >= 5).astype(int)
    grid, levels = widths.grids(x, cuts, exact, finest)[0]
    assert (levels == exact).all()
    assert grid.turns(cuts)[0] == 1
    assert grid.turns(cuts)[1] > 1


def test_a_feature_that_nothing_reads_has_one_bit():
    assert widths.grids(np.array([1.0, 2.0]), (), np.array([0, 0]), Fraction(1))[0][0] == widths.Grid(1, 0, 0)


# ---- the finest grid -----------------------------------------------------------------------------------------------


def test_the_finest_grid_is_that_of_the_data_where_they_lie_on_one():
    pixels = np.arange(256)[:, None].repeat(2, axis=1).astype(np.float32) / np.float32(255)
    assert widths.finest_steps(np.array([[0.1, 0.2], [0.3, 0.7]]), pixels) == (Fraction(1, 255),) * 2


@given(
    st.lists(st.floats(allow_nan=False), min_size=1, max_size=4),
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=4),
)
def test_the_finest_grid_of_other_data_holds_the_thresholds_in_few_enough_codes(thresholds, values):
    x = np.array(values)[:, None]
    assume(input_port.choose(np.array([thresholds]), None, x).origin != "data")
    (step,) = widths.finest_steps(np.array([thresholds]), x)
    assert step.numerator == 1 or step.denominator == 1
    assert np.isfinite(float(1 / step))
    assert float(step) > 0
    edges = [Fraction(t) for t in np.clip(thresholds, -(2.0**900), 2.0**900).tolist()]
    assert (max(edges) - min(edges)) / step <= 2 ** (widths.WIDEST - 1)
    assert max(map(abs, edges)) / step < 2**45


# ---- the cost ----------------------------------------------------------------------------------------------------


@pytest.mark.sweeps
@given(st.integers(2, 14), st.integers(1, 24), st.integers(0, 99))
@settings(max_examples=30)
def test_the_rough_cost_is_at_least_what_is_built_and_a_third_more_at_most(bits, count, seed):
    row = tuple(np.random.default_rng(seed).integers(0, (1 << bits) + 1, count).tolist())
    edges = ir.Edge((1,), (ir.Format(bits),)), ir.Edge((count,), (ir.BIT,))
    built = len(lower(ir.Thermometer((row,)), "encoder", *edges).cells)
    assert built <= rough_cost(row, ir.Format(bits), 6) <= 4 / 3 * built + 1


# ---- the path ------------------------------------------------------------------------------------------------------


@st.composite
def options(draw):
    """Choices for three features: wider is dearer, and no more at risk; the widest risks nothing."""
    found = []
    for feature in range(3):
        count = draw(st.integers(1, 4))
        costs = sorted(draw(st.lists(st.integers(0, 20), min_size=count, max_size=count)))
        risks = sorted(draw(st.lists(st.integers(0, 50), min_size=count - 1, max_size=count - 1)), reverse=True)
        pairs = zip([*risks, 0], costs, strict=True)
        found.append([widths.Choice(widths.Grid(feature * 10 + i + 1, 0, 0), r, c) for i, (r, c) in enumerate(pairs)])
    return found


def totals(chosen):
    return sum(choice.risk for choice in chosen), sum(choice.cost for choice in chosen)


@given(options())
def test_no_other_choice_of_widths_is_better_than_a_point_of_the_path(choices):
    """Neither cheaper for as little risk nor less risky for as little cost: against every combination."""
    by_grid = {choice.grid: choice for row in choices for choice in row}
    points = widths.path(choices)
    everything = [totals(chosen) for chosen in itertools.product(*choices)]
    for point in points:
        risk, cost = totals([by_grid[grid] for grid in point])
        assert not [
            one for one in everything if (one[0] < risk and one[1] <= cost) or (one[0] <= risk and one[1] < cost)
        ]
    found = [totals([by_grid[grid] for grid in point]) for point in points]
    assert found == sorted(found, key=lambda one: (one[0], -one[1]))
    assert found[0][0] == 0
    assert found[-1][1] == min(cost for _, cost in everything)


def test_the_path_has_at_most_two_points_for_each_growth_of_the_risk_by_half():
    row = [widths.Choice(widths.Grid(bits, 0, 0), 2.0 ** (30 - bits) * (bits < 24), bits) for bits in range(1, 25)]
    points = widths.path([row] * 20)
    risks = [sum(row[grid.bits - 1].risk for grid in point) for point in points]
    assert 20 < len(points) < 100
    assert all(after > 1.4 * before for before, after in zip(risks, risks[2:-1], strict=False))


@pytest.mark.parametrize("bits", [1, 3, 9])
def test_one_width_for_all_features_is_one(bits):
    rows = [[widths.Choice(widths.Grid(b, 5 - b, 3), 0, 0) for b in range(1, most + 1)] for most in (2, 5)]
    grids = widths.shared(rows, bits)
    assert {grid.bits for grid in grids} == {bits}
    assert [grid.shift for grid in grids] == [5 - min(bits, most) for most in (2, 5)]


def test_a_feature_s_own_grid_is_its_step_where_others_lie_on_none():
    rng = np.random.default_rng(0)
    x = np.stack(
        [rng.random(50), rng.integers(0, 2, 50), rng.integers(-40, 90, 50) / 4, rng.integers(0, 3, 50) / 3], axis=1
    )
    thresholds = np.array([[0.25, 0.5], [5e-8, 5e-8], [-3.0, 7.5], [0.4, 0.7]])
    steps = widths.finest_steps(thresholds, x)
    assert steps[1:3] == (1, Fraction(1, 4))
    # A third is no power of two: such a port could not be rounded down, and its step is as fine as that of data on no grid.
    assert all(step < Fraction(1, 2**20) and step.numerator == 1 for step in (steps[0], steps[3]))
