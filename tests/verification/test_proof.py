"""The proof's own parts: logic, its reference, SAT, sums and passes, each held to what trying every input gives.

Needs pyosys (its ABC).
"""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from groups import swept
from hypothesis import given, settings
from hypothesis import strategies as st

from dwn_hw.errors import ToolError
from dwn_hw.hardware import lut_netlist
from dwn_hw.hardware.lowering import lower
from dwn_hw.ir import (
    ArgMax,
    Edge,
    Format,
    Group,
    GroupSum,
    Input,
    LutLayer,
    Network,
    Thermometer,
    evaluate,
    packing,
    passes,
    truth_tables,
)
from dwn_hw.verification.proof import compare_networks, popcounts, sat
from dwn_hw.verification.proof.aig import FALSE, TRUE, Aig, pack, unpack
from dwn_hw.verification.proof.naive import reference
from dwn_hw.verification.proof.prove_part import prove_part

pytest.importorskip("pyosys")


def every(bits):
    """All cases of so many bits."""
    return np.array(list(itertools.product((0, 1), repeat=bits)), np.uint8).reshape(1 << bits, bits)


def run(logic, cases):
    return unpack(logic.simulate(pack(cases)), len(cases))


def logic_of(netlist):
    """A mapped netlist as logic: each cell the table that it says, of the nets that it says."""
    logic = Aig(netlist.inputs)
    nets = dict(enumerate(logic.literals())) | {truth_tables.FALSE: FALSE, truth_tables.TRUE: TRUE}
    for i, cell in enumerate(netlist.cells, netlist.inputs):
        nets[i] = logic.table([nets[net] for net in cell.inputs], cell.table)
    logic.outputs = [nets[net] for net in netlist.outputs]
    return logic


def prove_lowered(node, before, k=6, share=True, chain_inputs=0):
    """The verdict on a node's netlist, for all values of its input."""
    logic = logic_of(lower(node, "part", before, node.output(before), k, share, chain_inputs))
    return prove_part(logic, logic.literals(), [node], before, 60)


@given(st.data())
@settings(max_examples=80)
def test_a_table_is_looked_up_whatever_its_inputs_are(draw):
    """Constants, inputs that come twice, inverted ones."""
    count = draw.draw(st.integers(0, 6))
    table = draw.draw(st.integers(0, 2 ** (2**count) - 1))
    logic = Aig(3)
    inputs = draw.draw(st.lists(st.integers(0, 7), min_size=count, max_size=count))
    logic.outputs = [logic.table(inputs, table)]
    for case, got in zip(every(3), run(logic, every(3))[:, 0], strict=True):
        values = [0, *case.tolist()]
        address = sum((values[literal >> 1] ^ literal & 1) << slot for slot, literal in enumerate(inputs))
        assert got == table >> address & 1


def test_what_a_variable_is_made_of_is_what_it_is():
    logic = Aig(6)
    rng = np.random.default_rng(0)
    literals = logic.literals()
    for _ in range(60):
        chosen = rng.choice(len(literals), 4)
        literals.append(logic.table([literals[i] ^ int(rng.integers(2)) for i in chosen], int(rng.integers(2**16))))
    variables = [literal >> 1 for literal in literals if literal >> 1 > 6]
    logic.outputs = [2 * v for v in range(1, 7 + len(logic.ands))]
    values = run(logic, every(6))
    whole = 0
    for v in variables:
        cell = logic.cell(v)
        whole += len(cell.variables) > 2
        address = sum(values[:, u - 1].astype(int) << i for i, u in enumerate(cell.variables))
        assert (values[:, v - 1] == [cell.table >> int(a) & 1 for a in address]).all()
        assert max(cell.variables) < v
    assert whole > 20


