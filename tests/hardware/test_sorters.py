"""Sorting: networks sort all inputs of 0 and 1, three ways of building them give what numpy sorts, and Verilog does."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from groups import swept

from dwn_hw import ir
from dwn_hw.exports import interface_json, planning, reader, writer
from dwn_hw.exports.derive_interface import describe
from dwn_hw.hardware import cell_cost
from dwn_hw.hardware.design import clock_estimate, make_design
from dwn_hw.hardware.families import FAMILIES
from dwn_hw.hardware.lowering import lower_network, sorters
from dwn_hw.hardware.sorting_networks import DEPTH, SIZE, Network, best, is_right, known
from dwn_hw.hardware.word_netlist import WordNetlist
from dwn_hw.ir import packing
from dwn_hw.verification import compare_rtl

#: Comparators and depth of the best networks, as Knuth (5.3.4) and Dobbelaere's list say them.
FRONTS = {
    2: [(1, 1)],
    3: [(3, 3)],
    4: [(5, 3)],
    5: [(9, 5)],
    6: [(12, 5)],
    7: [(16, 6)],
    8: [(19, 6)],
    9: [(25, 7)],
    10: [(29, 8), (31, 7)],
    11: [(35, 8)],
    12: [(39, 9), (40, 8)],
    13: [(45, 10), (46, 9)],
    14: [(51, 10), (52, 9)],
    15: [(56, 10), (57, 9)],
    16: [(60, 10), (61, 9)],
}


def network_of(node, shape, fmt):
    return ir.Network(ir.Input(shape, (fmt,)), (node,))


def codes_of(shape, fmt, count=300):
    """All codes, where they are few; else ``count`` with many of them equal."""
    size = int(np.prod(shape))
    if fmt.bits * size <= 12:
        every = itertools.product(range(fmt.low, fmt.high + 1), repeat=size)
        return np.array(list(every), np.int64).reshape(-1, *shape)
    random = np.random.default_rng(size)
    codes = random.integers(fmt.low, fmt.high + 1, (count, *shape))
    codes[::3] = np.maximum(codes[::3] // 4 * 4, fmt.low)
    codes[1::5] = np.where(codes[1::5] % 2, fmt.low, fmt.high)
    return codes


def sorted_by_numpy(node, codes):
    def along(axis):
        rising = np.sort(codes, axis=axis + 1)
        ordered = np.flip(rising, axis + 1) if node.descending else rising
        return ordered.take(range(node.keep or codes.shape[axis + 1]), axis + 1)

    if len(node.axes) == 1:
        return along(node.axes[0])
    outer = codes.shape[: min(node.axes) + 1]
    return np.concatenate([along(axis).reshape(*outer, -1) for axis in node.axes], axis=-1)


def given(logic, codes, edge, after):
    """What a netlist gives for codes, as numbers."""
    if isinstance(logic, WordNetlist):
        return logic.evaluate(codes.reshape(len(codes), -1)).reshape(len(codes), *after.shape)
    return packing.unpack(logic.evaluate(packing.pack(codes, edge)).astype(np.uint8), after)


@pytest.mark.parametrize("wires", FRONTS)
def test_the_best_known_networks_sort_all_zeros_and_ones_in_their_size_and_depth(wires):
    assert [(net.size, net.depth) for net in known(wires)] == FRONTS[wires]
    assert all(is_right(net) for net in known(wires))
    smallest, shallowest = best(wires, wires), best(wires, wires, DEPTH)
    assert (smallest.size, smallest.depth) == FRONTS[wires][0]
    assert (shallowest.size, shallowest.depth) == FRONTS[wires][-1]


@pytest.mark.parametrize("wires", [17, 18, *swept(19, 20, 21, 22)])
def test_merged_networks_sort_all_zeros_and_ones(wires):
    assert is_right(best(wires, wires))
    assert is_right(best(wires, wires, DEPTH))


@pytest.mark.parametrize("wires", [33, 64])
def test_large_networks_sort(wires):
    rows = np.random.default_rng(0).integers(0, 40, (200, wires))
    columns = list(rows.T)
    for a, b in best(wires, wires).comparators:
        columns[a], columns[b] = np.minimum(columns[a], columns[b]), np.maximum(columns[a], columns[b])
    assert (np.stack(columns, 1) == np.sort(rows, 1)).all()


def test_the_first_few_take_no_more_than_a_pruned_sorter_and_are_right():
    for wires, keep in itertools.product((2, 5, 8, 11, 16), (1, 2, 3, 5, 8)):
        if keep <= wires:
            whole = best(wires, wires).pruned(keep)
            few = best(wires, keep)
            assert is_right(whole)
            assert is_right(few)
            assert is_right(best(wires, keep, DEPTH))
            assert few.words <= whole.words
            assert all(any(sides) for sides in few.read())
    assert best(100, 1).size == 99
    assert best(100, 1).words == 2 * 99


def test_a_network_that_lacks_a_comparator_or_has_one_upside_down_is_not_right():
    whole = known(8)[0]
    for i, (a, b) in enumerate(whole.comparators):
        others = whole.comparators[:i], whole.comparators[i + 1 :]
        assert not is_right(Network(8, 8, (*others[0], *others[1])))
        assert not is_right(Network(8, 8, (*others[0], (b, a), *others[1])))


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", [1, 2, 3, 4, *swept(5, 8, 12)])
@pytest.mark.parametrize(
    ("shape", "node"),
    [
        ((2,), ir.Sort()),
        ((5,), ir.Sort(descending=True)),
        ((5,), ir.Sort(keep=2)),
        ((8,), ir.Sort(keep=3, descending=True)),
        ((2, 3, 2), ir.Sort((2, 1))),
        *swept(((3, 4), ir.Sort((0,), 1, descending=True)), ((11,), ir.Sort()), ((3, 2, 2), ir.Sort((1,)))),
        *swept(((3, 4), ir.Sort((0, 1), 2, descending=True)), ((2, 2, 3), ir.Sort((2, 0, 1), 1))),
    ],
)
def test_words_slices_and_levels_give_what_is_sorted(shape, node, bits, signed):
    fmt = ir.Format(bits, signed)
    (step,) = network_of(node, shape, fmt).steps()
    codes = codes_of(shape, fmt)
    wanted = sorted_by_numpy(node, codes)
    ways = [sorters.sort_words(node, "sort", step.before, step.after)]
    for k in (4, 6):
        ways.append(sorters.sort_slices(node, "sort", step.before, k))
        ways += [sorters.sort_levels(node, "sort", step.before, step.after, k)] if bits <= 4 else []
    for logic in ways:
        assert np.array_equal(given(logic, codes, step.before, step.after), wanted)


def test_sixteen_bits_are_sorted_for_all_zeros_and_ones():
    codes = np.arange(1 << 16)[:, None] >> np.arange(16) & 1
    for family, by in itertools.product(("xc7", "ice40"), (SIZE, DEPTH)):
        (step,) = network_of(ir.Sort(), (16,), ir.Format(1)).steps()
        logic = sorters.lower_sort(step.node, "sort", step.before, step.after, FAMILIES[family], by)
        assert (logic.evaluate(codes) == np.sort(codes, 1)).all()


@pytest.mark.parametrize(
    ("size", "bits", "target", "luts"),
    # Five bits: a LUT each; of two bits: 15 for three levels, 10 to read them and 5 to write them.
    [(5, 1, "xc7", 5), (5, 2, "xc7", 30), (2, 4, "xc7", 9), (2, 8, "xc7", 19), (5, 8, "xc7", 171), (2, 4, "ice40", 11)],
)
def test_the_way_of_the_fewest_luts_is_taken(size, bits, target, luts):
    (logic,) = lower_network(network_of(ir.Sort(), (size,), ir.Format(bits)), FAMILIES[target])
    assert cell_cost.sites(FAMILIES[target], logic) == luts


def test_levels_that_come_as_bits_take_a_lut_for_each_number_and_level():
    """Five numbers of four levels, each as three bits that say which levels it reaches: 15 LUTs, of one level."""
    network = network_of(ir.Sort(descending=True), (5, 3), ir.Format(1))
    (logic,) = lower_network(network, FAMILIES["xc7"])
    assert (len(logic.cells), logic.depth()) == (15, 1)


def test_wide_numbers_are_left_to_carry_chains():
    (logic,) = lower_network(network_of(ir.Sort(), (3,), ir.Format(16)))
    assert isinstance(logic, WordNetlist)
    assert {cell.kind for cell in logic.cells} == {"greater", "mux"}


def test_a_clock_or_a_latency_takes_the_shallower_network_where_it_is_better():
    network = network_of(ir.Sort(), (10,), ir.Format(16))
    smallest, fast = make_design(network), make_design(network, latency=7)
    assert smallest.sorters == SIZE
    assert fast.sorters == DEPTH  # seven layers, a register after each
    assert (smallest.netlists[0].depth(), fast.netlists[0].depth()) == (16, 14)
    slow = make_design(network, clock_mhz=0.9 * clock_estimate(smallest))
    assert (slow.sorters, slow.latency) == (SIZE, 1)  # both have one clock
    quick = make_design(network, clock_mhz=0.99 * clock_estimate(make_design(network, latency=14)))
    assert (quick.sorters, quick.latency) == (DEPTH, 14)


def test_an_export_says_by_what_its_networks_were_chosen_and_is_read_back():
    network = network_of(ir.Sort(), (10,), ir.Format(16))
    for latency, said in ((7, DEPTH), (None, None)):
        design = make_design(network, latency=latency)
        document = interface_json.to_json(describe(design))
        assert document.get("sorters") == said
        again = reader.read_design(interface_json.from_json(document), network).lowered()
        assert again == design
    document["sorters"] = "width"
    with pytest.raises(ValueError, match="sorters 'width', which are none of size, depth"):
        reader.read_design(interface_json.from_json(document), network)


@pytest.mark.parametrize(
    ("node", "shape", "fmt", "latency", "target"),
    [
        (ir.Sort(descending=True), (5,), ir.Format(4, signed=True), 3, "generic"),
        *swept(
            (ir.Sort((1,), 2), (2, 6), ir.Format(9), 4, "generic"),
            (ir.Sort(), (7,), ir.Format(2), None, "xc7"),
        ),
    ],
)
def test_verilog_of_a_sorter_gives_what_the_network_gives(node, shape, fmt, latency, target, tmp_path):
    network = network_of(node, shape, fmt)
    design = make_design(network, latency=latency, target=target)
    writer.write(planning.ExportPlan(design, 0, {}, None), tmp_path / "export")
    assert compare_rtl.verify(tmp_path / "export", simulator="icarus", random=100)["equal"]
