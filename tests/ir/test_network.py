"""The waist checks itself: every rule with its message, formats against brute force, and the print as a golden."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dwn_hw import ir
from dwn_hw.errors import IRError

U8, S4 = ir.Format(8), ir.Format(4, signed=True)
REMEDY = "Export the model again, or mend the network that you built."


def small() -> ir.Network:
    return ir.Network(
        ir.Input((2,), (U8, S4), ("1/255", "1")),
        (
            ir.Thermometer(((0, 117, 117, 256), (-8, 3, 8))),
            ir.LutLayer(((0, 1), (6,), (5, 4, 3, 2, 1, 0)), (0b0110, 0b10, 0xDEADBEEF)),
            ir.LutLayer(((2,), (1,), (0,)), (1, 2, 3)),
            ir.GroupSum(2, (2, 0, 1), "0.3"),
            ir.ArgMax(),
        ),
        ("no", "yes"),
        ("width", "height"),
    )


def fails(make, thing: str, rule: str, got: str, remedy: str = REMEDY) -> None:
    with pytest.raises(IRError) as caught:
        make()
    assert str(caught.value) == f"{thing}: {rule}; got {got}. {remedy}"
    assert caught.value.exit_code == 2


def bits(size: int) -> ir.Input:
    return ir.Input((size,), (ir.BIT,))


# ---- formats -------------------------------------------------------------------------------------------------------


@given(st.integers(1, 12), st.booleans())
def test_low_and_high_are_the_ends_of_two_s_complement(width, signed):
    codes = [raw - (1 << width) * (signed and raw >> (width - 1) & 1) for raw in range(1 << width)]
    fmt = ir.Format(width, signed)
    assert (fmt.low, fmt.high) == (min(codes), max(codes))


@given(st.integers(-300, 300), st.integers(0, 600))
def test_covering_is_the_narrowest_format_that_holds_both_ends(low, extent):
    high = low + extent
    fits = [
        fmt
        for width in range(1, 12)
        for fmt in [ir.Format(width, signed=low < 0)]
        if fmt.low <= low and high <= fmt.high
    ]
    assert ir.Format.covering(low, high) == fits[0]


@pytest.mark.parametrize(
    ("fmt", "text"), [(U8, "u8"), (S4, "s4"), (ir.Format(16, True, -12), "s16·2^-12"), (ir.BIT, "u1")]
)
def test_a_format_prints_as_people_write_it(fmt, text):
    assert repr(fmt) == text


@pytest.mark.parametrize("width", [0, -1, 65])
def test_a_width_outside_1_to_64_is_refused(width):
    fails(lambda: ir.Format(width), "format", "a width is 1 to 64 bits", str(width), "Choose a narrower format.")


@pytest.mark.parametrize("fields", [(8.0, False, 0), ("8", False, 0), (True, False, 0), (8, 1, 0), (8, False, 0.5)])
def test_a_format_of_anything_but_integers_is_refused(fields):
    got = ", ".join(map(repr, fields))
    rule = "bits and lsb are integers, signed is true or false"
    fails(lambda: ir.Format(*fields), "format", rule, got, "Choose a narrower format.")


# ---- edges ---------------------------------------------------------------------------------------------------------


def test_an_edge_gives_each_entry_of_the_first_axis_its_format():
    edge = ir.Edge((2, 3), (U8, S4))
    assert edge.size == 6
    assert edge.flat_formats() == (U8, U8, U8, S4, S4, S4)
    assert ir.Edge((2, 3), (U8,)).flat_formats() == (U8,) * 6
    assert ir.Edge((), (U8,)).flat_formats() == (U8,)
    assert repr(edge) == "2×3 × s4/u8"
    assert repr(ir.Edge((), (U8,))) == "1 × u8"


def test_an_edge_is_of_bits_when_every_format_is_one_bit():
    assert ir.Edge((2,), (ir.BIT, ir.BIT)).is_bits
    assert ir.Edge((2,), (ir.BIT,)).is_bits
    assert not ir.Edge((2,), (ir.BIT, U8)).is_bits
    assert not ir.Edge((2,), (ir.Format(1, signed=True),)).is_bits


# ---- the port ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "rule", "got"),
    [
        (((), (U8,)), "every extent is at least 1", "()"),
        (((2, 0), (U8,)), "every extent is at least 1", "(2, 0)"),
        (((2.0,), (U8,)), "every extent is an integer", "(2.0,)"),
        (((True,), (U8,)), "every extent is an integer", "(True,)"),
        (((3,), (U8, U8)), "one of formats, or one for each of 3 entries", "2"),
        (((3,), ()), "one of formats, or one for each of 3 entries", "0"),
        (((3,), (U8,), ("1", "1")), "one of steps, or one for each of 3 entries", "2"),
        (((3,), (U8,), ("1",), ()), "one of offsets, or one for each of 3 entries", "0"),
        (((1,), (ir.Format(63),)), "a code has at most 62 bits", "63"),
        (((1,), (U8,), ("0",)), "every step is positive", "('0',)"),
        (((1,), (U8,), ("-1/3",)), "every step is positive", "('-1/3',)"),
    ],
)
def test_a_port_that_breaks_a_rule_is_refused(fields, rule, got):
    fails(lambda: ir.Input(*fields), "input", rule, got)


@pytest.mark.parametrize(
    "text", ["", "x", "1/0", "1/00", "nan", "inf", "1e5", "1e999999999", " 1", "1_0", "1/2/3", "9" * 5000, 0.5, 1, None]
)
def test_a_step_or_offset_that_is_no_plain_rational_is_refused(text):
    rule = "steps and offsets are rationals such as '1/255'"
    fails(lambda: ir.Input((1,), (U8,), (text,)), "input", rule, str(text))
    fails(lambda: ir.Input((1,), (U8,), ("1",), (text,)), "input", rule, str(text))


@pytest.mark.parametrize("text", ["1/255", "-3", "0.5", "-0.25", f"1/{2**900}"])
def test_a_plain_rational_is_read(text):
    assert ir.Input((1,), (U8,), offsets=(text,)).offsets == (text,)


# ---- nodes ---------------------------------------------------------------------------------------------------------


def test_a_thermometer_needs_a_threshold_and_a_row_for_each_feature():
    fails(lambda: ir.Thermometer(((), ())), "thermometer", "there is at least one threshold", "none")
    with pytest.raises(IRError, match=re.escape("one row of thresholds for each of 3 features; got 1.")):
        ir.Network(ir.Input((3,), (U8,)), (ir.Thermometer(((1,),)),))


@pytest.mark.parametrize(("fmt", "row"), [(U8, (-1, 3)), (U8, (257,)), (S4, (9,)), (S4, (-9,))])
def test_thresholds_lie_between_the_lowest_code_and_one_above_the_highest(fmt, row):
    thing = "node 0 (Thermometer), thermometer feature 1"
    rule = f"thresholds of a {fmt} feature lie in {fmt.low}…{fmt.high + 1}"
    outside = [t for t in row if not fmt.low <= t <= fmt.high + 1]
    fails(lambda: ir.Network(ir.Input((2,), (fmt,)), (ir.Thermometer(((), row)),)), thing, rule, str(outside))
    ir.Network(ir.Input((2,), (fmt,)), (ir.Thermometer(((), (fmt.low, fmt.high + 1))),))


@pytest.mark.parametrize(
    ("wires", "tables", "thing", "rule", "got"),
    [
        ((), (), "LUT layer", "as many tables as rows of wires, at least one", "0, 0"),
        (((0,),), (), "LUT layer", "as many tables as rows of wires, at least one", "1, 0"),
        (((0,), ()), (1, 1), "LUT 1", "1 to 8 inputs", "0"),
        (((0,) * 9,), (1,), "LUT 0", "1 to 8 inputs", "9"),
        (((0, 1),), (16,), "LUT 0", "a table of 2 inputs has 4 bits", "0x10"),
        (((0, 1),), (-1,), "LUT 0", "a table of 2 inputs has 4 bits", "-0x1"),
    ],
)
def test_a_lut_layer_that_breaks_a_rule_is_refused(wires, tables, thing, rule, got):
    fails(lambda: ir.LutLayer(wires, tables), thing, rule, got)


@pytest.mark.parametrize("wires", [(0, 3), (-1, 0)])
def test_wires_point_at_bits_that_exist(wires):
    thing = "node 0 (LutLayer), LUT 0"
    fails(lambda: ir.Network(bits(3), (ir.LutLayer((wires,), (6,)),)), thing, "wires lie in 0…2", str(wires))


def test_luts_and_group_sums_read_bits_and_nothing_else():
    source = ir.Input((3,), (U8,))
    thing = "node 0 (LutLayer), LUT layer"
    fails(lambda: ir.Network(source, (ir.LutLayer(((0,),), (2,)),)), thing, "it reads bits", "3 × u8")
    thing = "node 0 (GroupSum), group sum"
    fails(lambda: ir.Network(source, (ir.GroupSum(1),)), thing, "it counts bits", "3 × u8")


@pytest.mark.parametrize(
    ("fields", "rule", "got"),
    [
        ((0,), "at least one group", "0"),
        ((-2,), "at least one group", "-2"),
        ((2.5,), "the number of groups is an integer", "2.5"),
        ((True,), "the number of groups is an integer", "True"),
        ((2, (), 0.3), "tau is text", "0.3"),
        ((2, (0, 1), "1", (2,)), "no sizes, or 2", "1"),
        ((2, (0, 1), "1", (2, 1)), "sizes that add up to 2 members", "(2, 1)"),
        ((2, (0, 1), "1", (3, -1)), "sizes that add up to 2 members", "(3, -1)"),
        ((2, (0, 1), "1", (1, 1), (1,)), "no weights, or 2", "1"),
        ((2, (0, 1), "1", (), (1, 1)), "no weights, or 0", "2"),
        ((2, (0, 1), "1", (1, 1), (1, 0)), "no weight is 0", "(1, 0)"),
        ((2, (0, 1), "1", (1, 1), (), (1,)), "no biases, or 2", "1"),
        ((2, (0, 1), "1", (), (), (1, 1)), "no biases, or 0", "2"),
    ],
)
def test_a_group_sum_that_breaks_a_rule_is_refused(fields, rule, got):
    fails(lambda: ir.GroupSum(*fields), "group sum", rule, got)


@pytest.mark.parametrize("order", [(0, 1), (0, 1, 1), (1, 2, 3), (0, 1, 2, 2)])
def test_a_permutation_holds_every_bit_once(order):
    rule, got = "a permutation of 3 bits", f"{len(order)} entries"
    fails(lambda: ir.Network(bits(3), (ir.GroupSum(3, order),)), "node 0 (GroupSum), group sum", rule, got)


@pytest.mark.parametrize("member", [-1, 3])
def test_members_of_a_weighted_group_are_bits_that_exist(member):
    vote = ir.GroupSum(2, (0, member), "1", (1, 1))
    thing = "node 0 (GroupSum), group sum"
    fails(lambda: ir.Network(bits(3), (vote,)), thing, "members lie in 0…2", f"[{member}]")


def test_a_sum_fits_the_widest_code():
    big = 2**61
    for weight, bias in ((big, 0), (-big, 0), (1, big - 1)):
        vote = ir.GroupSum(1, (0,), "1", (1,), (weight,), (bias,))
        with pytest.raises(IRError, match="sums of at most 62 bits"):
            ir.Network(bits(1), (vote,))
    ir.Network(bits(1), (ir.GroupSum(1, (0,), "1", (1,), (big - 1,)),))


def test_a_size_that_no_memory_holds_is_refused_not_counted():
    huge = ir.Input((10**30,), (ir.BIT,))
    with pytest.raises(IRError, match="a permutation of 1000000000000000000000000000000 bits; got 2 entries"):
        ir.Network(huge, (ir.GroupSum(2, (0, 1)),))


def test_there_are_no_more_groups_than_bits():
    thing = "node 0 (GroupSum), group sum"
    fails(lambda: ir.Network(bits(3), (ir.GroupSum(4),)), thing, "no more groups than 3 bits", "4")


def test_argmax_compares_numbers_of_one_format():
    rule, source = "rows of numbers of one format", ir.Input((2,), (U8, S4))
    fails(lambda: ir.Network(source, (ir.ArgMax(),)), "node 0 (ArgMax), argmax", rule, repr(source.edge))


def test_the_first_maximum_of_several_rows_is_no_class():
    rows = ir.Network(ir.Input((3, 2), (U8,)), (ir.ArgMax(),))
    assert not rows.classifies
    assert (rows.output.shape, rows.classes) == ((3,), 3)


# ---- group slices --------------------------------------------------------------------------------------------------


@given(st.integers(1, 40), st.data())
def test_slices_are_equal_parts_of_the_permuted_zero_padded_bits(size, draw):
    groups = draw.draw(st.integers(1, size))
    order = tuple(draw.draw(st.permutations(range(size)))) if draw.draw(st.booleans()) else ()
    padded = [*(order or range(size))]
    while len(padded) % groups:
        padded.append(None)
    length = len(padded) // groups
    wanted = tuple(
        tuple(i for i in padded[group * length : (group + 1) * length] if i is not None) for group in range(groups)
    )
    split = ir.GroupSum(groups, order).split(size)
    assert tuple(group.members for group in split) == wanted
    assert {(weight, group.bias) for group in split for weight in group.weights} == {(1, 0)}


def test_a_class_count_that_does_not_divide_leaves_the_last_groups_short():
    assert [group.members for group in ir.GroupSum(4).split(5)] == [(0, 1), (2, 3), (4,), ()]
    assert ir.Network(bits(5), (ir.GroupSum(4),)).edges()[-1] == ir.Edge((4,), (ir.Format(2),))


def test_weighted_groups_are_split_and_put_together_again():
    """2·a − b + 5, nothing, 3·b − 2: from −2 to 7."""
    vote = ir.GroupSum(3, (0, 1, 1), "0.5", (2, 0, 1), (2, -1, 3), (5, 0, -2))
    split = vote.split(2)
    assert split == (ir.Group((0, 1), (2, -1), 5), ir.Group((), (), 0), ir.Group((1,), (3,), -2))
    assert [(group.low, group.high) for group in split] == [(4, 7), (0, 0), (-2, 1)]
    assert ir.GroupSum.of(split, "0.5") == vote
    assert ir.Network(bits(2), (vote,)).edges()[-1] == ir.Edge((3,), (ir.Format(4, signed=True),))
    assert str(vote) == "3 groups of 0…2 members, 3 weighted, bias -2…5, tau 0.5"


def test_weights_of_one_and_biases_of_nothing_are_left_out():
    groups = (ir.Group((2, 0), (1, 1), 0), ir.Group((1,), (1,), 0))
    assert ir.GroupSum.of(groups, "1") == ir.GroupSum(2, (2, 0, 1), "1", (2, 1))
    assert str(ir.GroupSum.of(groups, "1")) == "2 groups of 1…2 members, 0 weighted, bias 0, tau 1"
    assert ir.GroupSum.of((ir.Group((), (), 3),), "1") == ir.GroupSum(1, (), "1", (0,), (), (3,))


def test_wires_among_luts_are_told_apart():
    layer = ir.LutLayer(((0, 1), (1,), (0,), (1,)), (0b0110, 0b10, 0b01, 0b10))
    assert [layer.is_wire(j) for j in range(4)] == [False, True, False, True]
    assert str(layer) == "2 LUT1/2, 2 wires"
    assert str(ir.LutLayer(((0,),), (0b10,))) == "1 wires"


# ---- the network ---------------------------------------------------------------------------------------------------


def test_a_network_prints_one_line_a_node():
    assert repr(small()).splitlines() == [
        "input      steps 1/255 to 1, by feature -> 2 × s4/u8",
        "encoder    Thermometer  99222cfd  2 features, 7 thresholds, 6 distinct -> 7 × u1",
        "l0         LutLayer     4458cff5  2 LUT2/6, 1 wires -> 3 × u1",
        "l1         LutLayer     833d4739  2 LUT1, 1 wires -> 3 × u1",
        "popcount   GroupSum     20cc5c11  2 groups, permuted, tau 0.3 -> 2 × u2",
        "argmax     ArgMax       22d07b96  first maximum -> 1 × u1",
    ]


def test_the_print_changes_with_one_bit_of_one_table():
    network = small()
    layer = network.nodes[1]
    changed = ir.LutLayer(layer.wires, (layer.tables[0] ^ 1, *layer.tables[1:]))
    other = ir.Network(network.input, (network.nodes[0], changed, *network.nodes[2:]))
    different = [a != b for a, b in zip(repr(network).splitlines(), repr(other).splitlines(), strict=True)]
    assert different == [False, False, True, False, False, False]


def test_nodes_have_short_names_and_edges_one_more_than_nodes():
    assert small().names() == ("encoder", "l0", "l1", "popcount", "argmax")
    assert len(small().edges()) == 6


def test_upto_gives_the_network_that_ends_at_an_edge():
    network = small()
    for count in range(1, 6):
        assert network.upto(count).edges() == network.edges()[: count + 1]


def test_a_network_has_a_node():
    fails(lambda: small().upto(0), "network", "there is at least one node", "none")


def test_names_are_none_or_complete():
    nodes = small().nodes
    with pytest.raises(IRError, match="no class names, or one for each of 2 classes; got 3"):
        ir.Network(small().input, nodes, ("a", "b", "c"))
    with pytest.raises(IRError, match="no feature names, or one for each of 2; got 1"):
        ir.Network(small().input, nodes, (), ("a",))


@pytest.mark.parametrize("text", ["a\nb", "a\r", "\x00", "a\u2028b", "\x1b[2J", "\ud800", "\u202e"])
def test_a_name_that_could_break_out_of_a_comment_is_refused(text):
    nodes = small().nodes
    for names in (((text, "b"),), ((), (text, "b")), ((), (), (("source", text),)), ((), (), ((text, "b"),))):
        with pytest.raises(IRError, match="names and notes are printable"):
            ir.Network(small().input, nodes, *names)


def test_a_name_that_is_no_text_is_refused():
    with pytest.raises(IRError, match=r"names and notes are text; got \[1\]"):
        ir.Network(small().input, small().nodes, (1, "b"))


def test_a_kind_of_node_that_comes_twice_has_two_names():
    layer = ir.LutLayer(((0,), (1,)), (2, 1))
    nodes = (
        ir.Thermometer(((1, 2),)),
        layer,
        ir.GroupSum(1),
        ir.Thermometer(((1, 2),)),
        layer,
        ir.GroupSum(2),
        ir.ArgMax(),
    )
    network = ir.Network(ir.Input((1,), (ir.Format(2),)), nodes)
    assert network.names() == ("encoder", "l0", "popcount", "encoder2", "l1", "popcount2", "argmax")
