"""Each pass keeps the meaning for every code, never adds, and leaves nothing that it claims to remove."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dwn_hw.exports import planning
from dwn_hw.exports.options import Options
from dwn_hw.frontend import checkpoints, freeze_dwn, input_port
from dwn_hw.hardware import cost
from dwn_hw.hardware.design import make_design
from dwn_hw.ir import ArgMax, Format, GroupSum, Input, LutLayer, Network, Thermometer, evaluate, passes
from dwn_hw.ir.sample_files import load, to_codes


@st.composite
def small_networks(draw, groups=None):
    """Networks whose every input can be tried: up to 9 input bits, with constants, copies, inverses and unread LUTs likely."""
    widths = draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    formats = tuple(Format(bits, draw(st.booleans())) for bits in widths)
    rows = tuple(tuple(draw(st.lists(st.integers(fmt.low, fmt.high + 1), min_size=1, max_size=5))) for fmt in formats)
    nodes, size = [Thermometer(rows)], sum(map(len, rows))
    most = draw(st.sampled_from([2, 3, 6]))
    for _ in range(draw(st.integers(1, 3))):
        luts = [draw(any_luts(size, most)) for _ in range(draw(st.integers(1, 8)))]
        luts += [draw(relatives(draw(st.sampled_from(luts)))) for _ in range(draw(st.integers(0, 3)))]
        luts = draw(st.permutations(luts))
        nodes.append(LutLayer(*map(tuple, zip(*luts, strict=True))))
        size = len(luts)
    vote = GroupSum(draw(st.integers(1, size)), tuple(draw(st.permutations(range(size)))))
    return Network(Input((len(formats),), formats), (*nodes, vote, ArgMax()))


@st.composite
def any_luts(draw, size, most):
    """(wires, table) of a LUT that reads ``size`` bits."""
    n = draw(st.integers(1, most))
    full = 2 ** (2**n) - 1
    simple = st.sampled_from([0, 1, 2])
    table = draw(st.one_of(st.integers(0, full), simple, simple.map(lambda t: full - t)))
    return tuple(draw(st.integers(0, size - 1)) for _ in range(n)), table


@st.composite
def relatives(draw, lut):
    """The same function or its inverse, its inputs in another order; or a constant."""
    row, table = lut
    order = draw(st.permutations(range(len(row))))
    entries = range(2 ** len(row))
    moved = [sum((a >> i & 1) << order[i] for i in range(len(row))) for a in entries]
    same = sum((table >> moved[a] & 1) << a for a in entries)
    full = 2 ** (2 ** len(row)) - 1
    return tuple(row[o] for o in order), draw(st.sampled_from([same, full - same, 0, full]))


def all_codes(network):
    formats = network.input.edge.flat_formats()
    return np.array(list(itertools.product(*(range(fmt.low, fmt.high + 1) for fmt in formats))))


def assert_same(network, changed, codes):
    for wanted, got in zip(evaluate.trace(network, codes)[-2:], evaluate.trace(changed, codes)[-2:], strict=True):
        assert np.array_equal(wanted, got)
    assert (changed.input, changed.class_names, changed.notes) == (network.input, network.class_names, network.notes)
    assert [type(node) for node in changed.nodes] == [type(node) for node in network.nodes]


def luts(network):
    """Rows of wires of all LUTs that are more than a wire, in all layers."""
    layers = [node for node in network.nodes if isinstance(node, LutLayer)]
    both = [lut for layer in layers for lut in zip(layer.wires, layer.tables, strict=True)]
    return [row for row, table in both if not (len(row) == 1 and table == 0b10)]


def edge_sizes(network):
    """Bits between the nodes, the sums' width included: what registers hold."""
    return [edge.bits for edge in network.edges()]


