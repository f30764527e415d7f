"""Searched vectors reach what random ones do not, and a report of what was reached says what was not."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import shift_networks as nets

from dwn_hw import ir
from dwn_hw.ir import coverage, evaluate, vectors


def sleepy(seed: int) -> ir.Network:
    """Two dense layers behind activations that hardly ever wake, on 5 features of 4 bits: 2**20 inputs in all."""
    rng = np.random.default_rng(seed)
    sizes, nodes = (5, 8, 5, 4), []
    for inputs, outputs in itertools.pairwise(sizes):
        signs = rng.choice([-1, 0, 1], inputs * outputs, p=[0.45, 0.1, 0.45])
        shifts = np.where(signs, rng.integers(-4, 1, len(signs)), 0)
        biases = tuple(rng.integers(-60, 20, outputs).tolist())
        low = int(min(shifts.min(), 0))
        nodes.append(ir.Dense(ir.powers_of_2(signs.tolist(), shifts.tolist(), low), biases, low))
        nodes += [ir.Relu(), ir.Quantize(0, "floor", 0, 15)] if outputs != sizes[-1] else [ir.ArgMax()]
    return ir.Network(ir.Input((5,), (ir.Format(4),)), tuple(nodes))


def wrong_signs(network: ir.Network):
    """The network with the sign of one weight turned, for each weight; and the node's index and the weight's feature."""
    for index, node in enumerate(network.nodes):
        if isinstance(node, ir.Dense):
            width = network.edges()[index].size
            for at in np.flatnonzero(node.weights):
                turned = tuple(-weight if i == at else weight for i, weight in enumerate(node.weights))
                wrong = dataclasses.replace(node, weights=turned)
                nodes = (*network.nodes[:index], wrong, *network.nodes[index + 1 :])
                yield dataclasses.replace(network, nodes=nodes), index, at % width


@pytest.mark.parametrize("seed", range(4))
def test_every_wrong_sign_that_any_of_all_inputs_shows_is_seen(seed):
    network = sleepy(seed)
    codes = vectors.make(network, random=0, seed=0).codes
    wanted = evaluate.trace(network, codes)
    everything = evaluate.trace(network, np.array(list(itertools.product(range(16), repeat=5))))
    planted = equivalent = 0
    for wrong, index, feature in wrong_signs(network):
        planted += 1
        seen = any((one != other).any() for one, other in zip(evaluate.trace(wrong, codes), wanted, strict=True))
        never_wakes = not everything[index][:, feature].any()
        assert seen != never_wakes
        equivalent += never_wakes
    assert planted > 60
    assert equivalent < planted / 3


def test_random_vectors_alone_miss_some_of_them():
    """What the search is for: the same faults with a thousand random vectors, as before."""
    missed = 0
    for seed in range(8):
        network = sleepy(seed)
        codes = vectors.make(network, random=1000, seed=0, searched=0).codes
        wanted = evaluate.trace(network, codes)
        everything = evaluate.trace(network, np.random.default_rng(0).integers(0, 16, (200_000, 5)))
        for wrong, index, feature in wrong_signs(network):
            if everything[index][:, feature].any():
                same = zip(evaluate.trace(wrong, codes), wanted, strict=True)
                missed += all((one == other).all() for one, other in same)
    assert missed > 0


@pytest.mark.parametrize("make", [nets.small_convolution, nets.mlp])
def test_searched_vectors_reach_every_class_ties_and_both_ends_of_clamps(make):
    network = make()
    found = vectors.directed(network, 0)
    assert 3 < dict(found.kinds)["search"] <= vectors.SEARCHED
    reached = coverage.measure(network, found.codes)
    before = coverage.measure(network, vectors.directed(network, 0, searched=0).codes)
    assert sum(count > 0 for count in reached.classes) == network.classes > sum(count > 0 for count in before.classes)
    for name, node in reached.nodes.items():
        assert node.moved > before.nodes[name].moved, name
        assert node.ended >= before.nodes[name].ended, name
    scores = evaluate.trace(network, found.codes)[-2]
    ordered = np.sort(scores, axis=1)
    closest = np.random.default_rng(1).integers(0, 200, (len(found.codes), *network.input.shape))
    others = np.sort(evaluate.trace(network, np.minimum(closest, network.input.edge.formats[0].high))[-2], axis=1)
    assert (ordered[:, -1] - ordered[:, -2]).min() <= (others[:, -1] - others[:, -2]).min()


def test_the_same_seed_gives_the_same_vectors_and_fewer_are_the_first_of_them():
    network = nets.mlp()
    one, two, few = (vectors.directed(network, 3, searched=n).codes for n in (256, 256, 20))
    assert (one == two).all()
    assert (few[3:23] == one[3:23]).all()
    assert len(few) < len(one)


def test_what_no_vector_moves_is_said():
    network = sleepy(0)
    reached = coverage.measure(network, np.zeros((3, 5), np.int64))
    assert reached.classes.count(3) == 1
    said = " ".join(reached.warnings())
    assert "no vector gives class " in said
    assert "no vector changes 8 of 8 of dense" in said
    assert coverage.measure(network, vectors.make(network, random=500, seed=0).codes).warnings() != reached.warnings()
    assert "of 4 classes" in str(reached)


def test_the_addresses_of_look_up_tables_are_counted():
    layer = ir.LutLayer(((0, 1), (1, 2, 3)), (0b0110, 0b10010110))
    network = ir.Network(ir.Input((4,), (ir.BIT,)), (layer, ir.GroupSum(2), ir.ArgMax()))
    every = np.array(list(itertools.product((0, 1), repeat=4)))
    full, half = coverage.measure(network, every), coverage.measure(network, every[:4])
    assert (full.nodes["l0"].addresses, full.nodes["l0"].addressed) == (12, 12)
    assert (full.nodes["l0"].bits, full.nodes["l0"].moved, full.nodes["l0"].still) == (2, 2, 0)
    assert half.nodes["l0"].addressed == 1 + 4
    assert half.nodes["l0"].still == 1
    assert full.report()["nodes"]["l0"] == {
        "bits": 2,
        "moved": 2,
        "units": 2,
        "still": 0,
        "addresses": 12,
        "addressed": 12,
    }
    assert sum(full.classes) == 16
