"""Each pass keeps the meaning for every code, and leaves nothing that it claims to remove."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dwn_hw import evaluate, passes
from dwn_hw.ir import ArgMax, Format, GroupSum, Input, LutLayer, Network, Thermometer


@st.composite
def small_networks(draw):
    """Networks whose every input can be tried: up to 8 input bits, with constants, copies and inverses likely."""
    widths = draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    formats = tuple(Format(bits, draw(st.booleans())) for bits in widths)
    rows = tuple(tuple(draw(st.lists(st.integers(fmt.low, fmt.high + 1), min_size=1, max_size=5))) for fmt in formats)
    nodes, size = [Thermometer(rows)], sum(map(len, rows))
    for _ in range(draw(st.integers(1, 3))):
        count = draw(st.integers(1, 8))
        sizes = [draw(st.integers(1, 6)) for _ in range(count)]
        wires = tuple(tuple(draw(st.integers(0, size - 1)) for _ in range(n)) for n in sizes)
        simple = st.sampled_from([0, 1, 2])
        tables = tuple(
            draw(st.one_of(st.integers(0, 2 ** (2**n) - 1), simple, simple.map(lambda t, n=n: 2 ** (2**n) - 1 - t)))
            for n in sizes
        )
        nodes.append(LutLayer(wires, tables))
        size = count
    groups = draw(st.integers(1, size))
    return Network(Input((len(formats),), formats), (*nodes, GroupSum(groups), ArgMax()))


def all_codes(network):
    formats = network.input.edge.flat_formats()
    return np.array(list(itertools.product(*(range(fmt.low, fmt.high + 1) for fmt in formats))))


@pytest.mark.parametrize("one", [*dict.fromkeys(passes.PASSES), passes.optimize], ids=lambda p: p.__name__)
@given(network=small_networks())
@settings(max_examples=120)
def test_a_pass_keeps_scores_and_classes_for_every_code_and_adds_nothing(one, network):
    changed = one(network)
    codes = all_codes(network)
    for wanted, got in zip(evaluate.trace(network, codes)[-2:], evaluate.trace(changed, codes)[-2:], strict=True):
        assert np.array_equal(wanted, got)
    for old, new in zip(network.nodes, changed.nodes, strict=True):
        if isinstance(old, LutLayer):
            assert len(new.tables) <= len(old.tables)
            assert max(map(len, new.wires)) <= max(map(len, old.wires))
    assert changed.input == network.input


@given(network=small_networks())
@settings(max_examples=80)
def test_no_threshold_of_a_first_layer_lut_is_left_that_never_changes_it(network):
    optimized = passes.optimize(network)
    bits = evaluate.apply(optimized.nodes[0], all_codes(network))
    place = [(f, t) for f, row in enumerate(optimized.nodes[0].thresholds) for t in row]
    layer = optimized.nodes[1]
    for wires, table in zip(layer.wires, layer.tables, strict=True):
        if len(wires) == 1:
            continue
        seen = {tuple(row): table >> sum(b << i for i, b in enumerate(row)) & 1 for row in bits[:, wires].tolist()}
        for slot, wire in enumerate(wires):
            pairs = [(row, (*row[:slot], 1 - row[slot], *row[slot + 1 :])) for row in seen]
            assert any(other in seen and seen[row] != seen[other] for row, other in pairs), place[wire]


@given(network=small_networks())
@settings(max_examples=80)
def test_nothing_is_left_that_nobody_reads(network):
    optimized = passes.optimize(network)
    for source, reader in itertools.pairwise(optimized.nodes):
        if isinstance(reader, LutLayer):
            size = source.bits if isinstance(source, Thermometer) else len(source.tables)
            assert {wire for row in reader.wires for wire in row} == set(range(size))


def test_hand_worked_levels_of_one_feature():
    """Thresholds 2, 4, 6 of one feature: the table changes only across 4, so only 4 is read."""
    table = sum(1 << a for a in range(8) if a & 2)  # bit 1 (>= 4) alone, whatever the others say
    noisy = table ^ (1 << 0b101)  # an address that never occurs: >= 2 and >= 6 but not >= 4
    network = Network(
        Input((1,), (Format(3),)), (Thermometer(((2, 4, 6),)), LutLayer(((0, 1, 2),), (noisy,)), GroupSum(1), ArgMax())
    )
    optimized = passes.optimize(network)
    assert optimized.nodes[:2] == (Thermometer(((4,),)), LutLayer(((0,),), (0b10,)))