@pytest.mark.parametrize("one", [*dict.fromkeys(passes.PASSES), passes.optimize], ids=lambda p: p.__name__)
@given(network=small_networks())
@settings(max_examples=150)
def test_a_pass_keeps_scores_and_classes_for_every_code_and_adds_nothing(one, network):
    changed = one(network)
    assert_same(network, changed, all_codes(network))
    before, after = passes.drop_unread(network), passes.drop_unread(changed)
    assert len(luts(after)) <= len(luts(before))
    if one is passes.merge_into_readers:
        # A wire that nobody reads stands for no bit that passes.
        changed = one(before)
        assert_same(network, changed, all_codes(network))
        after = passes.drop_unread(changed)
    assert all(new <= old for old, new in zip(edge_sizes(before), edge_sizes(after), strict=True))
    assert max(map(len, luts(changed)), default=0) <= max(6, *map(len, luts(network)), 0)


@given(network=small_networks(), k=st.integers(2, 5))
@settings(max_examples=100)
def test_no_lut_is_made_larger_than_the_target_has(network, k):
    optimized = passes.optimize(network, k)
    assert_same(network, optimized, all_codes(network))
    assert max(map(len, luts(optimized)), default=0) <= max(k, *map(len, luts(network)), 0)


@given(network=small_networks())
@settings(max_examples=150)
def test_a_second_time_nothing_is_left_to_do(network):
    optimized = passes.optimize(network)
    assert passes.optimize(optimized) == optimized


@given(network=small_networks())
@settings(max_examples=150)
def test_no_bit_is_left_that_is_constant_and_no_input_that_never_changes_its_lut(network):
    """An oracle of all codes: every case of so small a network is within what the passes try."""
    optimized = passes.optimize(network)
    values = evaluate.trace(optimized, all_codes(network))
    for place, node in enumerate(optimized.nodes):
        if not isinstance(node, LutLayer) or not is_read(optimized, place):
            continue
        assert all(set(column) == {0, 1} for column in values[place + 1].T.tolist())
        for wires, table in zip(node.wires, node.tables, strict=True):
            seen = {
                tuple(row): table >> sum(b << i for i, b in enumerate(row)) & 1
                for row in values[place][:, wires].tolist()
            }
            for slot in range(len(wires)):
                pairs = [(row, (*row[:slot], 1 - row[slot], *row[slot + 1 :])) for row in seen]
                assert any(other in seen and seen[row] != seen[other] for row, other in pairs)


def is_read(network, place):
    """Whether the groups have members at all: if not, one LUT of each layer stays, and means nothing."""
    vote = network.nodes[-2]
    return place < len(network.nodes) and bool(vote.members or not vote.sizes)


@given(network=small_networks())
@settings(max_examples=150)
def test_no_two_bits_are_left_in_a_first_layer_that_are_equal_or_inverse(network):
    optimized = passes.optimize(network)
    assume(is_read(optimized, 1))
    bits = evaluate.trace(optimized, all_codes(network))[2]
    columns = [tuple(column) for column in bits.T.tolist()]
    inverse = [tuple(1 - bit for bit in column) for column in columns]
    assert len({*columns, *inverse}) == 2 * len(columns)


@given(network=small_networks())
@settings(max_examples=150)
def test_nothing_is_left_that_nobody_reads_and_no_bit_votes_twice_for_a_group(network):
    optimized = passes.optimize(network)
    vote = optimized.nodes[-2]
    assume(is_read(optimized, 1))
    for source, reader in itertools.pairwise(optimized.nodes[:-1]):
        size = source.bits if isinstance(source, Thermometer) else len(source.tables)
        rows = reader.wires if isinstance(reader, LutLayer) else [reader.members or range(size)]
        assert {wire for row in rows for wire in row} == set(range(size))
    for group in vote.split(len(optimized.nodes[-3].tables)):
        assert len(set(group.members)) == len(group.members)


# ---- worked by hand ------------------------------------------------------------------------------------------------


def network_of(*nodes, bits=3, features=1):
    return Network(Input((features,), (Format(bits),)), (*nodes, ArgMax()))