@st.composite
def small_nodes(draw):
    """A node, and an edge before it of at most 10 bits."""
    kind = draw(st.sampled_from(["thermometer", "layer", "sum", "weighted", "argmax"]))
    if kind == "thermometer":
        widths = draw(st.lists(st.integers(1, 5), min_size=1, max_size=2))
        formats = tuple(Format(bits, draw(st.booleans())) for bits in widths)
        rows = tuple(tuple(draw(st.lists(st.integers(f.low, f.high + 1), min_size=1, max_size=5))) for f in formats)
        return Thermometer(rows), Edge((len(formats),), formats)
    if kind == "argmax":
        players, bits = draw(st.sampled_from([(1, 3), (2, 5), (3, 3), (4, 2), (5, 2), (10, 1)]))
        return ArgMax(), Edge((players,), (Format(bits, draw(st.booleans())),))
    size = draw(st.integers(1, 10))
    before = Edge((size,), (Format(1),))
    if kind == "layer":
        rows = draw(st.lists(st.lists(st.integers(0, size - 1), min_size=1, max_size=8), min_size=1, max_size=4))
        tables = tuple(draw(st.integers(0, 2 ** (2 ** len(row)) - 1)) for row in rows)
        return LutLayer(tuple(map(tuple, rows)), tables), before
    if kind == "sum":
        return GroupSum(draw(st.integers(1, size)), tuple(draw(st.permutations(range(size))))), before
    weight = st.integers(-9, 9).filter(bool)
    groups = [
        Group(tuple(members), tuple(draw(weight) for _ in members), draw(st.integers(-20, 20)))
        for members in draw(st.lists(st.lists(st.integers(0, size - 1), max_size=6), min_size=1, max_size=3))
    ]
    return GroupSum.of(groups, "1"), before


@given(made=small_nodes())
@settings(max_examples=120)
def test_the_reference_gives_what_evaluate_gives_for_every_input(made):
    node, before = made
    cases = every(before.bits)
    wanted = evaluate.apply(node, packing.unpack(cases, before))
    assert np.array_equal(run(reference([node], before), cases), packing.pack(wanted, node.output(before)))


@given(made=small_nodes(), k=st.sampled_from([4, 6]), share=st.booleans())
@settings(max_examples=60)
def test_every_lowered_node_is_proven(made, k, share):
    node, before = made
    assert prove_lowered(node, before, k, share).equal


@given(made=small_nodes(), seed=st.integers(0, 2**32))
@settings(max_examples=60)
def test_a_node_with_one_wrong_entry_of_a_cell_is_refuted_exactly_if_some_input_shows_it(made, seed):
    node, before = made
    netlist = lower(node, "part", before, node.output(before))
    if not netlist.cells:
        return
    rng = np.random.default_rng(seed)
    at = int(rng.integers(len(netlist.cells)))
    cell = netlist.cells[at]
    wrong = dataclasses.replace(cell, table=cell.table ^ 1 << int(rng.integers(1 << len(cell.inputs))))
    faulty = dataclasses.replace(netlist, cells=(*netlist.cells[:at], wrong, *netlist.cells[at + 1 :]))
    logic = logic_of(faulty)
    verdict = prove_part(logic, logic.literals(), [node], before, 60)
    cases = every(before.bits)
    wanted = packing.pack(evaluate.apply(node, packing.unpack(cases, before)), node.output(before))
    assert verdict.equal == np.array_equal(run(logic, cases), wanted)
    if not verdict.equal:
        case = verdict.case[None]
        wanted = packing.pack(evaluate.apply(node, packing.unpack(case, before)), node.output(before))
        assert not np.array_equal(run(logic, case), wanted)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("share", [False, True])
def test_encoders_of_all_widths_are_proven_for_every_code(signed, share):
    rng = np.random.default_rng(3)
    for bits in (1, 2, 3, 5, 7, 8, 10, 13, 16, 23, 31, 62):
        fmt = Format(bits, signed)
        rows = tuple(tuple(rng.integers(fmt.low, fmt.high, 6, endpoint=True).tolist()) for _ in range(2))
        assert prove_lowered(Thermometer(rows), Edge((2,), (fmt,)), share=share).equal, bits


