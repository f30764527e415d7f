"""The contract of a node: what every member of the union ``ir.Node`` must be able to do, or refuse by its name.

Each claim is tried on the networks of tests/node_examples.py that hold the kind. Lowering, the folded engine and proof are
compared with :mod:`dwn_hw.ir.evaluate`, which shares no code with them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from engine_simulation import compare
from node_examples import EXAMPLES

from dwn_hw import ir
from dwn_hw.errors import InputError
from dwn_hw.hardware.folded import make_folded
from dwn_hw.hardware.lowering import lower_network
from dwn_hw.hardware.word_netlist import WordNetlist
from dwn_hw.ir import evaluate, packing, serialize, vectors
from dwn_hw.ir.emulate import Emulator
from dwn_hw.verification.proof.aig import pack, unpack
from dwn_hw.verification.proof.naive import reference

KINDS = get_args(ir.Node)
CASES = [(kind, network) for kind in KINDS for network in EXAMPLES.get(kind, ())]


def parametrized(function):
    names = [f"{kind.__name__}-{i}" for i, (kind, _) in enumerate(CASES)]
    return pytest.mark.parametrize(("kind", "network"), CASES, ids=names)(function)


def places(kind, network):
    """The nodes of that kind, each with its index, name and edges."""
    return [step for step in network.steps() if isinstance(step.node, kind)]


def codes_of(network, count=48):
    return vectors.make(network, random=count, seed=1, addresses=True).codes


def unless_refused(build, *kinds):
    """What ``build`` gives, or None where it refuses one of the kinds by its name; any other refusal is an error here too."""
    try:
        return build()
    except InputError as error:
        if not any(kind.__name__ in str(error) for kind in kinds):
            raise
        return None


def test_every_kind_of_node_has_an_example_that_holds_it():
    assert set(EXAMPLES) == set(KINDS)
    assert all(places(kind, network) for kind, network in CASES)


def test_no_two_kinds_have_the_same_name_in_reports_and_verilog():
    names = [kind.short_name for kind in KINDS]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z][a-z0-9]*", name) for name in names)


@parametrized
def test_it_is_named_and_printed(kind, network):
    for step in places(kind, network):
        assert step.name.startswith(kind.short_name)
        (line,) = [line for line in repr(network).splitlines() if line.split()[0] == step.name]
        assert kind.__name__ in line
        assert str(step.node) in line
        assert repr(step.after) in line


@parametrized
def test_it_is_saved_and_loaded(kind, network):
    loaded = serialize.loads(serialize.dumps(network))
    assert loaded == network
    assert repr(loaded) == repr(network)
    assert serialize.digest(loaded) == serialize.digest(network)


@parametrized
def test_directed_vectors_reach_it(kind, network):
    """What comes out of it is not always the same: without that a stuck output would not show."""
    values = evaluate.trace(network, vectors.make(network, random=0, seed=0, addresses=True).codes)
    for step in places(kind, network):
        assert len(np.unique(values[step.index + 1], axis=0)) > 1


@parametrized
def test_what_comes_out_lies_within_the_edge_that_it_states(kind, network):
    values = evaluate.trace(network, codes_of(network))
    for step in places(kind, network):
        out = values[step.index + 1]
        assert out.shape[1:] == step.after.shape
        columns = out.reshape(len(out), -1).T
        for column, fmt in zip(columns, step.after.flat_formats(), strict=True):
            assert fmt.low <= column.min()
            assert column.max() <= fmt.high


@parametrized
def test_it_is_emulated_as_it_is_evaluated(kind, network):
    codes = codes_of(network, 200)
    for step in places(kind, network):
        *_, before, last = evaluate.trace(network.upto(step.index + 1), codes)
        got = Emulator(network.upto(step.index + 1)).run(codes)
        assert np.array_equal(got[0], before)
        assert np.array_equal(got[1], last)


@parametrized
def test_lowered_it_means_the_same_or_is_refused_by_name(kind, network):
    codes = codes_of(network)
    values = evaluate.trace(network, codes)
    netlists = unless_refused(lambda: lower_network(network), kind)
    for step in places(kind, network) if netlists else ():
        part, before, after = netlists[step.index], values[step.index], values[step.index + 1]
        if isinstance(part, WordNetlist):
            assert np.array_equal(part.evaluate(before.reshape(len(codes), -1)), after.reshape(len(codes), -1))
        else:
            assert np.array_equal(part.evaluate(packing.pack(before, step.before)), packing.pack(after, step.after))


@parametrized
def test_in_a_folded_engine_it_means_the_same_or_is_refused_by_name(kind, network):
    design = unless_refused(lambda: make_folded(network, lanes=2), *map(type, network.nodes))
    if design is None:
        return
    # The last step writes the scores, or what stands behind it reads: no node was left out on the way there.
    behind = len(design.tail.network.nodes) if design.tail else network.classifies
    assert design.schedule.steps[-1].edge == len(network.nodes) - behind
    compare(design, codes_of(design.network, 3)[-3:])


@parametrized
def test_as_logic_for_proof_it_means_the_same_or_is_refused_by_name(kind, network):
    values = evaluate.trace(network, codes_of(network))
    for step in places(kind, network):
        logic = unless_refused(lambda step=step: reference([step.node], step.before), kind)
        if logic is None:
            continue
        got = unpack(logic.simulate(pack(packing.pack(values[step.index], step.before))), len(values[0]))
        assert np.array_equal(got, packing.pack(values[step.index + 1], step.after))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_its_meaning_is_in_the_docs(kind):
    text = (Path(__file__).parents[1] / "docs" / "nodes.md").read_text()
    assert re.search(rf"^###? {kind.__name__}$", text, re.M)