def test_levels_of_one_feature_across_which_nothing_changes_are_dropped():
    """Thresholds 2, 4, 6 of one feature: the table changes only across 4, so only 4 is read."""
    table = sum(1 << a for a in range(8) if a & 2)  # bit 1 (>= 4) alone, whatever the others say
    noisy = table ^ (1 << 0b101)  # an address that never occurs: >= 2 and >= 6 but not >= 4
    network = network_of(Thermometer(((2, 4, 6),)), LutLayer(((0, 1, 2),), (noisy,)), GroupSum(1))
    optimized = passes.optimize(network)
    assert optimized.nodes[:2] == (Thermometer(((4,),)), LutLayer(((0,),), (0b10,)))


def test_luts_that_differ_only_where_no_code_leads_count_twice_as_one():
    """x >= 2 and not x >= 5, three times: the third writes 1 where x >= 5 and not x >= 2 would be."""
    layer = LutLayer(((0, 1), (1, 0), (0, 1)), (0b0010, 0b0100, 0b0110))
    optimized = passes.optimize(network_of(Thermometer(((2, 5),)), layer, GroupSum(1)))
    assert optimized.nodes[1:3] == (LutLayer(((0, 1),), (0b0010,)), GroupSum(1, (0,), "1", (1,), (3,)))


#: Two bits, of features 0 and 1, and what a last layer makes of them: a, b, not a, 1, a, 0, not a, a and b, not (a and b).
TWO = Thermometer(((4,), (4,)))
VOTERS = LutLayer(
    ((0,), (1,), (0,), (0,), (0,), (1,), (0,), (0, 1), (0, 1)), (0b10, 0b10, 0b01, 0b11, 0b10, 0, 0b01, 0b1000, 0b0111)
)


@pytest.mark.parametrize(
    ("members", "sizes", "folded"),
    [
        # A constant 1 is a bias, a constant 0 nothing.
        ((0, 3, 1, 5), (2, 2), ((0, 1), (1, 1), (), (1, 0))),
        # A duplicate is a weight.
        ((0, 4, 1, 7), (2, 2), ((0, 1, 2), (1, 2), (2, 1, 1), ())),
        # An inverse in another group is a negative weight and a bias.
        ((0, 1, 2, 7), (2, 2), ((0, 1, 0, 2), (2, 2), (1, 1, -1, 1), (0, 1))),
        ((7, 8), (1, 1), ((0, 0), (1, 1), (1, -1), (0, 1))),
        # An inverse in the same group makes a constant of both, and the group may be left without members.
        ((0, 2, 1, 7), (2, 2), ((0, 1), (0, 2), (), (1, 0))),
        # 2·(not a) and a are 2 − a.
        ((2, 6, 0, 1, 7, 5), (3, 3), ((0, 1, 2), (1, 2), (-1, 1, 1), (2, 0))),
    ],
)
def test_constant_equal_and_inverse_members_become_biases_and_weights(members, sizes, folded):
    kept = LutLayer(tuple(VOTERS.wires[m] for m in members), tuple(VOTERS.tables[m] for m in members))
    network = network_of(TWO, kept, GroupSum(len(sizes)), features=2)
    optimized = passes.optimize(network)
    assert_same(network, optimized, all_codes(network))
    new, new_sizes, weights, biases = folded
    assert optimized.nodes[-2] == GroupSum(len(sizes), new, "1", new_sizes, weights, biases)


def test_a_vote_of_constants_alone_has_no_members_and_the_thresholds_go():
    layer = LutLayer(((0, 1), (2, 1), (3, 0)), (0b1111, 0, 0b1111))
    network = network_of(Thermometer(((1, 2), (3, 4))), layer, GroupSum(3), features=2)
    optimized = passes.optimize(network)
    assert_same(network, optimized, all_codes(network))
    assert optimized.nodes[-2] == GroupSum(3, (), "1", (0, 0, 0), (), (1, 0, 1))
    assert (optimized.nodes[0].bits, len(optimized.nodes[1].tables)) == (1, 1)


