"""Why a network answers as it does: what is told of a sample is what the network does, and what would change the answer does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lut_networks import random_network

from dwn_hw import ir
from dwn_hw.errors import DataError
from dwn_hw.exports import explanation
from dwn_hw.ir import serialize
from dwn_hw.ir.evaluate import evaluate
from dwn_hw.ir.sample_files import Samples


def explained(folder, network, x, sample=0, y=None):
    serialize.save(network, folder / "network.safetensors")
    return explanation.explain(folder, Samples(np.asarray(x), None, y, "x"), sample)


def answer(network, codes):
    return int(evaluate(network, np.array([codes])).reshape(-1)[0])


@given(seed=st.integers(0, 10_000), sample=st.integers(0, 4))
@settings(max_examples=25, deadline=None)
def test_every_change_that_is_told_changes_the_answer_and_no_nearer_one_of_that_feature_does(
    tmp_path_factory, seed, sample
):
    network = random_network(seed)
    x = np.random.default_rng(seed).integers(-32, 32, (5, 5))
    found = explained(tmp_path_factory.mktemp("any"), network, x, sample)
    codes = x[sample].tolist()
    assert found["class"] == answer(network, codes)
    told = {change["feature"]: change for change in found["changes"]}
    for f, row in enumerate(network.encoder.thresholds):
        # A feature says no more than which of its thresholds it reaches.
        flips = []
        for other in range(-32, 32):
            crossed = sum(min(other, codes[f]) < t <= max(other, codes[f]) for t in set(row))
            if answer(network, [*codes[:f], other, *codes[f + 1 :]]) != found["class"]:
                flips.append(crossed)
        assert (f in told) == bool(flips)
        if flips:
            assert told[f]["thresholds"] == min(flips)
            changed = [*codes[:f], told[f]["code"], *codes[f + 1 :]]
            assert answer(network, changed) == told[f]["gives"]["class"]
    if found["together"]:
        assert not told
        for change in found["together"]:
            codes[change["feature"]] = change["code"]
        assert answer(network, codes) == found["together"][-1]["gives"]["class"] != found["class"]


@given(seed=st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_a_lut_decides_exactly_if_the_opposite_table_gives_another_answer(tmp_path_factory, seed):
    network = random_network(seed, luts=(6, 5))
    x = np.random.default_rng(seed).integers(-32, 32, (1, 5))
    found = explained(tmp_path_factory.mktemp("any"), network, x)
    for layer, at in zip(found["layers"], (1, 2), strict=True):
        node = network.nodes[at]
        decide = []
        for i, table in enumerate(node.tables):
            inverted = table ^ ((1 << (1 << len(node.wires[i]))) - 1)
            other = replace(node, tables=(*node.tables[:i], inverted, *node.tables[i + 1 :]))
            nodes = (*network.nodes[:at], other, *network.nodes[at + 1 :])
            decide += [i] if answer(replace(network, nodes=nodes), x[0]) != found["class"] else []
        assert layer["decide"] == decide
        assert layer["ones"] == int(evaluate(network.upto(at + 1), x).sum())


def test_votes_margin_names_and_thresholds_are_the_network_s(tmp_path):
    network = replace(
        random_network(3),
        class_names=("ant", "bee", "<script>"),
        feature_names=tuple("abcde"),
        input=ir.Input((5,), (ir.Format(6, signed=True),), ("1/4",), ("10",)),
    )
    codes = np.random.default_rng(1).integers(-32, 32, (4, 5))
    found = explained(tmp_path, network, codes / 4 + 10, 2, np.array(["bee", "ant", "<script>", "ant"]))
    assert found["label_name"] == "<script>"
    scores = evaluate(network.upto(4), codes)[2]
    assert {vote["name"]: vote["score"] for vote in found["votes"]} == dict(
        zip(network.class_names, scores.tolist(), strict=True)
    )
    best = sorted(scores.tolist(), reverse=True)
    assert found["margin"] == best[0] - best[1]
    for feature, code, row in zip(found["features"], codes[2].tolist(), network.encoder.thresholds, strict=True):
        assert (feature["code"], feature["value"]) == (code, code / 4 + 10)
        crossed = sorted({t for t in row if t <= code})
        assert feature["crossed"] == len(crossed)
        assert feature["last_crossed"] == (crossed[-1] / 4 + 10 if crossed else None)


def test_a_network_of_integers_is_explained_by_strides_of_codes(tmp_path):
    network = ir.Network(ir.Input((2,), (ir.Format(8),)), (ir.Dense((1, 0, 0, 1), (0, 0), 0), ir.ArgMax()))
    found = explained(tmp_path, network, [[100, 40]])
    assert found["class"] == 0
    assert [(change["feature"], change["code"], change["codes"]) for change in found["changes"]] == [
        (0, 36, 64),
        (1, 104, 64),
    ]


def test_what_is_not_there_is_refused(tmp_path):
    with pytest.raises(DataError, match="--sample: from 0 to 0; got 1"):
        explained(tmp_path, random_network(), np.zeros((1, 5)), 1)
    numbers = ir.Network(ir.Input((2,), (ir.Format(8),)), (ir.Dense((1, 0, 0, 1), (0, 0), 0),))
    with pytest.raises(DataError, match="a network that gives a class; got one that ends in numbers"):
        explained(tmp_path, numbers, [[1, 2]])
