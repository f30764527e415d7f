"""Registers are placed as well as an exhaustive search over all placements could, under a delay model of its own."""

from __future__ import annotations

import dataclasses
from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dwn_hw import ir
from dwn_hw.errors import OptionError
from dwn_hw.hardware import split_netlist
from dwn_hw.hardware.design import clock_estimate, make_design
from dwn_hw.hardware.families import FAMILIES, Delay
from dwn_hw.hardware.lut_netlist import LutBuilder
from dwn_hw.hardware.register_placement import Placer, Registers

#: A LUT takes 1 ns whatever it feeds, a register nothing: paths are counted in levels.
LEVELS = dataclasses.replace(FAMILIES["generic"], delay=Delay(register=0.0, lut=1.0, wire=0.0, fanout=0.0))


def tree(draw, inputs, outputs):
    builder = LutBuilder(inputs)
    nets = list(range(inputs))
    for i in range(draw(st.integers(0, 7))):
        a, b = draw(st.sampled_from(nets)), draw(st.sampled_from(nets))
        nets.append(builder.lut(f"c{i}", [a, b], 0x6) if a != b else a)
    return builder.finish([draw(st.sampled_from(nets[-4:])) for _ in range(outputs)])


@st.composite
def rows(draw):
    """Up to three parts in a row."""
    widths = [draw(st.integers(1, 4)) for _ in range(draw(st.integers(2, 4)))]
    return tuple(tree(draw, a, b) for a, b in pairwise(widths))


def every_placement(netlists, count):
    """All ways to place ``count`` registers, one of them last."""
    places = [(part, level) for part, n in enumerate(netlists) for level in [*range(1, n.depth()), 0]]
    for chosen in combinations(places[:-1], count - 1):
        stands = [*chosen, places[-1]]
        yield tuple(
            Registers(tuple(level for p, level in stands if p == part and level), (part, 0) in stands)
            for part in range(len(netlists))
        )


def longest(netlists, registers):
    """Levels between registers, from the pieces that the cuts leave."""
    worst, arrival = 0, None
    for netlist, own in zip(netlists, registers, strict=True):
        pieces = split_netlist.split(netlist, own.inside)
        for i, piece in enumerate(pieces):
            arrival = [0] * piece.inputs if arrival is None else arrival
            level = list(arrival)
            for cell in piece.cells:
                level.append(1 + max(level[net] for net in cell.inputs))
            worst = max([worst, *level[piece.inputs :]])
            arrival = [level[net] if net >= 0 else 0 for net in piece.outputs]
            if i < len(pieces) - 1 or own.after:
                arrival = [0] * len(arrival)
    return worst


def flip_flops(netlists, registers):
    """From the pieces that the cuts leave."""
    total = 0
    for netlist, own in zip(netlists, registers, strict=True):
        *inside, last = split_netlist.split(netlist, own.inside)
        total += sum(len(piece.outputs) for piece in inside) + len(last.outputs) * own.after
    return total


@given(rows(), st.data())
@settings(max_examples=120, deadline=None)
def test_every_latency_is_met_with_the_best_placement_there_is(netlists, draw):
    placer = Placer(netlists, LEVELS)
    count = draw.draw(st.integers(1, len(placer.places)))
    chosen = placer.best(count)
    assert sum(own.count for own in chosen) == count
    assert chosen[-1].after
    choices = [(longest(netlists, r), flip_flops(netlists, r)) for r in every_placement(netlists, count)]
    assert (longest(netlists, chosen), flip_flops(netlists, chosen)) == min(choices)
    assert placer.period(chosen) == longest(netlists, chosen)


@given(rows(), st.integers(0, 6))
@settings(max_examples=120, deadline=None)
def test_a_clock_is_met_with_the_fewest_registers_or_found_impossible(netlists, levels):
    placer = Placer(netlists, LEVELS)
    chosen = placer.meeting(levels + 0.5)
    meets = [
        count
        for count in range(1, len(placer.places) + 1)
        if any(longest(netlists, r) <= levels for r in every_placement(netlists, count))
    ]
    if chosen is None:
        assert not meets
        assert placer.shortest_period() > levels
    else:
        assert sum(own.count for own in chosen) == meets[0]
        assert longest(netlists, chosen) <= levels


def chain(nodes: int) -> ir.Network:
    luts = tuple(ir.LutLayer(((0,),), (1,)) for _ in range(nodes))
    return ir.Network(ir.Input((1,), (ir.BIT,)), luts)


def test_no_latency_asked_is_a_register_after_every_part():
    assert [stage.registers for stage in make_design(chain(4)).pipeline.stages] == [Registers((), True)] * 4


@pytest.mark.parametrize("latency", [-1, 4])
def test_a_latency_without_room_is_refused(latency):
    with pytest.raises(OptionError) as caught:
        make_design(chain(3), latency=latency)
    assert str(caught.value) == (
        f"--latency: 0 (combinational) to 3, a register after every level of LUTs; got {latency}. "
        "Choose a latency in that range."
    )


def test_a_clock_that_cannot_be_met_is_refused_with_what_can():
    with pytest.raises(
        OptionError, match=r"--clock-mhz: at most (\d+) MHz for generic.*\(3 clocks\); got 5000"
    ) as caught:
        make_design(chain(3), clock_mhz=5000)
    most = int(str(caught.value).split("at most ")[1].split()[0])
    design = make_design(chain(3), clock_mhz=most - 1)
    assert design.pipeline.latency == 3
    assert clock_estimate(design) >= most - 1


def test_a_slower_clock_needs_fewer_registers_and_the_estimate_keeps_it():
    latencies = []
    for mhz in (100, 200, 400, 600):
        design = make_design(chain(6), clock_mhz=mhz)
        assert clock_estimate(design) >= mhz
        latencies.append(design.pipeline.latency)
    assert latencies == sorted(latencies)
    assert latencies[0] < latencies[-1]