def test_a_lut_becomes_part_of_its_readers_and_its_inputs_pass_through():
    """(a and b) xor c, and a and b and d: one more bit passes, b, since a does already; the LUT of a and b goes."""
    first = LutLayer(((0, 1), (2, 3), (0,), (2, 3)), (0b1000, 0b0110, 0b10, 0b1110))
    second = LutLayer(((0, 1), (0, 3), (2, 1)), (0b0110, 0b1000, 0b0111))
    network = network_of(Thermometer(((4,),) * 4), first, second, GroupSum(3), features=4)
    merged = passes.drop_unread(passes.merge_into_readers(network))
    assert_same(network, merged, all_codes(network))
    assert merged.nodes[1] == LutLayer(((2, 3), (0,), (2, 3), (1,)), (0b0110, 0b10, 0b1110, 0b10))
    assert sorted(map(sorted, merged.nodes[2].wires)) == [[0, 1], [0, 1, 3], [1, 2, 3]]
    # With two-input LUTs there is no room.
    assert passes.merge_into_readers(network, 2) == network


def test_a_lut_stays_if_a_reader_has_no_room_or_two_more_bits_would_pass():
    wide = LutLayer((tuple(range(6)),), (0x8000000000000001,))
    inputs = LutLayer(((0, 1), (2,), (3,), (4,), (5,), (6,)), (0b0110, *[0b10] * 5))
    full = network_of(Thermometer(((4,),) * 7), inputs, wide, GroupSum(1), features=7, bits=3)
    assert passes.merge_into_readers(full) == full
    two = network_of(TWO, LutLayer(((0, 1),), (0b0110,)), LutLayer(((0,),), (0b01,)), GroupSum(1), features=2)
    assert passes.merge_into_readers(two) == two


def test_combinations_that_never_occur_behind_two_layers_are_known():
    """Levels 1 and 2 of one feature exclude each other, so "or" and "xor" of them, with another bit, are one function."""
    first = LutLayer(((0, 1, 3), (1, 2, 3), (4, 3, 0)), (0b00100010, 0b00100010, 0b10010110))
    both = LutLayer(((0, 1, 2), (0, 1, 2)), (0b11100001, 0b01101001))
    network = network_of(Thermometer(((2, 4, 6), (3, 5))), first, both, GroupSum(1), features=2)
    optimized = passes.optimize(network)
    assert_same(network, optimized, all_codes(network))
    assert len(optimized.nodes[2].tables) == 1
    assert optimized.nodes[3] == GroupSum(1, (0,), "1", (1,), (2,))


def test_dependence_that_takes_too_long_to_count_through_is_left_alone(monkeypatch):
    """The same; three thresholds of one feature make four cases."""
    first = LutLayer(((0, 1), (1, 2)), (0b0010, 0b0010))
    both = LutLayer(((0, 1), (0, 1)), (0b1110, 0b0110))
    network = network_of(Thermometer(((2, 4, 6),)), first, both, GroupSum(1))
    for most, different in ((3, 2), (4, 1)):
        monkeypatch.setattr("dwn_hw.ir.passes.cases.MAX_CASES", most)
        assert len(set(passes.drop_idle_inputs(network).nodes[2].tables)) == different


def test_a_feature_that_nobody_reads_stays_on_the_port():
    network = network_of(
        Thermometer(((1,), (4,), (2, 3))), LutLayer(((0, 1), (1,)), (0b1100, 0b10)), GroupSum(2), features=3
    )
    optimized = passes.optimize(network)
    assert optimized.nodes[0] == Thermometer(((), (4,), ()))
    assert optimized.input == network.input


