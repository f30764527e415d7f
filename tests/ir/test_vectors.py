"""What is fed to a design: every threshold from both sides, real ties, both ends, and the same again for a seed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dwn_hw import ir
from dwn_hw.ir import evaluate, vectors


def ends(network: ir.Network) -> tuple[list[int], list[int]]:
    formats = network.input.edge.flat_formats()
    return [fmt.low for fmt in formats], [fmt.high for fmt in formats]


def of_kind(made: vectors.Vectors, kind: str) -> np.ndarray:
    return made.codes[[made.kind_of(i) == kind for i in range(len(made.codes))]]


@given(draw=st.data(), seed=st.integers(0, 99))
def test_every_threshold_is_met_from_one_below_to_one_above(networks, draw, seed):
    network = draw.draw(networks())
    boundary = of_kind(vectors.directed(network, seed), "boundary")
    low, high = ends(network)
    for feature, row in enumerate(network.nodes[0].thresholds):
        wanted = {t + d for t in row for d in (-1, 0, 1)}
        carried = {code for code in wanted if low[feature] <= code <= high[feature]}
        assert carried <= set(boundary[:, feature].tolist())


@given(draw=st.data())
def test_both_ends_and_the_zero_code_come_first(networks, draw):
    network = draw.draw(networks())
    low, high = ends(network)
    made = vectors.directed(network, 0)
    assert made.codes[:3].tolist() == [low, high, [min(max(0, a), b) for a, b in zip(low, high, strict=True)]]
    bits = evaluate.apply(network.nodes[0], made.codes[:2])
    thresholds = [t for row in network.nodes[0].thresholds for t in row]
    owners = [f for f, row in enumerate(network.nodes[0].thresholds) for _ in row]
    assert bits[0].tolist() == [int(t <= low[f]) for t, f in zip(thresholds, owners, strict=True)]
    assert bits[1].tolist() == [int(t <= high[f]) for t, f in zip(thresholds, owners, strict=True)]


@given(draw=st.data())
def test_every_tie_really_ties(networks, draw):
    network = draw.draw(networks(last="class"))
    ties = of_kind(vectors.directed(network, 0), "tie")
    assert len(ties) <= vectors.TIES
    scores = np.sort(evaluate.trace(network, ties)[-2], axis=1)
    if scores.shape[1] == 1:
        assert len(ties) == 0
    else:
        assert (scores[:, -1] == scores[:, -2]).all()


def small() -> ir.Network:
    nodes = (ir.Thermometer(((3, 9), (-2, 0, 5))), ir.GroupSum(2), ir.ArgMax())
    return ir.Network(ir.Input((2,), (ir.Format(4), ir.Format(4, True))), nodes)


def test_ties_are_found_where_there_are_many():
    assert dict(vectors.directed(small(), 0).kinds)["tie"] == vectors.TIES


def test_a_network_without_a_vote_has_no_ties():
    assert dict(vectors.directed(small().upto(2), 0).kinds)["tie"] == 0


@given(
    draw=st.data(), seed=st.integers(0, 99), random=st.integers(0, 40), rows=st.integers(0, 5), corners=st.booleans()
)
def test_kinds_add_up_and_every_code_can_be_carried(networks, draw, seed, random, rows, corners):
    network = draw.draw(networks())
    data = np.tile(np.array(ends(network)[1]), (rows, 1))
    made = vectors.make(network, random=random, seed=seed, data=data, corners=corners)
    assert sum(count for _, count in made.kinds) == len(made.codes)
    assert (of_kind(made, "data") == data).all()
    assert len(of_kind(made, "data")) == rows
    assert len(of_kind(made, "random")) == random
    assert ("boundary" in dict(made.kinds)) == corners
    assert made.codes.dtype == np.int64
    evaluate.check_codes(network, made.codes)


def test_a_seed_gives_the_same_vectors_again_and_another_seed_others():
    first, again, other = (vectors.make(small(), random=50, seed=seed) for seed in (5, 5, 6))
    assert first.codes.tolist() == again.codes.tolist()
    assert first.kinds == again.kinds
    assert first.seed == 5
    assert of_kind(first, "random").tolist() != of_kind(other, "random").tolist()


def test_the_random_vectors_do_not_depend_on_the_others():
    alone = vectors.make(small(), random=20, seed=3, corners=False).codes
    assert (vectors.make(small(), random=20, seed=3).codes[-20:] == alone).all()


def test_nothing_asked_is_nothing_made():
    made = vectors.make(small(), random=0, seed=0, corners=False)
    assert made.codes.shape == (0, 2)
    assert made.kinds == ()
    assert str(made) == ""


def test_kind_of_counts_through_the_kinds():
    made = vectors.Vectors(np.zeros((6, 1), np.int64), (("zero", 3), ("boundary", 0), ("random", 3)), 0)
    assert [made.kind_of(i) for i in range(6)] == ["zero"] * 3 + ["random"] * 3
    assert str(made) == "3 zero, 3 random"
    for index in (6, -1):
        with pytest.raises(IndexError):
            made.kind_of(index)


def test_a_port_of_several_axes_gets_vectors_of_its_shape():
    port = ir.Input((2, 3), (ir.Format(3), ir.Format(4, True)))
    network = ir.Network(port, (ir.Thermometer(((1,), (), (2,), (-3,), (), (7, 8))), ir.GroupSum(2), ir.ArgMax()))
    made = vectors.make(network, random=10, seed=0)
    assert made.codes.shape[1:] == (2, 3)
    evaluate.check_codes(network, made.codes)


def test_a_network_without_a_thermometer_still_gets_vectors():
    network = ir.Network(ir.Input((4,), (ir.BIT,)), (ir.GroupSum(2), ir.ArgMax()))
    made = vectors.make(network, random=10, seed=0)
    assert dict(made.kinds)["boundary"] == 0
    evaluate.check_codes(network, made.codes)


def test_address_vectors_bring_every_lut_to_every_address_that_the_pool_does():
    rng = np.random.default_rng(4)
    rows = tuple(tuple(sorted(rng.integers(-30, 30, 4).tolist())) for _ in range(4))
    layers, size = [], 16
    for count in (12, 9):
        sizes = rng.integers(1, 9, count).tolist()
        wires = tuple(tuple(rng.integers(0, size, n).tolist()) for n in sizes)
        layers.append(ir.LutLayer(wires, tuple(int.from_bytes(rng.bytes(32), "little") % 2 ** (2**n) for n in sizes)))
        size = count
    port = ir.Input((4,), (ir.Format(6, signed=True),))
    network = ir.Network(port, (ir.Thermometer(rows), *layers, ir.GroupSum(3), ir.ArgMax()))

    def addresses(codes):
        found = set()
        for code in codes.tolist():
            bits = [int(c >= t) for c, row in zip(code, rows, strict=True) for t in row]
            for depth, layer in enumerate(layers):
                at = [sum(bits[w] << i for i, w in enumerate(row)) for row in layer.wires]
                found |= {(depth, j, address) for j, address in enumerate(at)}
                bits = [table >> address & 1 for table, address in zip(layer.tables, at, strict=True)]
        return found

    plain = vectors.make(network, random=0, seed=1)
    asked = vectors.make(network, random=0, seed=1, addresses=True)
    count = dict(asked.kinds)["address"]
    assert len(asked.codes) == len(plain.codes) + count
    reached = addresses(asked.codes[-count:])
    assert addresses(vectors._random(network, np.random.default_rng(1 + 2), vectors.TIE_POOL)) == reached
    assert count < len(reached)
