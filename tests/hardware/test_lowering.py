"""Lowered parts equal what the nodes mean, exhaustively where that is possible, and take as few LUTs as is claimed."""

from __future__ import annotations

import heapq
import itertools

import numpy as np
import pytest
from groups import swept
from hypothesis import given, settings
from hypothesis import strategies as st

from dwn_hw.hardware import cell_cost
from dwn_hw.hardware.families import FAMILIES
from dwn_hw.hardware.lowering import comparator_sharing, lower, lower_network, popcount_carries, popcount_trees
from dwn_hw.hardware.lut_netlist import LutBuilder
from dwn_hw.ir import ArgMax, Edge, Format, GroupSum, Input, LutLayer, Network, Thermometer, evaluate


def pack(values, edge):
    """Bits of an edge's values, written straight from DESIGN's rule: first entry lowest, two's complement."""
    rows = []
    for row in np.asarray(values).reshape(len(values), -1).tolist():
        formats = edge.formats * len(row) if len(edge.formats) == 1 else edge.formats
        rows.append([value >> i & 1 for value, fmt in zip(row, formats, strict=True) for i in range(fmt.bits)])
    return np.array(rows)


def assert_equal(node, before, values, k=6, share=True, quick=False):
    after = node.output(before)
    netlist = lower(node, "part", before, after, k, share, quick=quick)
    assert all(len(cell.inputs) <= k for cell in netlist.cells)
    wanted = evaluate.apply(node, np.asarray(values, np.int64))
    assert np.array_equal(netlist.evaluate(pack(values, before)), pack(wanted, after))
    return netlist


@given(st.data())
@settings(max_examples=150)
def test_an_encoder_equals_its_comparisons_for_every_code(draw):
    fmt = Format(draw.draw(st.integers(1, 11)), draw.draw(st.booleans()))
    row = tuple(draw.draw(st.lists(st.integers(fmt.low, fmt.high + 1), min_size=1, max_size=14)))
    k = draw.draw(st.sampled_from([4, 5, 6]))
    share, quick = draw.draw(st.booleans()), draw.draw(st.booleans())
    codes = np.arange(fmt.low, fmt.high + 1)[:, None]
    assert_equal(Thermometer((row,)), Edge((1,), (fmt,)), codes, k, share, quick)


@pytest.mark.parametrize(("signed", "k", "most"), [(True, 6, 1.8), *swept((False, 6, 1.8), (True, 4, 3.8))])
def test_crowded_thresholds_are_edges_of_each_other_equal_for_every_code_and_cheap(signed, k, most):
    fmt = Format(16, signed)
    middle = (fmt.low + fmt.high + 1) // 2
    row = tuple((middle + np.random.default_rng(k).normal(0, 2500, 36)).astype(int).tolist())
    codes = np.arange(fmt.low, fmt.high + 1)[:, None]
    netlist = assert_equal(Thermometer((row,)), Edge((1,), (fmt,)), codes, k)
    assert len(netlist.cells) <= most * len(set(row))
    plan = comparator_sharing.plan(tuple(sorted({t - fmt.low for t in row})), 16, k)
    edges = {edge.signal for stage in plan.stages for window in stage.windows for edge in window.edges}
    assert len(plan.stages) > 1
    assert any(range(t - fmt.low, 1 << 16) in edges for t in row)


@pytest.mark.parametrize("signed", [False, True])
def test_a_wide_encoder_equals_its_comparisons_around_every_threshold(signed):
    rng = np.random.default_rng(5)
    fmt = Format(16, signed)
    rows = tuple(tuple(rng.integers(fmt.low, fmt.high, 12).tolist()) for _ in range(4))
    codes = rng.integers(fmt.low, fmt.high + 1, (4000, 4))
    for feature, row in enumerate(rows):
        near = np.clip([t + d for t in row for d in (-1, 0, 1)], fmt.low, fmt.high)
        codes[:2000, feature] = rng.choice(near, 2000)
    assert_equal(Thermometer(rows), Edge((4,), (fmt,)), codes)