def test_thresholds_of_a_narrower_sum_are_those_that_it_can_carry():
    """Of four bits two are constant 0, so that the sum is u2 instead of u3, and >= 7 as good as >= 4."""
    layer = LutLayer(((0,), (1,), (0,), (1,)), (0b10, 0b10, 0, 0))
    nodes = (TWO, layer, GroupSum(1), Thermometer(((1, 2, 7),)), LutLayer(((0, 1, 2),), (0b01101001,)), GroupSum(1))
    network = network_of(*nodes, features=2)
    optimized = passes.optimize(network)
    assert_same(network, optimized, all_codes(network))
    assert (network.edges()[3].bits, optimized.edges()[3].bits) == (3, 2)


def test_a_network_without_a_vote_keeps_every_bit():
    layers = (
        LutLayer(((0, 1), (0,), (1,)), (0b0110, 0b01, 0b11)),
        LutLayer(((0, 1), (1,), (2,), (1,)), (0b0110, 1, 2, 1)),
    )
    network = Network(Input((2,), (Format(3),)), (TWO, *layers))
    optimized = passes.optimize(network)
    codes = all_codes(network)
    assert np.array_equal(evaluate.evaluate(network, codes), evaluate.evaluate(optimized, codes))


# ---- what an export says of it -------------------------------------------------------------------------------------


def test_what_was_removed_is_counted_by_node():
    """a xor b twice, nothing, a and b; then their or twice, a and b, nothing. Wires are no LUTs."""
    first = LutLayer(((0, 2), (2, 1), (3,), (0, 2)), (0b0110, 0b0110, 0b10, 0b1000))
    second = LutLayer(((0, 3), (3, 1), (3,), (0,)), (0b0110, 0b1110, 0b10, 0b00))
    network = network_of(Thermometer(((4, 4), (4, 2))), first, second, GroupSum(1), features=2)
    optimized = passes.optimize(network)
    assert_same(network, optimized, all_codes(network))
    assert passes.removed(network, optimized) == {
        "encoder": {"thresholds": 2},
        "l0": {"luts": 1, "inputs": 2},
        "l1": {"luts": 2, "inputs": 3},
        "popcount": {"constant members": 1, "duplicate members": 1},
    }
    assert not any(count for counts in passes.removed(network, network).values() for count in counts.values())


# ---- real networks -------------------------------------------------------------------------------------------------


def real_jsc(jsc, scaler, stated=None):
    model = checkpoints.load(next(jsc.glob("*_checkpoint.pt")))
    model = model if scaler else freeze_dwn.without_scaler(model)
    return freeze_dwn.freeze_dwn(model, input_port.choose(freeze_dwn.raw_thresholds(model), stated, None))


def test_the_real_jsc_network_gives_the_recorded_predictions_and_the_same_sums(jsc, data):
    network = real_jsc(jsc, scaler=True)
    optimized = passes.optimize(network)
    recorded = np.load(next(jsc.glob("*_testvectors.npz")))
    codes = to_codes(load(data("jsc-1000") / "jsc_openml42468_test1000.npz"), network).codes
    *_, sums, predicted = evaluate.trace(optimized, codes)
    assert len(predicted) == 1000
    assert np.array_equal(predicted, recorded["pred"])
    assert np.array_equal(sums, evaluate.trace(network, codes)[-2])


def test_the_real_jsc_network_takes_no_more_luts_than_is_claimed(jsc):
    optimized = passes.optimize(real_jsc(jsc, scaler=False, stated="sQ1.12"))
    assert cost.total(cost.estimate(make_design(optimized))).lut <= 619


def test_no_optimize_keeps_the_model_s_own_structure_one_lut_a_neuron(jsc):
    model = checkpoints.load(next(jsc.glob("*_checkpoint.pt")))
    planned = planning.plan(model, Options(optimize=False))
    thermometer, *layers, vote, _ = planned.design.network.nodes
    assert [len(row) for row in thermometer.thresholds] == [4] * 16
    assert [list(map(len, layer.wires)) for layer in layers] == [[6] * 300, [6] * 100]
    assert vote == GroupSum(5, (), vote.tau)
    assert planned.report["optimized"] is None
