"""The interface that is written says where each bit is, in JSON and in words, and both from one source."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dwn_hw import ir
from dwn_hw.exports import interface, interface_text, reader
from dwn_hw.hardware.design import Pipeline, Stage, make_design
from dwn_hw.hardware.pipelining import Registers
from dwn_hw.ir import serialize

NETWORK = ir.Network(
    ir.Input((3,), (ir.Format(8), ir.Format(4, True), ir.Format(5)), ("1/255", "1", "1/2"), ("0", "0", "-1")),
    (ir.Thermometer(((3, 200), (0,), (1, 2))), ir.GroupSum(2, (), "3.3"), ir.ArgMax()),
    ("cat|dog", "none"),
    ("width", "a|b", "depth"),
    (("source", "a test"), ("scaler", "standard, folded"), ("input", "stated as u8/255")),
)


def described(network=NETWORK, after=(True, False, True), shell="stream", scores=False):
    design = make_design(network, shell=shell, with_scores=scores)
    stages = (
        Stage(name, i, Registers((), register))
        for i, (name, register) in enumerate(zip(network.names(), after, strict=True))
    )
    return interface.describe(dataclasses.replace(design, pipeline=Pipeline(tuple(stages))))


def test_features_lie_one_above_the_other_from_bit_0():
    source = described()["input"]
    assert [(f["index"], f["name"], f["lsb"], f["bits"], f["signed"]) for f in source["features"]] == [
        (0, "width", 0, 8, False), (1, "a|b", 8, 4, True), (2, "depth", 12, 5, False),
    ]  # fmt: skip
    assert [(f["step"], f["offset"]) for f in source["features"]] == [("1/255", "0"), ("1", "0"), ("1/2", "-1")]
    assert source["bits"] == 17
    assert (source["chosen"], source["scaler"]) == ("stated as u8/255", "standard, folded")


@given(draw=st.data())
def test_the_features_fill_the_port_without_a_gap(networks, draw):
    network = draw.draw(networks())
    source = described(network, (True,) * len(network.nodes))["input"]
    low = 0
    for feature, fmt in zip(source["features"], network.input.edge.flat_formats(), strict=True):
        assert (feature["lsb"], feature["bits"], feature["signed"]) == (low, fmt.bits, fmt.signed)
        low += fmt.bits
    assert source["bits"] == low


def test_entries_of_a_row_share_its_format_step_and_offset():
    port = ir.Input((2, 2), (ir.Format(8), ir.Format(4)), ("1/255", "1/2"))
    network = ir.Network(port, (ir.Thermometer(((1,), (2,), (3,), (4,))),))
    features = described(network, (False,))["input"]["features"]
    assert [(f["lsb"], f["bits"], f["step"]) for f in features] == [
        (0, 8, "1/255"), (8, 8, "1/255"), (16, 4, "1/2"), (20, 4, "1/2"),
    ]  # fmt: skip


def test_the_class_is_lowest_and_scores_are_above_it_when_asked():
    assert described()["output"]["fields"] == [{"name": "class", "lsb": 0, "bits": 1, "count": 1, "signed": False}]
    fields = described(scores=True)["output"]["fields"]
    assert fields[1] == {"name": "scores", "lsb": 1, "bits": 2, "count": 2, "signed": False}


@pytest.mark.parametrize(
    ("shell", "after", "clock", "reset", "ports"),
    [
        ("stream", (True, False, True), "clk", "rst", ("x_payload", "y_payload")),
        ("none", (True, True, True), "clk", None, ("x", "y")),
        ("none", (False, False, False), None, None, ("x", "y")),
    ],
)
def test_ports_follow_the_shell_and_the_clock(shell, after, clock, reset, ports):
    found = described(after=after, shell=shell)
    assert (found["clock"], found["reset"]) == (clock, reset)
    assert (found["input"]["port"], found["output"]["port"]) == ports
    assert ("valid" in found["input"]) == ("ready" in found["output"]) == (shell == "stream")
    assert (found["latency"], found["interval"]) == (sum(after), 1)


def test_the_parts_say_their_node_and_their_registers_and_are_read_back():
    design = make_design(NETWORK, latency=3)
    found = interface.describe(design)
    assert [(part["name"], part["node"]) for part in found["parts"]] == [(name, name) for name in NETWORK.names()]
    assert reader.read_pipeline(json.loads(json.dumps(found)), NETWORK) == design.pipeline
    assert found["latency"] == 3


def test_it_is_plain_json_and_knows_its_network():
    found = described()
    assert json.loads(json.dumps(found)) == found
    assert found["format"] == interface.FORMAT == 1
    assert found["digest"] == serialize.digest(NETWORK)
    assert found["classes"] == ["cat|dog", "none"]
    assert found["ties"] == "the lowest class index wins"


def test_the_page_says_the_same_in_words():
    page = interface_text.to_markdown(described(scores=True))
    for line in (
        "# Interface of `dwn_top`",
        "| `clk` | in | 1 | clock, rising edge |",
        "| `x_payload` | in | 17 | packed codes |",
        "| `y_payload` | out | 5 | packed result |",
        "Latency 2 clocks when nothing stalls, one inference a clock. Registers: after encoder, after argmax.",
        "| 0 | width | [7:0] | u8 | 1/255 | 0 |",
        "| 1 | a\\|b | [11:8] | s4 | 1 | 0 |",
        "| 2 | depth | [16:12] | u5 | 1/2 | -1 |",
        "| class | [0:0] | 1 of 1 bits, first lowest |",
        "| scores | [4:1] | 2 of 2 bits, first lowest |",
        "Format: stated as u8/255.",
        "The model's scaler: standard, folded.",
        "Of equal scores, the lowest class index wins.",
        "| 0 | cat\\|dog |",
    ):
        assert line in page.splitlines(), line
    assert page.endswith("|\n")


def test_a_combinational_core_has_no_clock_on_the_page():
    page = interface_text.to_markdown(described(after=(False,) * 3, shell="none"))
    assert "Combinational: the result follows the codes within the clock." in page
    assert "`clk`" not in page
    assert "`x_valid`" not in page


def test_packing_by_the_page_is_the_port_s_own_order():
    """A host that shifts each code to its lsb gives the bits in the order of the edge."""
    codes = np.array([200, -3, 17])
    features = zip(codes.tolist(), described()["input"]["features"], strict=True)
    packed = sum((code & (1 << f["bits"]) - 1) << f["lsb"] for code, f in features)
    assert packed == 200 | (13 << 8) | (17 << 12)
