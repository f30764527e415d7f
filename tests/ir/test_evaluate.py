"""What a node means, against oracles in plain Python that were written from the design's table, not from the code."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dwn_hw import ir
from dwn_hw.errors import DataError
from dwn_hw.ir import evaluate


def naive(network: ir.Network, sample: list[int]) -> list[list[int]]:
    """What flows on each edge after the port, for one sample, one integer at a time."""
    values, edges = sample, []
    for node in network.nodes:
        if isinstance(node, ir.Thermometer):
            values = [int(code >= t) for code, row in zip(values, node.thresholds, strict=True) for t in row]
        elif isinstance(node, ir.LutLayer):
            addresses = [sum(values[w] * 2**slot for slot, w in enumerate(row)) for row in node.wires]
            values = [table >> address & 1 for table, address in zip(node.tables, addresses, strict=True)]
        elif isinstance(node, ir.GroupSum) and node.sizes:
            bits, place = [values[i] for i in node.members], 0
            votes = [bit * weight for bit, weight in zip(bits, node.weights or [1] * len(bits), strict=True)]
            values = list(node.biases) or [0] * node.groups
            for group, size in enumerate(node.sizes):
                values[group] += sum(votes[place : place + size])
                place += size
        elif isinstance(node, ir.GroupSum):
            bits = [values[i] for i in node.members] if node.members else list(values)
            while len(bits) % node.groups:
                bits.append(0)
            length = len(bits) // node.groups
            values = [sum(bits[start : start + length]) for start in range(0, len(bits), length)]
        else:
            values = [values.index(max(values))]
        edges.append(values)
    return edges


def codes_for(network: ir.Network, seed: int, samples: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    formats = network.input.edge.flat_formats()
    return np.stack([rng.integers(fmt.low, fmt.high + 1, samples) for fmt in formats], axis=1)


@given(draw=st.data(), seed=st.integers(0, 1000))
def test_every_edge_equals_a_naive_reading_of_the_design(networks, draw, seed):
    network = draw.draw(networks())
    codes = codes_for(network, seed, 5)
    traced = evaluate.trace(network, codes)
    assert len(traced) == len(network.nodes) + 1
    assert (traced[0] == codes).all()
    for sample in range(5):
        wanted = naive(network, codes[sample].tolist())
        for got, edge, values in zip(traced[1:], network.edges()[1:], wanted, strict=True):
            assert got[sample].shape == edge.shape
            assert got[sample].reshape(-1).tolist() == values
            assert got.dtype == np.int64
    assert (evaluate.evaluate(network, codes) == traced[-1]).all()


def bits(size: int) -> ir.Input:
    return ir.Input((size,), (ir.BIT,))


def test_one_lut_worked_by_hand_slot_0_is_the_address_lsb():
    """LUT of (a, b, c) with only bit 4 set answers for c alone, because c is worth 4."""
    network = ir.Network(bits(3), (ir.LutLayer(((0, 1, 2),), (1 << 4,)),))
    cases = np.array([[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)])
    got = evaluate.evaluate(network, cases)[:, 0].tolist()
    assert got == [int((a, b, c) == (0, 0, 1)) for a, b, c in cases.tolist()]
    # a AND NOT b: address 1 (a=1, b=0).
    network = ir.Network(bits(2), (ir.LutLayer(((0, 1),), (0b0010,)),))
    assert evaluate.evaluate(network, np.array([[0, 0], [1, 0], [0, 1], [1, 1]]))[:, 0].tolist() == [0, 1, 0, 0]


def test_a_thermometer_worked_by_hand():
    network = ir.Network(ir.Input((2,), (ir.Format(3), ir.Format(3, True))), (ir.Thermometer(((0, 5, 8), (-4, -1))),))
    got = evaluate.evaluate(network, np.array([[0, -4], [4, -2], [5, -1], [7, 3]]))
    assert got.tolist() == [[1, 0, 0, 1, 0], [1, 0, 0, 1, 0], [1, 1, 0, 1, 1], [1, 1, 0, 1, 1]]


def test_a_feature_without_thresholds_gives_no_bits():
    network = ir.Network(ir.Input((3,), (ir.Format(3),)), (ir.Thermometer(((), (4,), ())),))
    assert evaluate.evaluate(network, np.array([[7, 3, 7], [0, 4, 0]])).tolist() == [[0], [1]]


def test_the_lowest_index_wins_a_tie():
    network = ir.Network(bits(4), (ir.GroupSum(4), ir.ArgMax()))
    cases = {(0, 0, 0, 0): 0, (1, 1, 1, 1): 0, (0, 1, 0, 1): 1, (0, 0, 1, 1): 2, (0, 0, 0, 1): 3}
    assert evaluate.evaluate(network, np.array([*cases])).tolist() == [*cases.values()]


def test_padding_is_zeros_at_the_end_and_may_fill_a_whole_group():
    network = ir.Network(bits(5), (ir.GroupSum(4),))
    assert evaluate.evaluate(network, np.ones((1, 5), int)).tolist() == [[2, 2, 1, 0]]


def test_a_permutation_names_the_bit_that_comes_to_each_place():
    network = ir.Network(bits(4), (ir.GroupSum(2, (3, 1, 0, 2)),))
    assert evaluate.evaluate(network, np.array([[0, 0, 0, 1], [1, 1, 0, 0]])).tolist() == [[1, 0], [1, 1]]


def test_a_group_has_a_bias_and_a_weight_for_each_member():
    """2·a − b + 1, nothing but 3, and c."""
    node = ir.GroupSum(3, (0, 1, 2), "1", (2, 0, 1), (2, -1, 1), (1, 3, 0))
    network = ir.Network(bits(3), (node, ir.ArgMax()))
    codes = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 1], [1, 1, 1]])
    assert evaluate.trace(network, codes)[1].tolist() == [[1, 3, 0], [3, 3, 0], [0, 3, 1], [2, 3, 1]]
    assert evaluate.evaluate(network, codes).tolist() == [1, 0, 1, 1]


def test_a_port_of_several_axes_is_read_in_c_order():
    port = ir.Input((2, 3), (ir.BIT,))
    codes = np.array([[[0, 0, 0], [0, 1, 0]], [[1, 0, 0], [0, 0, 1]]])
    assert evaluate.evaluate(ir.Network(port, (ir.LutLayer(((4,), (0,)), (2, 2)),)), codes).tolist() == [[1, 0], [0, 1]]
    assert evaluate.evaluate(ir.Network(port, (ir.GroupSum(2),)), codes).tolist() == [[0, 1], [1, 1]]
    port = ir.Input((2, 3), (ir.Format(2), ir.Format(3)))
    encoder = ir.Thermometer(((2,), (), (), (), (), (7,)))
    codes = np.array([[[2, 0, 0], [0, 0, 7]], [[1, 3, 3], [7, 7, 6]]])
    assert evaluate.evaluate(ir.Network(port, (encoder,)), codes).tolist() == [[1, 1], [0, 0]]


@given(st.integers(1, 8), st.data())
def test_table_bits_and_table_of_are_inverse(inputs, draw):
    table = draw.draw(st.integers(0, (1 << (1 << inputs)) - 1))
    entries = evaluate.table_bits(table, inputs)
    assert entries.tolist() == [table >> address & 1 for address in range(1 << inputs)]
    assert evaluate.table_of(entries) == table


def test_no_samples_give_no_results():
    network = ir.Network(bits(2), (ir.GroupSum(2), ir.ArgMax()))
    assert evaluate.evaluate(network, np.empty((0, 2), int)).shape == (0,)


# ---- what cannot be evaluated --------------------------------------------------------------------------------------

TWO = ir.Network(ir.Input((2,), (ir.Format(3), ir.Format(3, True))), (ir.Thermometer(((1,), (2,))),))


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (np.zeros((4, 3), int), "codes: an array of shape (samples, 2); got (4, 3)."),
        (np.zeros(2, int), "codes: an array of shape (samples, 2); got (2,)."),
        (np.array(1), "codes: an array of shape (samples, 2); got ()."),
        (np.zeros((4, 2)), "codes: codes are integers; got float64. Give real values as 'x' instead."),
        (np.array([["a", "b"]]), "codes: codes are integers; got <U1."),
        (
            np.array([[0, 0], [7, 3], [8, -9], [0, -5]]),
            "codes: codes of a u3 feature lie in 0…7; got 8 in sample 2, feature 0 (3 in all). Clip them, or export with",
        ),
        (np.array([[0, 4]]), "codes: codes of a s3 feature lie in -4…3; got 4 in sample 0, feature 1 (1 in all)."),
        (np.array([[2**64 - 1, 0]], np.uint64), "codes: codes of a u3 feature lie in 0…7; got 18446744073709551615"),
    ],
)
def test_codes_that_the_port_cannot_carry_are_refused_by_name(codes, message):
    with pytest.raises(DataError) as caught:
        evaluate.evaluate(TWO, codes)
    assert str(caught.value).startswith(message)


def test_a_code_out_of_range_is_named_by_all_its_axes():
    network = ir.Network(ir.Input((2, 2), (ir.Format(1), ir.Format(2))), (ir.Thermometer(((1,), (1,), (1,), (1,))),))
    codes = np.array([[[1, 1], [3, 3]], [[1, 1], [3, 4]]])
    with pytest.raises(DataError, match="codes of a u2 feature lie in 0…3; got 4 in sample 1, feature 1, 1"):
        evaluate.evaluate(network, codes)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint8, np.int16, np.uint64, ">i4"])
def test_codes_of_every_integer_dtype_mean_the_same(dtype):
    codes = np.array([[0, 0], [1, 1]]).astype(dtype)
    assert evaluate.evaluate(TWO, codes).tolist() == [[0, 0], [1, 0]]