def test_a_shared_encoder_of_normal_thresholds_costs_less_than_two_luts_a_threshold():
    rng = np.random.default_rng(1)
    for per_feature, bits, most in ((4, 14, 1.95), (12, 14, 1.7), (12, 16, 1.9), (3, 8, 1.45)):
        levels = np.sort(rng.normal(0, 0.25, (8, per_feature)), axis=1) * 2 ** (bits - 1)
        rows = np.clip(np.rint(levels), -(2 ** (bits - 1)) + 1, 2 ** (bits - 1) - 1).astype(int).tolist()
        node = Thermometer(tuple(tuple(row) for row in rows))
        before = Edge((8,), (Format(bits, signed=True),))
        shared = len(lower(node, "encoder", before, node.output(before)).cells)
        plain = len(lower(node, "encoder", before, node.output(before), share=False).cells)
        thresholds = sum(len(set(row)) for row in rows)
        assert shared <= most * thresholds
        assert shared < plain


@given(st.data())
@settings(max_examples=60)
def test_a_layer_equals_its_tables(draw):
    inputs = draw.draw(st.integers(1, 8))
    sizes = draw.draw(st.lists(st.integers(1, 8), min_size=1, max_size=5))
    wires = tuple(tuple(draw.draw(st.integers(0, inputs - 1)) for _ in range(n)) for n in sizes)
    tables = tuple(draw.draw(st.integers(0, 2 ** (2**n) - 1)) for n in sizes)
    values = list(itertools.product((0, 1), repeat=inputs))
    assert_equal(LutLayer(wires, tables), Edge((inputs,), (Format(1),)), values, draw.draw(st.sampled_from([4, 6])))


@pytest.mark.parametrize("k", [4, 6])
@pytest.mark.parametrize("bits", [1, 2, 3, 5, 6, 7, 8, 11, 12])
def test_a_counter_equals_the_number_of_ones_for_all_inputs(bits, k):
    assert_equal(GroupSum(1), Edge((bits,), (Format(1),)), list(itertools.product((0, 1), repeat=bits)), k)


def test_counters_of_all_groups_equal_with_permutation_and_padding():
    rng = np.random.default_rng(0)
    node = GroupSum(4, tuple(rng.permutation(30).tolist()))
    assert_equal(node, Edge((30,), (Format(1),)), rng.integers(0, 2, (500, 30)))
    assert_equal(GroupSum(7), Edge((8,), (Format(1),)), rng.integers(0, 2, (300, 8)))


@given(st.data())
@settings(max_examples=150)
def test_weighted_groups_equal_for_all_inputs(draw):
    """Empty groups, one member, negative weights, a bit that counts twice in a group: sums below zero too."""
    bits, groups = draw.draw(st.integers(1, 7)), draw.draw(st.integers(1, 3))
    sizes = tuple(draw.draw(st.integers(0, 6)) for _ in range(groups))
    members = tuple(draw.draw(st.integers(0, bits - 1)) for _ in range(sum(sizes)))
    weight = st.sampled_from([1, 1, 2, 3, 5, -1, -2] if draw.draw(st.booleans()) else [1, 2])
    weights = tuple(draw.draw(weight) for _ in members)
    biases = tuple(draw.draw(st.integers(draw.draw(st.sampled_from([-5, 0])), 9)) for _ in range(groups))
    node = GroupSum(groups, members, "1", sizes, weights, biases)
    values = list(itertools.product((0, 1), repeat=bits))
    k, quick = draw.draw(st.sampled_from([4, 6])), draw.draw(st.booleans())
    assert_equal(node, Edge((bits,), (Format(1),)), values, k, quick=quick)


def test_biases_and_inverse_members_cost_nothing_and_duplicates_less():
    before = Edge((13,), (Format(1),))

    def luts(weights, bias=0):
        node = GroupSum(1, tuple(range(len(weights))), "1", (len(weights),), tuple(weights), (bias,))
        return len(lower(node, "part", before, node.output(before)).cells)

    assert luts([1] * 10) == luts([-1] * 10, 10) == luts([1, -1] * 5, 5) == 7
    assert luts([1] * 9, 1) == luts([1] * 9) == 7
    assert luts([2, *[1] * 11]) < luts([1] * 13)
    assert luts([1]) == luts([]) == luts([], 5) == luts([1], 2) == 0
    assert luts([-1], 1) == 1