@pytest.mark.parametrize("bits", [*range(1, 14), 20, 31, 64, *swept(120)])
def test_counters_are_proven_and_for_few_bits_by_every_input(bits):
    verdict = prove_lowered(GroupSum(1), Edge((bits,), (Format(1),)))
    assert verdict.equal
    assert verdict.how == ("every input" if bits <= popcounts.TRIED else "identity of weights")


@pytest.mark.parametrize(("k", "chain_inputs"), [(6, 6), (6, 5), (5, 4)])
@pytest.mark.parametrize("bits", [8, *swept(40, 90)])
def test_counters_with_carry_chains_are_proven(bits, k, chain_inputs):
    rng = np.random.default_rng(bits)
    plain = Group(tuple(range(bits)), (1,) * bits, 0)
    weighted = Group(tuple(range(bits)), tuple(rng.choice([-3, -2, -1, 1, 1, 1, 2], bits).tolist()), 5)
    before = Edge((bits,), (Format(1),))
    assert prove_lowered(GroupSum.of([plain], "1"), before, k, True, chain_inputs).equal
    assert bits > 50 or prove_lowered(GroupSum.of([weighted, plain], "1"), before, k, True, chain_inputs).equal


@pytest.mark.parametrize(("bits", "chain_inputs"), [(9, 0), (20, 0), *swept((31, 6), (33, 0))])
def test_one_wrong_entry_of_any_cell_of_a_counter_is_refuted(bits, chain_inputs):
    """Every cell in turn, at an address that some count gives."""
    before, node = Edge((bits,), (Format(1),)), GroupSum(1)
    netlist = lower(node, "part", before, node.output(before), 6, True, chain_inputs)
    assert any(cell.kind != lut_netlist.LUT for cell in netlist.cells) == bool(chain_inputs)
    luts = [at for at, cell in enumerate(netlist.cells) if cell.kind == lut_netlist.LUT]
    for at in luts[:: 4 if chain_inputs else 1]:
        cell = netlist.cells[at]
        wrong = dataclasses.replace(cell, table=cell.table ^ 1)  # all that it reads is 0 when all inputs are
        logic = logic_of(dataclasses.replace(netlist, cells=(*netlist.cells[:at], wrong, *netlist.cells[at + 1 :])))
        verdict = prove_part(logic, logic.literals(), [node], before, 60)
        assert verdict.equal is False
        value = int(run(logic, verdict.case[None])[0] @ (1 << np.arange(len(logic.outputs))))
        assert value != verdict.case.sum()


def test_a_sum_of_other_weights_is_refuted_by_the_identity_itself():
    before = Edge((20,), (Format(1),))
    group = Group(tuple(range(20)), (1,) * 20, 3)
    logic = logic_of(lower(node := GroupSum.of([group], "1"), "part", before, node.output(before)))
    for bias, heavy in ((3, 1), (3, 2), (4, 1)):
        wanted = popcounts.Linear.of(bias, [(literal, heavy if literal == 14 else 1) for literal in logic.literals()])
        verdict = popcounts.compare_sum(logic, logic.outputs, wanted, 60)
        assert verdict.how == "identity of weights"
        assert verdict.equal == ((bias, heavy) == (3, 1))
        if not verdict.equal:
            value = int(run(logic, verdict.case[None])[0] @ (1 << np.arange(len(logic.outputs))))
            assert value != bias + verdict.case.sum() + (heavy - 1) * verdict.case[6]


@pytest.mark.parametrize(("players", "bits"), [(2, 12), (5, 5), (10, 7)])
@pytest.mark.parametrize("signed", [False, True])
def test_the_first_maximum_of_wide_scores_is_proven(players, bits, signed):
    assert prove_lowered(ArgMax(), Edge((players,), (Format(bits, signed),))).equal


def looked_up(luts):
    logic = Aig(8)
    literals = logic.literals()
    for row, table in luts:
        literals.append(logic.table([literals[i] for i in row], table))
    logic.outputs = literals[-3:]
    return logic