def plain_cost(heights, constant, k):
    """LUTs of the cheapest sequence of compressors that read only what they sum, by Dijkstra's algorithm."""
    best, queue = {}, [(0, heights, constant)]
    while queue:
        cost, columns, left = heapq.heappop(queue)
        if not columns:
            return cost
        odd = left & 1
        options = [(0, columns[1:], left >> 1)] if columns[0] + odd <= 1 else []
        if sum(columns) <= k:
            options.append((len(columns), (), 0))
        for taken in itertools.product(*(range(min(k, height) + 1) for height in columns[:3])):
            for add in {0, odd}:
                greatest = add + sum(count << i for i, count in enumerate(taken))
                if taken[0] + add > 1 and sum(taken) <= k:
                    outputs = min(greatest.bit_length(), len(columns))
                    rest = [h - t for h, t in itertools.zip_longest(columns, taken, fillvalue=0)]
                    after = tuple(height + (i < outputs) for i, height in enumerate(rest))
                    options.append((outputs, after, left - add))
        for more, *state in options:
            if cost + more < best.get(tuple(state), 1 << 30):
                best[tuple(state)] = cost + more
                heapq.heappush(queue, (cost + more, *state))
    raise AssertionError("every column can be reduced")


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_no_plan_of_plain_compressors_is_cheaper_than_the_one_found(draw):
    """Compressors whose outputs read nothing but what they sum; the search has these and more."""
    k = draw.draw(st.sampled_from([4, 5, 6]))
    low = (draw.draw(st.integers(0, 10)), *draw.draw(st.lists(st.integers(0, 3), max_size=2)))
    constant = draw.draw(st.integers(0, 15))
    most = constant + sum(height << i for i, height in enumerate(low))
    heights = (*low, *[0] * (most.bit_length() - len(low)))
    assert popcount_trees.cost(popcount_trees.plan(heights, k, constant)) <= plain_cost(heights, constant, k)


@pytest.mark.parametrize("k", [4, 6])
@pytest.mark.parametrize("bits", [13, 31, 100, *swept(20, 64, 200)])
def test_a_long_counter_equals_the_number_of_ones(bits, k):
    """None and all of them, all but one, runs, and random patterns of every density."""
    rng = np.random.default_rng(bits)
    runs = [
        [int(low <= i < high) for i in range(bits)] for low in range(0, bits, 7) for high in range(low, bits + 1, 5)
    ]
    patterns = [*runs, [1] * bits, *(1 - np.eye(bits, dtype=int)).tolist()]
    patterns += (rng.random((2000, bits)) < rng.random((2000, 1))).astype(int).tolist()
    assert_equal(GroupSum(1), Edge((bits,), (Format(1),)), patterns, k)


@pytest.mark.parametrize(
    ("bits", "most"),
    [(10, 7), (12, 10), (16, 13), (20, 16), (25, 21), (32, 28), (50, 43), (64, 56), (100, 91), (200, 184)],
)
def test_a_counter_takes_at_most_so_many_luts(bits, most):
    builder = LutBuilder(bits)
    heights = [list(range(bits)), *[[] for _ in range(bits.bit_length() - 1)]]
    assert len(builder.finish(popcount_carries.count_ones(builder, "g", heights, 6)).cells) <= most


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(("players", "bits"), [(1, 3), (2, 1), (3, 2), (4, 2), (5, 2), (3, 4), (2, 5)])
def test_the_first_maximum_wins_for_all_scores(players, bits, signed):
    fmt = Format(bits, signed)
    scores = list(itertools.product(range(fmt.low, fmt.high + 1), repeat=players))
    assert_equal(ArgMax(), Edge((players,), (fmt,)), scores)


@pytest.mark.parametrize(("players", "bits", "most"), [(5, 4, 19), (5, 5, 23), (10, 7, 84), (10, 5, 60)])
def test_the_first_maximum_takes_at_most_so_many_luts(players, bits, most):
    before = Edge((players,), (Format(bits),))
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 1 << bits, (3000, players))
    scores[1000:] = np.minimum(scores[1000:], rng.integers(0, 3, (2000, 1)))  # many ties
    assert len(assert_equal(ArgMax(), before, scores).cells) <= most


def test_the_same_network_gives_the_same_netlists():
    rng = np.random.default_rng(3)
    rows = tuple(tuple(rng.integers(-500, 500, 9).tolist()) for _ in range(3))
    wires = tuple(tuple(rng.integers(0, 27, 6).tolist()) for _ in range(20))
    layer = LutLayer(wires, tuple(int(t) for t in rng.integers(0, 2**62, 20)))
    network = Network(Input((3,), (Format(10, signed=True),)), (Thermometer(rows), layer, GroupSum(4), ArgMax()))
    assert lower_network(network) == lower_network(network)


# ---- carry chains --------------------------------------------------------------------------------------------------


@pytest.mark.sweeps
@given(st.data())
@settings(max_examples=15)
def test_a_count_with_carry_chains_is_the_sum_of_its_columns_and_constant(draw):
    """Columns of any heights, a constant, and LUTs of any size in front of the chain; the plan of each takes a second."""
    count_with_chains(draw)


@pytest.mark.sweeps
@given(st.data())
@settings(max_examples=120)
def test_more_counts_with_carry_chains_are_the_sum_of_their_columns_and_constant(draw):
    count_with_chains(draw)


def count_with_chains(draw):
    heights = draw.draw(st.lists(st.integers(0, 18), min_size=1, max_size=3))
    columns, size = [], 0
    for height in heights:
        columns.append(list(range(size, size + height)))
        size += height
    columns += [[] for _ in range(5)]
    constant = draw.draw(st.integers(0, 20))
    builder = LutBuilder(max(size, 1))
    nets = popcount_carries.count_ones(builder, "g", columns, 6, constant, draw.draw(st.integers(2, 6)))
    bits = np.random.default_rng(size).integers(0, 2, (200, max(size, 1)))
    bits[0], bits[1] = 0, 1
    wanted = constant + sum((bits[:, column].sum(axis=1) << i for i, column in enumerate(columns) if column), 0)
    got = builder.finish(nets).evaluate(bits) @ (1 << np.arange(len(columns)))
    assert np.array_equal(got, np.broadcast_to(wanted, len(bits)) % (1 << len(columns)))


def test_a_chain_s_sum_is_right_in_every_pattern_of_its_bits():
    """Two groups, a site without a bit of its own, and the carry that leaves."""
    chain = popcount_carries.Chain(0, ((1, 1), (1,)), (True, True, False))
    queues = [[0, 1, 2], [3, 4], [5], []]
    builder = LutBuilder(6)
    popcount_carries._add_chain(builder, "c", queues, chain)
    netlist = builder.finish([column[-1] for column in queues])
    assert {cell.kind for cell in netlist.cells} == {"lut", "sum", "carry"}
    patterns = np.array(list(itertools.product((0, 1), repeat=6)))
    wanted = patterns[:, :3].sum(axis=1) + 2 * patterns[:, 3:5].sum(axis=1) + 4 * patterns[:, 5]
    assert np.array_equal(netlist.evaluate(patterns) @ (1 << np.arange(4)), wanted)


@pytest.mark.parametrize(
    ("bits", "most"), [(20, 15), (32, 24), (50, 38), (64, 50), (100, 76), *swept((128, 101), (256, 202))]
)
def test_a_counter_with_carries_takes_at_most_so_many_sites(bits, most):
    """0.8 a bit, the LUTs that carries pass on their way out counted as well."""
    node = GroupSum(1)
    before = Edge((bits,), (Format(1),))
    netlist = lower(node, "popcount", before, node.output(before), 6, chain_inputs=6)
    assert cell_cost.sites(FAMILIES["xc7"], netlist) <= most <= 0.8 * bits


def test_chains_are_used_only_where_they_pay():
    for bits in (10, 14, 16):
        node = GroupSum(1)
        before = Edge((bits,), (Format(1),))
        plain, chained = (lower(node, "popcount", before, node.output(before), 6, True, n) for n in (0, 6))
        assert chained == plain


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_gets_the_size_of_cell_that_takes_the_fewest_luts(family):
    own = FAMILIES[family]
    rng = np.random.default_rng(2)
    rows = tuple(tuple(sorted(rng.integers(0, 4096, 6).tolist())) for _ in range(3))
    wires = tuple(tuple(rng.integers(0, 18, 6).tolist()) for _ in range(30))
    layer = LutLayer(wires, tuple(int.from_bytes(rng.bytes(8), "little") for _ in wires))
    network = Network(Input((3,), (Format(12),)), (Thermometer(rows), layer, GroupSum(3), ArgMax()))
    edges = network.edges()
    for node, name, before, after, netlist in zip(
        network.nodes, network.names(), edges, edges[1:], lower_network(network, own), strict=False
    ):
        sizes = {k: lower(node, name, before, after, k, True, own.chain_inputs) for k in (4, 5, 6)}
        assert max((len(cell.inputs) for cell in netlist.cells), default=0) <= own.cell_inputs
        assert cell_cost.sites(own, netlist) == min(
            cell_cost.sites(own, built) for k, built in sizes.items() if own.lut_inputs <= k <= own.cell_inputs
        )