def spelled_out(luts):
    """The same as an OR of ANDs."""
    logic = Aig(8)
    literals = logic.literals()
    for row, table in luts:
        terms = []
        for address in (a for a in range(1 << len(row)) if table >> a & 1):
            term = TRUE
            for slot, i in enumerate(row):
                term = logic.both(term, literals[i] ^ 1 ^ (address >> slot & 1))
            terms.append(term)
        literals.append(logic.any(terms))
    logic.outputs = literals[-3:]
    return logic


@given(seed=st.integers(0, 2**32), change=st.sampled_from([None, 0, 3, 7]))
@settings(max_examples=50)
def test_two_pieces_of_logic_are_equal_exactly_if_every_input_says_so(seed, change):
    rng = np.random.default_rng(seed)
    luts = [(rng.integers(0, 8 + i, 3).tolist(), int(rng.integers(256))) for i in range(8)]
    other = [(row, table ^ (at == change) << int(rng.integers(8))) for at, (row, table) in enumerate(luts)]
    one, other = looked_up(luts), spelled_out(other)
    verdict = sat.compare(one, other, 60)
    assert verdict.equal == np.array_equal(run(one, every(8)), run(other, every(8)))
    if not verdict.equal:
        assert not np.array_equal(run(one, verdict.case[None]), run(other, verdict.case[None]))


def needle(bits, value):
    """Logic that is 1 for one input only, written from the high end, or from the low end."""
    ends = []
    for order in (range(bits), reversed(range(bits))):
        logic = Aig(bits)
        found = TRUE
        for i in order:
            found = logic.both(found, logic.literals()[i] ^ 1 ^ (value >> i & 1))
        logic.outputs = [found]
        ends.append(logic)
    return ends


def test_the_one_input_in_2_to_the_40_that_shows_a_difference_is_found():
    one, other = needle(40, 0x123456789A)
    assert sat.compare(one, other, 60) == sat.Verdict(True, "SAT")
    _, wrong = needle(40, 0x123456789B)
    wrong.outputs = [wrong.either(wrong.outputs[0], wrong.place(one, wrong.literals())[0])]
    verdict = sat.compare(one, wrong, 60)
    assert (verdict.equal, verdict.how) == (False, "SAT")
    assert int(verdict.case.astype(object) @ (1 << np.arange(40).astype(object))) == 0x123456789B


@pytest.mark.parametrize(
    ("said", "case", "equal"),
    [
        (None, "", None),
        ("Networks are UNDECIDED.  Time = 1.00 sec", "", None),
        ("Timed out after 1 seconds.", "", None),
        ("", "", None),
        ("Networks are equivalent.  Time = 1.00 sec", "", True),
        ("Networks are NOT EQUIVALENT.", "", ToolError),
        ("Networks are NOT EQUIVALENT.", "0" * 40, ToolError),
        ("Networks are NOT EQUIVALENT.", f"{0x123456789B:040b}"[::-1], False),
    ],
)
def test_only_the_words_that_say_so_prove_and_only_a_case_that_shows_it_refutes(monkeypatch, said, case, equal):
    one, wrong = needle(40, 0x123456789A)[0], needle(40, 0x123456789B)[1]

    def abc(script, place, timeout):
        (place / "case.txt").write_text(case)
        return said

    monkeypatch.setattr(sat, "_abc", abc)
    if equal is ToolError:
        with pytest.raises(ToolError, match="yosys-abc: "):
            sat.compare(one, wrong, 1)
    else:
        assert sat.compare(one, wrong, 1).equal is equal


@st.composite
def small_networks(draw):
    """Networks whose every code can be tried: up to 8 input bits, with constants, copies and inverses likely."""
    widths = draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    formats = tuple(Format(bits, draw(st.booleans())) for bits in widths)
    rows = tuple(tuple(draw(st.lists(st.integers(f.low, f.high + 1), min_size=1, max_size=5))) for f in formats)
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
    nodes.append(GroupSum(draw(st.integers(1, size))))
    if draw(st.booleans()):  # a network behind the sums
        edge = Network(Input((len(formats),), formats), tuple(nodes)).edges()[-1]
        fmt = edge.formats[0]
        rows = tuple(
            tuple(draw(st.lists(st.integers(fmt.low, fmt.high + 1), min_size=1, max_size=2))) for _ in range(edge.size)
        )
        nodes += [Thermometer(rows), GroupSum(draw(st.integers(1, sum(map(len, rows)))))]
    return Network(Input((len(formats),), formats), (*nodes, ArgMax()))


def all_codes(network):
    formats = network.input.edge.flat_formats()
    return np.array(list(itertools.product(*(range(fmt.low, fmt.high + 1) for fmt in formats))))


def prove_same(before, after):
    """Whether all segments are proven equal; the cases to begin with are few, so that SAT has something to do."""
    assert compare_networks.same_shape(before, after)
    traces = evaluate.trace(before, all_codes(before)[:1])
    return [verdict for _, verdict in compare_networks.compare_networks(before, after, traces, 60)]


@pytest.mark.parametrize("one", [*dict.fromkeys(passes.PASSES), passes.optimize], ids=lambda p: p.__name__)
@given(network=small_networks())
@settings(max_examples=20)
def test_every_pass_is_proven_to_keep_the_meaning(one, network):
    assert all(verdict.equal for verdict in prove_same(network, one(network)))


@given(network=small_networks(), data=st.data())
@settings(max_examples=60)
def test_a_network_with_one_wrong_entry_is_refuted_exactly_if_some_code_shows_it(network, data):
    (at, layer) = data.draw(st.sampled_from([(i, n) for i, n in enumerate(network.nodes) if isinstance(n, LutLayer)]))
    j = data.draw(st.integers(0, len(layer.tables) - 1))
    wrong = layer.tables[j] ^ 1 << data.draw(st.integers(0, 2 ** len(layer.wires[j]) - 1))
    tables = (*layer.tables[:j], wrong, *layer.tables[j + 1 :])
    nodes = (*network.nodes[:at], dataclasses.replace(layer, tables=tables), *network.nodes[at + 1 :])
    changed = passes.optimize(dataclasses.replace(network, nodes=nodes))
    first = prove_same(network, changed)[0]
    sums_at = next(i for i, node in enumerate(network.nodes) if isinstance(node, GroupSum)) + 1
    codes = all_codes(network)
    equal = np.array_equal(evaluate.trace(network, codes)[sums_at], evaluate.trace(changed, codes)[sums_at])
    assert first.equal == equal
    if not equal:
        codes = packing.unpack(first.case[None], network.input.edge)
        assert not np.array_equal(evaluate.trace(network, codes)[sums_at], evaluate.trace(changed, codes)[sums_at])


def test_sums_that_are_equal_by_other_bits_are_proven_by_their_totals():
    """a + b is (a or b) + (a and b): no class of bits has the same weight on both sides."""
    source, bits = Input((2,), (Format(4),)), Thermometer(((5,), (9,)))
    one = Network(source, (bits, LutLayer(((0,), (1,)), (0b10, 0b10)), GroupSum(1)))
    other = Network(source, (bits, LutLayer(((0, 1), (0, 1)), (0b1110, 0b1000)), GroupSum(1)))
    assert [verdict.equal for verdict in prove_same(one, other)] == [True]
    wrong = Network(source, (bits, LutLayer(((0, 1), (0, 1)), (0b1110, 0b1001)), GroupSum(1)))
    (verdict,) = prove_same(one, wrong)
    assert verdict.equal is False


def test_networks_of_other_ports_or_sums_are_not_compared():
    bits = Thermometer(((5,), (9,)))
    one = Network(Input((2,), (Format(4),)), (bits, GroupSum(1), ArgMax()))
    for other in (
        Network(Input((2,), (Format(5),)), (bits, GroupSum(1), ArgMax())),
        Network(Input((2,), (Format(4),)), (bits, GroupSum(2), ArgMax())),
        Network(Input((2,), (Format(4),)), (bits, GroupSum(1))),
        Network(Input((2,), (Format(4),)), (bits,)),
    ):
        assert not compare_networks.same_shape(one, other)
    assert compare_networks.same_shape(one, one)
